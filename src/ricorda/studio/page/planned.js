// What the planner would choose for each setting that is left empty, as a placeholder in its field.
import { $ } from "./dom.js";
import { formatted } from "./numbers.js";
import { post } from "./server.js";
import { on, state } from "./state.js";
import { onLanguage, t } from "./words.js";

const PAUSE = 400; // milliseconds after the last change of the form
let plan = null;
let asking = null;
let timer = null;

// request(): what the form asks for
export function beginPlanned(request) {
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => lookUp(request), PAUSE);
  };
  $("settings").addEventListener("input", soon);
  on("text", soon);
  onLanguage(fill);
}

async function lookUp(request) {
  asking?.abort();
  if (!state.text) return;
  asking = new AbortController();
  try {
    plan = await post("/api/plan", request(), { signal: asking.signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    plan = null; // settings that contradict each other: the start reports them
  }
  fill();
}

const written = (value) => formatted(value, { maximumSignificantDigits: 3, useGrouping: false });

function fill() {
  for (const field of $("settings").querySelectorAll("input[type=number][name]")) field.placeholder = placeholder(field.name);
}

function placeholder(name) {
  const value = plan?.settings[name] ?? null;
  if (value === null) return "";
  if (name === "hidden_size" && $("size").value) return written(value); // chosen in the list of sizes
  return t(plan.estimated.includes(name) ? "learning.estimated" : "learning.planned", { value: written(value) });
}
