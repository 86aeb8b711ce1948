// A network's predictions, mixed with those of a predictor that counts what it has read.
//
// The predictor takes the network's distribution among its inputs (predictor.hpp). Its own
// distribution and the network's are then weighed by how well each has predicted so far, so that
// counts that mislead cost next to nothing. Both sum to one, and so does the mixture.
#pragma once

#include <cstdint>

#include "mixing/predictor.hpp"

namespace ricorda::mixing {

class SymbolMixture {
 public:
  // The network predicts all symbols.
  explicit SymbolMixture(const PredictorSettings& settings)
      : predictor_(settings), decisions_(predictor_.depth()) {}

  // Begins the next symbol, of which the network expects `network` (V). It stays the caller's, and
  // must stay as it is until the symbol was read.
  void begin(const float* network);
  // Finds the `count` most likely symbols, at most V, and their nats.
  void find_best(int count, std::uint32_t* symbols, float* nats);
  // Reads the symbol that came; returns the probability that it had.
  double read(std::uint32_t symbol);

 private:
  double expect(std::uint32_t symbol);

  static constexpr double first_share = 0.125;

  Predictor predictor_;
  std::vector<Decision> decisions_;  // of the symbol
  const float* network_ = nullptr;
  double share_ = first_share;  // of the predictor in the mixture
};

}  // namespace ricorda::mixing
