// How the next symbol is chosen from logits.
//
// The options and their order are those of src/ricorda/engine/sampling.py, which this is tested
// against. That one computes in float64, this in float32: the two choose differently only where a
// random number lies within a millionth or so of a boundary.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "aligned_buffer.hpp"
#include "constraint.hpp"
#include "routines.hpp"

namespace ricorda {

struct SamplingSettings {
  double repetition_penalty = 1.0;  // 1: none
  int repetition_window = 64;
  double presence_penalty = 0.0;   // taken off the score of each symbol written before
  double frequency_penalty = 0.0;  // the same, times how often it was written
  std::vector<float> bias;         // (V) added to the scores; empty: none
  Constraint constraint;           // which symbols may follow which
  bool greedy = false;
  double temperature = 1.0;  // 0: greedy
  int top_k = 0;             // 0: all
  double top_p = 1.0;        // 1: all
  double min_p = 0.0;        // 0: all

  bool counts_symbols() const { return presence_penalty != 0.0 || frequency_penalty != 0.0; }
  bool chooses_the_best() const { return greedy || temperature == 0.0; }
  // Throws std::invalid_argument for an option out of range.
  void check(int vocabulary_size) const;
};

class Sampler {
 public:
  Sampler(const Routines& routines, int vocabulary_size);

  // Chooses from logits (V), all finite, by a uniform number in [0, 1). `recent` are the last
  // symbols read, no more than the repetition window; `written` (V) says how often each was
  // written, and is looked at only if the settings count symbols. `constraint_state` is that of the
  // settings' constraint.
  std::uint32_t choose(const float* logits, const SamplingSettings& settings,
                       const std::deque<std::uint32_t>& recent,
                       const std::vector<std::uint32_t>& written, std::int32_t constraint_state,
                       double uniform);

 private:
  // Scores from `low` to below `high`. `above` is the sum of the measures from `high` on.
  struct Range {
    float low, high, above;
  };

  void penalise(double penalty, const std::deque<std::uint32_t>& recent);
  void discount(const SamplingSettings& settings, const std::vector<std::uint32_t>& written);
  float weigh(float largest, float inverse);
  double filter(const SamplingSettings& settings, float largest, float inverse);
  void keep_fewest(double wanted, const float* measures, float largest, float inverse);
  void keep_above(double wanted, const float* measures, const Range& range);
  double sum_of_block(std::size_t first) const;
  std::uint32_t pick(double wanted) const;

  const Routines& routines_;
  int vocabulary_size_;
  AlignedBuffer<float> scores_;         // (Vp) minus infinity where padded or not permitted
  AlignedBuffer<float> weights_;        // (Vp) in proportion to the probabilities, at most 1
  AlignedBuffer<float> ones_;           // (Vp) counts symbols where weights_ measures them
  std::vector<std::uint32_t> members_;  // (Vp) candidates for the last symbol to keep
  std::vector<unsigned char> seen_;     // (V) 1 for the symbols among the last ones
};

}  // namespace ricorda
