// Calls of the management API, and what a refusal of one says.

import { credential } from "./credential.js";

/** A call without an answer is given up after this. */
const ANSWER_MS = 8000;

/** Why there is no answer: `code` and a sentence, as the API says them. */
export class Refusal extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** Whether this node has no such resource: an older one. */
  get missing() {
    return this.status === 404 && this.code === "not_found";
  }
}

/** The API's name for a client, a user or a policy in a path: one segment. */
export const segment = encodeURIComponent;

/** Query parameters, without those that are empty. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** A response whose status is good; else throws a [`Refusal`]. */
export async function open(path, { method = "GET", body, signal, headers = {}, as = credential() } = {}) {
  let response;
  try {
    response = await fetch(`api/v1/${path}`, {
      method,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { ...headers, ...(as ? { Authorization: as.header } : {}) },
      // The browser knows no credentials here and asks for none with a box of its own.
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "TimeoutError") throw new Refusal(0, "no_answer", "The node did not answer in time.");
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "The node cannot be reached. Is it running?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** The JSON of an answer; null where it has none. */
export async function ask(path, options = {}) {
  const late = AbortSignal.timeout(ANSWER_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, late]) : late;
  const response = await open(path, { ...options, signal });
  return response.status === 204 ? null : response.json();
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `The node answered ${response.status}.`;
  if (response.status === 401) document.dispatchEvent(new CustomEvent("rollcall:unauthorized"));
  return new Refusal(response.status, problem.code ?? "", detail);
}
