// Adaptive probabilities of a bit, looked up by a small context.
#pragma once

#include <cstdint>
#include <vector>

#include "mixing/logistic.hpp"

namespace ricorda::mixing {

// 1 / (n + 1.5), the share of a new observation in the mean of n, in 16 bits.
class Shares {
 public:
  Shares() {
    for (std::uint32_t n = 0; n < 1024; ++n) shares_[n] = (1 << 17) / (2 * n + 3);
  }
  std::uint32_t operator[](std::uint32_t count) const { return shares_[count]; }

 private:
  std::uint32_t shares_[1024];
};

inline const Shares shares;

// A probability of 22 bits that follows what is observed, and in 10 bits how often it was.
class AdaptiveProbability {
 public:
  void set(float probability, std::uint32_t count) {
    bits_ = static_cast<std::uint32_t>(probability * float(largest)) << 10 | count;
  }
  // Of 16 bits.
  std::uint32_t probability() const { return bits_ >> 16; }
  void update(int bit, std::uint32_t limit) {
    const std::uint32_t count = bits_ & 1023;
    const std::int64_t target = bit ? largest : 0, now = bits_ >> 10;
    const std::int64_t moved = now + (target - now) * std::int64_t{shares[count]} / 65536;
    bits_ = static_cast<std::uint32_t>(moved) << 10 | (count < limit ? count + 1 : limit);
  }

 private:
  static constexpr std::int32_t largest = (1 << 22) - 1;

  std::uint32_t bits_ = 1u << 31;
};

// Refines a prediction: what came true of predictions like it in a context, with the two nearest
// of 33 steps interpolated (secondary symbol estimation).
class Refinement {
 public:
  explicit Refinement(std::size_t contexts)  // a power of two
      : steps_(contexts * count), mask_(contexts - 1) {
    for (std::size_t i = 0; i < count; ++i)
      steps_[i].set(squash((static_cast<float>(i) - 16.0f) * 0.5f), 6);
    for (std::size_t i = count; i < steps_.size(); ++i) steps_[i] = steps_[i - count];
  }
  // `nearest`: the step that learns what comes true.
  float refine(float logit, std::uint64_t context, AdaptiveProbability*& nearest) {
    const float position = (clamped(logit, 7.999f) + 8.0f) * 2.0f;
    const int step = static_cast<int>(position);
    const float share = position - static_cast<float>(step);
    const std::size_t first = static_cast<std::size_t>(context & mask_) * count + step;
    nearest = &steps_[first + (share > 0.5f ? 1 : 0)];
    const float low = static_cast<float>(steps_[first].probability());
    const float high = static_cast<float>(steps_[first + 1].probability());
    return (low + (high - low) * share + 0.5f) / 65536.0f;
  }

 private:
  static constexpr std::size_t count = 33;
  std::vector<AdaptiveProbability> steps_;
  std::uint64_t mask_;
};

}  // namespace ricorda::mixing
