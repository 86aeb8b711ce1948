// What is done to a row of numbers: the parts of a softmax, and the activations by themselves.
#include "routines.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {
namespace {

// Sixteen lanes in as many vectors as that takes, so that a sum has the same order, and the same
// bits, with every instruction set.
constexpr int parts16 = 16 / width;
struct Lanes16 {
  Float parts[parts16];
};

RICORDA_INLINE Lanes16 zeros16() {
  Lanes16 zeros;
  RICORDA_UNROLL
  for (int i = 0; i < parts16; ++i) zeros.parts[i] = broadcast(0.0f);
  return zeros;
}
RICORDA_INLINE Lanes16 load16(const float* source) {
  Lanes16 values;
  RICORDA_UNROLL
  for (int i = 0; i < parts16; ++i) values.parts[i] = load(source + i * width);
  return values;
}
RICORDA_INLINE void add(Lanes16& sums, const Lanes16& values) {
  RICORDA_UNROLL
  for (int i = 0; i < parts16; ++i) sums.parts[i] = sums.parts[i] + values.parts[i];
}
// Lane i plus lane i + 8, then i + 4, i + 2, i + 1; `sum` of a vector continues in this order.
RICORDA_INLINE float sum(Lanes16 sums) {
  RICORDA_UNROLL
  for (int half = parts16 / 2; half > 0; half /= 2) {
    RICORDA_UNROLL
    for (int i = 0; i < half; ++i) sums.parts[i] = sums.parts[i] + sums.parts[i + half];
  }
  return RICORDA_SET::sum(sums.parts[0]);
}

}  // namespace

float largest_of(const float* values, int count) {
  Float most = load(values);
  for (int i = width; i < count; i += width) most = maximum(most, load(values + i));
  return largest(most);
}

float total_of(const float* values, int count) {
  constexpr int together = 4;  // sums side by side, so that reading is all that takes time
  Lanes16 sums[together];
  RICORDA_UNROLL
  for (int i = 0; i < together; ++i) sums[i] = zeros16();
  int at = 0;
  for (; at + together * 16 <= count; at += together * 16) {
    RICORDA_UNROLL
    for (int i = 0; i < together; ++i) add(sums[i], load16(values + at + i * 16));
  }
  for (; at < count; at += 16) add(sums[0], load16(values + at));
  add(sums[0], sums[1]), add(sums[2], sums[3]), add(sums[0], sums[2]);
  return sum(sums[0]);
}

float exponentials(const float* values, int count, float shift, float* results) {
  Lanes16 total = zeros16();
  for (int i = 0; i < count; i += 16) {
    Lanes16 powers;
    RICORDA_UNROLL
    for (int part = 0; part < parts16; ++part) {
      const int at = i + part * width;
      powers.parts[part] = exp(load(values + at) - broadcast(shift));
      store(results + at, powers.parts[part]);
    }
    add(total, powers);
  }
  return sum(total);
}

void totals_from(const float* scores, const float* values, int count, const float* least,
                 float* totals) {
  constexpr int together = 4;
  Float sums[together];
  RICORDA_UNROLL
  for (int j = 0; j < together; ++j) sums[j] = broadcast(0.0f);
  for (int i = 0; i < count; i += width) {
    const Float score = load(scores + i), value = load(values + i);
    RICORDA_UNROLL
    for (int j = 0; j < together; ++j)
      sums[j] = sums[j] + where_at_least(score, broadcast(least[j]), value);
  }
  RICORDA_UNROLL
  for (int j = 0; j < together; ++j) totals[j] = sum(sums[j]);
}

int places_between(const float* scores, int count, float low, float high, std::uint32_t* places) {
  const Float least = broadcast(low), beyond = broadcast(high);
  int found = 0;
  for (int i = 0; i < count; i += width) {
    const Float score = load(scores + i);
    const unsigned inside = lanes_at_least(score, least) & ~lanes_at_least(score, beyond);
    if (inside == 0) continue;
    for (int lane = 0; lane < width; ++lane) {
      places[found] = static_cast<std::uint32_t>(i + lane);
      found += static_cast<int>(inside >> lane & 1);
    }
  }
  return found;
}

void drop_below(const float* scores, int count, float least, float* values) {
  for (int i = 0; i < count; i += width)
    store(values + i, where_at_least(load(scores + i), broadcast(least), load(values + i)));
}

void tanh_of(const float* values, int count, float* results) {
  for (int i = 0; i < count; i += width) store(results + i, tanh(load(values + i)));
}

void sigmoid_of(const float* values, int count, float* results) {
  for (int i = 0; i < count; i += width) store(results + i, sigmoid(load(values + i)));
}

}  // namespace ricorda::RICORDA_SET
