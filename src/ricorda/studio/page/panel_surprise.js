// Panel 5: each character in the colour of its surprisal, and what the model expected.
import { runWord, setCommand, stretchCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { ask, barCells, fillTable, paced, show, whenSeen } from "./panel.js";
import { on, state, stretchRequest } from "./state.js";
import { context, labelAt, SymbolText } from "./symbol_text.js";
import { apart, onLanguage, t, visible } from "./words.js";

const CLASSES = 10; // a bit each
const TOP = 12;
const AROUND = 15;
const PAST = 6;
const DISTANCE = 50;
let found = null; // the newest answer, with what was asked for
let newest = 0; // the number of the newest look, which alone counts
let text = null;
let past = null; // what came before the place chosen, by how much it matters

export function beginSurprise() {
  text = new SymbolText($("surprise-text"), () => t("surprise.text"), point);
  const seen = whenSeen($("surprise"), paced(look, 1500));
  on("model", seen);
  on("stretch", () => state.status?.has_model && seen());
  on("run", () => (found = null));
  $("by-gradient").addEventListener("change", () => {
    if (found) lookBackSoon(text.chosen);
    setSurpriseCommand();
  });
  onLanguage(fill);
}

async function look() {
  const asked = stretchRequest();
  const mine = ++newest;
  const answer = await ask("surprise", "/surprise", asked);
  if (!answer || newest !== mine) return;
  const first = found === null;
  found = { ...answer, asked };
  past = null;
  fill();
  if (first) {
    text.choose(mostSurprising());
    text.reveal();
  } else {
    lookBackSoon(text.chosen);
  }
}

const level = (bits) => (bits === null ? "" : `s${Math.min(CLASSES - 1, Math.floor(bits))}`);

function fill() {
  if (!found) return;
  const steps = Array.from({ length: CLASSES }, (_, bits) =>
    element("span", { class: `swatch-number ${level(bits)}` }, bits === CLASSES - 1 ? `${number(bits)}+` : number(bits)));
  $("surprise-legend").replaceChildren(t("surprise.legend"), ...steps);
  text.fill(found.symbols, found.labels, found.bits.map(level), found.unseen);
  $("surprise-mean").textContent = t("surprise.mean", {
    bits: number(found.mean_bits, 2), even: number(2 ** (found.mean_bits ?? 0), 1), symbols: number(found.characters),
  });
  show($("surprise-unseen"), found.unseen.length);
  $("surprise-unseen").textContent = t("surprise.unseen", {
    count: number(found.unseen.length), characters: [...new Set(found.unseen.map(([, character]) => visible(character)))].slice(0, 20).join(" "),
  });
  inspect(text.chosen);
  fillTop();
  setSurpriseCommand();
}

// The three most likely symbols of a place.
const likeliest = (place, between) =>
  found.alternatives[place].slice(0, 3).map(([symbol, chance]) => `${apart(symbol)} ${percent(chance)}`).join(between);

function fillTop() {
  const counted = found.bits.map((bits, place) => [bits, place]).filter(([bits]) => bits !== null);
  const order = counted.sort((a, b) => b[0] - a[0]).slice(0, TOP);
  const rows = order.map(([bits, place]) => [context(found, place, AROUND, 5), number(bits, 1), likeliest(place, "  ")]);
  fillTable($("surprising"), [t("surprise.place"), t("surprise.bits"), t("surprise.expected")], rows);
}

function point(place, settled) {
  if (!found) return;
  inspect(place);
  if (!settled) return; // what is read out is of the place chosen, wherever the pointer is
  lookBackSoon(place);
  setSurpriseCommand();
  text.reading.textContent = found.bits[place] !== null
    ? t("surprise.reading", {
        symbol: apart(labelAt(found, place)), bits: number(found.bits[place], 1), others: likeliest(place, ", "),
      })
    : "";
}

function setSurpriseCommand() {
  const stretch = stretchCommand();
  const read = `${stretch} | ricorda`;
  setCommand("surprise", stretch && [`${read} score ${runWord()} -`, `${read} influence ${runWord()} - --position ${Math.max(1, text.chosen)} --distance ${DISTANCE}${byGradient() ? " --gradient norm" : ""}`]);
}

// A surprising position near the beginning.
function mostSurprising() {
  const near = found.bits.slice(0, 300).map((bits) => bits ?? -1);
  return near.indexOf(Math.max(...near));
}

const byGradient = () => $("by-gradient").checked;

const lookBackSoon = paced(lookBack, 300);

async function lookBack(place) {
  const read = found;
  if (place < 1) return;
  const answer = await ask("surprise", "/influence", { ...read.asked, position: place, gradient: byGradient() });
  if (!answer || found !== read || text.chosen !== place) return;
  past = { place, ...answer };
  inspect(place);
}

// The past symbols that matter most to the chances at this place, in the order of the text.
function strongest(place, all, least, digits) {
  const order = [...all].sort((a, b) => b[2] - a[2]).slice(0, PAST).filter((each) => each[2] > least);
  const most = Math.max(...order.map((each) => each[2]), 1e-9);
  return order.sort((a, b) => a[0] - b[0]).map(([at, symbol, size]) =>
    element("li", {}, ...barCells(`−${number(place - at)} ${apart(symbol)}`, size / most, number(size, digits))));
}

function fillPast(place) {
  const known = past?.place === place ? past : { past: [] };
  const back = strongest(place, known.past, 0.005, 2);
  const steep = known.gradient ? strongest(place, known.gradient, 0, 3) : [];
  return [
    back.length ? element("h4", {}, t("surprise.past")) : "",
    element("ol", { class: "expected past" }, ...back),
    steep.length ? element("h4", {}, t("surprise.by_gradient")) : "",
    element("ol", { class: "expected past", id: "steepest" }, ...steep),
    known.gradient ? element("p", { class: "small", id: "agreement" }, known.agreement === null
      ? t("surprise.no_agreement") : t("surprise.agreement", { value: number(known.agreement, 2) })) : "",
  ];
}

function inspect(place) {
  const bits = found.bits[place];
  const written = labelAt(found, place);
  const rows = (found.alternatives[place] ?? []).map(([symbol, chance]) =>
    element("li", { class: symbol === written ? "this" : "" }, ...barCells(visible(symbol), chance, percent(chance))));
  $("inspector").replaceChildren(
    element("p", { class: "glyph" }, visible(written)),
    found.boundaries.includes(place) ? element("p", {}, t("surprise.boundary")) : "",
    element("p", {}, bits === null ? t(place === 0 ? "surprise.first" : "surprise.after_unseen") : t("surprise.bits_of", { bits: number(bits, 2), chance: percent(2 ** -bits) })),
    rows.length ? element("h4", {}, t("surprise.expected")) : "",
    element("ol", { class: "expected" }, ...rows),
    ...fillPast(place),
  );
}
