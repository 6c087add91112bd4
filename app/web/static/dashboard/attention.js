// What needs attention: scorers that are paused, and records that could not be processed.
import { make, replace, table } from "./elements.js";
import { ask, guarded, listSome, order, orderButton, takePages } from "./service.js";
import { nameOf, when } from "./words.js";

const LETTERS_SHOWN = 10, TASKS_AT_ONCE = 500, REQUESTS_ASKED = 5, PROJECTS_ASKED = 5, OVERDUE = 60000;
let state = null; // what is shown

// Only keys of every project may see breakers, and the letters of all.
const ifAllowed = (answer, instead) => answer.catch(error => {
  if (error.status === 403) return instead();
  throw error;
});
const openBreakers = async () => {
  const { items } = await ifAllowed(ask("/breakers?limit=1000"), () => ({ items: [] }));
  // One whose time is long over has no task to try, as when all were cancelled.
  return items.filter(({ state }) => state !== "closed").map(breaker =>
    ({ ...breaker, idle: Date.now() - Date.parse(breaker.next_probe_at) > OVERDUE }));
};
// Why the scorers of a request are paused, which its tasks say: of those with a spend cap nobody else does.
const pausesOf = async ({ request_id, project_id, scorer_refs }, breakers) => {
  const known = ref => breakers.some(breaker => breaker.scorer_ref === ref && [null, project_id].includes(breaker.project_id));
  const found = new Map(), wanted = new Set(scorer_refs.filter(ref => !known(ref)));
  if (!wanted.size) return [];
  const path = `/score-requests/${encodeURIComponent(request_id)}/tasks`;
  await takePages(path, { status: "paused", limit: TASKS_AT_ONCE }, items => {
    for (const { scorer_ref, reason, next_at } of items) {
      if (wanted.has(scorer_ref)) found.set(scorer_ref, { project_id, scorer_ref, reason, next_at });
    }
    return found.size === wanted.size;
  });
  return [...found.values()];
};
const pausedInProjects = async (requests, breakers) => {
  const asked = requests.filter(({ tasks }) => tasks.paused).slice(0, REQUESTS_ASKED);
  const found = (await Promise.all(asked.map(request => pausesOf(request, breakers)))).flat();
  return [...new Map(found.map(pause => [JSON.stringify([pause.project_id, pause.scorer_ref]), pause])).values()];
};
const lettersOf = project => listSome("/dead-letters",
  { project_id: project, redriven: false, dismissed: false, limit: LETTERS_SHOWN }, LETTERS_SHOWN);
const openLetters = async projects => {
  const found = await ifAllowed(lettersOf(null).then(answer => [answer]), () =>
    Promise.all(projects.slice(0, PROJECTS_ASKED).map(lettersOf)));
  const letters = found.flatMap(([items]) => items);
  const rows = letters.slice(0, LETTERS_SHOWN).map(({ id, topic, reason, detail }) => [id, topic, reason, detail]);
  return [rows, letters.length > LETTERS_SHOWN || found.some(([, more]) => more)];
};

const timeOf = time => time && new Date(time).toLocaleTimeString();
const ofBreaker = (breaker, again) => [
  breaker.project_id ? `${breaker.scorer_name} of ${breaker.project_id}` : breaker.scorer_name, breaker.reason ?? "",
  breaker.idle ? "tries its next task" : breaker.next_probe_at ? `next try at ${timeOf(breaker.next_probe_at)}` : "",
  orderButton("Resume now", async () => {
    await order(`/breakers/${encodeURIComponent(breaker.scorer_ref)}/close`);
    await guarded("attention", again);
  }),
];
const CAP = /^spend_cap_\w+: /;
const ofPause = ({ project_id, scorer_ref, reason, next_at }) => [
  `${nameOf(scorer_ref)} of ${project_id}`, (reason ?? "").replace(CAP, ""),
  !next_at ? "" : reason?.startsWith("spend_cap_reached") ? `until ${when(next_at)}` : `next try at ${timeOf(next_at)}`, "",
];
// `requests` gives those that the page shows.
export const showAttention = async requests => {
  const projects = [...new Set(requests().map(({ project_id }) => project_id))];
  const [breakers, [letters, more]] = await Promise.all([openBreakers(), openLetters(projects)]);
  const pauses = await pausedInProjects(requests(), breakers);
  const now = JSON.stringify([breakers, pauses, letters, more]);
  if (now === state) return;
  const again = () => showAttention(requests), parts = [];
  if (breakers.length + pauses.length) {
    const rows = [...breakers.map(breaker => ofBreaker(breaker, again)), ...pauses.map(ofPause)];
    parts.push(make("h3", "Paused scorers"), table(["scorer", "why", "", ""], ["name", "", "short", "short"], rows));
  }
  if (letters.length || more) {
    const all = more ? "There may be more. List them with: callscore dead-letters list --open"
      : "To try them again or dismiss them, see: callscore dead-letters --help";
    parts.push(make("h3", "Records that could not be processed"), make("div", all, "dim"));
    if (letters.length) parts.push(table(["id", "topic", "reason", ""], ["id", "short", "short", ""], letters));
  }
  if (parts.length) parts.unshift(make("h2", "Needs attention"));
  replace(document.getElementById("attention"), parts);
  state = now;
};
