// The validation curves of runs that the user chose.
import { tell } from "./panel.js";
import { get, runPath } from "./server.js";
import { state } from "./state.js";

const NOT_BEGUN = ["queued", "starting"];

export class Curves {
  // problem: the line for a curve that did not come; draw(): the choice or a curve has changed
  constructor(problem, draw) {
    Object.assign(this, { problem, draw });
    this.chosen = new Map(); // name -> { points, branch, changed }
    this.loading = new Set(); // names
  }

  // The choice is noted at once, its curve comes later.
  choose(name, wanted) {
    if (wanted) this.chosen.set(name, { points: [], branch: null, changed: null });
    else this.chosen.delete(name);
    this.draw();
    this.refresh();
  }

  // now: null if the run was deleted
  rename(before, now) {
    if (now && this.chosen.has(before)) this.chosen.set(now, this.chosen.get(before));
    this.chosen.delete(before);
  }

  // Forget runs that are gone, and load the curves of those that have changed; what was not loaded is tried again.
  async refresh() {
    const runs = new Map(state.runs.map((run) => [run.name, run]));
    for (const name of this.chosen.keys()) if (!runs.has(name)) this.chosen.delete(name);
    const due = [...this.chosen.keys()].filter((name) => !this.loading.has(name)).map((name) => runs.get(name))
      .filter(({ name, state: now, changed }) => changed !== this.chosen.get(name).changed && !NOT_BEGUN.includes(now));
    const problems = await Promise.all(due.map((run) => this.#load(run)));
    tell(this.problem, problems.find(Boolean));
    if (due.length) this.draw();
  }

  async #load({ name, changed }) {
    this.loading.add(name);
    try {
      const curve = await get(runPath(name, "/curve"));
      if (this.chosen.has(name)) this.chosen.set(name, { ...curve, changed });
    } catch (problem) {
      return problem;
    } finally {
      this.loading.delete(name);
    }
  }
}
