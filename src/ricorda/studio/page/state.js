// What the page shows: the chosen text, the chosen run and its rows, the passage that is read.
import { get, runPath } from "./server.js";

const PAUSE = 2500; // milliseconds between two polls: the cores are for learning
const SHORT_PAUSE = 500; // while something is about to happen
const LONG_PAUSE = 5000; // while nothing is learned
const PASSING = ["starting", "pausing"];
const WORKING = ["learning", "queued"];

const WHOLE = { text: null, begin: 0, length: 1000 }; // until the run's own text is known

export const state = {
  about: null,
  connection: "connecting", // connected, lost, or refused: another page has the access
  runs: [], // all of them, the newest first
  deleted: [], // those that can be restored
  text: null, // facts of the text chosen in panel 1
  run: null, // its name
  turn: 0, // counts the runs that were chosen: what belongs to an earlier turn ends
  details: null,
  facts: null, // of the run's text
  status: null,
  baselines: null,
  metrics: [],
  samples: [],
  arrived: 0, // when the last row came, by the page's clock
  stretch: WHOLE,
};

const events = new EventTarget();
let leaving = new AbortController();
let [asked, taken] = [0, 0]; // the lists of runs, by number
let modelRows = 0;
let described = null; // the run whose text is known: what is read of it depends on that

export const on = (name, work) => events.addEventListener(name, () => work());
export const tellAll = (name) => events.dispatchEvent(new Event(name));

export const evaluations = () => state.metrics.filter((row) => row.event === "evaluation");
export const trainingRows = () => state.metrics.filter((row) => row.event === "training");
export const inBits = (nats) => (nats === null || nats === undefined ? null : nats / Math.LN2);

// Show a run; null: none.
export function follow(name) {
  leaving.abort(); // the server need not finish reading the text of the previous run
  leaving = new AbortController();
  Object.assign(state, {
    run: name, details: null, facts: null, status: null, baselines: null, metrics: [], samples: [], stretch: WHOLE,
  });
  modelRows = 0;
  described = null;
  localStorage.setItem("run", name ?? "");
  state.turn += 1;
  tellAll("run");
  listen(name, state.turn);
}

// All runs, for the list in the header and the panel of runs. An answer that a later one overtook is out of date.
export async function refreshRuns() {
  const turn = ++asked;
  try {
    const { runs, deleted } = await get("/api/runs");
    if (turn < taken) return;
    taken = turn;
    Object.assign(state, { runs, deleted });
    tellAll("runs");
  } catch {
    // the header reports a lost connection
  }
}

// Polls for new rows. No connection is held: a browser has six for all its tabs.
// A restarted studio refuses until another tab has opened its new address.
async function listen(name, turn) {
  let after = "";
  while (turn === state.turn) {
    let more = false;
    try {
      const news = await get(name === null ? "/api/studio" : runPath(name, `/news?${new URLSearchParams({ after })}`));
      if (turn !== state.turn) return;
      connect("connected");
      if (name !== null) {
        ({ after, more } = news);
        takeRows(news);
        takeStatus(news.status);
      }
    } catch (problem) {
      if (turn !== state.turn) return;
      if (problem.status === 422) takeGone();
      else connect(problem.status === 401 ? "refused" : "lost");
    }
    if (!more) await pause(pauseFor(state.status?.state));
  }
}

function pauseFor(now) {
  if (PASSING.includes(now)) return SHORT_PAUSE;
  return WORKING.includes(now) ? PAUSE : LONG_PAUSE;
}

// Ends early if something was done to the run. In a hidden tab it lasts until the tab is seen again.
function pause(milliseconds) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      events.removeEventListener("asked", end);
      document.removeEventListener("visibilitychange", seen);
      resolve();
    };
    const seen = () => document.hidden || end();
    const timer = setTimeout(seen, milliseconds);
    events.addEventListener("asked", end);
    document.addEventListener("visibilitychange", seen);
  });
}

function takeGone() {
  connect("connected");
  if (state.status?.state === "gone") return;
  state.status = { state: "gone", has_model: false };
  tellAll("status");
}

function connect(now) {
  if (state.connection === now) return; // or it is read out again
  state.connection = now;
  tellAll("connection");
}

function takeRows(news) {
  const isNew = news.metrics.length || news.samples.length;
  if (!isNew && !(news.from_the_beginning && state.metrics.length)) return;
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

// Panels that look into the model are updated when there is a better one.
function announceModel() {
  const evaluated = state.metrics.filter((row) => row.event === "evaluation" || row.event === "ended").length;
  if (state.status?.has_model && described === state.run && evaluated !== modelRows) {
    modelRows = evaluated;
    tellAll("model");
  }
}

async function takeStatus(status) {
  const [before, turn] = [state.status, state.turn];
  if (JSON.stringify(before) === JSON.stringify(status)) return;
  state.status = status;
  const changed = !before || before.state !== status.state || before.has_config !== status.has_config;
  if (changed || !state.details?.training) await refreshDetails();
  if (turn !== state.turn) return; // another run was chosen meanwhile
  tellAll("status");
  announceModel();
}

async function refreshDetails() {
  const { run: name, turn } = state;
  const details = await found(runPath(name));
  if (turn !== state.turn) return;
  state.details = details ?? state.details;
  const facts = details?.text && !state.facts ? await found(runPath(name, "/facts"), { signal: leaving.signal }) : null;
  if (turn !== state.turn) return;
  if (facts && !state.facts) {
    state.facts = facts;
    state.stretch = { ...WHOLE, begin: firstPlace(facts) };
    waitForBaselines(name, turn);
    tellAll("stretch");
  }
  described = name;
  tellAll("details");
}

// What the server has; null where that is nothing: the text may be gone, and the run is worth seeing all the same.
const found = (path, options) => get(path, options).catch(() => null);

// The beginning of what is kept back: the model never learned from it.
const firstPlace = (facts) => (facts.validation ? facts.kept_back_from : 0);

async function waitForBaselines(name, turn) {
  while (turn === state.turn) {
    const baselines = await found(runPath(name, "/baselines")); // asked again
    if (turn !== state.turn) return;
    if (baselines && baselines.done !== state.baselines?.done) {
      state.baselines = baselines;
      tellAll("rows");
    }
    if (baselines?.done) return;
    await pause(PAUSE);
  }
}

export function changeStretch(change) {
  state.stretch = { ...state.stretch, ...change };
  tellAll("stretch");
}

export function stretchRequest(length = state.stretch.length) {
  const { text, begin } = state.stretch;
  return text === null ? { begin, length } : { text };
}
