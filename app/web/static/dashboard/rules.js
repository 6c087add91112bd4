// The rules of each project: which calls they score, their requests, and the calls that they left out.
import { linkTo } from "./call.js";
import { arrange, foldable, make, replace, table } from "./elements.js";
import { showRequestsIn } from "./requests.js";
import { guarded, list, say } from "./service.js";
import { briefly, count, digits, plural, when } from "./words.js";

const MOST = 100, REQUESTS_SHOWN = 25, LEFT_OUT_SHOWN = 50;
const rules = new Map();

const condition = ([name, wanted]) => `${name} = ${[wanted].flat().map(value => JSON.stringify(value)).join(" or ")}`;
const headOf = ({ name, status, where, sample_rate, calls, last_matched_at }) => {
  const about = [
    Object.entries(where).map(condition).join(", ") || "every call", `${digits(100 * sample_rate)} % sampled`,
    `${plural(calls.matched, "call")} matched`, `${count(calls.sampled_out)} left out`,
  ];
  if (last_matched_at) about.push(`last matched ${when(last_matched_at)}`);
  return [make("div", [make("strong", name), make("span", status, "short")], "title"), make("div", about.join(" · "), "dim")];
};
const showRequests = async shown => {
  const { items } = await list("/score-requests", { rule_id: shown.rule.rule_id, limit: REQUESTS_SHOWN });
  shown.progress = JSON.stringify(items.map(({ request_id, tasks }) => [request_id, tasks.succeeded, tasks.failed]));
  if (items.length) showRequestsIn(shown.requests, items);
  else shown.requests.replaceChildren(make("div", "None yet.", "dim"));
};
const showLeftOut = async shown => {
  const { rule_id, project_id, calls: { sampled_out } } = shown.rule;
  if (shown.filled === sampled_out) return;
  const { items } = await list(`/rules/${encodeURIComponent(rule_id)}/calls`, { decision: "sampled_out", limit: LEFT_OUT_SHOWN });
  const rows = items.map(({ call_id, at }) => [linkTo(project_id, call_id), briefly(at)]);
  const parts = items.length ? [make("h3", "Left out"), table(["call", "when"], ["id", "short"], rows)] : [];
  if (sampled_out > items.length) parts.push(make("div", `and ${count(sampled_out - items.length)} more`, "dim"));
  replace(shown.leftOut, parts);
  shown.filled = sampled_out;
};
const fill = shown => guarded(shown, async () => { await Promise.all([showRequests(shown), showLeftOut(shown)]); });
const showRule = rule => {
  let shown = rules.get(rule.rule_id);
  if (!shown) {
    shown = { ...foldable(), requests: make("div"), leftOut: make("div") };
    shown.inside.append(make("h3", "Requests"), shown.requests, shown.leftOut);
    rules.set(rule.rule_id, shown);
    shown.element.addEventListener("toggle", () => shown.element.open ? fill(shown) : say(shown, ""));
  }
  shown.rule = rule;
  shown.head.replaceChildren(...headOf(rule));
  return shown;
};
// Returns a text that changes when the rules may have made scores: nobody else says so of their requests.
export const showRules = async (project, place) => {
  const { items } = await list("/rules", { project_id: project, limit: MOST });
  const found = items.map(showRule), elements = found.map(({ element }) => element);
  const parts = items.length ? [make("h3", "Rules"), ...elements] : [];
  arrange(place, parts, elements);
  await Promise.all(found.filter(({ element }) => element.open).map(fill));
  return found.map(({ rule, progress }) => ` ${rule.calls.sampled} ${progress}`).join("");
};
