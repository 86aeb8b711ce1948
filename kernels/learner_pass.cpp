#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "denormals.hpp"
#include "learner.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

// Keys of the masks: one for each layer's outputs, its recurrent weights, and the embedding.
enum class Mask { outputs, recurrent, embedding };
std::uint64_t key_of(std::uint64_t key, Mask mask, int layer) {
  return key + 0x9e3779b97f4a7c15u * static_cast<std::uint64_t>(1 + 3 * layer + int(mask));
}

}  // namespace

// Goes forwards and backwards; returns what the streams add to the mean nats.
double Learner::run_window(const LearningStep& step) {
  choose_inputs(step);
  choose_labels(step);
  begin_window(step);
  parallel_for(threads_, threads_, [&](int number) {
    const DenormalsAsZero flush_there;
    run_group(*groups_[number], step);
  });
  double nats = 0.0;
  for (const auto& group : groups_) nats += group->nats;
  return nats / (static_cast<double>(all_streams()) * steps_);
}

void Learner::begin_window(const LearningStep& step) {
  choose_output(step);
  pack(step);
  fill_table(step);
}

const float* Learner::predict(const LearningStep& step, int first, int count) {
  const DenormalsAsZero flush;
  Group& group = *groups_[0];
  if (first == 0) {
    if (!with_table_) input_rows_.clear();
    label_rows_.clear();
    begin_window(step);
    read_state(group, step);
  }
  group.resets.clear();
  for (int i = 0; i < count; ++i) {
    read_symbol(group, step, first + i);
    if (static_cast<int>(step.inputs[first + i]) == shape_.boundary) group.resets.push_back(i);
  }
  for (int layer = 0; layer < shape_.num_layers; ++layer)
    group.layers[layer].forward(layers_[layer], input_of(group, layer), first, count);
  const std::size_t width = shape_.padded_hidden();
  return group.output.logits(output_, group.layers.back().outputs() + first * width, count);
}

// ---- Rows and weights

// Chooses which rows of the embedding the step takes, where it has no table of all.
void Learner::choose_inputs(const LearningStep& step) {
  if (with_table_) return;
  input_rows_.clear();
  for (int i = 0; i < streams_ * steps_; ++i) input_rows_.take(step.inputs[i]);
  point_rows(0, input_rows_, groups_[0]->embedding_gradient.data(), padded(shape_.embedding_size));
}

// Chooses which labels the step takes, and spreads what they add to a row of gates.
void Learner::choose_labels(const LearningStep& step) {
  if (shape_.num_labels == 0) return;
  label_rows_.clear();
  if (step.labels == nullptr)
    label_rows_.take(0);
  else
    for (int i = 0; i < streams_ * steps_; ++i) label_rows_.take(step.labels[i]);
  for (int row = 0; row < label_rows_.count(); ++row) copy_label(row);
}

void Learner::copy_label(int row) {
  const float* weights = parameters_[label_parameter()].weights;
  layers_[0].copy_label(weights + label_rows_.ids()[row] * label_size(),
                        label_table_.data() + std::size_t(row) * shape_.gates_width());
}

// Chooses which rows of the output layer the step takes.
void Learner::choose_output(const LearningStep& step) {
  if (step.negatives) output_rows_.choose(*step.negatives, step.targets, streams_ * steps_);
  reserve_output(step.negatives ? output_rows_.choice().count() : shape_.vocabulary_size);
  const OutputGradients& gradients = groups_[0]->output_gradients;
  const std::size_t width = shape_.padded_hidden();
  const std::size_t first_slice = slices_.size() - 1 - shape_.vocabulary_size;
  if (step.negatives) {
    point_rows(first_slice, output_rows_.choice(), gradients.weight.data(), width);
  } else {
    for (int id = 0; id < shape_.vocabulary_size; ++id)
      slices_[first_slice + id].gradient = gradients.weight.data() + id * width;
  }
  slices_.back().gradient = step.negatives ? bias_gradient_.data() : gradients.bias.data();
}

