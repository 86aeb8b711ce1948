// AVX2 with FMA: 8 floats. See vector.hpp for the meaning of the names.
#pragma once

#include <immintrin.h>

namespace ricorda::RICORDA_SET {

constexpr int width = 8;
constexpr int tile_alone = 8;
constexpr int tile_vectors = 2;
constexpr int tile_streams = 6;

struct Float {
  __m256 lanes;
};

RICORDA_INLINE Float load(const float* source) { return {_mm256_loadu_ps(source)}; }
RICORDA_INLINE void store(float* target, Float a) { _mm256_storeu_ps(target, a.lanes); }
RICORDA_INLINE Float broadcast(float value) { return {_mm256_set1_ps(value)}; }
RICORDA_INLINE Float operator+(Float a, Float b) { return {_mm256_add_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float operator-(Float a, Float b) { return {_mm256_sub_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float operator*(Float a, Float b) { return {_mm256_mul_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float operator/(Float a, Float b) { return {_mm256_div_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float fma(Float a, Float b, Float c) {
  return {_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)};
}

// a < b ? a : b, so that a NaN in b comes through; maximum likewise.
RICORDA_INLINE Float minimum(Float a, Float b) { return {_mm256_min_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float maximum(Float a, Float b) { return {_mm256_max_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float where_at_least(Float a, Float b, Float values) {
  return {_mm256_and_ps(_mm256_cmp_ps(a.lanes, b.lanes, _CMP_GE_OQ), values.lanes)};
}
RICORDA_INLINE unsigned lanes_at_least(Float a, Float b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a.lanes, b.lanes, _CMP_GE_OQ)));
}
RICORDA_INLINE Float absolute(Float a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.lanes)};
}
RICORDA_INLINE Float round_to_even(Float a) {
  return {_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// The exponent is a whole number from -126 to 127.
RICORDA_INLINE Float times_power_of_two(Float a, Float exponent) {
  const __m256i biased =
      _mm256_add_epi32(_mm256_cvtps_epi32(exponent.lanes), _mm256_set1_epi32(127));
  return {_mm256_mul_ps(a.lanes, _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)))};
}
RICORDA_INLINE float sum(Float a) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
RICORDA_INLINE float largest(Float a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

struct Integer {
  __m256i lanes;
};

RICORDA_INLINE __m256i load_lanes(const void* source) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(source));
}
RICORDA_INLINE Integer zero() { return {_mm256_setzero_si256()}; }
RICORDA_INLINE Integer load(const std::int32_t* source) { return {load_lanes(source)}; }
RICORDA_INLINE Float to_float(Integer a) { return {_mm256_cvtepi32_ps(a.lanes)}; }
// `width` floats, whole numbers from -127 to 127, to bytes.
RICORDA_INLINE void store_int8(std::int8_t* target, Float a) {
  const __m256i whole = _mm256_cvtps_epi32(a.lanes);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(target), _mm_packs_epi16(words, words));
}

// bfloat16 weights come in pairs (k, k + 1), one row a 32-bit lane; each is the upper half of a
// float32.
RICORDA_INLINE Float load_even(const std::uint16_t* pairs) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(load_lanes(pairs), 16))};
}
RICORDA_INLINE Float load_odd(const std::uint16_t* pairs) {
  return {_mm256_castsi256_ps(_mm256_and_si256(load_lanes(pairs), _mm256_set1_epi32(~0xffff)))};
}

// int8 weights come in fours (k .. k + 3), one row a 32-bit lane.
RICORDA_INLINE Integer load_bytes(const std::int8_t* source) { return {load_lanes(source)}; }
constexpr int int8_offset = 0;
struct FourInputs {
  __m256i sizes, signs;
};
RICORDA_INLINE FourInputs broadcast_four(const std::int8_t* source) {
  const __m256i inputs = _mm256_set1_epi32(load_32_bits(source));
  return {_mm256_abs_epi8(inputs), inputs};
}
// |input| times the weight with the input's sign: two such products, at most 2 * 127 * 127, fit
// 16 bits, so nothing saturates.
RICORDA_INLINE Integer dot_int8(Integer sums, Integer weights, FourInputs inputs) {
  const __m256i turned = _mm256_sign_epi8(weights.lanes, inputs.signs);
  const __m256i pairs = _mm256_maddubs_epi16(inputs.sizes, turned);
  return {_mm256_add_epi32(sums.lanes, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}

}  // namespace ricorda::RICORDA_SET
