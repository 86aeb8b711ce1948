// The output layer and its loss in one go: from hidden values to nats, and to the gradients.
//
// Dimensions: N symbols, H hidden (Hp padded), V vocabulary (Vp padded). Logits live only as long
// as some symbols are processed, so memory stays bounded for large vocabularies. Where the
// softmax is sampled, V is how many symbols the step takes; see sampled_rows.hpp.
#pragma once

#include <functional>
#include <vector>

#include "outer_sums.hpp"

namespace ricorda {

class OutputWeights {
 public:
  OutputWeights() = default;
  // For up to so many symbols.
  OutputWeights(const InstructionSet& set, Precision precision, int most, int hidden_size);

  // From weight (V, H) and bias (V).
  void pack(const float* weight, const float* bias, int vocabulary_size);

  int vocabulary_size = 0;
  int hidden_size = 0;
  PackedMatrix forward;        // (Vp, Hp)
  PackedMatrix back;           // (Hp, Vp)
  AlignedBuffer<float> start;  // (Vp) the bias, minus infinity where padded
};

struct OutputGradients {
  AlignedBuffer<float> weight;  // (Vp, Hp)
  AlignedBuffer<float> bias;    // (Vp)

  OutputGradients() = default;
  OutputGradients(int most, int hidden_size);
  // The bias of so many symbols; a window's first sum overwrites the weight.
  void clear(int vocabulary_size);
};

class OutputPass {
 public:
  OutputPass() = default;
  OutputPass(const InstructionSet& set, Precision precision, int most, int hidden_size,
             int symbols);

  // The logits (count, Vp) of the symbols after rows of hidden values (count, Hp), until the next
  // call.
  const float* logits(const OutputWeights& weights, const float* hidden, int count);

  // The sum of nats of `targets` (N) after `hidden` (N, Hp). Adds gradients of that sum times
  // `scale` to `gradients`, and gives those of hidden. `drop(row, values)` drops out of the row
  // number `row` of hidden values, and likewise of their gradients; empty: nothing is dropped.
  // `corrections` (Vp) are added to all logits but the target's own; or null.
  double run(const OutputWeights& weights, const float* hidden, const std::uint32_t* targets,
             const float* corrections, float scale, const std::function<void(int, float*)>& drop,
             OutputGradients& gradients, float* hidden_gradient);

 private:
  double to_gradients(const std::uint32_t* targets, const float* corrections, int vocabulary,
                      int count, float scale);

  const InstructionSet* set_ = nullptr;
  int hidden_ = 0;  // padded
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
