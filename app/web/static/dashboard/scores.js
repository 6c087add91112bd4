// The scorers of each project: what their scores come to, how they are distributed, and the scores
// themselves. Below them, the rules of the project.
import { linkTo } from "./call.js";
import { comparison } from "./comparison.js";
import { distributions } from "./distributions.js";
import { facts, foldable, line, make, option, replace, table } from "./elements.js";
import { showRules } from "./rules.js";
import { guarded, list, say, takePages } from "./service.js";
import { briefly, costOf, count, digestOf, digits, passed, share, valueOf } from "./words.js";

const SUMMARY_EVERY = 10000, SHOWN_AT_ONCE = 10, COST_DAYS = 30;
const projects = new Map();
let made = 0;

// The pass rate where calls pass or not, else the mean score; either may be the bare output.
const measure = ({ outputs, succeeded }) => {
  for (const [path, type] of [["passed", "boolean"], ["", "boolean"], ["score", "number"], ["", "number"]]) {
    const found = outputs[path];
    if (found?.type === type) {
      return type === "boolean" ? `${share(found.true)} passed` : `mean ${digits(found.mean)}`;
    }
  }
  return succeeded ? "scored" : "–";
};

// What the service cannot filter by is chosen here, from a few pages at a time.
const CHOICES = {
  all: ["All", {}, () => true],
  unpassed: ["Not passed", { status: "succeeded", limit: 200 }, score => passed(score) === false],
  failed: ["Failed", { status: "failed" }, () => true],
};
const scoreList = (project, ref, judged) => {
  const choice = make("select", Object.entries(CHOICES).filter(([name]) => judged || name !== "unpassed").map(([name, [label]]) => option(name, label)));
  choice.setAttribute("aria-label", "Which scores");
  const rows = make("tbody"), more = make("button", "Show more"), none = make("div", [], "dim"), renew = make("button", "Load again");
  none.setAttribute("role", "status");
  renew.hidden = more.hidden = true;
  let cursor = null, asking = 0;
  const load = async () => {
    const mine = ++asking, [, filters, fits] = CHOICES[choice.value], found = [];
    let looked = 0;
    const query = { project_id: project, scorer_ref: ref, limit: SHOWN_AT_ONCE, ...filters };
    const next = await takePages("/scores", query, items => {
      looked += items.length;
      return found.push(...items.filter(fits)) >= SHOWN_AT_ONCE;
    }, cursor);
    if (mine !== asking) return; // another choice was made meanwhile
    if (cursor === null) rows.replaceChildren();
    cursor = next;
    rows.append(...found.map(score => line("td", [
      linkTo(project, score.call_id, ref), make("span", valueOf(score), score.status === "failed" ? "bad" : ""), briefly(score.scored_at),
    ], ["id", "", "short"])));
    none.textContent = found.length ? "" : cursor === null ? rows.children.length ? "No more." : "None." : `None among the next ${count(looked)}.`;
    more.hidden = cursor === null;
  };
  const begin = () => {
    cursor = null;
    renew.hidden = true;
    return guarded(rows, load);
  };
  choice.addEventListener("change", begin);
  renew.addEventListener("click", () => begin().then(() => choice.focus()));
  more.addEventListener("click", async () => {
    const shown = rows.children.length;
    await guarded(rows, load);
    if (more.hidden) rows.children[shown]?.querySelector("a").focus();
  });
  const heading = make("thead", line("th", ["call", "value", "when"], ["", "", ""]));
  const head = make("h4", ["Scores, by call", make("span", [renew, choice])]);
  return { element: make("div", [head, make("table", [heading, rows], "list"), none, more]), begin, changed: () => { renew.hidden = false; } };
};
const costs = async (project, ref) => {
  const since = new Date(Date.now() - COST_DAYS * 86400000).toISOString();
  const { items } = await list("/scorers/costs", { project_id: project, since });
  const mine = items.filter(item => item.scorer_ref === ref && item.cost).map(({ cost }) => cost);
  if (!mine.length) return [];
  const sum = name => mine.reduce((total, cost) => total + cost[name], 0);
  const names = ["usd", "requests", "input_tokens", "output_tokens", "unpriced_requests", "unanswered_requests"];
  const total = Object.fromEntries(names.map(name => [name, sum(name)]));
  if (mine.every(({ usd }) => usd === null)) total.usd = null;
  return [facts([[`cost of ${COST_DAYS} days`, costOf(total)]])];
};

