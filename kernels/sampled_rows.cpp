#include "sampled_rows.hpp"

#include <algorithm>
#include <limits>

#include "routines.hpp"

namespace ricorda {

SampledRows::SampledRows(int vocabulary_size, int hidden_size)
    : hidden_size_(hidden_size), choice_(vocabulary_size) {}

void SampledRows::choose(const Negatives& negatives, const std::uint32_t* targets,
                         std::size_t count) {
  choice_.clear();
  for (int i = 0; i < negatives.count; ++i) choice_.take(negatives.ids[i]);
  for (std::size_t i = 0; i < count; ++i) choice_.take(targets[i]);
  reserve();
  float* corrections = corrections_.data();
  for (int i = 0; i < negatives.count; ++i) corrections[i] = -negatives.log_probabilities[i];
  std::fill(corrections + negatives.count, corrections + padded(choice_.count()),
            -std::numeric_limits<float>::infinity());
}

void SampledRows::reserve() {
  const int rows = choice_.count();
  if (static_cast<std::size_t>(rows) <= bias_.size()) return;
  const int capacity = std::min(rows + rows / 8, choice_.vocabulary_size());
  weight_ = AlignedBuffer<float>(std::size_t(capacity) * hidden_size_);
  corrections_ = AlignedBuffer<float>(padded(capacity));
  bias_ = AlignedBuffer<float>(capacity);
}

void SampledRows::gather(const float* weight, const float* bias) {
  float* row = weight_.data();
  for (const std::uint32_t id : choice_.ids()) {
    row = std::copy_n(weight + std::size_t(id) * hidden_size_, hidden_size_, row);
    bias_[choice_.row_of(id)] = bias[id];
  }
}

}  // namespace ricorda
