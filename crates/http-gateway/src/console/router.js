// Which view is shown: `#/clients?prefix=VIN` is the view `clients` with its parameters, `#/look-up/VIN` one of a client.

import { h } from "./element.js";

let running = null;

/** The view, the rest of the path and the parameters that an address names. */
export function place() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  let name = "";
  try {
    name = decodeURIComponent(rest.join("/"));
  } catch {
    // Half an escape, typed by hand: no name.
  }
  return { view, name, parameters: new URLSearchParams(search) };
}

/** Shows the view of the address, now and at every change; `views` maps names to `{ title, show(root, place, signal) }`. */
export function route(views, signal) {
  const show = () => {
    running?.abort();
    const now = place();
    const known = Object.hasOwn(views, now.view) ? now.view : "cluster";
    const view = views[known];
    running = new AbortController();
    for (const link of document.querySelectorAll("#views a")) {
      if (link.getAttribute("href") === `#/${known}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${view.title} · Rollcall`;
    const root = h("div", { class: `view ${known}` });
    const main = document.getElementById("main");
    const first = main.childElementCount === 0;
    main.replaceChildren(root);
    view.show(root, now, running.signal);
    // A page that was asked for begins to be read at its heading.
    if (!first && !root.contains(document.activeElement)) root.querySelector("h1")?.focus();
  };
  addEventListener("hashchange", show, { signal });
  signal.addEventListener("abort", () => running?.abort());
  show();
}

/** Changes the address without showing the view anew. */
export function note(hash) {
  history.replaceState(null, "", hash);
}

/** The heading of a view, which takes the focus when the view is opened. */
export function heading(text) {
  return h("h1", { tabindex: "-1" }, text);
}
