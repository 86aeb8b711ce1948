// Panel 4: what each unit tracks, the text in a unit's colours, one step's equation, a unit held.
import { quoted, runWord, setCommand, stretchCommand } from "./commands.js";
import { difference, markedParts } from "./difference.js";
import { $, element } from "./dom.js";
import { Heat } from "./heat.js";
import { number } from "./numbers.js";
import { ask, fillTable, paced, show, tell, whenSeen } from "./panel.js";
import { get, postForBytes, runPath } from "./server.js";
import { on, state, stretchRequest } from "./state.js";
import { fillStep } from "./step.js";
import { context, labelAt, SymbolText } from "./symbol_text.js";
import { UnitList, unitName as name } from "./unit_list.js";
import { updateChildren, updateList } from "./update.js";
import { apart, onLanguage, t } from "./words.js";

const WRITTEN = 300; // characters of each sample
const LEVELS = 4;
const AROUND = 12; // symbols to each side of a place in the table
let units = null;
let list = null;
let chosen = { layer: 0, unit: 0 };
let activity = null;
let text = null;
let heat = null;
let pictured = []; // the rows that the picture has or waits for
let step = null; // the last one that was computed
let written = null; // the two samples, and what was held

export function beginInside() {
  list = new UnitList(choose, (unit) => {
    choose(unit);
    lookAtHeat();
  });
  text = new SymbolText($("unit-text"), () => t("inside.text_of", { unit: name(chosen) }), point);
  heat = new Heat($("heat"), $("heat-reading"), (unit, place) => {
    choose(unit);
    text.choose(place);
  });
  $("show-unit").addEventListener("click", chooseByNumber);
  $("unit-number").addEventListener("keydown", (event) => event.key === "Enter" && chooseByNumber());
  $("clamp").addEventListener("submit", (event) => {
    event.preventDefault();
    clamp();
  });
  $("clamp-value").addEventListener("input", fillClampValue);
  const refresh = paced(look, 3000);
  const seen = whenSeen($("inside"), refresh);
  const seenStretch = whenSeen($("inside"), lookAtStretch);
  on("model", seen);
  on("stretch", () => state.status?.has_model && seenStretch());
  on("run", () => {
    clear();
    units = null;
    activity = null;
    step = null;
    chosen = { layer: 0, unit: 0 };
    list.begin();
    heat.clear();
    written = null;
    fillWritten();
  });
  onLanguage(() => {
    fillUnits();
    fillActivity();
    fillClampValue();
    heat.draw(list.pictured);
    if (step) fillStep($("step"), step);
    fillWritten();
  });
  fillClampValue();
}

async function look() {
  const { run, turn } = state;
  tell($("inside-problem"), null);
  const first = units === null;
  if (first) $("units-state").textContent = t("inside.ranking"); // else the lines below it would move
  try {
    const found = await get(runPath(run, "/units"));
    if (state.turn !== turn) return;
    units = found;
    if (first && units.units.length) setChosen(units.units[0]);
    fillUnits();
  } catch (error) {
    if (state.turn !== turn) return;
    units = { units: [], features: {}, problem: error.message };
    fillUnits();
  }
  await lookAtStretch();
}

async function lookAtStretch() {
  const { turn } = state;
  await lookAtUnit();
  if (state.turn === turn) await lookAtHeat();
}

async function lookAtHeat() {
  pictured = list.pictured;
  if (!pictured.length || !activity) return;
  const rows = pictured;
  const symbols = activity.symbols.map((symbol, place) => (/\s/.test(symbol) ? symbol : labelAt(activity, place)));
  const asked = { ...stretchRequest(), units: pictured.map(([layer, unit]) => [layer, unit]) };
  const levels = await ask("inside", "/heat", asked, undefined, postForBytes);
  if (levels && rows === pictured) heat.fill(rows, symbols, levels, units.bounded !== false);
}

async function lookAtUnit() {
  const wanted = chosen;
  const found = await ask("inside", "/activity", { ...stretchRequest(), ...wanted });
  if (!found || name(wanted) !== name(chosen)) return;
  activity = found;
  fillActivity();
  await lookAtStep(text.chosen);
}

function fillUnits() {
  if (!units) return;
  $("units-state").textContent = units.problem
    ? t("inside.not_ranked", { message: units.problem })
    : t("inside.ranked", {
        symbols: number(units.symbols), shifts: number(units.shifts), control: number(units.control_best, 2),
        dead: number(units.dead), saturated: number(units.saturated),
      });
  list.fill(units, chosen);
  setInsideCommand();
}

