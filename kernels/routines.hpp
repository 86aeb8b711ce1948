// What is compiled for one instruction set: a table of functions on pointers and sizes.
//
// Dimensions: H hidden size, padded to a multiple of `row_block`; rows: those of a matrix, padded
// likewise; streams: how many columns a product has.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cells/cell.hpp"

namespace ricorda {

// Rows come in blocks of this many: the widest vector.
constexpr int row_block = 16;

constexpr int padded(int size) { return (size + row_block - 1) / row_block * row_block; }

enum class Precision { float32, bfloat16, int8 };
constexpr std::size_t bytes_of(Precision precision) {
  return precision == Precision::float32 ? 4 : precision == Precision::bfloat16 ? 2 : 1;
}

// A weight matrix as the products read it; packed_matrix.hpp makes it.
struct MatrixView {
  const void* weights;              // (panels, depth / group, panel rows, group)
  const float* scales;              // (rows,) int8: what one step of a weight stands for
  const std::int32_t* corrections;  // (rows,) int8: takes off inputs that had 128 added
  int rows;
  int depth;  // inputs of a row, padded to a multiple of `group`: 1, 2 or 4 weights side by side
};

// Panels have 64 rows; the last one up to 112, because a panel of a single block would not keep the
// multipliers busy.
constexpr int panel_rows = 4 * row_block;
constexpr int panel_count(int rows) { return rows < 2 * panel_rows ? 1 : rows / panel_rows; }
constexpr int rows_of_panel(int rows, int panel) {
  return panel + 1 < panel_count(rows) ? panel_rows : rows - panel * panel_rows;
}

// outputs[s][r] = starts[s][r] + sum over k of weights[r][k] inputs[s][k], k in ascending order.
// A stream's result does not depend on how many others there are. An output may be its own start.
struct Multiplication {
  const float* inputs;  // (streams, depth)
  std::ptrdiff_t input_stride;
  const float* const* starts;  // (streams) pointers to (rows)
  float* outputs;              // (streams, rows)
  std::ptrdiff_t output_stride;
  int streams;
  bool backwards;  // from the last panel to the first; makes no difference to the result
  void* prepared;  // workspace for the inputs in the product's precision: prepared_bytes(...)
};

constexpr std::size_t prepared_bytes(int streams, int depth) {
  return static_cast<std::size_t>(streams) * (2 * static_cast<std::size_t>(padded(depth)) + 4);
}

// Up to `row_block` rows of a matrix on their way into a panel; element (row, k) lies at
// source[row * row_stride + k * depth_stride], one of the strides being 1.
struct BlockToPack {
  const float* source;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t depth_stride;
  int rows;          // beyond them the block is zero
  int depth;         // likewise
  int padded_depth;  // a multiple of the group
  void* target;
  std::ptrdiff_t target_stride;  // elements from one group of k to the next
};

// (count, columns) floats to (columns, padded count) inputs of a product, zero beyond count.
// `columns` and `padded_count` are multiples of row_block, the latter of 32 for bfloat16.
struct Transposition {
  const float* source;
  std::ptrdiff_t source_stride;
  int count;
  int padded_count;
  int columns;
  void* target;
  std::ptrdiff_t target_stride;
};

// AdamW (Loshchilov & Hutter, 2019) for numbers that lie side by side.
struct AdamW {
  float learning_rate;
  float decay;  // 1 - learning rate * weight decay
  float first_beta, second_beta;
  float first_correction, second_correction;  // 1 / (1 - beta^step)
  float epsilon;
  float gradient_scale;  // clipping
  float average_share;   // of the new weights in their moving average
};
struct Numbers {
  float* weights;
  float* first_moments;
  float* second_moments;
  float* averages;  // or null
  const float* gradients;
  int count;
};

struct Routines {
  const Cell* cells;  // the table of cells: cells/table.hpp
  int cell_count;
  void (*multiply[3])(const MatrixView&, const Multiplication&);  // by Precision

  // The largest of `count` floats, a multiple of row_block; -inf for none.
  float (*largest)(const float* values, int count);
  // results[i] = exp(values[i] - shift), and their sum; at least 1.6e-38 each.
  float (*exponentials)(const float* values, int count, float shift, float* results);
  float (*total)(const float* values, int count);

  // Choosing among the likeliest symbols; count as above.
  // totals[i] = the sum of the values whose score is at least least[i], for four of these.
  void (*totals_from)(const float* scores, const float* values, int count, const float* least,
                      float* totals);
  // Lists the places of the scores from `low` to below `high` in ascending order, (count) at most;
  // returns how many there are.
  int (*places_between)(const float* scores, int count, float low, float high,
                        std::uint32_t* places);
  // The values whose score is below `least` become 0.
  void (*drop_below)(const float* scores, int count, float least, float* values);

  // Learning. What exists for each precision is indexed by it; int8 is null, and so is
  // multiply_rounded where the processor does not multiply bfloat16: no learning in it then.
  void (*multiply_rounded)(const MatrixView&, const Multiplication&, const std::uint16_t* inputs);
  void (*pack_block[2])(const BlockToPack&);
  void (*transpose[2])(const Transposition&);
  void (*add)(const float* values, int count, float* sums);
  void (*scale)(float* values, int count, float factor);
  double (*sum_of_squares)(const float* values, int count);
  // values[i] becomes 0, or with the probability `keep` values[i] / keep, as the random bits of
  // (key, first + i) will have it.
  void (*drop)(float* values, int count, std::uint64_t key, std::uint32_t first, float keep);
  void (*adamw)(const AdamW&, const Numbers&);
  // weights -= rate * gradients * second_moments, then the share `pull` of the way back to
  // first_moments: adaptive reading.
  void (*adapt)(float rate, float pull, const Numbers&);

  // For the tests alone: the activations by themselves; count as above.
  void (*tanh)(const float* values, int count, float* results);
  void (*sigmoid)(const float* values, int count, float* results);
};

}  // namespace ricorda
