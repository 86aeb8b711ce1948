#include "learner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "denormals.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

constexpr double worth_a_thread = 4e6;  // multiplications of a step; fewer are quicker alone
constexpr std::size_t squares_together = 1 << 15;

// By repeated squaring: the C library's function may have other bits elsewhere.
double power(double base, std::int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}

}  // namespace

std::vector<std::size_t> Learner::sizes_of(const NetworkShape& shape) {
  std::vector<std::size_t> sizes;
  const std::size_t hidden = shape.hidden_size, vocabulary = shape.vocabulary_size;
  const std::size_t rows = shape.gates() * hidden;
  if (shape.embedding_size > 0) sizes.push_back(vocabulary * shape.embedding_size);
  if (shape.num_labels > 0) sizes.push_back(shape.num_labels * rows);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    const std::size_t input = rows * (layer > 0 ? hidden : shape.input_size());
    if (shape.cell->has_recurrent_weights)
      sizes.insert(sizes.end(), {input, rows * hidden, rows, rows});
    else
      sizes.insert(sizes.end(), {input, rows});
  }
  sizes.insert(sizes.end(), {vocabulary * hidden, vocabulary});
  return sizes;
}

Learner::Learner(const NetworkShape& shape, const LearningSettings& settings, int streams,
                 int steps, Precision precision, const InstructionSet& set, int threads,
                 Parameters parameters)
    : shape_(shape),
      settings_(settings),
      streams_(streams),
      steps_(steps),
      precision_(precision),
      set_(&set),
      parameters_(std::move(parameters)),
      sizes_(sizes_of(shape)),
      with_table_(shape.embedding_size == 0 || shape.vocabulary_size <= streams * steps),
      output_rows_(shape.vocabulary_size, shape.hidden_size),
      input_rows_(shape.vocabulary_size),
      label_rows_(shape.num_labels),
      zeros_(std::max(shape.padded_hidden(), padded(shape.embedding_size))),
      bias_gradient_(shape.vocabulary_size) {
  starts_.push_back(0);
  for (const std::size_t size : sizes_) starts_.push_back(starts_.back() + size);
  const bool small = static_cast<double>(starts_.back()) * streams * steps < worth_a_thread;
  // not limited to this machine's cores: sums over groups would have other bits elsewhere
  threads_ = small ? 1 : std::min(threads, streams);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    layers_.emplace_back(set, shape.layer(layer), precision, precision, true);
    if (settings.recurrent_dropout > 0 && shape.cell->has_recurrent_weights)
      masked_.emplace_back(sizes_[first_of(layer) + 1]);
  }
  const int vocabulary = shape.vocabulary_size, embedded = padded(shape.embedding_size);
  if (shape.embedding_size == 0) one_hot_gradient_ = AlignedBuffer<float>(sizes_[first_of(0)]);
  const std::size_t labels = std::min(shape.num_labels, streams * steps);
  label_table_ = AlignedBuffer<float>(labels * shape.gates_width());
  label_gradient_ = AlignedBuffer<float>(shape.num_labels * label_size());
  embedding_ = AlignedBuffer<float>(std::size_t(std::min(vocabulary, streams * steps)) * embedded);
  if (with_table_) {
    for (int id = 0; id < vocabulary; ++id) input_rows_.take(id);
    table_ = AlignedBuffer<float>(std::size_t(vocabulary) * shape.gates_width());
    embedding_gradient_ = AlignedBuffer<float>(embedding_.size());
    table_sums_ = OuterSums(set, precision, vocabulary, embedded);
    workspace_ = ProductWorkspace(vocabulary, std::max(embedded, layers_[0].shape().stacked()));
  }
  for (int number = 0; number < threads_; ++number) add_group(number);
  list_slices();
}

