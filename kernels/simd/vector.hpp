// The vector of the instruction set that this file is compiled for.
//
// The files of this folder are compiled once for each set, with its compiler flags and with
//   RICORDA_SET          the namespace: avx512, avx2, portable, ...
//   RICORDA_VECTOR_BITS  512, 256 or 128
//   RICORDA_BF16, RICORDA_VNNI  defined where AVX-512 comes with these extensions
// They use no templates of the standard library: the linker would keep one copy of those for the
// whole program, which might be the one with instructions that the processor lacks.
//
// Every set offers the same names:
//   Float            `width` floats: load, store, broadcast, + - * /, fma(a, b, c) = a * b + c,
//                    minimum, maximum, absolute, round_to_even, times_power_of_two, sum, largest,
//                    where_at_least(a, b, values) = a >= b ? values : 0,
//                    lanes_at_least(a, b): bit i is 1 where lane i of a >= that of b
//   Integer          `width` 32-bit integers: load, zero, to_float
//   tile_alone       vectors of rows summed side by side for one stream
//   tile_vectors     vectors of rows, and
//   tile_streams     streams of one register tile, for many streams
// and, for product_bfloat16.cpp and product_int8.cpp, loads and products of those weights.
#pragma once

// RICORDA_UNROLL goes before a loop that must be unrolled for its arrays to stay in registers.
#if defined(__clang__)
#define RICORDA_INLINE inline __attribute__((always_inline))
#define RICORDA_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define RICORDA_INLINE inline __attribute__((always_inline))
#define RICORDA_UNROLL _Pragma("GCC unroll 16")
#else
#define RICORDA_INLINE __forceinline
#define RICORDA_UNROLL
#endif

#include <cstdint>
#include <cstring>

namespace ricorda::RICORDA_SET {

// Compilers differ in what their vectors may be cast from; all can copy bits.
template <class To, class From>
RICORDA_INLINE To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

RICORDA_INLINE std::int32_t load_32_bits(const void* source) {
  std::int32_t bits;
  std::memcpy(&bits, source, sizeof bits);
  return bits;
}

}  // namespace ricorda::RICORDA_SET

#if RICORDA_VECTOR_BITS == 512
#include "simd/vector_avx512.hpp"
#elif RICORDA_VECTOR_BITS == 256
#include "simd/vector_avx2.hpp"
#else
#include "simd/vector_portable.hpp"
#endif
