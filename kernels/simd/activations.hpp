// exp, tanh and sigmoid of a vector, by polynomials.
//
// Largest errors against float64, over all floats (tests/kernels/test_activations.py):
//   tanh     4e-7 absolute, 4e-7 relative
//   sigmoid  3e-7 absolute
//   exp      2e-7 relative, for arguments from -87 to 88; beyond, the value there
#pragma once

#include "simd/vector.hpp"

namespace ricorda::RICORDA_SET {

// Horner's rule: c0 + x (c1 + x (c2 + ...)).
RICORDA_INLINE Float polynomial(Float, float constant) { return broadcast(constant); }
template <class... Coefficients>
RICORDA_INLINE Float polynomial(Float x, float constant, Coefficients... higher) {
  return fma(polynomial(x, higher...), x, broadcast(constant));
}

// x P(x^2) / Q(x^2), fitted for the least relative error where tanh is not yet 1 in float32.
RICORDA_INLINE Float tanh(Float x) {
  const Float clamped = maximum(broadcast(-8.95f), minimum(broadcast(8.95f), x));
  const Float square = clamped * clamped;
  const Float above = polynomial(square, 1.0f, 0.13384245336055756f, 0.0034994143061339855f,
                                 2.0672234313678928e-05f, 1.3442738477920102e-08f);
  const Float below = polynomial(square, 1.0f, 0.46717560291290283f, 0.025891531258821487f,
                                 0.00032918990473262966f, 7.812473086232785e-07f);
  return clamped * above / below;
}

RICORDA_INLINE Float sigmoid(Float x) {
  const Float half = broadcast(0.5f);
  return fma(tanh(x * half), half, half);
}

// Derivatives, from the result.
RICORDA_INLINE Float tanh_slope(Float y) { return broadcast(1.0f) - y * y; }
RICORDA_INLINE Float sigmoid_slope(Float y) { return y - y * y; }

// 2^n exp(r) with x = n log 2 + r and |r| at most half of log 2.
RICORDA_INLINE Float exp(Float x) {
  const Float clamped = maximum(broadcast(-87.0f), minimum(broadcast(88.0f), x));
  const Float n = round_to_even(clamped * broadcast(1.4426950408889634f));
  // log 2 in two parts, the first with so few bits that its product with n is exact
  const Float r = fma(n, broadcast(2.12194440e-4f), fma(n, broadcast(-0.693359375f), clamped));
  const Float power =
      polynomial(r, 1.0f, 1.0f, 0.4999999403953552f, 0.1666652113199234f, 0.04166838899254799f,
                 0.008368710055947304f, 0.0013814611593261361f);
  return times_power_of_two(power, n);
}

}  // namespace ricorda::RICORDA_SET
