#include "mixing/predictor.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace ricorda::mixing {
namespace {

constexpr int most_ring_bits = 22, most_match_bits = 20, most_refinement_bits = 16;
constexpr std::array<int, 8> orders{1, 2, 3, 4, 5, 6, 7, 9};
constexpr std::array<int, 2> match_lengths{5, 9};
// Contexts of each set of weights, in the order of choose_sets.
constexpr std::array<std::size_t, set_count> set_contexts{2048, 256, 256, 1024, 256, 1024};
constexpr std::uint32_t least_probability = 16;  // of probability_bits, of a one or a zero

int sets_of(const PredictorSettings& settings) {
  return settings.trusts_network ? set_count : set_count - 1;
}

}  // namespace

Predictor::Predictor(const PredictorSettings& settings)
    : settings_(settings),
      depth_end_(std::bit_width(std::uint32_t(settings.vocabulary_size - 1))),
      ring_(std::min(settings.table_bits, most_ring_bits), settings.boundary),
      table_(settings.table_bits),
      state_maps_(std::size_t{context_count} * history_states),
      expectations_(match_count * 16 * 1024, AdaptiveProbability()),
      network_sums_(settings.network_size > 0 ? std::size_t{2} << depth_end_ : 0),
      final_mixer_(std::vector<float>(lanes, 1.0f / float(sets_of(settings))), 256, 0.005f,
                   0.0005f),
      by_last_(std::size_t{1} << std::min(settings.table_bits, most_refinement_bits)),
      by_two_(std::size_t{1} << std::min(settings.table_bits, most_refinement_bits)) {
  for (std::size_t i = 0; i < state_maps_.size(); ++i)
    state_maps_[i].set(first_guess(std::uint32_t(i % history_states)), 4);
  for (const int length : match_lengths)
    matches_.emplace_back(length, std::min(settings.table_bits, most_match_bits));
  constexpr float rate = 0.02f;
  const float least = settings.trusts_network ? 0.003f : 0.0015f;
  for (int i = 0; i < sets_of(settings); ++i)
    mixers_.emplace_back(first_weights(), set_contexts[i], rate, least);
}

std::vector<float> Predictor::first_weights() const {
  std::vector<float> weights(input_count, settings_.trusts_network ? 0.03f : 0.18f);
  if (settings_.trusts_network) weights[first_network_input] = 0.6f;
  return weights;
}

void Predictor::begin(const float* network) {
  node_.depth = 0, node_.path = 0, node_.bucket_depth = -1;
  has_network_ = network != nullptr && settings_.network_size > 0;
  if (has_network_) sum_network(network);
  find_contexts();
  skip_forced(node_);
}

void Predictor::skip_forced(Node& node) const {
  while (node.depth < depth_end_) {
    const std::uint32_t first_one = (node.path << 1 | 1) << (depth_end_ - 1 - node.depth);
    if (first_one < std::uint32_t(settings_.vocabulary_size)) break;
    node.path <<= 1, ++node.depth;
  }
}

void Predictor::find_contexts() {
  std::uint64_t hash = 0;
  int back = 0;
  auto& contexts = node_.contexts;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    for (; back < orders[i]; ++back) hash = hashed(hash, ring_.last(back + 1) + 1);
    contexts[i] = hashed(hash, i);
  }
  contexts[8] = hashed(hashed(word_, 101), ring_.last(1));
  contexts[9] = hashed(hashed(word_, last_word_), 102);
  contexts[10] = hashed(hashed(ring_.last(2), ring_.last(3)), 103);
}

// Unless it is inserted, a context that is not in the table has null for its histories: empty.
void Predictor::find_buckets(Node& node, bool inserts) {
  const std::uint64_t node_hash = hashed(node.index(), 7);
  for (std::uint64_t& context : node.contexts) context = hashed(context, node_hash);
  for (const std::uint64_t context : node.contexts) table_.prefetch(context);
  for (int i = 0; i < context_count; ++i)
    node.buckets[i] = inserts ? table_.find(node.contexts[i]) : table_.look_up(node.contexts[i]);
  node.bucket_depth = node.depth;
}