// Where the gradients of each symbol's row lie; those of rows that are left out are zero.
void Learner::point_rows(std::size_t first_slice, const RowChoice& rows, const float* gradients,
                         std::size_t width) {
  for (int id = 0; id < shape_.vocabulary_size; ++id)
    slices_[first_slice + id].gradient = zeros_.data();
  for (int row = 0; row < rows.count(); ++row)
    slices_[first_slice + rows.ids()[row]].gradient = gradients + row * width;
}

// Allocates the output layer for so many symbols.
void Learner::reserve_output(int symbols) {
  if (symbols <= output_capacity_) return;
  const int capacity = std::min(symbols + symbols / 8, shape_.vocabulary_size);
  OutputWeights weights(*set_, precision_, capacity, shape_.hidden_size);
  std::vector<std::pair<OutputPass, OutputGradients>> parts;
  for (const auto& group : groups_)
    parts.emplace_back(
        OutputPass(*set_, precision_, capacity, shape_.hidden_size, group->streams * steps_),
        OutputGradients(capacity, shape_.hidden_size));
  output_ = std::move(weights);  // from here on nothing fails
  for (std::size_t number = 0; number < groups_.size(); ++number)
    std::tie(groups_[number]->output, groups_[number]->output_gradients) = std::move(parts[number]);
  output_capacity_ = capacity;
}

void Learner::pack(const LearningStep& step) {
  const int gates = shape_.gates(), jobs = shape_.num_layers * gates + 1;
  if (!masked_.empty())
    for (int layer = 0; layer < shape_.num_layers; ++layer) mask_recurrent(step, layer);
  parallel_for(jobs, threads_, [&](int job) {
    const int layer = job / gates;
    if (layer == shape_.num_layers) {
      const Parameter* last = parameters_.data() + first_of(layer);
      if (!step.negatives)
        return output_.pack(last[0].weights, last[1].weights, shape_.vocabulary_size);
      output_rows_.gather(last[0].weights, last[1].weights);
      return output_.pack(output_rows_.weight(), output_rows_.bias(),
                          output_rows_.choice().count());
    }
    const LayerTensors tensors = tensors_of(layer);
    const float* recurrent = masked_.empty() ? tensors.weight_hh : masked_[layer].data();
    layers_[layer].pack(tensors, recurrent, job % gates);
  });
}

void Learner::mask_recurrent(const LearningStep& step, int layer) {
  const int rows = shape_.gates() * shape_.hidden_size, columns = shape_.hidden_size;
  const float* weights = tensors_of(layer).weight_hh;
  parallel_for(threads_, threads_, [&](int part) {
    for (int row = rows * part / threads_; row < rows * (part + 1) / threads_; ++row) {
      float* masked = masked_[layer].data() + std::size_t(row) * columns;
      std::copy_n(weights + std::size_t(row) * columns, columns, masked);
      drop_recurrent(step, layer, row, masked);
    }
  });
}

// Copies the embedding's rows, and computes what each symbol adds to the first layer's gates.
void Learner::fill_table(const LearningStep& step) {
  if (shape_.embedding_size == 0)
    return layers_[0].fill_one_hot_table(parameters_[first_of(0)].weights, shape_.vocabulary_size,
                                         table_.data());
  for (int row = 0; row < input_rows_.count(); ++row) copy_embedding(step, row);
  if (with_table_)
    layers_[0].fill_table(embedding_.data(), shape_.vocabulary_size, workspace_, table_.data());
}

void Learner::copy_embedding(const LearningStep& step, int row) {
  const std::size_t size = shape_.embedding_size, id = input_rows_.ids()[row];
  float* vector = embedding_.data() + row * std::size_t(padded(shape_.embedding_size));
  std::copy_n(parameters_[0].weights + id * size, size, vector);
  if (settings_.input_dropout > 0) drop_vector(step, id, vector);
}

// ---- One group of streams

