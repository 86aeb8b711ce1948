// Histories of bits under hashed contexts, in bounded memory.
//
// A bucket fills a cache line: the 15 nodes of up to four decisions in one context, and a tag by
// which the context is known again. Of two neighbouring buckets a new context takes the one that
// was used less.
#pragma once

#include <cstdint>

#include "aligned_buffer.hpp"
#include "mixing/history.hpp"

namespace ricorda::mixing {

class ContextTable {
 public:
  static constexpr int nodes = 15;

  struct Bucket {
    std::uint32_t tag;
    std::uint32_t histories[nodes];
  };

  explicit ContextTable(int bucket_bits)
      : buckets_(std::size_t{1} << bucket_bits), mask_((std::size_t{1} << bucket_bits) - 1) {}
  ContextTable(const ContextTable& other) : buckets_(other.buckets_.size()), mask_(other.mask_) {
    std::memcpy(buckets_.data(), other.buckets_.data(), buckets_.size() * sizeof(Bucket));
  }

  // The bucket of a context, emptied if it was another's.
  std::uint32_t* find(std::uint64_t context) {
    const std::size_t index = static_cast<std::size_t>(context >> 20) & mask_;
    const std::uint32_t tag = tag_of(context);
    Bucket& first = buckets_[index];
    if (first.tag == tag) return first.histories;
    Bucket& second = buckets_[index ^ 1];
    if (second.tag == tag) return second.histories;
    Bucket& chosen = use_of(second) < use_of(first) ? second : first;
    chosen.tag = tag;
    for (std::uint32_t& history : chosen.histories) history = BitHistory().bits();
    return chosen.histories;
  }

  // The same, but null for a context that is not there.
  std::uint32_t* look_up(std::uint64_t context) {
    const std::size_t index = static_cast<std::size_t>(context >> 20) & mask_;
    const std::uint32_t tag = tag_of(context);
    for (Bucket* bucket : {&buckets_[index], &buckets_[index ^ 1]})
      if (bucket->tag == tag) return bucket->histories;
    return nullptr;
  }

  void prefetch(std::uint64_t context) const {
#if defined(__GNUC__)
    __builtin_prefetch(&buckets_[static_cast<std::size_t>(context >> 20) & mask_]);
#endif
  }

 private:
  static std::uint32_t tag_of(std::uint64_t context) {
    return static_cast<std::uint32_t>(context >> 44) << 1 | 1;
  }
  static std::uint32_t use_of(const Bucket& bucket) { return bucket.histories[0] & 15; }

  AlignedBuffer<Bucket> buckets_;
  std::size_t mask_;
};

inline std::uint64_t hashed(std::uint64_t value) {
  value = (value ^ value >> 32) * 0x9e3779b97f4a7c15u;
  return (value ^ value >> 29) * 0xbf58476d1ce4e5b9u;
}
inline std::uint64_t hashed(std::uint64_t first, std::uint64_t second) {
  return hashed(hashed(first) + second * 0x94d049bb133111ebu + 1);
}

}  // namespace ricorda::mixing
