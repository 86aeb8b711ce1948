// Products of bfloat16 weights with float32 sums.
//
// With AVX512_BF16 the inputs are rounded to bfloat16 as well; elsewhere the weights are widened
// and the inputs stay float32.
#include "simd/product.hpp"

namespace ricorda::RICORDA_SET {
namespace {

struct BFloat16 {
  using Weight = std::uint16_t;
  using Sum = Float;
  static constexpr int group = 2;
  static constexpr bool scaled = false;

#if defined(RICORDA_BF16)
  using Input = std::uint16_t;
  using Weights = Pairs;
  static constexpr int rounds = 1;

  static PreparedInputs<Input> prepare(const MatrixView& matrix, const Multiplication& task) {
    const int depth = padded(matrix.depth);
    auto* values = static_cast<Input*>(task.prepared);
    for (int s = 0; s < task.streams; ++s)
      for (int k = 0; k < depth; k += width)
        store_bfloat16(values + s * std::ptrdiff_t{depth} + k,
                       load(task.inputs + s * task.input_stride + k));
    return {values, depth, nullptr};
  }
  static RICORDA_INLINE Pairs take(const Weight* weights, int) { return load_pairs(weights); }
  static RICORDA_INLINE Pairs spread(const Input* input, int) { return broadcast_pair(input); }
  static RICORDA_INLINE Float add(Float sums, Pairs weights, Pairs input) {
    return dot(sums, weights, input);
  }
#else
  using Input = float;
  using Weights = Float;
  static constexpr int rounds = 2;  // first the even k, then the odd

  static PreparedInputs<Input> prepare(const MatrixView&, const Multiplication& task) {
    return {task.inputs, task.input_stride, nullptr};
  }
  static RICORDA_INLINE Float take(const Weight* weights, int round) {
    return round == 0 ? load_even(weights) : load_odd(weights);
  }
  static RICORDA_INLINE Float spread(const Input* input, int round) {
    return broadcast(input[round]);
  }
  static RICORDA_INLINE Float add(Float sums, Float weights, Float input) {
    return fma(weights, input, sums);
  }
#endif
  static RICORDA_INLINE Float begin(const MatrixView&, int, const float* start) {
    return load(start);
  }
  static RICORDA_INLINE Float finish(const MatrixView&, int, Float sums, const float*, float) {
    return sums;
  }
};

}  // namespace

void multiply_bfloat16(const MatrixView& matrix, const Multiplication& task) {
  multiply<BFloat16>(matrix, task);
}

#if defined(RICORDA_BF16)
void multiply_rounded(const MatrixView& matrix, const Multiplication& task,
                      const std::uint16_t* inputs) {
  multiply_prepared<BFloat16>(matrix, task, {inputs, task.input_stride, nullptr});
}
#endif

}  // namespace ricorda::RICORDA_SET
