// A cursor for every chart: the pointer or the arrow keys choose a place, its values are read out.
for (const chart of document.querySelectorAll("figure.chart")) {
  const plot = chart.querySelector(".plot");
  const drawing = plot.querySelector("svg");
  const cursor = plot.querySelector(".cursor");
  const output = chart.querySelector(".reading");
  const readings = plot.dataset.readings.split("|").map((reading) => {
    const space = reading.indexOf(" ");
    return { place: Number(reading.slice(0, space)), text: reading.slice(space + 1) };
  });
  let current = readings.length - 1;

  const show = (index) => {
    current = Math.max(0, Math.min(readings.length - 1, index));
    cursor.setAttribute("x1", readings[current].place + "%");
    cursor.setAttribute("x2", readings[current].place + "%");
    cursor.classList.add("shown");
    output.textContent = readings[current].text;
  };
  const showNearest = (event) => {
    const box = drawing.getBoundingClientRect();
    const place = (100 * (event.clientX - box.left)) / box.width;
    let nearest = 0;
    for (let index = 1; index < readings.length; index++) {
      const distance = Math.abs(readings[index].place - place);
      if (distance < Math.abs(readings[nearest].place - place)) nearest = index;
    }
    show(nearest);
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 };

  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", "Chart: the arrow keys read its values out");
  plot.addEventListener("pointermove", showNearest);
  plot.addEventListener("pointerdown", showNearest);
  plot.addEventListener("pointerleave", () => cursor.classList.remove("shown"));
  plot.addEventListener("focus", () => output.setAttribute("aria-live", "polite"));
  plot.addEventListener("blur", () => {
    output.removeAttribute("aria-live");
    cursor.classList.remove("shown");
  });
  plot.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(current + steps[event.key]);
  });
}
