// A line chart as SVG: curves, level lines with their names, a cursor for pointer and keys.
import { element, svg } from "./dom.js";
import { number, onLanguage, t } from "./words.js";

const MARGIN = { left: 46, top: 12, bottom: 30 };
const WIDE = 560; // from here on there is room for names beside the lines
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 };

function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => power * factor).find((each) => each >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value);
  return found;
}

const decimals = (values) =>
  values.length < 2 ? 1 : Math.max(0, Math.min(4, -Math.floor(Math.log10(values[1] - values[0]) + 1e-9)));

export class LineChart {
  // describe(): { label, series: [{name, kind, points: [[x, y]]}], levels: [{name, value, dash}],
  //   axis: (x) => text, readings: [{x, text}], height, low, top }
  constructor(place, describe) {
    this.describe = describe;
    this.reading = element("p", { class: "reading" });
    this.legend = element("ul", { class: "legend" });
    this.plot = element("div", { class: "plot", tabindex: "0", role: "group" });
    place.replaceChildren(this.legend, this.reading, this.plot);
    this.current = null;
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.#choose(null));
    this.plot.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    this.plot.addEventListener("blur", () => {
      this.reading.removeAttribute("aria-live");
      this.#choose(null);
    });
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(this.plot);
    onLanguage(() => this.draw());
  }

