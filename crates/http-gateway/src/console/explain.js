// Would this be allowed, and which rule decides? A question to the policies that changes nothing.

import { ask } from "./api.js";
import { field, h, options, pill } from "./element.js";
import { sentence } from "./notice.js";

const BY = {
  block_rule: "a block rule",
  client_id_binding: "the binding of client ids to accounts",
  reserved_topics: "the topics that are the broker's own",
  superuser: "the account being a superuser",
  own_rules: "the account's own rules",
  policy: "the policy",
  default_policy: "the policy that holds while none is configured",
  default_effect: "the default effect: no policy matches",
  conformance_profile: "the profile for conformance tests, which allows everything",
};

export function explainForm(signal) {
  const input = (name, attributes = {}) => h("input", { name, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...attributes });
  const action = h("select", { name: "action" }, options(["pub", "publish to"], ["sub", "subscribe to"], ["connect", "connect"]));
  const topic = input("topic", { placeholder: "fleet/VIN0000001", required: true });
  const clientId = input("client_id", { placeholder: "VIN0000001", required: true });
  const qos = h("select", { name: "qos" }, options(["0", "0"], ["1", "1"], ["2", "2"]));
  const retain = h("input", { name: "retain", type: "checkbox" });
  const verdict = h("div", { class: "verdict", role: "status" });
  const about = field("Topic", topic);
  action.addEventListener("change", () => {
    const connects = action.value === "connect";
    about.hidden = connects;
    topic.required = clientId.required = !connects;
  });
  const submit = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    const question = Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== "" && name !== "retain" && name !== "qos"));
    if (question.action === "connect") delete question.topic;
    try {
      const answer = await ask("policies/explain", { method: "POST", signal, body: { ...question, qos: Number(qos.value), retain: retain.checked } });
      verdict.replaceChildren(...said(answer));
    } catch (error) {
      if (error.name !== "AbortError") verdict.replaceChildren(h("p", { class: "problem" }, sentence(error)));
    }
  };
  const form = h("form", { class: "card explain", onsubmit: submit },
    h("div", { class: "fields" },
      field("User", input("username", { placeholder: "anonymous" })),
      field("Client id", clientId),
      field("wants to", action),
      about,
      field("From address", input("ip", { placeholder: "127.0.0.1" })),
      field("QoS", qos),
      h("label", { class: "check" }, retain, h("span", {}, "Retained")),
      h("button", { class: "primary", type: "submit" }, "Explain")),
    verdict);
  return form;
}

function said({ allowed, decided_by: by, rule }) {
  return [
    h("p", { class: "word small-word" }, allowed ? pill("good", "ALLOWED") : pill("bad", "DENIED")),
    h("p", {}, `Decided by ${BY[by] ?? by}`, rule ? [" ", h("b", { class: "id" }, rule)] : null, "."),
  ];
}
