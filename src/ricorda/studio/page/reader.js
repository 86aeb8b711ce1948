// Which text the panels "inside" and "surprise" read: a passage of the run's text, or the user's own.
import { element } from "./dom.js";
import { number } from "./numbers.js";
import { changeStretch, on, state } from "./state.js";
import { onLanguage, t } from "./words.js";

export function beginReaders() {
  for (const box of document.querySelectorAll("[data-reader]")) beginReader(box, box.dataset.reader);
}

function beginReader(box, panel) {
  const slider = element("input", { type: "range", id: `${panel}-place`, min: "0", step: "1" });
  const label = element("label", { for: slider.id });
  const own = element("textarea", { id: `${panel}-own`, rows: "2", spellcheck: "false", maxlength: "4000", dir: "auto" });
  const ownLabel = element("label", { for: own.id });
  const read = element("button", { type: "button" });
  const back = element("button", { type: "button", class: "quiet" });
  const summary = element("summary");
  slider.addEventListener("change", () => changeStretch({ text: null, begin: Number(slider.value) }));
  slider.addEventListener("input", () => fillLabel());
  read.addEventListener("click", () => own.value && changeStretch({ text: own.value }));
  back.addEventListener("click", () => changeStretch({ text: null }));
  box.append(
    element("p", { class: "slider" }, label, slider),
    element("details", {}, summary, ownLabel, own, element("p", { class: "buttons" }, read, back)),
  );
  const fillLabel = () => {
    const facts = state.facts;
    const begin = Number(slider.value);
    const kept = facts?.validation && begin >= facts.kept_back_from;
    const values = { begin: number(begin), symbols: number(facts?.places ?? 0) };
    const key = state.stretch.text !== null ? "reader.own_text" : kept ? "reader.kept_back" : "reader.learned";
    label.textContent = state.stretch.text !== null ? t(key) : t(key, values);
    slider.setAttribute("aria-valuetext", label.textContent);
  };
  let begin = null;
  const fill = () => {
    slider.max = Math.max(0, (state.facts?.places ?? 1) - 200);
    if (begin !== state.stretch.begin) slider.value = begin = state.stretch.begin; // else it may be held by the user
    slider.disabled = !state.facts;
    summary.textContent = t("reader.own");
    ownLabel.textContent = t("reader.own_label");
    read.textContent = t("reader.read");
    back.textContent = t("reader.back");
    fillLabel();
  };
  for (const change of ["run", "stretch", "details"]) on(change, fill);
  onLanguage(fill);
  fill();
}
