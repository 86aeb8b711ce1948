#include <algorithm>
#include <numeric>
#include <span>

#include "denormals.hpp"
#include "learner.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

constexpr std::size_t reduced_together = 1 << 15;

// The gate whose recurrent product lies in a block of a row of gates.
int gate_of_block(const Cell& cell, int block) {
  int gate = 0;
  while (cell.hidden_block[gate] != block) ++gate;
  return gate;
}

}  // namespace

// Sums the groups' gradients in those of the first group; returns the sum of all squares.
double Learner::finish_gradients(const LearningStep& step) {
  const std::vector<Reduction> reductions = list_reductions();
  const int jobs = static_cast<int>(reductions.size()) + 1;
  std::vector<double> squares(jobs);
  parallel_for(jobs, threads_, [&](int job) {
    const DenormalsAsZero flush;
    squares[job] = job == 0 ? finish_input(step) : reduce(reductions[job - 1], step);
  });
  if (step.negatives) spread_output_bias();
  const double others = finish_biases() + finish_labels();  // after the input's
  return std::accumulate(squares.begin(), squares.end(), others);
}

std::vector<Learner::Reduction> Learner::list_reductions() {
  std::vector<Reduction> reductions;
  // Cuts a buffer that every group has into portions of `most` numbers.
  const auto add = [&](std::size_t most, int masked_layer, const auto& buffer_of) {
    const std::size_t total = buffer_of(*groups_[0]).size();
    for (std::size_t first = 0; first < total; first += most) {
      Reduction reduction{{}, first, std::min(most, total - first), masked_layer};
      for (auto& group : groups_) reduction.values.push_back(buffer_of(*group).data() + first);
      reductions.push_back(std::move(reduction));
    }
  };
  const std::size_t width = shape_.padded_hidden();
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    const std::size_t rows = std::max<std::size_t>(1, reduced_together / width);
    add(rows * width, masked_.empty() ? -1 : layer,
        [&](Group& group) -> auto& { return group.gradients[layer].weight_hh; });
    if (layer == 0 && with_table_) continue;
    add(reduced_together, -1,
        [&](Group& group) -> auto& { return group.gradients[layer].weight_ih; });
  }
  const std::size_t rows = padded(output_.vocabulary_size);
  add(reduced_together, -1,
      [&](Group& group) { return std::span(group.output_gradients.weight.data(), rows * width); });
  add(reduced_together, -1,
      [&](Group& group) { return std::span(group.output_gradients.bias.data(), rows); });
  return reductions;
}

double Learner::reduce(const Reduction& reduction, const LearningStep& step) const {
  sum_groups(reduction.values, reduction.count);
  if (reduction.masked_layer >= 0) unmask_recurrent(reduction, step);
  return set_->routines.sum_of_squares(reduction.values[0], int(reduction.count));
}

// Adds the groups' values to the first group's.
void Learner::sum_groups(const std::vector<float*>& values, std::size_t count) const {
  for (std::size_t number = 1; number < values.size(); ++number)
    set_->routines.add(values[number], int(count), values[0]);
}

// What was masked has no gradient. The reduction is whole rows of recurrent weights.
void Learner::unmask_recurrent(const Reduction& reduction, const LearningStep& step) const {
  const LayerShape shape = shape_.layer(reduction.masked_layer);
  const int width = shape.hidden(), units = shape.hidden_size;
  for (std::size_t at = 0; at < reduction.count; at += width) {
    const int row = int((reduction.first + at) / width), block = row / width, unit = row % width;
    if (unit >= units) continue;  // padding
    const int gate = gate_of_block(*shape.cell, block);
    drop_recurrent(step, reduction.masked_layer, gate * units + unit, reduction.values[0] + at);
  }
}

// The first `count` numbers of a buffer that every group has, summed in the first group's.
float* Learner::sum_buffers(AlignedBuffer<float> Group::* buffer, std::size_t count) const {
  std::vector<float*> values;
  for (const auto& group : groups_) values.push_back((group.get()->*buffer).data());
  sum_groups(values, count);
  return values[0];
}

