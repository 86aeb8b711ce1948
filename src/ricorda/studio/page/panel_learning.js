// Panel 2: start, pause and stop a training; its figures as they arrive.
import { announce } from "./announce.js";
import { LineChart } from "./chart.js";
import { ChartView } from "./chart_view.js";
import { setCommand } from "./commands.js";
import { $, element, setText } from "./dom.js";
import { number, short } from "./numbers.js";
import { beginOverlay, overlaid } from "./overlay.js";
import { ask, chartOf, chartTools, fillTable, paced, show, tell, whenSeen } from "./panel.js";
import { beginPlanned } from "./planned.js";
import { extent } from "./scales.js";
import { post, Refused } from "./server.js";
import { evaluations, follow, inBits, on, state, tellAll, trainingRows } from "./state.js";
import { duration, elapsed, fillWords, onLanguage, t } from "./words.js";

const BASELINES = { uniform: "2 6", frequencies: "8 4", five_grams: "14 4 2 4", xz: "5 3 1 3" };
const TABLE_ROWS = 60;
const LONG = 100_000; // steps from which on their number is written short
const PAUSE = 2000; // milliseconds between two drawings: the cores are for learning
const LEFT = 5000; // from a drawing to a look at the clock, and between two
const ALIVE = ["starting", "learning", "pausing", "queued"];
let begun = false;
let announced = null; // the last evaluation that was

// A field for each setting that the server takes and the page does not have yet.
function addFields(settings) {
  for (const [name, { anyOf }] of Object.entries(settings)) {
    const field = anyOf && !$(name) ? fieldFor(name, anyOf[0]) : null;
    if (!field) continue;
    const line = element("p", {}, element("label", { for: name, "data-words": `setting.${name}` }), field);
    if (field.type === "number") $("vocabulary").parentElement.before(line);
    else $("documents-detail").parentElement.parentElement.append(line);
  }
  $("cell").append(...settings.cell.anyOf[0].enum.map((cell) => element("option", { value: cell }, cell.toUpperCase())));
  for (const select of $("settings").querySelectorAll("[data-detail]")) {
    select.addEventListener("change", () => show(detailOf(select).parentElement, asksDetail(select)));
  }
  fillWords();
}

function fieldFor(name, { type, minimum, maximum, maxLength, enum: choices }) {
  if (choices) {
    const options = choices.map((choice) => element("option", { value: choice, "data-words": `choice.${choice}` }));
    return element("select", { id: name, name }, element("option", { value: "", "data-words": "choice.unset" }), ...options);
  }
  if (type === "string") return element("input", { id: name, name, type: "text", maxlength: maxLength });
  return element("input", { id: name, name, type: "number", min: minimum ?? 0, max: maximum, step: type === "integer" ? 1 : "any" });
}

// The field that completes one of a list's values: `pieces:512`.
const detailOf = (select) => $(`${select.id}-detail`);
const asksDetail = (select) => select.value === select.dataset.detail;

export function beginLearning() {
  addFields(state.about.settings);
  $("settings").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  $("pause").addEventListener("click", () => act("/pause"));
  $("stop").addEventListener("click", () => act("/stop"));
  $("go-on").addEventListener("click", () => act("/resume"));
  const view = new ChartView(); // of both: they have the same axis
  const loss = new LineChart($("loss"), describeLoss, view);
  const gradient = new LineChart($("gradient"), describeGradient, view);
  const lookAtClock = whenSeen($("learning"), fillLeft);
  let clock = null;
  const drawNow = () => {
    loss.draw();
    gradient.draw();
    fillNow();
    fillRows();
    clearInterval(clock); // the clock alone would cost a frame of its own
    clock = setInterval(lookAtClock, LEFT);
  };
  const draw = paced(drawNow, PAUSE);
  const drawSeen = whenSeen($("learning"), draw);
  on("run", () => {
    view.shown = null;
    fill();
    drawSeen();
  });
  $("over").addEventListener("change", () => view.change({ shown: null }));
  beginOverlay(drawNow);
  beginPlanned(request);
  on("rows", () => {
    drawSeen();
    tellEvaluation();
  });
  on("status", fill);
  on("details", fill);
  on("text", fill);
  onLanguage(() => {
    fill();
    drawNow();
  });
  $("loss-table").closest("details").addEventListener("toggle", fillRows);
  fill();
}

