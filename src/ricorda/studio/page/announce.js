// Announces automatic changes to screen readers, at most once in ten seconds.
import { $ } from "./dom.js";

const PAUSE = 10_000;
let last = -Infinity;
let waiting = null;
let timer = null;

export function announce(text) {
  waiting = text;
  clearTimeout(timer);
  const wait = last + PAUSE - performance.now();
  if (wait <= 0) say();
  else timer = setTimeout(say, wait);
}

function say() {
  last = performance.now();
  $("announcer").textContent = waiting;
}
