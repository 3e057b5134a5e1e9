// Users, policies in their order, block rules; and the question which of them decides.

import { ask, query } from "./api.js";
import { h, pill, table } from "./element.js";
import { explainForm } from "./explain.js";
import { empty, refused } from "./notice.js";
import { poll } from "./polling.js";
import { patch } from "./patch.js";
import { heading } from "./router.js";
import { moment } from "./text.js";

const EVERY_MS = 10000;
const USERS = 100;
const RETAIN = { 1: "retained only", 2: "not retained only" };

const PARTS = [
  { id: "policies", title: "Policies", note: "The first that matches decides.", what: "policies", read: readPolicies },
  { id: "users", title: "Users", note: "Roles: a client connects, a viewer looks, an operator kicks and blocks, an admin does all.", what: "users", read: readUsers },
  { id: "blocks", title: "Block rules", note: "They come before all policies.", what: "block rules", read: readBlocks },
];

export function show(root, _, signal) {
  root.append(heading("Access"),
    h("section", { "aria-labelledby": "explain" }, h("h2", { id: "explain" }, "Explain"),
      h("p", { class: "soft" }, "Whether something would be allowed, and which rule says so. Nothing is changed."),
      explainForm(signal)));
  for (const { id, title, note, what, read } of PARTS) {
    const body = h("div", { class: "body" }, h("p", { class: "soft" }, "Asking …"));
    root.append(h("section", { "aria-labelledby": id }, h("h2", { id }, title), h("p", { class: "soft" }, note), body));
    poll(async () => {
      try {
        patch(body, h("div", {}, await read(signal)));
      } catch (error) {
        if (error.name === "AbortError") return;
        patch(body, h("div", {}, refused(error, what)));
      }
    }, EVERY_MS, signal);
  }
}

async function readUsers(signal) {
  const { users, next } = await ask(`users${query({ limit: USERS })}`, { signal });
  if (users.length === 0) return empty("No stored users", "An admin makes one: PUT /api/v1/users/NAME with a role and a password.");
  const all = table("Users", ["User", "Role"], users.map(({ username, role }) => [h("span", { class: "id" }, username), role]));
  return next === null ? all : [all, h("p", { class: "soft small" }, `The first ${USERS} by name; GET /api/v1/users has the rest.`)];
}

async function readPolicies(signal) {
  const { policies } = await ask("policies", { signal });
  if (policies.length === 0) {
    return empty("No policies", "Every account that signs in may connect, publish and subscribe, but to $events/ and $SYS/. An admin adds the first: PUT /api/v1/policies/NAME.");
  }
  const rows = policies.map((policy, place) => [
    [h("span", { class: "soft" }, `${place + 1}. `), h("span", { class: "id" }, policy.name)],
    policy.effect === "allow" ? pill("good", "allow") : pill("bad", "deny"),
    list(policy.actions),
    list(policy.resources),
    conditions(policy),
  ]);
  return table("Policies in order", ["Policy", "Effect", "Actions", "Resources", "For"], rows);
}

/** What a policy asks for beside action and resource. */
function conditions(policy) {
  const told = ["name", "effect", "actions", "resources"];
  const bounds = ([name, value]) => {
    // Every QoS, and both with and without RETAIN, is no condition.
    const any = { qos: "0,1,2", retain: "3" }[name];
    return !told.includes(name) && value !== null && String(value) !== "" && String(value) !== any;
  };
  const rest = Object.entries(policy).filter(bounds);
  return rest.length ? rest.map(([name, value]) => name === "retain" ? RETAIN[value] : `${name.replaceAll("_", " ")} ${list(value)}`).join("; ") : "everybody";
}

function list(value) {
  if (Array.isArray(value)) return value.length ? value.join(", ") : "any";
  if (value === null || value === undefined) return "any";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

async function readBlocks(signal) {
  const { block_rules: rules = [] } = await ask("block-rules", { signal });
  if (rules.length === 0) return empty("Nobody is blocked", "An operator blocks a client id, a user or an address: PUT /api/v1/block-rules/NAME.");
  return table("Block rules", ["Name", "Blocks", "But not", "Until", "Remark"], rules.map((rule) => [
    h("span", { class: "id" }, rule.name),
    `${rule.kind.replaceAll("_", " ")} ${rule.include}`,
    rule.excludes?.length ? list(rule.excludes) : "–",
    rule.expires_at ? moment(rule.expires_at) : "for good",
    rule.remark || "–",
  ]));
}
