#include "learner.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>

#include "../denormals.hpp"
#include "../gate_layout.hpp"
#include "../thread_pool.hpp"

namespace ricorda {
namespace {

constexpr double worth_a_thread = 4e6;  // multiplications of a step; fewer are quicker alone
constexpr std::size_t reduced_together = 1 << 15;

// Keys of the masks: one for each layer's output, its recurrent weights, and the embedding.
std::uint64_t key_of(std::uint64_t key, int kind, int layer) {
  return key + 0x9e3779b97f4a7c15u * static_cast<std::uint64_t>(1 + 3 * layer + kind);
}
constexpr int of_outputs = 0, of_recurrent = 1, of_embedding = 2;

LayerSize size_of(const NetworkShape& shape, int layer) {
  return {shape.cell, shape.relu, shape.hidden_size,
          layer > 0 ? shape.hidden_size : shape.input_size()};
}

}  // namespace

std::vector<std::size_t> Learner::sizes_of(const NetworkShape& shape) {
  std::vector<std::size_t> sizes;
  const std::size_t hidden = shape.hidden_size, vocabulary = shape.vocabulary_size;
  const std::size_t rows = shape.tensor_gates() * hidden;
  if (shape.embedding_size > 0) sizes.push_back(vocabulary * shape.embedding_size);
  for (int layer = 0; layer < shape.num_layers; ++layer)
    sizes.insert(sizes.end(),
                 {rows * (layer > 0 ? hidden : shape.input_size()), rows * hidden, rows, rows});
  sizes.insert(sizes.end(), {vocabulary * hidden, vocabulary});
  return sizes;
}

// What one thread needs for its streams.
struct Learner::Group {
  int first, streams;  // of the batch
  std::vector<LayerPass> layers;
  std::vector<AlignedBuffer<float>> inputs;  // (L) of (N, Ip), where a layer reads copies
  AlignedBuffer<float> vector_gradient;      // (N, Ep), without a table
  OutputPass output;
  std::vector<LayerGradients> gradients;
  OutputGradients output_gradients;
  AlignedBuffer<float> table_gradient;      // (V, W)
  AlignedBuffer<float> embedding_gradient;  // (rows, Ep), without a table
  // (T, B of the group) the embedding's and the output layer's row of each symbol.
  std::vector<std::uint32_t> input_rows, targets;
  double nats = 0.0;
};

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
      zeros_(std::max(shape.padded_hidden(), padded(shape.embedding_size))),
      bias_gradient_(shape.vocabulary_size) {
  starts_.push_back(0);
  for (const std::size_t size : sizes_) starts_.push_back(starts_.back() + size);
  const bool small = static_cast<double>(starts_.back()) * streams * steps < worth_a_thread;
  // not limited to this machine's cores: sums over groups would have other bits elsewhere
  threads_ = small ? 1 : std::min(threads, streams);
  const int vocabulary = shape.vocabulary_size, embedded = padded(shape.embedding_size);
  for (int id = 0; id < vocabulary && with_table_; ++id) input_rows_.take(id);
  for (int layer = 0; layer < shape.num_layers; ++layer)
    layers_.emplace_back(set, precision, size_of(shape, layer));
  if (settings.recurrent_dropout > 0)
    for (int layer = 0; layer < shape.num_layers; ++layer)
      masked_.emplace_back(sizes_[first_of(layer) + 1]);
  const std::size_t table = with_table_ ? std::size_t(vocabulary) * shape.gates_width() : 0;
  table_ = AlignedBuffer<float>(table);
  if (shape.embedding_size > 0) {
    embedding_ =
        AlignedBuffer<float>(std::size_t(std::min(vocabulary, streams * steps)) * embedded);
  } else {
    one_hot_gradient_ = AlignedBuffer<float>(sizes_[0]);
  }
  if (shape.embedding_size > 0 && with_table_) {
    embedding_gradient_ = AlignedBuffer<float>(embedding_.size());
    table_sums_ = OuterSums(set, precision, vocabulary, embedded);
    prepared_ = AlignedBuffer<unsigned char>(
        prepared_bytes(vocabulary, std::max(embedded, layers_[0].size.stacked())));
  }
  for (int number = 0; number < threads_; ++number) {
    auto group = std::make_unique<Group>();
    group->first = streams * number / threads_;
    group->streams = streams * (number + 1) / threads_ - group->first;
    const int symbols = group->streams * steps;
    for (int layer = 0; layer < shape.num_layers; ++layer) {
      const LayerSize size = size_of(shape, layer);
      group->layers.emplace_back(set, precision, size, group->streams, steps);
      group->layers.back().make_room_to_go_back();
      group->gradients.emplace_back(size);
      const bool copies = layer > 0 ? settings.dropout > 0 : !with_table_;
      group->inputs.emplace_back(copies ? std::size_t(symbols) * size.input() : 0);
    }
    group->table_gradient = AlignedBuffer<float>(table);
    if (!with_table_) {
      group->vector_gradient = AlignedBuffer<float>(std::size_t(symbols) * embedded);
      group->embedding_gradient = AlignedBuffer<float>(embedding_.size());
    }
    group->input_rows.resize(symbols);
    group->targets.resize(symbols);
    groups_.push_back(std::move(group));
  }
  list_pieces();
}

Learner::~Learner() = default;

LayerTensors Learner::tensors_of(int layer) const {
  const Parameter* first = parameters_.data() + first_of(layer);
  const bool one_hot = layer == 0 && shape_.embedding_size == 0;
  return {one_hot ? nullptr : first[0].weights, first[1].weights, first[2].weights,
          first[3].weights};
}

// ---- Where each parameter's gradients lie

void Learner::list_pieces() {
  const int vocabulary = shape_.vocabulary_size;
  // Of rows that each step chooses anew, choose_inputs and choose_output tell where they lie.
  if (shape_.embedding_size > 0)
    add_rows(0, vocabulary, shape_.embedding_size,
             with_table_ ? embedding_gradient_.data() : zeros_.data(),
             with_table_ ? padded(shape_.embedding_size) : 0, false);
  for (int layer = 0; layer < shape_.num_layers; ++layer) add_layer_pieces(layer);
  const int output = first_of(shape_.num_layers);
  add_rows(output, vocabulary, shape_.hidden_size, zeros_.data(), 0, true);
  add_rows(output + 1, 1, vocabulary, bias_gradient_.data(), 0, false);
}

void Learner::add_layer_pieces(int layer) {
  const LayerSize size = size_of(shape_, layer);
  const LayerGradients& gradients = groups_[0]->gradients[layer];
  const GateBlocks blocks = gate_blocks(shape_.cell);
  const int first = first_of(layer), units = shape_.hidden_size;
  const std::size_t hidden = size.hidden();
  if (layer == 0 && shape_.embedding_size == 0)
    add_rows(first, size.gates() * units, size.input_size, one_hot_gradient_.data(),
             size.input_size, true);
  for (int gate = 0; gate < size.gates(); ++gate) {
    const std::size_t input_row = (blocks.input[gate] - first_input_block(shape_.cell)) * hidden;
    const std::size_t hidden_row = blocks.hidden[gate] * hidden, place = std::size_t(gate) * units;
    const auto add_gate = [&](int parameter, int columns, const float* values, std::size_t stride) {
      for (int unit = 0; unit < units; ++unit)
        pieces_.push_back(
            {parameter, (place + unit) * columns, values + unit * stride, columns, true});
    };
    if (layer > 0 || shape_.embedding_size > 0)
      add_gate(first, size.input_size, gradients.weight_ih.data() + input_row * size.input(),
               size.input());
    add_gate(first + 1, units, gradients.weight_hh.data() + hidden_row * hidden, hidden);
    pieces_.push_back(
        {first + 2, place, gradients.gates.data() + blocks.input[gate] * hidden, units, false});
    pieces_.push_back({first + 3, place, gradients.gates.data() + hidden_row, units, false});
  }
}

void Learner::add_rows(int parameter, int rows, int columns, const float* gradients,
                       std::size_t stride, bool decays) {
  for (int row = 0; row < rows; ++row)
    pieces_.push_back(
        {parameter, std::size_t(row) * columns, gradients + row * stride, columns, decays});
}

void Learner::copy_gradient(int parameter, float* gradient) const {
  for (const Piece& piece : pieces_)
    if (piece.parameter == parameter)
      std::copy_n(piece.gradient, piece.count, gradient + piece.offset);
}

// ---- One step

LearningResult Learner::step(const LearningStep& step) {
  const DenormalsAsZero flush;
  const double nats = go_through(step);
  const double norm = std::sqrt(finish_gradients(step));
  if (step.update && std::isfinite(norm)) {
    for (auto& group : groups_) write_state(*group, step);
    update(step, norm, nullptr);
  }
  return {nats, norm};
}

double Learner::gradients(const LearningStep& step, float* flat) {
  const DenormalsAsZero flush;
  const double nats = go_through(step);
  finish_gradients(step);
  const std::size_t jobs = std::min<std::size_t>(4 * threads_, pieces_.size());
  parallel_for(int(jobs), threads_, [&](int job) {
    for (std::size_t i = pieces_.size() * job / jobs; i < pieces_.size() * (job + 1) / jobs; ++i) {
      const Piece& piece = pieces_[i];
      std::copy_n(piece.gradient, piece.count, flat + starts_[piece.parameter] + piece.offset);
    }
  });
  return nats;
}

double Learner::apply(const LearningStep& step, const float* flat) {
  const DenormalsAsZero flush;
  const std::size_t count = starts_.back();
  const int jobs = static_cast<int>((count + reduced_together - 1) / reduced_together);
  std::vector<double> squares(jobs);
  parallel_for(jobs, threads_, [&](int job) {
    const DenormalsAsZero flush_there;
    const std::size_t first = job * reduced_together;
    squares[job] =
        set_->routines.sum_of_squares(flat + first, int(std::min(reduced_together, count - first)));
  });
  const double norm = std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
  if (std::isfinite(norm)) {
    for (auto& group : groups_) write_state(*group, step);
    update(step, norm, flat);
  }
  return norm;
}

// Forwards and backwards; hands back what the streams add to the mean nats.
double Learner::go_through(const LearningStep& step) {
  choose_inputs(step);
  choose_output(step);
  pack(step);
  fill_table(step);
  parallel_for(threads_, threads_, [&](int number) {
    const DenormalsAsZero flush_there;
    run_group(*groups_[number], step);
  });
  double nats = 0.0;
  for (const auto& group : groups_) nats += group->nats;
  return nats / (static_cast<double>(all_streams()) * steps_);
}

// Settles which rows of the embedding the step takes, where it has no table of all.
void Learner::choose_inputs(const LearningStep& step) {
  if (with_table_) return;
  input_rows_.clear();
  for (int i = 0; i < streams_ * steps_; ++i) input_rows_.take(step.inputs[i]);
  point_rows(0, input_rows_, groups_[0]->embedding_gradient.data(), padded(shape_.embedding_size));
}

// Settles which rows of the output layer the step takes.
void Learner::choose_output(const LearningStep& step) {
  if (step.candidates) output_rows_.choose(*step.candidates, step.targets, streams_ * steps_);
  make_room(step.candidates ? output_rows_.choice().count() : shape_.vocabulary_size);
  const OutputGradients& gradients = groups_[0]->output_gradients;
  const std::size_t width = shape_.padded_hidden();
  const std::size_t first_piece = pieces_.size() - 1 - shape_.vocabulary_size;
  if (step.candidates) {
    point_rows(first_piece, output_rows_.choice(), gradients.weight.data(), width);
  } else {
    for (int id = 0; id < shape_.vocabulary_size; ++id)
      pieces_[first_piece + id].gradient = gradients.weight.data() + id * width;
  }
  pieces_.back().gradient = step.candidates ? bias_gradient_.data() : gradients.bias.data();
}

// Where the gradients of each symbol's row lie; those of rows that are left out are zero.
void Learner::point_rows(std::size_t first_piece, const RowChoice& rows, const float* gradients,
                         std::size_t width) {
  for (int id = 0; id < shape_.vocabulary_size; ++id)
    pieces_[first_piece + id].gradient = zeros_.data();
  for (int row = 0; row < rows.count(); ++row)
    pieces_[first_piece + rows.ids()[row]].gradient = gradients + row * width;
}

// For so many symbols in the output layer.
void Learner::make_room(int symbols) {
  if (symbols <= output_room_) return;
  const int room = std::min(symbols + symbols / 8, shape_.vocabulary_size);
  OutputWeights weights(*set_, precision_, room, shape_.hidden_size);
  std::vector<std::pair<OutputPass, OutputGradients>> parts;
  for (const auto& group : groups_)
    parts.emplace_back(
        OutputPass(*set_, precision_, room, shape_.hidden_size, group->streams * steps_),
        OutputGradients(room, shape_.hidden_size));
  output_ = std::move(weights);  // from here on nothing fails
  for (std::size_t number = 0; number < groups_.size(); ++number)
    std::tie(groups_[number]->output, groups_[number]->output_gradients) = std::move(parts[number]);
  output_room_ = room;
}

void Learner::pack(const LearningStep& step) {
  const int gates = shape_.tensor_gates(), jobs = shape_.num_layers * gates + 1;
  if (!masked_.empty())
    for (int layer = 0; layer < shape_.num_layers; ++layer) mask_recurrent(step, layer);
  parallel_for(jobs, threads_, [&](int job) {
    const int layer = job / gates;
    if (layer == shape_.num_layers) {
      const Parameter* last = parameters_.data() + first_of(layer);
      if (!step.candidates)
        return output_.pack(last[0].weights, last[1].weights, shape_.vocabulary_size);
      output_rows_.gather(last[0].weights, last[1].weights);
      return output_.pack(output_rows_.weight(), output_rows_.bias(),
                          output_rows_.choice().count());
    }
    const LayerTensors tensors = tensors_of(layer);
    const float* recurrent = masked_.empty() ? tensors.weight_hh : masked_[layer].data();
    layers_[layer].pack(tensors, recurrent, job % gates, gates);
  });
}

void Learner::mask_recurrent(const LearningStep& step, int layer) {
  const int rows = shape_.tensor_gates() * shape_.hidden_size, columns = shape_.hidden_size;
  const float* weights = tensors_of(layer).weight_hh;
  const std::uint64_t key = key_of(step.key, of_recurrent, layer);
  parallel_for(threads_, threads_, [&](int part) {
    for (int row = rows * part / threads_; row < rows * (part + 1) / threads_; ++row) {
      float* masked = masked_[layer].data() + std::size_t(row) * columns;
      std::copy_n(weights + std::size_t(row) * columns, columns, masked);
      set_->routines.drop(masked, columns, key, std::uint32_t(row) * columns,
                          1 - settings_.recurrent_dropout);
    }
  });
}

// Drops out of a symbol's vector, or of its gradient.
void Learner::drop_vector(const LearningStep& step, std::size_t id, float* values) const {
  const auto first = static_cast<std::uint32_t>(id * padded(shape_.embedding_size));
  set_->routines.drop(values, shape_.embedding_size, key_of(step.key, of_embedding, 0), first,
                      1 - settings_.input_dropout);
}

// What each symbol adds to the first layer's gates: biases, and input weights times its vector.
void Learner::fill_table(const LearningStep& step) {
  const std::size_t width = shape_.gates_width();
  const int vocabulary = shape_.vocabulary_size, size = shape_.embedding_size;
  const LayerWeights& first = layers_[0];
  const float* weights = parameters_[0].weights;
  const std::size_t stride = padded(size);
  for (int row = 0; row < input_rows_.count() && size > 0; ++row) {
    const std::size_t id = input_rows_.ids()[row];
    float* vector = embedding_.data() + row * stride;
    std::copy_n(weights + id * size, size, vector);
    if (settings_.input_dropout > 0) drop_vector(step, id, vector);
  }
  if (!with_table_) return;
  const int part = first.size.input_part();
  for (int id = 0; id < vocabulary; ++id)
    std::copy_n(first.start.data(), width, table_.data() + id * width);
  if (size == 0) {
    const GateBlocks blocks = gate_blocks(shape_.cell);
    for (int gate = 0; gate < shape_.tensor_gates(); ++gate)
      for (int unit = 0; unit < shape_.hidden_size; ++unit) {
        const float* row = weights + (std::size_t(gate) * shape_.hidden_size + unit) * vocabulary;
        float* column = table_.data() + blocks.input[gate] * shape_.padded_hidden() + unit;
        for (int id = 0; id < vocabulary; ++id) column[id * width] += row[id];
      }
    return;
  }
  std::vector<const float*> starts(vocabulary, first.start.data() + part);
  set_->routines.multiply[int(precision_)](
      first.input_forward.view(),
      {embedding_.data(), std::ptrdiff_t(stride), starts.data(), table_.data() + part,
       std::ptrdiff_t(width), vocabulary, false, prepared_.data()});
}

void Learner::run_group(Group& group, const LearningStep& step) {
  for (int stream = 0; stream < group.streams; ++stream)
    for (int time = 0; time < steps_; ++time) {
      const std::size_t from = std::size_t(group.first + stream) * steps_ + time;
      const std::size_t to = std::size_t(time) * group.streams + stream;
      const std::uint32_t input = step.inputs[from], target = step.targets[from];
      group.input_rows[to] = input_rows_.row_of(input);
      group.targets[to] = step.candidates ? output_rows_.choice().row_of(target) : target;
    }
  read_state(group, step);
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    read_vectors(group, layer, step);
    group.layers[layer].forward(layers_[layer], input_of(group, layer));
  }
  run_output(group, step);
  go_back(group, step);
}

