// Probabilities of bits and their logits, with the same bits on every machine: additions,
// multiplications and divisions in a fixed order, and no function of the C library.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace ricorda::mixing {

constexpr int probability_bits = 22;    // of a prediction that is coded
constexpr float largest_logit = 12.0f;  // the surest prediction: one bit in 160,000 is wrong

// e^x for |x| below 80.
inline float exponential(float x) {
  const float scaled = x * 1.44269504f;
  const int whole = static_cast<int>(scaled + (scaled < 0 ? -0.5f : 0.5f));
  const float part = x - static_cast<float>(whole) * 0.693359375f +
                     static_cast<float>(whole) * 2.12194440e-4f;  // x - whole ln 2, in two steps
  float power = 1.0f / 720.0f;  // Taylor's series: |part| is below 0.35
  for (const float divided : {1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f})
    power = power * part + divided;
  return power * std::bit_cast<float>(static_cast<std::uint32_t>(whole + 127) << 23);
}

// ln x for normal x above 0.
inline float logarithm(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  int exponent = static_cast<int>(bits >> 23) - 127;
  float mantissa = std::bit_cast<float>((bits & 0x7fffff) | 0x3f800000);  // from 1 to 2
  if (mantissa > 1.41421356f) mantissa *= 0.5f, ++exponent;
  const float ratio = (mantissa - 1.0f) / (mantissa + 1.0f), square = ratio * ratio;
  float series = 1.0f / 9.0f;  // 2 artanh(ratio)
  for (const float divided : {1.0f / 7.0f, 1.0f / 5.0f, 1.0f / 3.0f, 1.0f})
    series = series * square + divided;
  return 2.0f * ratio * series + static_cast<float>(exponent) * 0.693147181f;
}

// The probability of a bit, where that of a one is `one` of probability_bits.
inline double probability_of(int bit, std::uint32_t one) {
  const double probability = one / double(1 << probability_bits);
  return bit ? probability : 1.0 - probability;
}

inline float clamped(float x, float most) { return x > most ? most : x < -most ? -most : x; }

// The probability of a logit.
inline float squash(float logit) { return 1.0f / (1.0f + exponential(-logit)); }

inline float stretch(float probability) { return logarithm(probability / (1.0f - probability)); }

// Logits of the probabilities (i + 0.5) / 4096.
class StretchTable {
 public:
  StretchTable() {
    for (int i = 0; i < 4096; ++i) logits_[i] = stretch((static_cast<float>(i) + 0.5f) / 4096.0f);
  }
  // `probability` of 16 bits.
  float operator[](std::uint32_t probability) const { return logits_[probability >> 4]; }

 private:
  std::array<float, 4096> logits_;
};

inline const StretchTable stretch_table;

}  // namespace ricorda::mixing
