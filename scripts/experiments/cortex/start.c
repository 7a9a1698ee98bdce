// Start-up for a Cortex-M4 of QEMU's mps2-an386, output by semihosting, and a clock: with -icount shift=0 an instruction
// takes a nanosecond, and the timer counts 25 MHz.
#include <stdint.h>

extern uint32_t stack_top, bss_begin, bss_end;
int main(void);

static void semihost(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
void say(const char* text) { semihost(4, text); }

#define TIMER ((volatile uint32_t*)0x40000000)
void clock_start(void) {
  TIMER[0] = 0;
  TIMER[2] = 0xffffffff;
  TIMER[1] = 0xffffffff;
  TIMER[0] = 1;
}
// Nanoseconds, and so instructions, in steps of 40.
uint64_t clock_read(void) { return (uint64_t)(0xffffffff - TIMER[1]) * 40; }

void reset(void) {
  uint32_t* word;
  for (word = &bss_begin; word < &bss_end; word++) *word = 0;
  main();
  semihost(0x18, (const void*)0x20026);
  for (;;) {
  }
}
void fault(void) {
  say("fault\n");
  semihost(0x18, (const void*)0x20023);
  for (;;) {
  }
}
__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    &stack_top, (const void*)reset, (const void*)fault, (const void*)fault, (const void*)fault, (const void*)fault, (const void*)fault};