void Learner::run_group(Group& group, const LearningStep& step) {
  read_symbols(group, step);
  read_state(group, step);
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    copy_inputs(group, layer, step);
    group.layers[layer].forward(layers_[layer], input_of(group, layer));
  }
  run_output(group, step);
  run_backward(group, step);
}

void Learner::read_symbols(Group& group, const LearningStep& step) const {
  group.resets.clear();
  for (int time = 0; time < steps_; ++time)
    for (int stream = 0; stream < group.streams; ++stream) {
      const std::size_t from = std::size_t(group.first + stream) * steps_ + time;
      const std::size_t to = std::size_t(time) * group.streams + stream;
      const std::uint32_t target = step.targets[from];
      group.input_rows[to] = input_rows_.row_of(step.inputs[from]);
      if (static_cast<int>(step.inputs[from]) == shape_.boundary) group.resets.push_back(int(to));
      if (shape_.num_labels > 0)
        group.label_rows[to] = step.labels != nullptr ? label_rows_.row_of(step.labels[from]) : 0;
      group.targets[to] = step.negatives ? output_rows_.choice().row_of(target) : target;
    }
}

// Chooses the rows of one symbol of a single stream, and copies them where they are new.
void Learner::read_symbol(Group& group, const LearningStep& step, int time) {
  const int inputs = input_rows_.count(), labels = label_rows_.count();
  input_rows_.take(step.inputs[time]);
  group.input_rows[time] = input_rows_.row_of(step.inputs[time]);
  if (input_rows_.count() > inputs) copy_embedding(step, inputs);
  if (!with_table_) {
    const std::size_t width = padded(shape_.embedding_size);
    std::copy_n(embedding_.data() + group.input_rows[time] * width, width,
                group.inputs[0].data() + time * width);
  }
  if (shape_.num_labels == 0) return;
  const std::uint32_t label = step.labels != nullptr ? step.labels[time] : 0;
  label_rows_.take(label);
  group.label_rows[time] = label_rows_.row_of(label);
  if (label_rows_.count() > labels) copy_label(labels);
}

// Copies what a layer reads where it cannot read it in its place.
void Learner::copy_inputs(Group& group, int layer, const LearningStep& step) const {
  AlignedBuffer<float>& inputs = group.inputs[layer];
  if (inputs.size() == 0) return;
  const std::size_t width = group.layers[layer].shape().input();
  const int symbols = group.layers[layer].symbols();
  if (layer > 0) std::copy_n(group.layers[layer - 1].outputs(), inputs.size(), inputs.data());
  for (int i = 0; i < symbols; ++i) {
    float* values = inputs.data() + i * width;
    if (layer > 0)
      drop_output(group, step, layer - 1, i, values);
    else
      std::copy_n(embedding_.data() + group.input_rows[i] * width, width, values);
  }
}

LayerInput Learner::input_of(Group& group, int layer) const {
  LayerInput input{.resets = group.resets};
  if (layer == 0 && with_table_) {
    input.ids = group.input_rows.data();
    input.table = table_.data();
  } else {
    const AlignedBuffer<float>& copied = group.inputs[layer];
    input.vectors = copied.size() > 0 ? copied.data() : group.layers[layer - 1].outputs();
  }
  if (layer == 0 && shape_.num_labels > 0) {
    input.labels = group.label_rows.data();
    input.label_table = label_table_.data();
  }
  return input;
}

void Learner::run_output(Group& group, const LearningStep& step) {
  const int top = shape_.num_layers - 1;
  LayerPass& pass = group.layers[top];
  std::function<void(int, float*)> drop;
  if (settings_.dropout > 0)
    drop = [&](int row, float* values) { drop_output(group, step, top, row, values); };
  const float scale = 1.0f / (static_cast<float>(all_streams()) * static_cast<float>(steps_));
  group.output_gradients.clear(output_.vocabulary_size);
  group.nats = group.output.run(output_, pass.outputs(), group.targets.data(),
                                step.negatives ? output_rows_.corrections() : nullptr, scale, drop,
                                group.output_gradients, pass.output_gradient());
}

