// Panel 3: what the model writes as it learns, from the same seed each time.
import { quoted, runWord, setCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { ask, fillTable, show, tell, whenSeen } from "./panel.js";
import { inBits, on, state } from "./state.js";
import { duration, onLanguage, t } from "./words.js";

const AT_ONCE = 10;
let listed = AT_ONCE;
let follows = true; // the newest, until one looks back
let known = null; // what the model knows by heart

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
  $("by-heart").addEventListener("click", lookByHeart);
  const seen = whenSeen($("writes"), fill);
  on("rows", seen);
  on("run", () => {
    follows = true;
    listed = AT_ONCE;
    known = null;
    tell($("by-heart-problem"), null);
    fillByHeart();
    seen();
  });
  on("status", setWritesCommand);
  on("details", setWritesCommand);
  onLanguage(() => {
    fill();
    fillByHeart();
  });
}

function setWritesCommand() {
  if (!state.run || !state.status?.has_model) return setCommand("writes", null);
  const commands = [`ricorda sample ${runWord()} --seed 1 --length 200 --precision float32`];
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

async function lookByHeart() {
  $("by-heart").disabled = true;
  $("by-heart-state").textContent = t("writes.by_heart_wait");
  known = (await ask("by-heart", "/memorised", {})) ?? known;
  $("by-heart").disabled = false;
  $("by-heart-state").textContent = "";
  fillByHeart();
  setWritesCommand();
}

function fillByHeart() {
  show($("by-heart-found"), known);
  if (!known) return;
  const values = { length: number(known.length), longest: number(known.longest), chance: known.chance === null ? "∞" : number(known.chance, 1) };
  const usual = known.kept_back === null ? "" : ` ${t("writes.by_heart_usual", { usual: number(known.kept_back) })}`;
  $("by-heart-longest").textContent = t("writes.by_heart_longest", values) + usual;
  $("by-heart-text").textContent = known.text;
  const share = (value) => (value === null ? "–" : percent(value));
  fillTable($("by-heart-shares"), [t("writes.by_heart_size"), t("writes.by_heart_own"), t("writes.by_heart_other")],
    known.shares.map(([length, own, other]) => [number(length), share(own), share(other)]));
}

function fill() {
  const count = state.samples.length;
  show($("writes-full"), count);
  show($("writes-empty"), !count);
  if (!count) return;
  $("moment").max = count - 1;
  if (follows) $("moment").value = count - 1;
  show($("more-samples"), count > listed);
  fillOne();
  fillAll();
}

function facts(sample) {
  const judged = state.metrics.find((row) => row.event === "evaluation" && row.step === sample.step);
  const near = judged ?? state.metrics.findLast((row) => row.step <= sample.step && row.seconds !== undefined);
  if (sample.step === 0) return t("writes.before");
  const values = { step: number(sample.step), time: duration(near?.seconds) };
  if (judged?.nats_per_character == null) return t("writes.facts", values);
  return t("writes.facts_judged", { ...values, bits: number(inBits(judged.nats_per_character), 2) });
}

function fillOne() {
  const sample = state.samples[Number($("moment").value)];
  if (!sample) return;
  $("sample").textContent = sample.text;
  $("sample-facts").textContent = facts(sample);
  $("moment").setAttribute("aria-valuetext", facts(sample));
}

function fillAll() {
  const rows = [...state.samples].reverse().slice(0, listed);
  $("samples").setAttribute("start", state.samples.length);
  $("samples").replaceChildren(
    ...rows.map((sample) =>
      element("li", {}, element("p", { class: "muted small" }, facts(sample)), element("pre", { class: "sample", dir: "auto" }, sample.text)),
    ),
  );
  show($("more-samples"), state.samples.length > listed);
}
