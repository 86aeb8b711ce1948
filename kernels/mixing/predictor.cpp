#include "mixing/predictor.hpp"

#include <bit>
#include <utility>

namespace ricorda::mixing {
namespace {

constexpr int most_ring_bits = 22, most_match_bits = 20, most_refinement_bits = 16;
constexpr std::array<int, 8> orders{1, 2, 3, 4, 5, 6, 7, 9};
constexpr std::array<int, 2> match_lengths{5, 9};

int smaller(int a, int b) { return a < b ? a : b; }

}  // namespace

Predictor::Predictor(const PredictorSettings& settings)
    : settings_(settings),
      depth_end_(std::bit_width(std::uint32_t(settings.vocabulary_size - 1))),
      ring_(smaller(settings.table_bits, most_ring_bits), settings.boundary),
      table_(settings.table_bits),
      state_maps_(std::size_t{context_count} * history_states),
      expectations_(match_count * 16 * 1024, AdaptiveProbability()),
      network_sums_(settings.network_size > 0 ? std::size_t{2} << depth_end_ : 0),
      final_mixer_(std::vector<float>(lanes, 1.0f / (settings.trusts_network ? 6 : 5)), 256, 0.005f,
                   0.0005f),
      by_last_(std::size_t{1} << smaller(settings.table_bits, most_refinement_bits)),
      by_two_(std::size_t{1} << smaller(settings.table_bits, most_refinement_bits)) {
  for (std::size_t i = 0; i < state_maps_.size(); ++i)
    state_maps_[i].set(first_guess(std::uint32_t(i % history_states)), 4);
  for (const int length : match_lengths)
    matches_.emplace_back(length, smaller(settings.table_bits, most_match_bits));
  constexpr float rate = 0.02f, least = 0.0015f;
  for (const std::size_t contexts : {2048, 256, 256, 1024, 256})
    mixers_.emplace_back(first_weights(), contexts, rate, least);
  if (settings.trusts_network) mixers_.emplace_back(first_weights(), 1024, rate, least);
}

std::vector<float> Predictor::first_weights() const {
  std::vector<float> weights(input_count, settings_.trusts_network ? 0.05f : 0.18f);
  constexpr int network = context_count * inputs_of_context + match_count * 2;
  if (settings_.trusts_network) weights[network] = 1.0f;
  return weights;
}

void Predictor::begin(const float* network) {
  place_.depth = 0, place_.path = 0, place_.bucket_depth = -1;
  has_network_ = network != nullptr && settings_.network_size > 0;
  if (has_network_) sum_network(network);
  find_contexts();
  skip_forced(place_);
}

void Predictor::skip_forced(Place& place) const {
  while (place.depth < depth_end_) {
    const std::uint32_t first_one = (place.path << 1 | 1) << (depth_end_ - 1 - place.depth);
    if (first_one < std::uint32_t(settings_.vocabulary_size)) break;
    place.path <<= 1, ++place.depth;
  }
}

void Predictor::find_contexts() {
  std::uint64_t hash = 0;
  int back = 0;
  auto& contexts = place_.contexts;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    for (; back < orders[i]; ++back) hash = hashed(hash, ring_.last(back + 1) + 1);
    contexts[i] = hashed(hash, i);
  }
  contexts[8] = hashed(hashed(word_, 101), ring_.last(1));
  contexts[9] = hashed(hashed(word_, last_word_), 102);
  contexts[10] = hashed(hashed(ring_.last(2), ring_.last(3)), 103);
}

