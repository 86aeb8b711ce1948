#include "layer.hpp"

#include <algorithm>

namespace ricorda {
namespace {

constexpr int rows_together = 96;  // of a product, whose inputs are prepared at once
constexpr int tile_side = 16;      // of a transposition: the floats of a cache line

}  // namespace

// A tile at a time, so that lines of cache are read and written whole.
void add_transposed(const Rows& source, int rows, int columns, float* target,
                    std::ptrdiff_t stride) {
  float tile[tile_side][tile_side];
  for (int row = 0; row < rows; row += tile_side)
    for (int column = 0; column < columns; column += tile_side) {
      const int height = std::min(tile_side, rows - row);
      const int width = std::min(tile_side, columns - column);
      for (int i = 0; i < height; ++i)
        for (int j = 0; j < width; ++j)
          tile[j][i] = source.values[(row + i) * source.stride + column + j];
      for (int j = 0; j < width; ++j) {
        float* line = target + (column + j) * stride + row;
        for (int i = 0; i < height; ++i) line[i] += tile[j][i];
      }
    }
}

ProductWorkspace::ProductWorkspace(int most_rows, int most_depth)
    : prepared(prepared_bytes(std::min(most_rows, rows_together), most_depth)),
      starts(most_rows),
      same_start(most_rows) {}

void ProductWorkspace::reserve_resets(int parts, int streams, int hidden) {
  for (int part = 0; part < parts; ++part)
    reset_states[part] = AlignedBuffer<float>(std::size_t(streams) * hidden);
}

void ProductWorkspace::multiply(const PackedMatrix& matrix, const float* inputs,
                                std::ptrdiff_t input_stride, int rows, const float* const* starts,
                                float* outputs, std::ptrdiff_t output_stride, bool from_the_end) {
  for (int row = 0; row < rows; row += rows_together)
    matrix.multiply({inputs + row * input_stride, input_stride, starts + row,
                     outputs + row * output_stride, output_stride,
                     std::min(rows_together, rows - row), from_the_end, prepared.data()});
}

void ProductWorkspace::multiply_from(const float* start, const PackedMatrix& matrix,
                                     const float* inputs, std::ptrdiff_t input_stride, int rows,
                                     float* outputs, std::ptrdiff_t output_stride) {
  std::fill_n(same_start.begin(), rows, start);
  multiply(matrix, inputs, input_stride, rows, same_start.data(), outputs, output_stride);
}

Resets resets_between(Resets resets, std::size_t first, std::size_t last) {
  const auto begin = std::lower_bound(resets.begin(), resets.end(), static_cast<int>(first));
  return {begin, std::lower_bound(begin, resets.end(), static_cast<int>(last))};
}

Layer::Layer(const InstructionSet& set, const LayerShape& shape, Precision precision,
             Precision input_precision, bool learns)
    : shape_(shape),
      input_(set, input_precision, shape.stacked(), shape.input_size),
      bias_(shape.width()) {
  if (shape.has_recurrent_weights())
    hidden_ = PackedMatrix(set, precision, shape.stacked(), shape.hidden_size);
  if (!learns) return;
  input_back_ = PackedMatrix(set, precision, shape.input(), shape.stacked());
  if (shape.has_recurrent_weights())
    hidden_back_ = PackedMatrix(set, precision, shape.hidden(), shape.stacked());
}

void Layer::pack(const LayerTensors& tensors, const float* weight_hh, int gate) {
  const int units = shape_.hidden_size, inputs = shape_.input_size;
  const int hidden_row = shape_.hidden_row(gate), input_row = shape_.input_row(gate);
  const std::size_t first = std::size_t(gate) * units;
  // The gate's rows of weights (G H, columns), and for the way back those of their transpose.
  const auto pack_rows = [&](const float* weights, int columns, int place, PackedMatrix& forward,
                             PackedMatrix& back) {
    forward.pack({.values = weights + first * columns,
                  .row_stride = columns,
                  .first_row = place,
                  .rows = units,
                  .depth = columns});
    if (back.bytes() > 0)
      back.pack({.values = weights + first * columns,
                 .row_stride = 1,
                 .depth_stride = columns,
                 .rows = columns,
                 .first_depth = place,
                 .depth = units,
                 .padded_depth = shape_.hidden()});
  };
  if (inputs > 0)
    pack_rows(tensors.weight_ih, inputs, input_row - shape_.apart(), input_, input_back_);
  std::copy_n(tensors.bias_ih + first, units, bias_.data() + input_row);
  if (!shape_.has_recurrent_weights()) return;
  pack_rows(weight_hh, units, hidden_row, hidden_, hidden_back_);
  // A gate's biases are summed unless its two products stay apart.
  if (hidden_row != input_row)
    std::copy_n(tensors.bias_hh + first, units, bias_.data() + hidden_row);
  else
    for (int unit = 0; unit < units; ++unit)
      bias_[hidden_row + unit] += tensors.bias_hh[first + unit];
}

void Layer::fill_table(const float* vectors, int count, ProductWorkspace& workspace,
                       float* table) const {
  const std::ptrdiff_t width = shape_.width(), apart = shape_.apart();
  for (int id = 0; id < count; ++id) std::copy_n(bias_.data(), apart, table + id * width);
  for (int id = 0; id < count; id += int(workspace.same_start.size())) {
    const int rows = std::min(count - id, int(workspace.same_start.size()));
    workspace.multiply_from(bias_.data() + apart, input_,
                            vectors + std::ptrdiff_t(id) * shape_.input(), shape_.input(), rows,
                            table + id * width + apart, width);
  }
}

// A one-hot symbol times the weights is a column of the weights.
void Layer::fill_one_hot_table(const float* weight_ih, int vocabulary_size, float* table) const {
  const std::size_t width = shape_.width(), vocabulary = vocabulary_size;
  for (std::size_t id = 0; id < vocabulary; ++id)
    std::copy_n(bias_.data(), width, table + id * width);
  const std::size_t units = shape_.hidden_size;
  for (int gate = 0; gate < shape_.cell->gates; ++gate)
    add_transposed({weight_ih + gate * units * vocabulary, vocabulary_size}, int(units),
                   vocabulary_size, table + shape_.input_row(gate), shape_.width());
}

void Layer::look_up(const float* table, const std::uint32_t* ids, const Window& window,
                    ProductWorkspace& workspace) const {
  const std::size_t width = shape_.width(), apart = shape_.apart();
  for (int i = 0; i < window.steps * window.streams; ++i) {
    const float* row = table + ids[i] * width;
    workspace.starts[i] = row;
    if (apart > 0)  // no recurrent product writes it
      std::copy_n(row + width - apart, apart, window.gates + (i + 1) * width - apart);
  }
}

void Layer::project(const float* vectors, const Window& window, ProductWorkspace& workspace) const {
  const std::size_t width = shape_.width(), apart = shape_.apart();
  const int rows = window.steps * window.streams;
  for (int i = 0; i < rows; ++i) {
    workspace.starts[i] = window.gates + i * width;
    std::copy_n(bias_.data(), apart, window.gates + i * width);
  }
  workspace.multiply_from(bias_.data() + apart, input_, vectors, shape_.input(), rows,
                          window.gates + apart, std::ptrdiff_t(width));
}

void Layer::copy_label(const float* weights, float* row) const {
  const std::size_t units = shape_.hidden_size;
  for (int gate = 0; gate < shape_.cell->gates; ++gate)
    std::copy_n(weights + gate * units, units, row + shape_.input_row(gate));
}

void Layer::add_labels(const float* table, const std::uint32_t* labels, const Window& window,
                       ProductWorkspace& workspace) const {
  const std::size_t width = shape_.width();
  for (int i = 0; i < window.steps * window.streams; ++i) {
    const float* label = table + (labels != nullptr ? labels[i] : 0) * width;
    float* gates = window.gates + i * width;
    if (workspace.starts[i] != gates) std::copy_n(workspace.starts[i], shape_.stacked(), gates);
    workspace.starts[i] = gates;
    for (std::size_t unit = 0; unit < width; ++unit) gates[unit] += label[unit];
  }
}

// Adds the recurrent products of one step to its prepared rows of gates, the window's from `first`
// on; without such products the rows are copied to where the cell reads them.
void Layer::add_recurrent(const float* before, int streams, std::size_t first, float* gates,
                          ProductWorkspace& workspace) const {
  const float* const* starts = workspace.starts.data() + first;
  const std::size_t width = shape_.width();
  if (!shape_.has_recurrent_weights()) {
    for (int s = 0; s < streams; ++s)
      if (starts[s] != gates + s * width) std::copy_n(starts[s], width, gates + s * width);
    return;
  }
  workspace.multiply(hidden_, before, shape_.hidden(), streams, starts, gates,
                     std::ptrdiff_t(width), workspace.backwards);
  workspace.backwards = !workspace.backwards;
}

void Layer::forward(const Window& window, ProductWorkspace& workspace) const {
  const std::size_t hidden = shape_.hidden(), width = shape_.width(), streams = window.streams;
  const int parts = shape_.cell->state_parts;
  const float* before[most_state_parts] = {};
  std::copy_n(window.before, parts, before);
  for (int time = 0; time < window.steps; ++time) {
    float* gates = window.gates + time * streams * width;
    const Resets resets = resets_between(window.resets, time * streams, (time + 1) * streams);
    for (int part = 0; part < parts && !resets.empty(); ++part) {
      float* copied = workspace.reset_states[part].data();
      std::copy_n(before[part], streams * hidden, copied);
      for (const int row : resets)
        std::fill_n(copied + (row - time * streams) * hidden, hidden, 0.0f);
      before[part] = copied;
    }
    add_recurrent(before[0], window.streams, time * streams, gates, workspace);
    for (std::size_t s = 0; s < streams; ++s) {
      CellStep step{
          .gates = gates + s * width, .before = {}, .after = {}, .hidden_size = int(hidden)};
      for (int part = 0; part < parts; ++part) {
        step.before[part] = before[part] + s * hidden;
        step.after[part] = window.after[part] + (time * streams + s) * hidden;
      }
      shape_.cell->forward(step);
    }
    for (int part = 0; part < parts; ++part)
      before[part] = window.after[part] + time * streams * hidden;
  }
}

}  // namespace ricorda
