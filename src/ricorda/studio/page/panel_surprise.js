// Panel 5: each character in the colour of its surprisal, and what the model expected.
import { quoted, setCommand } from "./commands.js";
import { $, element, fillTable, paced, whenSeen } from "./dom.js";
import { post, runPath, tell } from "./server.js";
import { on, state, stretchRequest } from "./state.js";
import { SymbolText } from "./symbols.js";
import { number, onLanguage, percent, t, visible } from "./words.js";

const CLASSES = 10; // a bit each
const TOP = 12;
const AROUND = 15;
let found = null;
let text = null;

export function beginSurprise() {
  text = new SymbolText($("surprise-text"), () => t("surprise.text"), point);
  const seen = whenSeen($("surprise"), paced(look, 1500));
  on("model", seen);
  on("stretch", () => state.status?.has_model && seen());
  on("run", () => (found = null));
  onLanguage(fill);
}

async function look() {
  const run = state.run;
  tell($("surprise-problem"), null);
  try {
    const answer = await post(runPath(run, "/surprise"), stretchRequest());
    if (state.run !== run) return;
    found = answer;
    fill();
  } catch (error) {
    tell($("surprise-problem"), error);
  }
}

const level = (bits) => (bits === null ? "" : `s${Math.min(CLASSES - 1, Math.floor(bits))}`);

function fill() {
  if (!found) return;
  const steps = Array.from({ length: CLASSES }, (_, bits) =>
    element("span", { class: `swatch-number ${level(bits)}` }, bits === CLASSES - 1 ? `${number(bits)}+` : number(bits)));
  $("surprise-legend").replaceChildren(t("surprise.legend"), ...steps);
  text.fill(found.symbols, found.labels, found.bits.map(level));
  $("surprise-mean").textContent = t("surprise.mean", {
    bits: number(found.mean_bits, 2), even: number(2 ** (found.mean_bits ?? 0), 1), symbols: number(found.symbols.length),
  });
  inspect(text.chosen);
  fillTop();
  const path = quoted(state.details?.path ?? state.run);
  const own = state.stretch.text !== null;
  const command = `ricorda score ${path} ${own ? "-" : quoted(state.details?.text?.texts?.[0] ?? "TEXT")}`;
  setCommand("surprise", own ? `printf %s ${quoted(state.stretch.text)} | ${command}` : command);
}

function context(place) {
  const before = found.symbols.slice(Math.max(0, place - AROUND), place).join("").replaceAll("\n", "↵");
  const after = found.symbols.slice(place + 1, place + 6).join("").replaceAll("\n", "↵");
  return element("bdi", { class: "context" }, before, element("mark", {}, symbolAt(place)), after);
}

const symbolAt = (place) => visible(found.labels[place] ?? found.symbols[place]);

function fillTop() {
  const order = found.bits.map((bits, place) => [bits ?? -1, place]).sort((a, b) => b[0] - a[0]).slice(0, TOP);
  const rows = order.map(([bits, place]) => [
    context(place), number(bits, 1),
    found.alternatives[place].slice(0, 3).map(([symbol, chance]) => `${visible(symbol)} ${percent(chance)}`).join("  "),
  ]);
  fillTable($("surprising"), [t("surprise.place"), t("surprise.bits"), t("surprise.expected")], rows);
}

function point(place, settled) {
  if (!found) return;
  inspect(place);
  text.reading.textContent = settled && found.bits[place] !== null
    ? t("surprise.reading", {
        symbol: symbolAt(place), bits: number(found.bits[place], 1),
        others: found.alternatives[place].slice(0, 3).map(([symbol, chance]) => `${visible(symbol)} ${percent(chance)}`).join(", "),
      })
    : "";
}

function inspect(place) {
  const bits = found.bits[place];
  const alternatives = found.alternatives[place] ?? [];
  const written = found.labels[place] ?? found.symbols[place];
  const rows = alternatives.map(([symbol, chance]) => {
    const fill = element("span", { class: "bar-fill" });
    fill.style.width = `${chance * 100}%`;
    return element("li", { class: symbol === written ? "this" : "" },
      element("bdi", { class: "symbol" }, visible(symbol)),
      element("span", { class: "bar-track", "aria-hidden": "true" }, fill),
      element("span", { class: "chance" }, percent(chance)));
  });
  $("inspector").replaceChildren(
    element("p", { class: "glyph" }, symbolAt(place)),
    element("p", {}, bits === null ? t("surprise.first") : t("surprise.bits_of", { bits: number(bits, 2), chance: percent(2 ** -bits) })),
    rows.length ? element("h4", {}, t("surprise.expected")) : "",
    element("ol", { class: "expected" }, ...rows),
  );
}
