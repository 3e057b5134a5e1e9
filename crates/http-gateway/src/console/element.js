// Makes elements. Text is always text: nothing that a client chose is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`onclick` and the like are listeners; null and false are left out) and children. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A state: a mark, a colour and, what counts, a word. `kind` is good, bad, warn or plain. */
export function pill(kind, word) {
  return h("span", { class: `pill ${kind}` }, word);
}

/** Names and values, side by side. Those without a value are left out. */
export function facts(...pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** How much of something there is: a part from 0 to 1, with the sentence that says it. `low` is worth a warning. */
export function bar(part, name, sentence, low = false) {
  const percent = Math.round(Math.max(0, Math.min(1, part)) * 100);
  const told = { role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent, "aria-valuetext": sentence };
  return svg("svg", { class: `bar ${low ? "low" : ""}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", ...told },
    svg("rect", { width: percent, height: 8 }));
}

/** A field with its label. */
export function field(label, input, hint) {
  return h("label", { class: "field" }, h("span", { class: "field-name" }, label), input, hint && h("small", {}, hint));
}

export function options(...pairs) {
  return pairs.map(([value, word]) => h("option", { value }, word));
}

/** A table that becomes cards where there is little room. `rows` are lists of cells; `head` names them. */
export function table(caption, head, rows) {
  const cell = (content, column) => h("td", { role: "cell", "data-name": head[column] }, content);
  return h("table", { role: "table", class: "cards" },
    h("caption", {}, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      head.map((name) => h("th", { role: "columnheader", scope: "col" }, name)))),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, row.map(cell)))));
}
