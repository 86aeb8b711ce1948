// Does what a test asks of an engine: node web_jobs.mjs ENGINE < jobs > results, both lists in JSON.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const engine = await import(pathToFileURL(process.argv[2]));
const numbers = (values) => Buffer.from(Float64Array.from(values).buffer).toString("base64");

const JOBS = {
  // The logarithms of the predictions after each id, (T, V).
  predict(model, { ids, label }) {
    const state = model.zeroState();
    return numbers(ids.flatMap((id) => {
      model.advance(id, state, label);
      return [...engine.logSoftmax(model.predict(state))];
    }));
  },

  // The most likely symbol again and again.
  greedy(model, { first, count, label }) {
    const [state, written] = [model.zeroState(), [first]];
    while (written.length <= count) {
      model.advance(written.at(-1), state, label);
      written.push(engine.mostLikely(model.predict(state), 1)[0]);
    }
    return written.slice(1);
  },

  write: (model, { prompt, settings }) => [...engine.write(model, prompt, settings)].join(""),

  encode(model, { texts }) {
    const { vocabulary } = model;
    return texts.map((text) => vocabulary.encode(vocabulary.read(text)));
  },

  decode(model, { ids }) {
    const decoder = model.vocabulary.decoder();
    return [...ids.map((id) => decoder.decode(id)), decoder.finish()];
  },

  // Take text after text, of each only some symbols but of the last all.
  read(model, { texts, label, alternatives, most }) {
    const reading = new engine.Reading(model, alternatives);
    texts.forEach((text, place) => {
      reading.take(text, label);
      while (!reading.advance(place === texts.length - 1 ? Infinity : 0) && reading.done < most);
    });
    return { scores: reading.scores, gaps: reading.gaps, logits: [...reading.logits] };
  },

  distribution: (_, { logits, settings, recent, forbidden }) =>
    [...engine.distribution(Float64Array.from(logits), settings, recent, forbidden)],

  uniforms(_, { seed, streamIndex, count }) {
    const drawn = engine.uniforms(BigInt(seed), BigInt(streamIndex));
    return Array.from({ length: count }, () => drawn.next().value);
  },
};

const answer = ({ kind, model, ...given }) => {
  try {
    return JOBS[kind](model && new engine.Model(model), given);
  } catch (error) {
    return { error: error.message };
  }
};
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(answer)));