// Copies what a layer reads where it cannot read it in its place.
void Learner::read_vectors(Group& group, int layer, const LearningStep& step) {
  AlignedBuffer<float>& inputs = group.inputs[layer];
  if (inputs.size() == 0) return;
  const std::size_t width = group.layers[layer].size().input();
  const int symbols = group.layers[layer].symbols();
  if (layer == 0) {
    for (int i = 0; i < symbols; ++i)
      std::copy_n(embedding_.data() + group.input_rows[i] * width, width,
                  inputs.data() + i * width);
    return;
  }
  std::copy_n(group.layers[layer - 1].outputs(), inputs.size(), inputs.data());
  for (int i = 0; i < symbols; ++i) drop_row(group, step, layer - 1, i, inputs.data() + i * width);
}

LayerInput Learner::input_of(Group& group, int layer) const {
  if (layer == 0 && with_table_) return {nullptr, group.input_rows.data(), table_.data()};
  const AlignedBuffer<float>& copied = group.inputs[layer];
  return {copied.size() > 0 ? copied.data() : group.layers[layer - 1].outputs(), nullptr, nullptr};
}

void Learner::drop_row(const Group& group, const LearningStep& step, int layer, int row,
                       float* values) const {
  const int time = row / group.streams;
  const int stream = settings_.first_stream + group.first + row % group.streams;
  const auto first = static_cast<std::uint32_t>(time * all_streams() + stream) *
                     static_cast<std::uint32_t>(shape_.hidden_size);
  set_->routines.drop(values, shape_.hidden_size, key_of(step.key, of_outputs, layer), first,
                      1 - settings_.dropout);
}

