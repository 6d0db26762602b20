// Numbers and errors in words for a person.
export const percent = (share) => `${Math.round(100 * share)}%`;
export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;
export const decimals = (value, digits = 2) =>
  value.toLocaleString("en", { maximumSignificantDigits: digits, useGrouping: true });
export const seconds = (value) => (value < 1 ? `${Math.round(1000 * value)} ms` : `${decimals(value)} s`);
export const confidence = ({ low, high }) =>
  low === high ? percent(low) : `${percent(low)} to ${percent(high)}`;
// Signs that turn the direction of what follows would turn the page's own words, too: they are named.
export const visible = (text) =>
  text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (sign) => `[U+${sign.codePointAt(0).toString(16).toUpperCase()}]`);
export const oneLine = (text, most = 80) => {
  const flat = visible(text).replace(/\s+/g, " ").trim();
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat;
};
// A, B, … Z, then numbers.
export const letter = (place) => (place < 26 ? String.fromCharCode(65 + place) : String(place + 1));
export const isLetter = (text) => /^[A-J]$/.test(text); // of an option

// What an endpoint said of itself, without the name that stands before it anyway.
export const without = (name, said) => visible(said.startsWith(`${name}: `) ? said.slice(name.length + 2) : said);

const later = (waitS) => (waitS ? `Try again in ${many(Math.ceil(waitS), "second")}.` : "Try again in a moment.");

// title, text, and what each model's endpoint said
export function explained(refusal) {
  const { status, code, message, waitS, upstreams } = refusal;
  const told = (title, text) => ({ title, text, upstreams });
  if (status === 0) {
    return told(
      "The server does not answer",
      `Nothing came back from ${location.host}. Is slmmux serve still running there? The question stays in the form; ask again when it is.`,
    );
  }
  if (status === -1) {
    return told(
      "The connection ended before the vote was over",
      "The server stopped, or something between it and this page cut the line. What arrived is shown; ask again.",
    );
  }
  if (status === 401 && code === "missing_api_key") return told("This server wants an API key", "Enter yours at the top.");
  if (status === 401) return told("The server does not know this API key", "It was mistyped, or revoked. Enter another one.");
  if (code === "quorum_not_met") {
    return told(
      "No answer: the models failed",
      "The question reached the server, but not enough models could be asked. What came of each:",
    );
  }
  if (code === "insufficient_quota") return told("This API key has used up its day's allowance", message);
  if (status === 429) return told("Too many requests", `${message ? `${message}. ` : ""}${later(waitS)}`);
  if (status === 400 || status === 413 || status === 404) return told("The server cannot take this request", message);
  if (status >= 502 && !message) return told("Something before the server does not reach it", `HTTP status ${status}. ${later(waitS)}`);
  return told("The server reports an error", message || `HTTP status ${status}.`);
}
