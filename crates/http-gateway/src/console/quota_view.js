// Limits of the whole instance and what of them is in use; and what was held back at this node.

import { ask } from "./api.js";
import { bar, h, pill } from "./element.js";
import { empty, refused } from "./notice.js";
import { patch } from "./patch.js";
import { plot } from "./plot.js";
import { poll } from "./polling.js";
import { follow, series } from "./rates.js";
import { heading } from "./router.js";
import { number, rate } from "./text.js";

const EVERY_MS = 2000;
/** From this part of a limit on it is near. */
const NEAR = 0.8;

export function show(root, _, signal) {
  const body = h("div", { class: "body" }, h("p", { class: "soft" }, "Asking …"));
  const held = plot({ title: "Held back", unit: "/s", names: ["by limits/s", "messages dropped/s"], show: rate });
  root.append(heading("Quota in use"), body,
    h("section", { "aria-labelledby": "held" }, h("h2", { id: "held" }, "This node, last five minutes"),
      h("div", { class: "plots" }, held.element)));
  follow(() => held.draw([series("limited"), series("dropped")]), signal);
  poll(async () => {
    try {
      const quota = await ask("quota", { signal });
      patch(body, h("div", {}, bars(uses(quota))));
    } catch (error) {
      if (error.name === "AbortError") return;
      patch(body, h("div", {}, refused(error, "the quota")));
    }
  }, EVERY_MS, signal);
}

/** The limits of an answer, as `{ name, limit, used, nodes }`; a limit of null or 0 is off. */
export function uses(quota) {
  return (quota.limits ?? []).map(({ name, limit, demand, nodes }) => ({ name, limit: limit || null, used: demand ?? null, nodes: nodes ?? [] }));
}

function bars(all) {
  const set = all.filter(({ limit }) => limit !== null);
  const off = all.filter(({ limit }) => limit === null);
  return [
    set.length === 0 && empty("No limit is set", "The instance takes what it can. Limits are keys of the section limits of the configuration."),
    h("ul", { class: "limits" }, set.map(limitCard)),
    off.length > 0 && h("p", { class: "soft small" }, "Without a limit: ", off.map(({ name, used }) => `${words(name)}${used === null ? "" : ` (${number(used)})`}`).join(", ")),
  ];
}

function limitCard({ name, limit, used, nodes }) {
  const part = used === null ? 0 : used / limit;
  const [kind, word] = part >= 1 ? ["bad", "used up"] : part >= NEAR ? ["warn", "nearly used up"] : ["good", "room left"];
  return h("li", { class: "card limit", "data-key": name },
    h("div", { class: "node-head" }, h("h2", {}, words(name)), used !== null && pill(kind, word)),
    bar(part, words(name), `${number(used)} of ${number(limit)}`, part >= NEAR),
    h("p", {}, h("b", {}, number(used)), ` of ${number(limit)}`, used !== null && h("span", { class: "soft" }, ` · ${Math.round(part * 100)} %`)),
    nodes.length > 0 && h("ul", { class: "shares", "aria-label": `Shares of ${words(name)}` },
      nodes.map(({ node, id, granted, demand: here }) => h("li", {}, h("b", {}, node ?? id), ` ${number(here)} of ${number(granted)}`))));
}

const words = (name) => name.replaceAll("_", " ");
