// The steps of cells.cpp backwards: from gradients of a step's results to those of its totals.
#include "../routines.hpp"
#include "activations.hpp"

namespace ricorda::RICORDA_SET {
namespace {

RICORDA_INLINE Float sigmoid_slope(Float y) { return y - y * y; }
RICORDA_INLINE Float tanh_slope(Float y) { return broadcast(1.0f) - y * y; }

}  // namespace

void rnn_tanh_back(const CellStepBack& step) {
  for (int unit = 0; unit < step.hidden_size; unit += width)
    store(step.gates + unit,
          load(step.hidden_gradient + unit) * tanh_slope(load(step.hidden + unit)));
}

void rnn_relu_back(const CellStepBack& step) {
  for (int unit = 0; unit < step.hidden_size; ++unit)
    step.gates[unit] = step.hidden[unit] > 0.0f ? step.hidden_gradient[unit] : 0.0f;
}

void gru_back(const CellStepBack& step) {
  float* hidden_part = step.gates;                          // (H) of the candidate
  float* reset_gates = step.gates + step.hidden_size;       // (H)
  float* update_gates = step.gates + 2 * step.hidden_size;  // (H)
  float* candidates = step.gates + 3 * step.hidden_size;    // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float reset = load(reset_gates + unit), update = load(update_gates + unit);
    const Float candidate = load(candidates + unit), before = load(step.hidden_before + unit);
    const Float to_candidate = (gradient - gradient * update) * tanh_slope(candidate);
    store(candidates + unit, to_candidate);
    store(update_gates + unit, gradient * (before - candidate) * sigmoid_slope(update));
    store(reset_gates + unit, to_candidate * load(hidden_part + unit) * sigmoid_slope(reset));
    store(hidden_part + unit, to_candidate * reset);
    float* next = step.next_hidden_gradient + unit;
    store(next, fma(gradient, update, load(next)));
  }
}

void lstm_back(const CellStepBack& step) {
  float* input_gates = step.gates;                          // (H)
  float* forget_gates = step.gates + step.hidden_size;      // (H)
  float* candidates = step.gates + 2 * step.hidden_size;    // (H)
  float* output_gates = step.gates + 3 * step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float gradient = load(step.hidden_gradient + unit);
    const Float input = load(input_gates + unit), forget = load(forget_gates + unit);
    const Float candidate = load(candidates + unit), output = load(output_gates + unit);
    const Float squashed = tanh(load(step.cell + unit));
    const Float to_cell =
        fma(gradient * output, tanh_slope(squashed), load(step.cell_gradient + unit));
    store(output_gates + unit, gradient * squashed * sigmoid_slope(output));
    store(input_gates + unit, to_cell * candidate * sigmoid_slope(input));
    store(forget_gates + unit, to_cell * load(step.cell_before + unit) * sigmoid_slope(forget));
    store(candidates + unit, to_cell * input * tanh_slope(candidate));
    store(step.cell_gradient + unit, to_cell * forget);
  }
}

}  // namespace ricorda::RICORDA_SET
