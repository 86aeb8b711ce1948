#include "packed_matrix.hpp"

#include <algorithm>
#include <cmath>

namespace ricorda {

PackedMatrix::PackedMatrix(const InstructionSet& set, Precision precision, int rows, int depth)
    : multiply_(set.routines.multiply[int(precision)]),
      group_(4 / int(bytes_of(precision))),
      element_size_(bytes_of(precision)) {
  reshape(rows, depth);
  weights_ =
      AlignedBuffer<unsigned char>(std::size_t(rows_) * depth_ * element_size_, Pages::whole);
  if (precision == Precision::int8) {
    scales_ = AlignedBuffer<float>(rows);
    corrections_ = AlignedBuffer<std::int32_t>(rows);
  } else {
    pack_block_ = set.routines.pack_block[int(precision)];
  }
}

void PackedMatrix::reshape(int rows, int depth) {
  rows_ = rows;
  depth_ = (depth + group_ - 1) / group_ * group_;
}

// Where the weights of a row begin, from a depth on that is a multiple of the group.
std::size_t PackedMatrix::position(int row, int depth) const {
  const int panel = std::min(row / panel_rows, panel_count(rows_) - 1);
  const int first = panel * panel_rows;
  return std::size_t(first) * depth_ + std::size_t(depth) * rows_of_panel(rows_, panel) +
         std::size_t(row - first) * group_;
}

void PackedMatrix::pack(const Part& part) {
  if (pack_block_ == nullptr) {
    for (int i = 0; i < part.rows; ++i)
      pack_int8_row(part.values + i * part.row_stride, part.depth, part.first_row + i);
    return;
  }
  const int most = std::max(part.depth, part.padded_depth);
  const int padded_depth =
      std::min((most + group_ - 1) / group_ * group_, depth_ - part.first_depth);
  for (int i = 0; i < part.rows; i += row_block) {
    const int row = part.first_row + i;
    const std::ptrdiff_t panel_width = position(row, group_) - position(row, 0);
    pack_block_({part.values + i * part.row_stride, part.row_stride, part.depth_stride,
                 std::min(row_block, part.rows - i), part.depth, padded_depth,
                 weights_.data() + position(row, part.first_depth) * element_size_, panel_width});
  }
}

void PackedMatrix::pack_int8_row(const float* values, int depth, int row) {
  auto* weights = reinterpret_cast<std::int8_t*>(weights_.data());
  float largest = 0.0f;
  for (int k = 0; k < depth; ++k) largest = std::max(largest, std::fabs(values[k]));
  const float scale = largest / 127.0f;
  std::int32_t sum = 0;
  for (int k = 0; k < depth; ++k) {
    const float steps = scale > 0.0f ? values[k] / scale : 0.0f;
    const int whole = std::clamp(static_cast<int>(std::nearbyint(steps)), -127, 127);
    weights[position(row, k / group_ * group_) + k % group_] = static_cast<std::int8_t>(whole);
    sum += whole;
  }
  scales_[row] = scale;
  corrections_[row] = -128 * sum;
}

std::size_t PackedMatrix::bytes() const {
  return weights_.size() + scales_.size() * sizeof(float) +
         corrections_.size() * sizeof(std::int32_t);
}

}  // namespace ricorda
