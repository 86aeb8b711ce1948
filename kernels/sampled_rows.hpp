// Sampled softmax (Bengio & Senecal, 2008; Jean et al., 2015): each target is compared with itself
// and with negatives drawn at random, in place of the whole vocabulary.
//
// The exp(logit) of a negative that is drawn with probability p counts 1 / p times, so that the
// softmax's denominator is on average that over all symbols. The rows of the output layer that this
// takes, those of the negatives and of the targets, are gathered into a small output layer.
//
// Dimensions: H hidden, K rows (Kp padded).
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "aligned_buffer.hpp"

namespace ricorda {

// Some rows of a matrix that has one for each symbol, in the order in which they were first taken.
// A window has few of many symbols: what a step needs of such a matrix, and its gradients, are then
// kept as K rows in place of V.
class RowChoice {
 public:
  RowChoice() = default;
  explicit RowChoice(int vocabulary_size) : rows_(vocabulary_size, none) {}

  void clear() {
    for (const std::uint32_t id : ids_) rows_[id] = none;
    ids_.clear();
  }

  void take(std::uint32_t id) {
    if (rows_[id] != none) return;
    rows_[id] = static_cast<std::uint32_t>(ids_.size());
    ids_.push_back(id);
  }

  int count() const { return static_cast<int>(ids_.size()); }
  const std::vector<std::uint32_t>& ids() const { return ids_; }      // (K) the symbol of each row
  std::uint32_t row_of(std::uint32_t id) const { return rows_[id]; }  // of a symbol that was taken
  int vocabulary_size() const { return static_cast<int>(rows_.size()); }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  std::vector<std::uint32_t> ids_;
  std::vector<std::uint32_t> rows_;  // (V)
};

struct Negatives {
  const std::uint32_t* ids;        // (count) each once
  const float* log_probabilities;  // (count) of being drawn
  int count;
};

class SampledRows {
 public:
  SampledRows() = default;
  SampledRows(int vocabulary_size, int hidden_size);

  // Takes the rows of the negatives, and of those of `count` targets that are not among them.
  void choose(const Negatives& negatives, const std::uint32_t* targets, std::size_t count);

  // Copies these rows of weight (V, H) and bias (V).
  void gather(const float* weight, const float* bias);

  const RowChoice& choice() const { return choice_; }
  const float* weight() const { return weight_.data(); }  // (K, H)
  const float* bias() const { return bias_.data(); }      // (K)
  // (Kp) what is added to the logits of all but a symbol's own target: minus log probability, or
  // minus infinity for targets of other symbols that were not drawn.
  const float* corrections() const { return corrections_.data(); }

 private:
  void reserve();

  int hidden_size_ = 0;
  RowChoice choice_;
  AlignedBuffer<float> weight_, bias_, corrections_;
};

}  // namespace ricorda
