// The clients on record, page by page, with search; and the way to look one up or to kick it.

import { ask, query, segment } from "./api.js";
import { field, h, options, pill, table } from "./element.js";
import { kick } from "./kick.js";
import { empty, refused } from "./notice.js";
import { patch } from "./patch.js";
import { poll } from "./polling.js";
import { heading, note } from "./router.js";
import { duration, plural, protocol } from "./text.js";

const PAGE = 50;
/** The first page is asked for again after this; once there are more, only on demand. */
const EVERY_MS = 4000;
/** A page may be short, or empty, before the end: so many are asked for in one go. */
const PAGES_AT_ONCE = 10;
const TYPED_MS = 250;

const HEAD = ["Client", "State", "Node", "For", "User", "Protocol", "Keep-alive", "Action"];

export function show(root, { parameters }, signal) {
  const given = (name) => parameters.get(name) ?? "";
  const prefix = h("input", { name: "prefix", type: "search", value: given("prefix"), autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const online = h("select", { name: "online" }, options(["", "all"], ["true", "online"], ["false", "offline"]));
  online.value = given("online");
  const node = h("input", { name: "node", value: given("node"), list: "node-names", autocomplete: "off", autocapitalize: "none" });
  const username = h("input", { name: "username", value: given("username"), autocomplete: "off", autocapitalize: "none" });
  const names = h("datalist", { id: "node-names" });
  const list = h("div", { class: "list" }, h("p", { class: "soft" }, "Asking …"));
  const spoken = h("p", { class: "soft small", role: "status" });
  const more = h("button", { type: "button", hidden: true }, "Show more");
  const filters = () => ({ prefix: prefix.value, online: online.value, node: node.value, username: username.value });
  let shown = [];
  let cursor = null;
  let asking = null;
  let busy = false;

  const draw = () => {
    const filtered = Object.values(filters()).some(Boolean);
    patch(list, h("div", {}, shown.length ? table("Clients on record", HEAD, shown.map(row)) : nobody(filtered)));
    more.hidden = cursor === null;
    const count = `${plural(shown.length, "client")}${cursor === null ? "" : " so far"}`;
    if (spoken.textContent !== count) spoken.textContent = count;
  };
  const load = async (from) => {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    busy = true;
    const both = AbortSignal.any([mine.signal, signal]);
    try {
      const page = await some(filters(), from, both);
      shown = from === null ? page.clients : [...shown, ...page.clients];
      cursor = page.cursor;
      draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = [];
      cursor = null;
      more.hidden = true;
      spoken.textContent = "";
      patch(list, h("div", {}, refused(error, "clients")));
    } finally {
      if (asking === mine) busy = false;
    }
  };

  let typed;
  const search = () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      note(`#/clients${query(filters())}`);
      load(null);
    }, TYPED_MS);
  };
  signal.addEventListener("abort", () => clearTimeout(typed));
  more.addEventListener("click", () => load(cursor));
  list.addEventListener("click", (event) => {
    const id = event.target.closest("button[data-kick]")?.dataset.kick;
    if (id !== undefined) kick(id, () => load(null));
  });
  root.append(
    heading("Clients"),
    h("form", { class: "filters", role: "search", oninput: search, onsubmit: (event) => event.preventDefault() },
      field("Id begins with", prefix), field("State", online), field("Online on node", node), field("User", username), names),
    spoken, list, more);
  ask("nodes", { signal }).then(({ nodes }) => names.append(...options(...nodes.map(({ name }) => [name, ""]))), () => {});
  poll(async () => {
    // Further pages stay as they are, and so does what somebody is about to press.
    if (shown.length <= PAGE && !busy) await load(null);
  }, EVERY_MS, signal);
}

/** One page that is not empty, or the end. */
async function some(filters, from, signal) {
  const clients = [];
  let cursor = from;
  for (let pages = 0; pages < PAGES_AT_ONCE; pages += 1) {
    const page = await ask(`clients${query({ ...filters, limit: PAGE, cursor })}`, { signal });
    clients.push(...page.clients);
    cursor = page.cursor;
    if (cursor === null || clients.length > 0) break;
  }
  return { clients, cursor };
}

function row(client) {
  const id = client.client_id;
  return [
    h("a", { class: "id", href: `#/look-up/${segment(id)}` }, id),
    client.online ? pill("good", "online") : pill("off", "offline"),
    client.node ?? "–",
    client.since ? duration(Date.now() - client.since) : "–",
    client.username ?? "anonymous",
    protocol(client.protocol_version) ?? "–",
    client.keep_alive ? `${client.keep_alive} s` : "none",
    client.online ? h("button", { type: "button", class: "small", "data-kick": id, "aria-label": `Kick ${id}` }, "Kick") : "",
  ];
}

function nobody(filtered) {
  return filtered
    ? empty("No client is like that", "Shorten the beginning of the id, or clear the other fields. Letters count as large or small.")
    : empty("No client was ever here", "Connect one to any node of the cluster, and it shows up within seconds.");
}
