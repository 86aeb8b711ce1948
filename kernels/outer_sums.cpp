#include "outer_sums.hpp"

#include <algorithm>

namespace ricorda {
namespace {

constexpr int tile_depth = 2 * row_block;  // what a transposition pads to
constexpr int columns_together = 96;       // whose results are written while they are in cache

// Sums round both sides to bfloat16 only where the processor multiplies it.
Precision precision_of_sums(const InstructionSet& set, Precision precision) {
  return set.routines.multiply_rounded != nullptr ? precision : Precision::float32;
}

int padded_symbols(int count) { return (count + tile_depth - 1) / tile_depth * tile_depth; }

}  // namespace

OuterSums::OuterSums(const InstructionSet& set, Precision precision, int most, int right_columns)
    : set_(&set),
      precision_(precision_of_sums(set, precision)),
      right_(set, precision_, right_columns, padded_symbols(most)),
      left_(std::size_t(columns_together) * padded_symbols(most) * sizeof(float)),
      zeros_(right_columns),
      starts_(columns_together) {}

void OuterSums::set_right(const Rows& right, int count, int columns) {
  count_ = count;
  padded_count_ = padded_symbols(count);
  right_.reshape(columns, padded_count_);
  right_.pack({.values = right.values,
               .row_stride = 1,
               .depth_stride = right.stride,
               .rows = columns,
               .depth = count,
               .padded_depth = padded_count_});
}

void OuterSums::add(const Rows& left, int columns, float* gradient, std::ptrdiff_t stride,
                    bool anew) {
  const Routines& routines = set_->routines;
  for (int first = 0; first < columns; first += columns_together) {
    const int together = std::min(columns_together, columns - first);
    routines.transpose[int(precision_)]({left.values + first, left.stride, count_, padded_count_,
                                         together, left_.data(), padded_count_});
    for (int i = 0; i < together; ++i)
      starts_[i] = anew ? zeros_.data() : gradient + (first + i) * stride;
    const Multiplication task{.inputs = reinterpret_cast<const float*>(left_.data()),
                              .input_stride = padded_count_,
                              .starts = starts_.data(),
                              .outputs = gradient + first * stride,
                              .output_stride = stride,
                              .streams = together,
                              .backwards = false,
                              .prepared = nullptr};
    if (precision_ == Precision::bfloat16)
      routines.multiply_rounded(right_.view(), task,
                                reinterpret_cast<const std::uint16_t*>(left_.data()));
    else
      right_.multiply(task);
  }
}

}  // namespace ricorda
