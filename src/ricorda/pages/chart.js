// A line chart as SVG: curves, level lines, a marked point, a cursor for the pointer and the keys.
import { element, svg } from "./dom.js";
import { number, short } from "./numbers.js";

const MARGIN = { left: 58, top: 12, bottom: 12 };
const ROW = 20; // pixels of one row of names under the plot
const TICK = 45; // pixels between two names of the vertical axis, about
const WIDE = 560; // pixels from which there is room for names beside the level lines
const LARGE = 10_000; // values from which on the vertical axis writes short numbers
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

// About `count` round values (1, 2 or 5 times a power of ten) within low and high.
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => power * factor).find((each) => each >= rough * 0.999);
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

const decimals = (values) =>
  values.length < 2 ? 1 : Math.max(0, Math.min(6, -Math.floor(Math.log10(values[1] - values[0]) + 1e-9)));
const isFinitePoint = ([, y]) => Number.isFinite(y);

// The lowest and the highest value shown, with a little room.
function range(chart, values) {
  const high = Math.min(Math.max(...values), chart.top ?? Infinity);
  const low = chart.low ?? Math.min(...values);
  const margin = high > low ? (high - low) * 0.06 : Math.abs(high) / 2 || 1;
  return [chart.low ?? low - margin, high + margin];
}

