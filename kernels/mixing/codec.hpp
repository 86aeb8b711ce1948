// Encodes symbols, and decodes them again, by the predictions of a Predictor and of a network that
// reads along.
#pragma once

#include <memory>
#include <vector>

#include "mixing/coder.hpp"
#include "mixing/predictor.hpp"

namespace ricorda::mixing {

// A network that reads symbols one after the other.
class NetworkReader {
 public:
  virtual ~NetworkReader() = default;
  // The probabilities of the next symbol, of the predictor's network_size.
  virtual const float* predict() = 0;
  // Says which came.
  virtual void observe(std::uint32_t symbol) = 0;
};

class SymbolEncoder {
 public:
  SymbolEncoder(const PredictorSettings& settings, std::unique_ptr<NetworkReader> network)
      : predictor_(settings), network_(std::move(network)) {}

  void encode(const std::uint32_t* symbols, std::size_t count);
  void finish() { encoder_.finish(); }
  // The code so far, without what was taken before.
  std::string take_bytes() { return encoder_.take_bytes(); }
  // The probability of a symbol, which is not encoded; works on a copy of the models.
  double probability(std::uint32_t symbol);
  int vocabulary_size() const { return predictor_.vocabulary_size(); }

 private:
  Predictor predictor_;
  std::unique_ptr<NetworkReader> network_;
  Encoder encoder_;
};

class SymbolDecoder {
 public:
  SymbolDecoder(const PredictorSettings& settings, std::unique_ptr<NetworkReader> network)
      : predictor_(settings), network_(std::move(network)) {}

  // Adds code; `last`: no more will come.
  void feed(const char* bytes, std::size_t count, bool last) { decoder_.feed(bytes, count, last); }
  // Decodes symbols, at most `most`, for as long as the code suffices; returns how many.
  std::size_t decode(std::uint32_t* symbols, std::size_t most);
  // Whether exactly the code of the symbols was fed.
  bool is_exhausted() const { return !decoder_.has_more() && decoder_.missing() <= 8; }

 private:
  Predictor predictor_;
  std::unique_ptr<NetworkReader> network_;
  Decoder decoder_;
};

}  // namespace ricorda::mixing
