// Panel 5: each character in the colour of its surprisal, and what the model expected.
import { LineChart } from "./chart.js";
import { runWord, setCommand, stretchCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { ask, barCells, chartOf, fillTable, paced, show, tell, whenSeen, zoomTools } from "./panel.js";
import { on, state, stretchRequest } from "./state.js";
import { context, labelAt, SymbolText } from "./symbol_text.js";
import { updateChildren } from "./update.js";
import { apart, onLanguage, t, visible } from "./words.js";

const CLASSES = 10; // a bit each
const TOP = 12;
const AROUND = 15;
const PAST = 6;
const DISTANCE = 50;
const ADAPTIVE_LENGTH = 10_000; // symbols: there is little to learn from fewer
const POINTS = 200; // of a curve along the text
const SMOOTHED = 20; // the part of the text that a point is the mean of: one in so many
const SHORTEST_MEAN = 20; // symbols
let found = null; // the newest answer, with what was asked for
let newest = 0; // the number of the newest look, which alone counts
let waiting = null; // the words for what is being computed
let text = null;
let past = null; // what came before the place chosen, by how much it matters
let curves = null; // of the frozen and the adaptive reader along the text

export function beginSurprise() {
  text = new SymbolText($("surprise-text"), () => t(found?.adaptive ? "surprise.adaptive_text" : "surprise.text"), point);
  const seen = whenSeen($("surprise"), paced(look, 1500));
  on("model", seen);
  on("stretch", () => state.status?.has_model && seen());
  on("details", () => found && setSurpriseCommand()); // it names the run's folder
  curves = new LineChart($("surprise-curves").querySelector(".drawing"), describeCurves);
  $("adaptive").addEventListener("change", () => {
    show($("adaptive-note"), isAdaptive());
    look();
  });
  $("by-gradient").addEventListener("change", () => {
    if (found) lookBackSoon(text.chosen);
    setSurpriseCommand();
  });
  on("run", clear); // after `curves`, which it empties
  onLanguage(() => {
    fill();
    fillState();
    curves.draw();
  });
}

// Nothing of the previous run stays.
function clear() {
  found = null;
  past = null;
  waiting = null;
  newest += 1; // what was asked about it is not waited for
  fillState();
  text.fill([], {}, []);
  text.reading.textContent = "";
  for (const id of ["inspector", "surprising", "surprise-legend"]) $(id).replaceChildren();
  for (const id of ["surprise-mean", "surprise-table-name"]) $(id).textContent = "";
  for (const id of ["surprise-unseen", "surprise-curves"]) show($(id), false);
  curves.draw();
  tell($("surprise-problem"), null);
  setCommand("surprise", null);
}

const isAdaptive = () => $("adaptive").checked;

async function look() {
  const adaptive = isAdaptive();
  const asked = stretchRequest(adaptive ? ADAPTIVE_LENGTH : undefined);
  const mine = ++newest;
  const first = found === null;
  if (adaptive || first) waiting = adaptive ? "surprise.adaptive_wait" : "text.reading";
  fillState();
  const answer = await ask("surprise", "/surprise", { ...asked, adaptive });
  if (newest !== mine) return;
  waiting = null;
  fillState();
  if (!answer) return;
  found = { ...answer, asked, adaptive };
  past = null;
  fill();
  if (first) {
    text.choose(mostSurprising());
    text.reveal();
  } else {
    lookBackSoon(text.chosen);
  }
}

function fillState() {
  $("adaptive-state").textContent = waiting ? t(waiting) : "";
  $("surprise-text").setAttribute("aria-busy", String(waiting !== null));
}

const level = (bits) => (bits === null ? "" : `s${Math.min(CLASSES - 1, Math.floor(bits))}`);

function fill() {
  if (!found) return;
  const steps = Array.from({ length: CLASSES }, (_, bits) =>
    element("span", { class: `swatch-number ${level(bits)}` }, bits === CLASSES - 1 ? `${number(bits)}+` : number(bits)));
  updateChildren($("surprise-legend"), t(found.adaptive ? "surprise.adaptive_legend" : "surprise.legend"), ...steps);
  text.fill(found.symbols, found.labels, found.bits.map(level), found.unseen);
  fillMean();
  fillCurves();
  show($("gradient-choice"), !found.adaptive);
  show($("surprise-unseen"), found.unseen.length);
  $("surprise-unseen").textContent = t("surprise.unseen", {
    count: number(found.unseen.length), characters: [...new Set(found.unseen.map(([, character]) => visible(character)))].slice(0, 20).join(" "),
  });
  inspect(text.chosen);
  readOut(text.chosen);
  fillTop();
  setSurpriseCommand();
}

function fillMean() {
  const [bits, symbols] = [number(found.mean_bits, 2), number(found.characters)];
  $("surprise-mean").textContent = found.adaptive
    ? t("surprise.adaptive_mean", { bits, symbols, frozen: number(found.frozen.mean_bits, 2) })
    : t("surprise.mean", { bits, symbols, even: number(2 ** (found.mean_bits ?? 0), 1) });
}

const meanWidth = (bits) => Math.max(SHORTEST_MEAN, Math.round(bits.length / SMOOTHED));

// The mean of the symbols around each of some places of a text: [[place, bits]].
function smoothed(bits) {
  const sums = [0];
  const counts = [0];
  for (const each of bits) {
    sums.push(sums.at(-1) + (each ?? 0));
    counts.push(counts.at(-1) + (each !== null));
  }
  const half = meanWidth(bits) / 2;
  const step = Math.max(1, bits.length / POINTS);
  return Array.from({ length: Math.ceil(bits.length / step) }, (_, point) => {
    const place = Math.round(point * step);
    const [from, to] = [Math.max(0, Math.round(place - half)), Math.min(bits.length, Math.round(place + half))];
    return [place, (sums[to] - sums[from]) / (counts[to] - counts[from])];
  });
}

const curvesName = () => t("surprise.curves", { width: number(meanWidth(found?.bits ?? [])) });

function describeCurves() {
  const adaptive = found?.adaptive ? smoothed(found.bits) : [];
  const frozen = found?.adaptive ? smoothed(found.frozen.bits) : [];
  const readings = adaptive.map(([place, bits], point) => [place, t("surprise.curve_reading", {
    place: number(place + 1), adaptive: number(bits, 2), frozen: number(frozen[point][1], 2),
  })]);
  const series = adaptive.length
    ? [{ name: t("surprise.adaptive"), kind: "compared compared0", points: adaptive },
      { name: t("surprise.frozen"), kind: "compared compared1", points: frozen }]
    : [];
  return chartOf(curvesName(), series, { readings, height: 200, axes: [["", (place) => number(place)]], tools: zoomTools() });
}

function fillCurves() {
  show($("surprise-curves"), found.adaptive);
  $("surprise-curves").querySelector("figcaption").textContent = curvesName();
  curves.draw();
}

// The three most likely symbols of a place.
const likeliest = (place, between) =>
  found.alternatives[place].slice(0, 3).map(([symbol, chance]) => `${apart(symbol)} ${percent(chance)}`).join(between);

function fillTop() {
  const counted = found.bits.map((bits, place) => [bits, place]).filter(([bits]) => bits !== null);
  const order = counted.sort((a, b) => b[0] - a[0]).slice(0, TOP);
  const rows = order.map(([bits, place]) => [context(found, place, AROUND, 5), number(bits, 1), likeliest(place, "  ")]);
  $("surprise-table-name").textContent = t(found.adaptive ? "surprise.adaptive_table" : "surprise.table");
  fillTable($("surprising"), [t("surprise.place"), t(found.adaptive ? "surprise.adaptive_bits" : "surprise.bits"), t("surprise.expected")], rows);
}

function point(place, settled) {
  if (!found) return;
  inspect(place);
  if (!settled) return; // what is read out is of the place chosen, wherever the pointer is
  lookBackSoon(place);
  setSurpriseCommand();
  readOut(place);
}

function readOut(place) {
  const bits = found.bits[place] ?? null;
  const words = found.adaptive ? "surprise.adaptive_reading" : "surprise.reading";
  text.reading.textContent = bits === null ? ""
    : t(words, { symbol: apart(labelAt(found, place)), bits: number(bits, 1), others: likeliest(place, ", ") });
}

function setSurpriseCommand() {
  if (found?.adaptive) {
    const adaptive = stretchCommand(ADAPTIVE_LENGTH);
    setCommand("surprise", adaptive && `${adaptive} | ricorda score ${runWord()} - --adaptive`);
    return;
  }
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

// What came before matters to the frozen network; an adaptive reader has learned from it, too.
async function lookBack(place) {
  const read = found;
  if (place < 1 || read.adaptive) return;
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

function bitsOf(place, bits) {
  const values = { bits: number(bits, 2), chance: percent(2 ** -bits) };
  if (!found.adaptive) return t("surprise.bits_of", values);
  return t("surprise.adaptive_bits_of", { ...values, frozen: number(found.frozen.bits[place], 2) });
}

function inspect(place) {
  const bits = found.bits[place];
  const written = labelAt(found, place);
  const rows = (found.alternatives[place] ?? []).map(([symbol, chance]) =>
    element("li", { class: symbol === written ? "this" : "" }, ...barCells(visible(symbol), chance, percent(chance))));
  updateChildren($("inspector"),
    element("p", { class: "glyph" }, visible(written)),
    found.boundaries.includes(place) ? element("p", {}, t("surprise.boundary")) : "",
    element("p", {}, bits === null ? t(place === 0 ? "surprise.first" : "surprise.after_unseen") : bitsOf(place, bits)),
    rows.length ? element("h4", {}, t("surprise.expected")) : "",
    element("ol", { class: "expected" }, ...rows),
    ...fillPast(place),
  );
}
