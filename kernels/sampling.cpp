#include "sampling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace ricorda {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double largest_score = 1e38;    // keeps an extreme penalty from making infinities
constexpr double extreme_inverse = 1e30;  // of the temperature
constexpr float least_weight = 4e-38f;  // what `exponentials` gives for all that is less than that

// Where the search for the least likely symbol to keep begins, in nats below the most likely, and
// how often it takes a quarter of that range. What is left holds few symbols, which are sorted.
constexpr float searched_nats = 32.0f;
constexpr int quarterings = 6;

void expect(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

}  // namespace

void SamplingSettings::check(int vocabulary_size) const {
  expect(repetition_penalty > 0 && repetition_penalty < infinity,
         "repetition_penalty must be a number above 0");
  expect(repetition_window >= 1, "repetition_window must be at least 1");
  expect(std::abs(presence_penalty) < infinity && std::abs(frequency_penalty) < infinity,
         "presence_penalty and frequency_penalty must be numbers");
  expect(bias.empty() || bias.size() == static_cast<std::size_t>(vocabulary_size),
         "bias must have a number for each symbol of the vocabulary");
  expect(std::all_of(bias.begin(), bias.end(), [](float each) { return std::isfinite(each); }),
         "bias must hold finite numbers");
  constraint.check(vocabulary_size);
  expect(temperature >= 0 && temperature < infinity, "temperature must be a number, at least 0");
  expect(top_k >= 0, "top_k must be at least 0");
  expect(top_p > 0 && top_p <= 1, "top_p must be above 0 and at most 1");
  expect(min_p >= 0 && min_p <= 1, "min_p must be from 0 to 1");
}

Sampler::Sampler(const Routines& routines, int vocabulary_size)
    : routines_(routines),
      vocabulary_size_(vocabulary_size),
      scores_(padded(vocabulary_size)),
      weights_(padded(vocabulary_size)),
      ones_(padded(vocabulary_size)),
      inside_(padded(vocabulary_size)),
      seen_(vocabulary_size) {
  std::fill_n(scores_.data(), scores_.size(), -std::numeric_limits<float>::infinity());
  std::fill_n(ones_.data(), ones_.size(), 1.0f);
}

std::uint32_t Sampler::choose(const float* logits, const SamplingSettings& settings,
                              const std::deque<std::uint32_t>& recent,
                              const std::vector<std::uint32_t>& written,
                              std::int32_t constraint_state, double uniform) {
  float* scores = scores_.data();
  std::copy_n(logits, vocabulary_size_, scores);
  if (settings.repetition_penalty != 1.0) penalise(settings.repetition_penalty, recent);
  if (!settings.bias.empty() || settings.counts_symbols()) discount(settings, written);
  if (!settings.constraint.empty())
    settings.constraint.forbid(constraint_state, scores, vocabulary_size_);
  const float largest = routines_.largest(scores, static_cast<int>(scores_.size()));
  if (settings.chooses_the_best())
    return static_cast<std::uint32_t>(std::find(scores, scores + vocabulary_size_, largest) -
                                      scores);

  const auto inverse = static_cast<float>(
      std::clamp(1.0 / settings.temperature, 1.0 / extreme_inverse, extreme_inverse));
  double total = weigh(largest, inverse);
  if (settings.top_k > 0 || settings.top_p < 1.0 || settings.min_p > 0.0)
    total = filter(settings, largest, inverse);
  return pick(uniform * total);
}

// Lowers the scores of the symbols seen lately, each once (Keskar et al., 2019).
void Sampler::penalise(double penalty, const std::deque<std::uint32_t>& recent) {
  for (const std::uint32_t id : recent) seen_[id] = 1;
  for (const std::uint32_t id : recent) {
    if (seen_[id] == 0) continue;
    seen_[id] = 0;
    const double score = scores_[id] > 0 ? scores_[id] / penalty : scores_[id] * penalty;
    scores_[id] = static_cast<float>(std::clamp(score, -largest_score, largest_score));
  }
}

// Adds the bias; takes off what a symbol's having been written costs.
void Sampler::discount(const SamplingSettings& settings,
                       const std::vector<std::uint32_t>& written) {
  for (int id = 0; id < vocabulary_size_; ++id) {
    double score = scores_[id];
    if (!settings.bias.empty()) score += settings.bias[id];
    if (settings.counts_symbols() && written[id] > 0)
      score -= settings.presence_penalty + settings.frequency_penalty * written[id];
    scores_[id] = static_cast<float>(std::clamp(score, -largest_score, largest_score));
  }
}

// weights = exp((scores - largest) * inverse), exactly 0 where that is hardly a number any more;
// returns their sum.
float Sampler::weigh(float largest, float inverse) {
  const int count = static_cast<int>(weights_.size());
  float* weights = weights_.data();
  const float* scores = scores_.data();
  for (int id = 0; id < count; ++id) weights[id] = (scores[id] - largest) * inverse;
  const float total = routines_.exponentials(weights, count, 0.0f, weights);
  for (int id = 0; id < count; ++id) weights[id] = weights[id] < least_weight ? 0.0f : weights[id];
  return total;
}

