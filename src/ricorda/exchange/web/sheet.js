// The text on the page: a symbol or several, such as the bytes of a letter, in each element.
import { element } from "./dom.js";
import { SymbolChooser } from "./symbols.js";

const HIDDEN = /(?![\n\t])[\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
const BOUNDARY = "◇"; // stands for a document's end

const escaped = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter() : null;
const isOne = (text) => segmenter !== null && [...segmenter.segment(text)].length === 1;

// A symbol as a person may read it where it stands alone.
export function symbolName(vocabulary, id) {
  if (id === vocabulary.boundary) return BOUNDARY;
  if (id === vocabulary.rare) return "?";
  if (vocabulary.kind === "bytes" && id >= 128) return `\\x${id.toString(16)}`;
  const text = vocabulary.kind === "bytes" ? String.fromCharCode(id) : vocabulary.texts[id];
  const shown = text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/ /g, "␣").replace(HIDDEN, escaped);
  return /^\p{M}/u.test(shown) ? `◌${shown}` : shown;
}

export class Sheet {
  // onChoose(entry, settled): the pointer is over a symbol (null: it left), or, settled, it was chosen
  constructor(box, vocabulary, onChoose) {
    this.box = box;
    this.vocabulary = vocabulary;
    this.colours = false; // of what was written
    this.entries = []; // { node, marks, begin, end, symbols: [{ id, score }], text, isWritten }
    this.chooser = new SymbolChooser(box, (place, settled) => onChoose(this.entries[place] ?? null, settled));
    box.addEventListener("pointerleave", () => this.chooser.chosen === null && onChoose(null, false));
    this.cut(0);
  }

  // Keep the entries of the first `count` symbols and forget what was chosen.
  cut(count) {
    while (this.entries.length && this.entries.at(-1).end > count) {
      const { node, marks } = this.entries.pop();
      for (const each of [...marks, node]) each.remove();
    }
    this.pending = []; // symbols that have no text yet
    this.decoder = this.vocabulary.decoder();
    this.forget();
    return this.entries.at(-1)?.end ?? 0;
  }

  forget() {
    this.chooser.chosen = null;
    this.chooser.setSymbols(this.entries.map((entry) => entry.node));
    this.chooser.mark();
  }

  // Add the symbol at a place, with what the model thought of it (null: nothing) and the characters
  // before it that were left out.
  add(place, id, score, isWritten, leftOut = "") {
    const isEnd = id === this.vocabulary.boundary;
    const text = isEnd ? BOUNDARY : this.decoder.decode(id);
    const marks = this.#marks(leftOut);
    this.pending.push({ id, score });
    if (!text) return;
    const begin = place + 1 - this.pending.length;
    const last = this.entries.at(-1);
    if (last && last.isWritten === isWritten && !marks.length && !isEnd && isOne(last.text + text)) {
      last.symbols.push(...this.pending);
      last.text += text;
      last.end = place + 1;
      this.#show(last);
    } else this.#append({ marks, begin, end: place + 1, symbols: this.pending, text, isEnd, isWritten });
    this.pending = [];
  }

  // Mark characters at the end of what was typed that were left out.
  addLeftOut(characters) {
    const marks = this.#marks(characters);
    const node = marks.pop();
    this.box.append(...marks, node);
    this.chooser.append(node);
    this.entries.push({ node, marks, begin: Infinity, end: Infinity, symbols: [], text: characters, isWritten: false });
  }

  // Whether what was written has colours too.
  setColours(colours) {
    this.colours = colours;
    this.entries.filter((entry) => entry.isWritten).forEach((entry) => this.#show(entry));
  }

  #marks(characters) {
    return [...characters].map((character) =>
      element("u", { class: "gap" }, character.replaceAll("\n", "↵").replace(/ /g, "␣").replace(HIDDEN, escaped)));
  }

  #append(entry) {
    entry.node = element("span", {});
    this.#show(entry);
    this.box.append(...entry.marks, entry.node);
    this.chooser.append(entry.node);
    this.entries.push(entry);
  }

  #show(entry) {
    const bits = bitsOf(entry);
    entry.node.textContent = entry.text.replace(HIDDEN, escaped);
    const isSpelled = entry.isEnd || entry.node.textContent !== entry.text;
    const level = bits === null || (entry.isWritten && !this.colours) ? [] : [`s${Math.min(9, Math.floor(bits))}`];
    const kinds = [...level, entry.isWritten && "written", entry.text === "\n" && "end", isSpelled && "spelled"];
    const held = entry.node.classList.contains("held") && "held";
    entry.node.className = [...kinds, held].filter(Boolean).join(" ");
  }
}

// The surprise of all symbols of an entry, in bits; null where one of them has none.
export function bitsOf({ symbols }) {
  if (!symbols.length || symbols.some(({ score }) => score === null)) return null;
  return symbols.reduce((sum, { score }) => sum + score.nats, 0) / Math.LN2;
}
