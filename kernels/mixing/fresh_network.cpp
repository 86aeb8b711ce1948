#include "mixing/fresh_network.hpp"

#include <cmath>
#include <utility>

#include "denormals.hpp"
#include "philox.hpp"
#include "ranking.hpp"

namespace ricorda::mixing {
namespace {

NetworkShape shape_of(const FreshSettings& settings, const InstructionSet& set) {
  NetworkShape shape{.cell = nullptr,
                     .vocabulary_size = settings.vocabulary_size,
                     .hidden_size = settings.hidden_size,
                     .num_layers = 1,
                     .embedding_size = settings.embedding_size};
  for (int i = 0; i < set.routines.cell_count; ++i)
    if (std::string_view(set.routines.cells[i].name) == "lstm") shape.cell = &set.routines.cells[i];
  return shape;
}

}  // namespace

BackgroundWorker::BackgroundWorker(bool has_thread) {
  if (has_thread) thread_ = std::thread([this] { run(); });
}

BackgroundWorker::~BackgroundWorker() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundWorker::start(std::function<void()> work) {
  if (!thread_.joinable()) return work();
  wait();
  {
    const std::lock_guard lock(mutex_);
    work_ = std::move(work);
  }
  changed_.notify_all();
}

void BackgroundWorker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !work_; });
}

void BackgroundWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ends_ || work_; });
    if (!work_) return;
    const std::function<void()> work = work_;
    lock.unlock();
    work();
    lock.lock();
    work_ = nullptr;
    changed_.notify_all();
  }
}

FreshNetwork::FreshNetwork(const FreshSettings& settings, const InstructionSet& set, int threads)
    : settings_(settings),
      set_(&set),
      shape_(shape_of(settings, set)),
      workspace_(shape_, 1),
      state_(shape_.state_size()),
      probabilities_(shape_.padded_vocabulary()),
      learner_state_(shape_.state_parts(), std::vector<float>(settings.hidden_size)),
      worker_(threads > 1) {
  initialize();
  Parameters parameters;
  for (std::size_t i = 0; i < weights_.size(); ++i)
    parameters.push_back({.weights = weights_[i].data(),
                          .first_moments = first_moments_[i].data(),
                          .second_moments = second_moments_[i].data(),
                          .averages = nullptr});
  const LearningSettings learning{
      .clip_norm = 1.0f, .first_beta = 0.9f, .second_beta = 0.99f, .epsilon = 1e-6f};
  learner_ = std::make_unique<Learner>(shape_, learning, 1, settings.segment, Precision::float32,
                                       set, 1, std::move(parameters));
  pack();
}

FreshNetwork::~FreshNetwork() { worker_.wait(); }

void FreshNetwork::initialize() {
  Philox random(settings_.seed, 0);
  const float bound = 1.0f / std::sqrt(static_cast<float>(settings_.hidden_size));
  for (const std::size_t size : Learner::sizes_of(shape_)) {
    std::vector<float> values(size);
    for (float& value : values)
      value = (static_cast<float>(random.next() >> 40) * (2.0f / 16777216.0f) - 1.0f) * bound;
    weights_.push_back(std::move(values));
    first_moments_.emplace_back(size);
    second_moments_.emplace_back(size);
  }
}

void FreshNetwork::pack() {
  const auto tensor = [&](int number) { return weights_[number].data(); };
  const NetworkTensors tensors{.embedding = tensor(0),
                               .labels = nullptr,
                               .layers = {{tensor(1), tensor(2), tensor(3), tensor(4)}},
                               .output_weight = tensor(5),
                               .output_bias = tensor(6)};
  network_.emplace(shape_, tensors, Precision::float32, *set_);
}

const float* FreshNetwork::predict() {
  const DenormalsAsZero flush;
  network_->advance(&last_, nullptr, 1, 1, state_.data(), workspace_);
  network_->compute_logits(workspace_.hidden.data(), 1, workspace_);
  softmax(set_->routines, workspace_.logits.data(), shape_.padded_vocabulary(),
          probabilities_.data());
  return probabilities_.data();
}

void FreshNetwork::observe(std::uint32_t symbol) {
  inputs_.push_back(last_);
  targets_.push_back(symbol);
  last_ = symbol;
  if (inputs_.size() < std::size_t(settings_.segment)) return;
  worker_.wait();
  if (number_ > 0) pack();
  learned_inputs_ = std::exchange(inputs_, {});
  learned_targets_ = std::exchange(targets_, {});
  ++number_;
  worker_.start([this] { learn(); });
}

void FreshNetwork::learn() {
  LearningStep step{};
  step.inputs = learned_inputs_.data();
  step.targets = learned_targets_.data();
  for (auto& part : learner_state_) step.state.push_back(part.data());
  const float decay = 1.0f / (1.0f + static_cast<float>(number_) * 2e-4f);
  const float rate = settings_.learning_rate * decay;
  step.learning_rate = rate > settings_.least_rate ? rate : settings_.least_rate;
  step.number = number_;
  step.update = true;
  learner_->step(step);
}

}  // namespace ricorda::mixing
