// The studio's own server: JSON there and back, errors as one line.
import { element } from "./dom.js";
import { knows, t } from "./words.js";

export class Refused extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(t("page.unreachable"), "unreachable", 0);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  const message = told?.error?.message ?? t("page.unreachable");
  throw new Refused(response.status === 401 ? t("page.token") : message, told?.error?.code, response.status);
}

export const get = async (path, options = {}) => (await answer(fetch(path, options))).json();

export async function post(path, body, options = {}) {
  const sent = { method: "POST", headers: { "content-type": "application/json" }, ...options };
  return (await answer(fetch(path, { ...sent, body: JSON.stringify(body) }))).json();
}

export async function postForBytes(path, body) {
  const sent = { method: "POST", headers: { "content-type": "application/json" } };
  const response = await answer(fetch(path, { ...sent, body: JSON.stringify(body) }));
  return new Int8Array(await response.arrayBuffer());
}

export async function upload(name, content, encoding = "utf-8") {
  const path = `/api/texts?${new URLSearchParams({ name, encoding })}`;
  const headers = { "content-type": "application/octet-stream" };
  return (await answer(fetch(path, { method: "POST", headers, body: content }))).json();
}

export const runPath = (name, rest = "") => `/api/runs/${encodeURIComponent(name)}${rest}`;

// A line of what went wrong, or none.
export function tell(target, error) {
  target.hidden = !error;
  target.replaceChildren(...(error ? sentences(error) : []));
}

// The page's own words for the kind of problem, then the server's, which are English.
function sentences(error) {
  if (error.code === "unreachable") return [error.message];
  const kind = `problem.${error.code}`;
  if (!knows(kind)) return [t("page.problem", { message: error.message })];
  return [`${t(kind)} `, element("span", { lang: "en" }, error.message)];
}
