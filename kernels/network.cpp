#include "network.hpp"

#include <algorithm>
#include <limits>

#include "gate_layout.hpp"

namespace ricorda {

namespace {

std::vector<RowsToPack> stacked_rows(const NetworkShape& shape, const float* weights, int depth,
                                     const int* blocks, int first_block) {
  std::vector<RowsToPack> parts;
  for (int gate = 0; gate < shape.tensor_gates(); ++gate)
    parts.push_back({weights + static_cast<std::size_t>(gate) * shape.hidden_size * depth,
                     shape.hidden_size, (blocks[gate] - first_block) * shape.padded_hidden()});
  return parts;
}

// A table takes W numbers a symbol where an embedding takes E. Twice the model's own size, or 16
// MiB, is worth the speed.
bool table_is_affordable(const NetworkShape& shape) {
  if (shape.embedding_size == 0) return true;  // the input weights themselves, transposed
  const double hidden = shape.hidden_size, vocabulary = shape.vocabulary_size;
  const double recurrent = (2.0 * shape.num_layers - 1) * shape.tensor_gates() * hidden * hidden;
  const double parameters = recurrent + vocabulary * (hidden + shape.embedding_size);
  const double table = vocabulary * shape.gates_width();
  return table <= std::max(2.0 * parameters, 4.0 * 1024 * 1024);
}

}  // namespace

Workspace::Workspace(const NetworkShape& shape, int most_rows) : most_rows(most_rows) {
  const std::size_t rows = most_rows;
  const int widest_input = std::max(shape.padded_hidden(), padded(shape.embedding_size));
  inputs = AlignedBuffer<float>(rows * widest_input);
  hidden = AlignedBuffer<float>(rows * widest_input);  // the two are exchanged after each layer
  cells = AlignedBuffer<float>(shape.cell == Cell::lstm ? rows * shape.padded_hidden() : 0);
  gates = AlignedBuffer<float>(rows * shape.gates_width());
  logits = AlignedBuffer<float>(rows * shape.padded_vocabulary());
  prepared = AlignedBuffer<unsigned char>(prepared_bytes(most_rows, widest_input));
  starts.resize(rows);
  same_start.resize(rows);
}

Network::Network(const NetworkShape& shape, const NetworkTensors& tensors, Precision precision,
                 const InstructionSet& instruction_set)
    : shape_(shape), precision_(precision), instruction_set_(&instruction_set) {
  const bool with_table = table_is_affordable(shape);
  for (int number = 0; number < shape.num_layers; ++number) {
    const int input_size = number == 0 ? shape.input_size() : shape.hidden_size;
    const bool with_input = number > 0 || !with_table;
    layers_.push_back(pack_layer(tensors.layers[number], input_size, with_input));
  }
  if (with_table) {
    fill_table(tensors);
  } else {
    const int stride = padded(shape.embedding_size);
    embedding_ = AlignedBuffer<float>(static_cast<std::size_t>(shape.vocabulary_size) * stride);
    for (std::size_t id = 0; id < static_cast<std::size_t>(shape.vocabulary_size); ++id)
      std::copy_n(tensors.embedding + id * shape.embedding_size, shape.embedding_size,
                  embedding_.data() + id * stride);
  }
  output_weights_ = PackedMatrix(precision, shape.padded_vocabulary(), shape.hidden_size,
                                 {{tensors.output_weight, shape.vocabulary_size, 0}});
  output_bias_ = AlignedBuffer<float>(shape.padded_vocabulary());
  std::fill_n(output_bias_.data(), output_bias_.size(), -std::numeric_limits<float>::infinity());
  std::copy_n(tensors.output_bias, shape.vocabulary_size, output_bias_.data());
}

Network::Layer Network::pack_layer(const LayerTensors& tensors, int input_size,
                                   bool with_input) const {
  const int hidden_size = shape_.hidden_size, padded_hidden = shape_.padded_hidden();
  const GateBlocks blocks = gate_blocks(shape_.cell);
  Layer layer;
  if (with_input) layer.input_weights = pack_input(tensors, input_size, precision_);
  layer.hidden_weights =
      PackedMatrix(precision_, shape_.tensor_gates() * padded_hidden, hidden_size,
                   stacked_rows(shape_, tensors.weight_hh, hidden_size, blocks.hidden, 0));
  layer.start = AlignedBuffer<float>(shape_.gates_width());
  for (int gate = 0; gate < shape_.tensor_gates(); ++gate)
    for (int unit = 0; unit < hidden_size; ++unit) {
      const int row = gate * hidden_size + unit;
      layer.start[blocks.input[gate] * padded_hidden + unit] += tensors.bias_ih[row];
      layer.start[blocks.hidden[gate] * padded_hidden + unit] += tensors.bias_hh[row];
    }
  return layer;
}

PackedMatrix Network::pack_input(const LayerTensors& tensors, int input_size,
                                 Precision precision) const {
  return PackedMatrix(precision, shape_.tensor_gates() * shape_.padded_hidden(), input_size,
                      stacked_rows(shape_, tensors.weight_ih, input_size,
                                   gate_blocks(shape_.cell).input, first_input_block(shape_.cell)));
}

void Network::fill_table(const NetworkTensors& tensors) {
  const std::size_t width = shape_.gates_width();
  table_ = AlignedBuffer<float>(shape_.vocabulary_size * width);
  for (int id = 0; id < shape_.vocabulary_size; ++id)
    std::copy_n(layers_[0].start.data(), width, table_.data() + id * width);
  if (shape_.embedding_size == 0)
    add_one_hot_weights(tensors.layers[0].weight_ih);
  else
    add_embedded_weights(tensors);
}

// A one-hot symbol times the weights is a column of the weights.
void Network::add_one_hot_weights(const float* weight_ih) {
  const std::size_t width = shape_.gates_width(), vocabulary = shape_.vocabulary_size;
  const GateBlocks blocks = gate_blocks(shape_.cell);
  constexpr std::size_t tile = 64;  // ids at a time, so that the written rows stay in cache
  for (std::size_t first = 0; first < vocabulary; first += tile)
    for (int gate = 0; gate < shape_.tensor_gates(); ++gate)
      for (int unit = 0; unit < shape_.hidden_size; ++unit) {
        const std::size_t row = static_cast<std::size_t>(gate) * shape_.hidden_size + unit;
        float* column = table_.data() + blocks.input[gate] * shape_.padded_hidden() + unit;
        for (std::size_t id = first; id < std::min(first + tile, vocabulary); ++id)
          column[id * width] += weight_ih[row * vocabulary + id];
      }
}

// Always in float32: the table is read a row a step, so that a narrower one would save nothing.
void Network::add_embedded_weights(const NetworkTensors& tensors) {
  const std::size_t width = shape_.gates_width();
  const int size = shape_.embedding_size, stride = padded(size);
  const PackedMatrix weights = pack_input(tensors.layers[0], size, Precision::float32);
  const int first = first_input_block(shape_.cell) * shape_.padded_hidden();
  constexpr int tile = 64;
  AlignedBuffer<float> embedded(static_cast<std::size_t>(tile) * stride);  // (tile, padded E)
  std::vector<const float*> starts(tile);
  for (int id = 0; id < shape_.vocabulary_size; id += tile) {
    const int count = std::min(tile, shape_.vocabulary_size - id);
    float* rows = table_.data() + id * width + first;
    for (int i = 0; i < count; ++i) {
      std::copy_n(tensors.embedding + static_cast<std::size_t>(id + i) * size, size,
                  embedded.data() + static_cast<std::size_t>(i) * stride);
      starts[i] = rows + i * width;
    }
    instruction_set_->routines.multiply[int(Precision::float32)](
        weights.view(), {embedded.data(), stride, starts.data(), rows,
                         static_cast<std::ptrdiff_t>(width), count, false, nullptr});
  }
}

void Network::advance(const std::uint32_t* ids, int steps, int streams, float* state,
                      Workspace& workspace, const std::function<void(int)>& after_layer) const {
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    project_inputs(layer, ids, steps * streams, workspace);
    run_layer(layer, steps, streams, state, workspace);
    if (after_layer) after_layer(layer);
    if (layer + 1 < shape_.num_layers) std::swap(workspace.inputs, workspace.hidden);
  }
}

