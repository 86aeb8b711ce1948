// What learning does to plain rows of numbers: dropout, sums, the optimizer.
#include <math.h>

#include "routines.hpp"
#include "simd/vector.hpp"

namespace ricorda::RICORDA_SET {
namespace {

// A bijection of 32 bits that leaves no trace of its argument's order: the constants are those of
// lowbias32, found by Chris Wellons' search for hash functions (2018).
RICORDA_INLINE std::uint32_t mixed(std::uint32_t bits) {
  bits = (bits ^ (bits >> 16)) * 0x7feb352du;
  bits = (bits ^ (bits >> 15)) * 0x846ca68bu;
  return bits ^ (bits >> 16);
}

RICORDA_INLINE float updated(const AdamW& rule, const Numbers& numbers, int i) {
  const float gradient = numbers.gradients[i] * rule.gradient_scale;
  const float first = rule.first_beta * numbers.first_moments[i] + (1 - rule.first_beta) * gradient;
  const float second =
      rule.second_beta * numbers.second_moments[i] + (1 - rule.second_beta) * gradient * gradient;
  numbers.first_moments[i] = first;
  numbers.second_moments[i] = second;
  const float root = sqrtf(second * rule.second_correction);
  return numbers.weights[i] * rule.decay -
         rule.learning_rate * (first * rule.first_correction) / (root + rule.epsilon);
}

}  // namespace

void add(const float* values, int count, float* sums) {
  for (int i = 0; i < count; ++i) sums[i] += values[i];
}

void scale(float* values, int count, float factor) {
  for (int i = 0; i < count; ++i) values[i] *= factor;
}

double sum_of_squares(const float* values, int count) {
  double sums[8] = {};
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    RICORDA_UNROLL
    for (int j = 0; j < 8; ++j) sums[j] += static_cast<double>(values[i + j]) * values[i + j];
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(values[i]) * values[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

void drop(float* values, int count, std::uint64_t key, std::uint32_t first, float keep) {
  const auto low = static_cast<std::uint32_t>(key), high = static_cast<std::uint32_t>(key >> 32);
  // at most the largest float below 2^31: a share that rounds to 1 must not overflow
  const float most = keep * 2147483648.0f - 0.5f;
  const auto limit = static_cast<std::int32_t>(most < 2147483520.0f ? most : 2147483520.0f);
  const float scale = 1.0f / keep;
  for (int i = 0; i < count; ++i) {
    const std::uint32_t bits = mixed(mixed((first + static_cast<std::uint32_t>(i)) ^ low) + high);
    values[i] = static_cast<std::int32_t>(bits >> 1) <= limit ? values[i] * scale : 0.0f;
  }
}

void adamw(const AdamW& rule, const Numbers& numbers) {
  if (numbers.averages == nullptr) {
    for (int i = 0; i < numbers.count; ++i) numbers.weights[i] = updated(rule, numbers, i);
    return;
  }
  for (int i = 0; i < numbers.count; ++i) {
    const float weight = updated(rule, numbers, i);
    numbers.weights[i] = weight;
    numbers.averages[i] += rule.average_share * (weight - numbers.averages[i]);
  }
}

void adapt(float rate, float pull, const Numbers& numbers) {
  for (int i = 0; i < numbers.count; ++i) {
    const float moved =
        numbers.weights[i] - rate * (numbers.gradients[i] * numbers.second_moments[i]);
    numbers.weights[i] = moved + pull * (numbers.first_moments[i] - moved);
  }
}

}  // namespace ricorda::RICORDA_SET
