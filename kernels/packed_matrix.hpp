// Weights in the order in which a product reads them.
//
// The rows are cut into panels of 64 (the last one up to 112), and a panel holds, for k after k,
// the weights of all its rows: (panels, depth / group, panel rows, group). `group` is how many k an
// instruction multiplies at once: 1 for float32, 2 for bfloat16, 4 for int8.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned_buffer.hpp"
#include "routines.hpp"

namespace ricorda {

// Rows of a matrix as it lies in a model file, and where they go: row i of `values` becomes row
// `first + i` of the packed matrix.
struct RowsToPack {
  const float* values;  // (count, depth)
  int count;
  int first;
};

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Rows that no part names are zero. `rows` is a multiple of row_block.
  PackedMatrix(Precision precision, int rows, int depth, const std::vector<RowsToPack>& parts);

  MatrixView view() const;
  std::size_t bytes() const;

 private:
  void pack_row(Precision precision, const float* values, int row);

  int rows_ = 0;
  int depth_ = 0;         // of the matrix
  int padded_depth_ = 0;  // a multiple of group_
  int group_ = 1;
  AlignedBuffer<unsigned char> weights_;
  AlignedBuffer<float> scales_;              // (rows,) int8 only
  AlignedBuffer<std::int32_t> corrections_;  // (rows,) int8 only
};

}  // namespace ricorda