// Fills workspace.starts: for each row of inputs, where its gates start from.
void Network::project_inputs(int layer, const std::uint32_t* ids, int rows,
                             Workspace& workspace) const {
  if (layer == 0 && table_.size() > 0) return look_up(ids, rows, workspace);
  const int width = shape_.gates_width(), padded_hidden = shape_.padded_hidden();
  int input_stride = padded_hidden;
  if (layer == 0) {
    input_stride = padded(shape_.embedding_size);
    for (int row = 0; row < rows; ++row)
      std::copy_n(embedding_.data() + static_cast<std::size_t>(ids[row]) * input_stride,
                  input_stride, workspace.inputs.data() + std::size_t(row) * input_stride);
  }
  const Layer& weights = layers_[layer];
  const int first = first_input_block(shape_.cell) * padded_hidden;
  for (int row = 0; row < rows; ++row) {
    float* gates = workspace.gates.data() + static_cast<std::size_t>(row) * width;
    std::copy_n(weights.start.data(), first, gates);  // gru: the bias of the hidden part
    workspace.starts[row] = gates;
    workspace.same_start[row] = weights.start.data() + first;
  }
  instruction_set_->routines.multiply[int(precision_)](
      weights.input_weights.view(),
      {workspace.inputs.data(), input_stride, workspace.same_start.data(),
       workspace.gates.data() + first, width, rows, false, workspace.prepared.data()});
}

