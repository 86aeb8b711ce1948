// Panel 3: what the model writes as it learns, from the same seed each time.
import { quoted, runWord, setCommand } from "./commands.js";
import { beginComparison, fill as fillComparison } from "./comparison.js";
import { fillCopying } from "./copying.js";
import { $, element, setText } from "./dom.js";
import { number, percent } from "./numbers.js";
import { ask, fillTable, show, tell, whenSeen } from "./panel.js";
import { inBits, on, state } from "./state.js";
import { updateChildren } from "./update.js";
import { duration, onLanguage, t } from "./words.js";
import { beginWriting, writeCommand } from "./writing.js";

const AT_ONCE = 10;
let listed = AT_ONCE;
let follows = true; // the newest, until one looks back
let known = null; // the passages that the model has memorized

export function beginWrites() {
  const slider = $("moment");
  slider.addEventListener("input", () => {
    follows = Number(slider.value) === state.samples.length - 1;
    fillOne();
  });
  $("newest").addEventListener("click", () => {
    follows = true;
    fill();
  });
  $("more-samples").addEventListener("click", () => {
    listed += AT_ONCE;
    fillAll();
  });
  $("memorized").addEventListener("click", lookMemorized);
  const seen = whenSeen($("writes"), fill);
  on("rows", seen);
  on("run", () => {
    follows = true;
    listed = AT_ONCE;
    known = null;
    tell($("memorized-problem"), null);
    fillMemorized();
    fill();
  });
  $("samples").closest("details").addEventListener("toggle", fillAll);
  beginWriting();
  beginComparison();
  on("status", setWritesCommand);
  on("prompt", setWritesCommand);
  on("details", setWritesCommand);
  onLanguage(() => {
    fill();
    fillMemorized();
  });
}

function setWritesCommand() {
  if (!state.run || !state.status?.has_model) return setCommand("writes", null);
  const commands = [writeCommand()].filter(Boolean);
  const read = state.details?.text;
  if (read) {
    const words = [...state.details.texts.map(quoted)];
    if (read.encoding) words.push("--encoding", quoted(read.encoding));
    if (state.facts?.validation) words.push("--validation-fraction", read.validation_fraction ?? 0.1);
    words.push("--length", known?.length ?? 10000, "--seed", 1);
    commands.push(`ricorda memorised ${runWord()} ${words.join(" ")}`);
  }
  setCommand("writes", commands);
}

async function lookMemorized() {
  $("memorized").disabled = true;
  $("memorized-state").textContent = t("writes.memorized_wait");
  known = (await ask("memorized", "/memorised", {})) ?? known;
  $("memorized").disabled = false;
  $("memorized-state").textContent = "";
  fillMemorized();
  setWritesCommand();
}

function fillMemorized() {
  show($("memorized-found"), known);
  if (!known) return;
  const values = { length: number(known.length), longest: number(known.longest), chance: known.chance === null ? "∞" : number(known.chance, 1) };
  const usual = known.kept_back === null ? "" : ` ${t("writes.memorized_usual", { usual: number(known.kept_back) })}`;
  $("memorized-longest").textContent = t("writes.memorized_longest", values) + usual;
  $("memorized-text").textContent = known.text;
  const share = (value) => (value === null ? "–" : percent(value));
  fillTable($("memorized-shares"), [t("writes.memorized_size"), t("writes.memorized_own"), t("writes.memorized_other")],
    known.shares.map(([length, own, other]) => [number(length), share(own), share(other)]));
}

function fill() {
  const count = state.samples.length;
  show($("writes-full"), count);
  show($("writes-empty"), !count);
  if (!count) return;
  $("moment").max = count - 1;
  if (follows) $("moment").value = count - 1;
  fillOne();
  fillAll();
  fillComparison();
}

function facts(sample) {
  const evaluation = state.metrics.find((row) => row.event === "evaluation" && row.step === sample.step);
  const near = evaluation ?? state.metrics.findLast((row) => row.step <= sample.step && row.seconds !== undefined);
  if (sample.step === 0) return t("writes.before");
  const values = { step: number(sample.step), time: duration(near?.seconds) };
  if (evaluation?.nats_per_character == null) return t("writes.facts", values);
  return t("writes.facts_evaluated", { ...values, bits: number(inBits(evaluation.nats_per_character), 2) });
}

function fillOne() {
  const sample = state.samples[Number($("moment").value)];
  if (!sample) return;
  setText($("sample"), sample.text);
  setText($("sample-facts"), facts(sample));
  $("moment").setAttribute("aria-valuetext", facts(sample));
  fillCopying($("sample-copying"), facts(sample), () => sample.text, () => `${state.run}-step-${sample.step}.txt`);
}

function fillAll() {
  if (!$("samples").closest("details").open) return;
  const rows = [...state.samples].reverse().slice(0, listed);
  $("samples").setAttribute("start", state.samples.length);
  updateChildren($("samples"),
    ...rows.map((sample) =>
      element("li", { "data-key": sample.step }, element("p", { class: "muted small" }, facts(sample)), element("pre", { class: "sample", dir: "auto" }, sample.text)),
    ),
  );
  show($("more-samples"), state.samples.length > listed);
}
