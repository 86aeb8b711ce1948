// The header: the run that is shown and a list to choose another, the connection, the panel in sight.
import { $, element } from "./dom.js";
import { show } from "./panel.js";
import { follow, on, refreshRuns, state } from "./state.js";
import { choose, updateChildren } from "./update.js";
import { onLanguage, t } from "./words.js";

const NOTICES = { lost: "page.lost", refused: "page.token" };

export function beginHeader() {
  $("run-picker").addEventListener("change", () => follow($("run-picker").value));
  for (const change of ["run", "runs"]) on(change, fillPicker);
  for (const change of ["run", "status"]) on(change, fillState);
  on("run", () => state.runs.some((run) => run.name === state.run) || refreshRuns());
  on("status", () => state.status?.state === "gone" && refreshRuns());
  on("connection", fillConnection);
  onLanguage(() => {
    fillPicker();
    fillState();
    fillConnection();
  });
  fillPicker();
  fillState();
  fillConnection();
  markPanelInSight();
}

function fillPicker() {
  const names = state.runs.map((run) => run.name);
  if (state.run && !names.includes(state.run)) names.unshift(state.run); // it has just begun
  const none = element("option", { value: "", disabled: true }, t(names.length ? "header.choose" : "header.no_runs"));
  updateChildren($("run-picker"), none, ...names.map((name) => element("option", { value: name }, name)));
  choose($("run-picker"), state.run ?? "");
  $("run-picker").disabled = !names.length;
  document.title = state.run ? `${state.run} · ricorda studio` : "ricorda studio";
}

function fillState() {
  const now = state.run ? (state.status?.state ?? null) : null;
  show($("run-state"), now);
  $("run-state").className = `pill ${now}`;
  $("run-state").textContent = now ? t(`state.${now}`) : "";
}

function fillConnection() {
  const now = state.connection;
  $("connection").dataset.state = now;
  $("connection").textContent = t(`connection.${now}`);
  $("connection").title = $("connection").textContent;
  const words = NOTICES[now];
  show($("lost"), words);
  $("lost").textContent = words ? t(words) : "";
}

// The panel whose beginning is nearest above the middle of the page.
function markPanelInSight() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const strip = document.querySelector(".bar nav");
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) {
      if (id !== first) link.removeAttribute("aria-current");
      else link.setAttribute("aria-current", "true");
    }
    const link = links.get(first);
    if (link) strip.scrollTo({ left: link.offsetLeft - (strip.clientWidth - link.offsetWidth) / 2 });
  }, { rootMargin: "-30% 0px -50% 0px" });
  for (const section of document.querySelectorAll("main > section")) observer.observe(section);
}
