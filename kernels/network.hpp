// A trained network: its packed weights, and how it advances.
//
// Dimensions: B streams side by side, T steps, V vocabulary, E embedding, H hidden, L layers,
// S parts of the state, hidden first. Hp and Vp are H and V padded to a multiple of row_block; what
// is padded stays 0 (logits: minus infinity). W is the width of a row of gates (cells/cell.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "layer.hpp"

namespace ricorda {

// Streams that advance together: enough to use every weight read many times, few enough that their
// gates stay in cache.
constexpr int most_streams_together = 32;

// Number of streams that one thread advances together.
constexpr int streams_together(int streams, int threads) {
  return std::clamp((streams + threads - 1) / threads, 1, most_streams_together);
}

struct NetworkShape {
  const Cell* cell;  // of the instruction set that runs the network
  int vocabulary_size;
  int hidden_size;
  int num_layers;
  int embedding_size;  // 0: one-hot
  int boundary = -1;   // before this symbol is read, a stream's state becomes zero; -1: none
  int num_labels = 0;  // K; 0: none

  int input_size() const { return embedding_size > 0 ? embedding_size : vocabulary_size; }
  int state_parts() const { return cell->state_parts; }
  int gates() const { return cell->gates; }
  // The tensors of a layer: weights, then as many biases.
  int layer_tensors() const { return cell->has_recurrent_weights ? 4 : 2; }
  int padded_hidden() const { return padded(hidden_size); }
  int padded_vocabulary() const { return padded(vocabulary_size); }
  int gates_width() const { return cell->blocks * padded_hidden(); }
  LayerShape layer(int number) const {
    return {cell, hidden_size, number > 0 ? hidden_size : embedding_size};
  }
  std::size_t state_size() const {  // of one stream, padded: (S, L, Hp)
    return static_cast<std::size_t>(state_parts()) * num_layers * padded_hidden();
  }
};

// The tensors of a model file.
struct NetworkTensors {
  const float* embedding;  // (V, E), or null for one-hot
  const float* labels;     // (K, G H), or null without labels
  std::vector<LayerTensors> layers;
  const float* output_weight;  // (V, H)
  const float* output_bias;    // (V)
};

// Memory for one call of Network::advance; used again from call to call, never by two threads.
struct Workspace {
  Workspace(const NetworkShape& shape, int most_rows);

  float* states(int part) { return part == 0 ? hidden.data() : cells.data(); }

  int most_rows;                // T * B of a call
  AlignedBuffer<float> inputs;  // (T, B, padded E or Hp): what the layer reads
  AlignedBuffer<float> hidden;  // (T, B, Hp): its outputs; after the call, the last layer's
  AlignedBuffer<float> cells;   // (T, B, Hp): the second part of the state, if there is one
  AlignedBuffer<float> gates;   // (T, B, W)
  AlignedBuffer<float> logits;  // (T, B, Vp)
  ProductWorkspace products;
  std::vector<int> resets;  // rows of a call, see Resets
};

class Network {
 public:
  Network(const NetworkShape& shape, const NetworkTensors& tensors, Precision precision,
          const InstructionSet& instruction_set);

  // Reads T symbols in each of B streams, ids (T, B), each below V; at most most_rows in all.
  // labels (T, B), each below K; null: 0 for all. A stream's state becomes zero before a boundary.
  // Changes state (S, L, B, Hp) and leaves the last layer's outputs in workspace.hidden.
  // after_layer, if given, sees each layer's gates and states in the workspace.
  void advance(const std::uint32_t* ids, const std::uint32_t* labels, int steps, int streams,
               float* state, Workspace& workspace,
               const std::function<void(int)>& after_layer = {}) const;

  // Computes workspace.logits (rows, Vp) from `rows` outputs, (rows, Hp).
  void compute_logits(const float* hidden, int rows, Workspace& workspace) const;

  const NetworkShape& shape() const { return shape_; }
  const InstructionSet& instruction_set() const { return *instruction_set_; }
  Precision precision() const { return precision_; }
  // The weights that one step of one stream reads, and all that are held, in bytes.
  std::size_t step_bytes() const;
  std::size_t bytes() const;

 private:
  void take_symbols(const NetworkTensors& tensors, bool with_table);
  void find_resets(const std::uint32_t* ids, int rows, Workspace& workspace) const;
  void prepare_gates(int number, const std::uint32_t* ids, const Window& window,
                     Workspace& workspace) const;

  NetworkShape shape_;
  Precision precision_;
  const InstructionSet* instruction_set_;
  AlignedBuffer<float> table_;      // (V, W): layer 0's biases plus input weights times each symbol
  AlignedBuffer<float> embedding_;  // (V, padded E), where a table would be too large
  AlignedBuffer<float> label_table_;  // (K, W): what each label adds to layer 0's gates
  std::vector<Layer> layers_;
  PackedMatrix output_weights_;       // (Vp, H)
  AlignedBuffer<float> output_bias_;  // (Vp), minus infinity where padded
};

}  // namespace ricorda
