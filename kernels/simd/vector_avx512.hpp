// AVX-512 (F, BW, DQ, VL): 16 floats. See vector.hpp for the meaning of the names.
#pragma once

#include <immintrin.h>

namespace ricorda::RICORDA_SET {

constexpr int width = 16;
constexpr int tile_alone = 8;
constexpr int tile_vectors = 4;
constexpr int tile_streams = 6;

struct Float {
  __m512 lanes;
};

RICORDA_INLINE Float load(const float* source) { return {_mm512_loadu_ps(source)}; }
RICORDA_INLINE void store(float* target, Float a) { _mm512_storeu_ps(target, a.lanes); }
RICORDA_INLINE Float broadcast(float value) { return {_mm512_set1_ps(value)}; }
RICORDA_INLINE Float operator+(Float a, Float b) { return {_mm512_add_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float operator-(Float a, Float b) { return {_mm512_sub_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float operator*(Float a, Float b) { return {_mm512_mul_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float operator/(Float a, Float b) { return {_mm512_div_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float fma(Float a, Float b, Float c) {
  return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)};
}

// a < b ? a : b, so that a NaN in b comes through; maximum likewise.
RICORDA_INLINE Float minimum(Float a, Float b) { return {_mm512_min_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float maximum(Float a, Float b) { return {_mm512_max_ps(a.lanes, b.lanes)}; }
RICORDA_INLINE Float where_at_least(Float a, Float b, Float values) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_GE_OQ), values.lanes)};
}
RICORDA_INLINE unsigned lanes_at_least(Float a, Float b) {
  return _mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_GE_OQ);
}
RICORDA_INLINE Float absolute(Float a) { return {_mm512_abs_ps(a.lanes)}; }
RICORDA_INLINE Float round_to_even(Float a) {
  return {_mm512_roundscale_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
RICORDA_INLINE Float times_power_of_two(Float a, Float exponent) {
  return {_mm512_scalef_ps(a.lanes, exponent.lanes)};
}
// In halves: lane i plus lane i + 8, then i + 4, i + 2, i + 1.
RICORDA_INLINE float sum(Float a) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(a.lanes), _mm512_extractf32x8_ps(a.lanes, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
RICORDA_INLINE float largest(Float a) { return _mm512_reduce_max_ps(a.lanes); }

struct Integer {
  __m512i lanes;
};

RICORDA_INLINE Integer zero() { return {_mm512_setzero_si512()}; }
RICORDA_INLINE Integer load(const std::int32_t* source) { return {_mm512_loadu_si512(source)}; }
RICORDA_INLINE Float to_float(Integer a) { return {_mm512_cvtepi32_ps(a.lanes)}; }
// `width` floats, whole numbers from -127 to 127, to bytes.
RICORDA_INLINE void store_int8(std::int8_t* target, Float a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(target),
                   _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.lanes)));
}

// bfloat16 weights come in pairs (k, k + 1), one row a 32-bit lane.
#if defined(RICORDA_BF16)
struct Pairs {
  __m512bh lanes;
};
RICORDA_INLINE Pairs load_pairs(const std::uint16_t* source) {
  return {same_bits<__m512bh>(_mm512_loadu_si512(source))};
}
RICORDA_INLINE Pairs broadcast_pair(const std::uint16_t* source) {
  return {same_bits<__m512bh>(_mm512_set1_epi32(load_32_bits(source)))};
}
RICORDA_INLINE Float dot(Float sums, Pairs a, Pairs b) {
  return {_mm512_dpbf16_ps(sums.lanes, a.lanes, b.lanes)};
}
RICORDA_INLINE void store_bfloat16(std::uint16_t* target, Float a) {
  const __m256bh rounded = _mm512_cvtneps_pbh(a.lanes);
  std::memcpy(target, &rounded, sizeof rounded);
}
#else
// A bfloat16 is the upper half of a float32.
RICORDA_INLINE Float load_even(const std::uint16_t* pairs) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(pairs), 16))};
}
RICORDA_INLINE Float load_odd(const std::uint16_t* pairs) {
  const __m512i upper = _mm512_set1_epi32(~0xffff);
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(pairs), upper))};
}
#endif

// int8 weights come in fours (k .. k + 3), one row a 32-bit lane.
RICORDA_INLINE Integer load_bytes(const std::int8_t* source) {
  return {_mm512_loadu_si512(source)};
}
#if defined(RICORDA_VNNI)
// VNNI multiplies unsigned by signed: the inputs come with 128 added, taken off again by row sums.
constexpr int int8_offset = 128;
struct FourInputs {
  __m512i lanes;
};
RICORDA_INLINE FourInputs broadcast_four(const std::int8_t* source) {
  return {_mm512_set1_epi32(load_32_bits(source))};
}
RICORDA_INLINE Integer dot_int8(Integer sums, Integer weights, FourInputs inputs) {
  return {_mm512_dpbusd_epi32(sums.lanes, inputs.lanes, weights.lanes)};
}
#else
constexpr int int8_offset = 0;
struct FourInputs {
  __m512i sizes;
  __mmask64 negative;
};
RICORDA_INLINE FourInputs broadcast_four(const std::int8_t* source) {
  const __m512i inputs = _mm512_set1_epi32(load_32_bits(source));
  return {_mm512_abs_epi8(inputs), _mm512_movepi8_mask(inputs)};
}
// |input| times the weight with the input's sign: two such products, at most 2 * 127 * 127, fit
// 16 bits, so nothing saturates.
RICORDA_INLINE Integer dot_int8(Integer sums, Integer weights, FourInputs inputs) {
  const __m512i none = _mm512_setzero_si512();
  const __m512i turned = _mm512_mask_sub_epi8(weights.lanes, inputs.negative, none, weights.lanes);
  const __m512i pairs = _mm512_maddubs_epi16(inputs.sizes, turned);
  return {_mm512_add_epi32(sums.lanes, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
#endif

}  // namespace ricorda::RICORDA_SET
