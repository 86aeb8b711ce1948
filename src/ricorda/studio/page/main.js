// Starts the page: words, theme, panels, the run that was shown last.
import { beginCommands } from "./commands.js";
import { $ } from "./dom.js";
import { beginHeader } from "./header.js";
import { beginLanding } from "./landing.js";
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
import { follow, on, refreshRuns, state } from "./state.js";
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

// The run that is being trained, else the one shown last, else the newest.
async function chooseRun(about) {
  await refreshRuns();
  if (state.run !== null) return; // one was chosen meanwhile
  const names = state.runs.map((run) => run.name);
  const kept = localStorage.getItem("run");
  follow(about.running[0] ?? (names.includes(kept) ? kept : (names[0] ?? null)));
}

await beginWords();
beginSwitches();
state.about = await get("/api/studio");
beginCommands();
beginReaders();
for (const begin of [beginText, beginLearning, beginWrites, beginInside, beginSurprise, beginChoose, beginRuns]) begin();
for (const change of ["run", "status", "model"]) on(change, showWhatThereIs);
showWhatThereIs();
beginHeader();
beginLanding();
document.documentElement.dataset.ready = "true";
if (state.about.texts.length) chooseText(state.about.texts[0].name);
chooseRun(state.about);
