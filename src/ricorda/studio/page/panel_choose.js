// Panel 6: the probabilities of the next character, changed by sliders; the user chooses it.
import { quoted, runWord, setCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { ask, barCells, paced, show, tell, whenSeen } from "./panel.js";
import { on, state } from "./state.js";
import { onButton, updateChoices, updateList } from "./update.js";
import { onLanguage, t, visible } from "./words.js";

const SLIDERS = ["temperature", "top_k", "top_p", "min_p"];
const SHOWN = 14;
const DRAWN = 40;
const history = [];
let found = null;
let begun = ""; // the beginning that was put there, not typed
let asking = null;

export function beginChoose() {
  const lookSoon = paced(look, 80);
  const seen = whenSeen($("choose"), lookSoon);
  for (const id of SLIDERS) {
    $(id).addEventListener("input", () => {
      fillSliders();
      lookSoon();
    });
  }
  $("context").addEventListener("input", lookSoon);
  $("document-label").addEventListener("change", look);
  onButton($("chances"), (text) => setContext($("context").value + text, true));
  $("draw").addEventListener("click", () => draw(1));
  $("draw-many").addEventListener("click", () => draw(DRAWN));
  $("undo").addEventListener("click", () => {
    if (history.length) setContext(history.pop());
  });
  on("model", seen);
  on("run", clear);
  on("details", () => found && fill()); // the command names the run's folder
  on("stretch", () => ["", begun].includes($("context").value) && begin());
  onLanguage(() => {
    fillSliders();
    fill();
  });
  fillSliders();
}

// Nothing of the previous run stays.
function clear() {
  found = null;
  asking?.abort();
  updateList($("chances"));
  $("chances-words").textContent = "";
  show($("unknown"), false);
  fillLabels([]);
  tell($("choose-problem"), null);
  setCommand("choose", null);
  if ($("context").value === begun) $("context").value = ""; // the next run's text puts its own there
  history.length = 0;
}

// Labels of documents, where the model knows some; the one chosen stays.
function fillLabels(labels) {
  const chosen = $("document-label").value;
  show($("label-choice"), labels.length);
  const choices = [["", t("choose.no_label")], ...labels.map((label) => [label, label])];
  updateChoices($("document-label"), choices, labels.includes(chosen) ? chosen : "");
}

// The beginning of the text, up to the first letters of a word, so that many symbols are possible.
function begin() {
  const beginning = state.facts?.beginning.trimStart().slice(0, 40) ?? "";
  const space = beginning.lastIndexOf(" ");
  begun = beginning.slice(0, space > 5 ? space + 2 : 12);
  $("context").value = begun;
  history.length = 0;
}

function sampling() {
  const asked = { temperature: Number($("temperature").value) };
  if (Number($("top_k").value) < Number($("top_k").max)) asked.top_k = Number($("top_k").value);
  if (Number($("top_p").value) < 1) asked.top_p = Number($("top_p").value);
  if (Number($("min_p").value) > 0) asked.min_p = Number($("min_p").value);
  return asked;
}

const labelled = () => ($("document-label").value ? { label: $("document-label").value } : {});

function fillSliders() {
  const off = t("choose.off");
  const shown = {
    temperature: number(Number($("temperature").value), 2),
    top_k: sampling().top_k === undefined ? off : number(sampling().top_k),
    top_p: sampling().top_p === undefined ? off : number(sampling().top_p, 2),
    min_p: sampling().min_p === undefined ? off : number(sampling().min_p, 2),
  };
  for (const id of SLIDERS) {
    $(id).parentElement.querySelector("output").textContent = shown[id];
    $(id).setAttribute("aria-valuetext", shown[id]);
  }
}

async function look() {
  if (!state.run || !state.status?.has_model) return;
  asking?.abort();
  asking = new AbortController();
  const asked = { text: $("context").value, ...sampling(), ...labelled() };
  found = (await ask("choose", "/next", asked, { signal: asking.signal })) ?? found;
  fill();
}

function fill() {
  if (!found) return;
  fillLabels(found.labels);
  const most = Number($("top_k").max);
  const wanted = Math.max(2, Math.min(100, found.different));
  if (most !== wanted) {
    const wasOff = sampling().top_k === undefined;
    $("top_k").max = wanted;
    if (wasOff) $("top_k").value = wanted;
    fillSliders();
  }
  const order = [...found.symbols].sort((a, b) => b.shaped - a.shaped || b.own - a.own).slice(0, SHOWN);
  updateList($("chances"), ...order.map(row));
  $("chances-words").textContent = t("choose.words", {
    possible: number(found.possible), different: number(found.different), own: number(found.own_bits, 2), shaped: number(found.shaped_bits, 2),
  });
  show($("unknown"), found.unknown);
  $("unknown").textContent = t("choose.unknown", { characters: found.unknown });
  const options = Object.entries(sampling()).map(([name, value]) => ` --${name.replace("_", "-")} ${value}`).join("");
  const prompt = $("context").value ? ` --prompt ${quoted($("context").value)}` : "";
  const label = $("document-label").value ? ` --label ${quoted($("document-label").value)}` : "";
  setCommand("choose", `ricorda sample ${runWord()}${prompt}${label}${options} --length 1 --precision float32`);
}

function row(symbol) {
  const own = element("span", { class: "bar-own" });
  own.style.width = `${symbol.own * 100}%`;
  const button = element("button", { type: "button", value: symbol.text, class: symbol.shaped ? "" : "impossible",
    "aria-label": t("choose.this", { symbol: spoken(symbol.label), shaped: percent(symbol.shaped), own: percent(symbol.own) }) },
    ...barCells(visible(symbol.label), symbol.shaped, percent(symbol.shaped), own));
  return element("li", {}, button);
}

function spoken(label) {
  if (label === " ") return t("choose.space");
  return label === "\\n" ? t("choose.line_end") : label;
}

function setContext(text, keeps = false) {
  if (keeps) history.push($("context").value);
  $("context").value = text;
  $("context").scrollTop = $("context").scrollHeight;
  look();
}

async function draw(length) {
  if (!state.run) return;
  const written = await ask("choose", "/write", { text: $("context").value, length, ...sampling(), ...labelled() });
  if (written) setContext($("context").value + written.text, true);
}
