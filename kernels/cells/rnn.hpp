// The simple recurrent network (Elman, 1990), with tanh or relu.
#pragma once

#include "cells/cell.hpp"
#include "simd/activations.hpp"

namespace ricorda::RICORDA_SET {

inline void rnn_tanh_forward(const CellStep& step) {
  for (int unit = 0; unit < step.hidden_size; unit += width)
    store(step.after[0] + unit, tanh(load(step.gates + unit)));
}

inline void rnn_tanh_backward(const CellStepBack& step) {
  for (int unit = 0; unit < step.hidden_size; unit += width)
    store(step.gates + unit,
          load(step.hidden_gradient + unit) * tanh_slope(load(step.after[0] + unit)));
}

inline void rnn_relu_forward(const CellStep& step) {
  for (int unit = 0; unit < step.hidden_size; unit += width)
    store(step.after[0] + unit, maximum(broadcast(0.0f), load(step.gates + unit)));
}

inline void rnn_relu_backward(const CellStepBack& step) {
  for (int unit = 0; unit < step.hidden_size; ++unit)
    step.gates[unit] = step.after[0][unit] > 0.0f ? step.hidden_gradient[unit] : 0.0f;
}

constexpr Cell rnn_tanh{
    .name = "rnn",
    .nonlinearity = "tanh",
    .gates = 1,
    .blocks = 1,
    .forward = rnn_tanh_forward,
    .backward = rnn_tanh_backward,
};

constexpr Cell rnn_relu{
    .name = "rnn",
    .nonlinearity = "relu",
    .gates = 1,
    .blocks = 1,
    .forward = rnn_relu_forward,
    .backward = rnn_relu_backward,
};

}  // namespace ricorda::RICORDA_SET
