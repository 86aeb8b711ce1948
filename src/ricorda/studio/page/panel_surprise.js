// Panel 5: each character in the colour of its surprisal, and what the model expected.
import { runWord, setCommand, stretchCommand } from "./commands.js";
import { $, element, fillTable, paced, show, whenSeen } from "./dom.js";
import { post, runPath, tell } from "./server.js";
import { on, state, stretchRequest } from "./state.js";
import { SymbolText } from "./symbols.js";
import { apart, number, onLanguage, percent, t, visible } from "./words.js";

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
  const [run, asked] = [state.run, stretchRequest()];
  const mine = ++newest;
  tell($("surprise-problem"), null);
  try {
    const answer = await post(runPath(run, "/surprise"), asked);
    if (state.run !== run || newest !== mine) return;
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
  text.fill(found.symbols, found.labels, found.bits.map(level), found.unseen);
  $("surprise-mean").textContent = t("surprise.mean", {
    bits: number(found.mean_bits, 2), even: number(2 ** (found.mean_bits ?? 0), 1), symbols: number(found.symbols.length),
  });
  show($("surprise-unseen"), found.unseen.length);
  $("surprise-unseen").textContent = t("surprise.unseen", {
    count: number(found.unseen.length), characters: [...new Set(found.unseen.map(([, character]) => visible(character)))].slice(0, 20).join(" "),
  });
  inspect(text.chosen);
  fillTop();
  setSurpriseCommand();
}

function context(place) {
  const before = found.symbols.slice(Math.max(0, place - AROUND), place).join("").replaceAll("\n", "↵");
  const after = found.symbols.slice(place + 1, place + 6).join("").replaceAll("\n", "↵");
  return element("bdi", { class: "context" }, before, element("mark", {}, symbolAt(place)), after);
}

const symbolAt = (place) => visible(found.labels[place] ?? found.symbols[place]);

function fillTop() {
  const counted = found.bits.map((bits, place) => [bits, place]).filter(([bits]) => bits !== null);
  const order = counted.sort((a, b) => b[0] - a[0]).slice(0, TOP);
  const rows = order.map(([bits, place]) => [
    context(place), number(bits, 1),
    found.alternatives[place].slice(0, 3).map(([symbol, chance]) => `${apart(symbol)} ${percent(chance)}`).join("  "),
  ]);
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
        symbol: apart(found.labels[place] ?? found.symbols[place]), bits: number(found.bits[place], 1),
        others: found.alternatives[place].slice(0, 3).map(([symbol, chance]) => `${apart(symbol)} ${percent(chance)}`).join(", "),
      })
    : "";
}

function setSurpriseCommand() {
  const stretch = stretchCommand();
  const read = `${stretch} | ricorda`;
  setCommand("surprise", stretch && [`${read} score ${runWord()} -`, `${read} influence ${runWord()} - --position ${Math.max(1, text.chosen)} --distance ${DISTANCE}${byGradient() ? " --gradient norm" : ""}`]);
}

// Somewhere worth looking at, near the beginning.
function mostSurprising() {
  const near = found.bits.slice(0, 300).map((bits) => bits ?? -1);
  return near.indexOf(Math.max(...near));
}

const byGradient = () => $("by-gradient").checked;

const lookBackSoon = paced(lookBack, 300);

async function lookBack(place) {
  const [run, read] = [state.run, found];
  if (place < 1) return;
  try {
    const answer = await post(runPath(run, "/influence"), { ...read.asked, position: place, gradient: byGradient() });
    if (state.run !== run || found !== read || text.chosen !== place) return;
    tell($("surprise-problem"), null);
    past = { place, ...answer };
    inspect(place);
  } catch (error) {
    tell($("surprise-problem"), error);
  }
}

// The past symbols that matter most to the chances at this place, in the order of the text.
function strongest(place, all, least, digits) {
  const order = [...all].sort((a, b) => b[2] - a[2]).slice(0, PAST).filter((each) => each[2] > least);
  const most = Math.max(...order.map((each) => each[2]), 1e-9);
  return order.sort((a, b) => a[0] - b[0]).map(([at, symbol, size]) => {
    const fill = element("span", { class: "bar-fill" });
    fill.style.width = `${(size / most) * 100}%`;
    return element("li", {},
      element("span", { class: "symbol" }, `−${number(place - at)} `, element("bdi", {}, visible(symbol))),
      element("span", { class: "bar-track", "aria-hidden": "true" }, fill),
      element("span", { class: "chance" }, number(size, digits)));
  });
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
    element("p", {}, bits === null ? t(place === 0 ? "surprise.first" : "surprise.after_unseen") : t("surprise.bits_of", { bits: number(bits, 2), chance: percent(2 ** -bits) })),
    rows.length ? element("h4", {}, t("surprise.expected")) : "",
    element("ol", { class: "expected" }, ...rows),
    ...fillPast(place),
  );
}
