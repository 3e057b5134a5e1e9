// One node on the map: whether it lives, how long its lease still runs, what it leads, and how far each of its copies is.

import { bar, h, pill } from "./element.js";
import { number } from "./text.js";

/** Copies that are further behind than this are shown as behind. */
const LAG_NOTED = 100;
/** A lease with less than this part left was not renewed when it should have been. */
const LEASE_LOW = 0.4;

export function nodeCard(node, state) {
  const copies = state.partitions.filter((partition) => partition.replicas.some((replica) => replica.node === node.id));
  return h("li", { class: `card node ${node.alive ? "" : "down"}`, "data-key": node.name },
    h("div", { class: "node-head" },
      h("h2", {}, node.name),
      node.name === state.here && h("span", { class: "tag" }, "this node"),
      status(node)),
    h("p", { class: "soft small" }, [node.zone && `zone ${node.zone}`, node.mesh].filter(Boolean).join(" · ")),
    lease(node, state),
    node.alive && node.connections !== null
      && h("p", { class: "count" }, h("b", {}, number(node.connections)), " connections"),
    h("ul", { class: "copies", "aria-label": `Copies on ${node.name}` },
      state.leader === node.name && h("li", { class: "copy wide leads" }, h("b", {}, "cluster group"), h("span", {}, "leads")),
      copies.map((partition) => copy(partition, node))));
}

function status(node) {
  if (!node.alive) return pill("bad", "down");
  if (node.leaving) return pill("warn", "leaving");
  return pill("good", "alive");
}

function lease(node, state) {
  if (!node.alive || node.lease_s === null || !state.lease_s) return null;
  const part = node.lease_s / state.lease_s;
  const seconds = `${node.lease_s.toFixed(1)} s`;
  return h("div", { class: "lease" },
    h("span", {}, "Lease"),
    bar(part, `Lease of ${node.name}`, `${seconds} left`, part < LEASE_LOW),
    h("span", { class: "value" }, seconds));
}

/** How far a copy is, in a word. */
function progress(node, leads, lag) {
  if (leads) return "leads";
  if (!node.alive) return "away";
  if (lag === null) return "copy";
  return lag === 0 ? "level" : `−${number(lag)}`;
}

function copy({ partition, leader, replicas }, node) {
  const { lag } = replicas.find((replica) => replica.node === node.id);
  const leads = leader === node.id;
  const behind = node.alive && !leads && lag !== null && lag > LAG_NOTED;
  const word = progress(node, leads, lag);
  const title = `Partition ${partition}: ${leads ? "leader" : "copy"}${lag === null ? "" : `, ${number(lag)} entries behind`}`;
  return h("li", { class: `copy ${leads ? "leads" : ""} ${behind ? "behind" : ""}`, title }, h("b", {}, `P${partition}`), h("span", {}, word));
}
