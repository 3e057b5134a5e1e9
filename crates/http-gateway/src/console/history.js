// What was seen of one client while somebody looked: a ribbon of the last ten minutes, and the transitions as a list.

import { h, pill, svg } from "./element.js";
import { clock, duration, reason } from "./text.js";

const SHOWN_MS = 10 * 60 * 1000;
/** Older transitions than these are dropped from the list. */
const KEPT = 100;
const WIDTH = 600;

/** The transitions of one client, the latest first. */
export class History {
  #seen = [];
  #first = null;

  /** What is known without an event: the state and since when. */
  begin({ online, since }) {
    this.#first ??= { online, at: since ?? 0 };
  }

  add(event) {
    this.#seen.unshift(event);
    this.#seen.length = Math.min(this.#seen.length, KEPT);
  }

  /** A band that is full where the client was online. */
  ribbon() {
    const now = Date.now();
    const from = now - SHOWN_MS;
    const turns = this.#seen.toReversed().map(({ timestamp, event }) => ({ at: timestamp, online: event === "client.connected" }));
    // The state that was read first may be newer than the first transitions that were told.
    const states = [...(this.#first ? [this.#first] : []), ...turns].toSorted((a, b) => a.at - b.at);
    const bands = states.map(({ at, online }, n) => {
      const start = Math.max(from, at);
      const end = Math.max(start, Math.min(now, states[n + 1]?.at ?? now));
      const place = { x: (((start - from) / SHOWN_MS) * WIDTH).toFixed(1), width: Math.max(1, ((end - start) / SHOWN_MS) * WIDTH).toFixed(1) };
      return end > from && svg("rect", { ...place, class: online ? "on" : "off", y: online ? 0 : 15, height: online ? 18 : 3 });
    });
    return h("figure", { class: "ribbon" },
      svg("svg", { viewBox: `0 0 ${WIDTH} 18`, preserveAspectRatio: "none", role: "img", "aria-label": this.#sentence() }, bands),
      h("figcaption", { class: "axis" }, h("span", {}, "10 min ago"), h("span", {}, "now")));
  }

  #sentence() {
    return `Last ten minutes: ${this.#seen.length} transitions seen; a full band is online, a thin line offline`;
  }

  list() {
    if (this.#seen.length === 0) {
      return h("p", { class: "soft" }, "Nothing has happened since you began to look. The next transition shows up here by itself.");
    }
    return h("ol", { class: "events", reversed: true }, this.#seen.map((event) => h("li", { "data-key": `${event.index}.${event.ordinal}` },
      h("time", { datetime: new Date(event.timestamp).toISOString() }, clock(event.timestamp)),
      event.event === "client.connected" ? pill("good", "came online") : pill("off", "went offline"),
      h("span", { class: "what" }, told(event)),
      h("span", { class: "soft small" }, `epoch ${event.epoch}`))));
  }
}

function told(event) {
  const node = event.node ?? "a node that is gone";
  if (event.event === "client.connected") return `on ${node}, from ${event.peername ?? "an unknown address"}`;
  const lasted = event.connected_at ? `, after ${duration(event.disconnected_at - event.connected_at)}` : "";
  return `from ${node}${lasted}: ${reason(event.reason)}${event.synthetic ? ", as the other nodes say" : ""}`;
}
