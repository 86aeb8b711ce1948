#include "mixing/codec.hpp"

#include "denormals.hpp"

namespace ricorda::mixing {

void SymbolEncoder::encode(const std::uint32_t* symbols, std::size_t count) {
  const DenormalsAsZero flush;
  for (std::size_t i = 0; i < count; ++i)
    reader_.read([&](std::uint32_t probability) {
      const int bit = reader_.predictor().decision(symbols[i]);
      encoder_.encode(bit, probability);
      return bit;
    });
}

double SymbolEncoder::probability(std::uint32_t symbol) {
  const DenormalsAsZero flush;
  Predictor copy = reader_.predictor();
  double product = 1.0;
  copy.begin(reader_.expected());
  while (!copy.is_complete()) {
    const std::uint32_t one = copy.predict();
    const int bit = copy.decision(symbol);
    product *= probability_of(bit, one);
    copy.update(bit);
  }
  return product;
}

std::size_t SymbolDecoder::decode(std::uint32_t* symbols, std::size_t most) {
  const DenormalsAsZero flush;
  std::size_t count = 0;
  for (; count < most && decoder_.has(reader_.predictor().depth()); ++count)
    symbols[count] =
        reader_.read([&](std::uint32_t probability) { return decoder_.decode(probability); });
  return count;
}

}  // namespace ricorda::mixing
