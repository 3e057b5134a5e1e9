// The cluster as one picture, from the resources that tell parts of it: what this node cannot tell is null.

import { ask } from "./api.js";
import { latest } from "./rates.js";

/** `{ here, leader, lease_s, nodes, partitions, missing }`; throws the refusal where not even the members are told. */
export async function clusterState(signal) {
  const whole = ask("cluster", { signal }).catch((error) => {
    if (error.missing) return null;
    throw error;
  });
  const [cluster, members, placement] = await Promise.all([whole, ask("nodes", { signal }), ask("partitions", { signal })]);
  return picture(cluster, members.nodes, placement.partitions, { lease: latest("lease"), connections: latest("connections") });
}

/** Puts the parts together; `own` are the figures of the node that tells them. */
export function picture(cluster, members, placement, own) {
  const here = cluster?.node ?? null;
  const nodes = members.map((member) => {
    const isHere = member.name === here;
    return { ...member, lease_s: isHere ? own.lease : null, connections: isHere ? own.connections : null };
  });
  const partitions = placement.map(({ partition, leader, moving, replicas, lags }) => ({
    partition,
    leader,
    moving,
    // The leader knows how far the others are.
    replicas: replicas.map((node, place) => ({ node, lag: lags?.[place] ?? null })),
  }));
  return { here, leader: cluster?.leader ?? null, lease_s: cluster ? cluster.lease_ms / 1000 : null, nodes, partitions, missing: cluster === null };
}

/** What is wrong, as sentences, the worst first; none when all is well. */
export function troubles({ nodes, partitions }) {
  const found = [];
  const down = nodes.filter((node) => !node.alive);
  const headless = partitions.filter((partition) => partition.leader === null);
  if (headless.length) found.push(["bad", `${names(headless)} without a leader: its clients can neither connect nor be asked for`]);
  if (down.length) found.push([headless.length ? "bad" : "warn", `${down.map((node) => node.name).join(", ")} down`]);
  const moving = partitions.filter((partition) => partition.moving);
  if (moving.length) found.push(["plain", `${names(moving)} moving`]);
  const leaving = nodes.filter((node) => node.leaving);
  if (leaving.length) found.push(["plain", `${leaving.map((node) => node.name).join(", ")} leaving`]);
  return found;
}

function names(partitions) {
  const numbers = partitions.map((partition) => partition.partition).join(", ");
  return `partition${partitions.length === 1 ? "" : "s"} ${numbers}`;
}
