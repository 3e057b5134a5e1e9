// The figures of this node over the last five minutes, from its `/metrics`, as long as somebody is signed in.

import { poll } from "./polling.js";

export const EVERY_MS = 2000;
export const KEPT_MS = 5 * 60 * 1000;
/** Two samples further apart than this have no rate between them: nobody looked meanwhile. */
const GAP_MS = 3 * EVERY_MS;

/** What is read: sums over the labels of each. */
const GAUGES = { connections: "rollcall_connections", lease: "rollcall_lease_remaining_seconds" };
const COUNTERS = {
  connects: "rollcall_connects_total",
  disconnects: "rollcall_disconnects_total",
  received: "rollcall_messages_received_total",
  sent: "rollcall_messages_sent_total",
  dropped: "rollcall_messages_dropped_total",
  status: "rollcall_status_queries_total",
  questions: "rollcall_questions_total",
  limited: "rollcall_quota_limited_total",
};

const samples = [];
const readers = new Set();

/** Collects until the signal ends it. */
export function collect(signal) {
  samples.length = 0;
  poll(sample, EVERY_MS, signal);
}

/** Calls `read` after each sample, and now if there is one. */
export function follow(read, signal) {
  readers.add(read);
  signal.addEventListener("abort", () => readers.delete(read));
  if (samples.length) read();
}

/** The last value of a gauge; null before the first sample. */
export function latest(name) {
  return samples.at(-1)?.values?.[name] ?? null;
}

/** `{ at, value }` of a gauge, or of a counter by the second, oldest first; a value of null is a gap. */
export function series(name) {
  if (name in GAUGES) return samples.map(({ at, values }) => ({ at, value: values?.[name] ?? null }));
  return samples.slice(1).map((sample, before) => ({ at: sample.at, value: perSecond(samples[before], sample, name) }));
}

function perSecond(before, after, name) {
  const elapsed = after.at - before.at;
  if (!before.values || !after.values || elapsed > GAP_MS) return null;
  const grown = after.values[name] - before.values[name];
  // A counter that went back: the node was started anew.
  return grown < 0 ? null : (grown * 1000) / elapsed;
}

async function sample() {
  let values = null;
  try {
    const response = await fetch("metrics", { credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(EVERY_MS * 2) });
    if (response.ok) values = read(await response.text());
  } catch {
    // A gap in the plots says it; the views say why.
  }
  const now = Date.now();
  samples.push({ at: now, values });
  while (samples[0].at < now - KEPT_MS - GAP_MS) samples.shift();
  for (const reader of readers) reader();
}

/** The wanted sums in Prometheus text. */
export function read(text) {
  const names = { ...GAUGES, ...COUNTERS };
  const wanted = new Map(Object.entries(names).map(([short, name]) => [name, short]));
  const sums = Object.fromEntries(Object.keys(names).map((short) => [short, 0]));
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const short = wanted.get(line.slice(0, line.search(/[{ ]/)));
    if (short) sums[short] += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sums;
}
