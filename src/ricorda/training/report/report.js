// The charts, and the samples one at a time with a slider back through the training; without
// scripts all samples are there.
import { drawDescribed } from "./chart.js";
import { $ } from "./dom.js";

drawDescribed();
const samples = [...document.querySelectorAll(".sample")].reverse(); // the oldest first
if (samples.length > 1) {
  const slider = $("moment");
  const all = $("all");
  const choose = () => {
    samples.forEach((sample, index) => {
      sample.hidden = !all.checked && index !== Number(slider.value);
      sample.classList.toggle("one", !all.checked);
    });
    slider.disabled = all.checked;
    slider.setAttribute("aria-valuetext", samples[slider.value].querySelector("h3").textContent);
  };
  slider.addEventListener("input", choose);
  all.addEventListener("change", choose);
  document.querySelector(".choose").hidden = false;
  choose();
}
