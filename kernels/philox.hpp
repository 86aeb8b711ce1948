// Philox 4x64 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
//
// Counter-based: number i of a key is computed from i and the key alone, so that what a stream
// draws depends on nothing but its own key and how much it has drawn. The numbers are those of
// numpy.random.Philox(key=[seed, stream]).random_raw().
#pragma once

#include <array>
#include <cstdint>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace ricorda {

class Philox {
 public:
  Philox(std::uint64_t seed, std::uint64_t stream) : key_{seed, stream} {}

  std::uint64_t next() {
    if (drawn_ % 4 == 0) block_ = compute_block(drawn_ / 4 + 1);
    return block_[drawn_++ % 4];
  }

  // In [0, 1), from the upper 53 bits.
  double next_uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  using Block = std::array<std::uint64_t, 4>;
  struct Wide {
    std::uint64_t high, low;
  };

  static Wide multiply(std::uint64_t a, std::uint64_t b) {
#if defined(__SIZEOF_INT128__)
    const auto product = static_cast<unsigned __int128>(a) * b;
    return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product)};
#else
    return {__umulh(a, b), a * b};
#endif
  }

  Block compute_block(std::uint64_t number) const {
    Block counter{number, 0, 0, 0};
    std::uint64_t first_key = key_[0], second_key = key_[1];
    for (int round = 0; round < 10; ++round) {
      const Wide first = multiply(0xD2E7470EE14C6C93u, counter[0]);
      const Wide second = multiply(0xCA5A826395121157u, counter[2]);
      counter = {second.high ^ counter[1] ^ first_key, second.low,
                 first.high ^ counter[3] ^ second_key, first.low};
      first_key += 0x9E3779B97F4A7C15u;
      second_key += 0xBB67AE8584CAA73Bu;
    }
    return counter;
  }

  std::array<std::uint64_t, 2> key_;
  std::uint64_t drawn_ = 0;
  Block block_{};
};

}  // namespace ricorda
