// Ending a client's connection, after a question whether that is meant.

import { ask, query, segment } from "./api.js";
import { h } from "./element.js";
import { say, sentence } from "./notice.js";

/** Asks, then kicks; calls `done` once it is done. */
export function kick(id, done) {
  const session = h("input", { type: "checkbox", name: "session" });
  const problem = h("p", { class: "problem", role: "alert" });
  const sure = h("button", { class: "danger", type: "submit" }, "Kick");
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const submit = async (event) => {
    event.preventDefault();
    sure.disabled = true;
    try {
      await ask(`clients/${segment(id)}${query({ delete_session: session.checked ? "true" : "" })}`, { method: "DELETE" });
      dialog.close();
      say("good", `${id} was kicked.`);
      done();
    } catch (error) {
      problem.textContent = why(error);
      sure.disabled = false;
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "kick-title", onclose: () => dialog.remove() },
    h("form", { class: "stack", onsubmit: submit },
      h("h2", { id: "kick-title" }, "Kick ", h("span", { class: "id" }, id), "?"),
      h("p", {}, "Its connection is closed, on whichever node it is. It may connect again at once; a block rule keeps it away."),
      h("label", { class: "check" }, session, h("span", {}, "End its session too: subscriptions and waiting messages are gone")),
      problem,
      h("div", { class: "buttons" }, cancel, sure)));
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
}

function why(error) {
  if (error.missing) return "This node runs an older version that cannot kick. Do it from a newer node.";
  if (error.code === "role_too_low") return "Kicking needs the role operator or admin. Sign in with such an account.";
  if (error.status === 404) return "It is not connected any more.";
  return sentence(error);
}
