#include "mixing/predictor.hpp"

#include <bit>

namespace ricorda::mixing {
namespace {

constexpr int most_ring_bits = 22, most_match_bits = 20, most_refinement_bits = 16;
constexpr std::array<int, 8> orders{1, 2, 3, 4, 5, 6, 7, 9};
constexpr std::array<int, 2> match_lengths{5, 9};

int smaller(int a, int b) { return a < b ? a : b; }

}  // namespace

std::vector<std::uint32_t> letters_of_bytes() {
  std::vector<std::uint32_t> letters(256);
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    if (byte >= 'a' && byte <= 'z') letters[byte] = byte;
    if (byte >= 'A' && byte <= 'Z') letters[byte] = byte + 32;
    if (byte >= 128) letters[byte] = byte;
  }
  return letters;
}

Predictor::Predictor(const PredictorSettings& settings)
    : settings_(settings),
      depth_end_(std::bit_width(std::uint32_t(settings.vocabulary_size - 1))),
      ring_(smaller(settings.table_bits, most_ring_bits)),
      table_(settings.table_bits),
      state_maps_(std::size_t{context_count} * history_states),
      expectations_(match_count * 16 * 1024, AdaptiveProbability()),
      network_sums_(settings.network_size > 0 ? std::size_t{2} << depth_end_ : 0),
      final_mixer_(lanes, 256, 1.0f / set_count, 0.005f, 0.0005f),
      by_last_(std::size_t{1} << smaller(settings.table_bits, most_refinement_bits)),
      by_two_(std::size_t{1} << smaller(settings.table_bits, most_refinement_bits)) {
  for (std::size_t i = 0; i < state_maps_.size(); ++i)
    state_maps_[i].set(first_guess(std::uint32_t(i % history_states)), 4);
  for (const int length : match_lengths)
    matches_.emplace_back(length, smaller(settings.table_bits, most_match_bits));
  constexpr float weight = 0.18f, rate = 0.02f, least = 0.0015f;
  for (const std::size_t contexts : {2048, 256, 256, 1024, 256})
    mixers_.emplace_back(input_count, contexts, weight, rate, least);
}

void Predictor::begin(const float* network) {
  depth_ = 0, path_ = 0;
  has_network_ = network != nullptr && settings_.network_size > 0;
  if (has_network_) sum_network(network);
  find_contexts();
  bucket_depth_ = -1;
  skip_forced();
}

void Predictor::skip_forced() {
  while (depth_ < depth_end_) {
    const std::uint32_t first_one = (path_ << 1 | 1) << (depth_end_ - 1 - depth_);
    if (first_one < std::uint32_t(settings_.vocabulary_size)) break;
    path_ <<= 1, ++depth_;
  }
}

void Predictor::find_contexts() {
  std::uint64_t hash = 0;
  int back = 0;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    for (; back < orders[i]; ++back) hash = hashed(hash, ring_.last(back + 1) + 1);
    contexts_[i] = hashed(hash, i);
  }
  contexts_[8] = hashed(hashed(word_, 101), ring_.last(1));
  contexts_[9] = hashed(hashed(word_, last_word_), 102);
  contexts_[10] = hashed(hashed(ring_.last(2), ring_.last(3)), 103);
}

void Predictor::find_buckets() {
  const std::uint64_t node_hash = hashed(node(), 7);
  for (std::uint64_t& context : contexts_) context = hashed(context, node_hash);
  for (const std::uint64_t context : contexts_) table_.prefetch(context);
  for (int i = 0; i < context_count; ++i) buckets_[i] = table_.find(contexts_[i]);
  bucket_depth_ = depth_;
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
  const int within = depth_ - bucket_depth_;
  const std::uint32_t place = (1u << within) - 1 + (path_ & ((1u << within) - 1));
  const BitHistory history = BitHistory::from_bits(buckets_[number][place]);
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
  const int left = depth_end_ - depth_;
  if (match.has_match() && match.expected(ring_) >> left == path_) {
    const std::uint32_t expected = match.expected(ring_);
    const int bit = expected >> (left - 1) & 1;
    add(match.logit(bit));
    const std::size_t context =
        std::size_t(match.length_step()) << 10 | (hashed(expected, depth_) >> 40 & 1023);
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
    add(0.0f), add(0.0f);
    return;
  }
  const float one = network_sums_[2 * node() + 1], zero = network_sums_[2 * node()];
  const float logit = clamped(logarithm((one + 1e-9f) / (zero + 1e-9f)), largest_logit);
  add(logit);
  add((squash(logit) - 0.5f) * 4.0f);
}

