// Products of bfloat16 weights with float32 sums.
//
// With AVX512_BF16 the inputs are rounded to bfloat16 as well; elsewhere the weights are widened
// and the inputs stay float32.
#include "simd/product.hpp"

namespace ricorda::RICORDA_SET {
namespace {

#if defined(RICORDA_BF16)
struct BFloat16 : FloatSums {
  using Weight = std::uint16_t;
  using Input = std::uint16_t;
  using Weights = Pairs;
  static constexpr int group = 2, rounds = 1;

  static PreparedInputs<Input> prepare(const MatrixView& matrix, const Multiplication& task) {
    return round_inputs(matrix, task);
  }
  static RICORDA_INLINE Pairs take(const Weight* weights, int) { return load_pairs(weights); }
  static RICORDA_INLINE Pairs spread(const Input* input, int) { return broadcast_pair(input); }
  static RICORDA_INLINE Float add(Float sums, Pairs weights, Pairs input) {
    return dot(sums, weights, input);
  }
};
#else
struct BFloat16 : FloatInputs {
  using Weight = std::uint16_t;
  static constexpr int group = 2, rounds = 2;  // first the even k, then the odd

  static RICORDA_INLINE Float take(const Weight* weights, int round) {
    return round == 0 ? load_even(weights) : load_odd(weights);
  }
  static RICORDA_INLINE Float spread(const float* input, int round) {
    return broadcast(input[round]);
  }
};
#endif

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
