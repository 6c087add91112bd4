// How the values of a scorer are distributed: one part for each field of its outputs, and what failed.
import { bar, line, make } from "./elements.js";
import { compact, count, digits, plural, share } from "./words.js";

const LABELS_SHOWN = 10;
const titled = (name, text) => make("h4", [make("span", name || "value"), make("span", text, "dim")]);

// Only what passes or not is good or bad; other yes and no are neither.
const yesOrNo = (path, { n, true: fraction }) => {
  const yes = Math.round(fraction * n), judged = path === "passed" || path === "";
  const [is, isNot] = judged ? ["passed", "not passed"] : ["yes", "no"];
  const text = `${count(yes)} ${is} (${share(fraction)}), ${count(n - yes)} ${isNot}`;
  return [titled(path, text), bar([[judged ? "succeeded" : "running", fraction], [judged ? "failed" : "", 1 - fraction]], text)];
};
const histogram = (path, { n, mean, min, max, p50, histogram: { edges, counts } }) => {
  const most = Math.max(...counts);
  const bars = make("div", counts.map(inBin => {
    const filled = make("i");
    filled.style.height = `${4 * inBin / most}rem`;
    return make("span", [inBin ? compact(inBin) : "", filled]);
  }), "histogram");
  bars.setAttribute("role", "img");
  bars.setAttribute("aria-label", `Histogram of ${path || "the value"}: ` + counts.map((inBin, at) =>
    `${digits(edges[at])} to ${digits(edges[at + 1])}: ${count(inBin)}`).join("; "));
  const ends = make("div", [make("span", digits(min)), make("span", digits(max))], "between");
  const text = `mean ${digits(mean)} · median ${digits(p50)} · min ${digits(min)} · max ${digits(max)} · ${plural(n, "value")}`;
  return [titled(path, text), bars, ends];
};
const bars = (counted, of, className) => make("table", counted.map(([value, n]) =>
  line("td", [value || "(empty)", bar([[className, n / of]], share(n / of)), count(n)], ["", "counted", "number"])));
const labels = (path, { n, top, complete }) => {
  // Texts that all differ, such as a judge's reasons, are no labels.
  if (n > 1 && top[0].n === 1) return [titled(path, `${plural(n, "text")}, ${complete ? "all" : "most"} different`)];
  const shown = top.slice(0, LABELS_SHOWN), rest = n - shown.reduce((sum, label) => sum + label.n, 0);
  const counted = shown.map(label => [label.value, label.n]);
  return [titled(path, plural(n, "value")), bars(rest ? [...counted, ["others", rest]] : counted, n, "running")];
};
const KINDS = { boolean: yesOrNo, number: histogram, string: labels, null: (path, { n }) => [titled(path, `${count(n)} null`)] };

export const distributions = ({ outputs, outputs_complete, failed, failures }) => {
  const parts = Object.entries(outputs).flatMap(([path, found]) => {
    const other = Object.entries(found.other ?? {}).map(([type, n]) => `${count(n)} ${type}`).join(", ");
    return [...KINDS[found.type](path, found), ...other ? [make("div", `also ${other}`, "dim")] : []];
  });
  if (!outputs_complete) parts.push(make("div", "There are more fields than can be shown.", "dim"));
  if (failed) parts.push(titled("failed", `${count(failed)} without a value`), bars(Object.entries(failures), failed, "failed"));
  return parts;
};
