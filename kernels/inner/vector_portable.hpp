// Four floats in plain C++, which compilers turn into SSE2, NEON or whatever there is.
// See vector.hpp for the meaning of the names.
#pragma once

#include <cstdint>
#include <cstring>

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

#if defined(__GNUC__)  // also clang: the arithmetic of these vectors is part of the language there
using FloatLanes = float __attribute__((vector_size(16)));
using IntegerLanes = std::int32_t __attribute__((vector_size(16)));
#else
template <class Element>
struct Lanes {
  Element values[width];
  RICORDA_INLINE Element& operator[](int lane) { return values[lane]; }
  RICORDA_INLINE Element operator[](int lane) const { return values[lane]; }
};
#define RICORDA_LANEWISE(operation)                                                      \
  template <class Element>                                                               \
  RICORDA_INLINE Lanes<Element> operator operation(Lanes<Element> a, Lanes<Element> b) { \
    for (int lane = 0; lane < width; ++lane) a[lane] = a[lane] operation b[lane];        \
    return a;                                                                            \
  }
RICORDA_LANEWISE(+)
RICORDA_LANEWISE(-)
RICORDA_LANEWISE(*)
RICORDA_LANEWISE(/)
#undef RICORDA_LANEWISE
using FloatLanes = Lanes<float>;
using IntegerLanes = Lanes<std::int32_t>;
#endif

struct Float {
  FloatLanes lanes;
};

RICORDA_INLINE Float load(const float* source) {
  Float a;
  std::memcpy(&a.lanes, source, sizeof a.lanes);
  return a;
}
RICORDA_INLINE void store(float* target, Float a) {
  std::memcpy(target, &a.lanes, sizeof a.lanes);
}
RICORDA_INLINE Float broadcast(float value) { return {FloatLanes{value, value, value, value}}; }
RICORDA_INLINE Float operator+(Float a, Float b) { return {a.lanes + b.lanes}; }
RICORDA_INLINE Float operator-(Float a, Float b) { return {a.lanes - b.lanes}; }
RICORDA_INLINE Float operator*(Float a, Float b) { return {a.lanes * b.lanes}; }
RICORDA_INLINE Float operator/(Float a, Float b) { return {a.lanes / b.lanes}; }
RICORDA_INLINE Float fma(Float a, Float b, Float c) {
#if defined(__aarch64__) && defined(__GNUC__)
  for (int lane = 0; lane < width; ++lane)
    c.lanes[lane] = __builtin_fmaf(a.lanes[lane], b.lanes[lane], c.lanes[lane]);
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
RICORDA_INLINE Float absolute(Float a) {
  for (int lane = 0; lane < width; ++lane)
    a.lanes[lane] = a.lanes[lane] < 0 ? -a.lanes[lane] : a.lanes[lane];
  return a;
}
// For |a| below 2^22: adding and taking off 1.5 * 2^23 leaves no room for a fraction.
RICORDA_INLINE Float round_to_even(Float a) {
  const Float large = broadcast(12582912.0f);
  return (a + large) - large;
}
// The exponent is a whole number from -126 to 127; in place of a NaN, -126.
RICORDA_INLINE Float times_power_of_two(Float a, Float exponent) {
  const Float whole = maximum(exponent, broadcast(-126.0f));
  IntegerLanes bits;
  for (int lane = 0; lane < width; ++lane)
    bits[lane] = (static_cast<std::int32_t>(whole.lanes[lane]) + 127) * (1 << 23);
  Float power;
  std::memcpy(&power.lanes, &bits, sizeof bits);
  return a * power;
}
RICORDA_INLINE float sum(Float a) {
  return (a.lanes[0] + a.lanes[2]) + (a.lanes[1] + a.lanes[3]);
}
RICORDA_INLINE float largest(Float a) {
  float result = a.lanes[0];
  for (int lane = 1; lane < width; ++lane) result = result > a.lanes[lane] ? result : a.lanes[lane];
  return result;
}

struct Integer {
  IntegerLanes lanes;
};

RICORDA_INLINE Integer zero() { return {IntegerLanes{0, 0, 0, 0}}; }
RICORDA_INLINE Integer load(const std::int32_t* source) {
  Integer a;
  std::memcpy(&a.lanes, source, sizeof a.lanes);
  return a;
}
RICORDA_INLINE Float to_float(Integer a) {
  Float result;
  for (int lane = 0; lane < width; ++lane) result.lanes[lane] = static_cast<float>(a.lanes[lane]);
  return result;
}
// `width` floats, whole numbers from -127 to 127, to bytes.
RICORDA_INLINE void store_int8(std::int8_t* target, Float a) {
  for (int lane = 0; lane < width; ++lane) target[lane] = static_cast<std::int8_t>(a.lanes[lane]);
}

// Products of pairs of bfloat16, widened: weights hold rows of (k, k + 1).
struct PairOfInputs {
  Float first, second;
};
RICORDA_INLINE PairOfInputs broadcast_pair(const float* source) {
  return {broadcast(source[0]), broadcast(source[1])};
}
RICORDA_INLINE Float dot_bfloat16(Float sums, const std::uint16_t* weights, PairOfInputs inputs) {
  std::uint32_t first_bits[width], second_bits[width];
  for (int lane = 0; lane < width; ++lane) {
    first_bits[lane] = static_cast<std::uint32_t>(weights[2 * lane]) << 16;
    second_bits[lane] = static_cast<std::uint32_t>(weights[2 * lane + 1]) << 16;
  }
  Float first, second;
  std::memcpy(&first.lanes, first_bits, sizeof first_bits);
  std::memcpy(&second.lanes, second_bits, sizeof second_bits);
  return fma(second, inputs.second, fma(first, inputs.first, sums));
}

// Products of four int8 weights and inputs, rows of (k .. k + 3).
constexpr int int8_offset = 0;
struct FourInputs {
  std::int8_t values[4];
};
RICORDA_INLINE FourInputs broadcast_four(const std::int8_t* source) {
  FourInputs inputs;
  std::memcpy(inputs.values, source, 4);
  return inputs;
}
RICORDA_INLINE Integer dot_int8(Integer sums, const std::int8_t* weights, FourInputs inputs) {
  for (int lane = 0; lane < width; ++lane) {
    std::int32_t products = 0;
    for (int k = 0; k < 4; ++k) products += weights[4 * lane + k] * inputs.values[k];
    sums.lanes[lane] += products;
  }
  return sums;
}

}  // namespace ricorda::RICORDA_SET
