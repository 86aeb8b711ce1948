// The studio's own server: JSON there and back; a refusal is an error with the server's message.
import { t } from "./words.js";

// A request that was refused, by the server or by the page itself.
export class Refused extends Error {
  #words;

  // words: the server's, or the key of the page's own, which follow the language
  constructor(words, code, status) {
    super();
    this.#words = words;
    Object.assign(this, { code, status });
  }

  get message() {
    return t(this.#words); // a text that is no key is given back
  }
}

// Relative to the page, which a proxy may show below a prefix.
export const placeOf = (path) => `.${path}`;

async function answer(path, options) {
  let response;
  try {
    response = await fetch(placeOf(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("page.unreachable", "unreachable", 0);
  }
  if (response.ok) return response;
  const error = (await response.json().catch(() => null))?.error;
  const message = response.status === 401 ? "page.token" : (error?.message ?? "page.unreachable");
  throw new Refused(message, error?.code, response.status);
}

const send = (path, type, body, options) =>
  answer(path, { method: "POST", headers: { "content-type": type }, body, ...options });
const sendJSON = (path, body, options) => send(path, "application/json", JSON.stringify(body), options);

export const get = async (path, options) => (await answer(path, options)).json();
export const post = async (path, body, options) => (await sendJSON(path, body, options)).json();
export const postForBytes = async (path, body, options) =>
  new Int8Array(await (await sendJSON(path, body, options)).arrayBuffer());
// The lines of an answer that comes in pieces, each JSON.
export async function* streamLines(path, body, options) {
  const response = await sendJSON(path, body, options);
  let rest = "";
  for await (const piece of piecesOf(response.body.pipeThrough(new TextDecoderStream()).getReader())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    yield* lines.map((line) => JSON.parse(line));
  }
}

async function* piecesOf(reader) {
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

export const upload = async (name, content, encoding = "utf-8") =>
  (await send(`/api/texts?${new URLSearchParams({ name, encoding })}`, "application/octet-stream", content)).json();
export const getBlob = async (path) => (await answer(path)).blob();
export const runPath = (name, rest = "") => `/api/runs/${encodeURIComponent(name)}${rest}`;
