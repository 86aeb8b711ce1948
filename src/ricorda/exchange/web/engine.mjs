// Runs a model that `ricorda export --to web` has written: reads, scores and writes texts.
// An ES module without dependencies, for browsers and Node. V symbols, H hidden units, G gates.

// Numbers.

// The numbers of base64 text.
function decoded(base64, Numbers) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) bytes[place] = letters.charCodeAt(place);
  return new Numbers(bytes.buffer);
}

// A tensor in float32; of eight bits, each row has a scale.
function tensorOf({ data, scales }) {
  if (scales === undefined) return decoded(data, Float32Array);
  const [integers, factors] = [decoded(data, Int8Array), decoded(scales, Float32Array)];
  const columns = integers.length / factors.length;
  return Float32Array.from(integers, (value, place) => value * factors[Math.floor(place / columns)]);
}

// result (R) += weights (R, C) x (C): four rows and two columns at a time, whose sums do not wait for
// each other.
function addProduct(weights, x, result) {
  const [rows, columns] = [result.length, x.length];
  const even = columns - (columns % 2);
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const a = row * columns, b = a + columns, c = b + columns, d = c + columns;
    let p = 0, q = 0, r = 0, s = 0;
    for (let column = 0; column < even; column += 2) {
      const first = x[column], second = x[column + 1];
      p += weights[a + column] * first + weights[a + column + 1] * second;
      q += weights[b + column] * first + weights[b + column + 1] * second;
      r += weights[c + column] * first + weights[c + column + 1] * second;
      s += weights[d + column] * first + weights[d + column + 1] * second;
    }
    const last = even < columns ? x[even] : 0;
    result[row] += p + (last && weights[a + even] * last);
    result[row + 1] += q + (last && weights[b + even] * last);
    result[row + 2] += r + (last && weights[c + even] * last);
    result[row + 3] += s + (last && weights[d + even] * last);
  }
  for (; row < rows; row++) {
    let sum = 0;
    for (let column = 0; column < columns; column++) sum += weights[row * columns + column] * x[column];
    result[row] += sum;
  }
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));

// Natural logarithms of the probabilities of logits (V).
export function logSoftmax(logits) {
  const top = logits.reduce((one, other) => Math.max(one, other), -Infinity);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
  return logits.map((logit) => logit - top - total);
}