void Learner::add_group(int number) {
  auto group = std::make_unique<Group>();
  group->first = streams_ * number / threads_;
  group->streams = streams_ * (number + 1) / threads_ - group->first;
  const std::size_t symbols = std::size_t(group->streams) * steps_;
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    const LayerShape shape = shape_.layer(layer);
    group->layers.emplace_back(*set_, precision_, shape, group->streams, steps_,
                               shape_.boundary >= 0);
    group->gradients.emplace_back(shape);
    const bool copies = layer > 0 ? settings_.dropout > 0 : !with_table_;
    group->inputs.emplace_back(copies ? symbols * shape.input() : 0);
  }
  group->table_gradient = AlignedBuffer<float>(table_.size());
  if (!with_table_) {
    group->vector_gradient = AlignedBuffer<float>(symbols * padded(shape_.embedding_size));
    group->embedding_gradient = AlignedBuffer<float>(embedding_.size());
  }
  group->label_gradient = AlignedBuffer<float>(label_table_.size());
  group->input_rows.resize(symbols);
  if (shape_.num_labels > 0) group->label_rows.resize(symbols);
  group->targets.resize(symbols);
  groups_.push_back(std::move(group));
}

LayerTensors Learner::tensors_of(int layer) const {
  const Parameter* first = parameters_.data() + first_of(layer);
  const bool one_hot = layer == 0 && shape_.embedding_size == 0;
  const float* weight_ih = one_hot ? nullptr : first[0].weights;
  if (!shape_.cell->has_recurrent_weights) return {weight_ih, nullptr, first[1].weights, nullptr};
  return {weight_ih, first[1].weights, first[2].weights, first[3].weights};
}

void Learner::list_slices() {
  const int vocabulary = shape_.vocabulary_size;
  // choose_inputs and choose_output point the rows that each step chooses.
  if (shape_.embedding_size > 0)
    add_rows(0, vocabulary, shape_.embedding_size,
             with_table_ ? embedding_gradient_.data() : zeros_.data(),
             with_table_ ? padded(shape_.embedding_size) : 0, false);
  if (shape_.num_labels > 0)
    add_rows(label_parameter(), shape_.num_labels, int(label_size()), label_gradient_.data(),
             label_size(), false);
  for (int layer = 0; layer < shape_.num_layers; ++layer) add_layer_slices(layer);
  const int output = first_of(shape_.num_layers);
  add_rows(output, vocabulary, shape_.hidden_size, zeros_.data(), 0, true);
  add_rows(output + 1, 1, vocabulary, bias_gradient_.data(), 0, false);
}

void Learner::add_layer_slices(int layer) {
  const LayerShape shape = shape_.layer(layer);
  const LayerGradients& gradients = groups_[0]->gradients[layer];
  const int first = first_of(layer), units = shape.hidden_size;
  if (shape.input_size == 0)
    add_rows(first, shape.cell->gates * units, shape_.vocabulary_size, one_hot_gradient_.data(),
             shape_.vocabulary_size, true);
  for (int gate = 0; gate < shape.cell->gates; ++gate) {
    const std::size_t input_row = shape.input_row(gate), hidden_row = shape.hidden_row(gate);
    const std::size_t offset = std::size_t(gate) * units;
    const auto add_gate = [&](int parameter, int columns, const float* values, std::size_t stride) {
      for (int unit = 0; unit < units; ++unit)
        slices_.push_back(
            {parameter, (offset + unit) * columns, values + unit * stride, columns, true});
    };
    if (shape.input_size > 0)
      add_gate(first, shape.input_size,
               gradients.weight_ih.data() + (input_row - shape.apart()) * shape.input(),
               shape.input());
    const int bias = first_bias_of(layer);
    slices_.push_back({bias, offset, gradients.gates.data() + input_row, units, false});
    if (!shape.has_recurrent_weights()) continue;
    add_gate(first + 1, units, gradients.weight_hh.data() + hidden_row * shape.hidden(),
             shape.hidden());
    slices_.push_back({bias + 1, offset, gradients.gates.data() + hidden_row, units, false});
  }
}

void Learner::add_rows(int parameter, int rows, int columns, const float* gradients,
                       std::size_t stride, bool decays) {
  for (int row = 0; row < rows; ++row)
    slices_.push_back(
        {parameter, std::size_t(row) * columns, gradients + row * stride, columns, decays});
}

void Learner::copy_gradient(int parameter, float* gradient) const {
  for (const ParameterSlice& slice : slices_)
    if (slice.parameter == parameter)
      std::copy_n(slice.gradient, slice.count, gradient + slice.offset);
}

