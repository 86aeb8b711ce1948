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

// A predictor, and the network that reads along.
class Reader {
 public:
  Reader(const PredictorSettings& settings, std::unique_ptr<NetworkReader> network)
      : predictor_(settings), network_(std::move(network)) {}

  // Reads one symbol, whose decisions `decide(probability)` makes.
  template <class Decide>
  std::uint32_t read(const Decide& decide) {
    predictor_.begin(expected());
    while (!predictor_.is_complete()) predictor_.update(decide(predictor_.predict()));
    const std::uint32_t symbol = predictor_.symbol();
    predictor_.end();
    if (network_ != nullptr && symbol < std::uint32_t(predictor_.network_size())) {
      network_->observe(symbol);
      expected_ = nullptr;
    }
    return symbol;
  }
  // What the network expects; null without one. Symbols that it does not know change nothing.
  const float* expected() {
    if (network_ != nullptr && expected_ == nullptr) expected_ = network_->predict();
    return expected_;
  }
  const Predictor& predictor() const { return predictor_; }

 private:
  Predictor predictor_;
  std::unique_ptr<NetworkReader> network_;
  const float* expected_ = nullptr;
};

class SymbolEncoder {
 public:
  SymbolEncoder(const PredictorSettings& settings, std::unique_ptr<NetworkReader> network)
      : reader_(settings, std::move(network)) {}

  void encode(const std::uint32_t* symbols, std::size_t count);
  void finish() { encoder_.finish(); }
  // The code so far, without what was taken before.
  std::string take_bytes() { return encoder_.take_bytes(); }
  // The probability of a symbol, which is not encoded; works on a copy of the models.
  double probability(std::uint32_t symbol);
  int vocabulary_size() const { return reader_.predictor().vocabulary_size(); }

 private:
  Reader reader_;
  Encoder encoder_;
};

class SymbolDecoder {
 public:
  SymbolDecoder(const PredictorSettings& settings, std::unique_ptr<NetworkReader> network)
      : reader_(settings, std::move(network)) {}

  // Adds code; `last`: no more will come.
  void feed(const char* bytes, std::size_t count, bool last) { decoder_.feed(bytes, count, last); }
  // Decodes symbols, at most `most`, for as long as the code suffices; returns how many.
  std::size_t decode(std::uint32_t* symbols, std::size_t most);
  // Whether exactly the code of the symbols was fed.
  bool is_exhausted() const { return !decoder_.has_more() && decoder_.missing() <= 8; }

 private:
  Reader reader_;
  Decoder decoder_;
};

}  // namespace ricorda::mixing
