// Other runs' validation curves, drawn over those of the chosen run.
import { Curves } from "./curves.js";
import { $, element } from "./dom.js";
import { number } from "./numbers.js";
import { show } from "./panel.js";
import { inBits, on, refreshRuns, state } from "./state.js";
import { updateList } from "./update.js";
import { t } from "./words.js";

const STYLES = [2, 3, 4, 5]; // those of panels.css that the chosen run does not have
const REFRESH = 5000;
let curves = null;

export function beginOverlay(draw) {
  curves = new Curves($("overlay-problem"), draw);
  $("overlay").addEventListener("toggle", () => $("overlay").open && refreshRuns());
  $("overlay-runs").addEventListener("change", ({ target }) => curves.choose(target.value, target.checked));
  on("run", fill);
  on("runs", () => {
    fill();
    if (curves.chosen.size) draw(); // with what the runs are called now
    curves.refresh();
  });
  setInterval(() => document.hidden || ($("overlay").open && refreshRuns()), REFRESH);
}

function fill() {
  const names = state.runs.map((run) => run.name).filter((name) => name !== state.run);
  show($("overlay-empty"), !names.length);
  updateList($("overlay-runs"), ...names.map((name) => element("li", { "data-key": name },
    element("label", {}, element("input", { type: "checkbox", value: name, checked: curves.chosen.has(name) }), element("bdi", {}, name)))));
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
  return [...curves.chosen].filter(([name, { points }]) => name !== state.run && points.length).map(([name, { points, branch }], index) => ({
    name: nameOf(name, branch),
    kind: `compared compared${STYLES[index % STYLES.length]}`,
    points: points.map(([seconds, nats, step]) => [overSteps ? step : seconds, inBits(nats)]),
  }));
}