void Network::look_up(const std::uint32_t* ids, int rows, Workspace& workspace) const {
  const std::size_t width = shape_.gates_width();
  for (int row = 0; row < rows; ++row) {
    const float* entry = table_.data() + ids[row] * width;
    workspace.starts[row] = entry;
    if (shape_.cell == Cell::gru) {  // the input part of the candidate has no recurrent product
      const std::size_t last = width - shape_.padded_hidden();
      std::copy(entry + last, entry + width, workspace.gates.data() + row * width + last);
    }
  }
}

// The loop over time of one layer: gates = start + weights times hidden, then the cell.
void Network::run_layer(int layer, int steps, int streams, float* state,
                        Workspace& workspace) const {
  const std::size_t padded_hidden = shape_.padded_hidden(), width = shape_.gates_width();
  const std::size_t layer_size = streams * padded_hidden;
  float* hidden_state = state + layer * layer_size;                      // (B, Hp)
  float* cell_state = state + (shape_.num_layers + layer) * layer_size;  // (B, Hp), lstm only
  const float* hidden_before = hidden_state;
  const float* cell_before = cell_state;
  const MatrixView weights = layers_[layer].hidden_weights.view();
  const bool has_cell = shape_.cell == Cell::lstm;
  for (int time = 0; time < steps; ++time) {
    const std::size_t first = static_cast<std::size_t>(time) * streams;
    float* gates = workspace.gates.data() + first * width;
    float* hidden = workspace.hidden.data() + first * padded_hidden;
    float* cells = has_cell ? workspace.cells.data() + first * padded_hidden : nullptr;
    instruction_set_->routines.multiply[int(precision_)](
        weights, {hidden_before, static_cast<std::ptrdiff_t>(padded_hidden),
                  workspace.starts.data() + first, gates, static_cast<std::ptrdiff_t>(width),
                  streams, workspace.backwards, workspace.prepared.data()});
    workspace.backwards = !workspace.backwards;
    for (std::size_t s = 0; s < static_cast<std::size_t>(streams); ++s) {
      const std::size_t at = s * padded_hidden;
      CellStep step{gates + s * width, hidden_before + at,
                    nullptr,           hidden + at,
                    nullptr,           static_cast<int>(padded_hidden)};
      if (has_cell) step.cell_before = cell_before + at, step.cell = cells + at;
      run_cell(step);
    }
    hidden_before = hidden;
    cell_before = cells;
  }
  std::copy_n(hidden_before, layer_size, hidden_state);
  if (has_cell) std::copy_n(cell_before, layer_size, cell_state);
}

void Network::run_cell(CellStep& step) const {
  const Routines& routines = instruction_set_->routines;
  switch (shape_.cell) {
    case Cell::rnn: return shape_.relu ? routines.rnn_relu(step) : routines.rnn_tanh(step);
    case Cell::gru: return routines.gru(step);
    case Cell::lstm: return routines.lstm(step);
  }
}

void Network::compute_logits(const float* hidden, int rows, Workspace& workspace) const {
  std::fill_n(workspace.same_start.begin(), rows, output_bias_.data());
  instruction_set_->routines.multiply[int(precision_)](
      output_weights_.view(),
      {hidden, shape_.padded_hidden(), workspace.same_start.data(), workspace.logits.data(),
       shape_.padded_vocabulary(), rows, false, workspace.prepared.data()});
}

std::size_t Network::step_bytes() const {
  std::size_t total = output_weights_.bytes() + sizeof(float) * shape_.gates_width();
  for (const Layer& layer : layers_)
    total += layer.input_weights.bytes() + layer.hidden_weights.bytes();
  return total;
}

std::size_t Network::bytes() const {
  return step_bytes() + sizeof(float) * (table_.size() + embedding_.size());
}

}  // namespace ricorda