void Predictor::sum_network(const float* network) {
  const std::size_t leaves = std::size_t{1} << depth_end_;
  for (std::size_t i = 0; i < leaves; ++i)
    network_sums_[leaves + i] = i < std::size_t(settings_.network_size)      ? network[i] + 1e-7f
                                : i < std::size_t(settings_.vocabulary_size) ? 1e-7f
                                                                             : 0.0f;
  for (std::size_t i = leaves - 1; i > 0; --i)
    network_sums_[i] = network_sums_[2 * i] + network_sums_[2 * i + 1];
  has_network_ = network_sums_[1] > 0.5f && network_sums_[1] < 2.0f;  // else it has diverged
}

std::uint32_t Predictor::predict() {
  if (node_.needs_buckets()) find_buckets(node_, true);
  return decide(node_, decision_);
}

std::uint32_t Predictor::predict_at(Node& node, Decision& decision) {
  if (node.needs_buckets()) find_buckets(node, false);
  return decide(node, decision);
}

void Predictor::advance(Node& node, int bit) const {
  node.path = node.path << 1 | std::uint32_t(bit), ++node.depth;
  skip_forced(node);
}

std::uint32_t Predictor::decide(const Node& node, Decision& decision) {
  float* inputs = decision.inputs.data();
  int known = 0;  // contexts of one order
  for (int i = 0; i < context_count; ++i, inputs += inputs_of_context)
    known += read_context(i, node, decision, inputs) && i < int(orders.size());
  for (int i = 0; i < match_count; ++i, inputs += 2) read_match(i, node, decision, inputs);
  const float network = read_network(node, inputs);
  inputs[2] = 0.3f;  // the constant, behind the network's two inputs
  choose_sets(node, known, network, decision);
  for (std::size_t i = 0; i < mixers_.size(); ++i) {
    decision.mixed[i] = mixers_[i].mix(decision.inputs.data(), decision.sets[i]);
    decision.probabilities[i] = squash(decision.mixed[i]);
  }
  const float logit = final_mixer_.mix(decision.mixed.data(), decision.final_set);
  decision.final_probability = squash(logit);
  const float probability = refine(node, logit, decision) * float(1 << probability_bits);
  return std::clamp(static_cast<std::uint32_t>(probability), least_probability,
                    (1u << probability_bits) - least_probability);
}

bool Predictor::read_context(int number, const Node& node, Decision& decision, float* inputs) {
  const std::uint32_t* bucket = node.buckets[number];
  const BitHistory history =
      bucket != nullptr ? BitHistory::from_bits(bucket[node.history()]) : BitHistory();
  AdaptiveProbability* map = &state_maps_[std::size_t(number) * history_states + history.state()];
  decision.maps[number] = map;
  if (history.count() == 0) {
    inputs[0] = 0.0f, inputs[1] = 0.0f, inputs[2] = 0.0f;
    return false;
  }
  const std::uint32_t expected = map->probability();
  inputs[0] = stretch_table[expected];
  inputs[1] = (static_cast<float>(expected) - 32768.0f) * (4.0f / 65536.0f);
  inputs[2] = stretch_table[history.probability()] * (history.count() < 4 ? 0.25f : 0.5f);
  return true;
}

void Predictor::read_match(int number, const Node& node, Decision& decision, float* inputs) {
  MatchModel& match = matches_[number];
  const int left = depth_end_ - node.depth;
  const std::uint32_t expected = match.has_match() ? match.expected(ring_) : 0;
  if (!match.has_match() || expected >> left != node.path) {
    decision.lengths[number] = decision.expectations[number] = nullptr;
    inputs[0] = 0.0f, inputs[1] = 0.0f;
    return;
  }
  const int bit = expected >> (left - 1) & 1;
  decision.expected_bit[number] = bit;
  decision.lengths[number] = &match.by_length();
  const std::size_t context =
      std::size_t(match.coarse_length()) << 10 | (hashed(expected, node.depth) >> 40 & 1023);
  decision.expectations[number] = &expectations_[std::size_t(number) << 14 | context];
  const float sure = stretch_table[decision.lengths[number]->probability()];
  inputs[0] = bit ? sure : -sure;
  inputs[1] = stretch_table[decision.expectations[number]->probability()];
}

