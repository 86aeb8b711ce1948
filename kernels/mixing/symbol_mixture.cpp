#include "mixing/symbol_mixture.hpp"

#include <cmath>
#include <queue>

#include "denormals.hpp"
#include "mixing/logistic.hpp"

namespace ricorda::mixing {
namespace {

constexpr double dealt_out = 1e-5;  // anew with each symbol, as among the networks

// Symbols that begin with the same decisions.
struct Branch {
  Node node;
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
  const auto add = [&](const Node& node, double probability) {
    const double network = predictor_.is_complete(node) ? double(network_[node.path])
                                                        : double(predictor_.network_share(node));
    branches.push({node, probability, share_ * probability + (1 - share_) * network});
  };
  add(predictor_.node(), 1.0);
  for (int found = 0; found < count;) {
    Branch branch = branches.top();
    branches.pop();
    if (predictor_.is_complete(branch.node)) {
      symbols[found] = branch.node.path;
      nats[found++] = -static_cast<float>(std::log(branch.most));
      continue;
    }
    const std::uint32_t one = predictor_.predict_at(branch.node, decisions_[0]);
    for (int bit = 0; bit < 2; ++bit) {
      Node next = branch.node;
      predictor_.advance(next, bit);
      add(next, branch.probability * probability_of(bit, one));
    }
  }
}

// By the predictor as it is: what a decision teaches does not count for the next of the same
// symbol, so that the same distribution is found wherever one begins to look.
double SymbolMixture::expect(std::uint32_t symbol) {
  double probability = 1.0;
  Node node = predictor_.node();
  for (int i = 0; !predictor_.is_complete(node); ++i) {
    const int bit = predictor_.decision(node, symbol);
    probability *= probability_of(bit, predictor_.predict_at(node, decisions_[i]));
    predictor_.advance(node, bit);
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
