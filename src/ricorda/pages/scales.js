// The scales of a chart's axes, linear or logarithmic, with their ticks; the smoothing of a curve.
const FACTORS = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]]; // of powers of ten, the densest first

// About `count` round values (1, 2 or 5 times a power of ten) within low and high.
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => power * factor).find((each) => each >= rough * 0.999);
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

// The same for a logarithmic axis: as many small multiples of powers of ten as have room, which is
// half of an even step between two of them.
export function logTicks(low, high, count) {
  const [first, last] = [low, high].map((each) => Math.floor(Math.log10(each) + 1e-9));
  const apart = Math.max(1, Math.ceil((last - first) / (1.5 * count))); // powers between two ticks
  const powers = Array.from({ length: Math.floor((last - first) / apart) + 1 }, (_, index) => 10 ** (first + index * apart));
  const within = (factors) => powers.flatMap((power) => factors.map((factor) => factor * power))
    .filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  const room = Math.log(high / low) / (2 * count);
  const hasRoom = (values) => values.every((value, index) => !index || Math.log(value / values[index - 1]) >= room);
  const found = FACTORS.map(within).find(hasRoom) ?? within([1]);
  return found.length < 2 ? ticks(low, high, count).filter((value) => value > 0) : found;
}

// The smallest and the largest of some numbers.
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// From values to places between 0, at `low`, and 1, at `high`, and back.
export class Scale {
  constructor(low, high, isLog = false) {
    Object.assign(this, { low, high, isLog });
    [this.from, this.to] = [low, high].map((each) => this.#along(each));
  }

  #along(value) {
    return this.isLog ? Math.log(value) : value;
  }

  has(value) {
    return Number.isFinite(value) && !(this.isLog && value <= 0);
  }

  place(value) {
    return (this.#along(value) - this.from) / (this.to - this.from);
  }

  value(place) {
    const along = this.from + place * (this.to - this.from);
    return this.isLog ? Math.exp(along) : along;
  }

  contains(value) {
    const room = 1e-9;
    return this.has(value) && this.place(value) >= -room && this.place(value) <= 1 + room;
  }

  ticks(count) {
    return this.isLog ? logTicks(this.low, this.high, count) : ticks(this.low, this.high, count);
  }
}

// The exponential moving average of a curve, which is not drawn towards 0 at its beginning. A
// weight of 0 changes nothing; gaps stay gaps.
export function averaged(points, weight) {
  let [sum, mass] = [0, 0];
  return points.map(([x, y]) => {
    if (!Number.isFinite(y)) return [x, y];
    sum = weight * sum + (1 - weight) * y;
    mass = weight * mass + (1 - weight);
    return [x, sum / mass];
  });
}
