// A trained network: its packed weights, and how it advances.
//
// Dimensions: B streams side by side, T steps, V vocabulary, E embedding, H hidden, L layers,
// S parts of the state (rnn, gru 1; lstm 2: hidden, then cell). Hp and Vp are H and V padded to a
// multiple of row_block; what is padded stays 0 (logits: minus infinity). W is the width of a row
// of gates: Hp for the rnn, 4 Hp for gru and lstm; CellStep in routines.hpp says what is where.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "aligned_buffer.hpp"
#include "instruction_set.hpp"
#include "packed_matrix.hpp"

namespace ricorda {

enum class Cell { rnn, gru, lstm };

struct NetworkShape {
  Cell cell;
  bool relu;  // rnn: in place of tanh
  int vocabulary_size;
  int hidden_size;
  int num_layers;
  int embedding_size;  // 0: one-hot

  int input_size() const { return embedding_size > 0 ? embedding_size : vocabulary_size; }
  int state_parts() const { return cell == Cell::lstm ? 2 : 1; }
  int tensor_gates() const { return cell == Cell::rnn ? 1 : cell == Cell::gru ? 3 : 4; }
  int padded_hidden() const { return padded(hidden_size); }
  int padded_vocabulary() const { return padded(vocabulary_size); }
  int gates_width() const { return (cell == Cell::rnn ? 1 : 4) * padded_hidden(); }
  std::size_t state_size() const {  // of one stream, padded: (S, L, Hp)
    return static_cast<std::size_t>(state_parts()) * num_layers * padded_hidden();
  }
};

// The tensors of a model file, in torch.nn's shapes and gate order; G is tensor_gates().
struct LayerTensors {
  const float* weight_ih;  // (G H, input size)
  const float* weight_hh;  // (G H, H)
  const float* bias_ih;    // (G H)
  const float* bias_hh;    // (G H)
};
struct NetworkTensors {
  const float* embedding;  // (V, E), or null for one-hot
  std::vector<LayerTensors> layers;
  const float* output_weight;  // (V, H)
  const float* output_bias;    // (V)
};

// Room for one call of Network::advance; used again from call to call, never by two threads.
struct Workspace {
  Workspace(const NetworkShape& shape, int most_rows);

  int most_rows;                // T * B of a call
  AlignedBuffer<float> inputs;  // (T, B, padded E or Hp): what the layer reads
  AlignedBuffer<float> hidden;  // (T, B, Hp): what it gives; after the call, the last layer's
  AlignedBuffer<float> cells;   // (T, B, Hp): the lstm's cells
  AlignedBuffer<float> gates;   // (T, B, W)
  AlignedBuffer<float> logits;  // (T, B, Vp)
  AlignedBuffer<unsigned char> prepared;
  // Whether the next step reads the recurrent weights from their end, where the last one stopped:
  // of weights that a cache can just not hold, it then still holds what comes first.
  bool backwards = false;
  std::vector<const float*> starts;      // (T, B) rows that the recurrent products start from
  std::vector<const float*> same_start;  // (T, B) the same row for all
};

class Network {
 public:
  Network(const NetworkShape& shape, const NetworkTensors& tensors, Precision precision,
          const InstructionSet& instruction_set);

  // Reads T symbols in each of B streams, ids (T, B), each below V; at most most_rows in all.
  // Changes state (S, L, B, Hp) and leaves the last layer's outputs in workspace.hidden.
  // after_layer, if given, sees each layer's gates, hidden and cells in the workspace.
  void advance(const std::uint32_t* ids, int steps, int streams, float* state, Workspace& workspace,
               const std::function<void(int)>& after_layer = {}) const;

  // Turns `rows` outputs, (rows, Hp), into workspace.logits (rows, Vp).
  void compute_logits(const float* hidden, int rows, Workspace& workspace) const;

  const NetworkShape& shape() const { return shape_; }
  const InstructionSet& instruction_set() const { return *instruction_set_; }
  Precision precision() const { return precision_; }
  // What one step of one stream reads, and what all of it occupies.
  std::size_t step_bytes() const;
  std::size_t bytes() const;

 private:
  struct Layer {
    PackedMatrix input_weights;  // empty in the first layer where table_ replaces it
    PackedMatrix hidden_weights;
    AlignedBuffer<float> start;  // (W) the biases, as the gates are laid out
  };

  Layer pack_layer(const LayerTensors& tensors, int input_size, bool with_input) const;
  PackedMatrix pack_input(const LayerTensors& tensors, int input_size, Precision precision) const;
  void fill_table(const NetworkTensors& tensors);
  void add_one_hot_weights(const float* weight_ih);
  void add_embedded_weights(const NetworkTensors& tensors);
  void project_inputs(int layer, const std::uint32_t* ids, int rows, Workspace& workspace) const;
  void look_up(const std::uint32_t* ids, int rows, Workspace& workspace) const;
  void run_layer(int layer, int steps, int streams, float* state, Workspace& workspace) const;
  void run_cell(CellStep& step) const;

  NetworkShape shape_;
  Precision precision_;
  const InstructionSet* instruction_set_;
  AlignedBuffer<float> table_;      // (V, W): layer 0's biases plus input weights times each symbol
  AlignedBuffer<float> embedding_;  // (V, padded E), where a table would be too large
  std::vector<Layer> layers_;
  PackedMatrix output_weights_;
  AlignedBuffer<float> output_bias_;  // (Vp), minus infinity where padded
};

}  // namespace ricorda
