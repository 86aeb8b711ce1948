// Which symbols may follow which: the characters and words that a text may hold.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace ricorda {

// A finite automaton over symbols. Each of its N states lists the symbols that it treats specially,
// so that its size does not depend on the vocabulary. Without states, everything may be written.
struct Constraint {
  static constexpr std::int32_t forbidden = -1;

  std::int32_t start = 0;
  std::vector<std::uint32_t> begins;    // (N + 1) where the special symbols of each state begin
  std::vector<std::uint32_t> symbols;   // ascending in each state
  std::vector<std::int32_t> next;       // the state after each of them, or forbidden
  std::vector<std::int32_t> otherwise;  // (N) the state after any other symbol, or forbidden

  bool empty() const { return otherwise.empty(); }

  // Throws std::invalid_argument unless the arrays fit together.
  void check(int vocabulary_size) const {
    if (empty()) return;
    const auto states = static_cast<std::int32_t>(otherwise.size());
    const auto is_state = [&](std::int32_t state) { return state >= forbidden && state < states; };
    bool fits = start >= 0 && start < states && begins.size() == otherwise.size() + 1 &&
                begins.front() == 0 && begins.back() == symbols.size() &&
                symbols.size() == next.size();
    for (std::size_t state = 0; fits && state < otherwise.size(); ++state) {
      fits = is_state(otherwise[state]) && begins[state] <= begins[state + 1] &&
             begins[state + 1] <= symbols.size();
      bool some = otherwise[state] != forbidden &&
                  begins[state + 1] - begins[state] < std::uint32_t(vocabulary_size);
      for (std::uint32_t i = begins[state]; fits && i < begins[state + 1]; ++i) {
        fits = symbols[i] < std::uint32_t(vocabulary_size) && is_state(next[i]) &&
               (i == begins[state] || symbols[i - 1] < symbols[i]);
        some = some || next[i] != forbidden;
      }
      fits = fits && some;
    }
    if (!fits)
      throw std::invalid_argument(
          "constraint must be an automaton that permits a symbol in each "
          "state");
  }

  std::int32_t after(std::int32_t state, std::uint32_t symbol) const {
    for (std::uint32_t i = begins[state]; i < begins[state + 1]; ++i)
      if (symbols[i] == symbol) return next[i];
    return otherwise[state];
  }

  // Sets the scores (V) of the symbols that may not follow to minus infinity.
  void forbid(std::int32_t state, float* scores, int vocabulary_size) const {
    constexpr float none = -std::numeric_limits<float>::infinity();
    std::uint32_t i = begins[state];
    const std::uint32_t end = begins[state + 1];
    if (otherwise[state] != forbidden) {
      for (; i < end; ++i)
        if (next[i] == forbidden) scores[symbols[i]] = none;
      return;
    }
    for (int id = 0; id < vocabulary_size; ++id) {
      const bool special = i < end && symbols[i] == static_cast<std::uint32_t>(id);
      if (!special || next[i] == forbidden) scores[id] = none;
      if (special) ++i;
    }
  }
};

}  // namespace ricorda
