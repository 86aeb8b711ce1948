// Products of int8 weights with int8 inputs, summed exactly in 32-bit integers.
//
// A weight is its row's scale times an integer from -127 to 127; an input likewise with a scale of
// its stream, taken anew from the largest input of every product. Integer sums are exact, so every
// instruction set finds the same ones.
#include "simd/product.hpp"

namespace ricorda::RICORDA_SET {
namespace {

float scale_of(const float* inputs, int depth) {
  Float most = broadcast(0.0f);
  for (int k = 0; k < depth; k += width) most = maximum(most, absolute(load(inputs + k)));
  return largest(most) / 127.0f;
}

void quantise(const float* inputs, int depth, float scale, std::int8_t* result) {
  const Float steps = broadcast(scale > 1e-30f ? 1.0f / scale : 0.0f);
  for (int k = 0; k < depth; k += width) {
    // in this order a NaN becomes 127; the stream's scale hands it on
    const Float bounded = minimum(load(inputs + k) * steps, broadcast(127.0f));
    store_int8(result + k, round_to_even(maximum(bounded, broadcast(-127.0f))));
  }
  if constexpr (int8_offset != 0)
    for (int k = 0; k < depth; ++k) result[k] = static_cast<std::int8_t>(result[k] ^ int8_offset);
}

struct Int8 {
  using Weight = std::int8_t;
  using Input = std::int8_t;
  using Weights = Integer;
  using Sum = Integer;
  static constexpr int group = 4, rounds = 1;
  static constexpr bool scaled = true;

  static PreparedInputs<Input> prepare(const MatrixView& matrix, const Multiplication& task) {
    const int depth = padded(matrix.depth);
    auto* scales = static_cast<float*>(task.prepared);
    auto* values = reinterpret_cast<Input*>(scales + task.streams);
    for (int s = 0; s < task.streams; ++s) {
      const float* inputs = task.inputs + s * task.input_stride;
      scales[s] = scale_of(inputs, depth);
      quantise(inputs, depth, scales[s], values + s * std::ptrdiff_t{depth});
    }
    return {values, depth, scales};
  }
  static RICORDA_INLINE Integer take(const Weight* weights, int) { return load_bytes(weights); }
  static RICORDA_INLINE FourInputs spread(const Input* input, int) { return broadcast_four(input); }
  static RICORDA_INLINE Integer begin(const MatrixView& matrix, int row, const float*) {
    return int8_offset == 0 ? zero() : load(matrix.corrections + row);
  }
  static RICORDA_INLINE Integer add(Integer sums, Integer weights, FourInputs input) {
    return dot_int8(sums, weights, input);
  }
  static RICORDA_INLINE Float finish(const MatrixView& matrix, int row, Integer sums,
                                     const float* start, float scale) {
    const Float steps = load(matrix.scales + row) * broadcast(scale);
    return fma(to_float(sums), steps, load(start));
  }
};

}  // namespace

void multiply_int8(const MatrixView& matrix, const Multiplication& task) {
  multiply<Int8>(matrix, task);
}

}  // namespace ricorda::RICORDA_SET
