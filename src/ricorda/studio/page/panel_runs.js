// Panel 7: all runs, compared.
import { LineChart } from "./chart.js";
import { runWord, setCommand } from "./commands.js";
import { Curves } from "./curves.js";
import { $, element } from "./dom.js";
import { formatted, number, short } from "./numbers.js";
import { chartOf, fillTable, paced, show, whenSeen } from "./panel.js";
import { beginRunActions, origin } from "./run_actions.js";
import { follow, inBits, on, refreshRuns, state } from "./state.js";
import { onButton, updateList } from "./update.js";
import { duration, moment, onLanguage, t } from "./words.js";

const STYLES = 6; // of compared curves, in panels.css
const REFRESH = 5000;
const MOST_DIFFERENCES = 6; // shown under a run's name
let compared = null;
let chart = null;

export function beginRuns() {
  chart = new LineChart($("comparison"), describe);
  compared = new Curves($("comparison-problem"), fill);
  const seen = whenSeen($("runs"), paced(refreshRuns, 1500));
  on("run", () => {
    fill();
    seen();
  });
  on("status", seen);
  on("model", seen);
  on("details", fillCommands);
  on("runs", () => {
    compared.refresh();
    fill();
  });
  onLanguage(fill);
  $("runs-table").addEventListener("change", ({ target }) => compared.choose(target.value, target.checked));
  onButton($("runs-table"), follow);
  beginRunActions((before, now) => compared.rename(before, now));
  setInterval(() => document.hidden || seen(), REFRESH);
  seen();
}

function fill() {
  const rows = state.runs;
  show($("runs-full"), rows.length || state.deleted.length);
  show($("runs-empty"), !rows.length);
  show($("runs-table"), rows.length);
  fillCommands();
  const names = differing(rows);
  updateList($("runs-table").querySelector("tbody"), ...rows.map((row) => line(row, names)));
  show($("comparison"), compared.chosen.size);
  show($("comparison-empty"), !compared.chosen.size);
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
  const check = element("input", {
    type: "checkbox", value: row.name, checked: compared.chosen.has(row.name), "aria-label": t("runs.compare_this", { name: row.name }),
  });
  const look = element("button", { type: "button", class: "link", value: row.name, "aria-pressed": String(row.name === state.run) }, row.name);
  const bits = row.validation?.bits_per_character ?? inBits(row.validation?.nats_per_character);
  const own = names.slice(0, MOST_DIFFERENCES).filter((name) => row.settings);
  const difference = (name, value) => (name === "budget" ? value : `${settingName(name)}: ${value}`);
  const differences = own.map((name) => difference(name, settingValue(row.settings[name]))).join(", ");
  const below = [row.note, origin(row), differences].filter(Boolean).map((text, place) =>
    element("span", { class: `below${place || !row.note ? " muted" : ""}` }, text));
  const cell = (words, content, kind = "number") =>
    element("td", { class: kind, role: "cell", "data-heading": t(words) }, content);
  return element("tr", { "data-key": row.name, class: row.name === state.run ? "chosen" : "", role: "row" },
    cell("runs.compare", element("span", { class: "target" }, check), "tick"),
    element("th", { scope: "row", role: "rowheader" }, look, ...below),
    cell("runs.state", element("span", { class: `pill ${row.state}` }, t(`state.${row.state}`)), "state-cell"),
    cell("runs.bits", number(bits, 3), "number main-figure"),
    cell("runs.steps", number(row.steps)),
    cell("runs.time", duration(row.train_seconds)),
    cell("runs.parameters", short(row.parameters)),
    cell("runs.changed", moment(row.changed)));
}

// The settings in which the compared runs differ, a column for each run.
function fillDifferences() {
  const rows = state.runs.filter((row) => compared.chosen.has(row.name) && row.settings);
  const names = rows.length > 1 ? differing(rows) : [];
  show($("differences-box"), names.length);
  fillTable($("differences"), [t("runs.setting"), ...rows.map((row) => row.name)],
    names.map((name) => [settingName(name), ...rows.map((row) => settingValue(row.settings[name]))]));
}

function describe() {
  const series = [...compared.chosen].map(([name, { points }], index) => ({
    name, kind: `compared compared${index % STYLES}`, points: points.map(([seconds, nats]) => [seconds, inBits(nats)]),
  }));
  const readings = series
    .flatMap((each) => each.points.map(([x, y]) => [x, () => t("runs.reading", { name: each.name, time: duration(x), bits: number(y, 3) })]))
    .sort((a, b) => a[0] - b[0]);
  return chartOf(t("runs.curves"), series.filter((each) => each.points.length), { readings, height: 220 });
}