void Learner::run_output(Group& group, const LearningStep& step) {
  const int top = shape_.num_layers - 1;
  LayerPass& pass = group.layers[top];
  std::function<void(int, float*)> drop;
  if (settings_.dropout > 0)
    drop = [&](int row, float* values) { drop_row(group, step, top, row, values); };
  const float scale = 1.0f / (static_cast<float>(all_streams()) * static_cast<float>(steps_));
  group.output_gradients.clear(output_.vocabulary_size);
  group.nats = group.output.run(output_, pass.outputs(), group.targets.data(),
                                step.candidates ? output_rows_.corrections() : nullptr, scale, drop,
                                group.output_gradients, pass.hidden_gradient() + pass.state_size());
}

void Learner::go_back(Group& group, const LearningStep& step) {
  for (int layer = shape_.num_layers - 1; layer >= 0; --layer) {
    LayerPass& pass = group.layers[layer];
    std::fill_n(pass.hidden_gradient(), pass.state_size(), 0.0f);
    if (pass.size().has_cell()) std::fill_n(pass.cell_gradient(), pass.state_size(), 0.0f);
    group.gradients[layer].clear();
    float* vectors = nullptr;
    float* table = nullptr;
    if (layer > 0)
      vectors = group.layers[layer - 1].hidden_gradient() + pass.state_size();
    else if (with_table_)
      table = group.table_gradient.data();
    else
      vectors = group.vector_gradient.data();
    std::fill_n(group.table_gradient.data(), table != nullptr ? group.table_gradient.size() : 0,
                0.0f);
    pass.back(layers_[layer], input_of(group, layer), false, group.gradients[layer], vectors,
              table);
    if (layer > 0 && settings_.dropout > 0)
      for (int i = 0; i < pass.symbols(); ++i)
        drop_row(group, step, layer - 1, i, vectors + std::size_t(i) * pass.size().input());
  }
  if (with_table_) return;
  const std::size_t width = padded(shape_.embedding_size);
  std::fill_n(group.embedding_gradient.data(), input_rows_.count() * width, 0.0f);
  for (std::size_t i = 0; i < group.input_rows.size(); ++i)
    set_->routines.add(group.vector_gradient.data() + i * width, int(width),
                       group.embedding_gradient.data() + group.input_rows[i] * width);
}

