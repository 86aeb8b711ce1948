// The page: reads what is typed, writes on, and shows what the model thinks of each symbol.
import { $, bar, element } from "./dom.js";
import { Model, Reading, Writer, distribution } from "./engine.mjs";
import { number, percent, short } from "./numbers.js";
import { Sheet, bitsOf, symbolName } from "./sheet.js";

const SLICE = 16; // milliseconds of work between two looks at the page
const SHOWN = 8; // likeliest symbols
const description = JSON.parse($("model").textContent);
const words = JSON.parse($("words").textContent);
$("model").remove(); // its text takes more memory than the network
const model = new Model(description);
const { vocabulary } = model;
const reading = new Reading(model, SHOWN);
let writer = null; // of the text that is shown
let isWriting = false;
let speed = null; // symbols a second
let shown = null; // the entry in the inspector; null: what comes next

// What the browser remembers of this page; some browsers refuse that to a file.
function remembered(key) {
  try { return localStorage.getItem(`ricorda-${key}`); } catch { return null; }
}
function remember(key, value) {
  try { localStorage.setItem(`ricorda-${key}`, value); } catch { /* it holds until the page is left */ }
}

// Words.

const LANGUAGES = ["en", "it"];
const wanted = [remembered("language"), ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
let language = wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";

function t(key, values = {}) {
  return words[key][LANGUAGES.indexOf(language)].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function fillWords() {
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("[data-words]")) each.textContent = t(each.dataset.words);
  $("text").setAttribute("aria-label", t("text_keys"));
  const files = description.texts.slice(0, 3).join(", ");
  const more = description.texts.length - 3;
  const texts = more > 0 ? t("more_texts", { texts: files, more: number(more) }) : files;
  $("about").textContent = texts ? t("about_texts", { texts }) : t("about");
  $("made").textContent = t("made", { made: description.made_with });
  const { num_layers: layers, hidden_size: size } = description.configuration;
  const bits = description.bits_per_character;
  const tiles = [
    ...(bits === null ? [] : [[t("validation"), number(bits, 3)]]),
    [t("network"), t("layers", { cell: description.cell, layers, size })],
    [t("parameters"), short(description.parameters)],
    [t("symbols"), number(vocabulary.size)],
  ];
  $("figures").replaceChildren(...tiles.map(([name, figure]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, figure))));
  if ($("label").options.length) $("label").options[0].textContent = t("no_label");
  sliders.forEach((slider) => slider.show());
  showAll();
}

// Settings.

