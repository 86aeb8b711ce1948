#include "adaptive_reader.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "denormals.hpp"
#include "mixing/logistic.hpp"
#include "ranking.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

constexpr double first_frozen_share = 0.5;
// Of every expert's share that is redistributed with each symbol (Herbster & Warmuth, 1998), so
// that one that has fallen behind can come back.
constexpr double dealt_out = 1e-5;
constexpr double lost_nats = 20.0;  // behind the best rate: it will not catch up
constexpr double least_probability = 1e-30;

}  // namespace

// The trained network, or a copy that learns.
struct AdaptiveReader::Expert {
  explicit Expert(const AdaptiveReader& reader)  // the trained network
      : state(reader.shape().state_size()),
        probabilities(reader.segment_ * reader.mixture_.size()) {}

  void predict(const AdaptiveReader& reader, int first, int count);
  const float* read_frozen(const AdaptiveReader& reader, int first, int count);
  void learn();

  bool is_lost = false;
  double nats = 0.0;                         // of all that was read
  AlignedBuffer<float> state;                // (S, L, Hp), the trained network's
  AlignedBuffer<float> probabilities;        // (T, Vp)
  std::unique_ptr<Workspace> workspace;      // the trained network's
  std::vector<std::vector<float>> weights;   // of each parameter
  std::vector<std::vector<float>> learning;  // (L S) of (H): the state before the segment
  LearningStep step{};                       // of the segment
  std::unique_ptr<Learner> learner;          // null: the trained network
};

// Some symbols of the segment; their number changes no bit.
void AdaptiveReader::Expert::predict(const AdaptiveReader& reader, int first, int count) {
  const DenormalsAsZero flush;
  const Routines& routines = reader.frozen_->instruction_set().routines;
  const int vocabulary = reader.shape().padded_vocabulary();
  const float* logits =
      learner ? learner->predict(step, first, count) : read_frozen(reader, first, count);
  float* row = probabilities.data() + std::size_t(first) * vocabulary;
  for (int i = 0; i < count; ++i, row += vocabulary, logits += vocabulary) {
    const float total = softmax(routines, logits, vocabulary, row);
    is_lost = is_lost || !std::isfinite(total);
    if (is_lost) std::fill_n(row, vocabulary, 0.0f);  // not a number would spoil the mixture
  }
}

const float* AdaptiveReader::Expert::read_frozen(const AdaptiveReader& reader, int first,
                                                 int count) {
  const Network& frozen = *reader.frozen_;
  const std::uint32_t* labels =
      frozen.shape().num_labels > 0 ? reader.labels_.data() + first : nullptr;
  frozen.advance(reader.inputs_.data() + first, labels, count, 1, state.data(), *workspace);
  frozen.compute_logits(workspace->hidden.data(), count, *workspace);
  return workspace->logits.data();
}

void AdaptiveReader::Expert::learn() {
  if (!learner || is_lost) return;
  is_lost = !std::isfinite(learner->learn(step).gradient_norm);
}

AdaptiveReader::AdaptiveReader(std::shared_ptr<const Network> frozen,
                               std::vector<TrainedParameter> parameters,
                               const AdaptiveSettings& settings, Precision precision, int threads)
    : frozen_(std::move(frozen)),
      parameters_(std::move(parameters)),
      threads_(usable_threads(threads)),
      segment_(settings.segment),
      inputs_(settings.segment),
      targets_(settings.segment),
      labels_(settings.segment),
      mixture_(frozen_->shape().padded_vocabulary()) {
  const NetworkShape& shape = frozen_->shape();
  experts_.push_back(std::make_unique<Expert>(*this));
  experts_[0]->workspace = std::make_unique<Workspace>(shape, segment_);
  for (const float rate : settings.rates) add_learner(rate, settings.pull, precision);
  for (std::size_t k = 0; k < experts_.size(); ++k) shares_.push_back(first_share(k));
  if (settings.counts) counts_ = std::make_unique<mixing::SymbolMixture>(*settings.counts);
}

// Adds a copy of the trained network that learns at a rate.
void AdaptiveReader::add_learner(float rate, float pull, Precision precision) {
  const NetworkShape& shape = frozen_->shape();
  const std::vector<std::size_t> sizes = Learner::sizes_of(shape);
  auto expert = std::make_unique<Expert>(*this);
  Parameters own;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const TrainedParameter& trained = parameters_[i];
    expert->weights.emplace_back(trained.weights, trained.weights + sizes[i]);
    own.push_back({.weights = expert->weights.back().data(),
                   .first_moments = const_cast<float*>(trained.weights),
                   .second_moments = const_cast<float*>(trained.factors),
                   .averages = nullptr});
  }
  expert->learning.assign(shape.num_layers * shape.state_parts(),
                          std::vector<float>(shape.hidden_size));
  LearningStep& step = expert->step;
  step.inputs = inputs_.data();
  step.targets = targets_.data();
  step.labels = labels_.data();
  for (auto& part : expert->learning) step.state.push_back(part.data());
  step.learning_rate = rate;
  step.number = 1;
  const LearningSettings learning{.adaptive = true, .pull = pull};
  expert->learner = std::make_unique<Learner>(shape, learning, 1, segment_, precision,
                                              frozen_->instruction_set(), 1, std::move(own));
  experts_.push_back(std::move(expert));
}

