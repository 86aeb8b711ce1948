#include "session.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "denormals.hpp"
#include "ranking.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

template <class Element>
std::vector<Element> take_first(std::vector<Element>& from, std::size_t count) {
  std::vector<Element> rest(from.begin() + count, from.end());
  from.resize(count);
  return std::exchange(from, std::move(rest));
}

// Copies a state (S, L, 1, H) between buffers whose rows are H or Hp wide.
void copy_state(const NetworkShape& shape, const float* from, std::size_t from_width, float* to,
                std::size_t to_width) {
  for (int row = 0; row < shape.state_parts() * shape.num_layers; ++row)
    std::copy_n(from + row * from_width, shape.hidden_size, to + row * to_width);
}

}  // namespace

struct Session::Stream {
  std::int64_t number = 0;
  StreamSettings settings;
  std::vector<float> state{};         // (S, L, Hp)
  std::vector<std::uint32_t> unread;  // at least one: the last one chosen, if nothing else
  std::size_t next_unread = 0;
  std::deque<std::uint32_t> recent{};   // the last symbols, if the repetition penalty asks
  std::vector<std::uint32_t> counts{};  // (V) how often each was chosen, if a penalty asks
  Philox random;
  StopSequences stops;
  std::int32_t constraint_state;  // of the settings' constraint
  Written written{};              // not returned yet
  std::size_t held = 0;           // the last of them, perhaps part of a stop sequence
  std::int64_t chosen = 0;
  Ending ending = Ending::none;
  int boundary = -1;  // of the network; no part of a text, so that no penalty looks at it

  bool reads_its_last() const { return next_unread + 1 == unread.size(); }
  std::size_t alternatives() const {
    return settings.alternatives > 0 ? static_cast<std::size_t>(settings.alternatives) : 0;
  }
  void remember(std::uint32_t id) {
    if (settings.sampling.repetition_penalty == 1.0 || static_cast<int>(id) == boundary) return;
    recent.push_back(id);
    if (recent.size() > static_cast<std::size_t>(settings.sampling.repetition_window))
      recent.pop_front();
  }
};

// What one group of streams needs while it advances.
struct Session::GroupWorkspace {
  GroupWorkspace(const Network& network, int streams)
      : buffers(network.shape(), streams),
        states(network.shape().state_size() * streams),
        sampler(network.instruction_set().routines, network.shape().vocabulary_size),
        probabilities(network.shape().padded_vocabulary()),
        ids(streams),
        labels(network.shape().num_labels > 0 ? streams : 0) {}

  Workspace buffers;
  AlignedBuffer<float> states;  // (S, L, B, Hp)
  Sampler sampler;
  AlignedBuffer<float> probabilities;  // (Vp)
  std::vector<std::uint32_t> ids;      // (B)
  std::vector<std::uint32_t> labels;   // (B), of a network with labels
};

Written Written::take(std::size_t n) {
  const std::size_t width = ids.empty() ? 0 : alternative_ids.size() / ids.size();
  const std::size_t described = log_probabilities.empty() ? 0 : n;
  return {take_first(ids, n), take_first(log_probabilities, described),
          take_first(alternative_ids, n * width),
          take_first(alternative_log_probabilities, n * width)};
}

Session::Session(std::shared_ptr<const Network> network) : network_(std::move(network)) {}

Session::~Session() = default;