// The ids of the `count` largest scores, the largest first; among equals the lower id.
export function mostLikely(scores, count) {
  const best = [];
  for (let id = 0; id < scores.length; id++) {
    if (best.length === count && !(scores[id] > scores[best[count - 1]])) continue;
    let place = best.length;
    while (place > 0 && scores[id] > scores[best[place - 1]]) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}

function checkFinite(logits) {
  if (!logits.every(Number.isFinite)) throw new RangeError("the network's state overflows on this text");
}

// The network.

// own: what the layer's input adds to each gate, recurrent: what its hidden state adds, both (G*H), in
// a cell without recurrent weights zeros;
// state: what the layer carries, (H) each, changed in place. As in torch.nn.
const CELLS = {
  rnn: { gates: 1, parts: 1, advance(own, recurrent, [hidden], nonlinearity) {
    const activate = nonlinearity === "relu" ? (value) => Math.max(value, 0) : Math.tanh;
    for (let unit = 0; unit < hidden.length; unit++) hidden[unit] = activate(own[unit] + recurrent[unit]);
  } },
  gru: { gates: 3, parts: 1, advance(own, recurrent, [hidden]) {
    const [size, twice] = [hidden.length, 2 * hidden.length];
    for (let unit = 0; unit < size; unit++) {
      const reset = sigmoid(own[unit] + recurrent[unit]);
      const update = sigmoid(own[size + unit] + recurrent[size + unit]);
      const candidate = Math.tanh(own[twice + unit] + reset * recurrent[twice + unit]);
      hidden[unit] = (1 - update) * candidate + update * hidden[unit];
    }
  } },
  lstm: { gates: 4, parts: 2, advance(own, recurrent, [hidden, cell]) {
    const size = hidden.length;
    for (let unit = 0; unit < size; unit++) {
      const total = (gate) => own[gate * size + unit] + recurrent[gate * size + unit];
      cell[unit] = sigmoid(total(1)) * cell[unit] + sigmoid(total(0)) * Math.tanh(total(2));
      hidden[unit] = sigmoid(total(3)) * Math.tanh(cell[unit]);
    }
  } },
  cifg: { gates: 3, parts: 2, advance(own, recurrent, [hidden, cell]) {
    const size = hidden.length;
    for (let unit = 0; unit < size; unit++) {
      const total = (gate) => own[gate * size + unit] + recurrent[gate * size + unit];
      const input = sigmoid(total(0));
      cell[unit] = (1 - input) * cell[unit] + input * Math.tanh(total(1));
      hidden[unit] = sigmoid(total(2)) * Math.tanh(cell[unit]);
    }
  } },
  mingru: { gates: 2, parts: 1, advance(own, recurrent, [hidden]) {
    const size = hidden.length;
    for (let unit = 0; unit < size; unit++) {
      const update = sigmoid(own[unit]);
      hidden[unit] = (1 - update) * hidden[unit] + update * own[size + unit];
    }
  } },
  minlstm: { gates: 3, parts: 1, advance(own, recurrent, [hidden]) {
    const [size, twice] = [hidden.length, 2 * hidden.length];
    for (let unit = 0; unit < size; unit++) {
      const [input, forget] = [1 + Math.exp(-own[unit]), 1 + Math.exp(-own[size + unit])]; // 1 / the gates
      hidden[unit] += forget / (forget + input) * (own[twice + unit] - hidden[unit]);
    }
  } },
};

export class Model {
  #own; #recurrent; #embedded; #embedding; #labels; #layers; #output;

  // description: the content of model.json
  constructor(description) {
    const { configuration, tensors, vocabulary, reading } = description;
    this.name = description.name;
    this.configuration = configuration;
    this.vocabulary = new Vocabulary(vocabulary, reading);
    this.cell = CELLS[configuration.cell];
    const tensor = (name) => (name in tensors ? tensorOf(tensors[name]) : null);
    this.#layers = Array.from({ length: configuration.num_layers }, (_, layer) => ({
      inputWeights: tensor(`layers.${layer}.weight_ih`), inputBias: tensor(`layers.${layer}.bias_ih`),
      hiddenWeights: tensor(`layers.${layer}.weight_hh`), hiddenBias: tensor(`layers.${layer}.bias_hh`),
    }));
    this.#embedding = tensor("embedding.weight"); // (V, E); of one-hot input none
    this.#labels = tensor("labels.weight"); // (K, G*H); of a model without labels none
    this.#output = { weights: tensor("output.weight"), bias: tensor("output.bias") };
    this.#embedded = new Float64Array(this.#embedding ? configuration.embedding_size : 0);
    this.#own = new Float64Array(this.cell.gates * configuration.hidden_size);
    this.#recurrent = new Float64Array(this.#own.length);
  }

  // The state before the first symbol: for each layer, its parts (H).
  zeroState() {
    const { num_layers: layers, hidden_size: size } = this.configuration;
    return Array.from({ length: layers }, () => Array.from({ length: this.cell.parts }, () => new Float64Array(size)));
  }

  // Read a symbol; the state changes. label: its number, 0 for none.
  advance(id, state, label = 0) {
    if (id === this.vocabulary.boundary) for (const parts of state) for (const part of parts) part.fill(0);
    this.#layers.forEach(({ inputWeights, inputBias, hiddenWeights, hiddenBias }, layer) => {
      this.#own.set(inputBias);
      if (layer === 0) this.#addSymbol(id, label, inputWeights);
      else addProduct(inputWeights, state[layer - 1][0], this.#own);
      if (hiddenWeights) {
        this.#recurrent.set(hiddenBias);
        addProduct(hiddenWeights, state[layer][0], this.#recurrent);
      }
      this.cell.advance(this.#own, this.#recurrent, state[layer], this.configuration.nonlinearity);
    });
  }

  // What a symbol and its document's label add to the first layer's gates.
  #addSymbol(id, label, weights) {
    const own = this.#own;
    const columns = weights.length / own.length;
    if (this.#embedding) {
      this.#embedded.set(this.#embedding.subarray(id * columns, (id + 1) * columns));
      addProduct(weights, this.#embedded, own);
    } else for (let row = 0; row < own.length; row++) own[row] += weights[row * columns + id];
    if (!this.#labels) return;
    for (let row = 0; row < own.length; row++) own[row] += this.#labels[label * own.length + row];
  }

  // The logits of the next symbol, (V).
  predict(state) {
    const logits = Float64Array.from(this.#output.bias);
    addProduct(this.#output.weights, state.at(-1)[0], logits);
    return logits;
  }
}

// Symbols.

const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORDS = {
  characters: /[^]/gu,
  pieces: new RegExp(
    ` ?[\\p{L}\\p{Nl}\\p{No}]{1,32}| ?\\p{Nd}{1,8}| ?[^\\p{L}\\p{N}${SPACE}]{1,8}\\n{0,8}|\\n{1,8}` +
    `| {1,16}(?= )|[${SPACE}]`, "gu"),
  words: /[\p{L}\p{N}_]{1,64}|[^\p{L}\p{N}_]/gu,
};
const CLUSTERS = /[^][\p{M}\u1160-\u11ff]{0,256}/gu; // a character and what combines with it

export class Vocabulary {
  #ids; #merges;

  // description: of the model file; reading: how its text was read
  constructor(description, reading) {
    const { kind, symbols = "", merges = [], words = [], start } = description;
    this.kind = kind;
    this.reading = reading;
    this.labels = description.labels ?? [];
    this.texts = [...symbols, ...words]; // by id; of bytes none
    this.#ids = new Map(this.texts.map((text, id) => [text, id]));
    this.#merges = new Map(merges.map((pair, rank) => {
      const text = this.texts[pair[0]] + this.texts[pair[1]];
      if (!this.#ids.has(text)) this.#ids.set(text, this.texts.push(text) - 1);
      return [pair.join(), { rank, id: this.#ids.get(text) }];
    }));
    this.size = kind === "bytes" ? 256 : this.texts.length;
    this.start = kind === "bytes" ? start : this.#ids.get(start);
    if (description.rare) this.rare = this.texts.push("\ufffd") - 1;
    this.size += description.rare ? 1 : 0;
    this.forbidden = description.rare ? [this.rare] : []; // ids that are never written
    if (description.boundary) {
      this.boundary = this.start = this.size++;
      this.texts[this.boundary] = "";
    }
  }

  // The number of a label, 0 for null.
  labelNumber(label) {
    if (label !== null && !this.labels.includes(label)) throw new RangeError(`the model has no label ${label}`);
    return this.labels.indexOf(label) + 1;
  }

  // Read a text as training read its text: the byte order mark dropped, line ends normalized, unknown
  // characters spelled in the other canonical form of Unicode where the model knows that.
  read(text) {
    if (this.reading.drop_mark) text = text.replace(/^\ufeff/, "");
    if (this.reading.newlines === "normalise") text = text.replace(/\r\n?/g, "\n");
    if (this.kind === "bytes") return text;
    const unknown = (spelling) => [...spelling].filter((character) => !this.#ids.has(character)).length;
    return text.replace(CLUSTERS, (cluster) =>
      [cluster, cluster.normalize("NFC"), cluster.normalize("NFD")].reduce((best, spelling) =>
        unknown(spelling) < unknown(best) ? spelling : best));
  }

  // The ids of a text that was read, and where characters were left out that have none:
  // [{ before: the number of the next symbol, characters }].
  encode(text) {
    const [ids, gaps] = [[], []];
    const known = this.kind === "bytes" ? (character) => !/\p{Cs}/u.test(character)
      : (character) => this.rare !== undefined || this.#ids.has(character);
    let part = "";
    const end = () => {
      if (this.kind === "bytes") for (const byte of new TextEncoder().encode(part)) ids.push(byte);
      else for (const word of part.match(WORDS[this.kind]) ?? []) ids.push(...this.#encodeWord(word));
      part = "";
    };
    for (const character of text) {
      if (known(character)) {
        part += character;
        continue;
      }
      end();
      if (gaps.at(-1)?.before === ids.length) gaps.at(-1).characters += character;
      else gaps.push({ before: ids.length, characters: character });
    }
    end();
    return { ids, gaps };
  }

  // A word's own symbol, or its characters, of which pieces join the pair that was learned first.
  #encodeWord(word) {
    if (this.kind === "words" && this.#ids.has(word)) return [this.#ids.get(word)];
    const ids = [...word].map((character) => this.#ids.get(character) ?? this.rare);
    for (;;) {
      let [place, best] = [-1, { rank: Infinity }];
      for (let each = 0; each + 1 < ids.length; each++) {
        const merge = this.#merges.get(`${ids[each]},${ids[each + 1]}`);
        if (merge?.rank < best.rank) [place, best] = [each, merge];
      }
      if (place < 0) return ids;
      ids.splice(place, 2, best.id);
    }
  }

  // Turns ids, one after another, into text; a character of several bytes comes with its last.
  decoder() {
    if (this.kind !== "bytes") return { decode: (id) => this.texts[id], finish: () => "" };
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    const decode = (id) => (id === this.boundary ? "" : utf8.decode(Uint8Array.of(id), { stream: true }));
    return { decode, finish: () => utf8.decode() };
  }
}

// Reading a text.

const EVERY = 32; // symbols from one state that is kept to the next

// What the model thought of one symbol: its nats and the likeliest ones, [id, probability] each.
function described(logits, id, count) {
  const logarithms = logSoftmax(logits);
  const alternatives = mostLikely(logarithms, count).map((each) => [each, Math.exp(logarithms[each])]);
  return { nats: -logarithms[id], alternatives };
}

// A text that changes while it is read: what its beginning shares with the text before is kept.
export class Reading {
  #kept; #label = 0; #artefacts = new Set();

  // alternatives: how many of the likeliest symbols each score has
  constructor(model, alternatives = 0) {
    this.model = model;
    this.alternatives = alternatives;
    this.#kept = [model.zeroState()];
    this.ids = []; // of the text, after what comes before it
    this.done = 0; // of them, how many are read
    this.take("");
  }

  get label() {
    return this.#label;
  }

  // Take a text; advance() reads it. label: one of the vocabulary's, or null.
  take(text, label = null) {
    const { vocabulary } = this.model;
    const [number, { ids, gaps }] = [vocabulary.labelNumber(label), vocabulary.encode(vocabulary.read(text))];
    // Symbols before the text: a document's boundary; of an empty text, what writing starts from.
    this.before = vocabulary.boundary !== undefined || !ids.length ? 1 : 0;
    const wanted = this.before ? [vocabulary.start, ...ids] : ids;
    this.gaps = gaps.map((gap) => ({ ...gap, before: gap.before + this.before }));
    const artefacts = new Set(this.gaps.map((gap) => gap.before)); // predicted without what is left out
    const agrees = (place) => wanted[place] === this.ids[place] && artefacts.has(place) === this.#artefacts.has(place);
    let same = 0;
    if (number === this.#label) while (same < this.done && agrees(same)) same++;
    const kept = Math.floor(same / EVERY);
    this.#kept.length = kept + 1;
    this.state = copied(this.#kept[kept]);
    this.done = kept * EVERY;
    this.logits = this.done ? this.model.predict(this.state) : null; // of the next symbol
    this.scores = (this.scores ?? []).slice(0, this.done); // of each symbol; null where it has no prediction
    [this.#label, this.#artefacts, this.ids] = [number, artefacts, wanted];
  }

  // Read for some milliseconds, or to the end; returns whether all is read.
  advance(milliseconds = Infinity) {
    const end = performance.now() + milliseconds;
    while (this.done < this.ids.length) {
      const id = this.ids[this.done];
      const scored = this.logits && !this.#artefacts.has(this.done);
      this.scores.push(scored ? described(this.logits, id, this.alternatives) : null);
      this.model.advance(id, this.state, this.#label);
      this.logits = this.model.predict(this.state);
      checkFinite(this.logits);
      this.done++;
      if (this.done % EVERY === 0) this.#kept.push(copied(this.state));
      if (performance.now() >= end) break;
    }
    return this.done === this.ids.length;
  }
}

const copied = (state) => state.map((parts) => parts.map((part) => part.slice()));

// Writing.

export const DEFAULTS = {
  temperature: 0.8, topK: null, topP: null, minP: null, repetitionPenalty: 1, repetitionWindow: 64,
  greedy: false, length: 200, seed: null, streamIndex: 0, alternatives: 0,
};

// The probabilities (V) with which the next symbol is drawn. recent: the last ids, for the penalty.
export function distribution(logits, settings, recent = [], forbidden = []) {
  checkFinite(logits);
  const { temperature, topK, topP, minP, repetitionPenalty: penalty, greedy } = { ...DEFAULTS, ...settings };
  const scores = logits.slice();
  for (const id of new Set(recent)) scores[id] = scores[id] > 0 ? scores[id] / penalty : scores[id] * penalty;
  for (const id of forbidden) scores[id] = -Infinity;
  const [best] = mostLikely(scores, 1);
  if (greedy || temperature === 0) return scores.map((_, id) => (id === best ? 1 : 0));
  const top = scores[best];
  const scaled = scores.map((score) => (score - top) / temperature);
  const likely = topK || (topP ?? 1) < 1 ? mostLikelyFirst(scaled) : [];
  if (topK) for (const id of likely.slice(topK)) scaled[id] = -Infinity;
  const probabilities = normalized(scaled.map(Math.exp));
  if ((topP ?? 1) < 1) {
    let reached = 0;
    for (const id of likely) {
      const isKept = reached < topP;
      reached += probabilities[id];
      if (!isKept) probabilities[id] = 0;
    }
  }
  const least = (minP ?? 0) * probabilities[best];
  return normalized(probabilities.map((each) => (each < least ? 0 : each)));
}

const mostLikelyFirst = (scores) => Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);

function normalized(values) {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}

// The first id whose cumulative probability exceeds a number in [0, 1).
function chosen(probabilities, uniform) {
  let cumulative = 0;
  for (let id = 0; id < probabilities.length; id++) {
    cumulative += probabilities[id];
    if (cumulative > uniform) return id;
  }
  return probabilities.findLastIndex((each) => each > 0); // the sum was rounded to a little below 1
}

// The random numbers of a seed's text, in [0, 1): those of `ricorda sample`. Philox 4x64-10 (Salmon et
// al., 2011) with the key (seed, stream index); the upper 53 bits of each output.
export function* uniforms(seed, streamIndex = 0) {
  const all = 2n ** 64n - 1n;
  for (let block = 1n; ; block++) {
    let [a, b, c, d] = [block & all, block >> 64n, 0n, 0n];
    let [first, second] = [BigInt(seed), BigInt(streamIndex)];
    for (let round = 0; round < 10; round++) {
      const [p, q] = [0xd2e7470ee14c6c93n * a, 0xca5a826395121157n * c];
      [a, b, c, d] = [(q >> 64n) ^ b ^ first, q & all, (p >> 64n) ^ d ^ second, p & all];
      [first, second] = [(first + 0x9e3779b97f4a7c15n) & all, (second + 0xbb67ae8584caa73bn) & all];
    }
    for (const bits of [a, b, c, d]) yield Number(bits >> 11n) * 2 ** -53;
  }
}

// Continues a text that was read, symbol by symbol.
export class Writer {
  #uniforms; #decoder; #recent; #state; #logits; #label;

  constructor(reading, settings = {}) {
    const { model } = reading;
    this.model = model;
    this.settings = { ...DEFAULTS, ...settings };
    this.seed = this.settings.seed ?? Math.floor(Math.random() * 2 ** 32);
    this.written = 0; // symbols
    this.ended = null; // or "length" or "stop", at a document's end
    this.#uniforms = uniforms(this.seed, this.settings.streamIndex);
    this.#decoder = model.vocabulary.decoder();
    this.#recent = reading.ids.filter((id) => id !== model.vocabulary.boundary);
    this.#state = copied(reading.state);
    this.#logits = reading.logits;
    this.#label = reading.label;
  }

  // The next symbol, { id, text, nats, alternatives }; null once the text has ended. Its text is what
  // it completes. A greater length in the settings continues a text that ended because of its length.
  next() {
    if (this.ended === "stop" || this.written >= this.settings.length) {
      this.ended ??= "length";
      return null;
    }
    const { vocabulary } = this.model;
    if (this.written) {
      this.model.advance(this.#recent.at(-1), this.#state, this.#label);
      this.#logits = this.model.predict(this.#state);
    }
    const recent = this.#recent.slice(-this.settings.repetitionWindow);
    const probabilities = distribution(this.#logits, this.settings, recent, vocabulary.forbidden);
    const id = chosen(probabilities, this.#uniforms.next().value);
    this.#recent.push(id);
    this.written++;
    this.ended = id === vocabulary.boundary ? "stop" : this.written === this.settings.length ? "length" : null;
    return { id, text: this.#decoder.decode(id), ...described(this.#logits, id, this.settings.alternatives) };
  }

  // The text of a character that was not completed.
  finish() {
    return this.#decoder.finish();
  }
}

// The continuation of a prompt, piece by piece; settings: DEFAULTS and a label.
export function* write(model, prompt, settings = {}) {
  const reading = new Reading(model);
  reading.take(prompt, settings.label ?? null);
  reading.advance();
  const writer = new Writer(reading, settings);
  for (let symbol = writer.next(); symbol; symbol = writer.next()) yield symbol.text;
  yield writer.finish();
}
