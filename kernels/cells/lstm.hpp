// The long short-term memory (Hochreiter & Schmidhuber, 1997) with forget gates (Gers et al.,
// 2000).
//
// A row of gates: input, forget, candidate, output; each the total, after a step its activation.
#pragma once

#include "cells/cell.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

inline void lstm_forward(const CellStep& step) {
  float* input_gates = step.gates;                          // (H)
  float* forget_gates = step.gates + step.hidden_size;      // (H)
  float* candidates = step.gates + 2 * step.hidden_size;    // (H)
  float* output_gates = step.gates + 3 * step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float input = sigmoid(load(input_gates + unit));
    const Float forget = sigmoid(load(forget_gates + unit));
    const Float candidate = tanh(load(candidates + unit));
    const Float output = sigmoid(load(output_gates + unit));
    const Float cell = fma(forget, load(step.before[1] + unit), input * candidate);
    store(step.after[1] + unit, cell);
    store(step.after[0] + unit, output * tanh(cell));
    store(input_gates + unit, input);
    store(forget_gates + unit, forget);
    store(candidates + unit, candidate);
    store(output_gates + unit, output);
  }
}

inline void lstm_backward(const CellStepBack& step) {
  float* input_gates = step.gates;                          // (H)
  float* forget_gates = step.gates + step.hidden_size;      // (H)
  float* candidates = step.gates + 2 * step.hidden_size;    // (H)
  float* output_gates = step.gates + 3 * step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float input = load(input_gates + unit), forget = load(forget_gates + unit);
    const Float candidate = load(candidates + unit), output = load(output_gates + unit);
    const Float squashed = tanh(load(step.after[1] + unit));
    const Float to_cell =
        fma(gradient * output, tanh_slope(squashed), load(step.cell_gradient + unit));
    store(output_gates + unit, gradient * squashed * sigmoid_slope(output));
    store(input_gates + unit, to_cell * candidate * sigmoid_slope(input));
    store(forget_gates + unit, to_cell * load(step.before[1] + unit) * sigmoid_slope(forget));
    store(candidates + unit, to_cell * input * tanh_slope(candidate));
    store(step.cell_gradient + unit, to_cell * forget);
  }
}

constexpr Cell lstm{
    .name = "lstm",
    .gates = 4,  // input, forget, candidate, output
    .state_parts = 2,
    .blocks = 4,
    .input_block = {0, 1, 2, 3},
    .hidden_block = {0, 1, 2, 3},
    .traced = 4,
    .traced_block = {0, 1, 2, 3},
    .forward = lstm_forward,
    .backward = lstm_backward,
};

}  // namespace ricorda::RICORDA_SET
