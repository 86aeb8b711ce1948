// Products in float32.
#include "simd/product.hpp"

namespace ricorda::RICORDA_SET {
namespace {

struct Float32 : FloatInputs {
  using Weight = float;
  static constexpr int group = 1, rounds = 1;

  static RICORDA_INLINE Float take(const float* weights, int) { return load(weights); }
  static RICORDA_INLINE Float spread(const float* input, int) { return broadcast(*input); }
};

}  // namespace

void multiply_float32(const MatrixView& matrix, const Multiplication& task) {
  multiply<Float32>(matrix, task);
}

}  // namespace ricorda::RICORDA_SET
