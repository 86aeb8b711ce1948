// Under each panel, the command that gives its numbers in a terminal.
import { announce } from "./announce.js";
import { element } from "./dom.js";
import { onLanguage, t } from "./words.js";

const boxes = new Map();

export function beginCommands() {
  for (const box of document.querySelectorAll("[data-command]")) {
    const code = element("code");
    const button = element("button", { type: "button", class: "quiet" });
    const label = element("span", { class: "muted" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = t("page.copied");
      announce(t("page.copied"));
      setTimeout(fill, 2000);
    });
    const fill = () => {
      label.textContent = t("page.command");
      button.textContent = t("page.copy");
      button.setAttribute("aria-label", t("page.copy_command", { command: code.textContent }));
    };
    box.append(label, code, button);
    boxes.set(box.dataset.command, { box, code, fill });
    box.hidden = true;
    onLanguage(fill);
  }
}

export function setCommand(panel, command) {
  const { box, code, fill } = boxes.get(panel);
  box.hidden = !command;
  code.textContent = command ?? "";
  fill();
}

// A word as a shell takes it.
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
