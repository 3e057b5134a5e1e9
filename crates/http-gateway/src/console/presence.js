// Follows one client: first the stream, then the state, then what the stream says. In that order nothing is missed.

import { ask, query, segment } from "./api.js";
import { events } from "./event_stream.js";

const RETRY_MS = [500, 1000, 2000, 5000];
/** How often a node without the stream is asked. */
const ASK_MS = 2000;
const PATIENCE = 3;

/**
 * Follows until the signal ends it. Calls `state(answer)` with the rich form, `event(data, news)` with each transition and
 * whether it changes what is known, `link(word)` with live, asking or broken, and `failed(error)` where there is no answer.
 */
export async function followClient(id, { state, event, link, failed }, signal) {
  let from = null;
  let epoch = -1;
  let failures = 0;
  const read = async () => {
    const answer = await ask(`clients/${segment(id)}`, { signal }).catch((error) => neverSeen(error, id));
    if ((answer.epoch ?? -1) < epoch) return;
    epoch = answer.epoch ?? -1;
    state(answer);
  };

  while (!signal.aborted) {
    try {
      let begun = false;
      for await (const told of events(`presence/events${query({ client_id: id })}`, { from, signal })) {
        if (told.event === "gap") {
          from = null;
          break;
        }
        if (told.id) from = told.id;
        if (!begun) {
          await read();
          begun = true;
          failures = 0;
        }
        if (told.event === "stalled") link("stalled");
        else if (told.event !== "end") link("live");
        if (!told.event.startsWith("client_")) continue;
        // What was read may be ahead of the stream: then the event is told, and changes nothing.
        const news = counts(told, epoch);
        event(told.data, news);
        if (!news) continue;
        epoch = told.data.epoch;
        // The rich form has more than the event; it is read at a later place of the log.
        await read();
      }
      if (!begun) failures += 1;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.missing) return askInstead(read, { link, failed }, signal);
      if (error.status === 410 || error.status === 400) from = null;
      failures += 1;
      if (failures >= PATIENCE || error.status === 403) failed(error);
    }
    if (failures > 0) link("broken");
    await pause(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)], signal);
  }
}

/** Who is not on record is offline, and nothing more is known of it. */
function neverSeen(error, id) {
  if (error.code !== "unknown_client") throw error;
  return { client_id: id, online: false, epoch: null, since: null, node: null };
}

/** A connect counts if its epoch is greater than the one known, a disconnect if it is greater or equal. */
function counts({ event, data }, epoch) {
  return event === "client_connected" ? data.epoch > epoch : data.epoch >= epoch;
}

async function askInstead(read, { link, failed }, signal) {
  while (!signal.aborted) {
    try {
      await read();
      link("asking");
    } catch (error) {
      if (error.name === "AbortError") return;
      failed(error);
      if (error.missing) return;
    }
    await pause(ASK_MS, signal);
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    }, { once: true });
  });
}
