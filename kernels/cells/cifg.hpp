// The LSTM with coupled input and forget gates (Greff et al., 2015): forget = 1 - input.
//
// A row of gates: input, candidate, output; each the total, after a step its activation.
#pragma once

#include "cells/cell.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

inline void cifg_forward(const CellStep& step) {
  float* input_gates = step.gates;                          // (H)
  float* candidates = step.gates + step.hidden_size;        // (H)
  float* output_gates = step.gates + 2 * step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float input = sigmoid(load(input_gates + unit));
    const Float candidate = tanh(load(candidates + unit));
    const Float output = sigmoid(load(output_gates + unit));
    const Float before = load(step.before[1] + unit);
    const Float cell = fma(input, candidate - before, before);
    store(step.after[1] + unit, cell);
    store(step.after[0] + unit, output * tanh(cell));
    store(input_gates + unit, input);
    store(candidates + unit, candidate);
    store(output_gates + unit, output);
  }
}

inline void cifg_backward(const CellStepBack& step) {
  float* input_gates = step.gates;                          // (H)
  float* candidates = step.gates + step.hidden_size;        // (H)
  float* output_gates = step.gates + 2 * step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float input = load(input_gates + unit), candidate = load(candidates + unit);
    const Float output = load(output_gates + unit);
    const Float squashed = tanh(load(step.after[1] + unit));
    const Float to_cell =
        fma(gradient * output, tanh_slope(squashed), load(step.cell_gradient + unit));
    const Float change = candidate - load(step.before[1] + unit);
    store(output_gates + unit, gradient * squashed * sigmoid_slope(output));
    store(input_gates + unit, to_cell * change * sigmoid_slope(input));
    store(candidates + unit, to_cell * input * tanh_slope(candidate));
    store(step.cell_gradient + unit, to_cell - to_cell * input);
  }
}

constexpr Cell cifg{
    .name = "cifg",
    .gates = 3,  // input, candidate, output
    .state_parts = 2,
    .blocks = 3,
    .input_block = {0, 1, 2},
    .hidden_block = {0, 1, 2},
    .traced = 3,
    .traced_block = {0, 1, 2},
    .forward = cifg_forward,
    .backward = cifg_backward,
};

}  // namespace ricorda::RICORDA_SET
