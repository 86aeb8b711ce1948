// Buttons that copy a text or download it as a file.
import { announce } from "./announce.js";
import { element, setText } from "./dom.js";
import { t } from "./words.js";

const SHOWN = 2000; // milliseconds

// text(button): what is copied at the click
export function copyButton(text, attributes = {}) {
  const button = element("button", { type: "button", class: "quiet", ...attributes }, t("page.copy"));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text(button));
    button.textContent = t("page.copied");
    announce(t("page.copied"));
    setTimeout(() => (button.textContent = t("page.copy")), SHOWN);
  });
  return button;
}

export function downloadButton(text, fileName, attributes = {}) {
  const button = element("button", { type: "button", class: "quiet", ...attributes }, t("page.download"));
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([text()], { type: "text/plain;charset=utf-8" }));
    element("a", { href: address, download: fileName() }).click();
    setTimeout(() => URL.revokeObjectURL(address), SHOWN);
  });
  return button;
}

const lines = new WeakMap(); // line -> { text, fileName, copy, download }

// Fill a line with both buttons, named for what they are about. They stay the same elements, or a
// button that has the focus would lose it.
export function fillCopying(line, name, text, fileName) {
  if (!lines.has(line)) lines.set(line, beginLine(line));
  const { copy, download } = Object.assign(lines.get(line), { text, fileName });
  setText(copy, t("page.copy"));
  copy.setAttribute("aria-label", t("page.copy_this", { name }));
  setText(download, t("page.download"));
  download.setAttribute("aria-label", t("page.download_this", { name }));
}

function beginLine(line) {
  const made = { text: () => "", fileName: () => "" };
  made.copy = copyButton(() => made.text());
  made.download = downloadButton(() => made.text(), () => made.fileName());
  line.replaceChildren(made.copy, made.download);
  return made;
}
