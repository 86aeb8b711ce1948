// A matrix in the order in which a product reads it.
//
// The rows are cut into panels of 64 (the last one up to 112), and a panel holds, for k after k,
// the weights of all its rows: (panels, depth / group, panel rows, group). `group` is how many k an
// instruction multiplies at once: 1 for float32, 2 for bfloat16, 4 for int8.
#pragma once

#include <cstdint>

#include "aligned_buffer.hpp"
#include "instruction_set.hpp"

namespace ricorda {

// Rows of floats, `stride` apart.
struct Rows {
  const float* values;
  std::ptrdiff_t stride;
};

class PackedMatrix {
 public:
  // Rows and depths of a matrix, and where they lie: element (row, k) of the part at
  // values[row * row_stride + k * depth_stride], one of the strides being 1.
  struct Part {
    const float* values;
    std::ptrdiff_t row_stride;
    std::ptrdiff_t depth_stride = 1;
    int first_row = 0;    // in the matrix, a multiple of row_block
    int rows;             // the last block is filled up with zeros
    int first_depth = 0;  // likewise a multiple of row_block; 0 for int8
    int depth;
    int padded_depth = 0;  // up to which zeros follow, as far as the matrix goes
  };

  PackedMatrix() = default;
  // Zero until packed. `rows` is a multiple of row_block. int8 packs rows of the full depth only.
  PackedMatrix(const InstructionSet& set, Precision precision, int rows, int depth);

  // Parts of different blocks of rows or depths may be packed side by side.
  void pack(const Part& part);

  // Gives the matrix another size within the first one's; what was packed is lost.
  void reshape(int rows, int depth);

  void multiply(const Multiplication& task) const { multiply_(view(), task); }
  MatrixView view() const {
    return {weights_.data(), scales_.data(), corrections_.data(), rows_, depth_};
  }
  std::size_t bytes() const;

 private:
  void pack_int8_row(const float* values, int depth, int row);
  std::size_t position(int row, int depth) const;

  void (*multiply_)(const MatrixView&, const Multiplication&) = nullptr;
  void (*pack_block_)(const BlockToPack&) = nullptr;  // null: int8
  int rows_ = 0;
  int depth_ = 0;  // a multiple of group_
  int group_ = 1;
  std::size_t element_size_ = 4;
  AlignedBuffer<unsigned char> weights_;
  AlignedBuffer<float> scales_;              // (rows,) int8 only
  AlignedBuffer<std::int32_t> corrections_;  // (rows,) int8 only
};

}  // namespace ricorda
