// Server-sent events over fetch: EventSource sends no Authorization header.

import { Refusal, open } from "./api.js";

/** A stream that says nothing for so long is dead: nodes say something every 10 s. */
const SILENCE_MS = 30000;

/** The events of one stream as `{ event, id, data }`, until it ends. */
export async function* events(path, { from, signal }) {
  const inner = new AbortController();
  const stop = () => inner.abort(signal.reason);
  signal.addEventListener("abort", stop);
  let watch;
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => inner.abort(new DOMException("silence", "TimeoutError")), SILENCE_MS);
  };
  try {
    heard();
    const headers = from ? { Accept: "text/event-stream", "Last-Event-ID": from } : { Accept: "text/event-stream" };
    const response = await open(path, { signal: inner.signal, headers });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let unread = "";
    for (;;) {
      const { value, done } = await reader.read().catch((error) => { throw broken(error, signal); });
      if (done) return;
      heard();
      const blocks = (unread + value.replaceAll("\r\n", "\n")).split("\n\n");
      unread = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
      }
    }
  } finally {
    clearTimeout(watch);
    signal.removeEventListener("abort", stop);
    inner.abort();
  }
}

function broken(error, signal) {
  return signal.aborted ? error : new Refusal(0, "unreachable", "The stream broke off.");
}

/** One block of lines; null where it holds no data. */
export function parsed(block) {
  const event = { event: "message", id: null, data: "" };
  let data = false;
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "event") event.event = value;
    else if (name === "id") event.id = value;
    else if (name === "data") {
      event.data += (data ? "\n" : "") + value;
      data = true;
    }
  }
  if (!data) return null;
  return { ...event, data: JSON.parse(event.data) };
}
