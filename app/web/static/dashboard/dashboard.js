// The page at /: it asks again for what is open, and nothing else.
import { showAttention } from "./attention.js";
import { renewCall, route } from "./call.js";
import { showRequests } from "./requests.js";
import { showProject } from "./scores.js";
import { guarded, list } from "./service.js";

const ATTENTION_EVERY = 10000, SHOWN = 1000;
let requests = [];
// Projects that no request names: nobody has scored their calls, or only rules do.
const others = { rules: [], projects: [] };

const poll = async () => {
  await guarded("requests", async () => {
    requests = await showRequests();
    const outcomes = new Map();
    for (const { project_id, request_id, tasks } of requests) {
      outcomes.set(project_id, `${outcomes.get(project_id) ?? ""} ${request_id} ${tasks.succeeded} ${tasks.failed}`);
    }
    for (const project of [...others.rules, ...others.projects]) outcomes.set(project, outcomes.get(project) ?? "");
    outcomes.forEach((counts, project) => showProject(project, counts));
    renewCall(outcomes);
    return requests.length ? "" : "No requests yet. Log calls, for example with: callscore calls import. Then score them with: callscore submit";
  });
  setTimeout(poll, document.hidden ? 10000 : 2000);
};
// Each by itself, since any may take seconds, which the others must not wait for.
const attendTo = async (what, work) => {
  await guarded(what, work);
  setTimeout(() => attendTo(what, work), document.hidden ? 60000 : ATTENTION_EVERY);
};
const find = what => attendTo(what, async () => {
  const { items } = await list(`/${what}`, { limit: SHOWN });
  others[what] = [...new Set(items.map(({ project_id }) => project_id))];
});
window.addEventListener("hashchange", route);
route();
poll().then(() => {
  find("rules");
  find("projects");
  attendTo("attention", () => showAttention(() => requests));
});
