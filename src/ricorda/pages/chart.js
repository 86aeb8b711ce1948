// A line chart as SVG: curves, level lines, marked points, a cursor for the pointer and the keys.
import { ChartTools, ChartView } from "./chart_view.js";
import { element, setText, svg } from "./dom.js";
import { number, short } from "./numbers.js";
import { averaged, extent, Scale } from "./scales.js";

const MARGIN = { left: 58, top: 12, bottom: 12 };
const ROW = 20; // pixels of one row of names under the plot
const TICK = 45; // pixels between two names of the vertical axis, about
const WIDE = 560; // pixels from which there is room for names beside the level lines
const LARGE = 10_000; // values from which on the vertical axis writes short numbers
const DRAGGED = 6; // pixels that make a drag of a click
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
const ZOOMS = { "+": "closer", "=": "closer", "-": "farther", 0: "whole" };

const decimals = (step) => Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
const isFinitePoint = ([, y]) => Number.isFinite(y);

// The vertical scale: from the lowest to the highest value shown, with a little room.
function verticalScale(chart, values, view) {
  const usable = view.logY ? values.filter((value) => value > 0) : values;
  const [least, most] = extent(usable);
  const isLog = view.logY && least > 0;
  const isWhole = view.shown === null;
  const high = isWhole ? Math.min(most, chart.top ?? Infinity) : most;
  if (isLog) return new Scale(least / 1.06, Math.max(high, least) * 1.06, true);
  const given = isWhole ? chart.low ?? null : null;
  const low = given ?? least;
  const margin = high > low ? (high - low) * 0.06 : Math.abs(high) / 2 || 1;
  return new Scale(given ?? low - margin, high + margin);
}

// The horizontal scale of the whole chart: from 0, or from the first place that has a logarithm.
function wholeScale(places, view) {
  const last = Math.max(extent(places)[1], 1e-9);
  const first = view.logX ? extent(places.filter((place) => place > 0))[0] : 0;
  return first > 0 && first < last ? new Scale(first, last, true) : new Scale(0, last);
}

