// Mixes predictions of a bit: a weighted sum of logits, with weights that learn online to lower
// the bits that are coded (Mahoney, 2005). Sums run in sixteen lanes, so that their order is the
// same whatever vectors a compiler uses.
#pragma once

#include <vector>

#include "aligned_buffer.hpp"
#include "mixing/logistic.hpp"

namespace ricorda::mixing {

constexpr int lanes = 16;

class Mixer {
 public:
  // first_weights: of each input, a multiple of `lanes`.
  Mixer(const std::vector<float>& first_weights, std::size_t contexts, float rate, float least_rate)
      : inputs_(int(first_weights.size())), rate_(rate), least_(least_rate) {
    weights_.reserve(first_weights.size() * contexts);
    for (std::size_t i = 0; i < contexts; ++i)
      weights_.insert(weights_.end(), first_weights.begin(), first_weights.end());
  }

  // The mixture's logit.
  float mix(const float* inputs, std::size_t context) const {
    const float* weights = weights_.data() + context * inputs_;
    float sums[lanes] = {};
    for (int i = 0; i < inputs_; i += lanes)
      for (int lane = 0; lane < lanes; ++lane) sums[lane] += weights[i + lane] * inputs[i + lane];
    for (int half = lanes / 2; half > 0; half /= 2)
      for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    return clamped(sums[0], largest_logit);
  }

  // `probability`: that of the mixture's logit.
  void update(const float* inputs, std::size_t context, float probability, int bit) {
    const float step = (static_cast<float>(bit) - probability) * rate_;
    float* weights = weights_.data() + context * inputs_;
    for (int i = 0; i < inputs_; ++i) weights[i] += step * inputs[i];
    rate_ = rate_ > least_ ? rate_ * 0.99995f : least_;
  }

 private:
  int inputs_;
  std::vector<float> weights_;
  float rate_, least_;
};

}  // namespace ricorda::mixing
