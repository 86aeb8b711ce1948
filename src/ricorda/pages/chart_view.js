// Which part of a chart is shown, on which scales and how smooth, and the controls that change it.
// Charts over the same axis may share a view.
import { element, setText } from "./dom.js";
import { number } from "./numbers.js";

const CLOSER = 0.5; // the part of what is shown that is left by one step
const CLOSEST = 1e-3; // the smallest part of the whole
const ROUGHEST = 0.99; // the largest weight of a moving average

export class ChartView {
  constructor() {
    Object.assign(this, { shown: null, logX: false, logY: false, smoothing: 0, charts: new Set() });
  }

  change(values) {
    Object.assign(this, values);
    for (const chart of this.charts) chart.draw();
  }

  // whole: the scale of the whole axis. Show `factor` times as much of it around a value.
  zoom(whole, factor, around) {
    const [from, to] = this.#places(whole);
    const size = Math.max(CLOSEST, (to - from) * factor);
    const centre = Math.max(from, Math.min(to, whole.place(around)));
    this.#show(whole, centre - ((centre - from) / (to - from)) * size, size);
  }

  closer(whole, around) {
    this.zoom(whole, CLOSER, around);
  }

  farther(whole, around) {
    this.zoom(whole, 1 / CLOSER, around);
  }

  select(whole, one, other) {
    const [from, to] = [one, other].map((each) => whole.place(each)).sort((a, b) => a - b);
    this.#show(whole, from, Math.max(CLOSEST, to - from));
  }

  // Move what is shown, without another size, until it contains a value.
  reveal(whole, value) {
    const [from, to] = this.#places(whole);
    const place = whole.place(value);
    if (place < from) this.#show(whole, place, to - from);
    else if (place > to) this.#show(whole, place - (to - from), to - from);
  }

  #places(whole) {
    return (this.shown ?? [whole.low, whole.high]).map((each) => whole.place(each));
  }

  #show(whole, from, size) {
    const begin = Math.max(0, Math.min(1 - size, from));
    const isWhole = size >= 1 - 1e-9;
    this.change({ shown: isWhole ? null : [whole.value(begin), whole.value(begin + size)] });
  }
}

// Both ends of a part, to about a hundredth of it.
function rounded([from, to]) {
  const step = 10 ** (Math.floor(Math.log10(to - from)) - 2);
  return [from, to].map((place) => Math.round(place / step) * step);
}

// The controls beside a chart. Their names come with each drawing, since the language may change:
//   { logX, logY, smoothing, closer, farther, whole }, those that are missing are not shown
export class ChartTools {
  constructor(chart) {
    this.chart = chart;
    this.view = chart.view;
    this.box = element("div", { class: "chart-tools", hidden: true });
    this.checks = ["logX", "logY"].map((name) => this.#check(name));
    this.range = element("input", { type: "range", min: "0", max: String(ROUGHEST), step: "0.01", value: "0" });
    this.range.addEventListener("input", () => this.view.change({ smoothing: Number(this.range.value) }));
    this.rangeName = element("span");
    this.rangeValue = element("output");
    this.smoothing = element("span", { class: "smoothing" }, element("label", {}, this.rangeName, this.range), this.rangeValue);
    this.buttons = [["farther", "−"], ["closer", "+"], ["whole", null]].map(([name, sign]) => this.#button(name, sign));
    this.shown = element("span", { class: "shown", role: "status" });
    const zoom = element("span", { class: "zoom" }, ...this.buttons.map(({ button }) => button), this.shown);
    this.box.append(...this.checks.map(({ label }) => label), this.smoothing, zoom);
  }

  #check(name) {
    const input = element("input", { type: "checkbox" });
    const words = element("span");
    input.addEventListener("change", () => this.view.change({ [name]: input.checked, ...(name === "logX" ? { shown: null } : {}) }));
    return { name, words, input, label: element("label", {}, input, words) };
  }

  #button(name, sign) {
    const button = element("button", { type: "button" }, sign ?? "");
    button.addEventListener("click", () => this.chart.zoom(name));
    return { name, sign, button };
  }

  fill(names, text) {
    this.box.hidden = !names;
    if (!names) return;
    for (const { name, words, input, label } of this.checks) {
      label.hidden = !names[name];
      setText(words, names[name] ?? "");
      input.checked = this.view[name];
    }
    this.smoothing.hidden = !names.smoothing;
    setText(this.rangeName, names.smoothing ?? "");
    this.range.value = this.view.smoothing;
    setText(this.rangeValue, number(this.view.smoothing, 2));
    for (const { name, sign, button } of this.buttons) {
      if (sign) button.setAttribute("aria-label", names[name]);
      else setText(button, names[name]);
    }
    const shown = this.view.shown === null ? "" : rounded(this.view.shown).map((place) => text(place)).join(" – ");
    setText(this.shown, shown);
  }
}
