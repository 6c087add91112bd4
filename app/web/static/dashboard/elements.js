// What all parts of the page are made of. Strings become text nodes, so that nothing that was logged is ever markup.
import { count, textOf } from "./words.js";

export const make = (tag, content = [], className = "") => {
  const element = document.createElement(tag);
  element.append(...[content].flat());
  if (className) element.className = className;
  return element;
};
export const line = (tag, cells, classes) => make("tr", cells.map((cell, at) => make(tag, cell, classes[at])));
export const table = (headings, classes, rows) =>
  make("table", [line("th", headings, classes), ...rows.map(cells => line("td", cells, classes))], "list");
export const facts = rows => make("table", rows.map(([name, value]) =>
  make("tr", [make("th", name, "short"), make("td", value, "wide")])));
export const option = (value, label = value) => {
  const element = make("option", label);
  element.value = value;
  return element;
};
// A <details> that is updated in place, so that what is open stays open.
export const foldable = () => {
  const head = make("summary"), inside = make("div", [], "inside"), element = make("details", [head, inside]);
  return { element, head, inside };
};
export const bar = (parts, label) => {
  const element = make("div", parts.map(([name, part]) => {
    const span = make("span", [], name);
    span.style.width = `${100 * part}%`;
    return span;
  }), "bar");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  return element;
};
// New contents; what has the focus keeps it, if it is still there.
export const replace = (element, parts) => {
  const had = element.contains(document.activeElement) ? document.activeElement : null;
  element.replaceChildren(...parts);
  if (!had || had === element) return;
  const same = found => found.tagName === had.tagName && found.textContent === had.textContent;
  [...element.querySelectorAll("a, button, pre, select, summary")].find(same)?.focus({ preventScroll: true });
};
// As `replace`, unless the element has as many parts already and all that are to be kept.
export const arrange = (element, parts, kept) => {
  if (element.children.length !== parts.length || kept.some(part => part.parentNode !== element)) replace(element, parts);
};

const CUT = 5000, SCROLLS = 500; // characters
// A value as text: a long one scrolls, a very long one is cut until all of it is wanted.
export const block = (value, label) => {
  const text = textOf(value), element = make("pre", text.slice(0, CUT));
  if (text.length > SCROLLS) {
    element.tabIndex = 0;
    element.setAttribute("role", "region");
    element.setAttribute("aria-label", label);
  }
  if (text.length <= CUT) return element;
  const all = make("button", `Show all ${count(text.length)} characters`);
  all.addEventListener("click", () => {
    element.textContent = text;
    element.focus();
    all.remove();
  });
  return make("div", [element, all]);
};
