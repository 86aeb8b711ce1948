// While one of these lives, numbers below float32's normal range count as zero in this thread.
// They would not change a text, but each would cost a hundred times an ordinary one.
#pragma once

#include <cstdint>

#if defined(RICORDA_X86)
#include <xmmintrin.h>
#endif

namespace ricorda {

class DenormalsAsZero {
 public:
  DenormalsAsZero() : before_(control()) { set_control(before_ | flush_bits); }
  ~DenormalsAsZero() { set_control(before_); }
  DenormalsAsZero(const DenormalsAsZero&) = delete;
  DenormalsAsZero& operator=(const DenormalsAsZero&) = delete;

 private:
#if defined(RICORDA_X86)
  static constexpr std::uint64_t flush_bits = 0x8040;  // FTZ and DAZ
  static std::uint64_t control() { return _mm_getcsr(); }
  static void set_control(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__) && defined(__GNUC__)
  static constexpr std::uint64_t flush_bits = 1 << 24;  // FZ
  static std::uint64_t control() {
    std::uint64_t bits;
    __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
    return bits;
  }
  static void set_control(std::uint64_t bits) { __asm__ volatile("msr fpcr, %0" : : "r"(bits)); }
#else
  static constexpr std::uint64_t flush_bits = 0;
  static std::uint64_t control() { return 0; }
  static void set_control(std::uint64_t) {}
#endif

  std::uint64_t before_;
};

}  // namespace ricorda