export class LineChart {
  // describe(): the chart as it is now
  //   label, words: what it shows, for the keyboard's help and in a sentence; empty: in place of no curve
  //   series: [{ name, kind: line, dotted or compared0 to compared5, points: [[x, y]], rough: whether it
  //     can be smoothed }]
  //   levels: [{ name, value, dash }]; mark: [x, y, text]; readings: [[x, text or () => text]], read out by the cursor
  //   borders: [[x, text]], lines from the top to the bottom
  //   axes: [[name, (x) => text]], a row under the plot each
  //   end: the least end of the horizontal axis; isBesideNames: whether the plot ends where that of a
  //     chart with named levels does
  //   height in pixels; low, top: the ends of the vertical axis, where they are not the values' own
  //   tools: the names of the controls, as in ChartTools; null: none, and no zoom of its own
  constructor(place, describe, view = new ChartView()) {
    this.describe = describe;
    this.view = view;
    view.charts.add(this);
    this.reading = element("p", { class: "reading" });
    this.legend = element("ul", { class: "legend" });
    this.plot = element("div", { class: "plot", tabindex: "0", role: "group" });
    this.tools = new ChartTools(this);
    place.replaceChildren(this.tools.box, this.legend, this.reading, this.plot);
    this.current = null; // the index of the reading at the cursor
    this.dragged = null; // { pixel, from, to }: where a drag began, and the values that it selects
    this.width = 0;
    this.keys = "[]"; // of the legend
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerdown", (event) => this.#press(event));
    this.plot.addEventListener("pointerup", (event) => this.#release(event));
    this.plot.addEventListener("pointercancel", () => this.#endDrag());
    this.plot.addEventListener("pointerleave", () => this.dragged === null && this.#choose(null));
    this.plot.addEventListener("dblclick", () => this.zoom("whole"));
    this.plot.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    this.plot.addEventListener("blur", () => {
      this.reading.removeAttribute("aria-live");
      this.#choose(null);
    });
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resize()).observe(this.plot);
  }

  // The width is measured here alone, where the layout is known: a drawing that asks for it would force
  // another layout.
  #resize() {
    if (this.width === this.plot.clientWidth) return;
    this.width = this.plot.clientWidth;
    this.draw();
  }

  draw() {
    const chart = this.describe();
    const current = this.#found(chart.readings);
    const points = chart.series.flatMap((series) => series.points).filter(isFinitePoint);
    const levels = chart.levels ?? [];
    const { width } = this;
    this.chart = chart;
    this.plot.setAttribute("aria-label", chart.label);
    if (!points.length || width < 80) {
      this.area = null;
      this.plot.replaceChildren(element("p", { class: "muted" }, chart.empty ?? ""));
      this.#fillLegend({ series: [] }, []);
      this.tools.fill(null);
      return;
    }
    const right = width > WIDE && (levels.length || chart.isBesideNames) ? 118 : 10;
    this.area = { width: width - MARGIN.left - right, height: chart.height };
    this.#setScales(chart, points, levels);
    this.cursor = this.#line("cursor", 0, MARGIN.top, 0, MARGIN.top + chart.height);
    this.cursor.setAttribute("visibility", "hidden");
    this.selection = svg("rect", { class: "selection", y: MARGIN.top, height: chart.height, visibility: "hidden" });
    const below = MARGIN.bottom + ROW * chart.axes.length;
    this.plot.replaceChildren(svg("svg", { width, height: chart.height + MARGIN.top + below, role: "img", "aria-label": chart.words },
      this.selection, ...this.#grid(chart), ...this.#levels(levels, right > 20), ...this.#borders(chart), this.#curves(chart),
      ...this.#dots(chart), ...this.#mark(chart.mark), this.cursor));
    this.#fillLegend(chart, levels);
    this.tools.fill(chart.tools, chart.axes[0][1]);
    this.#choose(current);
    this.#showSelection();
  }

  // Where the reading at the cursor is among other readings: at the same place, else as the same one by number.
  #found(readings) {
    const before = this.chart?.readings ?? [];
    if (this.current === null || !before[this.current]) return null;
    const [x] = before[this.current];
    const first = (list) => list.findIndex(([place]) => place === x);
    const found = first(readings);
    const index = found < 0 ? this.current : found + this.current - first(before);
    return index < readings.length ? index : null;
  }

  #setScales(chart, points, levels) {
    const { view } = this;
    this.whole = wholeScale([...points.map(([x]) => x), ...chart.readings.map(([x]) => x), chart.end ?? 0], view);
    this.across = view.shown ? new Scale(...view.shown, this.whole.isLog) : this.whole;
    const seen = points.filter(([x]) => this.across.contains(x));
    const values = (seen.length ? seen : points).map(([, y]) => y);
    const more = view.shown ? [] : levels.map((level) => level.value);
    this.up = verticalScale(chart, [...values, ...more], view);
    this.x = (value) => MARGIN.left + this.area.width * this.across.place(value);
    this.y = (value) => MARGIN.top + this.area.height * (1 - this.up.place(value));
  }

  // closer, farther or whole
  zoom(way) {
    if (!this.area || !this.chart.tools) return;
    if (way === "whole") return this.view.change({ shown: null });
    const { low, high } = this.across;
    const middle = this.across.value(0.5);
    const place = this.current === null ? middle : Math.max(low, Math.min(high, this.chart.readings[this.current]?.[0] ?? middle));
    this.view[way](this.whole, place);
  }

  #line = (name, x1, y1, x2, y2) => svg("line", { class: name, x1, y1, x2, y2 });

  #text(text, x, y, anchor = "start", name = "") {
    return svg("text", { class: name, x, y, "text-anchor": anchor }, text);
  }

