#include "sampled_rows.hpp"

#include <algorithm>
#include <limits>

#include "../routines.hpp"

namespace ricorda {
namespace {

constexpr std::uint32_t no_row = std::numeric_limits<std::uint32_t>::max();

}  // namespace

SampledRows::SampledRows(int vocabulary_size, int hidden_size)
    : hidden_size_(hidden_size), rows_(vocabulary_size) {}

void SampledRows::choose(const Candidates& candidates, const std::uint32_t* targets,
                         std::size_t count) {
  std::fill(rows_.begin(), rows_.end(), no_row);
  ids_.assign(candidates.ids, candidates.ids + candidates.count);
  for (std::size_t row = 0; row < ids_.size(); ++row) rows_[ids_[row]] = row;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t& row = rows_[targets[i]];
    if (row != no_row) continue;
    row = static_cast<std::uint32_t>(ids_.size());
    ids_.push_back(targets[i]);
  }
  make_room();
  const int width = padded(this->count());
  float* end =
      std::transform(candidates.log_probabilities, candidates.log_probabilities + candidates.count,
                     corrections_.data(), [](float logarithm) { return -logarithm; });
  std::fill(end, corrections_.data() + width, -std::numeric_limits<float>::infinity());
}

void SampledRows::make_room() {
  if (ids_.size() <= bias_.size()) return;
  const std::size_t room = std::min(ids_.size() + ids_.size() / 8, rows_.size());
  weight_ = AlignedBuffer<float>(room * hidden_size_);
  corrections_ = AlignedBuffer<float>(padded(int(room)));
  bias_ = AlignedBuffer<float>(room);
}

void SampledRows::gather(const float* weight, const float* bias) {
  for (std::size_t row = 0; row < ids_.size(); ++row) {
    std::copy_n(weight + std::size_t(ids_[row]) * hidden_size_, hidden_size_,
                weight_.data() + row * hidden_size_);
    bias_[row] = bias[ids_[row]];
  }
}

}  // namespace ricorda
