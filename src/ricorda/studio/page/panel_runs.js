// Panel 7: all runs, compared; download a report.
import { LineChart } from "./chart.js";
import { setCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { number, short } from "./numbers.js";
import { chartOf, paced, show, whenSeen } from "./panel.js";
import { get, placeOf, runPath } from "./server.js";
import { follow, inBits, on, state } from "./state.js";
import { duration, onLanguage, t } from "./words.js";

const STYLES = 6; // of compared curves, in panels.css
const REFRESH = 5000;
const compared = new Map(); // name -> its curve
let rows = [];
let chart = null;

export function beginRuns() {
  chart = new LineChart($("comparison"), describe);
  const seen = whenSeen($("runs"), paced(refresh, 1500));
  on("run", seen);
  on("status", seen);
  on("model", seen);
  onLanguage(fill);
  setInterval(() => document.hidden || seen(), REFRESH);
  seen();
}

async function refresh() {
  try {
    rows = (await get("/api/runs")).runs;
  } catch {
    return; // the notice at the top reports it
  }
  for (const name of compared.keys()) {
    if (rows.find((row) => row.name === name)?.state === "learning") await loadCurve(name);
  }
  fill();
}

async function loadCurve(name) {
  try {
    compared.set(name, (await get(runPath(name, "/curve"))).points);
  } catch {
    // the curve so far stays; the notice at the top reports a lost connection
  }
}

function fill() {
  show($("runs-full"), rows.length);
  show($("runs-empty"), !rows.length);
  setCommand("runs", rows.length ? "ricorda runs" : null);
  const focused = document.activeElement?.closest("#runs-table") ? document.activeElement.dataset.key : null;
  $("runs-table").querySelector("tbody").replaceChildren(...rows.map(line));
  if (focused) document.querySelector(`#runs-table [data-key="${CSS.escape(focused)}"]`)?.focus();
  show($("comparison"), compared.size);
  show($("comparison-empty"), !compared.size);
  chart.draw();
}

function line(row) {
  const check = element("input", { type: "checkbox", "aria-label": t("runs.compare_this", { name: row.name }), "data-key": `c ${row.name}` });
  check.checked = compared.has(row.name);
  check.addEventListener("change", () => compare(row.name, check.checked));
  const look = element("button", { type: "button", class: "link", "data-key": `l ${row.name}`, "aria-pressed": String(row.name === state.run) }, row.name);
  look.addEventListener("click", () => {
    follow(row.name);
    fill();
  });
  const bits = row.validation?.bits_per_character ?? inBits(row.validation?.nats_per_character);
  const report = row.has_report
    ? element("a", { href: placeOf(runPath(row.name, "/report")), download: "", "data-key": `r ${row.name}`, "aria-label": t("runs.report_of", { name: row.name }) }, t("runs.export"))
    : element("span", { class: "muted" }, "–");
  return element("tr", { class: row.name === state.run ? "chosen" : "" },
    element("td", {}, element("span", { class: "target" }, check)),
    element("th", { scope: "row" }, look),
    element("td", {}, element("span", { class: `pill ${row.state}` }, t(`state.${row.state}`))),
    element("td", { class: "number" }, number(bits, 3)),
    element("td", { class: "number" }, number(row.steps)),
    element("td", { class: "number" }, duration(row.train_seconds)),
    element("td", { class: "number" }, short(row.parameters)),
    element("td", {}, report));
}

async function compare(name, wanted) {
  if (wanted) await loadCurve(name);
  else compared.delete(name);
  fill();
}

function describe() {
  const series = [...compared].map(([name, points], index) => ({
    name, kind: `compared compared${index % STYLES}`, points: points.map(([seconds, nats]) => [seconds, inBits(nats)]),
  }));
  const readings = series
    .flatMap((each) => each.points.map(([x, y]) => [x, t("runs.reading", { name: each.name, time: duration(x), bits: number(y, 3) })]))
    .sort((a, b) => a[0] - b[0]);
  return chartOf(t("runs.curves"), series.filter((each) => each.points.length), { readings, height: 220 });
}
