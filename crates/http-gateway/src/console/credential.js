// Who is signed in: the value of the Authorization header, kept for this tab alone and gone with it.

const KEY = "rollcall.credential";

/** `{ header, name }`, or null. A token has no name. */
export function credential() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function ofPassword(username, password) {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return { header: `Basic ${btoa(String.fromCharCode(...bytes))}`, name: username };
}

export function ofToken(token) {
  return { header: `Bearer ${token}`, name: null };
}

export function keep(given) {
  sessionStorage.setItem(KEY, JSON.stringify(given));
}

/** Forgets who was signed in, and all else that this tab kept of it. */
export function forget() {
  sessionStorage.clear();
}