std::array<std::size_t, Predictor::set_count> Predictor::selectors() {
  const std::size_t length =
      matches_[1].has_match() ? matches_[1].length_step() : matches_[0].length_step();
  const bool agrees = used_expectations_[0] != nullptr || used_expectations_[1] != nullptr;
  const std::size_t depth = smaller(depth_, 7);
  const std::size_t folded = node() < 256 ? node() : hashed(node()) >> 40 & 255;
  return {(agrees ? length : 0) << 4 | std::size_t(seen_contexts_), folded, ring_.last(1) & 255,
          depth << 4 | std::size_t(seen_contexts_), ring_.last(2) & 255};
}

std::uint32_t Predictor::predict() {
  if (bucket_depth_ < 0 || depth_ - bucket_depth_ >= 4) find_buckets();
  input_at_ = 0, seen_contexts_ = 0;
  for (int i = 0; i < context_count; ++i) add_context(i);
  for (int i = 0; i < match_count; ++i) add_match(i);
  add_network();
  add(0.3f);
  const auto chosen = selectors();
  for (int i = 0; i < set_count; ++i) mixed_[i] = mixers_[i].mix(inputs_.data(), chosen[i]);
  const float probability = refined() * float(1 << 22);
  const auto whole = static_cast<std::uint32_t>(probability);
  return whole<16 ? 16 : whole>(1u << 22) - 16 ? (1u << 22) - 16 : whole;
}

float Predictor::refined() {
  const std::size_t depth = smaller(depth_, 15);
  const float logit = final_mixer_.mix(mixed_.data(), depth << 4 | std::size_t(seen_contexts_));
  const std::uint64_t last = hashed(ring_.last(1), node());
  const std::uint64_t two = hashed(last, ring_.last(2));
  const float first = by_last_.refine(logit, last >> 30);
  const float second = by_two_.refine(logit, two >> 30);
  return (final_mixer_.probability() * 2.0f + first + second) * 0.25f;
}

void Predictor::update(int bit) {
  final_mixer_.update(mixed_.data(), bit);
  for (Mixer& mixer : mixers_) mixer.update(inputs_.data(), bit);
  by_last_.update(bit), by_two_.update(bit);
  const int within = depth_ - bucket_depth_;
  const std::uint32_t place = (1u << within) - 1 + (path_ & ((1u << within) - 1));
  for (int i = 0; i < context_count; ++i) {
    used_maps_[i]->update(bit, 255);
    BitHistory history = BitHistory::from_bits(buckets_[i][place]);
    history.update(bit);
    buckets_[i][place] = history.bits();
  }
  for (int i = 0; i < match_count; ++i) {
    matches_[i].update(bit);
    if (used_expectations_[i] != nullptr) used_expectations_[i]->update(bit, 1023);
  }
  path_ = path_ << 1 | std::uint32_t(bit), ++depth_;
  skip_forced();
}

void Predictor::end() {
  ring_.push(path_);
  const std::uint32_t letter = settings_.letters[path_];
  if (letter > 0) {
    word_ = hashed(word_, letter);
  } else if (word_ != 0) {
    last_word_ = word_, word_ = 0;
  }
  for (MatchModel& match : matches_) match.find(ring_);
}

}  // namespace ricorda::mixing
