// The page's words in the language chosen, and numbers as that language writes them.
export const LANGUAGES = ["en", "it"];
const catalogues = new Map();
const listeners = new Set();
let language = "en";

function preferred() {
  const kept = localStorage.getItem("language");
  if (LANGUAGES.includes(kept)) return kept;
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export async function beginWords() {
  const loaded = await Promise.all(
    LANGUAGES.map((tag) => fetch(`/page/words.${tag}.json`).then((answer) => answer.json())),
  );
  LANGUAGES.forEach((tag, index) => catalogues.set(tag, loaded[index]));
  language = preferred();
  fillWords(document);
}

export function currentLanguage() {
  return language;
}

export function chooseLanguage(tag) {
  language = tag;
  localStorage.setItem("language", tag);
  fillWords(document);
  for (const listener of listeners) listener();
}

export function onLanguage(listener) {
  listeners.add(listener);
}

export function t(key, values = {}) {
  const text = catalogues.get(language)?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function knows(key) {
  return key in (catalogues.get(language) ?? {});
}

function fillWords(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-words]")) {
    element.textContent = t(element.dataset.words);
  }
  for (const element of root.querySelectorAll("[data-words-label]")) {
    element.setAttribute("aria-label", t(element.dataset.wordsLabel));
  }
}

const formats = new Map(); // one is slow to make, and a chart writes hundreds of numbers

function format(options) {
  const key = `${language} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language, options));
  return formats.get(key);
}

export function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return format({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return format({ notation: "compact", maximumSignificantDigits: 3 }).format(value);
}

export function percent(value) {
  const digits = value > 0.1 && value < 0.99 ? 0 : 1;
  const style = { style: "percent", maximumFractionDigits: digits };
  if (value > 0 && value < 0.001) return `< ${format(style).format(0.001)}`;
  return format(style).format(value);
}

export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return format({
    style: "unit",
    unit: units[power],
    unitDisplay: power === 0 ? "long" : "short",
    maximumSignificantDigits: power === 0 ? 4 : 3,
  }).format(value / 1000 ** power);
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const unit = (amount, name) =>
    format({ style: "unit", unit: name, unitDisplay: "narrow" }).format(amount);
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) return `${unit(Math.floor(whole / 60), "minute")} ${unit(whole % 60, "second")}`;
  return `${unit(Math.floor(whole / 3600), "hour")} ${unit(Math.floor((whole % 3600) / 60), "minute")}`;
}

// A symbol as a person may read it where it stands alone.
export function visible(label) {
  if (label === " ") return "␣";
  return label;
}

// The same within a sentence, whose order a symbol written from right to left must not turn.
export const apart = (label) => `\u2068${visible(label)}\u2069`;