std::int64_t Session::add(std::vector<std::uint32_t> ids, const StreamSettings& settings,
                          const float* state, const std::vector<std::uint32_t>& before) {
  const NetworkShape& shape = network_->shape();
  settings.sampling.check(shape.vocabulary_size);
  if (settings.label > 0 && settings.label >= std::uint32_t(shape.num_labels))
    throw std::invalid_argument("label must be below the number of labels " +
                                std::to_string(shape.num_labels) + ", not " +
                                std::to_string(settings.label));
  if (ids.empty()) throw std::invalid_argument("a stream must begin with at least one symbol");
  for (const auto& stop : settings.stops)
    if (stop.empty()) throw std::invalid_argument("a stop sequence must have at least one symbol");

  auto stream =
      std::make_unique<Stream>(Stream{.settings = settings,
                                      .unread = std::move(ids),
                                      .random = Philox(settings.seed, settings.stream_index),
                                      .stops = StopSequences(settings.stops),
                                      .constraint_state = settings.sampling.constraint.start,
                                      .boundary = shape.boundary});
  stream->settings.alternatives = std::min(settings.alternatives, shape.vocabulary_size);
  if (settings.sampling.counts_symbols()) stream->counts.assign(shape.vocabulary_size, 0);
  stream->state.assign(shape.state_size(), 0.0f);
  if (state != nullptr)
    copy_state(shape, state, shape.hidden_size, stream->state.data(), shape.padded_hidden());
  for (const std::uint32_t id : before) stream->remember(id);
  for (const std::uint32_t id : stream->unread) stream->remember(id);
  if (settings.length <= 0) stream->ending = Ending::length;

  const std::lock_guard lock(mutex_);
  stream->number = next_number_++;
  return streams_.emplace(stream->number, std::move(stream)).first->first;
}

void Session::remove(std::int64_t stream) {
  const std::lock_guard lock(mutex_);
  if (streams_.erase(stream) == 0)
    throw std::out_of_range("no stream has the number " + std::to_string(stream));
}

std::size_t Session::size() const {
  const std::lock_guard lock(mutex_);
  return streams_.size();
}

std::vector<std::uint32_t> Session::save(std::int64_t stream, float* state) const {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end())
    throw std::out_of_range("no stream has the number " + std::to_string(stream));
  const Stream& saved = *found->second;
  const NetworkShape& shape = network_->shape();
  copy_state(shape, saved.state.data(), shape.padded_hidden(), state, shape.hidden_size);
  return {saved.unread.begin() + saved.next_unread, saved.unread.end()};
}

std::vector<Progress> Session::advance(int steps, int threads) {
  const std::lock_guard lock(mutex_);
  Streams active;
  for (const auto& [number, stream] : streams_)
    if (stream->ending == Ending::none) active.push_back(stream.get());
  const int count = static_cast<int>(active.size());
  threads = usable_threads(threads);
  const int together = streams_together(count, threads);
  const int groups = (count + together - 1) / together;
  if (workspaces_.size() < static_cast<std::size_t>(groups)) workspaces_.resize(groups);
  parallel_for(groups, threads, [&](int group) {
    const auto first = active.begin() + std::ptrdiff_t{group} * together;
    const auto last = active.begin() + std::min(count, (group + 1) * together);
    std::unique_ptr<GroupWorkspace>& workspace = workspaces_[group];
    if (!workspace || workspace->buffers.most_rows < together)
      workspace = std::make_unique<GroupWorkspace>(*network_, together);
    advance_group(Streams(first, last), steps, *workspace);
  });
  interrupted_ = false;
  std::vector<Progress> progress;
  for (Stream* stream : active) {
    const std::size_t certain = stream->written.ids.size() - stream->held;
    progress.push_back(
        {stream->number, stream->written.take(certain), stream->chosen, stream->ending});
  }
  return progress;
}

// Gathers the streams' states into one block (S, L, B, Hp), steps, and puts them back; starts again
// with fewer streams whenever some have ended.
void Session::advance_group(Streams streams, int steps, GroupWorkspace& workspace) {
  const DenormalsAsZero flush;
  const NetworkShape& shape = network_->shape();
  const std::size_t padded_hidden = shape.padded_hidden();
  const int parts = shape.state_parts() * shape.num_layers;
  while (steps > 0 && !streams.empty()) {
    const auto each_state = [&](const auto& use) {
      for (int part = 0; part < parts; ++part)
        for (std::size_t s = 0; s < streams.size(); ++s)
          use(streams[s]->state.data() + part * padded_hidden,
              workspace.states.data() + (part * streams.size() + s) * padded_hidden);
    };
    const auto ended = [](const Stream* stream) { return stream->ending != Ending::none; };
    each_state([&](float* own, float* shared) { std::copy_n(own, padded_hidden, shared); });
    do {
      step(streams, workspace.states.data(), workspace);
    } while (--steps > 0 && !interrupted_ && std::none_of(streams.begin(), streams.end(), ended));
    each_state([&](float* own, float* shared) { std::copy_n(shared, padded_hidden, own); });
    std::erase_if(streams, ended);
    if (interrupted_) break;
  }
}

