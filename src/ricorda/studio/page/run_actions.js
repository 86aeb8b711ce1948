// What is done with the run that is shown: its files, its name, its note, its deletion and the undo.
import { $, element } from "./dom.js";
import { number } from "./numbers.js";
import { show, tell } from "./panel.js";
import { getBlob, placeOf, post, runPath } from "./server.js";
import { follow, on, refreshRuns, state } from "./state.js";
import { onButton, updateList } from "./update.js";
import { moment, onLanguage, t } from "./words.js";

const BUSY = ["queued", "starting", "learning", "pausing"];
let done = null; // what was done last, and how it is undone
let written = {}; // the name and the note that were put into the fields
let moved = () => {};

// onMoved(before, now): a run has another name; null: it was deleted
export function beginRunActions(onMoved) {
  moved = onMoved;
  submits($("rename"), rename);
  submits($("annotate"), annotate);
  $("delete-run").addEventListener("click", () => act(deleteRun));
  $("run-page").addEventListener("click", () => act(savePage));
  onButton($("deleted-runs"), (value) => {
    const [work, number] = value.split(" ");
    act(() => (work === "restore" ? restore(Number(number)) : deleteForGood(Number(number))));
  });
  for (const change of ["run", "runs", "status"]) on(change, fill);
  on("run", () => tell($("runs-problem"), null));
  onLanguage(() => {
    fill();
    fillDone();
  });
  fill();
}

// Where a run comes from, in a sentence without its end; empty for one from random weights.
export function origin(row) {
  const found = [];
  if (row?.from) found.push(t("runs.from", { model: row.from.name }));
  if (row?.branch) found.push(t("runs.branch", { run: row.branch.run, step: number(row.branch.step) }));
  if (row?.resumed) found.push(t("runs.resumed"));
  return found.join(" · ");
}

function submits(form, work) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(work);
  });
}

async function act(work) {
  tell($("runs-problem"), null);
  try {
    await work();
  } catch (error) {
    tell($("runs-problem"), error);
  }
}

const shown = () => state.runs.find((run) => run.name === state.run);

function fill() {
  const row = shown();
  show($("run-card"), row);
  fillDeleted();
  if (!row) return;
  const busy = BUSY.includes(state.status?.state ?? row.state);
  $("run-card-heading").textContent = t("runs.this_run", { name: row.name });
  $("run-card-origin").textContent = [origin(row), t("runs.changed_at", { moment: moment(row.changed) })].filter(Boolean).join(" · ");
  link($("run-report"), row.has_report, "/report", "runs.report");
  link($("run-model"), row.has_model, "/model", "runs.model");
  show($("run-page"), row.has_model);
  for (const field of document.querySelectorAll("#rename input, #rename button, #delete-run")) field.disabled = busy;
  $("delete-note").textContent = t(busy ? "runs.busy" : "runs.delete_note");
  fillFields(row.name, row.note ?? "");
}

// What is being typed stays.
function fillFields(name, note) {
  const isNew = written.name !== name;
  if (isNew) $("new-name").value = name;
  if (isNew || $("note").value === written.note) $("note").value = note;
  written = { name, note };
}

function link(target, there, path, words) {
  show(target, there);
  target.href = placeOf(runPath(state.run, path));
  target.textContent = t(words);
}

async function rename() {
  const [before, wanted] = [state.run, $("new-name").value.trim()];
  if (wanted === before || !wanted) return;
  const { name } = await post(runPath(before, "/rename"), { name: wanted });
  moved(before, name);
  tellDone({ key: "runs.renamed", values: { before, name } });
  follow(name);
  await refreshRuns();
}

async function annotate() {
  const { note } = await post(runPath(state.run, "/note"), { note: $("note").value });
  written.note = $("note").value;
  tellDone({ key: note ? "runs.noted" : "runs.note_removed", values: { name: state.run } });
  await refreshRuns();
}

async function deleteRun() {
  const name = state.run;
  const { number } = await post(runPath(name, "/delete"), {});
  moved(name, null);
  await refreshRuns();
  follow(state.runs[0]?.name ?? null);
  tellDone({ key: "runs.was_deleted", values: { name }, undo: () => restore(number) });
  $("runs-done").querySelector("button").focus();
}

async function restore(number) {
  const { name } = await post(`/api/deleted/${number}/restore`, {});
  await refreshRuns();
  follow(name);
  tellDone({ key: "runs.restored", values: { name } });
  $("run-card-heading").focus();
}

async function deleteForGood(number) {
  const name = state.deleted.find((each) => each.number === number)?.name;
  const { left } = await post(`/api/deleted/${number}/delete`, {});
  await refreshRuns();
  tellDone(left.length
    ? { key: "runs.files_left", values: { name, files: left.join(", ") } }
    : { key: "runs.deleted_for_good", values: { name } });
  $("deleted").hidden ? $("runs").focus() : $("deleted").querySelector("summary").focus();
}

function fillDeleted() {
  show($("deleted"), state.deleted.length);
  updateList($("deleted-runs"), ...state.deleted.map(({ number, name }) => {
    const button = (work, words, label) =>
      element("button", { type: "button", value: `${work} ${number}`, "aria-label": t(label, { name }) }, t(words));
    return element("li", { "data-key": number }, element("span", {}, name),
      button("restore", "runs.restore", "runs.restore_this"),
      button("delete", "runs.delete_for_good", "runs.delete_this"));
  }));
}

function tellDone(what) {
  done = what;
  fillDone();
}

function fillDone() {
  if (!done) return;
  const undo = done.undo && element("button", { type: "button", id: "undo-delete", onclick: () => act(done.undo) }, t("runs.undo"));
  $("runs-done").replaceChildren(t(done.key, done.values), ...(undo ? [" ", undo] : []));
}

// The page is made on request: a model that cannot be exported is reported here.
async function savePage() {
  const content = await getBlob(runPath(state.run, "/page"));
  const place = URL.createObjectURL(content);
  element("a", { href: place, download: `${state.run}-page.html` }).click();
  setTimeout(() => URL.revokeObjectURL(place), 60_000);
}
