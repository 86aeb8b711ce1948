// The minimal long short-term memory (Feng et al., 2024), whose gates depend on the input alone and
// are divided by their sum.
//
// A row of gates: input, forget, candidate; each the total, after a step its activation. The
// candidate is linear.
#pragma once

#include "cells/cell.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

inline void minlstm_forward(const CellStep& step) {
  float* input_gates = step.gates;                              // (H)
  float* forget_gates = step.gates + step.hidden_size;          // (H)
  const float* candidates = step.gates + 2 * step.hidden_size;  // (H)
  const Float one = broadcast(1.0f), zero = broadcast(0.0f);
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    // The gates' inverses, whose ratio is exact where both gates are next to nothing.
    const Float input = one + exp(zero - load(input_gates + unit));
    const Float forget = one + exp(zero - load(forget_gates + unit));
    const Float share = forget / (input + forget);  // input gate / (forget gate + input gate)
    const Float before = load(step.before[0] + unit);
    store(step.after[0] + unit, fma(share, load(candidates + unit) - before, before));
    store(input_gates + unit, one / input);
    store(forget_gates + unit, one / forget);
  }
}

inline void minlstm_backward(const CellStepBack& step) {
  float* input_gates = step.gates;                        // (H)
  float* forget_gates = step.gates + step.hidden_size;    // (H)
  float* candidates = step.gates + 2 * step.hidden_size;  // (H)
  const Float one = broadcast(1.0f), least = broadcast(1e-30f);
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float input = load(input_gates + unit), forget = load(forget_gates + unit);
    const Float share = input / maximum(input + forget, least);
    const Float change = load(candidates + unit) - load(step.before[0] + unit);
    const Float to_candidate = gradient * share;
    const Float to_share = change * (to_candidate - to_candidate * share);
    store(input_gates + unit, to_share * (one - input));
    store(forget_gates + unit, to_share * (forget - one));
    store(candidates + unit, to_candidate);
    float* before = step.hidden_before_gradient + unit;
    store(before, load(before) + (gradient - to_candidate));
  }
}

constexpr Cell minlstm{
    .name = "minlstm",
    .gates = 3,  // input, forget, candidate
    .has_recurrent_weights = false,
    .blocks = 3,
    .input_block = {0, 1, 2},
    .traced = 3,
    .traced_block = {0, 1, 2},
    .forward = minlstm_forward,
    .backward = minlstm_backward,
};

}  // namespace ricorda::RICORDA_SET
