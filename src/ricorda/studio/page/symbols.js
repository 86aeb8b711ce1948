// A text symbol by symbol, each with a colour; the pointer and the arrow keys choose one.
import { element } from "./dom.js";
import { t, visible } from "./words.js";

// What is written at a place of a text, and the same between its neighbours.
export const labelAt = (read, place) => read.labels[place] ?? read.symbols[place] ?? "";

export function context(read, place, before, after) {
  const part = (from, to) => read.symbols.slice(Math.max(0, from), to).join("").replaceAll("\n", "↵");
  return element("bdi", { class: "context" }, part(place - before, place),
    element("mark", {}, visible(labelAt(read, place))), part(place + 1, place + 1 + after));
}

const LINE_JUMP = 40; // symbols, where a line is longer
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

export class SymbolText {
  // onChoose(place, settled): the pointer is over a symbol, or, settled, it was chosen
  constructor(place, name, onChoose) {
    this.name = name;
    this.onChoose = onChoose;
    this.box = element("div", { class: "symbols", tabindex: "0", role: "group", dir: "auto" });
    this.reading = element("p", { class: "reading symbol-reading" });
    place.replaceChildren(this.box, this.reading);
    this.spans = [];
    this.chosen = 0;
    this.under = null; // the pointer
    this.box.addEventListener("click", (event) => this.#pointed(event, true));
    // A pointer at rest, under which the arrow keys scroll the page, is over nothing.
    this.box.addEventListener("pointermove", (event) => this.#pointed(event, false));
    this.box.addEventListener("pointerleave", () => this.#left());
    this.box.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    this.box.addEventListener("blur", () => this.reading.removeAttribute("aria-live"));
    this.box.addEventListener("keydown", (event) => this.#key(event));
  }

  // symbols: texts; labels: by place, where a symbol is spelled out; classes: one for each; unseen:
  // [place, character] of what stands before a place and the model never saw
  fill(symbols, labels, classes, unseen = []) {
    this.box.setAttribute("aria-label", t("page.symbols_keys", { name: this.name() }));
    this.spans = symbols.map((symbol, place) => {
      const ends = symbol === "\n";
      const spelled = place in labels && !ends;
      const span = element("span", { class: classes[place] }, spelled ? labels[place] : symbol);
      if (ends) span.classList.add("end");
      if (spelled) span.classList.add("spelled");
      span.dataset.place = place;
      return span;
    });
    const gaps = new Map();
    for (const [place, character] of unseen) gaps.set(place, [...(gaps.get(place) ?? []), this.#unseen(character)]);
    const marks = (place) => gaps.get(place) ?? [];
    this.box.replaceChildren(...this.spans.flatMap((span, place) => [...marks(place), span]), ...marks(symbols.length));
    this.chosen = Math.min(this.chosen, Math.max(0, symbols.length - 1));
    this.#mark();
  }

  // Other colours for the same symbols.
  colour(classes) {
    this.spans.forEach((span, place) => {
      const kept = ["end", "spelled", "held"].filter((name) => span.classList.contains(name));
      span.className = [classes[place], ...kept].join(" ");
    });
  }

  choose(place) {
    this.chosen = Math.max(0, Math.min(this.spans.length - 1, place));
    this.#mark();
    this.onChoose(this.chosen, true);
  }

  // Bring the place chosen into sight within the box; the page stays where it is.
  reveal() {
    if (!this.spans.length) return;
    const [box, place] = [this.box, this.spans[this.chosen]].map((each) => each.getBoundingClientRect());
    this.box.scrollTop += Math.min(0, place.top - box.top) + Math.max(0, place.bottom - box.bottom + place.height);
  }

  #unseen(character) {
    return element("span", { class: "unseen-symbol gap", title: t("page.never_seen") }, visible(character));
  }

  #mark() {
    this.box.querySelector(".held")?.classList.remove("held");
    this.spans[this.chosen]?.classList.add("held");
  }

  #pointed(event, settled) {
    const place = event.target.dataset?.place;
    if (place === undefined) return;
    if (settled) this.choose(Number(place));
    else if (place !== this.under) this.onChoose(Number(place), false);
    this.under = place;
  }

  #left() {
    if (this.under !== null) this.onChoose(this.chosen, false);
    this.under = null;
  }

  #key(event) {
    if (!KEYS.includes(event.key) || !this.spans.length) return;
    event.preventDefault();
    const jump = event.key.startsWith("Page") ? 5 * LINE_JUMP : LINE_JUMP;
    if (event.key === "ArrowLeft") this.choose(this.chosen - 1);
    else if (event.key === "ArrowRight") this.choose(this.chosen + 1);
    else if (event.key === "Home") this.choose(0);
    else if (event.key === "End") this.choose(this.spans.length - 1);
    else this.choose(this.chosen + (event.key.endsWith("Up") ? -jump : jump));
    this.spans[this.chosen].scrollIntoView({ block: "nearest" });
  }
}
