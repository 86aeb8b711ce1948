// Units over a text as a picture: a row a unit, a column a symbol. Only what is in sight is drawn.
import { number } from "./numbers.js";
import { postForBytes, runPath } from "./server.js";
import { apart, t } from "./words.js";

const ROW = 10; // pixels
const COLUMN = 7;
const SHOWN = 240; // pixels of height at most

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
};

export class Heat {
  constructor(box, reading, onChoose) {
    this.box = box;
    this.reading = reading;
    this.canvas = box.querySelector("canvas");
    this.inner = document.createElement("div");
    this.inner.className = "heat-inner";
    this.inner.append(this.canvas);
    box.replaceChildren(this.inner);
    this.place = { unit: 0, symbol: 0 };
    this.units = [];
    box.setAttribute("aria-label", t("inside.heat"));
    box.addEventListener("scroll", () => this.draw());
    this.canvas.addEventListener("pointermove", (event) => this.#read(this.#under(event)));
    this.canvas.addEventListener("click", (event) => {
      const found = this.#under(event);
      if (found) onChoose({ layer: this.units[found.unit][0], unit: this.units[found.unit][1] }, found.symbol);
    });
    box.addEventListener("keydown", (event) => this.#key(event, onChoose));
    box.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    box.addEventListener("blur", () => this.reading.removeAttribute("aria-live"));
    new ResizeObserver(() => this.draw()).observe(box);
    addEventListener("theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  async fill(units, symbols, request, run) {
    const levels = await postForBytes(runPath(run, "/heat"), { ...request, units });
    if (levels.length !== units.length * symbols.length) return;
    Object.assign(this, { units, symbols, levels });
    this.place = { unit: Math.min(this.place.unit, units.length - 1), symbol: Math.min(this.place.symbol, symbols.length - 1) };
    this.inner.style.width = `${symbols.length * COLUMN}px`;
    this.inner.style.height = `${units.length * ROW}px`;
    this.box.style.height = `${Math.min(SHOWN, units.length * ROW) + 18}px`;
    this.draw();
  }

  draw() {
    if (!this.levels || !this.box.clientWidth) return;
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.box;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: clientWidth * ratio, height: clientHeight * ratio });
    Object.assign(this.canvas.style, { width: `${clientWidth}px`, height: `${clientHeight}px` });
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const dark = isDark();
    const firstSymbol = Math.floor(scrollLeft / COLUMN);
    const firstUnit = Math.floor(scrollTop / ROW);
    const lastSymbol = Math.min(this.symbols.length, Math.ceil((scrollLeft + clientWidth) / COLUMN));
    const lastUnit = Math.min(this.units.length, Math.ceil((scrollTop + clientHeight) / ROW));
    for (let unit = firstUnit; unit < lastUnit; unit++) {
      for (let symbol = firstSymbol; symbol < lastSymbol; symbol++) {
        const value = this.levels[unit * this.symbols.length + symbol] / 127;
        const light = dark ? 16 + 46 * Math.abs(value) : 98 - 48 * Math.abs(value);
        pen.fillStyle = `hsl(${value > 0 ? 28 : 208} ${20 + 60 * Math.abs(value)}% ${light}%)`;
        pen.fillRect(symbol * COLUMN - scrollLeft, unit * ROW - scrollTop, COLUMN, ROW - 1);
      }
    }
    pen.strokeStyle = dark ? "#fff" : "#000";
    pen.lineWidth = 1.5;
    pen.strokeRect(this.place.symbol * COLUMN - scrollLeft - 1, this.place.unit * ROW - scrollTop - 1, COLUMN + 2, ROW + 1);
    this.box.setAttribute("aria-label", t("inside.heat_label", { units: number(this.units.length), symbols: number(this.symbols.length) }));
    this.#read(null);
  }

  #under(event) {
    if (!this.levels) return null;
    const frame = this.box.getBoundingClientRect();
    const symbol = Math.floor((event.clientX - frame.left + this.box.scrollLeft) / COLUMN);
    const unit = Math.floor((event.clientY - frame.top + this.box.scrollTop) / ROW);
    return symbol < this.symbols.length && unit < this.units.length ? { unit, symbol } : null;
  }

  #read(place) {
    const { unit, symbol } = place ?? this.place;
    const context = this.symbols.slice(Math.max(0, symbol - 15), symbol + 1).join("").replaceAll("\n", "↵");
    this.reading.textContent = t("inside.heat_reading", {
      unit: this.units[unit].join(":"), symbol: apart(this.symbols[symbol]), context,
      value: number(this.levels[unit * this.symbols.length + symbol] / 127, 2),
    });
  }

  #key(event, onChoose) {
    if (!this.levels) return;
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], PageDown: [10, 0], PageUp: [-10, 0] };
    if (event.key === "Enter") {
      const [layer, unit] = this.units[this.place.unit];
      onChoose({ layer, unit }, this.place.symbol);
      return;
    }
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const within = (value, end) => Math.max(0, Math.min(end - 1, value));
    this.place = {
      unit: within(this.place.unit + move[0], this.units.length),
      symbol: within(this.place.symbol + move[1], this.symbols.length),
    };
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.box;
    const x = this.place.symbol * COLUMN;
    const y = this.place.unit * ROW;
    if (x < scrollLeft || x > scrollLeft + clientWidth - COLUMN) this.box.scrollLeft = x - clientWidth / 2;
    if (y < scrollTop || y > scrollTop + clientHeight - ROW) this.box.scrollTop = y - clientHeight / 2;
    this.draw();
  }
}
