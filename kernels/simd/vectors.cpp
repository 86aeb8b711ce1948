// What is done to a row of numbers: the parts of a softmax, and the activations by themselves.
#include "routines.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

float largest_of(const float* values, int count) {
  Float most = load(values);
  for (int i = width; i < count; i += width) most = maximum(most, load(values + i));
  return largest(most);
}

float total_of(const float* values, int count) {
  constexpr int together = 4;  // sums side by side, so that reading is all that takes time
  Float sums[together];
  RICORDA_UNROLL
  for (int i = 0; i < together; ++i) sums[i] = broadcast(0.0f);
  int at = 0;
  for (; at + together * width <= count; at += together * width) {
    RICORDA_UNROLL
    for (int i = 0; i < together; ++i) sums[i] = sums[i] + load(values + at + i * width);
  }
  for (; at < count; at += width) sums[0] = sums[0] + load(values + at);
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

float exponentials(const float* values, int count, float shift, float* results) {
  Float total = broadcast(0.0f);
  for (int i = 0; i < count; i += width) {
    const Float power = exp(load(values + i) - broadcast(shift));
    store(results + i, power);
    total = total + power;
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

void tanh_of(const float* values, int count, float* results) {
  for (int i = 0; i < count; i += width) store(results + i, tanh(load(values + i)));
}

void sigmoid_of(const float* values, int count, float* results) {
  for (int i = 0; i < count; i += width) store(results + i, sigmoid(load(values + i)));
}

}  // namespace ricorda::RICORDA_SET