function request() {
  const asked = { text: state.text?.name };
  for (const field of $("settings").elements) {
    if (!field.name || field.value.trim() === "") continue;
    asked[field.name] = field.type === "number" ? Number(field.value) : field.value;
    if (field.dataset.detail && asksDetail(field)) asked[field.name] += `:${detailOf(field).value}`;
  }
  if (asked.steps !== undefined) delete asked.minutes;
  if (asked.hidden_size === undefined && $("size").value) asked.hidden_size = Number($("size").value);
  return asked;
}

async function start() {
  tell($("learning-problem"), null);
  if (!state.text) {
    tell($("learning-problem"), new Refused("learning.no_text"));
    $("choose-file").focus();
    return;
  }
  const wrong = [...$("settings").elements].find((field) => !field.parentElement.hidden && field.willValidate && !field.checkValidity());
  if (wrong) {
    wrong.closest("details")?.setAttribute("open", "");
    wrong.focus();
    tell($("learning-problem"), new Error(`${wrong.labels[0].textContent}: ${wrong.validationMessage}`));
    return;
  }
  try {
    const { name } = await post("/api/runs", request());
    begun = true;
    announce(t("learning.begun", { name }));
    follow(name);
  } catch (error) {
    tell($("learning-problem"), error);
  }
}

async function act(action) {
  tell($("learning-problem"), null);
  if (await ask("learning", action, {})) tellAll("asked");
}

function fill() {
  const status = state.status;
  show($("progress"), state.run);
  setCommand("learning", state.run ? state.details?.command : null);
  if (!state.run) return;
  const now = status?.state ?? "starting";
  const pill = $("state");
  pill.className = `pill ${now}`;
  pill.textContent = status?.place
    ? t("state.queued_at", { place: number(status.place) })
    : t(`state.${now}`);
  $("run-name").textContent = state.run;
  const settings = state.details?.training;
  $("network").textContent = settings
    ? t("learning.network", {
        cell: settings.model.cell.toUpperCase(), layers: number(settings.model.num_layers),
        units: number(settings.model.hidden_size),
      })
    : "";
  show($("pause"), ["learning", "queued"].includes(now));
  show($("stop"), ["starting", "learning", "queued", "paused"].includes(now));
  show($("go-on"), ["paused", "stopped", "failed"].includes(now));
  if (now === "failed") tell($("learning-problem"), new Refused(status.reason, "training_failed"));
  fillNow();
}

function budgetShare(row, settings) {
  const budget = settings?.budget;
  if (!budget?.minutes && !budget?.steps) return null;
  if (!row) return 0;
  return budget.minutes ? seconds(row) / (budget.minutes * 60) : row.step / budget.steps;
}

// The run's clock now: the last row's, and what has passed since it came.
function seconds(row) {
  const learning = state.status?.state === "learning";
  return row.seconds + (learning ? Math.min(30, (performance.now() - state.arrived) / 1000) : 0);
}

function fillNow() {
  const row = state.metrics.findLast((each) => each.seconds !== undefined);
  const evaluation = evaluations().at(-1);
  const trained = trainingRows().at(-1);
  const ended = state.metrics.at(-1)?.event === "ended" ? state.metrics.at(-1) : null;
  const bits = ended?.validation?.bits_per_character ?? inBits(evaluation?.nats_per_character ?? trained?.nats_per_character);
  setText($("now-bits"), number(bits, 2));
  setText($("now-step"), number(state.metrics.at(-1)?.step));
  setText($("now-speed"), short(trained?.characters_per_second));
  const share = ended && ended.stopped_because !== "interrupted" ? 1 : budgetShare(row, state.details?.training);
  show($("share"), share !== null); // a bar without a value would move, and be painted, without end
  $("share").value = Math.min(1, share ?? 0);
  fillLeft();
  show($("baselines-state"), state.facts && state.baselines && !state.baselines.done);
}

function fillLeft() {
  const row = state.metrics.findLast((each) => each.seconds !== undefined);
  const share = budgetShare(row, state.details?.training);
  const alive = ALIVE.includes(state.status?.state);
  const left = share > 0 && alive ? (seconds(row) / share) * (1 - Math.min(1, share)) : null;
  setText($("now-left"), alive ? duration(left) : "–");
}

function tellEvaluation() {
  const evaluation = evaluations().at(-1);
  if (!evaluation || evaluation === announced || !begun || state.status?.state !== "learning") return;
  announced = evaluation;
  announce(t("learning.announce", { bits: number(inBits(evaluation.nats_per_character), 2), steps: number(evaluation.step) }));
}

