// One call, in a panel with an address of its own: what was logged, its scores, and what happened to each.
import { arrange, block, facts, foldable, make, replace, table } from "./elements.js";
import { list, listSome, noteIn } from "./service.js";
import { briefly, costOf, digestOf, digits, nameOf, plural, spoken, textOf, valueOf, when } from "./words.js";

const panel = document.getElementById("call");
const { say, guarded } = noteIn(document.getElementById("call-note"));
const MOST = 1000; // scores of a call, events of a score
let shown = null; // {project, id, ref: the scorer whose score is open from the start, scores: by ref}

// #call=project/id or #call=project/id&scorer=ref. A project may have slashes; those of an id are encoded.
const fragmentOf = (project, id, ref) =>
  `#call=${[...project.split("/"), id].map(encodeURIComponent).join("/")}${ref ? `&scorer=${encodeURIComponent(ref)}` : ""}`;
const addressed = () => {
  const [, project, id, ref] = /^#call=([^&]+)\/([^&/]+)(?:&scorer=([^&]+))?$/.exec(location.hash) ?? [];
  if (!project) return null;
  try {
    return { project: decodeURIComponent(project), id: decodeURIComponent(id), ref: ref && decodeURIComponent(ref) };
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
};
export const linkTo = (project, id, ref) => {
  const link = make("a", id);
  link.href = fragmentOf(project, id, ref);
  return link;
};

const titled = (title, fields, label) => {
  const rows = Object.entries(fields ?? {}).map(([name, value]) => [name, block(value, `${label} ${name}`)]);
  return rows.length ? [make("h3", title), facts(rows)] : [];
};
const isKnown = time => Date.parse(time) > 0; // an import without times makes it 1970-01-01T00:00:00Z
const showLogged = ({ project, id }, call) => {
  const rows = [["project", project]];
  if (!call) return [facts([...rows, ["call", `${id} is not logged here, or has not ended yet`]])];
  if (call.op_name) rows.push(["op", call.op_name]);
  if (isKnown(call.started_at)) rows.push(["started", when(call.started_at)]);
  if (isKnown(call.ended_at)) rows.push(["ended", when(call.ended_at)]);
  if (call.exception) rows.push(["exception", block(call.exception, "Exception")]);
  return [
    facts(rows),
    ...titled("Inputs", call.inputs, "Input"),
    make("h3", "Output"), block(call.output ?? null, "Output"),
    ...titled("Attributes", call.attributes, "Attribute"),
    ...titled("Summary", call.summary, "Summary"),
  ];
};

const LONG = 80; // characters
const field = (name, value) => [spoken(name), textOf(value).length > LONG ? block(value, name) : textOf(value)];
const SAID = ["attempt", "scorer_digest"]; // elsewhere
const lineageOf = ({ scorer_ref, attempts, revision, scored_at, lineage: { cost, ...lineage } }) => facts([
  ["version", scorer_ref],
  ["scored", `${when(scored_at)}, revision ${revision}, after ${plural(attempts, "attempt")}`],
  ...cost ? [["cost", costOf(cost)]] : [],
  ...Object.entries(lineage).filter(([name]) => !SAID.includes(name)).map(([name, value]) => name === "latency_ms" ? ["latency", `${digits(value)} ms`] : field(name, value)),
]);
const EVENTS = {
  TaskParked: "waits", TaskJoined: "another request joined", TaskWithdrawn: "a request was withdrawn",
  AttemptFailed: "attempt failed", ScoreSucceeded: "succeeded", ScoreFailed: "failed", ScoreCancelled: "cancelled",
};
const why = ({ error, reason, next_at, output }) => [
  error ? `${error.type}: ${error.message}` : reason ?? (output === undefined ? "" : valueOf({ status: "succeeded", output })),
  next_at && `until ${when(next_at)}`,
].filter(Boolean).join(", ");
const historyOf = ({ items, next_cursor }) => [
  make("h3", "History"),
  items.length ? table(["when", "what", "", ""], ["short", "short", "short", "wide"], items.map(event =>
    [briefly(event.at), EVENTS[event.event] ?? event.event, `round ${event.round}, ${plural(event.attempts, "attempt")}`, why(event)]))
    : make("div", "Nothing has happened yet.", "dim"),
  ...next_cursor ? [make("div", "and more", "dim")] : [],
];
const fill = async part => {
  const { place, ref, score, state } = part;
  const events = await list("/scores/history", { project_id: place.project, call_id: place.id, scorer_ref: ref, limit: MOST });
  const parts = [];
  if (score) {
    const { output, error } = score, fields = output !== null && typeof output === "object" ? output : { value: output };
    if (score.status === "succeeded") parts.push(facts(Object.entries(fields).map(([name, value]) => field(name, value))));
    if (error) parts.push(facts(Object.entries(error).map(([name, value]) => field(name, value))));
    parts.push(make("h3", "Lineage"), lineageOf(score));
  }
  replace(part.inside, [...parts, ...historyOf(events)]);
  part.filled = state;
};
const showScore = (place, ref, score) => {
  let part = place.scores.get(ref);
  if (!part) {
    part = { ...foldable(), place, ref };
    part.element.addEventListener("toggle", () => part.element.open ? guarded(part, () => fill(part)) : say(part, ""));
    part.element.open = ref === place.ref;
    place.scores.set(ref, part);
  }
  Object.assign(part, { score, state: JSON.stringify(score ?? null) });
  const value = score ? make("span", valueOf(score), score.status === "failed" ? "bad" : "") : make("span", "no score yet", "dim");
  part.head.replaceChildren(make("div", [make("span", [make("strong", nameOf(ref)), " ", make("span", digestOf(ref), "dim")]), value], "title"));
  if (part.element.open && part.filled !== part.state && part.filled !== undefined) guarded(part, () => fill(part));
  return part.element;
};
const showScores = async place => {
  const [items, more] = await listSome("/scores", { project_id: place.project, call_id: place.id, limit: MOST }, MOST);
  if (shown !== place) return;
  const elements = items.map(score => showScore(place, score.scorer_ref, score));
  if (place.ref && !more && !items.some(score => score.scorer_ref === place.ref)) elements.push(showScore(place, place.ref, null));
  const section = document.getElementById("call-scores");
  const parts = [make("h3", "Scores"), ...elements.length ? elements : [make("div", "None yet.", "dim")]];
  if (more) parts.push(make("div", "and more", "dim"));
  arrange(section, parts, elements);
};
const open = place => {
  shown = { ...place, scores: new Map() };
  document.getElementById("call-title").textContent = `Call ${place.id}`;
  document.title = `Call ${place.id} · callscore`;
  for (const id of ["call-facts", "call-scores"]) document.getElementById(id).replaceChildren();
  const opened = shown;
  guarded("call", async () => {
    const { items: [call] } = await list("/calls", { project_id: place.project, call_id: place.id });
    if (shown !== opened) return;
    document.getElementById("call-facts").replaceChildren(...showLogged(opened, call));
    await showScores(opened);
  }, "This call cannot be shown");
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
};
// Shows the call that the address names; none closes the panel.
export const route = () => {
  const place = addressed();
  if (place) open(place);
  else panel.close();
};
// The scores of the call that is shown, when something has ended in its project.
export const renewCall = outcomes => {
  if (!shown) return;
  const now = outcomes.get(shown.project), before = shown.outcomes, place = shown;
  shown.outcomes = now;
  if (before !== undefined && before !== now) guarded("scores", () => showScores(place));
};

document.getElementById("call-close").addEventListener("click", () => panel.close());
panel.addEventListener("click", event => event.target === panel && panel.close()); // beside it
panel.addEventListener("close", () => {
  shown = null;
  document.title = "callscore";
  say("call", "");
  if (addressed()) history.pushState(null, "", location.pathname + location.search);
});
