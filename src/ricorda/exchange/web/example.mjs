// Continues a prompt in Node: node example.mjs "Once upon a time" 300
import { readFile } from "node:fs/promises";
import { Model, Reading, write } from "./engine.mjs";

const [prompt = "", length = 200] = process.argv.slice(2);
const model = new Model(JSON.parse(await readFile(new URL("model.json", import.meta.url), "utf8")));

// The surprise of the prompt, in bits for each symbol.
const reading = new Reading(model);
reading.take(prompt);
reading.advance();
const bits = reading.scores.map((score) => (score ? score.nats / Math.LN2 : NaN));
console.error(bits.map((each) => each.toFixed(2)).join(" "));

for (const text of write(model, prompt, { length: Number(length), temperature: 0.8, seed: 1 })) process.stdout.write(text);
