// One step of each cell, after its products: the activations and the new state.
// The equations stand in src/ricorda/engine/reference.py.
#include "../routines.hpp"
#include "activations.hpp"

namespace ricorda::RICORDA_SET {

void rnn_tanh(const CellStep& step) {
  for (int unit = 0; unit < step.hidden_size; unit += width)
    store(step.hidden + unit, tanh(load(step.gates + unit)));
}

void rnn_relu(const CellStep& step) {
  for (int unit = 0; unit < step.hidden_size; unit += width)
    store(step.hidden + unit, maximum(broadcast(0.0f), load(step.gates + unit)));
}

void gru(const CellStep& step) {
  const float* hidden_part = step.gates;                    // (H) of the candidate
  float* reset_gates = step.gates + step.hidden_size;       // (H)
  float* update_gates = step.gates + 2 * step.hidden_size;  // (H)
  float* candidates = step.gates + 3 * step.hidden_size;    // (H) from the input part
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float reset = sigmoid(load(reset_gates + unit));
    const Float update = sigmoid(load(update_gates + unit));
    const Float candidate = tanh(fma(reset, load(hidden_part + unit), load(candidates + unit)));
    const Float before = load(step.hidden_before + unit);
    // (1 - update) * candidate + update * before
    store(step.hidden + unit, fma(update, before - candidate, candidate));
    store(reset_gates + unit, reset);
    store(update_gates + unit, update);
    store(candidates + unit, candidate);
  }
}

void lstm(const CellStep& step) {
  float* input_gates = step.gates;                          // (H)
  float* forget_gates = step.gates + step.hidden_size;      // (H)
  float* candidates = step.gates + 2 * step.hidden_size;    // (H)
  float* output_gates = step.gates + 3 * step.hidden_size;  // (H)
  for (int unit = 0; unit < step.hidden_size; unit += width) {
    const Float input = sigmoid(load(input_gates + unit));
    const Float forget = sigmoid(load(forget_gates + unit));
    const Float candidate = tanh(load(candidates + unit));
    const Float output = sigmoid(load(output_gates + unit));
    const Float cell = fma(forget, load(step.cell_before + unit), input * candidate);
    store(step.cell + unit, cell);
    store(step.hidden + unit, output * tanh(cell));
    store(input_gates + unit, input);
    store(forget_gates + unit, forget);
    store(candidates + unit, candidate);
    store(output_gates + unit, output);
  }
}

}  // namespace ricorda::RICORDA_SET