  draw() {
    const chart = this.describe();
    this.chart = chart;
    const width = this.plot.clientWidth;
    const points = chart.series.flatMap((series) => series.points);
    const levels = chart.levels ?? [];
    this.plot.setAttribute("aria-label", `${chart.label}: ${t("page.chart_keys")}`);
    if (!points.length || width < 80) {
      this.plot.replaceChildren(element("p", { class: "muted" }, t("page.nothing_yet")));
      this.legend.replaceChildren();
      return;
    }
    const right = width > WIDE && levels.length ? 118 : 10;
    const high = Math.max(...points.map((point) => point[1]), ...levels.map((level) => level.value)) * 1.04;
    const low = chart.low ?? 0;
    const last = Math.max(...points.map((point) => point[0]), 1e-9);
    this.area = { left: MARGIN.left, width: width - MARGIN.left - right, height: chart.height };
    this.x = (value) => MARGIN.left + (this.area.width * value) / last;
    this.y = (value) => MARGIN.top + chart.height * (1 - (value - low) / ((chart.top ?? high) - low));
    const drawing = svg("svg", {
      width, height: chart.height + MARGIN.top + MARGIN.bottom, role: "img", "aria-label": this.#inWords(chart),
    });
    drawing.append(...this.#grid(chart, high, last), ...this.#levels(levels, width, right > 20), ...this.#curves(chart));
    this.cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: MARGIN.top + chart.height, visibility: "hidden" });
    drawing.append(this.cursor);
    this.plot.replaceChildren(drawing);
    this.#fillLegend(chart, levels);
    if (this.current === null) this.reading.textContent = chart.readings.at(-1)?.text ?? "";
    else this.#choose(this.current);
  }

  #grid(chart, high, last) {
    const shapes = [];
    const rows = ticks(chart.low ?? 0, chart.top ?? high, chart.height > 150 ? 6 : 3);
    const digits = decimals(rows);
    const end = this.area.left + this.area.width;
    for (const value of rows) {
      const y = this.y(value);
      shapes.push(svg("line", { class: "grid", x1: this.area.left, x2: end, y1: y, y2: y }));
      const name = svg("text", { x: this.area.left - 8, y: y + 4, "text-anchor": "end" });
      name.textContent = number(value, digits);
      shapes.push(name);
    }
    const bottom = MARGIN.top + chart.height;
    shapes.push(svg("line", { class: "base", x1: this.area.left, x2: end, y1: bottom, y2: bottom }));
    const columns = ticks(0, last, Math.max(2, Math.min(6, Math.floor(this.area.width / 60)))).slice(1);
    for (const value of columns) {
      const name = svg("text", { x: this.x(value), y: MARGIN.top + chart.height + 20, "text-anchor": "middle" });
      name.textContent = chart.axis(value);
      shapes.push(name);
    }
    return shapes;
  }

  #levels(levels, width, named) {
    const shapes = [];
    let free = -Infinity;
    for (const level of [...levels].sort((a, b) => b.value - a.value)) {
      const y = this.y(level.value);
      const end = this.area.left + this.area.width;
      shapes.push(svg("line", { class: "level", "stroke-dasharray": level.dash, x1: this.area.left, x2: end, y1: y, y2: y }));
      if (!named) continue;
      const place = Math.max(y + 4, free + 15);
      free = place;
      const name = svg("text", { class: "level-name", x: end + 8, y: place });
      name.textContent = level.name;
      shapes.push(name);
    }
    return shapes;
  }

  #curves(chart) {
    const shapes = [];
    for (const series of chart.series) {
      const places = series.points.map(([x, y]) => [this.x(x), Math.max(MARGIN.top, this.y(y))]);
      const path = places.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      shapes.push(svg("path", { class: `curve ${series.kind}`, d: `M${path}` }));
      if (series.kind !== "dotted" && places.length > 1) continue;
      for (const [x, y] of places) shapes.push(svg("circle", { class: `dot ${series.kind}`, cx: x, cy: y, r: 3.5 }));
    }
    return shapes;
  }

  #fillLegend(chart, levels) {
    const sample = (attributes, dotted) => {
      const drawing = svg("svg", { viewBox: "0 0 32 12", "aria-hidden": "true" }, svg("path", { d: "M1 6H31", ...attributes }));
      if (dotted) drawing.append(svg("circle", { class: "dot dotted", cx: 16, cy: 6, r: 3.5 }));
      return drawing;
    };
    const keys = chart.series.length + levels.length < 2 ? [] : [
      ...chart.series.map((each) => [sample({ class: `curve ${each.kind}` }, each.kind === "dotted"), each.name]),
      ...levels.map((each) => [sample({ class: "level", "stroke-dasharray": each.dash }), `${each.name}: ${number(each.value, 2)}`]),
    ];
    this.legend.replaceChildren(...keys.map(([drawing, name]) => element("li", {}, drawing, name)));
  }

  #inWords(chart) {
    const parts = chart.series.filter((series) => series.points.length).map((series) => {
      const values = series.points.map((point) => point[1]);
      return t("page.curve_in_words", {
        name: series.name, first: number(values[0], 2), last: number(values.at(-1), 2), lowest: number(Math.min(...values), 2),
      });
    });
    return `${chart.label}. ${parts.join(" ")}`;
  }

  #point(event) {
    if (!this.area || !this.chart.readings.length) return;
    const place = event.clientX - this.plot.getBoundingClientRect().left;
    const distance = (reading) => Math.abs(this.x(reading.x) - place);
    let nearest = 0;
    this.chart.readings.forEach((reading, index) => {
      if (distance(reading) < distance(this.chart.readings[nearest])) nearest = index;
    });
    this.#choose(nearest);
  }

  #key(event) {
    if (!(event.key in STEPS) || !this.chart?.readings.length) return;
    event.preventDefault();
    const from = this.current ?? this.chart.readings.length - 1;
    this.#choose(Math.max(0, Math.min(this.chart.readings.length - 1, from + STEPS[event.key])));
  }

  #choose(index) {
    this.current = index;
    const readings = this.chart?.readings ?? [];
    const reading = readings[index ?? readings.length - 1];
    if (!reading) return;
    this.reading.textContent = reading.text;
    if (!this.cursor) return;
    this.cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
    this.cursor.setAttribute("x1", this.x(reading.x));
    this.cursor.setAttribute("x2", this.x(reading.x));
  }
}
