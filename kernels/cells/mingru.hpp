// The minimal gated recurrent unit (Feng et al., 2024), whose gates depend on the input alone.
//
// A row of gates: update, candidate; each the total, after a step its activation. The candidate is
// linear.
#pragma once

#include "cells/cell.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

inline void mingru_forward(const CellStep& step) {
  float* update_gates = step.gates;                         // (H)
  const float* candidates = step.gates + step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float update = sigmoid(load(update_gates + unit));
    const Float before = load(step.before[0] + unit);
    store(step.after[0] + unit, fma(update, load(candidates + unit) - before, before));
    store(update_gates + unit, update);
  }
}

inline void mingru_backward(const CellStepBack& step) {
  float* update_gates = step.gates;                   // (H)
  float* candidates = step.gates + step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float update = load(update_gates + unit);
    const Float change = load(candidates + unit) - load(step.before[0] + unit);
    const Float to_candidate = gradient * update;
    store(update_gates + unit, gradient * change * sigmoid_slope(update));
    store(candidates + unit, to_candidate);
    float* before = step.hidden_before_gradient + unit;
    store(before, load(before) + (gradient - to_candidate));
  }
}

constexpr Cell mingru{
    .name = "mingru",
    .gates = 2,  // update, candidate
    .has_recurrent_weights = false,
    .blocks = 2,
    .input_block = {0, 1},
    .traced = 2,
    .traced_block = {0, 1},
    .forward = mingru_forward,
    .backward = mingru_backward,
};

}  // namespace ricorda::RICORDA_SET
