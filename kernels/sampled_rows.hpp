// Sampled softmax (Bengio & Senecal, 2008; Jean et al., 2015): each target is compared with itself
// and with negatives drawn at random, in place of the whole vocabulary.
//
// The exp(logit) of a negative that is drawn with probability p counts 1 / p times, so that the
// softmax's denominator is on average that over all symbols. The rows of the output layer that this
// takes, those of the negatives and of the targets, are gathered into a small output layer.
//
// Dimensions: H hidden, K rows (Kp padded).
#pragma once

#include "aligned_buffer.hpp"
#include "row_choice.hpp"

namespace ricorda {

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
