// The gateway's API as the page uses it. Addresses are relative: the page works behind a prefix.
const at = (path) => new URL(path, document.baseURI);

// Why there is no reply: `status` 0 is a server that does not answer at all.
export class Refusal extends Error {
  constructor(status, error = {}, waitS = null) {
    super(String(error.message ?? ""));
    this.status = status;
    this.code = String(error.code ?? "");
    this.waitS = waitS;
    this.upstreams = Object.entries(error.upstreams ?? {}).map(([name, said]) => [name, String(said)]);
  }
}

async function send(path, key, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let reply;
  try {
    reply = await fetch(at(path), { ...options, headers, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0);
  }
  if (!reply.ok) throw await refusal(reply);
  return reply;
}

async function refusal(reply) {
  const waitS = Number(reply.headers.get("retry-after")) || null;
  try {
    return new Refusal(reply.status, (await reply.json()).error, waitS);
  } catch {
    return new Refusal(reply.status, {}, waitS); // not ours: a proxy's page
  }
}

export async function models(key) {
  const reply = await send("v1/models", key);
  try {
    return (await reply.json()).data;
  } catch {
    throw new Refusal(502); // a proxy's page
  }
}

export const metrics = async (key) => (await send("metrics", key)).text();
export const isReady = () => send("readyz", "");

// The events of a vote, each an object, until the stream says that it is done.
export async function* vote(body, key, signal) {
  const reply = await send("v1/chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  for await (const text of lines(reply.body)) {
    if (text === "data: [DONE]") return;
    if (text.startsWith("data: ")) yield parsed(text.slice(6));
  }
  throw new Refusal(-1); // it ended before its end
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(-1); // cut
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(-1);
    }
    if (part.done) return;
    const found = (rest + part.value).split("\n");
    rest = found.pop();
    yield* found;
  }
}