  #grid(chart) {
    const { width, height } = this.area;
    const end = MARGIN.left + width;
    const values = this.up.ticks(Math.max(2, height / TICK));
    const large = Math.max(...values.map(Math.abs)) >= LARGE;
    const step = values.length < 2 ? 0.1 : values[1] - values[0];
    const shapes = values.flatMap((value) => [
      this.#line("grid", MARGIN.left, this.y(value), end, this.y(value)),
      this.#text(large ? short(value) : number(value, decimals(step)), MARGIN.left - 8, this.y(value) + 4, "end"),
    ]);
    shapes.push(this.#line("base", MARGIN.left, MARGIN.top + height, end, MARGIN.top + height));
    const places = this.across.ticks(Math.max(2, Math.min(6, Math.floor(width / 60)))).filter((x) => x > 0);
    chart.axes.forEach(([name, text], row) => {
      const y = MARGIN.top + height + ROW * (row + 1);
      if (name) shapes.push(this.#text(name, MARGIN.left - 8, y, "end"));
      shapes.push(...places.map((x) => this.#text(text(x), this.x(x), y, "middle")));
    });
    return shapes;
  }

  // Names stand beside the plot, or where it is narrow at the end of each line.
  #levels(levels, beside) {
    const end = MARGIN.left + this.area.width;
    let free = -Infinity;
    return [...levels].filter((level) => this.up.contains(level.value)).sort((a, b) => b.value - a.value).flatMap(({ name, value, dash }) => {
      const line = this.#line("level", MARGIN.left, this.y(value), end, this.y(value));
      line.setAttribute("stroke-dasharray", dash);
      const y = Math.max(this.y(value) + (beside ? 4 : -4), free);
      free = y + 15;
      const text = beside ? this.#text(name, end + 8, y, "start", "level-name") : this.#text(name, end - 4, y, "end", "level-name within");
      return [line, text];
    });
  }

  #borders(chart) {
    return (chart.borders ?? []).filter(([x]) => this.across.contains(x)).flatMap(([x, text]) => {
      const side = this.across.place(x) > 0.5 ? -1 : 1;
      return [
        this.#line("border", this.x(x), MARGIN.top, this.x(x), MARGIN.top + this.area.height),
        this.#text(text, this.x(x) + 6 * side, MARGIN.top + this.area.height - 8, side < 0 ? "end" : "start", "within"),
      ];
    });
  }

  // In a drawing of its own, which cuts off what is above the top. A smoothed curve has the rough one
  // behind it.
  #curves(chart) {
    const { width, height } = this.area;
    const weight = this.view.smoothing;
    const paths = chart.series.flatMap(({ kind, points, rough }) =>
      rough && weight > 0
        ? [this.#path(`curve ${kind} raw`, points), this.#path(`curve ${kind}`, averaged(points, weight))]
        : [this.#path(`curve ${kind}`, points)]);
    return svg("svg", { x: MARGIN.left, y: MARGIN.top, width, height }, ...paths);
  }

  #path(name, points) {
    let gap = true;
    const path = points.map(([x, y]) => {
      const move = this.across.has(x) && this.up.has(y) ? (gap ? "M" : "L") : "";
      gap = !move;
      return move && `${move}${(this.x(x) - MARGIN.left).toFixed(1)} ${(this.y(y) - MARGIN.top).toFixed(1)}`;
    });
    return svg("path", { class: name, d: path.join("") });
  }

  // A dot at each point of a dotted series, and at a point that stands alone.
  #dots(chart) {
    return chart.series.flatMap(({ kind, points }) => {
      const finite = points.filter(isFinitePoint);
      if (kind !== "dotted" && finite.length > 1) return [];
      return finite.filter(([x, y]) => this.across.contains(x) && this.up.contains(y))
        .map(([x, y]) => svg("circle", { class: `dot ${kind}`, cx: this.x(x), cy: this.y(y), r: 3.5 }));
    });
  }

  // A ring around a point, and a line up to its text.
  #mark(mark) {
    if (!mark || !isFinitePoint(mark) || !this.across.contains(mark[0])) return [];
    const [x, y] = [this.x(mark[0]), Math.max(MARGIN.top, this.y(mark[1]))];
    const side = this.across.place(mark[0]) > 0.5 ? -1 : 1;
    return [
      this.#line("marked", x, MARGIN.top, x, y),
      svg("circle", { class: "marked", cx: x, cy: y, r: 7 }),
      this.#text(mark[2], x + 8 * side, MARGIN.top + 12, side < 0 ? "end" : "start", "marked"),
    ];
  }

