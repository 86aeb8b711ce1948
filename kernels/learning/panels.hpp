// Matrices of learning in the order in which products read them, packed anew in every step.
//
// As PackedMatrix, but in memory that is used again, from either orientation, in float32 or
// bfloat16, and in portions: rows come in blocks of row_block.
#pragma once

#include "../aligned_buffer.hpp"
#include "../instruction_set.hpp"

namespace ricorda {

constexpr int group_of(Precision precision) { return precision == Precision::bfloat16 ? 2 : 1; }

class Panels {
 public:
  Panels() = default;
  // Zero until packed. `rows` is a multiple of row_block.
  Panels(const InstructionSet& set, Precision precision, int rows, int depth);

  // Packs `count` rows (or fewer in the last block) from `first_row` on, over the depths from
  // `first_depth` on: element (i, k) is source[i * row_stride + k * depth_stride], one of the
  // strides being 1. Beyond `depth` it writes zeros up to `room`. first_row, first_depth
  // and room are multiples of row_block.
  void pack(const float* source, std::ptrdiff_t row_stride, std::ptrdiff_t depth_stride,
            int first_row, int count, int first_depth, int depth, int room);

  // From here on a matrix of this size, within the first one's; what was packed is lost.
  void reshape(int rows, int depth) { rows_ = rows, depth_ = padded(depth); }

  MatrixView view() const { return {elements_.data(), nullptr, nullptr, rows_, depth_}; }
  int rows() const { return rows_; }
  int depth() const { return depth_; }

 private:
  void (*pack_block_)(const BlockToPack&) = nullptr;
  int rows_ = 0;
  int depth_ = 0;  // padded
  int group_ = 1;
  std::size_t element_size_ = 4;
  AlignedBuffer<unsigned char> elements_;
};

}  // namespace ricorda
