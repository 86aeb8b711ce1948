/* What the processor does first: switch on the floating-point unit, then start newlib. */
#include <stdint.h>

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define STACK_TOP 0x20400000u

extern void _start(void);

void reset(void) {
  COPROCESSOR_ACCESS |= 0xFu << 20;
  __asm volatile("dsb\n\tisb");
  _start();
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[] = {STACK_TOP,
                                                                               (uintptr_t)reset};