void Learner::read_state(Group& group, const LearningStep& step) {
  const int parts = shape_.state_parts();
  for (int layer = 0; layer < shape_.num_layers; ++layer)
    for (int part = 0; part < parts; ++part) {
      LayerPass& pass = group.layers[layer];
      float* target = part == 0 ? pass.hidden() : pass.cells();
      const float* source = step.state[layer * parts + part];
      for (int s = 0; s < group.streams; ++s) {
        const int stream = group.first + s;
        const float keep = step.restart != nullptr ? 1.0f - step.restart[stream] : 1.0f;
        for (int unit = 0; unit < shape_.hidden_size; ++unit)
          target[std::size_t(s) * pass.size().hidden() + unit] =
              keep * source[std::size_t(stream) * shape_.hidden_size + unit];
      }
    }
}

void Learner::write_state(Group& group, const LearningStep& step) {
  const int parts = shape_.state_parts();
  for (int layer = 0; layer < shape_.num_layers; ++layer)
    for (int part = 0; part < parts; ++part) {
      LayerPass& pass = group.layers[layer];
      const float* source = (part == 0 ? pass.hidden() : pass.cells()) + steps_ * pass.state_size();
      float* target = step.state[layer * parts + part];
      for (int s = 0; s < group.streams; ++s)
        std::copy_n(source + std::size_t(s) * pass.size().hidden(), shape_.hidden_size,
                    target + std::size_t(group.first + s) * shape_.hidden_size);
    }
}

