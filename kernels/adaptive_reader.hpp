// A network that continues to learn while it reads (dynamic evaluation: Mikolov et al., 2010;
// Krause et al., 2018).
//
// Several experts read the same symbols side by side: the trained network as it is, and copies of
// it that learn at different rates. Each predicts a symbol before it sees it, and learns whenever
// it has read another segment. Their predictions are mixed by how well each has done so far, so
// that no rate has to be chosen beforehand, and a text that teaches nothing costs next to nothing.
//
// Dimensions: T symbols of a segment, V vocabulary (Vp padded), K experts.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "learner.hpp"
#include "mixing/symbol_mixture.hpp"
#include "network.hpp"

namespace ricorda {

struct AdaptiveSettings {
  int segment;               // T
  std::vector<float> rates;  // of the experts that learn
  float pull = 0.0f;         // share of the way back to the trained weights with each update
  std::optional<mixing::PredictorSettings> counts;  // of what `read` mixes in; empty: nothing
};

// A parameter's trained weights, and the factors of its gradients in an update.
struct TrainedParameter {
  const float* weights;
  const float* factors;
};

class AdaptiveReader {
 public:
  // `frozen` is the trained network, and `parameters` are its weights, in the order of a model
  // file; they stay the caller's and are not changed.
  AdaptiveReader(std::shared_ptr<const Network> frozen, std::vector<TrainedParameter> parameters,
                 const AdaptiveSettings& settings, Precision precision, int threads);
  ~AdaptiveReader();

  // Reads the symbol `id` under a label, and returns the probabilities (Vp) of the next one, until
  // the next call.
  const float* predict(std::uint32_t id, std::uint32_t label);
  // Says which symbol came next.
  void observe(std::uint32_t id);

  // Reads `count` inputs, each followed by its target, as predict and observe would: the same bits,
  // unless counts are mixed in.
  // Fills nats (count) of the targets, and the `alternatives` most likely symbols and their nats
  // (count, alternatives). labels may be null: 0.
  void read(const std::uint32_t* inputs, const std::uint32_t* targets, const std::uint32_t* labels,
            std::size_t count, float* nats, int alternatives, std::uint32_t* best,
            float* best_nats);

  // Copies a parameter of the learning expert with the largest share; the trained one if there is
  // none.
  void copy_weights(int parameter, float* weights) const;

  const NetworkShape& shape() const { return frozen_->shape(); }

 private:
  struct Expert;

  void add_learner(float rate, float pull, Precision precision);
  double first_share(std::size_t expert) const;
  void take(std::uint32_t input, std::uint32_t label, int time);
  void finish_segment();
  void mix(int time);
  double update_shares(int time, std::uint32_t target);
  void find_alternatives(int count, std::uint32_t* best, float* best_nats);

  std::shared_ptr<const Network> frozen_;
  std::vector<TrainedParameter> parameters_;
  int threads_;
  int segment_;
  int time_ = 0;                                          // of the segment
  std::vector<std::uint32_t> inputs_, targets_, labels_;  // (T)
  std::vector<std::unique_ptr<Expert>> experts_;          // the trained network first
  std::vector<double> shares_;                            // (K) in the next prediction
  AlignedBuffer<float> mixture_;                          // (Vp)
  std::unique_ptr<mixing::SymbolMixture> counts_;         // null: none are mixed in
};

}  // namespace ricorda
