// One step of one unit: each gate as a sum of its real numbers, and what becomes of the state.
import { element } from "./dom.js";
import { number } from "./numbers.js";
import { fillTable } from "./panel.js";
import { updateChildren } from "./update.js";
import { knows, t, visible } from "./words.js";

const DIGITS = 3;

export function fillStep(place, step) {
  const gates = step.gates.map((gate) => [
    element("span", {}, element("var", {}, gate.letter), ` ${gateName(gate.name)}`),
    number(gate.from_input, DIGITS),
    number(gate.from_hidden * gate.scale, DIGITS),
    number(gate.input_bias + gate.hidden_bias * gate.scale, DIGITS),
    number(gate.total, DIGITS),
    element("span", {}, `${gate.activation} → `, element("strong", {}, number(gate.value, DIGITS))),
  ]);
  const table = element("table");
  fillTable(table, ["gate", "from_input", "from_past", "bias", "sum", "value"].map((column) => t(`step.${column}`)), gates);
  const lines = step.lines.map((line) => element("li", {}, element("code", {}, localised(line))));
  updateChildren(place,
    element("p", {}, t("step.sentence", {
      unit: step.unit, symbol: visible(step.symbol), cell: step.cell.toUpperCase(), before: number(step.hidden_before, DIGITS), after: number(step.hidden, DIGITS),
    })),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("step.gates") }, table),
    element("details", { open: true }, element("summary", {}, t("step.equation")), element("ul", { class: "equation" }, ...lines)),
    element("details", {}, element("summary", {}, t("step.strongest")), strongest(step.gates)),
  );
}

// The same line with its numbers as the language writes them.
const localised = (line) => line.replace(/-?\d+\.\d+/g, (digits) => number(Number(digits), DIGITS));

const gateName = (name) => (knows(`gate.${name}`) ? t(`gate.${name}`) : name);

function strongest(gates) {
  const table = element("table");
  const rows = gates.flatMap((gate) =>
    gate.strongest.map(({ source, weight, value }) => [
      `${gate.letter}: ${source}`, number(weight, DIGITS), number(value, DIGITS), number(weight * value, DIGITS),
    ]),
  );
  fillTable(table, [t("step.source"), t("step.weight"), t("step.read"), t("step.product")], rows);
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("step.strongest") }, table);
}