// Gives the symbols that the settings leave out a weight of 0; returns the sum of the others.
double Sampler::filter(const SamplingSettings& settings, float largest, float inverse) {
  const float low = largest - searched_nats / inverse;
  const float high = std::nextafter(largest, std::numeric_limits<float>::infinity());
  if (settings.top_k > 0 && settings.top_k < vocabulary_size_)
    keep_fewest(settings.top_k, ones_.data(), low, high);
  if (settings.top_p < 1.0)  // Holtzman et al., 2020
    keep_fewest(settings.top_p * sum(0, weights_.size()), weights_.data(), low, high);
  if (settings.min_p > 0.0) drop_below(static_cast<float>(settings.min_p));
  return sum(0, weights_.size());
}

// The largest weight is 1.
void Sampler::drop_below(float least) {
  float* weights = weights_.data();
  for (std::size_t id = 0; id < weights_.size(); ++id)
    weights[id] = weights[id] < least ? 0.0f : weights[id];
}

// The sum of `count` weights, a multiple of row_block.
double Sampler::sum(std::size_t first, std::size_t count) const {
  constexpr std::size_t lanes = 8;  // so that no addition waits for the one before
  const float* weights = weights_.data() + first;
  double sums[lanes] = {};
  for (std::size_t id = 0; id < count; id += lanes)
    for (std::size_t i = 0; i < lanes; ++i) sums[i] += weights[id + i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// Keeps the fewest symbols, the most likely first, whose measures (Vp) add up to `wanted`. The
// lower id is the likelier of two equals. The score of the last one is looked for from `low` to
// below `high`.
void Sampler::keep_fewest(double wanted, const float* measures, float low, float high) {
  const auto count = static_cast<int>(scores_.size());
  const float all = std::numeric_limits<float>::lowest();
  float totals[4] = {};  // of the symbols from each of the four scores on
  routines_.totals_from(scores_.data(), measures, count, std::array{low, low, low, low}.data(),
                        totals);
  if (totals[0] < wanted) low = all;
  double reached = 0.0;  // with the symbols from `high` on
  for (int i = 0; i < quarterings; ++i) {
    const float edges[] = {low, 0.75f * low + 0.25f * high, 0.5f * low + 0.5f * high,
                           0.25f * low + 0.75f * high, high};
    routines_.totals_from(scores_.data(), measures, count, edges + 1, totals);
    const int quarter = (totals[0] >= wanted) + (totals[1] >= wanted) + (totals[2] >= wanted);
    low = edges[quarter];
    high = edges[quarter + 1];
    reached = totals[quarter];
  }
  gather_members(low, high);
  for (const std::uint32_t member : members_) {
    reached += measures[member];
    if (reached >= wanted) return drop_after(member);
  }
}

// Lists the symbols whose scores lie from `low` to below `high`, the most likely first.
void Sampler::gather_members(float low, float high) {
  members_.clear();
  const float* scores = scores_.data();
  std::int32_t* inside = inside_.data();
  const std::size_t count = scores_.size();
  for (std::size_t id = 0; id < count; ++id) inside[id] = (scores[id] >= low) & (scores[id] < high);
  for (std::size_t first = 0; first < count; first += 4) {
    if ((inside[first] | inside[first + 1] | inside[first + 2] | inside[first + 3]) == 0) continue;
    for (std::size_t id = first; id < first + 4; ++id)
      if (inside[id] != 0) members_.push_back(static_cast<std::uint32_t>(id));
  }
  std::sort(members_.begin(), members_.end(), [=](std::uint32_t a, std::uint32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
}

// Gives a weight of 0 to all symbols that are less likely than `last`.
void Sampler::drop_after(std::uint32_t last) {
  const float least = scores_[last];
  float* weights = weights_.data();
  const float* scores = scores_.data();
  const auto count = static_cast<std::uint32_t>(weights_.size());
  for (std::uint32_t id = 0; id < count; ++id) {
    const bool dropped = (scores[id] < least) | ((scores[id] == least) & (id > last));
    weights[id] = dropped ? 0.0f : weights[id];
  }
}

// The first symbol with which the weights add up to more than `wanted`.
std::uint32_t Sampler::pick(double wanted) const {
  double cumulative = 0.0;
  std::size_t id = 0;
  for (; id + row_block < weights_.size(); id += row_block) {
    const double with_block = cumulative + sum(id, row_block);
    if (with_block > wanted) break;
    cumulative = with_block;
  }
  for (; id < weights_.size(); ++id) {
    cumulative += weights_[id];
    if (cumulative > wanted) return static_cast<std::uint32_t>(id);
  }
  while (weights_[--id] == 0.0f) continue;  // rounding took `wanted` beyond the sum
  return static_cast<std::uint32_t>(id);
}

}  // namespace ricorda
