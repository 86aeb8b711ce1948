#include "sampling.hpp"

#include <algorithm>
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

// How many nats below the most likely symbol the least likely one to keep is first looked for, and
// how often a fifth of that range is taken. What is left holds few symbols, which are sorted.
constexpr float first_nats[] = {32.0f, 4.0f, 1.0f, 0.25f};
constexpr int divisions = 3;

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
      members_(padded(vocabulary_size)),
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
  routines_.drop_below(weights, count, least_weight, weights);
  return total;
}

// Gives the symbols that the settings leave out a weight of 0; returns the sum of the others.
double Sampler::filter(const SamplingSettings& settings, float largest, float inverse) {
  const int count = static_cast<int>(weights_.size());
  float* weights = weights_.data();
  if (settings.top_k > 0 && settings.top_k < vocabulary_size_)
    keep_fewest(settings.top_k, ones_.data(), largest, inverse);
  if (settings.top_p < 1.0)  // Holtzman et al., 2020
    keep_fewest(settings.top_p * routines_.total(weights, count), weights, largest, inverse);
  if (settings.min_p > 0.0)  // the largest weight is 1
    routines_.drop_below(weights, count, static_cast<float>(settings.min_p), weights);
  return routines_.total(weights, count);
}

// Keeps the fewest symbols, the most likely first, whose measures (Vp) add up to `wanted`. The
// lower id is the likelier of two equals.
void Sampler::keep_fewest(double wanted, const float* measures, float largest, float inverse) {
  constexpr int edges = 4;  // that are tried at once
  const float infinite = std::numeric_limits<float>::infinity();
  float tried[edges], totals[edges];
  for (int i = 0; i < edges; ++i) tried[i] = largest - first_nats[i] / inverse;
  Range range{std::numeric_limits<float>::lowest(), std::nextafter(largest, infinite), 0.0f};
  for (int division = 0;; ++division) {
    routines_.totals_from(scores_.data(), measures, static_cast<int>(scores_.size()), tried,
                          totals);
    int reached = 0;  // how many of them are low enough
    while (reached < edges && totals[reached] >= wanted) ++reached;
    if (reached > 0) range.low = tried[reached - 1];
    if (reached < edges) range.high = tried[reached], range.above = totals[reached];
    if (division == divisions) break;
    for (int i = 0; i < edges; ++i) {
      const float share = static_cast<float>(i + 1) / (edges + 1);
      tried[i] = std::clamp((1 - share) * range.low + share * range.high, range.low, range.high);
    }
  }
  keep_above(wanted, measures, range);
}

// The same, where the last symbol to keep has a score of this range.
void Sampler::keep_above(double wanted, const float* measures, const Range& range) {
  const float* scores = scores_.data();
  const int count = static_cast<int>(scores_.size());
  const auto members = members_.begin();
  const auto end =
      members + routines_.places_between(scores, count, range.low, range.high, members_.data());
  std::sort(members, end, [=](std::uint32_t a, std::uint32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  double reached = range.above;
  auto last = members;
  while (last != end && (reached += measures[*last]) < wanted) ++last;
  if (last == end) return;
  routines_.drop_below(scores, count, scores[*last], weights_.data());
  for (auto equal = last + 1; equal != end && scores[*equal] == scores[*last]; ++equal)
    weights_[*equal] = 0.0f;
}

// The sum of the `row_block` weights from `first` on.
double Sampler::sum_of_block(std::size_t first) const {
  constexpr std::size_t lanes = 8;  // so that no addition waits for the one before
  const float* weights = weights_.data() + first;
  double sums[lanes] = {};
  for (std::size_t id = 0; id < row_block; id += lanes)
    for (std::size_t i = 0; i < lanes; ++i) sums[i] += weights[id + i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// The first symbol with which the weights add up to more than `wanted`.
std::uint32_t Sampler::pick(double wanted) const {
  double cumulative = 0.0;
  std::size_t id = 0;
  for (; id + row_block < weights_.size(); id += row_block) {
    const double with_block = cumulative + sum_of_block(id);
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
