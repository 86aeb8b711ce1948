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

constexpr int context_count = 11, inputs_of_context = 3, match_count = 2;
constexpr int set_count = 6;  // of weights; the last where a trained network predicts
// A decision's inputs, in this order: of each context, of each match, of the network, a constant.
constexpr int first_network_input = context_count * inputs_of_context + match_count * 2;
constexpr int input_count = (first_network_input + 2 + 1 + lanes - 1) / lanes * lanes;

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
struct Node {
  int depth = 0;
  std::uint32_t path = 0;
  int bucket_depth = -1;
  std::array<std::uint64_t, context_count> contexts{};
  std::array<std::uint32_t*, context_count> buckets{};

  std::uint32_t index() const { return 1u << depth | path; }
  int history() const {  // its own in the buckets
    const int within = depth - bucket_depth;
    return (1 << within) - 1 + int(path & ((1u << within) - 1));
  }
  bool needs_buckets() const { return bucket_depth < 0 || depth - bucket_depth >= 4; }
};
// How a decision was predicted, from which the models learn once it is known.
struct Decision {
  alignas(64) std::array<float, input_count> inputs{};
  alignas(64) std::array<float, lanes> mixed{};
  std::array<AdaptiveProbability*, context_count> maps{};
  std::array<AdaptiveProbability*, match_count> lengths{}, expectations{};  // null: no match
  std::array<int, match_count> expected_bit{};
  std::array<std::size_t, set_count> sets{};
  std::array<float, set_count> probabilities{};  // with each set of weights
  std::size_t final_set = 0;
  float final_probability = 0.5f;
  AdaptiveProbability *by_last = nullptr, *by_two = nullptr;
};

class Predictor {
 public:
  explicit Predictor(const PredictorSettings& settings);

  // Begins the next symbol. `network`: probabilities (network_size) of it, or null.
  void begin(const float* network);
  bool is_complete() const { return is_complete(node_); }
  // The probability that the next decision is a one, of probability_bits: never 0 or 1.
  std::uint32_t predict();
  void update(int bit) { update(decision_, bit); }
  // The symbol that the decisions make.
  std::uint32_t symbol() const { return node_.path; }
  void end();

  // The same at any node, before the symbol's first decision is taken, and the way from there.
  // Nothing is learned, and no context is inserted.
  const Node& node() const { return node_; }
  bool is_complete(const Node& node) const { return node.depth == depth_end_; }
  std::uint32_t predict_at(Node& node, Decision& decision);
  void advance(Node& node, int bit) const;
  // Learns a decision that predict_at predicted at this node, and takes it.
  void update(const Decision& decision, int bit);
  int decision(const Node& node, std::uint32_t symbol) const {
    return symbol >> (depth_end_ - 1 - node.depth) & 1;
  }
  // What the network expects of all symbols that a node leads to.
  float network_share(const Node& node) const { return network_sums_[node.index()]; }

  // The next decision that would lead to this symbol.
  int decision(std::uint32_t symbol) const { return decision(node_, symbol); }
  int depth() const { return depth_end_; }
  int vocabulary_size() const { return settings_.vocabulary_size; }
  int network_size() const { return settings_.network_size; }

 private:
  void skip_forced(Node& node) const;
  std::vector<float> first_weights() const;
  void find_contexts();
  void find_buckets(Node& node, bool inserts);
  void sum_network(const float* network);
  std::uint32_t decide(const Node& node, Decision& decision);
  // Each fills its inputs of a decision; the first returns whether the context is known.
  bool read_context(int number, const Node& node, Decision& decision, float* inputs);
  void read_match(int number, const Node& node, Decision& decision, float* inputs);
  float read_network(const Node& node, float* inputs) const;
  void choose_sets(const Node& node, int known, float network, Decision& decision) const;
  float refine(const Node& node, float logit, Decision& decision);

  PredictorSettings settings_;
  int depth_end_;
  SymbolRing ring_;
  ContextTable table_;
  std::vector<AdaptiveProbability> state_maps_;  // (context_count, history_states)
  std::vector<MatchModel> matches_;
  std::vector<AdaptiveProbability> expectations_;  // (match_count, 16 lengths, 1024 hashes)
  std::vector<float> network_sums_;                // (2^depth_end) of the subtree of each node
  std::vector<Mixer> mixers_;
  Mixer final_mixer_;
  Refinement by_last_, by_two_;

  // The symbol that is being predicted.
  Node node_;
  Decision decision_;
  std::uint64_t word_ = 0, last_word_ = 0;
  bool has_network_ = false;
};

}  // namespace ricorda::mixing