// The gradients of what makes the first layer's input, from those of its table or its vectors.
double Learner::finish_input(const LearningStep& step) {
  Group& first = *groups_[0];
  const std::size_t stride = padded(shape_.embedding_size);
  float* gradient = embedding_gradient_.data();
  if (with_table_) {
    const float* table = sum_buffers(&Group::table_gradient, first.table_gradient.size());
    float* gates = first.gradients[0].gates.data();
    const int width = shape_.gates_width();
    for (int id = 0; id < shape_.vocabulary_size; ++id)
      set_->routines.add(table + std::size_t(id) * width, width, gates);
    if (shape_.embedding_size == 0) return finish_one_hot(table);
    finish_table(table);
  } else {
    gradient = sum_buffers(&Group::embedding_gradient, input_rows_.count() * stride);
  }
  if (settings_.input_dropout > 0)
    for (int row = 0; row < input_rows_.count(); ++row)
      drop_vector(step, input_rows_.ids()[row], gradient + row * stride);
  double squares = set_->routines.sum_of_squares(gradient, int(input_rows_.count() * stride));
  const AlignedBuffer<float>& weights = first.gradients[0].weight_ih;
  if (with_table_) squares += set_->routines.sum_of_squares(weights.data(), int(weights.size()));
  return squares;
}

double Learner::finish_one_hot(const float* table) {
  const LayerShape shape = shape_.layer(0);
  const int vocabulary = shape_.vocabulary_size, units = shape.hidden_size;
  std::fill_n(one_hot_gradient_.data(), one_hot_gradient_.size(), 0.0f);
  for (int gate = 0; gate < shape.cell->gates; ++gate)
    add_transposed({table + shape.input_row(gate), shape.width()}, vocabulary, units,
                   one_hot_gradient_.data() + std::size_t(gate) * units * vocabulary, vocabulary);
  return set_->routines.sum_of_squares(one_hot_gradient_.data(), int(one_hot_gradient_.size()));
}

// The gradients of the embedding and of the input weights from those of their products.
void Learner::finish_table(const float* table) {
  const LayerShape shape = shape_.layer(0);
  const Rows totals{table + shape.apart(), shape.width()};
  AlignedBuffer<float>& weights = groups_[0]->gradients[0].weight_ih;
  table_sums_.set_right({embedding_.data(), shape.input()}, shape_.vocabulary_size, shape.input());
  table_sums_.add(totals, shape.stacked(), weights.data(), shape.input(), true);
  workspace_.multiply_from(zeros_.data(), layers_[0].input_back(), totals.values, totals.stride,
                           shape_.vocabulary_size, embedding_gradient_.data(), shape.input());
}

// The gradients of the labels' rows that the step took; those of the others are zero.
double Learner::finish_labels() {
  if (shape_.num_labels == 0) return 0.0;
  const LayerShape shape = shape_.layer(0);
  const float* rows =
      sum_buffers(&Group::label_gradient, std::size_t(label_rows_.count()) * shape.width());
  std::fill_n(label_gradient_.data(), label_gradient_.size(), 0.0f);
  for (int row = 0; row < label_rows_.count(); ++row)
    for (int gate = 0; gate < shape.cell->gates; ++gate)
      std::copy_n(rows + std::size_t(row) * shape.width() + shape.input_row(gate),
                  shape.hidden_size,
                  label_gradient_.data() + label_rows_.ids()[row] * label_size() +
                      std::size_t(gate) * shape.hidden_size);
  return set_->routines.sum_of_squares(label_gradient_.data(), int(label_gradient_.size()));
}

// torch has two biases for each gate but the gru's candidate, which counts one of each kind.
double Learner::finish_biases() {
  double squares = 0.0;
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    if (layer > 0 || !with_table_)
      for (std::size_t number = 1; number < groups_.size(); ++number)
        set_->routines.add(groups_[number]->gradients[layer].gates.data(), shape_.gates_width(),
                           groups_[0]->gradients[layer].gates.data());
    for (const ParameterSlice& slice : slices_)
      if (slice.parameter >= first_bias_of(layer) && slice.parameter < first_of(layer + 1))
        squares += set_->routines.sum_of_squares(slice.gradient, slice.count);
  }
  return squares;
}

// Copies the gradient of the output bias from the rows that were sampled.
void Learner::spread_output_bias() {
  const AlignedBuffer<float>& gradient = groups_[0]->output_gradients.bias;
  std::fill_n(bias_gradient_.data(), bias_gradient_.size(), 0.0f);
  const std::vector<std::uint32_t>& ids = output_rows_.choice().ids();
  for (std::size_t row = 0; row < ids.size(); ++row) bias_gradient_[ids[row]] = gradient[row];
}

}  // namespace ricorda
