// The form before everything else: a user of role viewer or above, or an API token.

import { ask } from "./api.js";
import { keep, ofPassword, ofToken } from "./credential.js";
import { field, h } from "./element.js";
import { sentence } from "./notice.js";

/** Shows the form; calls `done` once somebody is signed in. `reason` says why it is shown again. */
export function signIn(main, reason, done) {
  const username = h("input", { name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const token = h("input", { name: "token", type: "password", autocomplete: "off", spellcheck: "false" });
  const problem = h("p", { class: "problem", role: "alert" }, reason);
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const byUser = h("div", { class: "stack" }, field("User", username), field("Password", password));
  const byToken = h("div", { class: "stack", hidden: true }, field("API token", token, "Begins with rct_. An admin issues them."));
  const choose = (event) => {
    const isToken = event.target.value === "token";
    byUser.hidden = isToken;
    byToken.hidden = !isToken;
    username.required = password.required = !isToken;
    token.required = isToken;
    (isToken ? token : username).focus();
  };
  const choice = (value, word, checked) => h("label", {}, h("input", { type: "radio", name: "by", value, checked, onchange: choose }), h("span", {}, word));
  const submit = async (event) => {
    event.preventDefault();
    const given = byUser.hidden ? ofToken(token.value.trim()) : ofPassword(username.value, password.value);
    button.disabled = true;
    problem.textContent = "";
    try {
      await ask("nodes", { as: given });
      keep(given);
      done();
    } catch (error) {
      problem.textContent = why(error);
      button.disabled = false;
      (byUser.hidden ? token : password).select();
    }
  };
  const form = h("form", { class: "card sign-in", onsubmit: submit },
    h("h1", {}, "Sign in"),
    h("p", { class: "soft" }, "With an account of this cluster: role viewer to look, operator to kick clients, admin for the rest."),
    h("fieldset", { class: "segmented" }, h("legend", { class: "unseen" }, "Sign in with"), choice("user", "User and password", true), choice("token", "API token", false)),
    byUser, byToken, problem, button,
    h("p", { class: "soft small" }, "Kept in this tab until it is closed, and sent to this node alone."));
  main.replaceChildren(form);
  document.title = "Sign in · Rollcall";
  username.focus();
}

function why(error) {
  if (error.status === 401) return "That name and password, or that token, are not known here.";
  if (error.status === 403) return "This account may not look at the cluster: it needs the role viewer, operator or admin.";
  if (error.status === 429) return "Too many failed attempts from this address. Wait a minute.";
  return sentence(error);
}
