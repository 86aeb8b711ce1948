// Starts the page: words, theme, panels, the run that was shown last.
import { beginCommands } from "./commands.js";
import { $ } from "./dom.js";
import { show } from "./panel.js";
import { beginChoose } from "./panel_choose.js";
import { beginInside } from "./panel_inside.js";
import { beginLearning } from "./panel_learning.js";
import { beginRuns } from "./panel_runs.js";
import { beginSurprise } from "./panel_surprise.js";
import { beginText, chooseText } from "./panel_text.js";
import { beginWrites } from "./panel_writes.js";
import { beginReaders } from "./reader.js";
import { get } from "./server.js";
import { follow, on, state } from "./state.js";
import { beginWords, chooseLanguage, currentLanguage } from "./words.js";

function beginSwitches() {
  $("language").value = currentLanguage();
  $("language").addEventListener("change", () => chooseLanguage($("language").value));
  const theme = localStorage.getItem("theme") ?? "auto";
  $("theme").value = theme;
  document.documentElement.dataset.theme = theme;
  $("theme").addEventListener("change", () => {
    localStorage.setItem("theme", $("theme").value);
    document.documentElement.dataset.theme = $("theme").value;
    dispatchEvent(new Event("theme"));
  });
}

// Panels that need a model say so until there is one.
function showWhatThereIs() {
  const ready = Boolean(state.run && state.status?.has_model);
  for (const part of document.querySelectorAll(".with-model")) show(part, ready);
  for (const part of document.querySelectorAll(".needs-model")) show(part, !ready);
}

function markPanelInSight() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) id === first ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "-30% 0px -50% 0px" });
  for (const section of document.querySelectorAll("main > section")) observer.observe(section);
}

async function chooseRun(about) {
  const { runs } = await get("/api/runs");
  const names = runs.map((run) => run.name);
  const kept = localStorage.getItem("run");
  const wanted = about.running[0] ?? (names.includes(kept) ? kept : names[0]);
  if (wanted) follow(wanted);
}

await beginWords();
beginSwitches();
state.about = await get("/api/studio");
beginCommands();
beginReaders();
for (const begin of [beginText, beginLearning, beginWrites, beginInside, beginSurprise, beginChoose, beginRuns]) begin();
for (const change of ["run", "status", "model"]) on(change, showWhatThereIs);
showWhatThereIs();
markPanelInSight();
document.documentElement.dataset.ready = "true";
if (state.about.texts.length) chooseText(state.about.texts[0].name);
chooseRun(state.about).catch(() => show($("lost"), true));
