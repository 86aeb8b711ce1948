#include "layer_pass.hpp"

#include <algorithm>

namespace ricorda {
namespace {

constexpr int symbols_together = 512;  // whose gradients are summed while they are in cache

}  // namespace

LayerGradients::LayerGradients(const LayerShape& shape)
    : weight_ih(std::size_t(shape.stacked()) * shape.input()),
      weight_hh(std::size_t(shape.stacked()) * shape.hidden()),
      gates(shape.width()) {}

void LayerGradients::clear() {
  for (AlignedBuffer<float>* buffer : {&weight_ih, &weight_hh, &gates})
    std::fill_n(buffer->data(), buffer->size(), 0.0f);
}

LayerPass::LayerPass(const InstructionSet& set, Precision precision, const LayerShape& shape,
                     int streams, int steps)
    : routines_(&set.routines),
      shape_(shape),
      streams_(streams),
      steps_(steps),
      block_steps_(std::clamp(symbols_together / streams, 1, steps)),
      gates_(std::size_t(symbols()) * shape.width()),
      hidden_gradient_(std::size_t(steps + 1) * state_size()),
      cell_gradient_(shape.cell->state_parts > 1 ? state_size() : 0),
      zeros_(shape.input()),
      workspace_(symbols(), std::max(shape.stacked(), shape.input())),
      hidden_sums_(set, precision, block_steps_ * streams, shape.hidden()),
      input_sums_(set, precision, block_steps_ * streams, shape.input()) {
  for (int part = 0; part < shape.cell->state_parts; ++part)
    states_[part] = AlignedBuffer<float>(std::size_t(steps + 1) * state_size());
}

void LayerPass::forward(const Layer& layer, const LayerInput& input) {
  Window window{steps_, streams_, gates_.data(), {}, {}};
  for (int part = 0; part < shape_.cell->state_parts; ++part) {
    window.before[part] = state(part);
    window.after[part] = state(part) + state_size();
  }
  if (input.table != nullptr)
    layer.look_up(input.table, input.ids, window, workspace_);
  else
    layer.project(input.vectors, window, workspace_);
  layer.forward(window, workspace_);
}

void LayerPass::backward(const Layer& layer, const LayerInput& input, LayerGradients& gradients,
                         float* vector_gradient, float* table_gradient) {
  std::fill_n(hidden_gradient_.data(), state_size(), 0.0f);
  std::fill_n(cell_gradient_.data(), cell_gradient_.size(), 0.0f);
  int last = steps_;
  for (int time = steps_ - 1; time >= 0; --time) {
    step_backward(layer, time);
    if (time == 0 || last - time == block_steps_) {
      add_gradients(layer, input, time, last - time, gradients, vector_gradient, table_gradient);
      last = time;
    }
  }
}

void LayerPass::step_backward(const Layer& layer, int time) {
  const std::size_t hidden = shape_.hidden(), width = shape_.width();
  const std::size_t before = time * state_size(), after = before + state_size();
  for (int s = 0; s < streams_; ++s) {
    const std::size_t at = s * hidden;
    CellStepBack step{};
    step.gates = gates_at(time) + s * width;
    for (int part = 0; part < shape_.cell->state_parts; ++part) {
      step.before[part] = state(part) + before + at;
      step.after[part] = state(part) + after + at;
    }
    step.hidden_gradient = hidden_gradient_.data() + after + at;
    if (cell_gradient_.size() > 0) step.cell_gradient = cell_gradient_.data() + at;
    step.hidden_before_gradient = hidden_gradient_.data() + before + at;
    step.hidden_size = shape_.hidden();
    shape_.cell->backward(step);
    workspace_.same_start[s] = step.hidden_before_gradient;
  }
  if (time == 0) return;  // gradients stop at the window's beginning
  workspace_.multiply(layer.hidden_back(), gates_at(time), width, streams_,
                      workspace_.same_start.data(), hidden_gradient_.data() + before, hidden);
}

// The gradients of the weights, and of the inputs, from the steps `first` to first + count.
void LayerPass::add_gradients(const Layer& layer, const LayerInput& input, int first, int count,
                              LayerGradients& gradients, float* vector_gradient,
                              float* table_gradient) {
  const int width = shape_.width(), hidden = shape_.hidden(), inputs = shape_.input();
  const std::size_t begin = std::size_t(first) * streams_;
  const int symbols = count * streams_;
  const float* totals = gates_at(first);
  const float* input_totals = totals + shape_.apart();
  hidden_sums_.set_right({state(0) + begin * hidden, hidden}, symbols, hidden);
  hidden_sums_.add({totals, width}, shape_.stacked(), gradients.weight_hh.data(), hidden);
  for (int i = 0; i < symbols; ++i)
    routines_->add(totals + std::size_t(i) * width, width,
                   table_gradient == nullptr
                       ? gradients.gates.data()
                       : table_gradient + input.ids[begin + i] * std::size_t(width));
  if (table_gradient != nullptr) return;
  input_sums_.set_right({input.vectors + begin * inputs, inputs}, symbols, inputs);
  input_sums_.add({input_totals, width}, shape_.stacked(), gradients.weight_ih.data(), inputs);
  if (vector_gradient == nullptr) return;
  workspace_.multiply_from(zeros_.data(), layer.input_back(), input_totals, width, symbols,
                           vector_gradient + begin * inputs, inputs);
}

}  // namespace ricorda