template <class Use>
void Learner::each_slice(const Use& use) const {
  const std::size_t jobs = std::min<std::size_t>(4 * threads_, slices_.size());
  parallel_for(int(jobs), threads_, [&](int job) {
    const DenormalsAsZero flush;
    for (std::size_t i = slices_.size() * job / jobs; i < slices_.size() * (job + 1) / jobs; ++i)
      use(slices_[i]);
  });
}

LearningResult Learner::step(const LearningStep& step) {
  const DenormalsAsZero flush;
  const double nats = run_window(step);
  const double norm = std::sqrt(finish_gradients(step));
  if (step.update) finish_step(step, norm, nullptr);
  return {nats, norm};
}

LearningResult Learner::learn(const LearningStep& step) {
  const DenormalsAsZero flush;
  Group& group = *groups_[0];
  choose_inputs(step);  // the rows that predict has taken, in the same order
  read_symbols(group, step);
  run_output(group, step);
  run_backward(group, step);
  const double norm = std::sqrt(finish_gradients(step));
  finish_step(step, norm, nullptr);
  return {group.nats / steps_, norm};
}

double Learner::gradients(const LearningStep& step, float* flat) {
  const DenormalsAsZero flush;
  const double nats = run_window(step);
  finish_gradients(step);
  each_slice([&](const ParameterSlice& slice) {
    std::copy_n(slice.gradient, slice.count, flat + starts_[slice.parameter] + slice.offset);
  });
  return nats;
}

double Learner::apply(const LearningStep& step, const float* flat) {
  const DenormalsAsZero flush;
  const std::size_t count = starts_.back();
  const int jobs = static_cast<int>((count + squares_together - 1) / squares_together);
  std::vector<double> squares(jobs);
  parallel_for(jobs, threads_, [&](int job) {
    const DenormalsAsZero flush_there;
    const std::size_t first = job * squares_together;
    squares[job] =
        set_->routines.sum_of_squares(flat + first, int(std::min(squares_together, count - first)));
  });
  const double norm = std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
  finish_step(step, norm, flat);
  return norm;
}

// Changes the state and the weights, by this learner's own gradient or by `flat`.
void Learner::finish_step(const LearningStep& step, double norm, const float* flat) {
  if (!std::isfinite(norm)) return;
  for (auto& group : groups_) write_state(*group, step);
  if (settings_.adaptive)
    adapt(step);
  else
    update(step, norm, flat);
}

void Learner::adapt(const LearningStep& step) {
  each_slice([&](const ParameterSlice& slice) {
    const Parameter& parameter = parameters_[slice.parameter];
    set_->routines.adapt(step.learning_rate, settings_.pull,
                         {.weights = parameter.weights + slice.offset,
                          .first_moments = parameter.first_moments + slice.offset,
                          .second_moments = parameter.second_moments + slice.offset,
                          .averages = nullptr,
                          .gradients = slice.gradient,
                          .count = slice.count});
  });
}

void Learner::update(const LearningStep& step, double norm, const float* flat) {
  const double clip = settings_.clip_norm / (norm + 1e-6);
  const AdamW rule{
      .learning_rate = step.learning_rate,
      .decay = 1.0f - step.learning_rate * settings_.weight_decay,
      .first_beta = settings_.first_beta,
      .second_beta = settings_.second_beta,
      .first_correction = float(1.0 / (1.0 - power(settings_.first_beta, step.number))),
      .second_correction = float(1.0 / (1.0 - power(settings_.second_beta, step.number))),
      .epsilon = settings_.epsilon,
      .gradient_scale = float(std::min(1.0, clip)),
      .average_share = step.average_share,
  };
  AdamW without_decay = rule;
  without_decay.decay = 1.0f;
  each_slice([&](const ParameterSlice& slice) {
    const Parameter& parameter = parameters_[slice.parameter];
    set_->routines.adamw(
        slice.decays ? rule : without_decay,
        {.weights = parameter.weights + slice.offset,
         .first_moments = parameter.first_moments + slice.offset,
         .second_moments = parameter.second_moments + slice.offset,
         .averages = parameter.averages != nullptr ? parameter.averages + slice.offset : nullptr,
         .gradients =
             flat != nullptr ? flat + starts_[slice.parameter] + slice.offset : slice.gradient,
         .count = slice.count});
  });
}

}  // namespace ricorda
