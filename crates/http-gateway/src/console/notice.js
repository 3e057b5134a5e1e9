// What happened, said once at the edge of the page and to screen readers; and refusals in the place of what they refuse.

import { h } from "./element.js";

const SHOWN_MS = 6000;

/** Says a sentence for a while. `kind` is good or bad. */
export function say(kind, sentence) {
  const note = h("p", { class: `notice ${kind}` }, sentence);
  const all = document.getElementById("notices");
  all.append(note);
  while (all.children.length > 3) all.firstElementChild.remove();
  setTimeout(() => note.remove(), SHOWN_MS);
}

/** A refusal where the answer would stand; `what` names what is not there. */
export function refused(error, what) {
  if (error.missing) {
    return empty(`This node cannot tell ${what} yet`, "It runs an older version. Open the console of a newer node, or upgrade this one.");
  }
  return h("div", { class: "empty bad", role: "alert" },
    h("strong", {}, `No answer about ${what}`),
    h("p", {}, sentence(error)));
}

export function empty(title, advice) {
  return h("div", { class: "empty" }, h("strong", {}, title), h("p", {}, advice));
}

const ADVICE = {
  no_quorum: "No majority of the copies answers. The page asks again; see which nodes are down on the cluster page.",
  not_ready: "This node is starting or stopping. The page asks again.",
  too_many_streams: "This node has as many live streams open as it may. Close other pages, or open the console of another node.",
  unreachable: "This node cannot be reached. The page asks again; if it stays away, open the console of another node.",
  no_answer: "This node took too long to answer. The page asks again.",
};

/** What a refusal says, as a sentence that says what to do. */
export function sentence(error) {
  if (ADVICE[error.code]) return ADVICE[error.code];
  const said = error.message ?? String(error);
  return `${said.charAt(0).toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? "" : "."}`;
}
