#include "mixing/symbol_mixture.hpp"

#include <cmath>
#include <queue>

#include "denormals.hpp"
#include "mixing/coder.hpp"

namespace ricorda::mixing {
namespace {

constexpr double dealt_out = 1e-5;  // anew with each symbol, as among the networks

double probability_of(std::uint32_t one, int bit) {
  const double share = one / double(1 << probability_bits);
  return bit ? share : 1.0 - share;
}

// Symbols that begin with the same decisions.
struct Branch {
  Place place;
  double probability;  // by the predictor
  double most;         // that the mixture can have of any of them; its own probability of a symbol
  bool operator<(const Branch& other) const { return most < other.most; }
};

}  // namespace

void SymbolMixture::begin(const float* network) {
  const DenormalsAsZero flush;
  network_ = network;
  predictor_.begin(network);
}

// Follows the branch that promises most until it has found enough symbols.
void SymbolMixture::find_best(int count, std::uint32_t* symbols, float* nats) {
  const DenormalsAsZero flush;
  std::priority_queue<Branch> branches;
  const auto add = [&](const Place& place, double probability) {
    const double network = predictor_.is_complete(place) ? double(network_[place.path])
                                                         : double(predictor_.network_share(place));
    branches.push({place, probability, share_ * probability + (1 - share_) * network});
  };
  add(predictor_.place(), 1.0);
  for (int found = 0; found < count;) {
    Branch branch = branches.top();
    branches.pop();
    if (predictor_.is_complete(branch.place)) {
      symbols[found] = branch.place.path;
      nats[found++] = -static_cast<float>(std::log(branch.most));
      continue;
    }
    const std::uint32_t one = predictor_.predict_at(branch.place, decisions_[0]);
    for (int bit = 0; bit < 2; ++bit) {
      Place next = branch.place;
      predictor_.advance(next, bit);
      add(next, branch.probability * probability_of(one, bit));
    }
  }
}

// By the predictor as it is: what a decision teaches does not count for the next of the same
// symbol, so that the same distribution is found wherever one begins to look.
double SymbolMixture::expect(std::uint32_t symbol) {
  double probability = 1.0;
  Place place = predictor_.place();
  for (int i = 0; !predictor_.is_complete(place); ++i) {
    const int bit = predictor_.decision(place, symbol);
    probability *= probability_of(predictor_.predict_at(place, decisions_[i]), bit);
    predictor_.advance(place, bit);
  }
  return probability;
}

double SymbolMixture::read(std::uint32_t symbol) {
  const DenormalsAsZero flush;
  const double probability = expect(symbol);
  for (int i = 0; !predictor_.is_complete(); ++i)
    predictor_.update(decisions_[i], predictor_.decision(symbol));
  predictor_.end();
  const double mixed = share_ * probability + (1 - share_) * double(network_[symbol]);
  share_ = (1 - dealt_out) * share_ * probability / mixed + dealt_out * first_share;
  return mixed;
}

}  // namespace ricorda::mixing
