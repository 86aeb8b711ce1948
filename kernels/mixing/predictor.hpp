// Predicts the symbols of a text one after the other by mixing many models of what comes next.
//
// A symbol is a path of binary decisions, from its highest bit to its lowest. A decision with one
// possible outcome (the other would lead to ids that the vocabulary does not have) is left out, so
// that the probabilities of all symbols sum to one by construction. The models of a decision:
// histories of bits under hashed contexts (the last 1 to 8 symbols, words), matches with earlier
// text, and, where given, a network's distribution over symbols. A mixer with learned weights joins
// them; two refinements correct the result.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "mixing/context_table.hpp"
#include "mixing/match_model.hpp"
#include "mixing/mixer.hpp"

namespace ricorda::mixing {

constexpr int context_count = 11;

struct PredictorSettings {
  int vocabulary_size = 256;
  // Of each symbol: 0, or for a letter a number that upper and lower case share.
  std::vector<std::uint32_t> letters;
  int table_bits = 18;   // buckets of 64 bytes
  int network_size = 0;  // symbols, the first of the vocabulary, that a network predicts; 0: none
  bool trusts_network = false;  // from the beginning: it is trained
  int boundary = -1;            // the symbol at which contexts end; -1: none
};

// A node of the tree of a symbol's decisions.
struct Place {
  int depth = 0;
  std::uint32_t path = 0;
  int bucket_depth = -1;
  std::array<std::uint64_t, context_count> contexts{};
  std::array<std::uint32_t*, context_count> buckets{};

  std::uint32_t node() const { return 1u << depth | path; }
  bool needs_buckets() const { return bucket_depth < 0 || depth - bucket_depth >= 4; }
};

class Predictor {
 public:
  explicit Predictor(const PredictorSettings& settings);

  // Begins the next symbol. `network`: probabilities (network_size) of it, or null.
  void begin(const float* network);
  bool is_complete() const { return is_complete(place_); }
  // The probability that the next decision is a one, of 22 bits: neither 0 nor 2^22.
  std::uint32_t predict();
  void update(int bit);
  // The symbol that the decisions make.
  std::uint32_t symbol() const { return place_.path; }
  void end();

  // What would come, before the first decision of a symbol is predicted: the same probability at
  // another place, and the way from there. Nothing is learned.
  const Place& place() const { return place_; }
  bool is_complete(const Place& place) const { return place.depth == depth_end_; }
  std::uint32_t predict_at(Place& place);
  void advance(Place& place, int bit) const;
  // What the network expects of all symbols that a place leads to.
  float network_share(const Place& place) const { return network_sums_[place.node()]; }

  // The next decision that would lead to this symbol.
  int decision(std::uint32_t symbol) const { return symbol >> (depth_end_ - 1 - place_.depth) & 1; }
  int depth() const { return depth_end_; }
  int vocabulary_size() const { return settings_.vocabulary_size; }
  int network_size() const { return settings_.network_size; }

 private:
  static constexpr int inputs_of_context = 3;
  static constexpr int match_count = 2;
  static constexpr int set_count = 6;  // of weights; the last where a trained network predicts
  static constexpr int input_count =
      (context_count * inputs_of_context + match_count * 2 + 2 + 1 + lanes - 1) / lanes * lanes;

  void skip_forced(Place& place) const;
  std::vector<float> first_weights() const;
  void find_contexts();
  void find_buckets(bool makes_room);
  std::uint32_t mixed();
  void sum_network(const float* network);
  float refined();
  void add(float input) { inputs_[input_at_++] = input; }
  void add_context(int number);
  void add_match(int number);
  void add_network();
  std::array<std::size_t, set_count> selectors();
  int histories_at() const {  // the place's own in its buckets
    const int within = place_.depth - place_.bucket_depth;
    return (1 << within) - 1 + int(place_.path & ((1u << within) - 1));
  }

  PredictorSettings settings_;
  int depth_end_;
  SymbolRing ring_;
  ContextTable table_;
  std::vector<AdaptiveProbability> state_maps_;  // (context_count, history_states)
  std::vector<MatchModel> matches_;
  std::vector<AdaptiveProbability> expectations_;
  std::vector<float> network_sums_;  // (2^depth_end) of the subtree of each node
  std::vector<Mixer> mixers_;
  Mixer final_mixer_;
  Refinement by_last_, by_two_;

  // The symbol that is being predicted.
  Place place_;
  std::array<AdaptiveProbability*, context_count> used_maps_{};
  std::array<AdaptiveProbability*, match_count> used_expectations_{};
  alignas(64) std::array<float, input_count> inputs_{};
  alignas(64) std::array<float, lanes> mixed_{};
  int input_at_ = 0, seen_contexts_ = 0;
  std::uint64_t word_ = 0, last_word_ = 0;
  std::size_t sureness_ = 0;  // of the network, in steps
  bool has_network_ = false;
};

}  // namespace ricorda::mixing