// Returns the network's logit; 0 without one.
float Predictor::read_network(const Node& node, float* inputs) const {
  if (!has_network_) {
    inputs[0] = 0.0f, inputs[1] = 0.0f;
    return 0.0f;
  }
  const float one = network_sums_[2 * node.index() + 1], zero = network_sums_[2 * node.index()];
  const float logit = clamped(logarithm((one + 1e-9f) / (zero + 1e-9f)), largest_logit);
  inputs[0] = logit, inputs[1] = (squash(logit) - 0.5f) * 4.0f;
  return logit;
}

void Predictor::choose_sets(const Node& node, int known, float network, Decision& decision) const {
  const std::size_t length =
      matches_[1].has_match() ? matches_[1].coarse_length() : matches_[0].coarse_length();
  const bool agrees = decision.lengths[0] != nullptr || decision.lengths[1] != nullptr;
  const std::size_t expected = agrees ? length : 0;
  const std::size_t index = node.index(), folded = index < 256 ? index : hashed(index) >> 40 & 255;
  const std::size_t sureness = int(network * 2.0f) + 32;  // from 8 to 56
  const std::size_t seen = known;
  decision.sets = {
      expected << 4 | seen, folded,
      ring_.last(1) & 255,  std::size_t(std::min(node.depth, 7)) << 4 | seen,
      ring_.last(2) & 255,  sureness << 4 | expected,
  };
  decision.final_set = std::size_t(std::min(node.depth, 15)) << 4 | seen;
}

float Predictor::refine(const Node& node, float logit, Decision& decision) {
  const std::uint64_t last = hashed(ring_.last(1), node.index());
  const std::uint64_t two = hashed(last, ring_.last(2));
  const float first = by_last_.refine(logit, last >> 30, decision.by_last);
  const float second = by_two_.refine(logit, two >> 30, decision.by_two);
  return (decision.final_probability * 2.0f + first + second) * 0.25f;
}

void Predictor::update(const Decision& decision, int bit) {
  if (node_.needs_buckets()) find_buckets(node_, true);
  final_mixer_.update(decision.mixed.data(), decision.final_set, decision.final_probability, bit);
  for (std::size_t i = 0; i < mixers_.size(); ++i)
    mixers_[i].update(decision.inputs.data(), decision.sets[i], decision.probabilities[i], bit);
  decision.by_last->update(bit, 255), decision.by_two->update(bit, 255);
  for (int i = 0; i < context_count; ++i) {
    decision.maps[i]->update(bit, 255);
    std::uint32_t& bits = node_.buckets[i][node_.history()];
    BitHistory history = BitHistory::from_bits(bits);
    history.update(bit);
    bits = history.bits();
  }
  for (int i = 0; i < match_count; ++i) {
    if (decision.lengths[i] == nullptr) continue;
    decision.lengths[i]->update(bit == decision.expected_bit[i], 1023);
    decision.expectations[i]->update(bit, 1023);
  }
  advance(node_, bit);
}

void Predictor::end() {
  ring_.push(node_.path);
  const std::uint32_t letter = settings_.letters[node_.path];
  if (int(node_.path) == settings_.boundary) {
    word_ = 0, last_word_ = 0;
  } else if (letter > 0) {
    word_ = hashed(word_, letter);
  } else if (word_ != 0) {
    last_word_ = word_, word_ = 0;
  }
  for (MatchModel& match : matches_) match.find(ring_);
}

}  // namespace ricorda::mixing
