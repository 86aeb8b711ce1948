// Four floats in plain C++, which compilers turn into SSE2, NEON or whatever there is.
// See vector.hpp for the meaning of the names.
#pragma once

#include <math.h>

namespace ricorda::RICORDA_SET {

constexpr int width = 4;
constexpr int tile_alone = 8;
#if defined(__aarch64__)
constexpr int tile_vectors = 4;  // 32 vector registers
constexpr int tile_streams = 5;
#else
constexpr int tile_vectors = 2;  // 16
constexpr int tile_streams = 5;
#endif

// Vectors of 16 bytes, with the operators of their elements lane by lane.
#if defined(__GNUC__)  // also clang: part of the language there
template <class Element>
struct LanesOf;
template <>
struct LanesOf<float> {
  using type = float __attribute__((vector_size(16)));
};
template <>
struct LanesOf<std::int32_t> {
  using type = std::int32_t __attribute__((vector_size(16)));
};
template <>
struct LanesOf<std::int16_t> {
  using type = std::int16_t __attribute__((vector_size(16)));
};
template <class Element>
using Lanes = typename LanesOf<Element>::type;
#else
template <class Element>
struct Lanes {
  Element values[16 / sizeof(Element)];
  RICORDA_INLINE Element& operator[](int lane) { return values[lane]; }
  RICORDA_INLINE Element operator[](int lane) const { return values[lane]; }
};
#define RICORDA_LANEWISE(operation)                                                      \
  template <class Element>                                                               \
  RICORDA_INLINE Lanes<Element> operator operation(Lanes<Element> a, Lanes<Element> b) { \
    for (int lane = 0; lane < int(16 / sizeof(Element)); ++lane)                         \
      a[lane] = static_cast<Element>(a[lane] operation b[lane]);                         \
    return a;                                                                            \
  }                                                                                      \
  template <class Element>                                                               \
  RICORDA_INLINE Lanes<Element> operator operation(Lanes<Element> a, int b) {            \
    for (int lane = 0; lane < int(16 / sizeof(Element)); ++lane)                         \
      a[lane] = static_cast<Element>(a[lane] operation b);                               \
    return a;                                                                            \
  }
RICORDA_LANEWISE(+)
RICORDA_LANEWISE(-)
RICORDA_LANEWISE(*)
RICORDA_LANEWISE(/)
RICORDA_LANEWISE(&)
RICORDA_LANEWISE(<<)
RICORDA_LANEWISE(>>)
#undef RICORDA_LANEWISE
#endif
using FloatLanes = Lanes<float>;
using IntegerLanes = Lanes<std::int32_t>;
using ShortLanes = Lanes<std::int16_t>;  // two to a lane of Integer, the lower half first

struct Float {
  FloatLanes lanes;
};

RICORDA_INLINE Float load(const float* source) {
  Float a;
  std::memcpy(&a.lanes, source, sizeof a.lanes);
  return a;
}
RICORDA_INLINE void store(float* target, Float a) { std::memcpy(target, &a.lanes, sizeof a.lanes); }
RICORDA_INLINE Float broadcast(float value) { return {FloatLanes{value, value, value, value}}; }
RICORDA_INLINE Float operator+(Float a, Float b) { return {a.lanes + b.lanes}; }
RICORDA_INLINE Float operator-(Float a, Float b) { return {a.lanes - b.lanes}; }
RICORDA_INLINE Float operator*(Float a, Float b) { return {a.lanes * b.lanes}; }
RICORDA_INLINE Float operator/(Float a, Float b) { return {a.lanes / b.lanes}; }
RICORDA_INLINE Float fma(Float a, Float b, Float c) {
#if defined(RICORDA_FUSED) || (defined(__aarch64__) && defined(__GNUC__))
  for (int lane = 0; lane < width; ++lane)
    c.lanes[lane] = ::fmaf(a.lanes[lane], b.lanes[lane], c.lanes[lane]);
  return c;
#else  // rounded twice: without the instruction, one rounding would be a slow library call
  return {a.lanes * b.lanes + c.lanes};
#endif
}

// a < b ? a : b, so that a NaN in b comes through; maximum likewise.
RICORDA_INLINE Float minimum(Float a, Float b) {
  for (int lane = 0; lane < width; ++lane)
    b.lanes[lane] = a.lanes[lane] < b.lanes[lane] ? a.lanes[lane] : b.lanes[lane];
  return b;
}
RICORDA_INLINE Float maximum(Float a, Float b) {
  for (int lane = 0; lane < width; ++lane)
    b.lanes[lane] = a.lanes[lane] > b.lanes[lane] ? a.lanes[lane] : b.lanes[lane];
  return b;
}
RICORDA_INLINE Float where_at_least(Float a, Float b, Float values) {
  for (int lane = 0; lane < width; ++lane)
    values.lanes[lane] = a.lanes[lane] >= b.lanes[lane] ? values.lanes[lane] : 0.0f;
  return values;
}
RICORDA_INLINE unsigned lanes_at_least(Float a, Float b) {
  unsigned lanes = 0;
  for (int lane = 0; lane < width; ++lane)
    lanes |= static_cast<unsigned>(a.lanes[lane] >= b.lanes[lane]) << lane;
  return lanes;
}
RICORDA_INLINE Float absolute(Float a) {
  for (int lane = 0; lane < width; ++lane)
    a.lanes[lane] = a.lanes[lane] < 0 ? -a.lanes[lane] : a.lanes[lane];
  return a;
}
// For |a| below 2^22: adding and subtracting 1.5 * 2^23 rounds the fraction away.
RICORDA_INLINE Float round_to_even(Float a) {
  const Float large = broadcast(12582912.0f);
  return (a + large) - large;
}
// The exponent is a whole number from -126 to 127; in place of a NaN, -126.
RICORDA_INLINE Float times_power_of_two(Float a, Float exponent) {
  const Float whole = maximum(exponent, broadcast(-126.0f));
  IntegerLanes biased;
  for (int lane = 0; lane < width; ++lane)
    biased[lane] = static_cast<std::int32_t>(whole.lanes[lane]) + 127;
  return {a.lanes * same_bits<FloatLanes>(biased << 23)};
}
RICORDA_INLINE float sum(Float a) { return (a.lanes[0] + a.lanes[2]) + (a.lanes[1] + a.lanes[3]); }
RICORDA_INLINE float largest(Float a) {
  float result = a.lanes[0];
  for (int lane = 1; lane < width; ++lane) result = result > a.lanes[lane] ? result : a.lanes[lane];
  return result;
}

struct Integer {
  IntegerLanes lanes;
};

RICORDA_INLINE Integer load_lanes(const void* source) {
  Integer a;
  std::memcpy(&a.lanes, source, sizeof a.lanes);
  return a;
}
RICORDA_INLINE Integer zero() { return {IntegerLanes{0, 0, 0, 0}}; }
RICORDA_INLINE Integer load(const std::int32_t* source) { return load_lanes(source); }
RICORDA_INLINE Float to_float(Integer a) {
  Float result;
  for (int lane = 0; lane < width; ++lane) result.lanes[lane] = static_cast<float>(a.lanes[lane]);
  return result;
}
// `width` floats, whole numbers from -127 to 127, to bytes.
RICORDA_INLINE void store_int8(std::int8_t* target, Float a) {
  for (int lane = 0; lane < width; ++lane) target[lane] = static_cast<std::int8_t>(a.lanes[lane]);
}

// bfloat16 weights come in pairs (k, k + 1), one row a 32-bit lane; each is the upper half of a
// float32.
RICORDA_INLINE Float load_even(const std::uint16_t* pairs) {
  return {same_bits<FloatLanes>(load_lanes(pairs).lanes << 16)};
}
RICORDA_INLINE Float load_odd(const std::uint16_t* pairs) {
  return {same_bits<FloatLanes>(load_lanes(pairs).lanes & ~0xffff)};
}

// int8 weights come in fours (k .. k + 3), one row a 32-bit lane.
constexpr int int8_offset = 0;
struct FourInputs {
  ShortLanes even, odd;  // inputs k, k + 2, k, k + 2, ... and k + 1, k + 3, ...
};
RICORDA_INLINE Integer load_bytes(const std::int8_t* source) { return load_lanes(source); }
RICORDA_INLINE ShortLanes broadcast_two(std::int8_t first, std::int8_t second) {
  const std::int32_t both = (first & 0xffff) | (second * (1 << 16));
  return same_bits<ShortLanes>(IntegerLanes{both, both, both, both});
}
RICORDA_INLINE FourInputs broadcast_four(const std::int8_t* source) {
  return {broadcast_two(source[0], source[2]), broadcast_two(source[1], source[3])};
}
// Two products, at most 2 * 127 * 127, fit 16 bits.
RICORDA_INLINE Integer dot_int8(Integer sums, Integer weights, FourInputs inputs) {
  const ShortLanes bytes = same_bits<ShortLanes>(weights.lanes);
  const ShortLanes pairs = ((bytes << 8) >> 8) * inputs.even + (bytes >> 8) * inputs.odd;
  const IntegerLanes both = same_bits<IntegerLanes>(pairs);
  return {sums.lanes + ((both << 16) >> 16) + (both >> 16)};
}

}  // namespace ricorda::RICORDA_SET
