// Redraws a part of the page and keeps the elements that are there: what has the focus, is selected or is open stays
// so. Of what is drawn again, only contents and attributes are taken, no listeners: the part itself listens, and a
// control says in its `value` what it is for.
import { element } from "./dom.js";

const LATER = 50; // milliseconds between two looks whether something is still pressed
const waiting = new WeakMap(); // list -> the timer of a redraw that waits

// Like replaceChildren. An element is kept for one of the same name with the same data-key or, without keys, at the
// same place.
export function updateChildren(place, ...children) {
  const keyed = new Map();
  const others = [];
  for (const child of place.childNodes) child.dataset?.key ? keyed.set(child.dataset.key, child) : others.push(child);
  const wanted = children.map((child) => {
    const drawn = typeof child === "string" ? new Text(child) : child;
    const key = drawn.dataset?.key;
    const kept = key ? keyed.get(key) : others.shift();
    keyed.delete(key);
    if (kept?.nodeName !== drawn.nodeName) return drawn;
    update(kept, drawn);
    return kept;
  });
  const stays = new Set(wanted);
  for (const child of [...place.childNodes]) if (!stays.has(child)) child.remove();
  order(place, wanted);
}

// The same for rows with controls. While something is pressed, the redraw waits: what is under the pointer would move.
export function updateList(list, ...rows) {
  clearTimeout(waiting.get(list));
  if (document.querySelector(":active")) waiting.set(list, setTimeout(updateList, LATER, list, ...rows));
  else updateChildren(list, ...rows);
}

// The choices of a list, as [value, name], and the one that is chosen.
export function updateChoices(select, choices, chosen) {
  updateChildren(select, ...choices.map(([value, name]) => element("option", { value }, name)));
  choose(select, chosen);
}

// A list that is open would forget what is pointed at if it were set to what it is.
export function choose(select, chosen) {
  if (select.value !== chosen) select.value = chosen;
}

// work(value) for each press of a button within a part.
export function onButton(place, work) {
  place.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) work(button.value);
  });
}

function update(kept, drawn) {
  if (kept instanceof Text) {
    if (kept.data !== drawn.data) kept.data = drawn.data;
    return;
  }
  for (const { name } of [...kept.attributes]) if (name !== "open" && !drawn.hasAttribute(name)) kept.removeAttribute(name);
  for (const { name, value } of drawn.attributes) {
    if (name === "open" || kept.getAttribute(name) === value) continue; // details are opened and closed by the user
    if (name === "style") kept.style.cssText = value; // the page's policy refuses the attribute
    else kept.setAttribute(name, value);
  }
  if (kept.checked !== drawn.checked) kept.checked = drawn.checked;
  updateChildren(kept, ...drawn.childNodes);
}

// An element that is moved loses the focus: the others are moved around it.
function order(place, wanted) {
  let next = place.firstChild;
  for (const node of wanted) {
    while (next !== node && node.contains(document.activeElement)) {
      const other = next;
      next = next.nextSibling;
      place.append(other);
    }
    if (next === node) next = next.nextSibling;
    else place.insertBefore(node, next);
  }
}
