#include "sequence_layer.hpp"

#include <algorithm>

#include "../denormals.hpp"
#include "../gate_layout.hpp"
#include "../thread_pool.hpp"

namespace ricorda {
namespace {

// Rows of `count` numbers between PyTorch's (B, T, count) and a group's (T, B, padded count).
template <class Copy>
void each_row(int first, int streams, int steps, std::size_t count, std::size_t width,
              const Copy& copy) {
  for (int time = 0; time < steps; ++time)
    for (int s = 0; s < streams; ++s)
      copy((std::size_t(first + s) * steps + time) * count,
           (std::size_t(time) * streams + s) * width);
}

}  // namespace

SequenceLayer::SequenceLayer(const LayerSize& size, int streams, int steps, Precision precision,
                             const InstructionSet& set, int threads)
    : size_(size),
      streams_(streams),
      steps_(steps),
      threads_(std::min(threads, streams)),  // on any machine, for the same bits
      set_(&set),
      weights_(set, precision, size) {
  for (int number = 0; number < threads_; ++number) {
    const int first = streams * number / threads_;
    const int count = streams * (number + 1) / threads_ - first;
    auto group = std::make_unique<Group>(
        Group{first, count, LayerPass(set, precision, size, count, steps), {}, {}, {}});
    group->inputs = AlignedBuffer<float>(std::size_t(count) * steps * size.input());
    groups_.push_back(std::move(group));
  }
}

void SequenceLayer::forward(const LayerTensors& tensors, const float* inputs,
                            const std::vector<const float*>& state, float* outputs,
                            const std::vector<float*>& state_after) {
  const int hidden = size_.hidden_size, padded_hidden = size_.hidden();
  parallel_for(size_.gates(), threads_,
               [&](int gate) { weights_.pack(tensors, tensors.weight_hh, gate, size_.gates()); });
  parallel_for(threads_, threads_, [&](int number) {
    const DenormalsAsZero flush;
    Group& group = *groups_[number];
    LayerPass& pass = group.pass;
    each_row(group.first, group.streams, steps_, size_.input_size, size_.input(),
             [&](std::size_t theirs, std::size_t ours) {
               std::copy_n(inputs + theirs, size_.input_size, group.inputs.data() + ours);
             });
    for (std::size_t part = 0; part < state.size(); ++part)
      for (int s = 0; s < group.streams; ++s)
        std::copy_n(state[part] + std::size_t(group.first + s) * hidden, hidden,
                    (part == 0 ? pass.hidden() : pass.cells()) + std::size_t(s) * padded_hidden);
    pass.forward(weights_, {group.inputs.data(), nullptr, nullptr});
    each_row(group.first, group.streams, steps_, hidden, padded_hidden,
             [&](std::size_t theirs, std::size_t ours) {
               std::copy_n(pass.outputs() + ours, hidden, outputs + theirs);
             });
    const std::size_t last = steps_ * pass.state_size();
    for (std::size_t part = 0; part < state.size(); ++part)
      for (int s = 0; s < group.streams; ++s)
        std::copy_n(
            (part == 0 ? pass.hidden() : pass.cells()) + last + std::size_t(s) * padded_hidden,
            hidden, state_after[part] + std::size_t(group.first + s) * hidden);
  });
}

// The first time: who only reads needs less than half the memory.
void SequenceLayer::make_room_to_go_back(Group& group) {
  if (group.inputs_gradient.size() > 0) return;
  group.pass.make_room_to_go_back();
  group.inputs_gradient = AlignedBuffer<float>(group.inputs.size());
  group.gradients = LayerGradients(size_);
}

void SequenceLayer::read_gradients(Group& group, const float* outputs,
                                   const std::vector<const float*>& state_after) {
  LayerPass& pass = group.pass;
  const int hidden = size_.hidden_size, width = size_.hidden();
  float* first = pass.hidden_gradient();
  // all of it where rows are padded: a step that went wrong may have left NaN there
  std::fill_n(first, hidden < width ? (steps_ + 1) * pass.state_size() : pass.state_size(), 0.0f);
  if (size_.has_cell()) std::fill_n(pass.cell_gradient(), pass.state_size(), 0.0f);
  each_row(group.first, group.streams, steps_, hidden, width,
           [&](std::size_t theirs, std::size_t ours) {
             std::copy_n(outputs + theirs, hidden, first + pass.state_size() + ours);
           });
  for (int s = 0; s < group.streams; ++s) {
    const std::size_t theirs = std::size_t(group.first + s) * hidden, ours = std::size_t(s) * width;
    set_->routines.add(state_after[0] + theirs, hidden, first + steps_ * pass.state_size() + ours);
    if (size_.has_cell()) std::copy_n(state_after[1] + theirs, hidden, pass.cell_gradient() + ours);
  }
}

void SequenceLayer::back(const float* outputs, const std::vector<const float*>& state_after,
                         const Gradients& gradients) {
  const int hidden = size_.hidden_size, width = size_.hidden();
  parallel_for(threads_, threads_, [&](int number) {
    const DenormalsAsZero flush;
    Group& group = *groups_[number];
    LayerPass& pass = group.pass;
    make_room_to_go_back(group);
    read_gradients(group, outputs, state_after);
    group.gradients.clear();
    float* inputs = gradients.inputs != nullptr ? group.inputs_gradient.data() : nullptr;
    pass.back(weights_, {group.inputs.data(), nullptr, nullptr}, true, group.gradients, inputs,
              nullptr);
    if (inputs != nullptr)
      each_row(group.first, group.streams, steps_, size_.input_size, size_.input(),
               [&](std::size_t theirs, std::size_t ours) {
                 std::copy_n(inputs + ours, size_.input_size, gradients.inputs + theirs);
               });
    for (std::size_t part = 0; part < gradients.state.size(); ++part)
      for (int s = 0; s < group.streams; ++s)
        std::copy_n(
            (part == 0 ? pass.hidden_gradient() : pass.cell_gradient()) + std::size_t(s) * width,
            hidden, gradients.state[part] + std::size_t(group.first + s) * hidden);
  });
  give_weights(gradients);
}

// Adds the groups' gradients up and brings them into torch's order, unpadded.
void SequenceLayer::give_weights(const Gradients& gradients) {
  const GateBlocks blocks = gate_blocks(size_.cell);
  const int units = size_.hidden_size, inputs = size_.input_size;
  const std::size_t hidden = size_.hidden(), input = size_.input();
  const auto give = [&](const auto& row_of, int count, float* target) {
    std::copy_n(row_of(*groups_[0]), count, target);
    for (std::size_t number = 1; number < groups_.size(); ++number)
      set_->routines.add(row_of(*groups_[number]), count, target);
  };
  parallel_for(size_.gates() * 4, threads_, [&](int job) {
    const int gate = job / 4, quarter = job % 4;
    const std::size_t hidden_row = blocks.hidden[gate] * hidden;
    const std::size_t input_row = (blocks.input[gate] - first_input_block(size_.cell)) * hidden;
    for (int unit = units * quarter / 4; unit < units * (quarter + 1) / 4; ++unit) {
      const std::size_t row = std::size_t(gate) * units + unit;
      give([&](Group& g) { return g.gradients.weight_hh.data() + (hidden_row + unit) * hidden; },
           units, gradients.weight_hh + row * units);
      give([&](Group& g) { return g.gradients.weight_ih.data() + (input_row + unit) * input; },
           inputs, gradients.weight_ih + row * inputs);
      give([&](Group& g) { return g.gradients.gates.data() + hidden_row + unit; }, 1,
           gradients.bias_hh + row);
      give([&](Group& g) { return g.gradients.gates.data() + blocks.input[gate] * hidden + unit; },
           1, gradients.bias_ih + row);
    }
  });
}

}  // namespace ricorda