void Session::step(const Streams& streams, float* states, GroupWorkspace& workspace) {
  const int count = static_cast<int>(streams.size());
  for (int s = 0; s < count; ++s) workspace.ids[s] = streams[s]->unread[streams[s]->next_unread];
  if (!workspace.labels.empty())
    for (int s = 0; s < count; ++s) workspace.labels[s] = streams[s]->settings.label;
  network_->advance(workspace.ids.data(), workspace.labels.data(), 1, count, states,
                    workspace.buffers);
  const auto chooses = [](const Stream* stream) { return stream->reads_its_last(); };
  if (std::any_of(streams.begin(), streams.end(), chooses))
    network_->compute_logits(workspace.buffers.hidden.data(), count, workspace.buffers);
  const std::size_t stride = network_->shape().padded_vocabulary();
  for (int s = 0; s < count; ++s) {
    if (streams[s]->reads_its_last())
      choose(*streams[s], workspace.buffers.logits.data() + s * stride, workspace);
    else
      ++streams[s]->next_unread;
  }
}

void Session::choose(Stream& stream, const float* logits, GroupWorkspace& workspace) {
  if (!all_finite(logits, network_->shape().vocabulary_size)) {
    stream.ending = Ending::not_finite;
    return;
  }
  const SamplingSettings& sampling = stream.settings.sampling;
  const double uniform = stream.random.next_uniform();
  const std::uint32_t chosen = workspace.sampler.choose(
      logits, sampling, stream.recent, stream.counts, stream.constraint_state, uniform);
  if (!sampling.constraint.empty())
    stream.constraint_state = sampling.constraint.after(stream.constraint_state, chosen);
  stream.unread.assign(1, chosen);
  stream.next_unread = 0;
  stream.remember(chosen);
  if (!stream.counts.empty()) ++stream.counts[chosen];
  ++stream.chosen;
  stream.written.ids.push_back(chosen);
  if (stream.settings.alternatives >= 0) describe(stream, logits, chosen, workspace);

  StopState stop = stream.stops.feed(chosen);
  if (static_cast<int>(chosen) == network_->shape().boundary)
    stop = {true, 0};  // it belongs to what is written, so that its probability is known
  if (stop.stopped)
    stream.ending = Ending::stop;
  else if (stream.chosen == stream.settings.length)
    stream.ending = Ending::length;
  stream.held = stream.ending == Ending::length ? 0 : stop.held;
}

// Log-probabilities are the model's own, before any sampling option.
void Session::describe(Stream& stream, const float* logits, std::uint32_t chosen,
                       GroupWorkspace& workspace) {
  const NetworkShape& shape = network_->shape();
  const LogSoftmax log_softmax(network_->instruction_set().routines, logits,
                               shape.padded_vocabulary(), workspace.probabilities.data());
  Written& written = stream.written;
  written.log_probabilities.push_back(log_softmax(logits[chosen]));
  const std::size_t first = written.alternative_ids.size(), count = stream.alternatives();
  written.alternative_ids.resize(first + count);
  find_best(logits, shape.vocabulary_size, static_cast<int>(count),
            written.alternative_ids.data() + first);
  for (std::size_t i = first; i < first + count; ++i)
    written.alternative_log_probabilities.push_back(
        log_softmax(logits[written.alternative_ids[i]]));
}

}  // namespace ricorda
