// Numbers, times and names as people read them.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const RATE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

export const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));

/** A rate: small ones with a tenth. */
export const rate = (value) => (value === null || value === undefined ? "–" : (value < 100 ? RATE : NUMBER).format(value));

export const clock = (ms) => CLOCK.format(ms);

/** Clock and, where it is not today, the day. */
export function moment(ms) {
  const today = DAY.format(Date.now()) === DAY.format(ms);
  return today ? clock(ms) : `${DAY.format(ms)}, ${clock(ms)}`;
}

/** How long something lasts: the two largest units. */
export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [s % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/** The moment, and how long ago by this machine's clock. */
export const ago = (ms) => `${moment(ms)} (${duration(Date.now() - ms)} ago)`;

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

const REASONS = {
  normal: "it said goodbye",
  takeovered: "a newer connection took over",
  discarded: "a newer connection began afresh",
  kicked: "an operator ended it",
  keepalive_timeout: "it fell silent",
  connection_lost: "the connection broke",
  protocol_error: "it broke the protocol",
  not_authorized: "a permission was withdrawn",
  authentication_expired: "its credentials ran out",
  quota_exceeded: "it passed a limit",
  server_shutdown: "its node was stopped",
  node_lost: "its node died",
};

/** The reason of a disconnect: what it means, and the API's word. */
export const reason = (code) => (REASONS[code] ? `${REASONS[code]} (${code})` : code);

export const protocol = (version) => ({ 3: "MQTT 3.1", 4: "MQTT 3.1.1", 5: "MQTT 5" })[version] ?? null;
