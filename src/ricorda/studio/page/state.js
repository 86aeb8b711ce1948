// What the page shows: the text chosen, the run followed and its rows, the stretch that is read.
import { get, runPath } from "./server.js";
import { t } from "./words.js";

const RETRY = 2000; // milliseconds

export const state = {
  about: null,
  text: null, // facts of the text chosen in panel 1
  run: null, // its name
  details: null,
  facts: null, // of the run's text
  status: null,
  baselines: null,
  metrics: [],
  samples: [],
  arrived: 0, // when the last row came, by the page's clock
  stretch: { text: null, begin: 0, length: 1000 },
};

const events = new EventTarget();
let source = null;
let modelRows = 0;

export const on = (name, work) => events.addEventListener(name, () => work());
export const tellAll = (name) => events.dispatchEvent(new Event(name));

export const evaluations = () => state.metrics.filter((row) => row.event === "evaluation");
export const trainingRows = () => state.metrics.filter((row) => row.event === "training");
export const inBits = (nats) => (nats === null || nats === undefined ? null : nats / Math.LN2);

export async function follow(name) {
  source?.close();
  Object.assign(state, {
    run: name, details: null, facts: null, status: null, baselines: null, metrics: [], samples: [],
  });
  modelRows = 0;
  localStorage.setItem("run", name);
  tellAll("run");
  await refreshDetails();
  if (state.run === name) listen(name);
}

function listen(name) {
  source = new EventSource(runPath(name, "/events"));
  source.addEventListener("open", () => tellLost(false));
  source.addEventListener("error", (event) => {
    tellLost(true);
    if (event.target === source && source.readyState === EventSource.CLOSED) listenAgain(name);
  });
  source.addEventListener("rows", (event) => takeRows(JSON.parse(event.data)));
  source.addEventListener("status", (event) => takeStatus(JSON.parse(event.data)));
}

// The browser gives up where it was refused, as by a studio that was started anew. The page asks
// on: another tab may open the new address.
async function listenAgain(name) {
  while (state.run === name) {
    await new Promise((resolve) => setTimeout(resolve, RETRY));
    const problem = await get(runPath(name)).then(() => null, (error) => error);
    if (state.run !== name) return;
    if (!problem) return listen(name);
    if (problem.status === 401) tellLost(true, "page.token");
    else if (problem.status) return takeGone();
  }
}

function takeGone() {
  tellLost(false);
  state.status = { state: "gone", has_model: false };
  tellAll("status");
}

function tellLost(lost, words = "page.lost") {
  const notice = document.getElementById("lost");
  notice.dataset.words = words;
  notice.textContent = t(words);
  notice.hidden = !lost;
}

function takeRows(news) {
  if (news.from_the_beginning) {
    state.metrics = [];
    state.samples = [];
    modelRows = 0;
  }
  state.metrics.push(...news.metrics);
  state.samples.push(...news.samples);
  state.arrived = performance.now();
  tellAll("rows");
  announceModel();
}

// Panels that look into the model look again when there is a better one.
function announceModel() {
  const judged = state.metrics.filter((row) => row.event === "evaluation" || row.event === "ended").length;
  if (state.status?.has_model && judged !== modelRows) {
    modelRows = judged;
    tellAll("model");
  }
}

async function takeStatus(status) {
  const before = state.status;
  state.status = status;
  const changed = !before || before.state !== status.state || before.has_config !== status.has_config;
  if (changed || !state.details?.training) await refreshDetails();
  tellAll("status");
  announceModel();
}

async function refreshDetails() {
  const name = state.run;
  try {
    const details = await get(runPath(name));
    if (state.run !== name) return;
    state.details = details;
    if (details.text && !state.facts) {
      state.facts = await get(runPath(name, "/facts"));
      if (state.run !== name) return;
      state.stretch = { text: null, begin: firstPlace(state.facts), length: 1000 };
      tellAll("stretch");
      waitForBaselines(name);
    }
  } catch {
    // the text may be gone: the run is worth seeing all the same
  }
  tellAll("details");
}

// The beginning of what is kept back: the model never learned from it.
const firstPlace = (facts) => (facts.validation ? facts.training : 0);

async function waitForBaselines(name) {
  while (state.run === name) {
    const found = await get(runPath(name, "/baselines")).catch(() => null); // asked again
    if (state.run !== name) return;
    if (found) state.baselines = found;
    tellAll("rows");
    if (found?.done) return;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

export function changeStretch(change) {
  state.stretch = { ...state.stretch, ...change };
  tellAll("stretch");
}

export function stretchRequest() {
  const { text, begin, length } = state.stretch;
  return text === null ? { begin, length } : { text };
}
