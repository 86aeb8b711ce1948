#include "scoring.hpp"

#include <algorithm>
#include <limits>

#include "denormals.hpp"
#include "ranking.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

// Rows (steps times streams) between two products with the output weights.
constexpr int most_rows_together = 64;

struct Group {
  int first;  // stream
  int streams;
};

// Calls use(place, padded place) for every part of each stream's state: where it begins in the
// caller's (S, L, B, H) and in the group's (S, L, b, Hp).
template <class Use>
void each_state(const NetworkShape& shape, const Sequences& all, Group group, const Use& use) {
  for (std::size_t part = 0; part < std::size_t(shape.state_parts()) * shape.num_layers; ++part)
    for (int s = 0; s < group.streams; ++s)
      use((part * all.streams + group.first + s) * shape.hidden_size,
          (part * group.streams + s) * shape.padded_hidden());
}

// Reads one group to its end, a chunk at a time; use_chunk(workspace, first time, steps).
template <class UseChunk>
void run_group(const Network& network, const Sequences& all, Group group,
               const std::function<void(int)>& after_layer, Workspace& workspace,
               const UseChunk& use_chunk) {
  const NetworkShape& shape = network.shape();
  const int chunk = std::max(1, most_rows_together / group.streams);
  AlignedBuffer<float> state(shape.state_size() * group.streams);                   // (S, L, b, Hp)
  std::vector<std::uint32_t> ids(static_cast<std::size_t>(chunk) * group.streams);  // (t, b)
  std::vector<std::uint32_t> labels(all.labels != nullptr ? ids.size() : 0);
  each_state(shape, all, group, [&](std::size_t from, std::size_t to) {
    std::copy_n(all.state + from, shape.hidden_size, state.data() + to);
  });
  for (int time = 0; time < all.steps; time += chunk) {
    const int steps = std::min(chunk, all.steps - time);
    for (int t = 0; t < steps; ++t)
      for (int s = 0; s < group.streams; ++s) {
        const std::size_t from = std::size_t(group.first + s) * all.steps + time + t;
        const std::size_t to = std::size_t(t) * group.streams + s;
        ids[to] = all.ids[from];
        if (all.labels != nullptr) labels[to] = all.labels[from];
      }
    network.advance(ids.data(), all.labels != nullptr ? labels.data() : nullptr, steps,
                    group.streams, state.data(), workspace, after_layer);
    use_chunk(workspace, time, steps);
  }
  each_state(shape, all, group, [&](std::size_t to, std::size_t from) {
    std::copy_n(state.data() + from, shape.hidden_size, all.new_state + to);
  });
}

// Shares the streams out, and calls use_chunk(workspace, group, first time, steps) for the symbols
// that a group has read.
template <class UseChunk>
void for_each_chunk(const Network& network, const Sequences& all, const UseChunk& use_chunk) {
  const int threads = usable_threads(all.threads);
  const int together = streams_together(all.streams, threads);
  const int groups = (all.streams + together - 1) / together;
  parallel_for(groups, threads, [&](int number) {
    const DenormalsAsZero flush;
    const int first = number * together;
    const Group group{first, std::min(together, all.streams - first)};
    Workspace workspace(network.shape(), most_rows_together);
    run_group(network, all, group, {}, workspace, [&](Workspace& filled, int time, int steps) {
      use_chunk(filled, group, time, steps);
    });
  });
}

// The same, and calls use_row(logits, stream, time) for each symbol read.
template <class UseRow>
void for_each_row(const Network& network, const Sequences& all, const UseRow& use_row) {
  const std::size_t stride = network.shape().padded_vocabulary();
  for_each_chunk(network, all, [&](Workspace& filled, Group group, int time, int steps) {
    network.compute_logits(filled.hidden.data(), steps * group.streams, filled);
    for (int t = 0; t < steps; ++t)
      for (int s = 0; s < group.streams; ++s)
        use_row(filled.logits.data() + (std::size_t(t) * group.streams + s) * stride,
                group.first + s, time + t);
  });
}

}  // namespace

void read_sequences(const Network& network, const Sequences& sequences) {
  for_each_chunk(network, sequences, [](Workspace&, Group, int, int) {});
}

void forward(const Network& network, const Sequences& sequences, float* logits) {
  const std::size_t vocabulary = network.shape().vocabulary_size;
  for_each_row(network, sequences, [&](float* row, int stream, int time) {
    std::copy_n(row, vocabulary,
                logits + (std::size_t(stream) * sequences.steps + time) * vocabulary);
  });
}

void score(const Network& network, const Sequences& sequences, const Scores& scores) {
  const NetworkShape& shape = network.shape();
  const Routines& routines = network.instruction_set().routines;
  for_each_row(network, sequences, [&](float* row, int stream, int time) {
    const std::size_t symbol = std::size_t(stream) * sequences.steps + time;
    std::uint32_t* top_ids = scores.top_ids + symbol * scores.top;
    float* top_nats = scores.top_nats + symbol * scores.top;
    if (!all_finite(row, shape.vocabulary_size)) {
      scores.nats[symbol] = std::numeric_limits<float>::quiet_NaN();
      std::fill_n(top_nats, scores.top, std::numeric_limits<float>::quiet_NaN());
      std::fill_n(top_ids, scores.top, 0u);
      return;
    }
    const float target = row[scores.targets[symbol]];
    find_best(row, shape.vocabulary_size, scores.top, top_ids);
    for (int i = 0; i < scores.top; ++i) top_nats[i] = row[top_ids[i]];

    const LogSoftmax log_softmax(routines, row, shape.padded_vocabulary(), row);
    scores.nats[symbol] = -log_softmax(target);
    for (int i = 0; i < scores.top; ++i) top_nats[i] = -log_softmax(top_nats[i]);
  });
}

void trace(const Network& network, const Sequences& sequences, float* activations) {
  const DenormalsAsZero flush;
  const NetworkShape& shape = network.shape();
  const std::size_t hidden = shape.hidden_size, padded_hidden = shape.padded_hidden();
  const std::size_t part_size = std::size_t(sequences.steps) * shape.num_layers * hidden;
  Workspace workspace(shape, most_rows_together);
  int first_time = 0;

  const auto keep = [&](int part, int layer, const float* rows, std::size_t stride) {
    const int steps = std::min(most_rows_together, sequences.steps - first_time);
    for (int t = 0; t < steps; ++t)
      std::copy_n(rows + t * stride, hidden,
                  activations + part * part_size +
                      (std::size_t(first_time + t) * shape.num_layers + layer) * hidden);
  };
  const auto keep_layer = [&](int layer) {
    const Cell& cell = *shape.cell;
    for (int part = 0; part < cell.state_parts; ++part)
      keep(part, layer, workspace.states(part), padded_hidden);
    for (int i = 0; i < cell.traced; ++i)
      keep(cell.state_parts + i, layer,
           workspace.gates.data() + cell.traced_block[i] * padded_hidden, shape.gates_width());
  };
  run_group(network, sequences, {0, 1}, keep_layer, workspace,
            [&](Workspace&, int time, int steps) { first_time = time + steps; });
}

}  // namespace ricorda
