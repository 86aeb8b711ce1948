// One layer over a window with its streams divided among threads: what PyTorch calls as an
// operation of its own, forwards and backwards. Arrays are in PyTorch's layout.
#pragma once

#include <memory>
#include <vector>

#include "layer.hpp"

namespace ricorda {

class SequenceLayer {
 public:
  SequenceLayer(const LayerSize& size, int streams, int steps, Precision precision,
                const InstructionSet& set, int threads);

  // inputs (B, T, I), state parts (B, H) each -> outputs (B, T, H), state parts after.
  void forward(const LayerTensors& tensors, const float* inputs,
               const std::vector<const float*>& state, float* outputs,
               const std::vector<float*>& state_after);

  struct Gradients {
    float* inputs;              // (B, T, I), or null if not wanted
    std::vector<float*> state;  // (B, H) each
    float* weight_ih;           // (G H, I)
    float* weight_hh;           // (G H, H)
    float* bias_ih;             // (G H)
    float* bias_hh;             // (G H)
  };
  // From the gradients of outputs and of the state after. Can be done once after each forward.
  void back(const float* outputs, const std::vector<const float*>& state_after,
            const Gradients& gradients);

  const LayerSize& size() const { return size_; }
  int streams() const { return streams_; }
  int steps() const { return steps_; }

 private:
  struct Group {
    int first, streams;
    LayerPass pass;
    AlignedBuffer<float> inputs;           // (T, B of the group, Ip)
    AlignedBuffer<float> inputs_gradient;  // likewise
    LayerGradients gradients;
  };
  void make_room_to_go_back(Group& group);
  void read_gradients(Group& group, const float* outputs,
                      const std::vector<const float*>& state_after);
  void give_weights(const Gradients& gradients);

  LayerSize size_;
  int streams_, steps_, threads_;
  const InstructionSet* set_;
  LayerWeights weights_;
  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace ricorda