const reading = (row, figure) =>
  t("learning.reading", { steps: number(row.step), time: duration(row.seconds), figure });

const overSteps = () => $("over").value === "step";
const place = (row) => row[$("over").value];
const axis = () => [["", overSteps() ? (step) => (step >= LONG ? short(step) : number(step)) : elapsed]];

// Where both charts end: they are above each other, and zoom together.
function end() {
  const others = overlaid(overSteps()).flatMap(({ points }) => points.map(([x]) => x));
  return Math.max(0, extent([...state.metrics.map(place), ...others])[1]);
}

function describeLoss() {
  const bits = (row) => inBits(row.nats_per_character);
  const whole = (rows) => rows.filter((row) => row.nats_per_character != null).map((row) => [place(row), bits(row)]);
  const found = state.baselines?.bits_per_character;
  const levels = Object.entries(found ? BASELINES : {}).map(([name, dash]) => ({
    name: t(`baseline.${name}`), value: found[name], dash,
  }));
  const rows = state.metrics.filter((row) => row.event === "training" || row.event === "evaluation");
  const others = overlaid(overSteps());
  const own = (name) => (others.length ? t("learning.of_run", { run: state.run, name }) : name);
  const series = [
    { name: own(t("learning.training")), kind: "line", points: whole(trainingRows()), rough: true },
    { name: own(t("learning.validation")), kind: "dotted", points: whole(evaluations()) },
    ...others,
  ].filter((each) => each.points.length);
  const [lowest] = extent([...series.flatMap(({ points }) => points.map(([, y]) => y)), ...levels.map(({ value }) => value)]);
  const readings = rows.map((row) => [
    place(row),
    () => reading(row, t(row.event === "training" ? "learning.training_bits" : "learning.validation_bits", { bits: number(bits(row), 2) })),
  ]);
  return chartOf(t("learning.loss"), series, {
    low: lowest > 1.5 ? Math.floor(lowest - 0.5) : 0,
    levels,
    borders: borders(),
    readings: [...readings, ...others.flatMap(readingsOf)].sort((a, b) => a[0] - b[0]),
    axes: axis(),
    end: end(),
    height: 300,
    tools: { ...chartTools(), smoothing: t("chart.smoothing") },
  });
}

const readingsOf = ({ name, points }) => points.map(([x, bits]) =>
  [x, () => t("runs.reading", { name, time: overSteps() ? number(x) : duration(x), bits: number(bits, 2) })]);

// Where the run branched from another one.
function borders() {
  const branched = state.metrics.filter((row) => row.event === "branched" && Number.isFinite(place(row)));
  return branched.map((row) => [place(row), t("learning.branch", { run: row.run, steps: number(row.step) })]);
}

function describeGradient() {
  const rows = trainingRows().filter((row) => row.gradient_norm != null);
  const sorted = rows.map((row) => row.gradient_norm).sort((a, b) => a - b);
  const points = rows.map((row) => [place(row), row.gradient_norm]);
  const series = points.length ? [{ name: t("learning.gradient"), kind: "line", points, rough: true }] : [];
  return chartOf(t("learning.gradient"), series, {
    readings: rows.map((row) => [place(row), () => reading(row, number(row.gradient_norm, 3))]),
    axes: axis(),
    end: end(),
    isBesideNames: Boolean(state.baselines?.bits_per_character),
    height: 90,
    top: sorted.length > 10 ? sorted[Math.floor(sorted.length * 0.97)] * 1.3 : null,
    tools: null,
  });
}

function fillRows() {
  if (!$("loss-table").closest("details").open) return;
  const trained = trainingRows();
  const rows = evaluations().slice(-TABLE_ROWS).reverse();
  const before = (step) => trained.findLast((row) => row.step <= step);
  fillTable(
    $("loss-table"),
    [t("learning.steps"), t("runs.time"), t("learning.training"), t("learning.validation"), t("learning.gradient"), t("learning.speed")],
    rows.map((row) => [
      number(row.step), duration(row.seconds), number(inBits(before(row.step)?.nats_per_character), 3),
      number(inBits(row.nats_per_character), 3), number(before(row.step)?.gradient_norm, 3), number(before(row.step)?.characters_per_second),
    ]),
  );
}