function setInsideCommand() {
  const learned = (state.details?.texts ?? []).map(quoted).join(" ");
  const stretch = stretchCommand();
  const held = Number($("clamp-value").value);
  const prompt = $("clamp-text").value ? ` --prompt ${quoted($("clamp-text").value)}` : "";
  const unit = name(chosen);
  setCommand("inside", learned && units ? [
    `ricorda units ${runWord()} ${learned} --symbols ${units.symbols ?? 20000}`,
    ...(stretch ? [`${stretch} | ricorda step ${runWord()} - --unit ${unit} --position ${text.chosen}`] : []),
    `ricorda clamp ${runWord()} ${unit}${held ? `=${held}` : ""}${prompt} --length ${WRITTEN} --seed 1`,
  ] : null);
}

function chooseByNumber() {
  const parts = $("unit-number").value.trim().split(":").map(Number);
  const wanted = parts.length === 2 ? { layer: parts[0], unit: parts[1] } : { layer: 0, unit: parts[0] };
  const shape = state.details?.training?.model;
  const fits = Number.isInteger(wanted.layer) && Number.isInteger(wanted.unit) && shape &&
    wanted.layer >= 0 && wanted.layer < shape.num_layers && wanted.unit >= 0 && wanted.unit < shape.hidden_size;
  if (fits) choose(wanted);
  else tell($("inside-problem"), { get message() { return noUnit(shape); } }); // in the language of the time
}

const noUnit = (shape) =>
  t("inside.no_unit", { layers: number(shape?.num_layers), units: number(shape?.hidden_size) });

async function choose({ layer, unit }) {
  tell($("inside-problem"), null);
  setChosen({ layer, unit });
  fillUnits();
  await lookAtUnit();
}

function setChosen({ layer, unit }) {
  chosen = { layer, unit };
  $("unit-number").value = name(chosen);
  fillClampValue();
}

// Four steps to each side, and nothing near zero.
function colour(value) {
  const level = Math.min(LEVELS, Math.round(Math.abs(value) * LEVELS));
  return level === 0 ? "" : `${value > 0 ? "more" : "less"}${level}`;
}

function fillActivity() {
  const tracked = list.tracked(chosen);
  $("unit-heading").textContent = tracked
    ? t("inside.unit_tracks", { unit: name(chosen), tracked })
    : t("inside.unit_number", { unit: name(chosen) });
  const swatches = [-1, -0.5, 0, 0.5, 1].map((value) => element("span", { class: `swatch-number ${colour(value)}` }, number(value, 1)));
  updateChildren($("unit-legend"), t("inside.legend"), ...swatches);
  if (!activity) return;
  text.fill(activity.symbols, activity.labels, activity.values.map(colour), activity.unseen);
  fillStrongest();
  if (text.reading.textContent) point(Math.min(pointed, activity.symbols.length - 1), false);
}

function fillStrongest() {
  const order = activity.values.map((value, place) => [value, place]).sort((a, b) => b[0] - a[0]);
  const rows = [...order.slice(0, 8), ...order.slice(-8)].map(([value, place]) => [context(activity, place, AROUND, AROUND), number(value, 3)]);
  fillTable($("strongest"), [t("inside.place"), t("inside.value")], rows);
}

// Nothing of the previous run stays.
function clear() {
  text.fill([], {}, []);
  for (const each of [text.reading, $("unit-heading"), $("units-state")]) each.textContent = "";
  for (const each of [$("step"), $("strongest")]) each.replaceChildren();
  updateList($("units").querySelector("tbody"));
  tell($("inside-problem"), null);
  setCommand("inside", null);
}

let pointed = 0; // the place last pointed at

function point(place, settled) {
  if (!activity) return;
  pointed = place;
  text.reading.textContent = t("inside.reading", { symbol: apart(labelAt(activity, place)), unit: name(chosen), value: number(activity.values[place], 3) });
  if (settled) lookAtStepSoon(place);
}

const lookAtStepSoon = paced((place) => lookAtStep(place), 200);

async function lookAtStep(place) {
  const found = await ask("inside", "/step", { ...stretchRequest(), ...chosen, position: place });
  if (!found) return;
  step = found;
  fillStep($("step"), step);
  setInsideCommand();
}

const heldValue = (value) => (value === 0 ? t("inside.off") : number(value, 1));

function fillClampValue() {
  const shown = heldValue(Number($("clamp-value").value));
  $("clamp-shown").textContent = shown;
  $("clamp-value").setAttribute("aria-valuetext", shown);
  setInsideCommand();
}

async function clamp() {
  const asked = { ...chosen, value: Number($("clamp-value").value), text: $("clamp-text").value, length: WRITTEN, seed: 1 };
  const found = await ask("inside", "/clamp", asked);
  if (!found) return;
  written = { ...found, asked };
  fillWritten();
}

function fillWritten() {
  show($("clamped"), written);
  if (!written) return;
  const { asked } = written;
  const found = difference(written.as_it_is, written.held);
  $("held-heading").textContent = t("inside.held", { unit: name(asked), value: heldValue(asked.value) });
  $("as-it-is").replaceChildren(...markedParts(found, 0));
  $("held").replaceChildren(...markedParts(found, 1));
}
