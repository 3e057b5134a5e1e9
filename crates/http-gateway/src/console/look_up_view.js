// Is it online? One client, asked for by its id, with an answer that changes as the client comes and goes.

import { segment } from "./api.js";
import { facts, h } from "./element.js";
import { History } from "./history.js";
import { empty, refused } from "./notice.js";
import { patch } from "./patch.js";
import { followClient } from "./presence.js";
import { heading, note } from "./router.js";
import { ago, duration, number, protocol, reason } from "./text.js";

const RECENT_KEY = "rollcall.recent";
const RECENT = 6;
const REDRAW_MS = 1000;

const LINKS = {
  live: ["good", "live"],
  asking: ["warn", "asked every 2 s: this node has no stream"],
  stalled: ["warn", "no quorum confirms the newest state"],
  broken: ["bad", "connection lost, trying again"],
};

export function show(root, { name }, signal) {
  const input = h("input", {
    id: "look-up-id", name: "id", type: "search", value: name, placeholder: "VIN0000001", required: true,
    autocomplete: "off", autocapitalize: "none", autocorrect: "off", spellcheck: "false",
  });
  const result = h("div", { class: "result" });
  const spoken = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
  const recent = h("div", { class: "recent" });
  let following = null;

  const lookUp = (id) => {
    following?.abort();
    following = new AbortController();
    signal.addEventListener("abort", () => following.abort());
    input.value = id;
    note(`#/look-up/${segment(id)}`);
    remember(id);
    recent.replaceChildren(...recentLinks(id));
    answer(id, result, spoken, following.signal);
  };
  const submit = (event) => {
    event.preventDefault();
    if (input.value) lookUp(input.value);
  };
  root.append(
    heading("Is it online?"),
    h("form", { class: "look-up-form", role: "search", onsubmit: submit },
      h("label", { for: "look-up-id", class: "field-name" }, "Client id"),
      h("div", { class: "joined" }, input, h("button", { class: "primary", type: "submit" }, "Look up")),
      h("p", { class: "soft small hint" }, "The whole id. Press ", h("kbd", {}, "/"), " anywhere to come back here.")),
    recent, result, spoken);
  if (name) {
    lookUp(name);
  } else {
    recent.replaceChildren(...recentLinks(""));
    result.append(empty("No client is looked up", "Type the id of a client. The answer stays live: it turns the moment the client connects or leaves, on whichever node."));
    input.focus();
  }
}

function answer(id, result, spoken, signal) {
  const history = new History();
  let known = null;
  let link = null;
  let problem = null;
  result.replaceChildren(h("p", { class: "soft" }, "Asking …"));

  const draw = () => {
    const wanted = h("div", {}, problem && !known && refused(problem, "clients"), known && card(known, link, history));
    if (known || problem) patch(result, wanted);
  };
  const speak = () => {
    const sentence = `${id} is ${known.online ? `online${known.node ? ` on ${known.node}` : ""}` : "offline"}`;
    if (spoken.textContent !== sentence) spoken.textContent = sentence;
  };
  followClient(id, {
    state(told) {
      history.begin(told);
      known = told;
      problem = null;
      speak();
      draw();
    },
    event(told, news) {
      history.add(told);
      if (!news) return draw();
      const online = told.event === "client.connected";
      known = { ...known, online, epoch: told.epoch, since: told.timestamp, node: online ? told.node : null };
      speak();
      draw();
    },
    link(word) {
      link = word;
      draw();
    },
    failed(error) {
      problem = error;
      draw();
    },
  }, signal);
  const timer = setInterval(draw, REDRAW_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function card(known, link, history) {
  const seen = known.epoch !== null && known.epoch !== undefined;
  const word = known.online ? "ONLINE" : "OFFLINE";
  const lasting = known.since ? `for ${duration(Date.now() - known.since)}` : seen ? null : "never seen, or forgotten";
  const [kind, said] = LINKS[link] ?? ["", "…"];
  // What nobody confirms now is not shown as if it were known.
  const stale = link === "broken" || link === "stalled";
  const last = known.last_disconnect;
  return h("article", { class: `card answer ${stale ? "stale" : known.online ? "on" : "off"}`, "aria-label": `Answer for ${known.client_id}` },
    h("div", { class: "answer-head" },
      h("div", {},
        h("p", { class: "word" }, h("span", { class: "lamp", "aria-hidden": "true" }), word),
        stale && h("p", { class: "problem" }, "That was the last that was known; nobody confirms it now."),
        h("p", { class: "id" }, known.client_id),
        lasting && h("p", { class: "soft" }, lasting)),
      h("p", { class: `link ${kind}` }, said)),
    facts(
      ["Owner node", known.node],
      ["Since", known.since ? ago(known.since) : null],
      ["Epoch", seen ? number(known.epoch) : null],
      ["Last disconnect", last ? `${ago(last.at)}: ${reason(last.reason)}` : null],
      ["User", known.username ?? (seen ? "anonymous" : null)],
      ["Protocol", protocol(known.protocol_version)],
      ["Keep-alive", keepAlive(known)],
      ["If its network vanishes", known.online && known.half_open_bound_ms ? `told offline within ${duration(known.half_open_bound_ms)}` : null],
      ["Read at", known.partition === null || known.partition === undefined ? null : `partition ${known.partition}, index ${number(known.index)}`]),
    h("h2", {}, "As it happened"),
    history.ribbon(),
    history.list());
}

function keepAlive({ keep_alive: seconds }) {
  if (seconds === null || seconds === undefined) return null;
  return seconds === 0 ? "none" : `${number(seconds)} s`;
}

function recentIds() {
  try {
    return JSON.parse(sessionStorage.getItem(RECENT_KEY)) ?? [];
  } catch {
    return [];
  }
}

function remember(id) {
  const ids = [id, ...recentIds().filter((other) => other !== id)].slice(0, RECENT);
  sessionStorage.setItem(RECENT_KEY, JSON.stringify(ids));
}

function recentLinks(present) {
  const others = recentIds().filter((id) => id !== present);
  return others.length ? [h("span", { class: "soft small" }, "Recent"), ...others.map((id) => h("a", { class: "chip", href: `#/look-up/${segment(id)}` }, id))] : [];
}
