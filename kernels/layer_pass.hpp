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
  AlignedBuffer<float> weight_hh;  // (G Hp, Hp)
  AlignedBuffer<float> gates;      // (W) of the totals: the biases'

  explicit LayerGradients(const LayerShape& shape);
  void clear();
};

// What a layer reads: vectors (N, Ip), or ids (N) and their rows in a table (V, W).
struct LayerInput {
  const float* vectors;
  const std::uint32_t* ids;
  const float* table;
};

class LayerPass {
 public:
  LayerPass(const InstructionSet& set, Precision precision, const LayerShape& shape, int streams,
            int steps);

  // Reads a window. The first B rows of each state() hold the state before it.
  void forward(const Layer& layer, const LayerInput& input);

  // Goes back through the window that was read last. output_gradient() holds the gradients of the
  // outputs. Adds to `gradients`; computes the gradients of the vectors (N, Ip), if asked for, or
  // adds to those of the table (V, W).
  void backward(const Layer& layer, const LayerInput& input, LayerGradients& gradients,
                float* vector_gradient, float* table_gradient);

  float* state(int part) { return states_[part].data(); }                       // (T + 1, B, Hp)
  float* state_after(int part) { return state(part) + steps_ * state_size(); }  // (B, Hp)
  float* outputs() { return state(0) + state_size(); }                          // (T, B, Hp)
  float* output_gradient() { return hidden_gradient_.data() + state_size(); }   // (T, B, Hp)
  std::size_t state_size() const { return std::size_t(streams_) * shape_.hidden(); }
  int symbols() const { return streams_ * steps_; }
  const LayerShape& shape() const { return shape_; }

 private:
  void step_backward(const Layer& layer, int time);
  void add_gradients(const Layer& layer, const LayerInput& input, int first, int count,
                     LayerGradients& gradients, float* vector_gradient, float* table_gradient);
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
  AlignedBuffer<float> zeros_;            // (Ip)
  ProductWorkspace workspace_;
  OuterSums hidden_sums_, input_sums_;
};

}  // namespace ricorda
