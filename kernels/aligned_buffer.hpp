// A fixed number of zeroed elements that begins on a cache line.
//
// A large buffer lies on huge pages where the system has them on request, as Linux by default: its
// addresses are found sooner, and a matrix that just fits a cache does not lose parts of it to
// pages that happen to share its sets. What is left of it lies on small pages, unless whole ones
// are asked for. It goes back to the system when it is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ricorda {

// Whether a large buffer takes up whole huge pages: for what is read again and again.
enum class Pages { any, whole };

// Zeroed memory from the allocator, or from the system where a buffer is large.
class ZeroedMemory {
 public:
  ZeroedMemory() = default;
  ZeroedMemory(std::size_t bytes, [[maybe_unused]] Pages pages) {
#if defined(__linux__)
    if (bytes >= huge_page / 2) {
      const std::size_t unit = pages == Pages::whole ? huge_page : small_page;
      bytes = (bytes + unit - 1) / unit * unit;
      memory_ = {map(bytes), Free{bytes}};
      return;
    }
#endif
    memory_ = {::operator new[](bytes, alignment), Free{}};
    std::memset(memory_.get(), 0, bytes);
  }

  void* data() const { return memory_.get(); }

 private:
  static constexpr std::align_val_t alignment{64};
  static constexpr std::size_t huge_page = std::size_t{1} << 21;
  static constexpr std::size_t small_page = std::size_t{1} << 16;  // the largest that is usual

  struct Free {
    std::size_t mapped;  // bytes; 0 for memory of the allocator

    void operator()(void* memory) const {
#if defined(__linux__)
      if (mapped > 0) {
        munmap(memory, mapped);
        return;
      }
#endif
      ::operator delete[](memory, alignment);
    }
  };

#if defined(__linux__)
  // Maps a huge page more than is asked for, so as to begin with one, and gives back the rest.
  static void* map(std::size_t bytes) {
    void* mapped = mmap(nullptr, bytes + huge_page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    char* const begin = static_cast<char*>(mapped);
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(begin) % huge_page;
    if (before > 0) munmap(begin, before);
    if (before < huge_page) munmap(begin + before + bytes, huge_page - before);
    madvise(begin + before, bytes, MADV_HUGEPAGE);  // a wish: small pages serve as well
    return begin + before;
  }
#endif

  std::unique_ptr<void, Free> memory_;
};

template <class Element>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count, Pages pages = Pages::any)
      : count_(count), memory_(count * sizeof(Element), pages) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : count_(std::exchange(other.count_, 0)), memory_(std::move(other.memory_)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    count_ = std::exchange(other.count_, 0);
    memory_ = std::move(other.memory_);
    return *this;
  }

  Element* data() { return static_cast<Element*>(memory_.data()); }
  const Element* data() const { return static_cast<const Element*>(memory_.data()); }
  std::size_t size() const { return count_; }
  Element& operator[](std::size_t i) { return data()[i]; }
  const Element& operator[](std::size_t i) const { return data()[i]; }

 private:
  std::size_t count_ = 0;
  ZeroedMemory memory_;
};

}  // namespace ricorda
