// Where the page begins: somebody signs in, then the views are shown and the figures of this node are collected.

import { show as access } from "./access_view.js";
import { show as clients } from "./clients_view.js";
import { show as cluster } from "./cluster_view.js";
import { credential, forget } from "./credential.js";
import { keys } from "./keys.js";
import { show as lookUp } from "./look_up_view.js";
import { show as quota } from "./quota_view.js";
import { collect } from "./rates.js";
import { route } from "./router.js";
import { signIn } from "./sign_in.js";

const VIEWS = {
  cluster: { title: "Cluster", show: cluster },
  "look-up": { title: "Look-up", show: lookUp },
  clients: { title: "Clients", show: clients },
  access: { title: "Access", show: access },
  quota: { title: "Quota", show: quota },
};

const main = document.getElementById("main");
const signOut = document.getElementById("sign-out");
let signedIn = null;

function begin() {
  signedIn = new AbortController();
  main.replaceChildren();
  for (const id of ["views", "sign-out"]) document.getElementById(id).hidden = false;
  const { name } = credential();
  signOut.title = name === null ? "Signed in with a token" : `Signed in as ${name}`;
  keys(signedIn.signal);
  collect(signedIn.signal);
  route(VIEWS, signedIn.signal);
}

function end(reason) {
  signedIn?.abort();
  signedIn = null;
  forget();
  for (const id of ["views", "sign-out"]) document.getElementById(id).hidden = true;
  signIn(main, reason, begin);
}

signOut.addEventListener("click", () => end(""));
document.addEventListener("rollcall:unauthorized", () => {
  if (signedIn) end("The credentials are not taken any more. Sign in again.");
});
if (credential()) begin();
else end("");
