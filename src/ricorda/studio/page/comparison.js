// Two samples side by side: of two steps of a training, of two settings, of two models.
import { fillCopying } from "./copying.js";
import { difference, markedParts } from "./difference.js";
import { $, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { show } from "./panel.js";
import { on, state } from "./state.js";
import { choose, updateChildren } from "./update.js";
import { onLanguage, t } from "./words.js";
import { factsOf, texts } from "./writing.js";

const SIDES = ["compare-one", "compare-other"];
let isChosen = false; // by hand: what is new is not shown any more
let drawn = null; // what the two sides show, as a key

export function beginComparison() {
  for (const side of SIDES) {
    $(side).addEventListener("change", () => {
      isChosen = true;
      compare();
    });
  }
  on("written", () => {
    isChosen = false;
    fill();
  });
  on("run", () => {
    isChosen = false;
    fill();
  });
  onLanguage(() => {
    drawn = null;
    fill();
  });
}

// All samples: [key, name, text, file name], those written here first.
function samples() {
  const written = texts.map((text) => [`w${text.number}`, `${t("write.text", { number: number(text.number) })}: ${factsOf(text)}`,
    text.prompt + text.text, `${text.run}-${text.number}.txt`]);
  const trained = [...state.samples.keys()].reverse().map((index) => {
    const { step, text } = state.samples[index];
    return [`s${index}`, t("compare.step", { run: state.run, step: number(step) }), text, `${state.run}-step-${step}.txt`];
  });
  return [written, trained];
}

// By default the two newest texts that were written here, else the first and the last of the training.
function preset(written, trained) {
  if (written.length > 1) return [written[1][0], written[0][0]];
  if (written.length === 1) return [(trained[0] ?? written[0])[0], written[0][0]];
  return [trained.at(-1)[0], trained[0][0]];
}

export function fill() {
  const [written, trained] = samples();
  const all = [...written, ...trained];
  show($("compare"), all.length > 1);
  if (all.length < 2) return;
  const kept = SIDES.map((side) => $(side).value);
  const keys = all.map(([key]) => key);
  const wanted = isChosen && kept.every((key) => keys.includes(key)) ? kept : preset(written, trained);
  SIDES.forEach((side, index) => {
    list(side, written, trained);
    choose($(side), wanted[index]);
  });
  compare(all);
}

function list(side, written, trained) {
  const group = (label, entries) => entries.length
    ? [element("optgroup", { label }, ...entries.map(([value, name]) => element("option", { value }, name)))]
    : [];
  updateChildren($(side), ...group(t("compare.written"), written), ...group(t("compare.trained"), trained));
}

function compare(all = samples().flat()) {
  const [one, other] = SIDES.map((side) => all.find(([key]) => key === $(side).value));
  if (!one || !other) return;
  const key = [one, other].map((sample) => sample.slice(0, 3).join("\n")).join("\n\n");
  if (key === drawn) return;
  drawn = key;
  const found = difference(one[2], other[2]);
  [one, other].forEach(([, name, text, file], index) => {
    $(`${SIDES[index]}-text`).replaceChildren(...markedParts(found, index));
    fillCopying($(`${SIDES[index]}-copying`), name, () => text, () => file);
  });
  $("compare-words").textContent = t("compare.words", { begin: number(found.begin), share: percent(found.share) });
}
