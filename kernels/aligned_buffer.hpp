// A fixed number of zeroed elements that begins on a cache line.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

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
  static constexpr std::align_val_t alignment{64};
  struct Free {
    void operator()(Element* elements) const { ::operator delete[](elements, alignment); }
  };

  static Element* allocate(std::size_t count) {
    void* memory = ::operator new[](count * sizeof(Element), alignment);
    std::memset(memory, 0, count * sizeof(Element));
    return static_cast<Element*>(memory);
  }

  std::size_t count_ = 0;
  std::unique_ptr<Element[], Free> elements_;
};

}  // namespace ricorda
