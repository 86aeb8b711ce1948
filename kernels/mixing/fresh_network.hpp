// A network that starts from a seed and learns what it reads.
//
// It predicts with the weights that all segments but the last have taught it, while a second
// thread, if there is one, learns the last. So the number of threads changes no bit.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "learner.hpp"
#include "mixing/codec.hpp"

namespace ricorda::mixing {

// Does one piece of work at a time: in a thread of its own, or at once.
class BackgroundWorker {
 public:
  explicit BackgroundWorker(bool has_thread);
  ~BackgroundWorker();
  BackgroundWorker(const BackgroundWorker&) = delete;
  BackgroundWorker& operator=(const BackgroundWorker&) = delete;

  // Waits for the work before.
  void start(std::function<void()> work);
  void wait();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;  // empty: none is under way
  bool ends_ = false;
  std::thread thread_;
};

struct FreshSettings {
  int vocabulary_size = 256;
  int embedding_size = 16;
  int hidden_size = 96;
  int segment = 20;  // symbols between updates
  float learning_rate = 1e-2f;
  float least_rate = 2e-3f;
  std::uint64_t seed = 1;
};

class FreshNetwork : public NetworkReader {
 public:
  FreshNetwork(const FreshSettings& settings, const InstructionSet& set, int threads);
  ~FreshNetwork() override;

  const float* predict() override;
  void observe(std::uint32_t symbol) override;

 private:
  void initialize();
  void pack();
  void learn();

  FreshSettings settings_;
  const InstructionSet* set_;
  NetworkShape shape_;
  std::vector<std::vector<float>> weights_, first_moments_, second_moments_;
  std::unique_ptr<Learner> learner_;
  std::optional<Network> network_;
  Workspace workspace_;
  AlignedBuffer<float> state_, probabilities_;
  std::vector<std::uint32_t> inputs_, targets_;                  // of this segment
  std::vector<std::uint32_t> learned_inputs_, learned_targets_;  // of the one that is learned
  std::vector<std::vector<float>> learner_state_;
  std::uint32_t last_ = 0;
  std::int64_t number_ = 0;  // of updates
  BackgroundWorker worker_;  // last, so that its work ends before the rest goes
};

}  // namespace ricorda::mixing
