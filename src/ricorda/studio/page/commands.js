// Under each panel, the commands that print its numbers in a terminal.
import { copyButton } from "./copying.js";
import { element } from "./dom.js";
import { state } from "./state.js";
import { updateChildren } from "./update.js";
import { onLanguage, t } from "./words.js";

const boxes = new Map(); // panel -> { box, commands }

export function beginCommands() {
  for (const box of document.querySelectorAll("[data-command]")) {
    boxes.set(box.dataset.command, { box, commands: [] });
    box.hidden = true;
  }
  onLanguage(() => boxes.forEach(fill));
}

// commands: one, several, or none
export function setCommand(panel, commands) {
  const entry = boxes.get(panel);
  const wanted = [commands ?? []].flat();
  if (wanted.join("\n") === entry.commands.join("\n")) return;
  entry.commands = wanted;
  fill(entry);
}

function fill({ box, commands }) {
  box.hidden = !commands.length;
  updateChildren(box,
    element("span", { class: "muted" }, t("page.command")),
    element("ul", {}, ...commands.map((command) => element("li", {}, element("code", {}, command), copier(command)))),
  );
}

const copier = (command) => copyButton((button) => button.previousSibling.textContent, { "aria-label": t("page.copy_command", { command }) });

// A word as a shell takes it. Control characters, and characters that would make the line look
// different, are escaped in the form $'\x1b' of bash, zsh and ksh.
export function quoted(word) {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (UNSAFE.test(word)) return `$'${word.replace(TO_SPELL, spelled)}'`;
  return `'${word.replaceAll("'", `'"'"'`)}'`;
}

const COMPRESSED = /\.(gz|zst|xz)$/i;
const UNSAFE = /(?![\n\t])[\p{C}\p{Zl}\p{Zp}]/u;
const TO_SPELL = /[\p{C}\p{Zl}\p{Zp}\\']/gu;

function spelled(character) {
  if ("\\'".includes(character)) return `\\${character}`;
  const bytes = [...new TextEncoder().encode(character)];
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

export const runWord = () => quoted(state.details?.path ?? state.run ?? "");

// A command that prints the passage that is read, for another's standard input; null if one line
// cannot do it, as from several files, documents or a compressed file.
export function stretchCommand(length = state.stretch.length) {
  const { text, begin } = state.stretch;
  if (text !== null) return `printf %s ${quoted(text)}`;
  const [name, ...others] = state.details?.texts ?? [];
  if (name === undefined || others.length || COMPRESSED.test(name) || !state.facts?.in_order) return null;
  const place = JSON.stringify(name);
  const learned = state.details?.text;
  const encoding = learned?.encoding ?? "utf-8-sig"; // a mark at its beginning is no character of it
  const ends = learned?.newlines === "keep" ? ', newline=""' : "";
  const program = state.facts?.kind === "bytes"
    ? `import sys; sys.stdout.buffer.write(open(${place}, "rb").read()[${begin}:${begin + length}])`
    : `print(open(${place}, encoding=${JSON.stringify(encoding)}${ends}).read()[${begin}:${begin + length}], end="")`;
  return `python3 -c ${quoted(program)}`;
}
