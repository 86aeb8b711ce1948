// Gradients of weight matrices: sums over many symbols of one column times one row.
//
//   gradient[r][c] += sum over i of left[i][r] * right[i][c]
//
// Symbols are taken some at a time, so that both sides are still in cache when they are multiplied.
#pragma once

#include <vector>

#include "packed_matrix.hpp"

namespace ricorda {

class OuterSums {
 public:
  OuterSums() = default;
  // For up to `most` symbols at a time, with so many columns on the right, a multiple of row_block.
  OuterSums(const InstructionSet& set, Precision precision, int most, int right_columns);

  // The right side of the products that follow: (count, columns).
  void set_right(const Rows& right, int count, int columns);

  // Adds left (count, columns) times the right side: gradient (columns, right columns). `anew`: to
  // zero instead of the gradient, which is overwritten.
  void add(const Rows& left, int columns, float* gradient, std::ptrdiff_t stride, bool anew);

 private:
  const InstructionSet* set_ = nullptr;
  Precision precision_ = Precision::float32;
  int count_ = 0;
  int padded_count_ = 0;
  PackedMatrix right_;
  AlignedBuffer<unsigned char> left_;  // (some columns, padded count) in the precision
  AlignedBuffer<float> zeros_;
  std::vector<const float*> starts_;
};

}  // namespace ricorda
