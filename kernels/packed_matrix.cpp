#include "packed_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ricorda {
namespace {

constexpr int group_of(Precision precision) {
  return precision == Precision::float32 ? 1 : precision == Precision::bfloat16 ? 2 : 4;
}

constexpr std::size_t bytes_of(Precision precision) {
  return precision == Precision::float32 ? 4 : precision == Precision::bfloat16 ? 2 : 1;
}

// Rounds to the nearest bfloat16, ties to even; the value is finite.
std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// The first weight of a row lies here, its group after group_stride elements.
struct RowPlace {
  std::size_t first;
  std::size_t group_stride;
};

RowPlace place_of(int row, int rows, int padded_depth, int group) {
  const int panel = std::min(row / panel_rows, panel_count(rows) - 1);
  const int first = panel * panel_rows;
  return {static_cast<std::size_t>(first) * padded_depth +
              static_cast<std::size_t>(row - first) * group,
          static_cast<std::size_t>(rows_of_panel(rows, panel)) * group};
}

}  // namespace

PackedMatrix::PackedMatrix(Precision precision, int rows, int depth,
                           const std::vector<RowsToPack>& parts)
    : rows_(rows), depth_(depth), group_(group_of(precision)) {
  padded_depth_ = (depth + group_ - 1) / group_ * group_;
  weights_ = AlignedBuffer<unsigned char>(static_cast<std::size_t>(rows) * padded_depth_ *
                                          bytes_of(precision));
  if (precision == Precision::int8) {
    scales_ = AlignedBuffer<float>(rows);
    corrections_ = AlignedBuffer<std::int32_t>(rows);
  }
  for (const RowsToPack& part : parts)
    for (int i = 0; i < part.count; ++i)
      pack_row(precision, part.values + static_cast<std::size_t>(i) * depth, part.first + i);
}

void PackedMatrix::pack_row(Precision precision, const float* values, int row) {
  const RowPlace place = place_of(row, rows_, padded_depth_, group_);
  const auto position = [&](int k) {
    return place.first + static_cast<std::size_t>(k / group_) * place.group_stride + k % group_;
  };
  if (precision == Precision::float32) {
    auto* weights = reinterpret_cast<float*>(weights_.data());
    for (int k = 0; k < depth_; ++k) weights[position(k)] = values[k];
  } else if (precision == Precision::bfloat16) {
    auto* weights = reinterpret_cast<std::uint16_t*>(weights_.data());
    for (int k = 0; k < depth_; ++k) weights[position(k)] = to_bfloat16(values[k]);
  } else {
    auto* weights = reinterpret_cast<std::int8_t*>(weights_.data());
    float largest = 0.0f;
    for (int k = 0; k < depth_; ++k) largest = std::max(largest, std::fabs(values[k]));
    const float scale = largest / 127.0f;
    std::int32_t sum = 0;
    for (int k = 0; k < depth_; ++k) {
      const float steps = scale > 0.0f ? values[k] / scale : 0.0f;
      const int whole = std::clamp(static_cast<int>(std::nearbyint(steps)), -127, 127);
      weights[position(k)] = static_cast<std::int8_t>(whole);
      sum += whole;
    }
    scales_[row] = scale;
    corrections_[row] = -128 * sum;
  }
}

MatrixView PackedMatrix::view() const {
  return {weights_.data(), scales_.data(), corrections_.data(), rows_, padded_depth_};
}

std::size_t PackedMatrix::bytes() const {
  return weights_.size() + scales_.size() * sizeof(float) +
         corrections_.size() * sizeof(std::int32_t);
}

}  // namespace ricorda
