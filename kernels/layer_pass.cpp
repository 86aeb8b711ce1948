#include "layer_pass.hpp"

#include <algorithm>

namespace ricorda {
namespace {

constexpr int symbols_together = 512;  // whose gradients are summed while they are in cache

}  // namespace

LayerGradients::LayerGradients(const LayerShape& shape)
    : weight_ih(std::size_t(shape.stacked()) * shape.input()),
      weight_hh(shape.has_recurrent_weights() ? std::size_t(shape.stacked()) * shape.hidden() : 0),
      gates(shape.width()) {}

void LayerGradients::clear() { std::fill_n(gates.data(), gates.size(), 0.0f); }

LayerPass::LayerPass(const InstructionSet& set, Precision precision, const LayerShape& shape,
                     int streams, int steps, bool resets)
    : routines_(&set.routines),
      shape_(shape),
      streams_(streams),
      steps_(steps),
      block_steps_(std::clamp(symbols_together / streams, 1, steps)),
      gates_(std::size_t(symbols()) * shape.width()),
      hidden_gradient_(std::size_t(steps + 1) * state_size()),
      cell_gradient_(shape.cell->state_parts > 1 ? state_size() : 0),
      zeros_(std::max(shape.input(), shape.hidden())),
      kept_gradient_(resets ? state_size() : 0),
      reset_hidden_(resets && shape.has_recurrent_weights() ? block_steps_ * state_size() : 0),
      workspace_(symbols(), std::max(shape.stacked(), shape.input())),
      input_sums_(set, precision, block_steps_ * streams, shape.input()) {
  if (shape.has_recurrent_weights())
    hidden_sums_ = OuterSums(set, precision, block_steps_ * streams, shape.hidden());
  for (int part = 0; part < shape.cell->state_parts; ++part)
    states_[part] = AlignedBuffer<float>(std::size_t(steps + 1) * state_size());
  if (resets) workspace_.reserve_resets(shape.cell->state_parts, streams, shape.hidden());
}

void LayerPass::forward(const Layer& layer, const LayerInput& input, int first, int count) {
  const std::size_t begin = std::size_t(first) * streams_;
  Window window{count, streams_, gates_at(first), {}, {}, input.resets};
  for (int part = 0; part < shape_.cell->state_parts; ++part) {
    window.before[part] = state(part) + first * state_size();
    window.after[part] = state(part) + (first + 1) * state_size();
  }
  if (input.table != nullptr)
    layer.look_up(input.table, input.ids + begin, window, workspace_);
  else
    layer.project(input.vectors + begin * shape_.input(), window, workspace_);
  if (input.label_table != nullptr)
    layer.add_labels(input.label_table, input.labels + begin, window, workspace_);
  layer.forward(window, workspace_);
}

void LayerPass::backward(const Layer& layer, const LayerInput& input, LayerGradients& gradients,
                         const InputGradients& input_gradients) {
  std::fill_n(hidden_gradient_.data(), state_size(), 0.0f);
  std::fill_n(cell_gradient_.data(), cell_gradient_.size(), 0.0f);
  int last = steps_;
  for (int time = steps_ - 1; time >= 0; --time) {
    step_backward(layer, time,
                  resets_between(input.resets, time * streams_, (time + 1) * streams_));
    if (time == 0 || last - time == block_steps_) {
      add_gradients(layer, input, time, last - time, gradients, input_gradients);
      last = time;
    }
  }
}

// A stream that the step reset had zeros before it; its earlier output keeps its gradient.
void LayerPass::step_backward(const Layer& layer, int time, Resets resets) {
  const std::size_t hidden = shape_.hidden(), width = shape_.width();
  const std::size_t before = time * state_size(), after = before + state_size();
  auto next_reset = resets.begin();
  for (int s = 0; s < streams_; ++s) {
    const std::size_t at = s * hidden;
    const bool is_reset = next_reset != resets.end() && *next_reset == time * streams_ + s;
    CellStepBack step{};
    step.gates = gates_at(time) + s * width;
    for (int part = 0; part < shape_.cell->state_parts; ++part) {
      step.before[part] = is_reset ? zeros_.data() : state(part) + before + at;
      step.after[part] = state(part) + after + at;
    }
    step.hidden_gradient = hidden_gradient_.data() + after + at;
    if (cell_gradient_.size() > 0) step.cell_gradient = cell_gradient_.data() + at;
    step.hidden_before_gradient = hidden_gradient_.data() + before + at;
    step.hidden_size = shape_.hidden();
    if (is_reset) std::copy_n(step.hidden_before_gradient, hidden, kept_gradient_.data() + at);
    shape_.cell->backward(step);
    if (is_reset && cell_gradient_.size() > 0) std::fill_n(step.cell_gradient, hidden, 0.0f);
    if (is_reset) ++next_reset;
    workspace_.same_start[s] = step.hidden_before_gradient;
  }
  if (time == 0) return;  // gradients stop at the window's beginning
  if (shape_.has_recurrent_weights())
    workspace_.multiply(layer.hidden_back(), gates_at(time), width, streams_,
                        workspace_.same_start.data(), hidden_gradient_.data() + before, hidden);
  for (const int row : resets) {
    const std::size_t at = (row - time * streams_) * hidden;
    std::copy_n(kept_gradient_.data() + at, hidden, hidden_gradient_.data() + before + at);
  }
}

// The hidden states (count, Hp) that the rows from `first` on multiplied.
const float* LayerPass::hidden_before(std::size_t first, std::size_t count, Resets resets) {
  const std::size_t hidden = shape_.hidden();
  const float* states = state(0) + first * hidden;
  const Resets here = resets_between(resets, first, first + count);
  if (here.empty()) return states;
  std::copy_n(states, count * hidden, reset_hidden_.data());
  for (const int row : here)
    std::fill_n(reset_hidden_.data() + (row - first) * hidden, hidden, 0.0f);
  return reset_hidden_.data();
}

// The gradients of the weights, and of the inputs, from the steps `first` to first + count.
void LayerPass::add_gradients(const Layer& layer, const LayerInput& input, int first, int count,
                              LayerGradients& gradients, const InputGradients& input_gradients) {
  const int width = shape_.width(), hidden = shape_.hidden(), inputs = shape_.input();
  const std::size_t begin = std::size_t(first) * streams_;
  const int symbols = count * streams_;
  const float* totals = gates_at(first);
  const float* input_totals = totals + shape_.apart();
  const bool anew = first + count == steps_;
  if (shape_.has_recurrent_weights()) {
    hidden_sums_.set_right({hidden_before(begin, symbols, input.resets), hidden}, symbols, hidden);
    hidden_sums_.add({totals, width}, shape_.stacked(), gradients.weight_hh.data(), hidden, anew);
  }
  for (int i = 0; i < symbols; ++i)
    routines_->add(totals + std::size_t(i) * width, width,
                   input_gradients.table == nullptr
                       ? gradients.gates.data()
                       : input_gradients.table + input.ids[begin + i] * std::size_t(width));
  for (int i = 0; i < symbols && input_gradients.labels != nullptr; ++i)
    routines_->add(totals + std::size_t(i) * width, width,
                   input_gradients.labels + input.labels[begin + i] * std::size_t(width));
  if (input_gradients.table != nullptr) return;
  input_sums_.set_right({input.vectors + begin * inputs, inputs}, symbols, inputs);
  input_sums_.add({input_totals, width}, shape_.stacked(), gradients.weight_ih.data(), inputs,
                  anew);
  if (input_gradients.vectors == nullptr) return;
  workspace_.multiply_from(zeros_.data(), layer.input_back(), input_totals, width, symbols,
                           input_gradients.vectors + begin * inputs, inputs);
}

}  // namespace ricorda
