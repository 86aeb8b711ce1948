// One recurrent layer: its packed weights, and how it reads a window. The engine and the learner
// use it; layer_pass.hpp goes backwards.
//
// Dimensions: B streams, T steps, N = T B symbols in the order (T, B), H hidden (Hp padded), I
// inputs (Ip padded), V vocabulary, G gates of the stacked weights, W the width of a row of gates.
#pragma once

#include <span>
#include <vector>

#include "packed_matrix.hpp"

namespace ricorda {

struct LayerShape {
  const Cell* cell;
  int hidden_size;
  int input_size;  // 0: one-hot symbols, looked up in a table

  int hidden() const { return padded(hidden_size); }
  int input() const { return padded(input_size); }
  int stacked() const { return cell->gates * hidden(); }
  int width() const { return cell->blocks * hidden(); }
  // What only one product writes of a row of gates: that with the hidden state at its beginning,
  // that with the input at its end.
  int apart() const { return width() - stacked(); }
  int hidden_row(int gate) const { return cell->hidden_block[gate] * hidden(); }
  int input_row(int gate) const { return cell->input_block[gate] * hidden(); }
  bool has_recurrent_weights() const { return cell->has_recurrent_weights; }
};

// A layer's tensors in torch.nn's shapes and gate order; null where the cell has no such weights.
struct LayerTensors {
  const float* weight_ih;  // (G H, I); not read for one-hot symbols
  const float* weight_hh;  // (G H, H)
  const float* bias_ih;    // (G H)
  const float* bias_hh;    // (G H)
};

// target[column * stride + row] += source[row][column].
void add_transposed(const Rows& source, int rows, int columns, float* target,
                    std::ptrdiff_t stride);

// Memory that products need, used again from call to call, never by two threads.
struct ProductWorkspace {
  ProductWorkspace() = default;
  ProductWorkspace(int most_rows, int most_depth);
  // Also for steps that reset states of up to so many streams.
  void reserve_resets(int parts, int streams, int hidden);

  // Computes `rows` rows of outputs, some at a time.
  void multiply(const PackedMatrix& matrix, const float* inputs, std::ptrdiff_t input_stride,
                int rows, const float* const* starts, float* outputs, std::ptrdiff_t output_stride,
                bool from_the_end = false);
  // The same, all rows beginning at one.
  void multiply_from(const float* start, const PackedMatrix& matrix, const float* inputs,
                     std::ptrdiff_t input_stride, int rows, float* outputs,
                     std::ptrdiff_t output_stride);

  AlignedBuffer<unsigned char> prepared;
  std::vector<const float*> starts;      // (N) rows of gates to which recurrent products are added
  std::vector<const float*> same_start;  // (N) the same row for all
  // Whether the next step reads the recurrent weights from their end, where the last one stopped:
  // of weights that just do not fit a cache, it then still holds what comes first.
  bool backwards = false;
  AlignedBuffer<float> reset_states[most_state_parts];  // (B, Hp) what a step with resets reads
};

// Rows of a window, t B + s, ascending: before the step t, the state of the stream s becomes zero.
using Resets = std::span<const int>;

// Those from row `first` to before `last`.
Resets resets_between(Resets resets, std::size_t first, std::size_t last);

// Where a layer reads and writes in a window.
struct Window {
  int steps;
  int streams;
  float* gates;                           // (T, B, W)
  const float* before[most_state_parts];  // (B, Hp) the state before the window
  float* after[most_state_parts];         // (T, B, Hp) after each symbol
  Resets resets;
};

class Layer {
 public:
  Layer() = default;
  // With the transposed matrices that the backward pass needs, if it learns.
  Layer(const InstructionSet& set, const LayerShape& shape, Precision precision,
        Precision input_precision, bool learns);

  // Packs the weights of one gate; gates may be packed side by side. The recurrent weights are
  // given apart, since they may be masked.
  void pack(const LayerTensors& tensors, const float* weight_hh, int gate);

  // Fills a table (count, W) with the biases plus the input weights times each of the vectors
  // (count, Ip), or for one-hot symbols from weight_ih (G H, V).
  void fill_table(const float* vectors, int count, ProductWorkspace& workspace, float* table) const;
  void fill_one_hot_table(const float* weight_ih, int vocabulary_size, float* table) const;

  // Prepares the gates of a window from ids (N) and their rows of a table, or from vectors (N, Ip).
  void look_up(const float* table, const std::uint32_t* ids, const Window& window,
               ProductWorkspace& workspace) const;
  void project(const float* vectors, const Window& window, ProductWorkspace& workspace) const;

  // Copies a label's row of weights (G H) into one of a table (count, W) of zeros.
  void copy_label(const float* weights, float* row) const;
  // Adds to prepared gates the rows of a table that labels (N) choose; null chooses row 0 for all.
  void add_labels(const float* table, const std::uint32_t* labels, const Window& window,
                  ProductWorkspace& workspace) const;

  // Loops over time: gates = prepared gates + recurrent weights times hidden state, if the cell has
  // such weights; then the cell.
  void forward(const Window& window, ProductWorkspace& workspace) const;

  const LayerShape& shape() const { return shape_; }
  const PackedMatrix& input_back() const { return input_back_; }    // (Ip, G Hp)
  const PackedMatrix& hidden_back() const { return hidden_back_; }  // (Hp, G Hp)
  void release_input_weights() { input_ = {}; }                     // where a table replaces them
  std::size_t bytes() const { return input_.bytes() + hidden_.bytes(); }  // read in a step

 private:
  void add_recurrent(const float* before, int streams, std::size_t first, float* gates,
                     ProductWorkspace& workspace) const;

  LayerShape shape_{};
  PackedMatrix input_;                     // (G Hp, Ip)
  PackedMatrix hidden_;                    // (G Hp, Hp) where the cell has recurrent weights
  PackedMatrix input_back_, hidden_back_;  // likewise, where it learns
  AlignedBuffer<float> bias_;              // (W)
};

}  // namespace ricorda
