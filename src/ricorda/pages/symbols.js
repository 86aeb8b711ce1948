// A text whose symbols are elements in a box: the pointer, a finger and the arrow keys choose one.
const LINES = 5; // that PageUp and PageDown jump over

export class SymbolChooser {
  // onChoose(place, settled): the pointer is over a symbol, or, settled, it was chosen
  constructor(box, onChoose) {
    this.box = box;
    this.onChoose = onChoose;
    this.chosen = null;
    this.under = null; // the pointer
    this.setSymbols([]);
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.addEventListener("click", (event) => this.#pointed(event, true));
    // Not pointerover, which scrolling causes as well.
    box.addEventListener("pointermove", (event) => this.#pointed(event, false));
    box.addEventListener("pointerleave", () => {
      if (this.under !== null && this.chosen !== null) onChoose(this.chosen, false);
      this.under = null;
    });
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  setSymbols(symbols) {
    this.symbols = symbols;
    this.places = new Map(symbols.map((symbol, place) => [symbol, place]));
  }

  append(symbol) {
    this.places.set(symbol, this.symbols.push(symbol) - 1);
  }

  choose(place) {
    this.chosen = Math.max(0, Math.min(this.symbols.length - 1, place));
    this.mark();
    this.onChoose(this.chosen, true);
  }

  mark() {
    this.box.querySelector(".held")?.classList.remove("held");
    this.symbols[this.chosen]?.classList.add("held");
  }

  #pointed(event, settled) {
    const place = this.places.get(event.target);
    if (place === undefined) return;
    if (settled) this.choose(place);
    else if (place !== this.under) this.onChoose(place, false);
    this.under = place;
  }

  #key(event) {
    const move = {
      ArrowLeft: (place) => place - 1,
      ArrowRight: (place) => place + 1,
      ArrowUp: (place) => this.#inLine(place, -1),
      ArrowDown: (place) => this.#inLine(place, 1),
      PageUp: (place) => this.#inLine(place, -1, LINES),
      PageDown: (place) => this.#inLine(place, 1, LINES),
      Home: () => 0,
      End: () => this.symbols.length - 1,
    }[event.key];
    if (!move || !this.symbols.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.choose(this.chosen === null && event.key !== "End" ? 0 : move(this.chosen));
    this.symbols[this.chosen].scrollIntoView({ block: "nearest" });
  }

  // The symbol some lines above or below that is nearest across.
  #inLine(place, direction, lines = 1) {
    const from = this.symbols[place].getBoundingClientRect();
    let [best, nearest, line] = [place, Infinity, from.top];
    for (let next = place + direction; next in this.symbols; next += direction) {
      const box = this.symbols[next].getBoundingClientRect();
      if (Math.abs(box.top - line) > from.height / 2) {
        if (lines-- === 0) break;
        [line, nearest] = [box.top, Infinity];
      }
      const distance = line === from.top ? Infinity : Math.abs(box.left - from.left);
      if (distance < nearest) [best, nearest] = [next, distance];
    }
    return best;
  }
}