// ---- Gradients of all groups together, and the update

double Learner::finish_gradients(const LearningStep& step) {
  std::vector<Share> shares;
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    const std::size_t width = shape_.padded_hidden();
    const std::size_t rows = std::max<std::size_t>(1, reduced_together / width);
    share_out(shares, rows * width, masked_.empty() ? -1 : layer,
              [&](Group& group) -> auto& { return group.gradients[layer].weight_hh; });
    if (layer == 0 && with_table_) continue;
    share_out(shares, reduced_together, -1,
              [&](Group& group) -> auto& { return group.gradients[layer].weight_ih; });
  }
  const std::size_t rows = padded(output_.vocabulary_size), width = shape_.padded_hidden();
  share_out(shares, reduced_together, -1, [&](Group& group) {
    return std::span(group.output_gradients.weight.data(), rows * width);
  });
  share_out(shares, reduced_together, -1,
            [&](Group& group) { return std::span(group.output_gradients.bias.data(), rows); });
  const int jobs = static_cast<int>(shares.size()) + 1;
  std::vector<double> squares(jobs);
  parallel_for(jobs, threads_, [&](int job) {
    const DenormalsAsZero flush;
    squares[job] = job == 0 ? finish_input(step) : finish_share(shares[job - 1], step);
  });
  if (step.candidates) spread_output_bias();
  return std::accumulate(squares.begin(), squares.end(), finish_biases());  // after the input's
}

