#include "mixing/codec.hpp"

#include "denormals.hpp"

namespace ricorda::mixing {
namespace {

// Lets the predictor and the network see one symbol, whose decisions `decide` makes.
template <class Decide>
std::uint32_t pass(Predictor& predictor, NetworkReader* network, const Decide& decide) {
  predictor.begin(network != nullptr ? network->predict() : nullptr);
  while (!predictor.is_complete()) {
    const std::uint32_t probability = predictor.predict();
    predictor.update(decide(probability));
  }
  const std::uint32_t symbol = predictor.symbol();
  predictor.end();
  if (network != nullptr && symbol < std::uint32_t(predictor.network_size()))
    network->observe(symbol);
  return symbol;
}

}  // namespace

void SymbolEncoder::encode(const std::uint32_t* symbols, std::size_t count) {
  const DenormalsAsZero flush;
  for (std::size_t i = 0; i < count; ++i)
    pass(predictor_, network_.get(), [&](std::uint32_t probability) {
      const int bit = predictor_.decision(symbols[i]);
      encoder_.encode(bit, probability);
      return bit;
    });
}

double SymbolEncoder::probability(std::uint32_t symbol) {
  const DenormalsAsZero flush;
  Predictor copy = predictor_;
  double product = 1.0;
  copy.begin(network_ != nullptr ? network_->predict() : nullptr);
  while (!copy.is_complete()) {
    const double one = copy.predict() / double(1 << probability_bits);
    const int bit = copy.decision(symbol);
    product *= bit ? one : 1.0 - one;
    copy.update(bit);
  }
  return product;
}

std::size_t SymbolDecoder::decode(std::uint32_t* symbols, std::size_t most) {
  const DenormalsAsZero flush;
  std::size_t count = 0;
  for (; count < most && decoder_.has(predictor_.depth()); ++count)
    symbols[count] = pass(predictor_, network_.get(),
                          [&](std::uint32_t probability) { return decoder_.decode(probability); });
  return count;
}

}  // namespace ricorda::mixing
