// Panel 7: all runs, compared.
import { LineChart } from "./chart.js";
import { runWord, setCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { formatted, number, short } from "./numbers.js";
import { chartOf, fillTable, paced, show, whenSeen } from "./panel.js";
import { beginRunActions, origin } from "./run_actions.js";
import { get, runPath } from "./server.js";
import { follow, inBits, on, refreshRuns, state } from "./state.js";
import { duration, moment, onLanguage, t } from "./words.js";

const STYLES = 6; // of compared curves, in panels.css
const REFRESH = 5000;
const MOST_DIFFERENCES = 6; // shown under a run's name
const compared = new Map(); // name -> { points of its curve, steps that it had then }
let chart = null;

export function beginRuns() {
  chart = new LineChart($("comparison"), describe);
  const seen = whenSeen($("runs"), paced(refreshRuns, 1500));
  on("run", () => {
    fill();
    seen();
  });
  on("status", seen);
  on("model", seen);
  on("details", fillCommands);
  on("runs", refresh);
  onLanguage(fill);
  beginRunActions((before, now) => {
    if (!compared.has(before)) return;
    if (now) compared.set(now, compared.get(before));
    compared.delete(before);
  });
  setInterval(() => document.hidden || seen(), REFRESH);
  seen();
}

async function refresh() {
  const there = new Map(state.runs.map((run) => [run.name, run]));
  for (const name of [...compared.keys()]) {
    if (!there.has(name)) compared.delete(name);
    else if (there.get(name).steps !== compared.get(name).steps) await loadCurve(name);
  }
  fill();
}

async function loadCurve(name) {
  try {
    const { steps } = state.runs.find((run) => run.name === name) ?? {};
    compared.set(name, { ...(await get(runPath(name, "/curve"))), steps });
  } catch {
    // the curve so far stays; the header reports a lost connection
  }
}

function fill() {
  const rows = state.runs;
  show($("runs-full"), rows.length || state.deleted.length);
  show($("runs-empty"), !rows.length);
  show($("runs-table"), rows.length);
  fillCommands();
  const focused = document.activeElement?.closest("#runs-table") ? document.activeElement.dataset.key : null;
  const names = differing(rows);
  $("runs-table").querySelector("tbody").replaceChildren(...rows.map((row) => line(row, names)));
  if (focused) document.querySelector(`#runs-table [data-key="${CSS.escape(focused)}"]`)?.focus();
  show($("comparison"), compared.size);
  show($("comparison-empty"), !compared.size);
  fillDifferences();
  chart.draw();
}

function fillCommands() {
  const shown = state.details && state.status?.has_model ? [`ricorda export ${runWord()} --to web`] : [];
  setCommand("runs", state.runs.length ? ["ricorda runs", ...shown] : null);
}

// The names of the settings in which runs are not all alike, in the order of the first run.
function differing(rows) {
  const settings = rows.map((row) => row.settings).filter(Boolean);
  return Object.keys(settings[0] ?? {}).filter((name) => new Set(settings.map((each) => JSON.stringify(each[name]))).size > 1);
}

const settingName = (name) => t(`differs.${name}`);

function settingValue(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return formatted(value, { maximumSignificantDigits: 6 });
  if (typeof value !== "object") return String(value);
  const [unit, amount] = Object.entries(value).find(([, each]) => each !== null) ?? ["steps", null]; // a budget
  return t(`budget.${unit}`, { value: formatted(amount, { maximumSignificantDigits: 4 }) });
}

function line(row, names) {
  const check = element("input", { type: "checkbox", "aria-label": t("runs.compare_this", { name: row.name }), "data-key": `c ${row.name}` });
  check.checked = compared.has(row.name);
  check.addEventListener("change", () => compare(row.name, check.checked));
  const look = element("button", { type: "button", class: "link", "data-key": `l ${row.name}`, "aria-pressed": String(row.name === state.run) }, row.name);
  look.addEventListener("click", () => follow(row.name));
  const bits = row.validation?.bits_per_character ?? inBits(row.validation?.nats_per_character);
  const own = names.slice(0, MOST_DIFFERENCES).filter((name) => row.settings);
  const difference = (name, value) => (name === "budget" ? value : `${settingName(name)}: ${value}`);
  const differences = own.map((name) => difference(name, settingValue(row.settings[name]))).join(", ");
  const below = [row.note, origin(row), differences].filter(Boolean).map((text, place) =>
    element("span", { class: `below${place || !row.note ? " muted" : ""}` }, text));
  const cell = (words, content, kind = "number") =>
    element("td", { class: kind, role: "cell", "data-heading": t(words) }, content);
  return element("tr", { class: row.name === state.run ? "chosen" : "", role: "row" },
    cell("runs.compare", element("span", { class: "target" }, check), "tick"),
    element("th", { scope: "row", role: "rowheader" }, look, ...below),
    cell("runs.state", element("span", { class: `pill ${row.state}` }, t(`state.${row.state}`)), "state-cell"),
    cell("runs.bits", number(bits, 3), "number main-figure"),
    cell("runs.steps", number(row.steps)),
    cell("runs.time", duration(row.train_seconds)),
    cell("runs.parameters", short(row.parameters)),
    cell("runs.changed", moment(row.changed)));
}

async function compare(name, wanted) {
  if (wanted) await loadCurve(name);
  else compared.delete(name);
  fill();
}

// The settings in which the compared runs differ, a column for each run.
function fillDifferences() {
  const rows = state.runs.filter((row) => compared.has(row.name) && row.settings);
  const names = rows.length > 1 ? differing(rows) : [];
  show($("differences-box"), names.length);
  fillTable($("differences"), [t("runs.setting"), ...rows.map((row) => row.name)],
    names.map((name) => [settingName(name), ...rows.map((row) => settingValue(row.settings[name]))]));
}

function describe() {
  const series = [...compared].map(([name, { points }], index) => ({
    name, kind: `compared compared${index % STYLES}`, points: points.map(([seconds, nats]) => [seconds, inBits(nats)]),
  }));
  const readings = series
    .flatMap((each) => each.points.map(([x, y]) => [x, t("runs.reading", { name: each.name, time: duration(x), bits: number(y, 3) })]))
    .sort((a, b) => a[0] - b[0]);
  return chartOf(t("runs.curves"), series.filter((each) => each.points.length), { readings, height: 220 });
}