const MOST_K = Math.min(vocabulary.size, 100);
const sliders = [
  ["temperature", { min: 0, max: 2, step: 0.05, value: 0.8 }],
  ["topK", { min: 1, max: MOST_K, step: 1, value: MOST_K }, MOST_K],
  ["topP", { min: 0.05, max: 1, step: 0.01, value: 1 }, 1],
  ["minP", { min: 0, max: 0.5, step: 0.01, value: 0 }, 0],
  ["repetitionPenalty", { min: 1, max: 2, step: 0.05, value: 1 }, 1],
  ["length", { min: 50, max: 5000, step: 50, value: vocabulary.boundary === undefined ? 400 : 1000 }],
].map(([key, range, off = null]) => {
  const hint = `${key}-hint`;
  const output = element("output", { for: key });
  const input = element("input", { type: "range", id: key, "aria-describedby": hint, ...range });
  $("seed").parentElement.before(element("div", { class: "field" },
    element("div", { class: "named" }, element("label", { for: key, "data-words": key }), output),
    input, element("p", { id: hint, class: "muted small", "data-words": `${key}_hint` })));
  const show = () => {
    const digits = Number.isInteger(range.step) ? 0 : 2;
    output.textContent = input.valueAsNumber === off ? t("off") : number(input.valueAsNumber, digits);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  const reset = () => { input.value = range.value; };
  input.addEventListener("input", () => { show(); changed(); });
  return { key, show, reset, value: () => (input.valueAsNumber === off ? null : input.valueAsNumber) };
});

function settings() {
  const found = Object.fromEntries(sliders.map(({ key, value }) => [key, value()]));
  return { ...found, repetitionPenalty: found.repetitionPenalty ?? 1, alternatives: SHOWN };
}

// A text that is being written goes on with the new settings.
function changed() {
  if (isWriting) Object.assign(writer.settings, settings(), { length: writer.settings.length });
  showInspector();
}

function wantedSeed() {
  const given = $("seed").value.trim();
  if (given === "") return null;
  if (!/^\d{1,20}$/.test(given) || BigInt(given) >= 2n ** 64n) throw new RangeError(t("bad_seed"));
  return BigInt(given);
}

// Reading and writing, in slices between which the page answers.

const sheet = new Sheet($("text"), vocabulary, (entry, settled) => {
  shown = entry;
  showInspector(settled);
});
const pause = () => new Promise((resolve) => { setTimeout(resolve); });
let turn = 0; // the number of the reading or writing that goes on; a later one ends it

async function read() {
  const own = ++turn;
  [isWriting, writer, speed, shown] = [false, null, null, null];
  $("problem").hidden = true;
  reading.take($("prompt").value, $("label").value || null);
  let drawn = sheet.cut(reading.done);
  try {
    for (let isRead = false; !isRead;) {
      isRead = reading.advance(SLICE);
      drawn = draw(drawn);
      showAll();
      if (!isRead) await pause();
      if (own !== turn) return false;
    }
  } catch (error) {
    showProblem(error);
    return false;
  }
  const { gaps } = reading;
  if (gaps.at(-1)?.before === reading.ids.length) sheet.addLeftOut(gaps.at(-1).characters);
  return true;
}

// Add what was read to the sheet.
function draw(from) {
  const leftOut = new Map(reading.gaps.map((gap) => [gap.before, gap.characters]));
  for (let place = Math.max(from, reading.before); place < reading.done; place++) {
    sheet.add(place, reading.ids[place], reading.scores[place], false, leftOut.get(place));
  }
  return reading.done;
}

async function begin() {
  let seed;
  try { seed = wantedSeed(); } catch (error) { return showProblem(error); }
  if (!(await read())) return;
  writer = new Writer(reading, { ...settings(), seed });
  await writeOn();
}

async function goOn() {
  Object.assign(writer.settings, settings(), { length: writer.written + settings().length });
  await writeOn();
}

async function writeOn() {
  const own = ++turn;
  isWriting = true;
  const [began, before] = [performance.now(), writer.written];
  try {
    while (own === turn && writeSlice(performance.now() + SLICE)) {
      speed = (1000 * (writer.written - before)) / (performance.now() - began);
      showState();
      await pause();
    }
  } catch (error) {
    showProblem(error);
  }
  if (own !== turn) return;
  isWriting = false;
  showAll();
}

// Write until some moment; returns whether there is more to write.
function writeSlice(end) {
  const box = $("text");
  const follows = box.scrollTop + box.clientHeight > box.scrollHeight - 40;
  while (performance.now() < end) {
    const symbol = writer.next();
    if (symbol === null) return false;
    sheet.add(reading.ids.length + writer.written - 1, symbol.id, symbol, true);
  }
  if (follows) box.scrollTop = box.scrollHeight;
  return true;
}

function stop() {
  turn++;
  isWriting = false;
  showAll();
}

// What is shown.

function showAll() {
  $("hint").hidden = sheet.entries.length > 0;
  $("text").hidden = sheet.entries.length === 0;
  const leftOut = [...new Set(reading.gaps.flatMap((gap) => [...gap.characters]))].slice(0, 20);
  $("left-out").hidden = leftOut.length === 0;
  $("left-out").textContent = leftOut.length ? t("left_out", { characters: leftOut.join(" ") }) : "";
  showState();
  showInspector();
}

function showState() {
  $("write").textContent = t(isWriting ? "stop" : "write");
  $("continue").hidden = isWriting || writer === null || writer.ended === "stop";
  const values = writer && { count: number(writer.written), seed: writer.seed, speed: number(speed) };
  const isRead = reading.done === reading.ids.length;
  $("state").textContent = writer ? t(speed ? "speed" : "written", values)
    : isRead ? "" : t("reading", { done: number(reading.done), all: number(reading.ids.length) });
}

function showProblem(error) {
  isWriting = false;
  $("problem").hidden = false;
  $("problem").textContent = error.message.includes("overflow") ? t("overflow") : error.message;
  showState();
}

// Chances as bars; `own` is the symbol that stood there.
function chanceList(alternatives, own) {
  return element("ol", { class: "expected" }, ...alternatives.map(([id, chance]) =>
    element("li", { class: id === own ? "this" : "" }, element("bdi", {}, symbolName(vocabulary, id)),
      bar(chance), element("span", { class: "chance" }, percent(chance)))));
}

const chanceOf = (chance) =>
  (chance < 0.1 ? t("one_in", { count: short(1 / chance) }) : t("chance", { chance: percent(chance) }));

function showInspector(settled = false) {
  $("inspector-name").textContent = t(shown ? "symbol" : "next");
  $("inspector").classList.toggle("held", shown !== null);
  if (shown) showSymbol(shown, settled);
  else showNext();
}

function showNext() {
  if (reading.done < reading.ids.length) return;
  const recent = reading.ids.filter((id) => id !== vocabulary.boundary).slice(-64);
  const chances = distribution(reading.logits, settings(), recent, vocabulary.forbidden);
  const likely = [...chances.keys()].sort((a, b) => chances[b] - chances[a] || a - b).slice(0, SHOWN);
  $("inspected").replaceChildren(
    element("p", { class: "muted small" }, t("next_note")),
    element("ul", { class: "chances" }, ...likely.map((id) => {
      const [symbol, chance] = [symbolName(vocabulary, id), percent(chances[id])];
      const parts = [element("bdi", {}, symbol), bar(chances[id]), element("span", { class: "chance" }, chance)];
      const text = vocabulary.kind === "bytes" && id < 128 ? String.fromCharCode(id) : vocabulary.texts[id];
      if (!text || id === vocabulary.rare) return element("li", {}, element("span", { class: "row" }, ...parts));
      const add = () => {
        $("prompt").value += text;
        read();
      };
      return element("li", {}, element("button", { type: "button", class: "row", onclick: add,
        "aria-label": t("add", { symbol, chance }) }, ...parts));
    })));
}

function showSymbol(entry, settled) {
  const bits = bitsOf(entry);
  const name = entry.symbols.length === 1 ? symbolName(vocabulary, entry.symbols[0].id) : entry.text;
  const why = !entry.symbols.length ? "never_seen" : entry.begin === 0 ? "beginning" : "after_gap";
  const facts = bits === null ? [t(why)]
    : [t("bits", { bits: number(bits, 2) }), chanceOf(2 ** -bits)];
  const parts = entry.symbols.filter(({ score }) => score).flatMap(({ id, score }) => {
    const heading = entry.symbols.length === 1 ? t("expected")
      : t("expected_of", { symbol: symbolName(vocabulary, id), bits: number(score.nats / Math.LN2, 2) });
    const isListed = score.alternatives.some(([each]) => each === id);
    const list = isListed ? score.alternatives : [...score.alternatives.slice(0, -1), [id, Math.exp(-score.nats)]];
    return [element("h3", {}, heading), chanceList(list, id)];
  });
  $("inspected").replaceChildren(
    element("div", { class: "facts" }, element("p", { class: name.length > 4 ? "glyph long" : "glyph" }, element("bdi", {}, name)),
      element("p", {}, ...facts.map((fact, place) => element("span", { class: place || bits === null ? "muted" : "bits" }, fact)))),
    ...parts);
  if (!settled) return;
  const expected = entry.symbols.at(-1)?.score?.alternatives.slice(0, 3) ?? [];
  $("notice").textContent = bits === null ? `${name}: ${t(why)}` : t("read_out", {
    symbol: name, bits: number(bits, 1),
    expected: expected.map(([id, chance]) => `${symbolName(vocabulary, id)} ${percent(chance)}`).join(", "),
  });
}

// What a person does.

$("language").value = language;
$("language").addEventListener("change", () => {
  language = $("language").value;
  remember("language", language);
  fillWords();
});
const setTheme = (theme) => { document.documentElement.dataset.theme = theme; };
$("theme").value = ["light", "dark"].find((each) => each === remembered("theme")) ?? "auto";
setTheme($("theme").value);
$("theme").addEventListener("change", () => {
  remember("theme", $("theme").value);
  setTheme($("theme").value);
});
if (vocabulary.labels.length) {
  $("label-field").hidden = false;
  $("label").append(element("option", { value: "" }), ...vocabulary.labels.map((label) => element("option", { value: label }, label)));
  $("label").addEventListener("change", read);
}
$("prompt").addEventListener("input", read);
$("write").addEventListener("click", () => (isWriting ? stop() : begin()));
$("continue").addEventListener("click", goOn);
$("colours").addEventListener("change", () => sheet.setColours($("colours").checked));
$("reset").addEventListener("click", () => {
  sliders.forEach((slider) => { slider.reset(); slider.show(); });
  $("seed").value = "";
  changed();
});
$("text").addEventListener("blur", (event) => {
  if ($("inspector").contains(event.relatedTarget)) return; // to scroll it
  sheet.forget();
  shown = null;
  showInspector();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isWriting) stop();
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("write").click();
});
fillWords();
read();
document.documentElement.dataset.ready = "";
