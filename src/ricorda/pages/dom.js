// Elements made without HTML: what comes from a text, a name or a server is only ever text.
export const $ = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The text of an element. The same text again would be laid out and painted again.
export function setText(target, text) {
  if (target.textContent !== String(text)) target.textContent = text;
}

// A bar that is filled up to a share.
export function bar(share, ...others) {
  const fill = element("span", { class: "bar-fill" });
  fill.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  return element("span", { class: "bar-track", "aria-hidden": "true" }, fill, ...others);
}