  #fillLegend(chart, levels) {
    const sample = (shape, dotted) => svg("svg", { viewBox: "0 0 32 12", "aria-hidden": "true" },
      svg("path", { d: "M1 6H31", ...shape }), ...(dotted ? [svg("circle", { class: "dot dotted", cx: 16, cy: 6, r: 3.5 })] : []));
    const all = [
      ...chart.series.map(({ kind, name }) => [{ class: `curve ${kind}` }, kind === "dotted", name]),
      ...levels.map(({ name, value, dash }) => [{ class: "level", "stroke-dasharray": dash }, false, `${name}: ${number(value, 2)}`]),
    ];
    const keys = all.length < 2 ? [] : all;
    if (this.keys === JSON.stringify(keys)) return; // most drawings only have more points
    this.keys = JSON.stringify(keys);
    this.legend.replaceChildren(...keys.map(([shape, dotted, name]) => element("li", {}, sample(shape, dotted), name)));
  }

  #pixel = (event) => event.clientX - this.plot.getBoundingClientRect().left;

  // The value under a pixel, within what is shown.
  #valueAt = (pixel) => this.across.value(Math.max(0, Math.min(1, (pixel - MARGIN.left) / this.area.width)));

  // A mouse or a pen selects a part by dragging; a finger reads values.
  #press(event) {
    this.#point(event);
    if (!this.area || !this.chart.tools || event.pointerType === "touch" || event.button !== 0) return;
    const pixel = this.#pixel(event);
    const value = this.#valueAt(pixel);
    this.dragged = { pixel, from: value, to: value };
    this.plot.setPointerCapture(event.pointerId);
  }

  #release(event) {
    if (this.dragged === null) return;
    const { pixel, from } = this.dragged;
    this.dragged = null;
    this.#showSelection();
    if (!this.area || Math.abs(pixel - this.#pixel(event)) < DRAGGED) return;
    this.view.select(this.whole, from, this.#valueAt(this.#pixel(event)));
  }

  #endDrag() {
    this.dragged = null;
    this.#showSelection();
  }

  // What a drag selects: values, which keep their meaning when the chart is drawn on another scale meanwhile.
  #showSelection() {
    if (!this.area) return;
    this.selection.setAttribute("visibility", this.dragged ? "visible" : "hidden");
    if (!this.dragged) return;
    const { low, high } = this.across;
    const ends = [this.dragged.from, this.dragged.to].map((value) => Math.max(low, Math.min(high, value)));
    const [from, to] = ends.map(this.x).sort((a, b) => a - b);
    this.selection.setAttribute("x", from);
    this.selection.setAttribute("width", to - from);
  }

  #point(event) {
    if (!this.area || !this.chart.readings.length) return;
    const pixel = this.#pixel(event);
    if (this.dragged !== null) {
      this.dragged.to = this.#valueAt(pixel);
      this.#showSelection();
    }
    let [nearest, least] = [null, Infinity];
    this.chart.readings.forEach(([x], index) => {
      const distance = this.across.contains(x) ? Math.abs(this.x(x) - pixel) : Infinity;
      if (distance < least) [nearest, least] = [index, distance];
    });
    this.#choose(nearest);
  }

  #key(event) {
    const last = (this.chart?.readings.length ?? 0) - 1;
    if (!this.area || last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ZOOMS && this.chart.tools) {
      event.preventDefault();
      this.zoom(ZOOMS[event.key]);
    }
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    this.current = Math.max(0, Math.min(last, (this.current ?? last) + STEPS[event.key]));
    const [x] = this.chart.readings[this.current];
    if (this.across.contains(x) || !this.whole.contains(x)) this.#choose(this.current);
    else this.view.reveal(this.whole, x);
  }

  // Read a place out; null is the last one, without the cursor.
  #choose(index) {
    this.current = index;
    const [x, text] = this.chart?.readings.at(index ?? -1) ?? [0, ""];
    setText(this.reading, typeof text === "function" ? text() : text);
    if (!this.cursor) return;
    const seen = index !== null && this.across.contains(x);
    this.cursor.setAttribute("visibility", seen ? "visible" : "hidden");
    if (!seen) return;
    this.cursor.setAttribute("x1", this.x(x));
    this.cursor.setAttribute("x2", this.x(x));
  }
}

// How a document's axis writes a number.
const FORMATS = {
  count: (value) => (value >= 100_000 ? short(value) : number(value)),
  short,
  clock: (value) => {
    const seconds = Math.ceil(value - 1e-6);
    const two = (part) => String(part).padStart(2, "0");
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    if (hours) return `${hours}:${two(minutes)}:${two(seconds % 60)}`;
    return minutes ? `${minutes}:${two(seconds % 60)}` : `${seconds} s`;
  },
};

// The value at a place of a curve from 0 at 0, in proportion between its points.
function between(points, x) {
  const after = points.findIndex(([place]) => place >= x);
  if (after < 0) return points.at(-1)?.[1] ?? 0;
  const [[x0, y0], [x1, y1]] = [points[after - 1] ?? [0, 0], points[after]];
  return x1 > x0 ? y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) : y1;
}

// Draw every chart that a document describes in an attribute. Its axes are { name, format, points }:
// what the axis writes at x is the value there of the curve of these points, else x itself.
export function drawDescribed() {
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const described = JSON.parse(figure.dataset.chart);
    const axes = described.axes.map(({ name, format, points }) =>
      [name, (x) => FORMATS[format](points ? between(points, x) : x)]);
    new LineChart(figure.querySelector(".drawing"), () => ({ ...described, axes }));
  }
}
