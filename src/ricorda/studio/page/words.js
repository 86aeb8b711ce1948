// The page's words in the language chosen, and quantities as that language writes them.
import { formatted } from "./numbers.js";

export const LANGUAGES = ["en", "it"];
let words = {}; // by key, the text in each language
const listeners = new Set();
let language = "en";

function preferred() {
  const kept = localStorage.getItem("language");
  if (LANGUAGES.includes(kept)) return kept;
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export async function beginWords() {
  words = await (await fetch("./page/words.json")).json();
  language = preferred();
  fillWords();
}

export function currentLanguage() {
  return language;
}

export function chooseLanguage(tag) {
  language = tag;
  localStorage.setItem("language", tag);
  fillWords();
  for (const listener of listeners) listener();
}

export function onLanguage(listener) {
  listeners.add(listener);
}

export function t(key, values = {}) {
  const text = words[key]?.[LANGUAGES.indexOf(language)] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// A moment, given in seconds since 1970.
export function moment(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);
}

export const knows = (key) => key in words;

export function fillWords() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = t(element.dataset.words);
  }
  for (const element of document.querySelectorAll("[data-words-label]")) {
    element.setAttribute("aria-label", t(element.dataset.wordsLabel));
  }
}

const quantity = (value, unit, display, digits) =>
  formatted(value, { style: "unit", unit, unitDisplay: display, maximumSignificantDigits: digits });

export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return quantity(value / 1000 ** power, units[power], power ? "short" : "long", power ? 3 : 4);
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const unit = (amount, name) => quantity(amount, name, "narrow", 9);
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) return `${unit(Math.floor(whole / 60), "minute")} ${unit(whole % 60, "second")}`;
  return `${unit(Math.floor(whole / 3600), "hour")} ${unit(Math.floor((whole % 3600) / 60), "minute")}`;
}

// A place on an axis of time, which may lie between two seconds.
export function elapsed(seconds) {
  const whole = Math.round(seconds * 1e6) / 1e6;
  if (Number.isInteger(whole)) return duration(whole);
  const minutes = Math.floor(whole / 60);
  const rest = quantity(whole - 60 * minutes, "second", "narrow", 6);
  return minutes ? `${quantity(minutes, "minute", "narrow", 9)} ${rest}` : rest;
}

// A symbol as a person may read it where it stands alone.
export const visible = (label) => (label === " " ? "␣" : label);

// The same within a sentence, whose order a symbol written from right to left must not turn.
export const apart = (label) => `\u2068${visible(label)}\u2069`;
