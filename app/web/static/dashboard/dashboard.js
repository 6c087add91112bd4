// The page at /: it asks again for what is open, and nothing else.
import { showAttention } from "./attention.js";
import { renewCall, route } from "./call.js";
import { showRequests } from "./requests.js";
import { showProject } from "./scores.js";
import { guarded, list } from "./service.js";

const ATTENTION_EVERY = 10000, RULES_SHOWN = 1000, PROJECTS_SHOWN = 100;
let requests = [], others = [];

const poll = async () => {
  await guarded("requests", async () => {
    requests = await showRequests();
    const outcomes = new Map();
    for (const { project_id, request_id, tasks } of requests) {
      outcomes.set(project_id, `${outcomes.get(project_id) ?? ""} ${request_id} ${tasks.succeeded} ${tasks.failed}`);
    }
    for (const project of others) outcomes.set(project, outcomes.get(project) ?? "");
    outcomes.forEach((counts, project) => showProject(project, counts));
    renewCall(outcomes);
    return requests.length ? "" : "No requests yet. Log calls, for example with: callscore calls import. Then score them with: callscore submit";
  });
  setTimeout(poll, document.hidden ? 10000 : 2000);
};
// Projects that no request names: nobody has scored their calls, or only rules do.
const findOthers = async () => {
  const found = await Promise.all([list("/rules", { limit: RULES_SHOWN }), list("/projects", { limit: PROJECTS_SHOWN })]);
  others = [...new Set(found.flatMap(({ items }) => items.map(({ project_id }) => project_id)))];
};
// By itself, since looking for letters may take seconds, which progress must not wait for.
const attend = async () => {
  await guarded("projects", findOthers);
  await guarded("attention", () => showAttention(() => requests));
  setTimeout(attend, document.hidden ? 60000 : ATTENTION_EVERY);
};
window.addEventListener("hashchange", route);
route();
poll().then(attend);
