// Other runs' validation curves, drawn over those of the chosen run.
import { $, element } from "./dom.js";
import { number } from "./numbers.js";
import { paced, show } from "./panel.js";
import { get, runPath } from "./server.js";
import { inBits, on, refreshRuns, state } from "./state.js";
import { t } from "./words.js";

const STYLES = [2, 3, 4, 5]; // those of panels.css that the chosen run does not have
const REFRESH = 5000;
const ENDED = ["ended", "stopped", "paused", "failed", "gone"];
const curves = new Map(); // the name of a run that is overlaid -> { points, branch }

export function beginOverlay(draw) {
  const reload = paced(async () => {
    await Promise.all([...curves.keys()].filter(isAlive).map(load));
    draw();
  }, REFRESH);
  $("overlay").addEventListener("toggle", () => $("overlay").open && refreshRuns());
  on("run", () => fill(draw));
  on("runs", () => {
    for (const name of curves.keys()) if (!state.runs.some((run) => run.name === name)) curves.delete(name);
    fill(draw);
    if ([...curves.keys()].some(isAlive)) reload();
  });
  setInterval(() => document.hidden || ($("overlay").open && refreshRuns()), REFRESH);
}

const isAlive = (name) => !ENDED.includes(state.runs.find((run) => run.name === name)?.state);

async function load(name) {
  try {
    curves.set(name, await get(runPath(name, "/curve")));
  } catch {
    // the curve so far stays; the notice at the top reports a lost connection
  }
}

function fill(draw) {
  const names = state.runs.map((run) => run.name).filter((name) => name !== state.run);
  show($("overlay-empty"), !names.length);
  const inputs = [...$("overlay-runs").querySelectorAll("input")];
  if (names.join("\n") === inputs.map((input) => input.value).join("\n")) return;
  $("overlay-runs").replaceChildren(...names.map((name) => element("li", {}, choice(name, draw))));
}

function choice(name, draw) {
  const input = element("input", { type: "checkbox", value: name });
  input.checked = curves.has(name);
  input.addEventListener("change", async () => {
    if (input.checked) await load(name);
    else curves.delete(name);
    draw();
  });
  return element("label", {}, input, element("bdi", {}, name));
}

function nameOf(run, branch) {
  const remarks = [
    branch ? t("learning.branch", { run: branch.run, steps: number(branch.step) }) : null,
    state.runs.find(({ name }) => name === run)?.resumed ? t("learning.resumed") : null,
  ].filter(Boolean);
  return remarks.length ? `${run} (${remarks.join(", ")})` : run;
}

// The overlaid curves in bits, over seconds or steps: series of a chart.
export function overlaid(overSteps) {
  return [...curves].filter(([name, { points }]) => name !== state.run && points.length).map(([name, { points, branch }], index) => ({
    name: nameOf(name, branch),
    kind: `compared compared${STYLES[index % STYLES.length]}`,
    points: points.map(([seconds, nats, step]) => [overSteps ? step : seconds, inBits(nats)]),
  }));
}
