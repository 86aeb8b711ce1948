// The inner loops of one instruction set: a table of functions on pointers and sizes.
//
// Dimensions: H hidden size, padded to a multiple of `row_block`; rows: those of a matrix, padded
// likewise; streams: how many columns a product has.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ricorda {

// Rows come in blocks of this many: the widest vector.
constexpr int row_block = 16;

constexpr int padded(int size) { return (size + row_block - 1) / row_block * row_block; }

enum class Precision { float32, bfloat16, int8 };

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
  void* prepared;  // room for the inputs in the product's precision: prepared_bytes(...)
};

constexpr std::size_t prepared_bytes(int streams, int depth) {
  return static_cast<std::size_t>(streams) * (2 * static_cast<std::size_t>(padded(depth)) + 4);
}

// One layer's step of one stream. What `gates` holds, each part (H):
//   rnn   total                     -> hidden
//   gru   hidden part of the candidate, reset, update, input part of the candidate
//                                   -> unchanged, reset gate, update gate, candidate
//   lstm  input, forget, candidate, output, each the total before its activation -> after it
// `cell` (lstm only) may be `cell_before`.
struct CellStep {
  float* gates;
  const float* hidden_before;
  const float* cell_before;
  float* hidden;
  float* cell;
  int hidden_size;
};

struct Routines {
  void (*multiply[3])(const MatrixView&, const Multiplication&);  // by Precision
  void (*rnn_tanh)(const CellStep&);
  void (*rnn_relu)(const CellStep&);
  void (*gru)(const CellStep&);
  void (*lstm)(const CellStep&);

  // The largest of `count` floats, a multiple of row_block; -inf for none.
  float (*largest)(const float* values, int count);
  // results[i] = exp(values[i] - shift), and their sum; at least 1.6e-38 each.
  float (*exponentials)(const float* values, int count, float shift, float* results);

  // For the tests and benchmarks alone; count as above. A plain read of memory, to compare the
  // reading of weights with, and the activations by themselves.
  float (*total)(const float* values, int count);
  void (*tanh)(const float* values, int count, float* results);
  void (*sigmoid)(const float* values, int count, float* results);
};

}  // namespace ricorda
