// A binary arithmetic coder: 64-bit bounds, probabilities of probability_bits.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "mixing/logistic.hpp"

namespace ricorda::mixing {

class Interval {
 public:
  // Divides the interval: below the returned bound, the bit is one.
  std::uint64_t split(std::uint32_t probability) const {
    const std::uint64_t span = high_ - low_;
    return low_ + (span >> probability_bits) * probability;
  }
  void take(int bit, std::uint64_t bound) {
    if (bit)
      high_ = bound;
    else
      low_ = bound + 1;
  }
  bool top_is_settled() const { return (low_ ^ high_) >> 56 == 0; }
  void drop_top() { low_ <<= 8, high_ = high_ << 8 | 255; }
  std::uint64_t low() const { return low_; }
  std::uint64_t high() const { return high_; }

 private:
  std::uint64_t low_ = 0, high_ = ~std::uint64_t{0};
};

class Encoder {
 public:
  void encode(int bit, std::uint32_t probability) {
    interval_.take(bit, interval_.split(probability));
    for (; interval_.top_is_settled(); interval_.drop_top())
      bytes_.push_back(static_cast<char>(interval_.low() >> 56));
  }
  // Writes the fewest bytes that, followed by zeros, lie in the interval.
  void finish() {
    for (int kept = 0;; ++kept) {  // eight bytes are always enough
      const std::uint64_t rest = kept < 8 ? ~std::uint64_t{0} >> (8 * kept) : 0;
      const std::uint64_t up = (interval_.low() + rest) & ~rest;  // beyond 64 bits it is 0
      if (up < interval_.low() || up > interval_.high()) continue;
      for (int i = 0; i < kept; ++i) bytes_.push_back(static_cast<char>(up >> (56 - 8 * i)));
      return;
    }
  }
  std::string take_bytes() { return std::exchange(bytes_, {}); }

 private:
  Interval interval_;
  std::string bytes_;
};

class Decoder {
 public:
  // Adds code to what is to be decoded. After the last, zeros follow.
  void feed(const char* bytes, std::size_t count, bool last) {
    bytes_.erase(0, next_), next_ = 0;
    bytes_.append(bytes, count);
    is_last_ = last;
  }
  // Whether the code suffices for `bits` decisions; after the last, zeros fill the interval.
  bool has(int bits) const {
    return is_last_ ? missing_ <= 8 : bytes_.size() - next_ >= 16 + 4u * bits;
  }
  int decode(std::uint32_t probability) {
    for (; loaded_ < 8; ++loaded_) shift();
    const std::uint64_t bound = interval_.split(probability);
    const int bit = code_ <= bound;
    interval_.take(bit, bound);
    for (; interval_.top_is_settled(); interval_.drop_top()) shift();
    return bit;
  }
  // How many zeros had to be added: more than eight, and the code was cut.
  std::uint64_t missing() const { return missing_; }
  bool has_more() const { return next_ < bytes_.size(); }

 private:
  void shift() {
    const bool there = next_ < bytes_.size();
    code_ = code_ << 8 | (there ? static_cast<unsigned char>(bytes_[next_]) : 0);
    if (there)
      ++next_;
    else
      ++missing_;
  }

  Interval interval_;
  std::string bytes_;
  std::size_t next_ = 0;
  bool is_last_ = false;
  int loaded_ = 0;
  std::uint64_t code_ = 0, missing_ = 0;
};

}  // namespace ricorda::mixing
