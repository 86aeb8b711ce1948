// Panels are drawn when they come into sight, and what is above a panel may grow after its link was
// followed: the panel then stays under the header until the user scrolls or does something else.
const LEAVE = ["wheel", "touchmove", "pointerdown", "keydown"];
let target = null;

export function beginLanding() {
  const bar = document.querySelector(".bar");
  new ResizeObserver(() => {
    measure(bar);
    settle();
  }).observe(bar);
  new ResizeObserver(settle).observe(document.querySelector("main"));
  for (const name of LEAVE) addEventListener(name, () => (target = null), { capture: true, passive: true });
  addEventListener("hashchange", land);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]'); // a link to where one is changes no address
    if (link && link.hash === location.hash) land();
  });
  measure(bar);
  if (performance.getEntriesByType("navigation")[0]?.type === "reload") return; // one reads elsewhere
  land();
  settle();
}

// The part of the header that stays in sight: on a narrow page its first row scrolls away.
function measure(bar) {
  const { position, top } = getComputedStyle(bar);
  const height = position === "sticky" ? bar.offsetHeight + (Number.parseFloat(top) || 0) : 0;
  document.documentElement.style.setProperty("--bar", `${height}px`);
}

// The browser scrolls there; what changes later is corrected here.
function land() {
  target = document.querySelector(`main > section[id="${CSS.escape(location.hash.slice(1))}"]`);
}

const settle = () => target?.scrollIntoView({ block: "start", behavior: "instant" });
