// The largest of some logits, and the logarithm of their softmax's denominator.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "routines.hpp"

namespace ricorda {

// The `top` largest of `count` logits, in order, the lower id first among equals; top <= count.
inline void find_best(const float* logits, int count, int top, std::uint32_t* ids) {
  int found = 0;  // kept in order by insertion: `top` is small
  for (int id = 0; id < count; ++id) {
    if (found == top && (top == 0 || !(logits[id] > logits[ids[top - 1]]))) continue;
    int place = found < top ? found++ : top - 1;
    for (; place > 0 && logits[id] > logits[ids[place - 1]]; --place) ids[place] = ids[place - 1];
    ids[place] = static_cast<std::uint32_t>(id);
  }
}

// Turns logits into logarithms of probabilities: logit - log(sum(exp(logits))).
class LogSoftmax {
 public:
  // logits (count), a multiple of row_block, padded with minus infinity; workspace (count) may be
  // the logits themselves.
  LogSoftmax(const Routines& routines, const float* logits, int count, float* workspace)
      : largest_(routines.largest(logits, count)),
        log_total_(std::log(static_cast<double>(
            routines.exponentials(logits, count, static_cast<float>(largest_), workspace)))) {}

  float operator()(float logit) const {
    return static_cast<float>((static_cast<double>(logit) - largest_) - log_total_);
  }

 private:
  double largest_, log_total_;
};

// Probabilities of logits (count), a multiple of row_block, padded with minus infinity; returns the
// sum of exponentials, which is not finite where a logit is not.
inline float softmax(const Routines& routines, const float* logits, int count,
                     float* probabilities) {
  const float largest = routines.largest(logits, count);
  const float total = routines.exponentials(logits, count, largest, probabilities);
  routines.scale(probabilities, count, 1.0f / total);
  return total;
}

inline bool all_finite(const float* values, int count) {
  std::uint32_t found = 0;
  for (int i = 0; i < count; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    found |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return found == 0;
}

}  // namespace ricorda
