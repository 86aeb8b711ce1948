// Other runs' validation curves, drawn over those of the chosen run.
import { $, element } from "./dom.js";
import { number } from "./numbers.js";
import { paced, show } from "./panel.js";
import { get, runPath } from "./server.js";
import { inBits, on, refreshRuns, state } from "./state.js";
import { onLanguage, t } from "./words.js";

const STYLES = [2, 3, 4, 5]; // those of panels.css that the chosen run does not have
const REFRESH = 5000;
const ENDED = ["ended", "stopped", "paused", "failed", "gone"];
const curves = new Map(); // the name of a run that is overlaid -> { points, branch }

export function beginOverlay(draw) {
  const refresh = paced(async () => {
    await refreshRuns();
    await Promise.all([...curves.keys()].filter(isAlive).map(load));
    draw();
  }, REFRESH);
  $("overlay").addEventListener("toggle", () => $("overlay").open && refresh());
  on("rows", () => ($("overlay").open || curves.size) && refresh());
  on("run", () => {
    fill(draw);
    if ($("overlay").open) refresh();
  });
  on("runs", () => {
    for (const name of curves.keys()) if (!state.runs.some((run) => run.name === name)) curves.delete(name);
    fill(draw);
  });
  onLanguage(() => fill(draw));
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
  const others = state.runs.filter((run) => run.name !== state.run);
  const focused = document.activeElement?.closest("#overlay-runs") ? document.activeElement.value : null;
  $("overlay-runs").replaceChildren(...others.map(({ name }) => {
    const input = element("input", { type: "checkbox", value: name });
    input.checked = curves.has(name);
    input.addEventListener("change", async () => {
      if (input.checked) await load(name);
      else curves.delete(name);
      draw();
    });
    return element("li", {}, element("label", {}, input, element("bdi", {}, name)));
  }));
  if (focused) document.querySelector(`#overlay-runs input[value="${CSS.escape(focused)}"]`)?.focus();
  show($("overlay-empty"), !others.length);
}

function nameOf(run, branch) {
  return branch ? t("learning.branch", { name: run, run: branch.run, steps: number(branch.step) }) : run;
}

// The overlaid curves in bits, over seconds or steps: series of a chart.
export function overlaid(overSteps) {
  return [...curves].filter(([name, { points }]) => name !== state.run && points.length).map(([name, { points, branch }], index) => ({
    name: nameOf(name, branch),
    kind: `compared compared${STYLES[index % STYLES.length]}`,
    points: points.map(([seconds, nats, step]) => [overSteps ? step : seconds, inBits(nats)]),
  }));
}
