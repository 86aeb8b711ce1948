// Elements made without HTML: what comes from a text, a name or a server is only ever text.
export const $ = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
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

export function show(target, shown) {
  target.hidden = !shown;
}

// Rows of a table; the first cell of each is its heading.
export function fillTable(table, headings, rows) {
  const head = headings.map((text, index) =>
    element("th", { scope: "col", class: index ? "number" : "" }, text),
  );
  const body = rows.map((cells) =>
    element(
      "tr",
      {},
      ...cells.map((cell, index) =>
        index ? element("td", { class: "number" }, cell) : element("th", { scope: "row" }, cell),
      ),
    ),
  );
  table.replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

// Calls at once, then at most every so many milliseconds, the last call never lost.
export function paced(work, milliseconds) {
  let last = -Infinity;
  let timer = null;
  return (...given) => {
    clearTimeout(timer);
    const wait = last + milliseconds - performance.now();
    const run = () => {
      last = performance.now();
      work(...given);
    };
    if (wait <= 0) run();
    else timer = setTimeout(run, wait);
  };
}

// Work for a panel: done when it is in sight, or as soon as it comes into sight.
export function whenSeen(target, work) {
  let seen = false;
  let due = false;
  const look = () => {
    if (seen && due && !document.hidden) {
      due = false;
      work();
    }
  };
  new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    look();
  }).observe(target);
  document.addEventListener("visibilitychange", look);
  return () => {
    due = true;
    look();
  };
}