export class LineChart {
  // describe(): the chart as it is now
  //   label, words: what it shows, for the keyboard's help and in a sentence; empty: in place of no curve
  //   series: [{ name, kind: line, dotted or compared0 to compared5, points: [[x, y]] }]
  //   levels: [{ name, value, dash }]; mark: [x, y, text]; readings: [[x, text]], read out by the cursor
  //   axes: [[name, (x) => text]] or [[name, [[x, text]]]], a row under the plot each
  //   height in pixels; low, top: the ends of the vertical axis, where they are not the values' own
  constructor(place, describe) {
    this.describe = describe;
    this.reading = element("p", { class: "reading" });
    this.legend = element("ul", { class: "legend" });
    this.plot = element("div", { class: "plot", tabindex: "0", role: "group" });
    place.replaceChildren(this.legend, this.reading, this.plot);
    this.current = null;
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerdown", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.#choose(null));
    this.plot.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    this.plot.addEventListener("blur", () => {
      this.reading.removeAttribute("aria-live");
      this.#choose(null);
    });
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  draw() {
    const chart = this.describe();
    const points = chart.series.flatMap((series) => series.points).filter(isFinitePoint);
    const levels = chart.levels ?? [];
    const width = this.plot.clientWidth;
    this.chart = chart;
    this.plot.setAttribute("aria-label", chart.label);
    if (!points.length || width < 80) {
      this.plot.replaceChildren(element("p", { class: "muted" }, chart.empty ?? ""));
      this.legend.replaceChildren();
      return;
    }
    const right = width > WIDE && levels.length ? 118 : 10;
    const [low, high] = range(chart, [...points.map(([, y]) => y), ...levels.map((level) => level.value)]);
    const [area, below] = [{ width: width - MARGIN.left - right, height: chart.height }, MARGIN.bottom + ROW * chart.axes.length];
    this.last = Math.max(...points.map(([x]) => x), chart.readings.at(-1)?.[0] ?? 0, 1e-9);
    this.area = area;
    this.x = (value) => MARGIN.left + (area.width * value) / this.last;
    this.y = (value) => MARGIN.top + (area.height * (high - value)) / (high - low);
    this.cursor = this.#line("cursor", 0, MARGIN.top, 0, MARGIN.top + area.height);
    this.cursor.setAttribute("visibility", "hidden");
    this.plot.replaceChildren(svg("svg", { width, height: area.height + MARGIN.top + below, role: "img", "aria-label": chart.words },
      ...this.#grid(chart, low, high), ...this.#levels(levels, right > 20), this.#curves(chart),
      ...this.#dots(chart, low, high), ...this.#mark(chart.mark), this.cursor));
    this.#fillLegend(chart, levels);
    this.#choose(this.current);
  }

  #line = (name, x1, y1, x2, y2) => svg("line", { class: name, x1, y1, x2, y2 });

  #text(text, x, y, anchor = "start", name = "") {
    return svg("text", { class: name, x, y, "text-anchor": anchor }, text);
  }

  #grid(chart, low, high) {
    const { width, height } = this.area;
    const end = MARGIN.left + width;
    const values = ticks(low, high, Math.max(2, height / TICK));
    const large = Math.max(...values.map(Math.abs)) >= LARGE;
    const shapes = values.flatMap((value) => [
      this.#line("grid", MARGIN.left, this.y(value), end, this.y(value)),
      this.#text(large ? short(value) : number(value, decimals(values)), MARGIN.left - 8, this.y(value) + 4, "end"),
    ]);
    shapes.push(this.#line("base", MARGIN.left, MARGIN.top + height, end, MARGIN.top + height));
    chart.axes.forEach(([name, text], row) => {
      const y = MARGIN.top + height + ROW * (row + 1);
      if (name) shapes.push(this.#text(name, MARGIN.left - 8, y, "end"));
      const named = typeof text === "function"
        ? ticks(0, this.last, Math.max(2, Math.min(6, Math.floor(width / 60)))).slice(1).map((x) => [x, text(x)])
        : text;
      shapes.push(...named.map(([x, written]) => this.#text(written, this.x(x), y, "middle")));
    });
    return shapes;
  }

  #levels(levels, named) {
    const end = MARGIN.left + this.area.width;
    let free = -Infinity;
    return [...levels].sort((a, b) => b.value - a.value).flatMap(({ name, value, dash }) => {
      const line = this.#line("level", MARGIN.left, this.y(value), end, this.y(value));
      line.setAttribute("stroke-dasharray", dash);
      if (!named) return [line];
      const y = Math.max(this.y(value) + 4, free);
      free = y + 15;
      return [line, this.#text(name, end + 8, y, "start", "level-name")];
    });
  }

  // In a drawing of its own, which cuts off what is above the top.
  #curves(chart) {
    const { width, height } = this.area;
    const paths = chart.series.map(({ kind, points }) => {
      let gap = true;
      const path = points.map((point) => {
        const move = isFinitePoint(point) ? (gap ? "M" : "L") : "";
        gap = !move;
        return move && `${move}${(this.x(point[0]) - MARGIN.left).toFixed(1)} ${(this.y(point[1]) - MARGIN.top).toFixed(1)}`;
      });
      return svg("path", { class: `curve ${kind}`, d: path.join("") });
    });
    return svg("svg", { x: MARGIN.left, y: MARGIN.top, width, height }, ...paths);
  }

  // A dot at each point of a dotted series, and at a point that stands alone.
  #dots(chart, low, high) {
    return chart.series.flatMap(({ kind, points }) => {
      const finite = points.filter(isFinitePoint);
      if (kind !== "dotted" && finite.length > 1) return [];
      return finite.filter(([, y]) => y >= low && y <= high)
        .map(([x, y]) => svg("circle", { class: `dot ${kind}`, cx: this.x(x), cy: this.y(y), r: 3.5 }));
    });
  }

  // A ring around a point, and a line up to its text.
  #mark(mark) {
    if (!mark || !isFinitePoint(mark)) return [];
    const [x, y] = [this.x(mark[0]), Math.max(MARGIN.top, this.y(mark[1]))];
    const side = mark[0] > this.last / 2 ? -1 : 1;
    return [
      this.#line("marked", x, MARGIN.top, x, y),
      svg("circle", { class: "marked", cx: x, cy: y, r: 7 }),
      this.#text(mark[2], x + 8 * side, MARGIN.top + 12, side < 0 ? "end" : "start", "marked"),
    ];
  }

  #fillLegend(chart, levels) {
    const sample = (shape, dotted) => svg("svg", { viewBox: "0 0 32 12", "aria-hidden": "true" },
      svg("path", { d: "M1 6H31", ...shape }), ...(dotted ? [svg("circle", { class: "dot dotted", cx: 16, cy: 6, r: 3.5 })] : []));
    const keys = [
      ...chart.series.map(({ kind, name }) => [sample({ class: `curve ${kind}` }, kind === "dotted"), name]),
      ...levels.map(({ name, value, dash }) => [sample({ class: "level", "stroke-dasharray": dash }), `${name}: ${number(value, 2)}`]),
    ];
    this.legend.replaceChildren(...(keys.length < 2 ? [] : keys).map((key) => element("li", {}, ...key)));
  }

  #point(event) {
    if (!this.area || !this.chart.readings.length) return;
    const place = event.clientX - this.plot.getBoundingClientRect().left;
    const distances = this.chart.readings.map(([x]) => Math.abs(this.x(x) - place));
    this.#choose(distances.indexOf(distances.reduce((one, other) => Math.min(one, other))));
  }

  #key(event) {
    const last = (this.chart?.readings.length ?? 0) - 1;
    if (!(event.key in STEPS) || last < 0) return;
    event.preventDefault();
    this.#choose(Math.max(0, Math.min(last, (this.current ?? last) + STEPS[event.key])));
  }

  // Read a place out; null is the last one, without the cursor.
  #choose(index) {
    this.current = index;
    const [x, text] = this.chart?.readings.at(index ?? -1) ?? [0, ""];
    this.reading.textContent = text;
    if (!this.cursor) return;
    this.cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
    this.cursor.setAttribute("x1", this.x(x));
    this.cursor.setAttribute("x2", this.x(x));
  }
}

// Draw every chart that a document describes in an attribute.
export function drawDescribed() {
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const chart = JSON.parse(figure.dataset.chart);
    new LineChart(figure.querySelector(".drawing"), () => chart);
  }
}
