// Units over a text as a picture: a row a unit, a column a symbol, a pixel each, enlarged by styles.
import { element } from "./dom.js";
import { number } from "./numbers.js";
import { apart, t } from "./words.js";

const ROW = 10; // pixels of the page
const COLUMN = 7;
const SHOWN = 240; // pixels of height at most
const MOVES = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageDown: [10, 0], PageUp: [-10, 0],
};
const COLOURS = { light: [[250, 250, 250], [224, 122, 31], [31, 122, 194]], dark: [[41, 41, 41], [250, 152, 66], [66, 158, 250]] };

const theme = () => {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
};

export class Heat {
  constructor(box, reading, onChoose) {
    this.box = box;
    this.reading = reading;
    this.onChoose = onChoose;
    this.canvas = element("canvas");
    this.cursor = element("span", { class: "heat-cursor" });
    this.place = { unit: 0, symbol: 0 };
    box.replaceChildren(this.canvas, this.cursor);
    this.canvas.addEventListener("pointermove", (event) => this.#read(this.#under(event)));
    this.canvas.addEventListener("click", (event) => this.#choose(this.#under(event)));
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    box.addEventListener("blur", () => this.reading.removeAttribute("aria-live"));
    addEventListener("theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  fill(units, symbols, levels) {
    if (levels.length !== units.length * symbols.length) return;
    Object.assign(this, { units, symbols, levels });
    this.box.style.height = `${Math.min(SHOWN, units.length * ROW) + 18}px`;
    Object.assign(this.canvas, { width: symbols.length, height: units.length });
    Object.assign(this.canvas.style, { width: `${symbols.length * COLUMN}px`, height: `${units.length * ROW}px` });
    this.draw();
  }

  draw() {
    if (!this.levels) return;
    const [ground, positive, negative] = COLOURS[theme()];
    const image = new ImageData(this.symbols.length, this.units.length);
    this.levels.forEach((level, cell) => {
      const colour = level > 0 ? positive : negative;
      for (const part of [0, 1, 2]) {
        image.data[4 * cell + part] = ground[part] + (Math.abs(level) / 127) * (colour[part] - ground[part]);
      }
      image.data[4 * cell + 3] = 255;
    });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    this.box.setAttribute("aria-label", t("inside.heat_label", { units: number(this.units.length), symbols: number(this.symbols.length) }));
    this.#moveTo(this.place);
  }

  #under(event) {
    return { unit: Math.floor(event.offsetY / ROW), symbol: Math.floor(event.offsetX / COLUMN) };
  }

  #moveTo({ unit, symbol }) {
    const within = (value, end) => Math.max(0, Math.min(end - 1, value));
    this.place = { unit: within(unit, this.units.length), symbol: within(symbol, this.symbols.length) };
    this.cursor.style.translate = `${this.place.symbol * COLUMN - 1}px ${this.place.unit * ROW - 1}px`;
    this.#read(this.place);
  }

  #read({ unit, symbol }) {
    if (!(unit in (this.units ?? [])) || !(symbol in this.symbols)) return;
    const context = this.symbols.slice(Math.max(0, symbol - 15), symbol + 1).join("").replaceAll("\n", "↵");
    this.reading.textContent = t("inside.heat_reading", {
      unit: this.units[unit].join(":"), symbol: apart(this.symbols[symbol]), context,
      value: number(this.levels[unit * this.symbols.length + symbol] / 127, 2),
    });
  }

  #choose({ unit, symbol }) {
    if (!(unit in (this.units ?? []))) return;
    const [layer, chosen] = this.units[unit];
    this.onChoose({ layer, unit: chosen }, symbol);
  }

  #key(event) {
    if (event.key === "Enter") this.#choose(this.place);
    const move = MOVES[event.key];
    if (!move || !this.levels) return;
    event.preventDefault();
    this.#moveTo({ unit: this.place.unit + move[0], symbol: this.place.symbol + move[1] });
    this.cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
