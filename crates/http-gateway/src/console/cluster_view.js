// The map of the cluster and the plots of this node.

import { clusterState, troubles } from "./cluster_state.js";
import { h, pill, table } from "./element.js";
import { nodeCard } from "./node_card.js";
import { refused } from "./notice.js";
import { patch } from "./patch.js";
import { plot } from "./plot.js";
import { poll } from "./polling.js";
import { follow, latest, series } from "./rates.js";
import { heading } from "./router.js";
import { number, plural, rate } from "./text.js";

const EVERY_MS = 2000;

const PLOTS = [
  { title: "Connections", unit: "", names: ["open"], show: number, of: ["connections"] },
  { title: "Comings and goings", unit: "/s", names: ["connects/s", "disconnects/s"], show: rate, of: ["connects", "disconnects"] },
  { title: "Messages", unit: "/s", names: ["in/s", "out/s"], show: rate, of: ["received", "sent"] },
  { title: "Questions", unit: "/s", names: ["status/s", "others/s"], show: rate, of: ["status", "questions"] },
];

export function show(root, _, signal) {
  const map = h("div", { class: "map" }, h("p", { class: "soft" }, "Asking …"));
  const plots = PLOTS.map((options) => ({ ...options, ...plot(options) }));
  root.append(
    heading("Cluster"), map,
    h("section", { "aria-labelledby": "figures" },
      h("h2", { id: "figures" }, "This node, last five minutes"),
      h("div", { class: "plots" }, plots.map(({ element }) => element))));
  follow(() => plots.forEach(({ draw, of }) => draw(of.map(series))), signal);

  poll(async () => {
    let wanted;
    try {
      const state = await clusterState(signal);
      wanted = whole(state);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      wanted = h("div", {}, refused(error, "the cluster"));
    }
    patch(map, wanted);
  }, EVERY_MS, signal);
}

function whole(state) {
  return h("div", {},
    summary(state),
    state.missing && h("p", { class: "note soft small" }, "This node is an older one: it tells members and leaders, but neither its own lease nor who leads the cluster."),
    h("ul", { class: "nodes", "aria-label": "Nodes" }, state.nodes.map((node) => nodeCard(node, state))),
    h("details", { class: "placement" },
      h("summary", {}, "Partitions as a table"),
      placement(state)));
}

function summary(state) {
  const wrong = troubles(state);
  const alive = state.nodes.filter((node) => node.alive).length;
  const led = state.partitions.filter((partition) => partition.leader !== null).length;
  const lines = wrong.length ? wrong.map(([kind, sentence]) => h("p", {}, pill(kind, sentence))) : h("p", {}, pill("good", "All is well"));
  return h("div", { class: "summary" },
    h("div", { class: "verdict", role: "status" }, lines),
    h("dl", { class: "numbers" },
      figure("nodes alive", `${alive} of ${state.nodes.length}`),
      figure("partitions led", `${led} of ${state.partitions.length}`),
      figure("connections here", number(latest("connections"))),
      !state.missing && figure("leads the cluster", state.leader ?? "nobody known")));
}

function figure(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function leaderName(state, id) {
  return id === null ? null : (state.nodes.find((node) => node.id === id)?.name ?? `node ${id}`);
}

function placement(state) {
  const rows = state.partitions.map(({ partition, leader, moving, replicas }) => [
    String(partition),
    leader === null ? pill("bad", "none") : leaderName(state, leader),
    replicas.map(({ node, lag }) => `${leaderName(state, node)}${lag ? ` (${plural(lag, "entry", "entries")} behind)` : ""}`).join(", "),
    moving ? "moving" : "at rest",
  ]);
  return table("Partitions, their leaders and copies", ["Partition", "Leader", "Copies", "State"], rows);
}
