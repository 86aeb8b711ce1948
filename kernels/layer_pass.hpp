// A layer's window in learning, forwards and backwards, for one group of streams.
//
// Dimensions as in layer.hpp.
#pragma once

#include <array>

#include "layer.hpp"
#include "outer_sums.hpp"

namespace ricorda {

// Gradients of a layer's weights, padded; gates in the order of a row of gates.
struct LayerGradients {
  AlignedBuffer<float> weight_ih;  // (G Hp, Ip)
  AlignedBuffer<float> weight_hh;  // (G Hp, Hp) where the cell has recurrent weights
  AlignedBuffer<float> gates;      // (W) of the totals: the biases'

  explicit LayerGradients(const LayerShape& shape);
  void clear();  // those of the gates; a window's first sums overwrite the others
};

// What a layer reads: vectors (N, Ip), or ids (N) and their rows in a table (V, W); the first layer
// of a network with labels also these (N) and their rows in another table.
struct LayerInput {
  const float* vectors = nullptr;
  const std::uint32_t* ids = nullptr;
  const float* table = nullptr;
  const std::uint32_t* labels = nullptr;
  const float* label_table = nullptr;
  Resets resets{};
};

// Where the gradients of a layer's input go.
struct InputGradients {
  float* vectors = nullptr;  // (N, Ip), computed if asked for
  float* table = nullptr;    // (V, W), added to where there is a table
  float* labels = nullptr;   // (count, W), likewise
};

class LayerPass {
 public:
  // `resets`: whether windows may have some.
  LayerPass(const InstructionSet& set, Precision precision, const LayerShape& shape, int streams,
            int steps, bool resets);

  // Reads a window. The first B rows of each state() hold the state before it.
  void forward(const Layer& layer, const LayerInput& input) { forward(layer, input, 0, steps_); }
  // The same some steps at a time, in order. `input` is the whole window's, its resets those of
  // these steps alone, counted from the first of them.
  void forward(const Layer& layer, const LayerInput& input, int first, int count);

  // Goes back through the window that was read last. output_gradient() holds the gradients of the
  // outputs. Adds to `gradients`. No gradient flows back through a reset.
  void backward(const Layer& layer, const LayerInput& input, LayerGradients& gradients,
                const InputGradients& input_gradients);

  float* state(int part) { return states_[part].data(); }                       // (T + 1, B, Hp)
  float* state_after(int part) { return state(part) + steps_ * state_size(); }  // (B, Hp)
  float* outputs() { return state(0) + state_size(); }                          // (T, B, Hp)
  float* output_gradient() { return hidden_gradient_.data() + state_size(); }   // (T, B, Hp)
  std::size_t state_size() const { return std::size_t(streams_) * shape_.hidden(); }
  int symbols() const { return streams_ * steps_; }
  const LayerShape& shape() const { return shape_; }

 private:
  void step_backward(const Layer& layer, int time, Resets resets);
  void add_gradients(const Layer& layer, const LayerInput& input, int first, int count,
                     LayerGradients& gradients, const InputGradients& input_gradients);
  const float* hidden_before(std::size_t first, std::size_t count, Resets resets);
  float* gates_at(int time) {
    return gates_.data() + std::size_t(time) * streams_ * shape_.width();
  }

  const Routines* routines_;
  LayerShape shape_;
  int streams_, steps_;
  int block_steps_;  // whose weight gradients are summed together
  std::array<AlignedBuffer<float>, most_state_parts> states_;
  AlignedBuffer<float> gates_;            // (T, B, W)
  AlignedBuffer<float> hidden_gradient_;  // (T + 1, B, Hp)
  AlignedBuffer<float> cell_gradient_;    // (B, Hp) where the state has a second part
  AlignedBuffer<float> zeros_;            // (Ip or Hp, the larger)
  AlignedBuffer<float> kept_gradient_;    // (B, Hp) of outputs before resets, where there are some
  AlignedBuffer<float> reset_hidden_;     // (block, B, Hp) likewise: what products read
  ProductWorkspace workspace_;
  OuterSums hidden_sums_, input_sums_;
};

}  // namespace ricorda
