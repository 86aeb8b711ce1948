// What is remembered of the bits that followed a context: 32 bits.
//
// A probability (16 bits) that is the mean of the first bits and then follows the later ones; how
// many there were (4 bits, to a limit); and a history (12 bits): the numbers of zeros and of ones,
// where a bit takes from the opposite number what is old, and the last four bits.
#pragma once

#include <cstdint>

#include "mixing/adaptive_map.hpp"

namespace ricorda::mixing {

constexpr std::uint32_t history_states = 4096;

class BitHistory {
 public:
  static BitHistory from_bits(std::uint32_t bits) {
    BitHistory history;
    history.bits_ = bits;
    return history;
  }
  std::uint32_t bits() const { return bits_; }
  std::uint32_t probability() const { return bits_ >> 16; }
  std::uint32_t count() const { return bits_ & 15; }
  std::uint32_t state() const { return bits_ >> 4 & 4095; }

  void update(int bit) {
    const std::uint32_t seen = count();
    const std::int32_t now = probability(), target = bit ? 65535 : 0;
    const std::int32_t share = static_cast<std::int32_t>(shares[rate_of[seen]]);
    const std::int32_t moved =
        now + static_cast<std::int32_t>(std::int64_t{target - now} * share / 65536);
    const std::uint32_t next = seen < 15 ? seen + 1 : 15;
    bits_ = static_cast<std::uint32_t>(moved) << 16 | next_state(state(), bit) << 4 | next;
  }

  static std::uint32_t zeros(std::uint32_t state) { return state >> 8; }
  static std::uint32_t ones(std::uint32_t state) { return state >> 4 & 15; }

 private:
  static constexpr std::uint32_t rate_of[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 12, 14, 17, 20, 24};

  static std::uint32_t next_state(std::uint32_t state, int bit) {
    std::uint32_t same = bit ? ones(state) : zeros(state);
    std::uint32_t other = bit ? zeros(state) : ones(state);
    if (same < 15) ++same;
    if (other > 2) other = other_after[other];
    const std::uint32_t last = (state << 1 | std::uint32_t(bit)) & 15;
    return (bit ? other << 8 | same << 4 : same << 8 | other << 4) | last;
  }
  static constexpr std::uint32_t other_after[16] = {0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7};

  std::uint32_t bits_ = 1u << 31;
};

// The expected probability of a history of which nothing is known yet.
inline float first_guess(std::uint32_t state) {
  const float zeros = static_cast<float>(BitHistory::zeros(state)) + 0.4f;
  const float ones = static_cast<float>(BitHistory::ones(state)) + 0.4f;
  return ones / (zeros + ones);
}

}  // namespace ricorda::mixing
