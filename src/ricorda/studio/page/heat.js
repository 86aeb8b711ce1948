// Units over a text as a picture: a row a unit, with its name beside it, a column a symbol, with its
// text below; a pixel of the canvas each, enlarged by styles.
import { element } from "./dom.js";
import { number } from "./numbers.js";
import { apart, t } from "./words.js";

const ROW = 16; // pixels of the page
const COLUMN = 11;
const SHOWN = 352; // pixels of height of the rows at most
const MOVES = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageDown: [10, 0], PageUp: [-10, 0],
  Home: [0, -Infinity], End: [0, Infinity],
};

// The styles' colours of 0, of 1 and of -1, which the theme chooses.
function coloursOf(canvas) {
  const style = getComputedStyle(canvas);
  return [style.backgroundColor, style.color, style.borderTopColor].map((colour) => colour.match(/[\d.]+/g).map(Number));
}

const within = (value, end) => Math.max(0, Math.min(end - 1, value));
const inOneColumn = (text) => text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "\u00a0");

export class Heat {
  constructor(box, reading, onChoose) {
    this.box = box;
    this.reading = reading;
    this.onChoose = onChoose;
    this.canvas = element("canvas");
    this.cursor = element("span", { class: "heat-cursor" });
    this.names = element("div", { class: "heat-names", "aria-hidden": "true" });
    this.text = element("div", { class: "heat-text", "aria-hidden": "true" });
    this.place = { unit: 0, symbol: 0 };
    box.replaceChildren(this.names, element("div", { class: "heat-cells" }, this.canvas, this.cursor),
      element("div", { class: "heat-corner" }), this.text);
    this.canvas.addEventListener("pointermove", (event) => this.#read(this.#under(event)));
    this.canvas.addEventListener("pointerleave", () => this.#read(this.place));
    this.canvas.addEventListener("click", (event) => this.#choose(this.#under(event)));
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    box.addEventListener("blur", () => this.reading.removeAttribute("aria-live"));
    addEventListener("theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // units: [[layer, number, name]], the name what it tracks; symbols: what stands under the columns;
  // levels: -127 to 127, by unit; of units without bounds, x / (1 + |x|)
  fill(units, symbols, levels, bounded) {
    if (levels.length !== units.length * symbols.length) return;
    Object.assign(this, { units, symbols, levels, bounded });
    Object.assign(this.canvas, { width: symbols.length, height: units.length });
    Object.assign(this.canvas.style, { width: `${symbols.length * COLUMN}px`, height: `${units.length * ROW}px` });
    this.#fillText();
    this.draw();
  }

  // Forget an earlier run's units.
  clear() {
    Object.assign(this, { units: null, symbols: [], levels: null, place: { unit: 0, symbol: 0 } });
    this.names.replaceChildren();
    this.text.replaceChildren();
    Object.assign(this.canvas, { width: 0, height: 0 });
    Object.assign(this.canvas.style, { width: "0", height: "0" });
    this.reading.textContent = "";
  }

  #fillText() {
    const isLong = this.symbols.some((symbol) => [...symbol].length > 1);
    this.text.className = isLong ? "heat-text long" : "heat-text";
    this.text.replaceChildren(...this.symbols.map((symbol) => element("bdi", {}, inOneColumn(symbol))));
    const below = isLong ? 92 : 24; // its height, and that of a scroll bar
    this.box.style.maxHeight = `${SHOWN + below}px`;
  }

  // Another language changes the names, another theme the colours.
  draw(units = this.units) {
    if (!this.levels || units.length !== this.units.length) return;
    this.units = units;
    this.names.replaceChildren(...units.map(([layer, unit, name]) =>
      element("span", {}, element("b", {}, `${layer}:${unit}`), " ", element("span", { class: "heat-feature" }, name))));
    this.#paint();
    this.box.setAttribute("aria-label", t("inside.heat_label", { units: number(units.length), symbols: number(this.symbols.length) }));
    this.#moveTo(this.place);
  }

  #paint() {
    const [ground, positive, negative] = coloursOf(this.canvas);
    const image = new ImageData(this.symbols.length, this.units.length);
    this.levels.forEach((level, cell) => {
      const colour = level > 0 ? positive : negative;
      for (const part of [0, 1, 2]) {
        image.data[4 * cell + part] = ground[part] + (Math.abs(level) / 127) * (colour[part] - ground[part]);
      }
      image.data[4 * cell + 3] = 255;
    });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  #under(event) {
    return { unit: Math.floor(event.offsetY / ROW), symbol: Math.floor(event.offsetX / COLUMN) };
  }

  #moveTo({ unit, symbol }) {
    this.place = { unit: within(unit, this.units.length), symbol: within(symbol, this.symbols.length) };
    this.cursor.style.translate = `${this.place.symbol * COLUMN - 1}px ${this.place.unit * ROW - 1}px`;
    this.#read(this.place);
  }

  #read({ unit, symbol }) {
    if (!(unit in (this.units ?? [])) || !(symbol in this.symbols)) return;
    const context = this.symbols.slice(Math.max(0, symbol - 15), symbol + 1).join("").replaceAll("\n", "↵");
    const [layer, chosen, name] = this.units[unit];
    const level = this.levels[unit * this.symbols.length + symbol];
    this.reading.textContent = t("inside.heat_reading", {
      unit: `${layer}:${chosen}`, name, symbol: apart(this.symbols[symbol].replace("\n", "↵")), context,
      value: number(level / (this.bounded ? 127 : 128 - Math.abs(level)), 2),
    });
    this.#mark(unit, symbol);
  }

  // Emphasize the name of the row and the text of the column.
  #mark(unit, symbol) {
    for (const marked of this.box.querySelectorAll(".here")) marked.classList.remove("here");
    this.names.children[unit]?.classList.add("here");
    this.text.children[symbol]?.classList.add("here");
  }

  #choose({ unit, symbol }) {
    if (!(unit in (this.units ?? [])) || !(symbol in this.symbols)) return;
    this.#moveTo({ unit, symbol });
    const [layer, chosen] = this.units[unit];
    this.onChoose({ layer, unit: chosen }, symbol);
  }

  #key(event) {
    if (event.key === "Enter") this.#choose(this.place);
    const move = MOVES[event.key];
    if (!move || !this.levels || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#moveTo({ unit: this.place.unit + move[0], symbol: this.place.symbol + move[1] });
    this.#reveal();
  }

  // Scroll the box, and not the page, until the cell is beside the names and above the text.
  #reveal() {
    const { unit, symbol } = this.place;
    const [width, height] = [this.box.clientWidth - this.names.offsetWidth, this.box.clientHeight - this.text.offsetHeight];
    const [left, top] = [symbol * COLUMN, unit * ROW];
    this.box.scrollLeft = Math.max(left + COLUMN - width, Math.min(left, this.box.scrollLeft));
    this.box.scrollTop = Math.max(top + ROW - height, Math.min(top, this.box.scrollTop));
  }
}
