// Finding the end of a text that arrives symbol by symbol.
#pragma once

#include <cstdint>
#include <vector>

namespace ricorda {

// Follows one text and knows how much of a sequence it ends with, by the algorithm of Knuth,
// Morris and Pratt (1977): each symbol costs constant time on average.
class StopSequence {
 public:
  explicit StopSequence(std::vector<std::uint32_t> symbols) : symbols_(std::move(symbols)) {
    fallback_.assign(2, 0);
    for (std::size_t end = 1; end < symbols_.size(); ++end)
      fallback_.push_back(extend(fallback_[end], symbols_[end]));
  }

  // Takes one symbol; the text now ends with this many of the sequence's symbols.
  std::size_t feed(std::uint32_t symbol) {
    if (complete()) matched_ = fallback_[matched_];
    return matched_ = extend(matched_, symbol);
  }
  bool complete() const { return matched_ == symbols_.size(); }
  std::size_t matched() const { return matched_; }

 private:
  std::size_t extend(std::size_t matched, std::uint32_t symbol) const {
    while (matched > 0 && symbols_[matched] != symbol) matched = fallback_[matched];
    return symbols_[matched] == symbol ? matched + 1 : 0;
  }

  std::vector<std::uint32_t> symbols_;  // at least one
  std::vector<std::size_t> fallback_;   // of the first n: the next shorter start they end with
  std::size_t matched_ = 0;
};

// What several stop sequences make of one more symbol.
struct StopState {
  bool stopped;      // a sequence is complete: the text ends before it (before the longer of two)
  std::size_t held;  // how many of the last symbols are, or may become, a stop sequence
};

class StopSequences {
 public:
  StopSequences() = default;
  explicit StopSequences(const std::vector<std::vector<std::uint32_t>>& sequences) {
    for (const auto& symbols : sequences) sequences_.emplace_back(symbols);
  }

  StopState feed(std::uint32_t symbol) {
    StopState state{false, 0};
    std::size_t begun = 0, complete = 0;
    for (StopSequence& sequence : sequences_) {
      const std::size_t matched = sequence.feed(symbol);
      begun = matched > begun ? matched : begun;
      if (sequence.complete()) {
        state.stopped = true;
        complete = matched > complete ? matched : complete;
      }
    }
    state.held = state.stopped ? complete : begun;
    return state;
  }

 private:
  std::vector<StopSequence> sequences_;
};

}  // namespace ricorda
