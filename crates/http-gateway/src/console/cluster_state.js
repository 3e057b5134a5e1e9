// The cluster as one picture, from the resources that tell parts of it: what an older node does not tell is null.

import { ask } from "./api.js";

/** `{ here, leader, lease_ms, nodes, partitions, missing }`; throws the refusal where not even the members are told. */
export async function clusterState(signal) {
  const whole = ask("cluster", { signal }).catch((error) => {
    if (error.missing) return null;
    throw error;
  });
  const [cluster, members, placement] = await Promise.all([whole, ask("nodes", { signal }), ask("partitions", { signal })]);
  return picture(cluster, members.nodes, placement.partitions);
}

/** Puts the parts together. */
export function picture(cluster, members, placement) {
  const told = new Map((cluster?.nodes ?? []).map((node) => [node.id, node]));
  const groups = new Map((cluster?.partitions ?? []).map((partition) => [partition.partition, partition]));
  const nodes = members.map((member) => ({ ...member, ...told.get(member.id) }));
  const partitions = placement.map((partition) => {
    const group = groups.get(partition.partition) ?? {};
    const leader = partition.leader ?? null;
    return { partition: partition.partition, leader, moving: partition.moving, replicas: partition.replicas.map((node) => ({ node, ...replica(group, node) })) };
  });
  return {
    here: cluster?.node ?? null,
    leader: cluster?.leader ?? null,
    lease_ms: cluster?.lease_ms ?? null,
    nodes,
    partitions,
    missing: cluster === null,
  };
}

function replica(group, node) {
  const found = (group.replicas ?? []).find((one) => one.node === node);
  return { lag: found?.lag ?? null };
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
