// One recurrent layer over a window, forwards and backwards, for one group of streams.
//
// Dimensions: B streams of the group, T steps, N = T B symbols in the order (T, B), H hidden (Hp
// padded), I inputs (Ip padded), G gates of torch's stacked weights, W the width of a row of gates
// (gate_layout.hpp).
#pragma once

#include <vector>

#include "../network.hpp"
#include "gradients.hpp"
#include "panels.hpp"

namespace ricorda {

struct LayerSize {
  Cell cell;
  bool relu;
  int hidden_size;
  int input_size;

  int gates() const { return cell == Cell::rnn ? 1 : cell == Cell::gru ? 3 : 4; }
  int hidden() const { return padded(hidden_size); }
  int input() const { return padded(input_size); }
  int stacked() const { return gates() * hidden(); }
  int width() const { return (cell == Cell::rnn ? 1 : 4) * hidden(); }
  int input_part() const { return cell == Cell::gru ? hidden() : 0; }  // where it begins in W
  bool has_cell() const { return cell == Cell::lstm; }
};

// A layer's weights as the products read them: packed once a step, shared by all groups.
class LayerWeights {
 public:
  LayerWeights() = default;
  LayerWeights(const InstructionSet& set, Precision precision, const LayerSize& size);

  // Packs the part number `part` of `parts`, which may be packed side by side. The recurrent
  // weights are given apart, since they may be masked.
  void pack(const LayerTensors& tensors, const float* weight_hh, int part, int parts);

  LayerSize size{};
  Panels input_forward;        // (G Hp, Ip)
  Panels input_back;           // (Ip, G Hp)
  Panels hidden_forward;       // (G Hp, Hp)
  Panels hidden_back;          // (Hp, G Hp)
  AlignedBuffer<float> start;  // (W) the biases

 private:
  void pack_gate(const LayerTensors& tensors, const float* weight_hh, int gate);
};

// Gradients of a layer's weights, padded; blocks of gates in the order of a row of gates.
struct LayerGradients {
  AlignedBuffer<float> weight_ih;  // (G Hp, Ip)
  AlignedBuffer<float> weight_hh;  // (G Hp, Hp)
  AlignedBuffer<float> gates;      // (W) of the totals: the biases'

  LayerGradients() = default;
  explicit LayerGradients(const LayerSize& size);
  void clear();
};

// What a layer reads: vectors (N, Ip), or ids (N) and their rows in a table (V, W) that holds
// biases and input weights times each symbol's vector.
struct LayerInput {
  const float* vectors;
  const std::uint32_t* ids;
  const float* table;
};

class LayerPass {
 public:
  LayerPass() = default;
  LayerPass(const InstructionSet& set, Precision precision, const LayerSize& size, int streams,
            int steps);

  // Reads a window. hidden() and cells() hold the state before it in their first B rows.
  void forward(const LayerWeights& weights, const LayerInput& input);

  // Makes the room that going back needs, which who only reads can do without.
  void make_room_to_go_back();

  // Goes back through the window that was read last, there being room. hidden_gradient() holds the
  // gradients of the outputs from row B on, and zeros in its first B rows, which become those of
  // the first state if `to_first_state`; cell_gradient() holds those of the last cells and becomes
  // those of the first. Adds to `gradients`; gives the gradients of the vectors (N, Ip) if they are
  // asked for, or adds to those of the table (V, W).
  void back(const LayerWeights& weights, const LayerInput& input, bool to_first_state,
            LayerGradients& gradients, float* vector_gradient, float* table_gradient);

  float* hidden() { return hidden_.data(); }                    // (T + 1, B, Hp)
  float* outputs() { return hidden_.data() + state_size(); }    // (T, B, Hp)
  float* cells() { return cells_.data(); }                      // (T + 1, B, Hp), lstm only
  float* hidden_gradient() { return hidden_gradient_.data(); }  // (T + 1, B, Hp)
  float* cell_gradient() { return cell_gradient_.data(); }      // (B, Hp), lstm only
  std::size_t state_size() const { return std::size_t(streams_) * size_.hidden(); }
  int symbols() const { return streams_ * steps_; }
  const LayerSize& size() const { return size_; }

 private:
  void project(const LayerWeights& weights, const LayerInput& input);
  void step_forward(const LayerWeights& weights, int time);
  void step_back(const LayerWeights& weights, int time, bool to_first_state);
  void add_gradients(const LayerWeights& weights, const LayerInput& input, int first, int count,
                     LayerGradients& gradients, float* vector_gradient, float* table_gradient);
  void multiply(const Panels& matrix, const Rows& inputs, int rows, const float* const* starts,
                float* outputs, std::ptrdiff_t stride);
  float* gates_at(int time) { return gates_.data() + std::size_t(time) * streams_ * size_.width(); }

  const InstructionSet* set_ = nullptr;
  Precision precision_ = Precision::float32;
  LayerSize size_{};
  int streams_ = 0;
  int steps_ = 0;
  int block_steps_ = 1;  // whose weight gradients are summed together
  AlignedBuffer<float> hidden_, cells_, hidden_gradient_, cell_gradient_;
  AlignedBuffer<float> gates_;  // (T, B, W)
  AlignedBuffer<unsigned char> prepared_;
  std::vector<const float*> starts_;        // (N)
  std::vector<const float*> other_starts_;  // (N)
  AlignedBuffer<float> zeros_;              // (max of Hp and Ip)
  OuterSums hidden_sums_, input_sums_;
};

}  // namespace ricorda
