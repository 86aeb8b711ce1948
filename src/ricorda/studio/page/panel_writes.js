// Panel 3: what the model writes as it learns, from the same seed each time.
import { runWord, setCommand } from "./commands.js";
import { $, element, show, whenSeen } from "./dom.js";
import { inBits, on, state } from "./state.js";
import { duration, number, onLanguage, t } from "./words.js";

const AT_ONCE = 10;
let listed = AT_ONCE;
let follows = true; // the newest, until one looks back

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
  const seen = whenSeen($("writes"), fill);
  on("rows", seen);
  on("run", () => {
    follows = true;
    listed = AT_ONCE;
    seen();
  });
  on("status", () => setCommand("writes", state.run && state.status?.has_model
    ? `ricorda sample ${runWord()} --seed 1 --length 200` : null));
  onLanguage(fill);
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