// From the rows that were sampled to all symbols.
void Learner::spread_output_bias() {
  const AlignedBuffer<float>& gradient = groups_[0]->output_gradients.bias;
  std::fill_n(bias_gradient_.data(), bias_gradient_.size(), 0.0f);
  const std::vector<std::uint32_t>& ids = output_rows_.choice().ids();
  for (std::size_t row = 0; row < ids.size(); ++row) bias_gradient_[ids[row]] = gradient[row];
}

// Cuts a buffer that every group has into portions of `most` numbers.
template <class BufferOf>
void Learner::share_out(std::vector<Share>& shares, std::size_t most, int masked_layer,
                        const BufferOf& buffer_of) {
  const std::size_t total = buffer_of(*groups_[0]).size();
  for (std::size_t first = 0; first < total; first += most) {
    Share share{{}, first, std::min(most, total - first), masked_layer};
    for (auto& group : groups_) share.values.push_back(buffer_of(*group).data() + first);
    shares.push_back(std::move(share));
  }
}

double Learner::finish_share(const Share& share, const LearningStep& step) const {
  sum_groups(share.values, share.count);
  if (share.masked_layer >= 0) unmask_recurrent(share, step);
  return set_->routines.sum_of_squares(share.values[0], int(share.count));
}

// Adds the groups' values up in the first group's.
void Learner::sum_groups(const std::vector<float*>& values, std::size_t count) const {
  for (std::size_t number = 1; number < values.size(); ++number)
    set_->routines.add(values[number], int(count), values[0]);
}