// The share of an expert at the beginning, among as many as there are now.
double AdaptiveReader::first_share(std::size_t expert) const {
  if (experts_.size() == 1) return 1.0;
  return expert == 0 ? first_frozen_share : (1 - first_frozen_share) / double(experts_.size() - 1);
}

AdaptiveReader::~AdaptiveReader() = default;

void AdaptiveReader::take(std::uint32_t input, std::uint32_t label, int time) {
  inputs_[time] = input;
  labels_[time] = label;
}

const float* AdaptiveReader::predict(std::uint32_t id, std::uint32_t label) {
  take(id, label, time_);
  for (const auto& expert : experts_) expert->predict(*this, time_, 1);
  mix(time_);
  return mixture_.data();
}

void AdaptiveReader::mix(int time) {
  std::fill_n(mixture_.data(), mixture_.size(), 0.0f);
  for (std::size_t k = 0; k < experts_.size(); ++k) {
    const float* row = experts_[k]->probabilities.data() + time * mixture_.size();
    const float share = static_cast<float>(shares_[k]);
    for (std::size_t id = 0; id < mixture_.size(); ++id) mixture_[id] += share * row[id];
  }
}

void AdaptiveReader::observe(std::uint32_t id) {
  targets_[time_] = id;
  update_shares(time_, id);
  if (++time_ < segment_) return;
  parallel_for(int(experts_.size()), threads_, [&](int k) { experts_[k]->learn(); });
  finish_segment();
}

void AdaptiveReader::read(const std::uint32_t* inputs, const std::uint32_t* targets,
                          const std::uint32_t* labels, std::size_t count, float* nats,
                          int alternatives, std::uint32_t* best, float* best_nats) {
  while (count > 0) {
    const int first = time_;
    const int here = int(std::min<std::size_t>(count, segment_ - first));
    for (int i = 0; i < here; ++i) {
      take(inputs[i], labels != nullptr ? labels[i] : 0, first + i);
      targets_[first + i] = targets[i];
    }
    time_ += here;
    parallel_for(int(experts_.size()), threads_, [&](int k) {
      experts_[k]->predict(*this, first, here);
      if (time_ == segment_) experts_[k]->learn();
    });
    for (int i = 0; i < here; ++i) {
      if (counts_ || alternatives > 0) mix(first + i);
      double probability = update_shares(first + i, targets[i]);
      if (counts_) counts_->begin(mixture_.data());
      find_alternatives(alternatives, best, best_nats);
      best += alternatives, best_nats += alternatives;
      if (counts_) probability = counts_->read(targets[i]);
      nats[i] = -static_cast<float>(std::log(probability));
    }
    if (time_ == segment_) finish_segment();
    inputs += here, targets += here, nats += here, count -= here;
    if (labels != nullptr) labels += here;
  }
}

// The most likely symbols of the mixture, and their nats.
void AdaptiveReader::find_alternatives(int count, std::uint32_t* best, float* best_nats) {
  if (count == 0) return;
  if (counts_) return counts_->find_best(count, best, best_nats);
  find_best(mixture_.data(), shape().vocabulary_size, count, best);
  for (int n = 0; n < count; ++n) best_nats[n] = -std::log(mixture_[best[n]]);
}

// Returns the probability of a target in the networks' mixture, and updates the shares by it.
double AdaptiveReader::update_shares(int time, std::uint32_t target) {
  double total = 0.0;
  for (std::size_t k = 0; k < experts_.size(); ++k) {
    const float* row = experts_[k]->probabilities.data() + time * mixture_.size();
    const double probability = std::max<double>(row[target], least_probability);
    experts_[k]->nats -= mixing::logarithm(static_cast<float>(probability));  // exact anywhere
    shares_[k] *= probability;
    total += shares_[k];
  }
  for (std::size_t k = 0; k < experts_.size(); ++k)
    shares_[k] = (1 - dealt_out) * shares_[k] / total + dealt_out * first_share(k);
  return total;
}

// Removes the experts that will not catch up, so that they take no more time.
void AdaptiveReader::finish_segment() {
  time_ = 0;
  double least = INFINITY;
  for (std::size_t k = 1; k < experts_.size(); ++k)
    if (!experts_[k]->is_lost) least = std::min(least, experts_[k]->nats);
  for (std::size_t k = experts_.size() - 1; k > 0; --k) {
    if (!experts_[k]->is_lost && experts_[k]->nats <= least + lost_nats) continue;
    experts_.erase(experts_.begin() + k);
    shares_.erase(shares_.begin() + k);
  }
  const double total = std::accumulate(shares_.begin(), shares_.end(), 0.0);
  for (double& share : shares_) share /= total;
}

void AdaptiveReader::copy_weights(int parameter, float* weights) const {
  if (experts_.size() == 1) {
    const std::size_t size = Learner::sizes_of(shape())[parameter];
    std::copy_n(parameters_[parameter].weights, size, weights);
    return;
  }
  const auto best = std::max_element(shares_.begin() + 1, shares_.end());
  const std::vector<float>& own = experts_[best - shares_.begin()]->weights[parameter];
  std::copy(own.begin(), own.end(), weights);
}

}  // namespace ricorda
