// Panel 1: drop, paste or choose a text; its description.
import { announce } from "./announce.js";
import { setCommand } from "./commands.js";
import { $, element } from "./dom.js";
import { number, percent } from "./numbers.js";
import { show, tell } from "./panel.js";
import { get, post, upload } from "./server.js";
import { state, tellAll } from "./state.js";
import { updateChoices } from "./update.js";
import { bytes, onLanguage, t, visible } from "./words.js";

let choosing = new AbortController();
let chosen = ""; // the name of the text that is shown or on its way
let refused = null; // a file that could not be read: another encoding may fit

export function beginText() {
  const drop = $("drop");
  $("choose-file").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    bringFile($("file").files[0]);
    $("file").value = ""; // the same file may have changed
  });
  $("encoding").addEventListener("change", () => bringFile(refused));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  for (const beside of ["dragover", "drop"]) { // or the browser would open the file in the page's place
    addEventListener(beside, (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    const pasted = event.dataTransfer.getData("text/plain");
    if (file) bringFile(file);
    else if (pasted) bring(() => upload("dropped", pasted));
  });
  $("use-paste").addEventListener("click", () => {
    if ($("paste").value) bring(() => upload("pasted", $("paste").value));
    else $("paste").focus();
  });
  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", () => bring(() => post("/api/sample-texts", { name: button.dataset.sample })));
  }
  $("earlier").addEventListener("change", () => $("earlier").value && chooseText($("earlier").value));
  onLanguage(fill);
  document.addEventListener("visibilitychange", refreshTexts); // another tab may have added one
  fillEarlier();
}

async function refreshTexts() {
  if (document.hidden) return;
  const about = await get("/api/studio").catch(() => null); // the header reports a lost connection
  if (about) state.about = about;
  fillEarlier();
}

function bringFile(file) {
  refused = null;
  if (file) bring(() => upload(file.name, file, $("encoding").value), file);
}

async function bring(send, file = null) {
  tell($("text-problem"), null);
  fillEmpty("text.reading");
  try {
    const kept = await send();
    state.about = await get("/api/studio");
    await chooseText(kept.name);
    if (state.text?.name === kept.name) announce(t("text.announce", { name: kept.name, characters: number(state.text.characters) }));
  } catch (error) {
    refused = file;
    tell($("text-problem"), error);
  }
  fillEmpty("text.empty");
}

// In place of a text's description: that there is none yet, or that one is being read.
function fillEmpty(words) {
  $("facts-empty").dataset.words = words; // another language finds it
  $("facts-empty").textContent = t(words);
}

export async function chooseText(name) {
  tell($("text-problem"), null);
  choosing.abort(); // the server need not finish reading the previous one
  choosing = new AbortController();
  chosen = name;
  fillEarlier();
  try {
    state.text = await get(`/api/texts/${encodeURIComponent(name)}`, { signal: choosing.signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    tell($("text-problem"), error);
    chosen = state.text?.name ?? "";
    fillEarlier();
    return;
  }
  fill();
  tellAll("text");
  get(`/api/texts/${encodeURIComponent(name)}/baselines`).catch(() => null); // soon they are needed
}

function fillEarlier() {
  const names = (state.about?.texts ?? []).map((text) => text.name);
  const none = ["", t(names.length ? "text.choose" : "text.none_yet")];
  updateChoices($("earlier"), [none, ...names.map((name) => [name, name])], chosen);
}

function fill() {
  fillEarlier();
  const facts = state.text;
  show($("facts"), facts);
  show($("facts-empty"), !facts);
  if (!facts) return;
  $("facts-name").textContent = facts.name;
  $("facts-size").textContent = bytes(facts.bytes);
  $("facts-characters").textContent = number(facts.characters);
  $("facts-different").textContent = number(facts.different);
  show($("facts-of-documents"), facts.documents !== null);
  $("facts-documents").textContent = number(facts.documents);
  const share = facts.training / (facts.training + facts.validation);
  $("split-words").textContent = facts.validation
    ? t("text.split", { training: number(facts.training), validation: number(facts.validation), share: percent(share) })
    : t("text.no_split");
  $("split-training").style.flexGrow = facts.training;
  $("split-validation").style.flexGrow = facts.validation;
  $("beginning").textContent = facts.beginning;
  $("frequent").replaceChildren(
    ...facts.frequent.map(([label, count]) =>
      element("li", {}, element("bdi", { class: "symbol" }, visible(label)), ` ${percent(count / facts.symbols)}`),
    ),
  );
  setCommand("text", facts.command);
}
