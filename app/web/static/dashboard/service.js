// Asking the service, and saying what cannot be shown.
import { make } from "./elements.js";

const reasonOf = answer => answer.json().then(({ detail }) => `: ${detail[0].msg.replace(/\.$/, "")}`).catch(() => "");
export const ask = async (path, options) => {
  const answer = await fetch(path, options).catch(() => { throw new Error("the service does not answer"); });
  if (!answer.ok) {
    throw Object.assign(new Error(`the service answers ${answer.status}${await reasonOf(answer)}`), { status: answer.status });
  }
  if (!options && answer.headers.has("Callscore-Unanswered-Partitions")) throw new Error("a worker does not answer");
  return answer.json();
};
export const list = (path, query) => {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return ask(`${path}?${new URLSearchParams(given)}`);
};
const PAGES = 4;
// Asks for pages until `take` has enough of their items, but not for ever; returns the cursor to go on from, if any.
export const takePages = async (path, query, take, cursor = null) => {
  for (let page = 0; page < PAGES; page++) {
    const answer = await list(path, { ...query, cursor });
    cursor = answer.next_cursor;
    if (take(answer.items) || cursor === null) break;
  }
  return cursor;
};
// At least `enough` items, as a page that takes long to find ends early, and whether there may be more.
export const listSome = async (path, query, enough) => {
  const found = [];
  const cursor = await takePages(path, query, items => found.push(...items) >= enough);
  return [found, cursor !== null];
};
export const order = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// A note in which each part has its own line, which stays until that part is well.
export const noteIn = (element, lines = new Map()) => {
  const say = (part, text) => {
    lines.set(part, text);
    element.textContent = [...new Set(lines.values())].filter(Boolean).join(" ");
  };
  const guarded = async (part, work, trouble = "Not up to date") => {
    try {
      say(part, await work() ?? "");
    } catch (error) {
      say(part, `${trouble}: ${error.message}.`);
    }
  };
  return { say, guarded };
};
export const { say, guarded } = noteIn(document.getElementById("note"), new Map([["requests", "Loading…"]]));

export const orderButton = (label, work) => {
  const button = make("button", label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await guarded("order", async () => { await work(); }, "That was not done");
    button.disabled = false;
  });
  return button;
};
