// One character's figures, for the pointer, a finger or the arrow keys.
import { drawDescribed } from "./chart.js";
import { $, bar, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { SymbolChooser } from "./symbols.js";

drawDescribed();
const figures = JSON.parse($("figures").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
const Numbers = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[figures.width];
const symbols = new Numbers(bytes(figures.symbols)); // rows of the symbol and its alternatives
const chances = new Uint16Array(bytes(figures.chances)); // rows of 65,535ths
const bits = new Uint16Array(bytes(figures.bits)); // hundredths; 65,535 where there is no figure
const count = figures.alternatives;

const text = $("text");
const inspector = $("inspector");
const content = inspector.querySelector(".content");
const notice = $("notice");
const characters = [...text.querySelectorAll("i")];
const size = (character) => Number(character.dataset.n || 1);
const begins = [];
characters.reduce((begin, character) => {
  begins.push(begin);
  return begin + size(character);
}, 0);

const bitsOf = (symbol) => (bits[symbol] === 65535 ? NaN : bits[symbol] / 100);
const chanceOf = (chance) => percent(chance).replace("%", " %"); // as the list beside it writes it
const oneIn = (amount) => {
  const many = 2 ** amount;
  return `1 in ${amount < 50 ? number(many, many < 10 ? 1 : 0) : `2^${amount.toFixed(0)}`}`;
};

// What was most likely in one symbol's place; the symbol itself is marked, and added if it is not
// among them.
const chancesAt = (symbol) => {
  const row = symbol * (count + 1);
  const list = [];
  for (let index = 0; index < count; index++) {
    const number = symbols[row + 1 + index];
    const chance = chances[symbol * count + index] / 65535;
    list.push({ label: figures.labels[number], chance, own: number === symbols[row] });
  }
  if (!list.some((entry) => entry.own)) {
    list.push({ label: figures.labels[symbols[row]], chance: 2 ** -bitsOf(symbol), own: true });
  }
  return list;
};

const chanceList = (symbol) => element("ol", { class: "expected" }, ...chancesAt(symbol).map(({ label, chance, own }) =>
  element("li", { class: own ? "this" : "" },
    element("bdi", {}, label), bar(chance), element("span", { class: "chance" }, chanceOf(chance)))));

const show = (place) => {
  const character = characters[place];
  const begin = begins[place];
  const end = begin + size(character);
  let total = 0;
  for (let symbol = begin; symbol < end; symbol++) total += bitsOf(symbol);
  const single = figures.labels[symbols[begin * (count + 1)]];
  const glyph = end - begin === 1 ? single : character.textContent;
  const noFigure = begin === 0
    ? ["the beginning", "nothing came before it"]
    : ["no figure", "it follows a character that the model never saw"];
  const facts = element("div", { class: "facts" },
    element("p", { class: glyph.length > 4 ? "glyph long" : "glyph" }, glyph),
    element("p", { class: "bits" }, Number.isNaN(total) ? noFigure[0] : `${total.toFixed(2)} bits`),
    element("p", { class: "muted" }, Number.isNaN(total) ? noFigure[1] : oneIn(total)));
  const parts = element("div", { class: "parts" });
  for (let symbol = begin; symbol < end; symbol++) {
    if (Number.isNaN(bitsOf(symbol)) || (count === 0 && end - begin === 1)) continue;
    const name = figures.labels[symbols[symbol * (count + 1)]];
    const own = end - begin > 1 ? `${name}: ${bitsOf(symbol).toFixed(2)} bits` : "Most likely here";
    parts.append(element("h3", {}, own), chanceList(symbol));
  }
  content.replaceChildren(facts, parts);
  const likeliest = content.querySelector(".expected li");
  const words = `${glyph}: ${content.querySelector(".bits").textContent}`;
  if (likeliest === null) return words;
  return `${words}; expected ${[...likeliest.children].map((each) => each.textContent).join(" ")}`;
};

// What is read out is of a character that was tapped or reached with the keys.
const chooser = new SymbolChooser(text, (place, settled) => {
  const words = show(place);
  if (settled) notice.textContent = words;
});
chooser.setSymbols(characters);
text.setAttribute("aria-label", "The text: the arrow keys go through its characters");
inspector.hidden = false;
inspector.tabIndex = 0; // it scrolls where the window is low
document.querySelector(".places")?.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link === null) return;
  event.preventDefault();
  const character = document.querySelector(link.hash);
  chooser.choose(characters.indexOf(character));
  text.focus({ preventScroll: true });
  character.scrollIntoView({ block: "center" });
});
