// What the panels share: requests about the chosen run, problems, tables, charts, throttling.
import { $, bar, element } from "./dom.js";
import { number } from "./numbers.js";
import { post, runPath } from "./server.js";
import { on, state } from "./state.js";
import { updateChildren } from "./update.js";
import { elapsed, knows, onLanguage, t } from "./words.js";

export function show(target, shown) {
  target.hidden = !shown;
}

// Ask about the chosen run. The answer is null if a run was chosen in the meantime, or if the server
// refused, which the panel then reports until the same is answered.
export async function ask(panel, path, body, options, send = post) {
  const { run, turn } = state;
  let [answer, problem] = [null, null];
  try {
    answer = await send(runPath(run, path), body, options);
  } catch (error) {
    problem = error;
  }
  if (state.turn !== turn || problem?.name === "AbortError") return null;
  const target = $(`${panel}-problem`);
  if (problem) tell(target, Object.assign(problem, { path }));
  else if (shownErrors.get(target)?.path === path) tell(target, null);
  return answer;
}

const shownErrors = new Map(); // target -> error
onLanguage(() => shownErrors.forEach((error, target) => tell(target, error)));

// Show an error in a line, or remove it.
export function tell(target, error) {
  if (error) shownErrors.set(target, error);
  else shownErrors.delete(target);
  show(target, error);
  updateChildren(target, ...(error ? sentences(error) : []));
}

// The page's own words for the kind of problem, then the server's, which are English.
function sentences(error) {
  if (error.code === "unreachable") return [error.message];
  const kind = `problem.${error.code}`;
  if (!knows(kind)) return [error.message];
  return [`${t(kind)} `, element("span", { lang: "en" }, error.message)];
}

// Rows of a table; the first cell of each is its heading.
export function fillTable(table, headings, rows) {
  const head = headings.map((text, index) => element("th", { scope: "col", class: index ? "number" : "" }, text));
  const cell = (content, index) =>
    index ? element("td", { class: "number" }, content) : element("th", { scope: "row" }, content);
  updateChildren(table,
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map(cell)))),
  );
}

// A symbol, a bar and a number, in a row.
export const barCells = (name, share, written, ...over) =>
  [element("bdi", { class: "symbol" }, name), bar(share, ...over), element("span", { class: "chance" }, written)];

// The names of a chart's controls: zoom, and both axes.
export const zoomTools = () => ({ closer: t("chart.closer"), farther: t("chart.farther"), whole: t("chart.whole") });
export const chartTools = () => ({ logX: t("chart.log_x"), logY: t("chart.log_y"), ...zoomTools() });

// A chart over the run's time.
export function chartOf(label, series, more) {
  const sentences = series.map(({ name, points }) => {
    const values = points.map((point) => point[1]);
    return t("page.curve_in_words", {
      name, first: number(values[0], 2), last: number(values.at(-1), 2), lowest: number(Math.min(...values), 2),
    });
  });
  const keys = more.tools === null ? "page.chart_read" : "page.chart_keys";
  return {
    label: `${label}: ${t(keys)}`, words: `${label}. ${sentences.join(" ")}`, empty: t("page.nothing_yet"),
    series, axes: [["", elapsed]], low: 0, tools: chartTools(), ...more,
  };
}

// Calls at once, then at most every so many milliseconds; the last call is never lost, unless
// another run is chosen before its turn.
export function paced(work, milliseconds) {
  let last = -Infinity;
  let timer = null;
  on("run", () => clearTimeout(timer));
  return (...given) => {
    clearTimeout(timer);
    const wait = last + milliseconds - performance.now();
    const run = () => {
      last = performance.now();
      work(...given);
    };
    if (wait <= 0) run();
    else timer = setTimeout(run, wait);
  };
}

// Work for a panel: done when it is in sight, or as soon as it comes into sight, for the same run.
export function whenSeen(target, work) {
  let seen = false;
  let due = false;
  on("run", () => (due = false));
  const look = () => {
    if (seen && due && !document.hidden) {
      due = false;
      work();
    }
  };
  new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    look();
  }).observe(target);
  document.addEventListener("visibilitychange", look);
  return () => {
    due = true;
    look();
  };
}
