// A text symbol by symbol, each with a colour; under it what the chosen one is.
import { element } from "./dom.js";
import { SymbolChooser } from "./symbols.js";
import { updateChildren } from "./update.js";
import { onLanguage, t, visible } from "./words.js";

// What is written at a place of a text, and the same between its neighbours.
export const labelAt = (read, place) => read.labels[place] ?? read.symbols[place] ?? "";

export function context(read, place, before, after) {
  const part = (from, to) => read.symbols.slice(Math.max(0, from), to).join("").replaceAll("\n", "↵");
  return element("bdi", { class: "context" }, part(place - before, place),
    element("mark", {}, visible(labelAt(read, place))), part(place + 1, place + 1 + after));
}

export class SymbolText extends SymbolChooser {
  constructor(place, name, onChoose) {
    super(element("div", { class: "symbols", dir: "auto" }), onChoose);
    this.name = name;
    this.chosen = 0;
    this.reading = element("p", { class: "reading symbol-reading" });
    place.replaceChildren(this.box, this.reading);
    this.box.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    this.box.addEventListener("blur", () => this.reading.removeAttribute("aria-live"));
    onLanguage(() => this.#label());
  }

  #label() {
    this.box.setAttribute("aria-label", t("page.symbols_keys", { name: this.name() }));
  }

  // symbols: texts; labels: by place, where a symbol is spelled out; classes: one for each; unseen:
  // [place, character] of what stands before a place and the model never saw
  fill(symbols, labels, classes, unseen = []) {
    this.#label();
    const spans = symbols.map((symbol, place) => {
      const ends = symbol === "\n";
      const spelled = place in labels && !ends;
      const more = ends ? " end" : spelled ? " spelled" : "";
      return element("span", { class: classes[place] + more }, spelled ? labels[place] : symbol);
    });
    const marks = (place) => unseen.filter(([at]) => at === place).map(([, character]) =>
      element("span", { class: "unseen-symbol gap", title: t("page.never_seen") }, visible(character)));
    updateChildren(this.box, ...(unseen.length
      ? [...spans.flatMap((span, place) => [...marks(place), span]), ...marks(symbols.length)]
      : spans));
    this.setSymbols([...this.box.children].filter((each) => !each.classList.contains("gap")));
    this.chosen = Math.min(this.chosen, Math.max(0, symbols.length - 1));
    this.mark();
  }

  // Scroll the box, and not the page, to the place chosen.
  reveal() {
    if (!this.symbols.length) return;
    const [box, place] = [this.box, this.symbols[this.chosen]].map((each) => each.getBoundingClientRect());
    this.box.scrollTop += Math.min(0, place.top - box.top) + Math.max(0, place.bottom - box.bottom + place.height);
  }
}
