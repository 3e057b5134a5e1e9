// Brings what is shown to what should be shown, touching only what differs: focus, selection and transitions stay.
// Listeners are not compared; a view that is patched listens at its root.

/** Makes the children of `shown` like those of `wanted`. */
export function patch(shown, wanted) {
  const old = [...shown.childNodes];
  const next = [...wanted.childNodes];
  next.forEach((node, place) => {
    const present = old[place];
    if (!present) shown.append(node);
    else if (!alike(present, node)) present.replaceWith(node);
    else bring(present, node);
  });
  for (const extra of old.slice(next.length)) extra.remove();
}

function alike(a, b) {
  return a.nodeName === b.nodeName && (a.nodeType !== Node.ELEMENT_NODE || a.getAttribute("data-key") === b.getAttribute("data-key"));
}

function bring(present, node) {
  if (present.nodeType !== Node.ELEMENT_NODE) {
    if (present.nodeValue !== node.nodeValue) present.nodeValue = node.nodeValue;
    return;
  }
  for (const { name } of [...present.attributes]) {
    // Whether details are unfolded is the reader's to say.
    if (!node.hasAttribute(name) && name !== "open") present.removeAttribute(name);
  }
  for (const { name, value } of node.attributes) {
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  patch(present, node);
}
