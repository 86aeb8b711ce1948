// Products in float32.
#include "simd/product.hpp"

namespace ricorda::RICORDA_SET {
namespace {

struct Float32 {
  using Weight = float;
  using Input = float;
  using Weights = Float;
  using Sum = Float;
  static constexpr int group = 1, rounds = 1;
  static constexpr bool scaled = false;

  static PreparedInputs<float> prepare(const MatrixView&, const Multiplication& task) {
    return {task.inputs, task.input_stride, nullptr};
  }
  static RICORDA_INLINE Float take(const float* weights, int) { return load(weights); }
  static RICORDA_INLINE Float spread(const float* input, int) { return broadcast(*input); }
  static RICORDA_INLINE Float begin(const MatrixView&, int, const float* start) {
    return load(start);
  }
  static RICORDA_INLINE Float add(Float sums, Float weights, Float input) {
    return fma(weights, input, sums);
  }
  static RICORDA_INLINE Float finish(const MatrixView&, int, Float sums, const float*, float) {
    return sums;
  }
};

}  // namespace

void multiply_float32(const MatrixView& matrix, const Multiplication& task) {
  multiply<Float32>(matrix, task);
}

}  // namespace ricorda::RICORDA_SET
