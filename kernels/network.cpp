#include "network.hpp"

#include <algorithm>
#include <limits>

namespace ricorda {
namespace {

// A table takes W numbers per symbol where an embedding takes E. Twice the model's own size, or 16
// MiB, is worth the speed.
bool table_is_affordable(const NetworkShape& shape) {
  if (shape.embedding_size == 0) return true;  // the input weights themselves, transposed
  const double hidden = shape.hidden_size, vocabulary = shape.vocabulary_size;
  const double squares = (shape.layer_tensors() / 2.0 * shape.num_layers - 1) * shape.gates();
  const double parameters =
      squares * hidden * hidden + vocabulary * (hidden + shape.embedding_size);
  const double table = vocabulary * shape.gates_width();
  return table <= std::max(2.0 * parameters, 4.0 * 1024 * 1024);
}

}  // namespace

Workspace::Workspace(const NetworkShape& shape, int most_rows) : most_rows(most_rows) {
  const std::size_t rows = most_rows;
  const int widest_input = std::max(shape.padded_hidden(), padded(shape.embedding_size));
  inputs = AlignedBuffer<float>(rows * widest_input);
  hidden = AlignedBuffer<float>(rows * widest_input);  // the two are exchanged after each layer
  cells = AlignedBuffer<float>(shape.state_parts() > 1 ? rows * shape.padded_hidden() : 0);
  gates = AlignedBuffer<float>(rows * shape.gates_width());
  logits = AlignedBuffer<float>(rows * shape.padded_vocabulary());
  products = ProductWorkspace(most_rows, widest_input);
  if (shape.boundary < 0) return;
  products.reserve_resets(shape.state_parts(), most_rows, shape.padded_hidden());
  resets.reserve(rows);
}

Network::Network(const NetworkShape& shape, const NetworkTensors& tensors, Precision precision,
                 const InstructionSet& instruction_set)
    : shape_(shape), precision_(precision), instruction_set_(&instruction_set) {
  const bool with_table = table_is_affordable(shape);
  for (int number = 0; number < shape.num_layers; ++number) {
    // Always in float32: a table is read a row a step, so that a narrower one would save nothing.
    const bool for_table = number == 0 && with_table;
    layers_.emplace_back(instruction_set, shape.layer(number), precision,
                         for_table ? Precision::float32 : precision, false);
    const LayerTensors& layer = tensors.layers[number];
    for (int gate = 0; gate < shape.gates(); ++gate)
      layers_.back().pack(layer, layer.weight_hh, gate);
  }
  take_symbols(tensors, with_table);
  label_table_ = AlignedBuffer<float>(std::size_t(shape.num_labels) * shape.gates_width());
  const std::size_t label_size = std::size_t(shape.gates()) * shape.hidden_size;
  for (std::size_t label = 0; label < std::size_t(shape.num_labels); ++label)
    layers_[0].copy_label(tensors.labels + label * label_size,
                          label_table_.data() + label * shape.gates_width());
  output_weights_ =
      PackedMatrix(instruction_set, precision, shape.padded_vocabulary(), shape.hidden_size);
  output_weights_.pack({.values = tensors.output_weight,
                        .row_stride = shape.hidden_size,
                        .rows = shape.vocabulary_size,
                        .depth = shape.hidden_size});
  output_bias_ = AlignedBuffer<float>(shape.padded_vocabulary());
  std::fill_n(output_bias_.data(), output_bias_.size(), -std::numeric_limits<float>::infinity());
  std::copy_n(tensors.output_bias, shape.vocabulary_size, output_bias_.data());
}

// Makes the table of the symbols, or keeps the embedding.
void Network::take_symbols(const NetworkTensors& tensors, bool with_table) {
  const std::size_t vocabulary = shape_.vocabulary_size, size = shape_.embedding_size;
  const std::size_t stride = padded(shape_.embedding_size);
  embedding_ = AlignedBuffer<float>(vocabulary * stride);
  for (std::size_t id = 0; id < vocabulary && size > 0; ++id)
    std::copy_n(tensors.embedding + id * size, size, embedding_.data() + id * stride);
  if (!with_table) return;
  table_ = AlignedBuffer<float>(vocabulary * shape_.gates_width());
  if (size == 0) {
    layers_[0].fill_one_hot_table(tensors.layers[0].weight_ih, shape_.vocabulary_size,
                                  table_.data());
  } else {
    ProductWorkspace workspace(64, 0);  // products in float32 prepare nothing
    layers_[0].fill_table(embedding_.data(), shape_.vocabulary_size, workspace, table_.data());
  }
  layers_[0].release_input_weights();
  embedding_ = {};
}

void Network::advance(const std::uint32_t* ids, const std::uint32_t* labels, int steps, int streams,
                      float* state, Workspace& workspace,
                      const std::function<void(int)>& after_layer) const {
  const std::size_t size = std::size_t(streams) * shape_.padded_hidden();
  find_resets(ids, steps * streams, workspace);
  for (int number = 0; number < shape_.num_layers; ++number) {
    Window window{steps, streams, workspace.gates.data(), {}, {}, workspace.resets};
    for (int part = 0; part < shape_.state_parts(); ++part) {
      window.before[part] = state + (part * shape_.num_layers + number) * size;
      window.after[part] = workspace.states(part);
    }
    prepare_gates(number, ids, window, workspace);
    if (number == 0 && shape_.num_labels > 0)
      layers_[0].add_labels(label_table_.data(), labels, window, workspace.products);
    layers_[number].forward(window, workspace.products);
    for (int part = 0; part < shape_.state_parts(); ++part)
      std::copy_n(workspace.states(part) + (steps - 1) * size, size,
                  state + (part * shape_.num_layers + number) * size);
    if (after_layer) after_layer(number);
    if (number + 1 < shape_.num_layers) std::swap(workspace.inputs, workspace.hidden);
  }
}

void Network::find_resets(const std::uint32_t* ids, int rows, Workspace& workspace) const {
  workspace.resets.clear();
  if (shape_.boundary < 0) return;
  for (int row = 0; row < rows; ++row)
    if (ids[row] == static_cast<std::uint32_t>(shape_.boundary)) workspace.resets.push_back(row);
}

void Network::prepare_gates(int number, const std::uint32_t* ids, const Window& window,
                            Workspace& workspace) const {
  const Layer& layer = layers_[number];
  if (number == 0 && table_.size() > 0) {
    layer.look_up(table_.data(), ids, window, workspace.products);
  } else {
    const std::size_t width = layer.shape().input();
    for (int row = 0; number == 0 && row < window.steps * window.streams; ++row)
      std::copy_n(embedding_.data() + ids[row] * width, width,
                  workspace.inputs.data() + row * width);
    layer.project(workspace.inputs.data(), window, workspace.products);
  }
}

void Network::compute_logits(const float* hidden, int rows, Workspace& workspace) const {
  workspace.products.multiply_from(output_bias_.data(), output_weights_, hidden,
                                   shape_.padded_hidden(), rows, workspace.logits.data(),
                                   shape_.padded_vocabulary());
}

std::size_t Network::step_bytes() const {
  const int rows = shape_.num_labels > 0 ? 2 : 1;  // of the symbol, and of its label
  std::size_t total = output_weights_.bytes() + sizeof(float) * rows * shape_.gates_width();
  for (const Layer& layer : layers_) total += layer.bytes();
  return total;
}

std::size_t Network::bytes() const {
  return step_bytes() + sizeof(float) * (table_.size() + embedding_.size() + label_table_.size());
}

}  // namespace ricorda
