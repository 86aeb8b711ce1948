// The units that panel 4 lists: the best of each feature, all of them, or those of one feature.
import { $, bar, element } from "./dom.js";
import { number } from "./numbers.js";
import { show } from "./panel.js";
import { onButton, updateChoices, updateList } from "./update.js";
import { knows, t } from "./words.js";

const AT_ONCE = 40;
const BY_CHANCE = 0.05; // the p-value from which on an effect is one of chance
const IN_PICTURE = 256; // units
const BEST = ""; // of each feature
const ALL = "*";

export const unitName = ({ layer, unit }) => `${layer}:${unit}`;
export const isByChance = (entry) => entry.p_value > BY_CHANCE || entry.effect <= entry.control;

export class UnitList {
  // onFilter(unit): other units are shown, among them this one
  constructor(onChoose, onFilter) {
    this.begin();
    onButton($("units"), (name) => {
      const [layer, unit] = name.split(":").map(Number);
      onChoose({ layer, unit });
    });
    $("unit-filter").addEventListener("change", () => {
      this.listed = AT_ONCE;
      const unit = this.shown.find((entry) => unitName(entry) === unitName(this.chosen)) ?? this.shown[0];
      if (unit) onFilter(unit); // else the ranking is yet to come
    });
    $("more-units").addEventListener("click", () => {
      this.listed += AT_ONCE;
      this.fill(this.ranking, this.chosen);
    });
  }

  // Forget an earlier run's units.
  begin() {
    Object.assign(this, { ranking: null, chosen: { layer: 0, unit: 0 }, listed: AT_ONCE });
    $("unit-filter").value = BEST;
  }

  feature(key) {
    return knows(`feature.${key}`) ? t(`feature.${key}`) : (this.ranking?.features[key] ?? key);
  }

  direction = (entry) => t(entry.direction < 0 ? "inside.less" : "inside.more_of");

  find(unit) {
    return this.ranking?.units.find((each) => unitName(each) === unitName(unit));
  }

  // What a unit tracks, in words; nothing for one that the ranking does not have.
  tracked(unit) {
    const entry = this.find(unit);
    return entry ? `${this.feature(entry.feature)} ${this.direction(entry)}` : "";
  }

  // The entries that the filter lets through, in the order of the ranking.
  get shown() {
    const units = this.ranking?.units ?? [];
    const wanted = $("unit-filter").value;
    if (wanted === ALL) return units;
    if (wanted !== BEST) return units.filter((entry) => entry.feature === wanted);
    const seen = new Set();
    return units.filter((entry) => !seen.has(entry.feature) && seen.add(entry.feature));
  }

  // The rows of the picture: [[layer, number, what it tracks]].
  get pictured() {
    return this.shown.slice(0, IN_PICTURE).map((entry) => [entry.layer, entry.unit, this.tracked(entry)]);
  }

  fill(ranking, chosen) {
    Object.assign(this, { ranking, chosen });
    this.#fillFilter();
    const shown = this.shown;
    const rows = shown.slice(0, this.listed).map((entry) => this.#row(entry));
    updateList($("units").querySelector("tbody"), ...rows);
    show($("more-units"), shown.length > this.listed);
    show($("units-by-chance"), shown.slice(0, this.listed).some(isByChance));
  }

  #fillFilter() {
    const counts = new Map();
    for (const { feature } of this.ranking?.units ?? []) counts.set(feature, (counts.get(feature) ?? 0) + 1);
    const total = this.ranking?.units.length ?? 0;
    const kept = $("unit-filter").value;
    const features = [...counts].map(([key, count]) => [key, t("inside.filter_count", { name: this.feature(key), count: number(count) })]);
    const choices = [
      [BEST, t("inside.filter_best")],
      [ALL, t("inside.filter_count", { name: t("inside.filter_all"), count: number(total) })],
      ...features.sort((a, b) => a[1].localeCompare(b[1], document.documentElement.lang)),
    ];
    updateChoices($("unit-filter"), choices, choices.some(([value]) => value === kept) ? kept : BEST);
  }

  #row(entry) {
    const isChosen = unitName(entry) === unitName(this.chosen);
    const byChance = isByChance(entry);
    const name = unitName(entry);
    const button = element("button", { type: "button", class: "link", value: name, "aria-pressed": String(isChosen) }, name);
    const remarks = [
      entry.health === "works" ? null : t(`health.${entry.health}`),
      byChance ? t("inside.by_chance") : null,
    ].filter(Boolean).map((remark) => ` · ${remark}`).join("");
    return element("tr", { "data-key": name, class: [isChosen ? "chosen" : "", byChance ? "by-chance" : ""].join(" ").trim() },
      element("th", { scope: "row" }, button),
      element("td", {}, `${this.tracked(entry)}${remarks}`),
      element("td", { class: "number" }, bar(entry.effect), number(entry.effect, 2)),
      element("td", { class: "number" }, number(entry.control, 2)));
  }
}
