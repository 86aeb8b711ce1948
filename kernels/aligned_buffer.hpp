// A fixed number of zeroed elements that begins on a cache line.
//
// A large buffer lies on huge pages where the system has them on request, as Linux by default: its
// addresses are found sooner, and a matrix that just fits a cache does not lose parts of it to
// pages that happen to share its sets. It takes up whole huge pages.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ricorda {

template <class Element>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count) : count_(count), elements_(allocate(count)) {}

  Element* data() { return elements_.get(); }
  const Element* data() const { return elements_.get(); }
  std::size_t size() const { return count_; }
  Element& operator[](std::size_t i) { return elements_[i]; }
  const Element& operator[](std::size_t i) const { return elements_[i]; }

 private:
  static constexpr std::size_t cache_line = 64, huge_page = std::size_t{1} << 21;
  struct Free {
    std::align_val_t alignment{cache_line};
    void operator()(Element* elements) const { ::operator delete[](elements, alignment); }
  };
  using Elements = std::unique_ptr<Element[], Free>;

  static Elements allocate(std::size_t count) {
    std::size_t bytes = count * sizeof(Element);
    std::align_val_t alignment{cache_line};
#if defined(__linux__)
    const bool is_large = bytes >= huge_page / 2;
    if (is_large) {
      alignment = std::align_val_t{huge_page};
      bytes = (bytes + huge_page - 1) / huge_page * huge_page;
    }
#endif
    void* memory = ::operator new[](bytes, alignment);
#if defined(__linux__)
    if (is_large) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: small pages serve as well
#endif
    std::memset(memory, 0, bytes);
    return Elements(static_cast<Element*>(memory), Free{alignment});
  }

  std::size_t count_ = 0;
  Elements elements_;
};

}  // namespace ricorda
