#include "sampling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace ricorda {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double largest_score = 1e38;    // keeps an extreme penalty from making infinities
constexpr double extreme_inverse = 1e30;  // of the temperature
constexpr float least_weight = 4e-38f;  // what `exponentials` gives for all that is less than that

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
      seen_(vocabulary_size) {
  std::fill_n(scores_.data(), scores_.size(), -std::numeric_limits<float>::infinity());
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

  double total = weigh(largest, settings.temperature);
  if (settings.top_k > 0 || settings.top_p < 1.0 || settings.min_p > 0.0) {
    gather_candidates();
    if (settings.top_k > 0) keep_top_k(settings.top_k);
    if (settings.top_p < 1.0) keep_nucleus(settings.top_p);
    for (int id = 0; id < vocabulary_size_; ++id)  // the largest weight is 1
      if (weights_[id] < settings.min_p) weights_[id] = 0.0f;
    total = std::accumulate(weights_.data(), weights_.data() + vocabulary_size_, 0.0);
  }
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

// weights = exp((scores - largest) / temperature), exactly 0 where that is hardly a number any
// more; returns their sum.
float Sampler::weigh(float largest, double temperature) {
  const auto inverse =
      static_cast<float>(std::clamp(1.0 / temperature, 1.0 / extreme_inverse, extreme_inverse));
  const int count = static_cast<int>(weights_.size());
  float* weights = weights_.data();
  const float* scores = scores_.data();
  for (int id = 0; id < count; ++id) weights[id] = (scores[id] - largest) * inverse;
  const float total = routines_.exponentials(weights, count, 0.0f, weights);
  for (int id = 0; id < count; ++id) weights[id] = weights[id] < least_weight ? 0.0f : weights[id];
  return total;
}

void Sampler::gather_candidates() {
  candidates_.clear();
  for (std::uint32_t id = 0; id < static_cast<std::uint32_t>(vocabulary_size_); ++id)
    if (weights_[id] > 0.0f) candidates_.push_back({scores_[id], id, weights_[id]});
}

void Sampler::keep_top_k(int top_k) {
  const std::size_t kept = top_k;
  if (kept >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + kept, candidates_.end());
  for (std::size_t i = kept; i < candidates_.size(); ++i) weights_[candidates_[i].id] = 0.0f;
  candidates_.resize(kept);
}

// Keeps the fewest symbols, likeliest first, that reach top_p together (Holtzman et al., 2020).
void Sampler::keep_nucleus(double top_p) {
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  // All that weigh less than this come to at most half of what may be left out: no need to sort
  // them, and they are nearly all of a large vocabulary.
  const double least = 0.5 * (1.0 - top_p) * total / static_cast<double>(candidates_.size());
  const auto middle = std::partition(candidates_.begin(), candidates_.end(),
                                     [&](const Candidate& c) { return c.weight >= least; });
  std::sort(candidates_.begin(), middle);
  double reached = 0.0;
  for (const Candidate& candidate : candidates_) {
    if (reached >= top_p * total) weights_[candidate.id] = 0.0f;
    reached += candidate.weight;
  }
}

// The first symbol with which the weights add up to more than `wanted`.
std::uint32_t Sampler::pick(double wanted) const {
  double cumulative = 0.0;
  std::uint32_t last = 0;
  for (int id = 0; id < vocabulary_size_; ++id) {
    if (weights_[id] == 0.0f) continue;
    last = static_cast<std::uint32_t>(id);
    cumulative += weights_[id];
    if (cumulative > wanted) return last;
  }
  return last;  // rounding took `wanted` beyond the sum
}

}  // namespace ricorda