// A row of the table, and one below it that is filled when it is opened; both stay while the page is refreshed.
const scorerRow = (project, ref) => {
  const opener = make("button", [], "opener"), cells = [make("td", opener, "wide"), ...[1, 2, 3].map(() => make("td", [], "number"))];
  const values = make("div"), spent = make("div"), inside = make("td", [], "opened"), below = make("tr", inside);
  inside.colSpan = cells.length;
  below.hidden = true;
  below.id = `scorer-${++made}`;
  opener.setAttribute("aria-controls", below.id);
  opener.setAttribute("aria-expanded", "false");
  const row = { elements: [make("tr", cells), below], item: null, state: "" };
  let scores = null;
  row.show = (item, label) => {
    opener.textContent = label;
    const failed = item.failed ? make("span", count(item.failed), "bad") : "";
    [measure(item), count(item.succeeded), failed].forEach((cell, at) => cells[at + 1].replaceChildren(cell));
    const state = JSON.stringify(item), changed = state !== row.state;
    Object.assign(row, { item, state });
    if (!changed || below.hidden) return;
    replace(values, distributions(item));
    scores.changed();
  };
  opener.addEventListener("click", () => {
    below.hidden = !below.hidden;
    opener.setAttribute("aria-expanded", String(!below.hidden));
    if (below.hidden) return;
    const { outputs } = row.item;
    scores = scoreList(project, ref, [outputs.passed, outputs[""]].some(found => found?.type === "boolean"));
    replace(values, distributions(row.item));
    inside.replaceChildren(values, spent, scores.element);
    scores.begin();
    guarded(spent, async () => { spent.replaceChildren(...await costs(project, ref)); });
  });
  return row;
};

// What each scorer is called, in the order of names: those of one name by their versions.
const labelsOf = items => {
  const named = [...new Map(items.map(item => [item.scorer_ref, item.scorer_name]))]
    .sort(([, one], [, other]) => one.localeCompare(other, undefined, { numeric: true }));
  const names = named.map(([, name]) => name);
  return new Map(named.map(([ref, name]) => [ref, names.indexOf(name) === names.lastIndexOf(name) ? name : `${name}:${digestOf(ref)}`]));
};
const firstCalls = async project => {
  const { items } = await list("/calls", { project_id: project, limit: SHOWN_AT_ONCE });
  return items.length ? [make("h3", "First calls, by id"), table(["call", "op"], ["id", ""], items.map(({ id, op_name }) =>
    [linkTo(project, id), op_name ?? ""]))] : [];
};
const summarize = async shown => {
  const { items } = await list("/scores/summary", { project_id: shown.project });
  const found = new Map(items.map(item => [item.scorer_ref, item]));
  const rows = [...labelsOf(items)].map(([ref, label]) => {
    const row = shown.rows.get(ref) ?? scorerRow(shown.project, ref);
    shown.rows.set(ref, row);
    row.show(found.get(ref), label);
    return row;
  });
  const elements = rows.flatMap(row => row.elements);
  if (!elements.length) return replace(shown.scorers, [make("div", "No scores yet.", "dim"), ...await firstCalls(shown.project)]);
  if (elements.length === shown.body.children.length && shown.body.isConnected) return;
  replace(shown.body, elements);
  const heading = line("th", ["scorer", "result", "scores", "failed"], ["", "number", "number", "number"]);
  if (!shown.body.isConnected) shown.scorers.replaceChildren(make("table", [make("thead", heading), shown.body]));
};
// Summing up reads all scores of a project: only of those that are open, when something has changed, now and then.
export const showProject = (project, outcomes) => {
  let shown = projects.get(project);
  if (!shown) {
    shown = { ...foldable(), project, asked: 0, summed: null, compared: null, comparing: null, rows: new Map(), body: make("tbody") };
    Object.assign(shown, { scorers: make("div"), rules: make("div"), ruled: "", asking: null });
    shown.head.append(make("strong", project));
    shown.comparison = comparison(project, measure, labelsOf);
    shown.inside.append(shown.scorers, shown.comparison.element, shown.rules);
    shown.element.open = projects.size === 0;
    shown.element.addEventListener("toggle", () => shown.element.open ? renew(shown) : [shown, shown.rules, shown.comparison.element].forEach(part => say(part, "")));
    projects.set(project, shown);
    document.getElementById("projects").append(shown.element);
  }
  shown.outcomes = outcomes;
  renew(shown);
};
const compare = async (shown, outcomes) => {
  await shown.comparison.renew().catch(error => {
    if (error.status === 422) shown.compared = outcomes; // it would be refused again
    throw error;
  });
  shown.compared = outcomes;
};
const renew = shown => {
  if (!shown.element.open) return;
  const outcomes = shown.outcomes + shown.ruled;
  shown.asking ??= guarded(shown.rules, async () => { shown.ruled = await showRules(shown.project, shown.rules); })
    .then(() => { shown.asking = null; });
  if ((shown.summed === outcomes && shown.compared === outcomes) || Date.now() - shown.asked < SUMMARY_EVERY) return;
  guarded(shown, async () => {
    shown.asked = Date.now();
    if (shown.summed !== outcomes) await summarize(shown);
    if (!shown.rows.size) return; // more calls may come without a request
    shown.summed = outcomes;
    shown.comparing ??= guarded(shown.comparison.element, () => compare(shown, outcomes)).then(() => { shown.comparing = null; });
  });
};
