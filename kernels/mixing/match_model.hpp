// Predicts that what followed the longest earlier occurrence of the last symbols follows again.
#pragma once

#include <cstdint>
#include <vector>

#include "mixing/adaptive_map.hpp"
#include "mixing/context_table.hpp"

namespace ricorda::mixing {

// The last symbols, of a power of two. With a boundary, contexts end at the last one.
class SymbolRing {
 public:
  SymbolRing(int bits, int boundary)
      : symbols_(std::size_t{1} << bits), mask_(symbols_.size() - 1), boundary_(boundary) {}
  void push(std::uint32_t symbol) {
    known_ = int(symbol) == boundary_ ? 1 : known_ + 1;
    symbols_[count_++ & mask_] = symbol;
  }
  std::uint32_t at(std::uint64_t position) const { return symbols_[position & mask_]; }
  // The symbol `back` places ago, from 1; 0 before the context's first.
  std::uint32_t last(std::uint64_t back) const { return back <= known_ ? at(count_ - back) : 0; }
  std::uint64_t count() const { return count_; }
  // How many symbols the context has, the boundary that it begins with included.
  std::uint64_t known() const { return known_; }
  std::uint64_t capacity() const { return symbols_.size(); }

 private:
  std::vector<std::uint32_t> symbols_;
  std::uint64_t mask_;
  int boundary_;  // -1: there is none
  std::uint64_t count_ = 0, known_ = 0;
};

class MatchModel {
 public:
  MatchModel(int least_length, int table_bits)
      : least_(least_length), positions_(std::size_t{1} << table_bits), by_length_(64 * 2) {
    for (std::size_t i = 0; i < by_length_.size(); ++i)
      by_length_[i].set(0.5f + 0.49f * static_cast<float>(i / 2) / 64.0f, 4);
  }

  // Call it after each symbol that is pushed.
  void find(const SymbolRing& ring) {
    const std::uint64_t count = ring.count();
    if (length_ > 0 && ring.known() > 1 && ring.at(position_) == ring.last(1)) {
      ++length_, ++position_;
    } else {
      missed_ = length_ > 0 ? 0 : missed_ + 1;
      length_ = 0;
    }
    if (ring.known() < std::uint64_t(least_)) return;
    std::uint64_t hash = 0;
    for (int back = 1; back <= least_; ++back) hash = hashed(hash, ring.last(back));
    std::uint64_t& slot = positions_[hash >> 20 & (positions_.size() - 1)];
    if (length_ == 0 && slot > 0) measure(ring, slot);
    slot = count;
  }

  bool has_match() const { return length_ > 0; }
  std::uint32_t expected(const SymbolRing& ring) const { return ring.at(position_); }
  int coarse_length() const {  // from 0 to 15
    int step = 0;
    for (std::uint64_t length = length_; length > 0 && step < 15; ++step)
      length = step < 8 ? (length > 1 ? length - 1 : 0) : length / 2;
    return step;
  }

  // How often what a match of this length expects came true.
  AdaptiveProbability& by_length() { return by_length_[2 * fine_length() + (missed_ < 8 ? 1 : 0)]; }

 private:
  int fine_length() const {
    const std::uint64_t length = length_;
    if (length < 32) return static_cast<int>(length);
    const std::uint64_t more = 32 + (length - 32) / 16;
    return static_cast<int>(more < 63 ? more : 63);
  }
  void measure(const SymbolRing& ring, std::uint64_t position) {
    std::uint64_t length = 0;
    while (length < 400 && length < position && length < ring.known() &&
           position + ring.capacity() > ring.count() + length + 1 &&
           ring.at(position - 1 - length) == ring.last(1 + length))
      ++length;
    if (length < std::uint64_t(least_)) return;
    length_ = length, position_ = position;
  }

  int least_;
  std::vector<std::uint64_t> positions_;  // after the last occurrence of each hash
  std::vector<AdaptiveProbability> by_length_;
  std::uint64_t length_ = 0, position_ = 0, missed_ = 0;
};

}  // namespace ricorda::mixing
