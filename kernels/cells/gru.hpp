// The gated recurrent unit (Cho et al., 2014), in torch's variant.
//
// The reset gate multiplies only the hidden part of the candidate, so the candidate's two products
// stay apart. A row of gates: candidate (hidden part), reset, update, candidate (input part); after
// a step: unchanged, reset gate, update gate, candidate.
#pragma once

#include "cells/cell.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

inline void gru_forward(const CellStep& step) {
  const float* hidden_part = step.gates;                    // (H) of the candidate
  float* reset_gates = step.gates + step.hidden_size;       // (H)
  float* update_gates = step.gates + 2 * step.hidden_size;  // (H)
  float* candidates = step.gates + 3 * step.hidden_size;    // (H) from the input part
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float reset = sigmoid(load(reset_gates + unit));
    const Float update = sigmoid(load(update_gates + unit));
    const Float candidate = tanh(fma(reset, load(hidden_part + unit), load(candidates + unit)));
    const Float before = load(step.before[0] + unit);
    // (1 - update) * candidate + update * before
    store(step.after[0] + unit, fma(update, before - candidate, candidate));
    store(reset_gates + unit, reset);
    store(update_gates + unit, update);
    store(candidates + unit, candidate);
  }
}

inline void gru_backward(const CellStepBack& step) {
  float* hidden_part = step.gates;                          // (H) of the candidate
  float* reset_gates = step.gates + step.hidden_size;       // (H)
  float* update_gates = step.gates + 2 * step.hidden_size;  // (H)
  float* candidates = step.gates + 3 * step.hidden_size;    // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float reset = load(reset_gates + unit), update = load(update_gates + unit);
    const Float candidate = load(candidates + unit), before = load(step.before[0] + unit);
    const Float to_candidate = (gradient - gradient * update) * tanh_slope(candidate);
    store(candidates + unit, to_candidate);
    store(update_gates + unit, gradient * (before - candidate) * sigmoid_slope(update));
    store(reset_gates + unit, to_candidate * load(hidden_part + unit) * sigmoid_slope(reset));
    store(hidden_part + unit, to_candidate * reset);
    float* next = step.hidden_before_gradient + unit;
    store(next, fma(gradient, update, load(next)));
  }
}

constexpr Cell gru{
    .name = "gru",
    .gates = 3,  // reset, update, candidate
    .blocks = 4,
    .input_block = {1, 2, 3},
    .hidden_block = {1, 2, 0},
    .traced = 3,
    .traced_block = {1, 2, 3},
    .forward = gru_forward,
    .backward = gru_backward,
};

}  // namespace ricorda::RICORDA_SET