// What was masked has no gradient. The share is whole rows of recurrent weights.
void Learner::unmask_recurrent(const Share& share, const LearningStep& step) const {
  const std::size_t width = shape_.padded_hidden();
  const int units = shape_.hidden_size;
  const GateBlocks blocks = gate_blocks(shape_.cell);
  const std::uint64_t key = key_of(step.key, of_recurrent, share.masked_layer);
  for (std::size_t at = 0; at < share.count; at += width) {
    const std::size_t row = (share.first + at) / width, unit = row % width;
    int gate = 0;
    while (blocks.hidden[gate] != static_cast<int>(row / width)) ++gate;
    if (unit < static_cast<std::size_t>(units))
      set_->routines.drop(share.values[0] + at, units, key,
                          static_cast<std::uint32_t>((gate * units + unit) * units),
                          1 - settings_.recurrent_dropout);
  }
}

// The gradients of what makes the first layer's input, from those of its table or its vectors.
double Learner::finish_input(const LearningStep& step) {
  Group& first = *groups_[0];
  const auto all = [&](AlignedBuffer<float> Group::* buffer, std::size_t count) {
    std::vector<float*> values;
    for (auto& group : groups_) values.push_back(((*group).*buffer).data());
    sum_groups(values, count);
    return values[0];
  };
  const std::size_t stride = padded(shape_.embedding_size);
  float* gradient = embedding_gradient_.data();
  if (with_table_) {
    const float* table = all(&Group::table_gradient, first.table_gradient.size());
    float* gates = first.gradients[0].gates.data();
    const int width = shape_.gates_width();
    for (int id = 0; id < shape_.vocabulary_size; ++id)
      set_->routines.add(table + std::size_t(id) * width, width, gates);
    if (shape_.embedding_size == 0) return finish_one_hot(table);
    finish_table(table);
  } else {
    gradient = all(&Group::embedding_gradient, input_rows_.count() * stride);
  }
  for (int row = 0; row < input_rows_.count() && settings_.input_dropout > 0; ++row)
    drop_vector(step, input_rows_.ids()[row], gradient + row * stride);
  double squares = set_->routines.sum_of_squares(gradient, int(input_rows_.count() * stride));
  const AlignedBuffer<float>& weights = first.gradients[0].weight_ih;
  if (with_table_) squares += set_->routines.sum_of_squares(weights.data(), int(weights.size()));
  return squares;
}

