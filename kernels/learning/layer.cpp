#include "layer.hpp"

#include <algorithm>

#include "../gate_layout.hpp"

namespace ricorda {
namespace {

constexpr int symbols_together = 512;  // whose gradients are summed while they are in cache
constexpr int rows_together = 96;      // of a product, whose inputs are prepared at once

}  // namespace

LayerWeights::LayerWeights(const InstructionSet& set, Precision precision, const LayerSize& size)
    : size(size),
      input_forward(set, precision, size.stacked(), size.input()),
      input_back(set, precision, size.input(), size.stacked()),
      hidden_forward(set, precision, size.stacked(), size.hidden()),
      hidden_back(set, precision, size.hidden(), size.stacked()),
      start(size.width()) {}

void LayerWeights::pack(const LayerTensors& tensors, const float* weight_hh, int part, int parts) {
  for (int gate = part; gate < size.gates(); gate += parts) pack_gate(tensors, weight_hh, gate);
  if (part > 0) return;
  std::fill_n(start.data(), start.size(), 0.0f);
  const GateBlocks blocks = gate_blocks(size.cell);
  for (int gate = 0; gate < size.gates(); ++gate)
    for (int unit = 0; unit < size.hidden_size; ++unit) {
      const int row = gate * size.hidden_size + unit;
      start[blocks.input[gate] * size.hidden() + unit] += tensors.bias_ih[row];
      start[blocks.hidden[gate] * size.hidden() + unit] += tensors.bias_hh[row];
    }
}

void LayerWeights::pack_gate(const LayerTensors& tensors, const float* weight_hh, int gate) {
  const GateBlocks blocks = gate_blocks(size.cell);
  const int hidden = size.hidden(), hidden_size = size.hidden_size, inputs = size.input_size;
  const std::size_t first = std::size_t(gate) * hidden_size;
  const float* recurrent = weight_hh + first * hidden_size;
  const int row = blocks.hidden[gate] * hidden;
  hidden_forward.pack(recurrent, hidden_size, 1, row, hidden_size, 0, hidden_size, hidden);
  hidden_back.pack(recurrent, 1, hidden_size, 0, hidden_size, row, hidden_size, hidden);
  if (tensors.weight_ih == nullptr) return;
  const float* input = tensors.weight_ih + first * inputs;
  const int input_row = (blocks.input[gate] - first_input_block(size.cell)) * hidden;
  input_forward.pack(input, inputs, 1, input_row, hidden_size, 0, inputs, size.input());
  input_back.pack(input, 1, inputs, 0, inputs, input_row, hidden_size, hidden);
}

LayerGradients::LayerGradients(const LayerSize& size)
    : weight_ih(std::size_t(size.stacked()) * size.input()),
      weight_hh(std::size_t(size.stacked()) * size.hidden()),
      gates(size.width()) {}

void LayerGradients::clear() {
  for (AlignedBuffer<float>* buffer : {&weight_ih, &weight_hh, &gates})
    std::fill_n(buffer->data(), buffer->size(), 0.0f);
}

LayerPass::LayerPass(const InstructionSet& set, Precision precision, const LayerSize& size,
                     int streams, int steps)
    : set_(&set),
      precision_(precision),
      size_(size),
      streams_(streams),
      steps_(steps),
      block_steps_(std::clamp(symbols_together / streams, 1, steps)),
      hidden_(std::size_t(steps + 1) * state_size()),
      cells_(size.has_cell() ? std::size_t(steps + 1) * state_size() : 0),
      gates_(std::size_t(symbols()) * size.width()),
      prepared_(prepared_bytes(rows_together, std::max(size.stacked(), size.input()))),
      starts_(symbols()),
      other_starts_(symbols()),
      zeros_(std::max(size.hidden(), size.input())) {}

void LayerPass::make_room_to_go_back() {
  if (hidden_gradient_.size() > 0) return;
  hidden_gradient_ = AlignedBuffer<float>(std::size_t(steps_ + 1) * state_size());
  cell_gradient_ = AlignedBuffer<float>(size_.has_cell() ? state_size() : 0);
  hidden_sums_ = OuterSums(*set_, precision_, block_steps_ * streams_, size_.hidden());
  input_sums_ = OuterSums(*set_, precision_, block_steps_ * streams_, size_.input());
}

void LayerPass::multiply(const Panels& matrix, const Rows& inputs, int rows,
                         const float* const* starts, float* outputs, std::ptrdiff_t stride) {
  for (int row = 0; row < rows; row += rows_together)
    set_->routines.multiply[int(precision_)](
        matrix.view(),
        {inputs.values + row * inputs.stride, inputs.stride, starts + row, outputs + row * stride,
         stride, std::min(rows_together, rows - row), false, prepared_.data()});
}

void LayerPass::forward(const LayerWeights& weights, const LayerInput& input) {
  project(weights, input);
  for (int time = 0; time < steps_; ++time) step_forward(weights, time);
}

// Fills starts_: for each symbol, where its gates start from.
void LayerPass::project(const LayerWeights& weights, const LayerInput& input) {
  const std::size_t width = size_.width();
  const int part = size_.input_part();
  if (input.table != nullptr) {
    for (int i = 0; i < symbols(); ++i) {
      starts_[i] = input.table + input.ids[i] * width;
      if (part > 0) {  // gru: the candidate's input part has no recurrent product
        const float* last = starts_[i] + width - size_.hidden();
        std::copy_n(last, size_.hidden(), gates_.data() + (i + 1) * width - size_.hidden());
      }
    }
    return;
  }
  for (int i = 0; i < symbols(); ++i) {
    starts_[i] = gates_.data() + i * width;
    std::copy_n(weights.start.data(), part, gates_.data() + i * width);
    other_starts_[i] = weights.start.data() + part;
  }
  multiply(weights.input_forward, {input.vectors, size_.input()}, symbols(), other_starts_.data(),
           gates_.data() + part, size_.width());
}

void LayerPass::step_forward(const LayerWeights& weights, int time) {
  const std::size_t before = time * state_size(), after = before + state_size();
  multiply(weights.hidden_forward, {hidden_.data() + before, size_.hidden()}, streams_,
           starts_.data() + std::size_t(time) * streams_, gates_at(time), size_.width());
  const Routines& routines = set_->routines;
  for (int s = 0; s < streams_; ++s) {
    const std::size_t at = std::size_t(s) * size_.hidden();
    CellStep step{gates_at(time) + std::size_t(s) * size_.width(),
                  hidden_.data() + before + at,
                  nullptr,
                  hidden_.data() + after + at,
                  nullptr,
                  size_.hidden()};
    switch (size_.cell) {
      case Cell::rnn: size_.relu ? routines.rnn_relu(step) : routines.rnn_tanh(step); break;
      case Cell::gru: routines.gru(step); break;
      case Cell::lstm:
        step.cell_before = cells_.data() + before + at;
        step.cell = cells_.data() + after + at;
        routines.lstm(step);
        break;
    }
  }
}

void LayerPass::back(const LayerWeights& weights, const LayerInput& input, bool to_first_state,
                     LayerGradients& gradients, float* vector_gradient, float* table_gradient) {
  int last = steps_;
  for (int time = steps_ - 1; time >= 0; --time) {
    step_back(weights, time, to_first_state);
    if (time == 0 || last - time == block_steps_) {
      add_gradients(weights, input, time, last - time, gradients, vector_gradient, table_gradient);
      last = time;
    }
  }
}

void LayerPass::step_back(const LayerWeights& weights, int time, bool to_first_state) {
  const std::size_t before = time * state_size(), after = before + state_size();
  const Routines& routines = set_->routines;
  for (int s = 0; s < streams_; ++s) {
    const std::size_t at = std::size_t(s) * size_.hidden();
    CellStepBack step{gates_at(time) + std::size_t(s) * size_.width(),
                      hidden_.data() + before + at,
                      hidden_.data() + after + at,
                      nullptr,
                      nullptr,
                      hidden_gradient_.data() + after + at,
                      nullptr,
                      hidden_gradient_.data() + before + at,
                      size_.hidden()};
    switch (size_.cell) {
      case Cell::rnn:
        size_.relu ? routines.rnn_relu_back(step) : routines.rnn_tanh_back(step);
        break;
      case Cell::gru: routines.gru_back(step); break;
      case Cell::lstm:
        step.cell_before = cells_.data() + before + at;
        step.cell = cells_.data() + after + at;
        step.cell_gradient = cell_gradient_.data() + at;
        routines.lstm_back(step);
        break;
    }
    other_starts_[s] = step.next_hidden_gradient;
  }
  if (time == 0 && !to_first_state) return;
  multiply(weights.hidden_back, {gates_at(time), size_.width()}, streams_, other_starts_.data(),
           hidden_gradient_.data() + before, size_.hidden());
}

// The gradients of the weights, and of the inputs, from the steps `first` to first + count.
void LayerPass::add_gradients(const LayerWeights& weights, const LayerInput& input, int first,
                              int count, LayerGradients& gradients, float* vector_gradient,
                              float* table_gradient) {
  const std::size_t width = size_.width(), begin = std::size_t(first) * streams_;
  const int symbols = count * streams_;
  const float* totals = gates_at(first);
  const float* input_totals = totals + size_.input_part();
  const Routines& routines = set_->routines;
  hidden_sums_.set_right({hidden_.data() + begin * size_.hidden(), size_.hidden()}, symbols,
                         size_.hidden());
  hidden_sums_.add({totals, size_.width()}, size_.stacked(), gradients.weight_hh.data(),
                   size_.hidden());
  if (table_gradient != nullptr) {
    for (int i = 0; i < symbols; ++i)
      routines.add(totals + i * width, int(width), table_gradient + input.ids[begin + i] * width);
    return;
  }
  for (int i = 0; i < symbols; ++i)
    routines.add(totals + i * width, int(width), gradients.gates.data());
  input_sums_.set_right({input.vectors + begin * size_.input(), size_.input()}, symbols,
                        size_.input());
  input_sums_.add({input_totals, size_.width()}, size_.stacked(), gradients.weight_ih.data(),
                  size_.input());
  if (vector_gradient == nullptr) return;
  std::fill_n(other_starts_.begin(), symbols, zeros_.data());
  multiply(weights.input_back, {input_totals, size_.width()}, symbols, other_starts_.data(),
           vector_gradient + begin * size_.input(), size_.input());
}

}  // namespace ricorda
