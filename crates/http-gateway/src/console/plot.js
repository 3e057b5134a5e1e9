// One plot of the last five minutes: an area for the first series, a dashed line for a second one, and the figures at the
// pointer, or now.

import { h, svg } from "./element.js";
import { KEPT_MS } from "./rates.js";
import { clock } from "./text.js";

const WIDTH = 600;
const HEIGHT = 120;
/** The top of a plot in which nothing happens yet. */
const LEAST = 4;

/** `names` of one or two series; `show` writes a value. Returns `{ element, draw(series) }`. */
export function plot({ title, unit, names, show }) {
  const values = names.map(() => h("b", {}, "–"));
  const figures = names.map((name, n) => h("span", { class: `figure s${n}` }, values[n], ` ${name}`));
  const area = svg("path", { class: "area" });
  const lines = names.map((_, n) => svg("path", { class: `line s${n}` }));
  const cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
  const grid = [0.25, 0.5, 0.75].map((part) => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part }));
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title }, grid, area, lines, cursor);
  const top = h("span", { class: "top-value" });
  const when = h("span", {}, "now");
  let drawn = [];
  let from = 0;

  const write = (at) => {
    drawn.forEach((points, n) => {
      const point = at === null ? points.findLast(({ value }) => value !== null) : nearest(points, at);
      values[n].textContent = show(point?.value ?? null);
    });
    when.textContent = at === null ? "now" : clock(at);
  };
  const point = (event) => {
    const box = picture.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    cursor.setAttribute("x1", part * WIDTH);
    cursor.setAttribute("x2", part * WIDTH);
    cursor.setAttribute("visibility", "visible");
    write(from + part * KEPT_MS);
  };
  picture.addEventListener("pointermove", point);
  picture.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    write(null);
  });

  const draw = (series) => {
    drawn = series;
    from = Date.now() - KEPT_MS;
    const highest = round(Math.max(LEAST, ...series.flat().map(({ value }) => value ?? 0)));
    const x = (at) => ((at - from) / KEPT_MS) * WIDTH;
    const y = (value) => HEIGHT - (value / highest) * (HEIGHT - 3);
    const shapes = series.map((points) => runs(points.filter(({ at }) => at >= from)));
    shapes.forEach((shape, n) => lines[n].setAttribute("d", shape.map((run) => path(run, x, y)).join("")));
    area.setAttribute("d", shapes[0].map((run) => `${path(run, x, y)}V${HEIGHT}H${x(run[0].at).toFixed(1)}Z`).join(""));
    top.textContent = `${show(highest)}${unit}`;
    const peak = Math.max(0, ...series[0].map(({ value }) => value ?? 0));
    const last = series[0].findLast(({ value }) => value !== null)?.value ?? null;
    picture.setAttribute("aria-label", `${title}, last 5 minutes: ${show(last)}${unit} ${names[0]} now, ${show(peak)} at most`);
    if (cursor.getAttribute("visibility") === "hidden") write(null);
  };

  const element = h("figure", { class: "card plot" },
    h("figcaption", {}, h("h3", {}, title), h("span", { class: "figures" }, figures)),
    h("div", { class: "canvas" }, top, picture),
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, "5 min ago"), when));
  return { element, draw };
}

/** Stretches without a gap. */
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (point.value === null) found.push([]);
    else found.at(-1).push(point);
  }
  return found.filter((run) => run.length > 0);
}

function path(run, x, y) {
  return run.map(({ at, value }, n) => `${n ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}

function nearest(points, at) {
  const near = points.reduce((best, point) => (!best || Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best), null);
  return near && Math.abs(near.at - at) < 5000 ? near : null;
}

/** The next of 4, 5, 10, 20, 50, 100 … */
function round(value) {
  if (value <= LEAST) return LEAST;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
