// The output layer and its loss in one go: from hidden values to nats, and to the gradients.
//
// Dimensions: N symbols, H hidden (Hp padded), V vocabulary (Vp padded). Logits live only as long
// as a portion of symbols is worked on, so memory stays bounded for large vocabularies.
#pragma once

#include <functional>
#include <vector>

#include "gradients.hpp"
#include "panels.hpp"

namespace ricorda {

class OutputWeights {
 public:
  OutputWeights() = default;
  OutputWeights(const InstructionSet& set, Precision precision, int vocabulary_size,
                int hidden_size);

  // From weight (V, H) and bias (V).
  void pack(const float* weight, const float* bias);

  int vocabulary_size = 0;
  int hidden_size = 0;
  Panels forward;              // (Vp, Hp)
  Panels back;                 // (Hp, Vp)
  AlignedBuffer<float> start;  // (Vp) the bias, minus infinity where padded
};

struct OutputGradients {
  AlignedBuffer<float> weight;  // (Vp, Hp)
  AlignedBuffer<float> bias;    // (Vp)

  OutputGradients() = default;
  OutputGradients(int vocabulary_size, int hidden_size);
  void clear();
};

class OutputPass {
 public:
  OutputPass() = default;
  OutputPass(const InstructionSet& set, Precision precision, int vocabulary_size, int hidden_size,
             int symbols);

  // The sum of nats of `targets` (N) after `hidden` (N, Hp). Adds gradients of that sum times
  // `scale` to `gradients`, and gives those of hidden. `drop(row, values)` drops out of the row
  // number `row` of hidden values, and likewise of their gradients; empty: nothing is dropped.
  double run(const OutputWeights& weights, const float* hidden, const std::uint32_t* targets,
             float scale, const std::function<void(int, float*)>& drop, OutputGradients& gradients,
             float* hidden_gradient);

 private:
  double to_gradients(const std::uint32_t* targets, int count, float scale);

  const InstructionSet* set_ = nullptr;
  Precision precision_ = Precision::float32;
  int vocabulary_ = 0;  // padded
  int hidden_ = 0;      // padded
  int symbols_ = 0;
  int together_ = 1;
  AlignedBuffer<float> inputs_;  // (together, Hp)
  AlignedBuffer<float> logits_;  // (together, Vp), then their gradients
  AlignedBuffer<unsigned char> prepared_;
  AlignedBuffer<float> zeros_;  // (Hp)
  std::vector<const float*> starts_;
  OuterSums sums_;
};

}  // namespace ricorda
