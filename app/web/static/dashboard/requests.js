// The newest requests, how far they are, and what failed: those of clients, and in a rule those that it made.
import { linkTo } from "./call.js";
import { bar, facts, foldable, make, replace, table } from "./elements.js";
import { ask, guarded, list, listSome, order, orderButton, say } from "./service.js";
import { costOf, count, digestOf, digits, nameOf, plural, spoken, when } from "./words.js";

const SHOWN = ["succeeded", "failed", "cancelled", "running"], FAILED_SHOWN = 10, NAMES_SHOWN = 8;
const requests = new Map();
const pathOf = id => `/score-requests/${encodeURIComponent(id)}`;

const ended = tasks => tasks.succeeded + tasks.failed + tasks.cancelled;
const namesOf = refs => {
  const names = [...new Set(refs.map(nameOf))], others = names.length - NAMES_SHOWN;
  return names.slice(0, NAMES_SHOWN).join(", ") + (others > 0 ? ` and ${count(others)} more` : "");
};
const headOf = ({ project_id, status, tasks, scorer_refs, rate, eta, requested_at }) => {
  const progress = bar(SHOWN.map(state => [state, tasks.total ? tasks[state] / tasks.total : 0]), "tasks that have ended");
  progress.setAttribute("role", "progressbar");
  progress.setAttribute("aria-valuemax", tasks.total);
  progress.setAttribute("aria-valuenow", ended(tasks));
  const about = [plural(tasks.total, "task")];
  if (tasks.failed) about.push(make("span", `${count(tasks.failed)} failed`, "bad"));
  if (status === "running") {
    about.push(`${count(ended(tasks))} done`);
    if (rate) about.push(`${digits(rate)}/s`);
    if (eta) about.push(`done at about ${new Date(eta).toLocaleTimeString()}`);
  }
  about.push(namesOf(scorer_refs), when(requested_at));
  const joined = about.flatMap((part, at) => at ? [" · ", part] : [part]);
  return [make("div", [make("strong", project_id), make("span", status, "short")], "title"), progress, make("div", joined, "dim")];
};
// A task's reason is the type of its error; the score has the message.
const reasonOf = async (project, { call_id, scorer_ref, reason }) => {
  const { items: [score] } = await list("/scores", { project_id: project, call_id, scorer_ref, status: "failed" });
  return score?.error ? `${score.error.type}: ${score.error.message}` : reason ?? "";
};
// What can be asked of a request now: the rest of it can be cancelled, what failed or was cancelled tried again.
const ordersFor = shown => {
  const { request_id, status, tasks } = shown.request;
  const orders = [];
  if (status === "running") orders.push(["Cancel", "cancel"]);
  if (tasks.failed + tasks.cancelled) orders.push([`Try ${count(tasks.failed + tasks.cancelled)} again`, "retry"]);
  return orders.map(([label, what]) => orderButton(label, async () =>
    showRequest(await order(`${pathOf(request_id)}/${what}`))));
};
const fill = async shown => {
  const { state, request: { tasks, ...request } } = shown;
  const states = Object.entries(tasks).filter(([state, n]) => n && state !== "total")
    .map(([state, n]) => `${count(n)} ${spoken(state)}`);
  const rows = [["tasks", states.join(", ") || "none"], ["request", request.request_id]];
  request.scorer_refs.forEach((ref, at) => rows.push([at ? "" : "scorers", [`${nameOf(ref)} `, make("span", digestOf(ref), "dim")]]));
  if (request.rule_id) rows.push(["rule", (await ask(`/rules/${encodeURIComponent(request.rule_id)}`)).name]);
  if (request.requested_by) rows.push(["requested by", request.requested_by]);
  if (request.finished_at) rows.push(["finished", when(request.finished_at)]);
  if (request.cost) rows.push(["cost", costOf(request.cost)]);
  if (request.rate) rows.push(["rate", `${digits(request.rate)} tasks/s`]);
  const parts = [facts(rows), make("div", ordersFor(shown))];
  if (tasks.failed) {
    const path = `${pathOf(request.request_id)}/tasks`;
    const [items] = await listSome(path, { status: "failed", limit: FAILED_SHOWN }, FAILED_SHOWN);
    const reasons = await Promise.all(items.map(task => reasonOf(request.project_id, task)));
    const failed = items.map(({ call_id, scorer_ref }, at) =>
      [linkTo(request.project_id, call_id, scorer_ref), nameOf(scorer_ref), reasons[at]]);
    parts.push(make("h3", "Failed"));
    if (failed.length) parts.push(table(["call", "scorer", "reason"], ["id", "name", ""], failed));
    const others = tasks.failed - items.length;
    if (others > 0) {
      const found = failed.length ? `And ${count(others)} more` : `None of the ${count(others)} is among the first tasks`;
      parts.push(make("div", `${found}. Choose “Failed” at a scorer under Scores, or use: callscore scores --project ${request.project_id} --status failed`, "dim"));
    }
  }
  replace(shown.inside, parts);
  shown.filled = state;
};
const showRequest = request => {
  let shown = requests.get(request.request_id);
  if (!shown) {
    shown = foldable();
    requests.set(request.request_id, shown);
    shown.element.addEventListener("toggle", () => shown.element.open ? guarded(shown, () => fill(shown)) : say(shown, ""));
  }
  const state = JSON.stringify(request.tasks);
  Object.assign(shown, { request, state });
  shown.head.replaceChildren(...headOf(request));
  if (shown.filled !== state && shown.element.open) guarded(shown, () => fill(shown));
  return shown.element;
};
export const showRequestsIn = (place, items) => {
  const elements = items.map(showRequest);
  if (elements.some((element, at) => place.children[at] !== element)) place.replaceChildren(...elements);
};
// Returns the requests that are shown.
export const showRequests = async () => {
  const { items } = await ask("/score-requests?limit=25");
  showRequestsIn(document.getElementById("requests"), items);
  return items;
};