double Learner::finish_one_hot(const float* table) {
  const GateBlocks blocks = gate_blocks(shape_.cell);
  const std::size_t vocabulary = shape_.vocabulary_size, width = shape_.gates_width();
  for (int gate = 0; gate < shape_.tensor_gates(); ++gate)
    for (int unit = 0; unit < shape_.hidden_size; ++unit) {
      float* row =
          one_hot_gradient_.data() + (std::size_t(gate) * shape_.hidden_size + unit) * vocabulary;
      const float* column = table + blocks.input[gate] * shape_.padded_hidden() + unit;
      for (std::size_t id = 0; id < vocabulary; ++id) row[id] = column[id * width];
    }
  return set_->routines.sum_of_squares(one_hot_gradient_.data(), int(one_hot_gradient_.size()));
}

void Learner::finish_table(const float* table) {
  const LayerSize& size = layers_[0].size;
  const Rows totals{table + size.input_part(), size.width()};
  AlignedBuffer<float>& weights = groups_[0]->gradients[0].weight_ih;
  table_sums_.set_right({embedding_.data(), size.input()}, shape_.vocabulary_size, size.input());
  table_sums_.add(totals, size.stacked(), weights.data(), size.input());
  const std::vector<float> zeros(size.input());
  const std::vector<const float*> starts(shape_.vocabulary_size, zeros.data());
  set_->routines.multiply[int(precision_)](
      layers_[0].input_back.view(),
      {totals.values, totals.stride, starts.data(), embedding_gradient_.data(), size.input(),
       shape_.vocabulary_size, false, prepared_.data()});
}

// torch has two biases for each gate but the gru's candidate, which counts one of each kind.
double Learner::finish_biases() {
  double squares = 0.0;
  for (int layer = 0; layer < shape_.num_layers; ++layer) {
    if (layer > 0 || !with_table_)
      for (std::size_t number = 1; number < groups_.size(); ++number)
        set_->routines.add(groups_[number]->gradients[layer].gates.data(), shape_.gates_width(),
                           groups_[0]->gradients[layer].gates.data());
    for (const Piece& piece : pieces_)
      if (piece.parameter == first_of(layer) + 2 || piece.parameter == first_of(layer) + 3)
        squares += set_->routines.sum_of_squares(piece.gradient, piece.count);
  }
  return squares;
}

void Learner::update(const LearningStep& step, double norm, const float* flat) {
  const auto number = static_cast<double>(step.number);
  const double clip = settings_.clip_norm / (norm + 1e-6);
  AdamW rule{};
  rule.learning_rate = step.learning_rate;
  rule.first_beta = settings_.first_beta;
  rule.second_beta = settings_.second_beta;
  rule.first_correction = float(1.0 / (1.0 - std::pow(settings_.first_beta, number)));
  rule.second_correction = float(1.0 / (1.0 - std::pow(settings_.second_beta, number)));
  rule.epsilon = settings_.epsilon;
  rule.gradient_scale = float(std::min(1.0, clip));
  rule.average_share = step.average_share;
  AdamW without_decay = rule;
  rule.decay = 1.0f - step.learning_rate * settings_.weight_decay;
  without_decay.decay = 1.0f;
  const std::size_t jobs = std::min<std::size_t>(4 * threads_, pieces_.size());
  parallel_for(int(jobs), threads_, [&](int job) {
    const DenormalsAsZero flush;
    for (std::size_t i = pieces_.size() * job / jobs; i < pieces_.size() * (job + 1) / jobs; ++i) {
      const Piece& piece = pieces_[i];
      const Parameter& parameter = parameters_[piece.parameter];
      const auto at = [&](float* values) {
        return values != nullptr ? values + piece.offset : nullptr;
      };
      set_->routines.adamw(
          piece.decays ? rule : without_decay,
          {at(parameter.weights), at(parameter.first_moments), at(parameter.second_moments),
           at(parameter.averages),
           flat != nullptr ? flat + starts_[piece.parameter] + piece.offset : piece.gradient,
           piece.count});
    }
  });
}

}  // namespace ricorda
