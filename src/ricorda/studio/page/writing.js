// A prompt that a model continues while one reads, until it ends or is stopped; the texts are kept.
import { announce } from "./announce.js";
import { quoted } from "./commands.js";
import { fillCopying } from "./copying.js";
import { $, element } from "./dom.js";
import { number } from "./numbers.js";
import { show, tell } from "./panel.js";
import { runPath, streamLines } from "./server.js";
import { on, refreshRuns, state, tellAll } from "./state.js";
import { updateChoices } from "./update.js";
import { onLanguage, t } from "./words.js";

const MOST_KEPT = 12; // texts
const SETTINGS = { temperature: "write-temperature", top_k: "write-top-k", top_p: "write-top-p", min_p: "write-min-p", length: "write-length", seed: "write-seed" };
export const texts = []; // { number, run, asked, prompt, text, seed, unknown, ended }, the newest first
let count = 0;
let writing = null; // what stops the text that is being written
let failed = null; // why the last one was not written

export function beginWriting() {
  $("write").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!writing) write();
  });
  $("write-stop").addEventListener("click", () => writing?.abort());
  $("write-temperature").addEventListener("input", fillTemperature);
  $("write").addEventListener("input", () => tellAll("prompt"));
  $("write-run").addEventListener("focus", refreshRuns);
  on("runs", fillRuns);
  on("status", fillRuns);
  on("run", () => {
    fillRuns();
    $("write-run").value = state.run ?? "";
  });
  onLanguage(() => {
    fillTemperature();
    fillRuns();
    fillNewest();
    tell($("write-problem"), failed);
  });
  fillTemperature();
}

// What the form asks for; an empty number is left to the server.
function request() {
  const asked = { text: $("write-prompt").value };
  for (const [name, id] of Object.entries(SETTINGS)) if ($(id).value.trim() !== "") asked[name] = Number($(id).value);
  return asked;
}

// The same as options of a command.
export function writeCommand() {
  const run = state.runs.find((each) => each.name === $("write-run").value)?.run ?? state.details?.path;
  if (!run) return null;
  const { text, ...options } = request();
  const words = Object.entries(options).map(([name, value]) => ` --${name.replace("_", "-")} ${value}`).join("");
  return `ricorda sample ${quoted(run)}${text ? ` --prompt ${quoted(text)}` : ""}${words} --precision float32`;
}

function fillTemperature() {
  const shown = number(Number($("write-temperature").value), 2);
  $("write-temperature-shown").textContent = shown;
  $("write-temperature").setAttribute("aria-valuetext", shown);
}

// The runs that have a model; the one that is followed may not be among them yet.
function fillRuns() {
  const kept = $("write-run").value || state.run;
  const names = state.runs.filter((run) => run.has_model).map((run) => run.name);
  if (state.run && state.status?.has_model && !names.includes(state.run)) names.unshift(state.run);
  updateChoices($("write-run"), names.map((name) => [name, name]), names.includes(kept) ? kept : (state.run ?? ""));
}

async function write() {
  const wrong = Object.values(SETTINGS).map($).find((field) => !field.checkValidity());
  if (wrong) {
    wrong.closest("details")?.setAttribute("open", "");
    wrong.focus();
    return tell($("write-problem"), (failed = new Error(`${wrong.labels[0].textContent}: ${wrong.validationMessage}`)));
  }
  tell($("write-problem"), (failed = null));
  writing = new AbortController();
  const asked = request();
  const text = { run: $("write-run").value || state.run, asked, prompt: asked.text, text: "", seed: asked.seed, unknown: "", ended: null };
  fillButtons();
  try {
    await receive(text);
  } catch (error) {
    if (error.name === "AbortError") text.ended = "stopped";
    else tell($("write-problem"), (failed = error));
  }
  writing = null;
  fillButtons();
  if (text.number) finish(text);
}

async function receive(text) {
  for await (const line of streamLines(runPath(text.run, "/stream"), text.asked, { signal: writing.signal })) {
    if ("seed" in line) begin(Object.assign(text, line));
    else if ("text" in line) append(text, line.text);
    else text.ended = line.ended;
  }
}

// A text counts from its first line on: what was refused is none.
function begin(text) {
  text.number = ++count;
  texts.unshift(text);
  texts.length = Math.min(texts.length, MOST_KEPT);
  show($("written-box"), true);
  show($("written-copying"), false);
  $("written").replaceChildren(element("span", { class: "prompt" }, text.prompt), "");
  fillFacts(text);
}

function append(text, piece) {
  const box = $("written");
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 30;
  text.text += piece;
  box.lastChild.data += piece;
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function finish(text) {
  text.ended ??= "failed";
  fillNewest();
  announce(t("write.announce", { characters: number([...text.text].length) }));
  tellAll("written");
}

function fillButtons() {
  const focused = document.activeElement;
  show($("write-start"), !writing);
  show($("write-stop"), writing);
  $("written").classList.toggle("writing", Boolean(writing));
  if (focused === $("write-start")) $("write-stop").focus();
  if (focused === $("write-stop")) $("write-start").focus();
}

// A text's settings in one line.
export function factsOf({ run, asked, seed }) {
  const options = ["temperature", "top_k", "top_p", "min_p"].filter((name) => asked[name] !== undefined);
  const shown = options.map((name) => t("write.setting", { name: t(`sampling.${name}`), value: number(asked[name], Number.isInteger(asked[name]) ? 0 : 2) }));
  return t("write.facts", { run, settings: shown.join(", "), seed });
}

function fillFacts(text) {
  const remarks = [
    factsOf(text),
    text.ended ? t(`ending.${text.ended}`, { characters: number([...text.text].length) }) : t("write.now"),
    text.unknown ? t("choose.unknown", { characters: text.unknown }) : null,
  ];
  $("write-facts").textContent = remarks.filter(Boolean).join(" · ");
}

function fillNewest() {
  const [text] = texts;
  if (!text || writing) return;
  fillFacts(text);
  show($("written-copying"), true);
  fillCopying($("written-copying"), t("write.text", { number: number(text.number) }), () => text.prompt + text.text, () => `${text.run}-${text.number}.txt`);
}
