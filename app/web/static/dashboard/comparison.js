// What the scores of a project come to in groups of its calls, such as those of each model or version of a prompt.
import { line, make, option, replace } from "./elements.js";
import { guarded, list } from "./service.js";
import { count } from "./words.js";

const CALLS_LOOKED_AT = 5, GROUPS_SHOWN = 20, CLASSES = ["wide", "number", "number", "number"];

// Single values in what was logged, by the paths that `group_by` takes.
const pathsIn = (value, path) => {
  if (value === null || typeof value !== "object") return [path];
  return Array.isArray(value) ? [] : Object.entries(value).flatMap(([name, inside]) => pathsIn(inside, `${path}.${name}`));
};
const across = content => {
  const cell = make("td", content);
  cell.colSpan = CLASSES.length;
  return make("tr", cell);
};
// `measure` says what the scores of an item come to, `labelsOf` what the scorers of items are called.
export const comparison = (project, measure, labelsOf) => {
  const choice = make("select"), result = make("div"), element = make("div", [make("label", ["Compare by ", choice]), result]);
  element.hidden = true;
  let offered = "";
  const offer = async () => {
    const { items } = await list("/calls", { project_id: project, limit: CALLS_LOOKED_AT });
    const paths = new Set(items.flatMap(({ attributes }) => pathsIn(attributes ?? {}, "attributes")));
    const names = ["op_name", ...[...paths].sort()];
    if (choice.value || offered === names.join()) return; // one was chosen meanwhile, or there are no others
    offered = names.join();
    choice.replaceChildren(option("", "…"), ...names.map(name => option(name)));
    element.hidden = false;
  };
  const show = async () => {
    const by = choice.value;
    if (!by) return;
    const { items } = await list("/scores/summary", { project_id: project, group_by: by });
    if (by !== choice.value) return; // another one was chosen meanwhile
    const rows = [...labelsOf(items)].flatMap(([ref, label]) => {
      const groups = items.filter(item => item.scorer_ref === ref), others = groups.length - GROUPS_SHOWN;
      return [
        across(make("strong", label)),
        ...groups.slice(0, GROUPS_SHOWN).map(item => line("td", [
          item.group ?? "(none)", measure(item), count(item.succeeded), item.failed ? make("span", count(item.failed), "bad") : "",
        ], CLASSES)),
        ...others > 0 ? [across(make("span", `and ${count(others)} more`, "dim"))] : [],
      ];
    });
    const heading = line("th", ["group", "result", "scores", "failed"], CLASSES);
    replace(result, [make("table", [make("thead", heading), make("tbody", rows)])]);
  };
  choice.addEventListener("change", () => {
    result.replaceChildren();
    guarded(element, show);
  });
  return { element, renew: async () => { await (choice.value ? show() : offer()); } };
};