// Where a context that is not in the table has no room made for it, its histories are empty.
void Predictor::find_buckets(bool makes_room) {
  const std::uint64_t node_hash = hashed(place_.node(), 7);
  for (std::uint64_t& context : place_.contexts) context = hashed(context, node_hash);
  for (const std::uint64_t context : place_.contexts) table_.prefetch(context);
  for (int i = 0; i < context_count; ++i)
    place_.buckets[i] =
        makes_room ? table_.find(place_.contexts[i]) : table_.look_up(place_.contexts[i]);
  place_.bucket_depth = place_.depth;
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

void Predictor::add_context(int number) {
  const std::uint32_t* bucket = place_.buckets[number];
  const BitHistory history =
      bucket != nullptr ? BitHistory::from_bits(bucket[histories_at()]) : BitHistory();
  AdaptiveProbability* map = &state_maps_[std::size_t(number) * history_states + history.state()];
  used_maps_[number] = map;
  if (history.count() == 0) {
    add(0.0f), add(0.0f), add(0.0f);
    return;
  }
  if (number < 8) ++seen_contexts_;
  const std::uint32_t expected = map->probability();
  add(stretch_table[expected]);
  add((static_cast<float>(expected) - 32768.0f) * (4.0f / 65536.0f));
  add(stretch_table[history.probability()] * (history.count() < 4 ? 0.25f : 0.5f));
}

void Predictor::add_match(int number) {
  MatchModel& match = matches_[number];
  used_expectations_[number] = nullptr;
  const int left = depth_end_ - place_.depth;
  if (match.has_match() && match.expected(ring_) >> left == place_.path) {
    const std::uint32_t expected = match.expected(ring_);
    const int bit = expected >> (left - 1) & 1;
    add(match.logit(bit));
    const std::size_t context =
        std::size_t(match.length_step()) << 10 | (hashed(expected, place_.depth) >> 40 & 1023);
    AdaptiveProbability* map = &expectations_[std::size_t(number) << 14 | context];
    used_expectations_[number] = map;
    add(stretch_table[map->probability()]);
  } else {
    match.skip();
    add(0.0f), add(0.0f);
  }
}

void Predictor::add_network() {
  if (!has_network_) {
    sureness_ = 0;
    add(0.0f), add(0.0f);
    return;
  }
  const float one = network_sums_[2 * place_.node() + 1], zero = network_sums_[2 * place_.node()];
  const float logit = clamped(logarithm((one + 1e-9f) / (zero + 1e-9f)), largest_logit);
  sureness_ = std::size_t(int(logit * 2.0f) + 32);  // from 8 to 56
  add(logit);
  add((squash(logit) - 0.5f) * 4.0f);
}

std::array<std::size_t, Predictor::set_count> Predictor::selectors() {
  const std::size_t length =
      matches_[1].has_match() ? matches_[1].length_step() : matches_[0].length_step();
  const bool agrees = used_expectations_[0] != nullptr || used_expectations_[1] != nullptr;
  const std::size_t depth = smaller(place_.depth, 7), node = place_.node();
  const std::size_t folded = node < 256 ? node : hashed(node) >> 40 & 255;
  const std::size_t expected = agrees ? length : 0;
  return {expected << 4 | std::size_t(seen_contexts_),
          folded,
          ring_.last(1) & 255,
          depth << 4 | std::size_t(seen_contexts_),
          ring_.last(2) & 255,
          sureness_ << 4 | expected};
}

std::uint32_t Predictor::predict() {
  if (place_.needs_buckets()) find_buckets(true);
  return mixed();
}

std::uint32_t Predictor::predict_at(Place& place) {
  const Place here = std::exchange(place_, place);
  if (place_.needs_buckets()) find_buckets(false);
  const std::uint32_t probability = mixed();
  place = std::exchange(place_, here);
  return probability;
}

void Predictor::advance(Place& place, int bit) const {
  place.path = place.path << 1 | std::uint32_t(bit), ++place.depth;
  skip_forced(place);
}

std::uint32_t Predictor::mixed() {
  input_at_ = 0, seen_contexts_ = 0;
  for (int i = 0; i < context_count; ++i) add_context(i);
  for (int i = 0; i < match_count; ++i) add_match(i);
  add_network();
  add(0.3f);
  const auto chosen = selectors();
  for (std::size_t i = 0; i < mixers_.size(); ++i)
    mixed_[i] = mixers_[i].mix(inputs_.data(), chosen[i]);
  const float probability = refined() * float(1 << 22);
  const auto whole = static_cast<std::uint32_t>(probability);
  return whole<16 ? 16 : whole>(1u << 22) - 16 ? (1u << 22) - 16 : whole;
}

float Predictor::refined() {
  const std::size_t depth = smaller(place_.depth, 15);
  const float logit = final_mixer_.mix(mixed_.data(), depth << 4 | std::size_t(seen_contexts_));
  const std::uint64_t last = hashed(ring_.last(1), place_.node());
  const std::uint64_t two = hashed(last, ring_.last(2));
  const float first = by_last_.refine(logit, last >> 30);
  const float second = by_two_.refine(logit, two >> 30);
  return (final_mixer_.probability() * 2.0f + first + second) * 0.25f;
}

void Predictor::update(int bit) {
  final_mixer_.update(mixed_.data(), bit);
  for (Mixer& mixer : mixers_) mixer.update(inputs_.data(), bit);
  by_last_.update(bit), by_two_.update(bit);
  const int at = histories_at();
  for (int i = 0; i < context_count; ++i) {
    used_maps_[i]->update(bit, 255);
    BitHistory history = BitHistory::from_bits(place_.buckets[i][at]);
    history.update(bit);
    place_.buckets[i][at] = history.bits();
  }
  for (int i = 0; i < match_count; ++i) {
    matches_[i].update(bit);
    if (used_expectations_[i] != nullptr) used_expectations_[i]->update(bit, 1023);
  }
  advance(place_, bit);
}

void Predictor::end() {
  ring_.push(place_.path);
  const std::uint32_t letter = settings_.letters[place_.path];
  if (int(place_.path) == settings_.boundary) {
    word_ = 0, last_word_ = 0;
  } else if (letter > 0) {
    word_ = hashed(word_, letter);
  } else if (word_ != 0) {
    last_word_ = word_, word_ = 0;
  }
  for (MatchModel& match : matches_) match.find(ring_);
}

}  // namespace ricorda::mixing