void Learner::run_backward(Group& group, const LearningStep& step) {
  float* table = with_table_ ? group.table_gradient.data() : nullptr;
  float* labels = shape_.num_labels > 0 ? group.label_gradient.data() : nullptr;
  std::fill_n(group.table_gradient.data(), group.table_gradient.size(), 0.0f);
  std::fill_n(group.label_gradient.data(), label_rows_.count() * shape_.gates_width(), 0.0f);
  for (int layer = shape_.num_layers - 1; layer >= 0; --layer) {
    LayerPass& pass = group.layers[layer];
    group.gradients[layer].clear();
    float* vectors =
        layer > 0 ? group.layers[layer - 1].output_gradient() : group.vector_gradient.data();
    pass.backward(layers_[layer], input_of(group, layer), group.gradients[layer],
                  {.vectors = vectors,
                   .table = layer > 0 ? nullptr : table,
                   .labels = layer > 0 ? nullptr : labels});
    if (layer > 0 && settings_.dropout > 0)
      for (int i = 0; i < pass.symbols(); ++i)
        drop_output(group, step, layer - 1, i, vectors + std::size_t(i) * pass.shape().input());
  }
  if (with_table_) return;
  const std::size_t width = padded(shape_.embedding_size);
  std::fill_n(group.embedding_gradient.data(), input_rows_.count() * width, 0.0f);
  for (std::size_t i = 0; i < group.input_rows.size(); ++i)
    set_->routines.add(group.vector_gradient.data() + i * width, int(width),
                       group.embedding_gradient.data() + group.input_rows[i] * width);
}

void Learner::read_state(Group& group, const LearningStep& step) const {
  const std::size_t size = shape_.hidden_size;
  for (int layer = 0; layer < shape_.num_layers; ++layer)
    for (int part = 0; part < shape_.state_parts(); ++part)
      for (int s = 0; s < group.streams; ++s) {
        const std::size_t stream = group.first + s;
        const float keep = step.restart != nullptr ? 1.0f - step.restart[stream] : 1.0f;
        const float* source = step.state[layer * shape_.state_parts() + part] + stream * size;
        float* target = group.layers[layer].state(part) + s * shape_.padded_hidden();
        for (std::size_t unit = 0; unit < size; ++unit) target[unit] = keep * source[unit];
      }
}

void Learner::write_state(Group& group, const LearningStep& step) const {
  const std::size_t size = shape_.hidden_size;
  for (int layer = 0; layer < shape_.num_layers; ++layer)
    for (int part = 0; part < shape_.state_parts(); ++part)
      for (int s = 0; s < group.streams; ++s)
        std::copy_n(group.layers[layer].state_after(part) + s * shape_.padded_hidden(), size,
                    step.state[layer * shape_.state_parts() + part] + (group.first + s) * size);
}

// ---- Dropout

void Learner::drop_vector(const LearningStep& step, std::size_t id, float* values) const {
  const auto first = static_cast<std::uint32_t>(id * padded(shape_.embedding_size));
  set_->routines.drop(values, shape_.embedding_size, key_of(step.key, Mask::embedding, 0), first,
                      1 - settings_.input_dropout);
}

void Learner::drop_output(const Group& group, const LearningStep& step, int layer, int row,
                          float* values) const {
  const int time = row / group.streams;
  const int stream = settings_.first_stream + group.first + row % group.streams;
  const auto first = static_cast<std::uint32_t>(time * all_streams() + stream) *
                     static_cast<std::uint32_t>(shape_.hidden_size);
  set_->routines.drop(values, shape_.hidden_size, key_of(step.key, Mask::outputs, layer), first,
                      1 - settings_.dropout);
}

void Learner::drop_recurrent(const LearningStep& step, int layer, int row, float* values) const {
  const std::uint32_t units = shape_.hidden_size;
  set_->routines.drop(values, shape_.hidden_size, key_of(step.key, Mask::recurrent, layer),
                      std::uint32_t(row) * units, 1 - settings_.recurrent_dropout);
}

}  // namespace ricorda
