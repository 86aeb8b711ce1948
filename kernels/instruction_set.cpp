#include "instruction_set.hpp"

#include <cstdlib>
#include <stdexcept>

#if defined(RICORDA_X86) && defined(_MSC_VER)
#include <intrin.h>
#endif
#if defined(RICORDA_COMPILES_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

// The table of each set, compiled from simd/routines.cpp, and what extensions replace in it.
namespace ricorda::portable {
extern const Routines routines;
}
#if defined(RICORDA_X86)
namespace ricorda::portable_fused {
extern const Routines routines;
}
namespace ricorda::avx2 {
extern const Routines routines;
}
namespace ricorda::avx512 {
extern const Routines routines;
}
namespace ricorda::avx512_vnni {
void multiply_int8(const MatrixView&, const Multiplication&);
}
#if defined(RICORDA_COMPILES_BF16)
namespace ricorda::avx512_bf16 {
void multiply_bfloat16(const MatrixView&, const Multiplication&);
void multiply_rounded(const MatrixView&, const Multiplication&, const std::uint16_t*);
void pack_block_bfloat16(const BlockToPack&);
void transpose_bfloat16(const Transposition&);
}  // namespace ricorda::avx512_bf16
#endif
#if defined(RICORDA_COMPILES_AMX)
namespace ricorda::avx512_amx {
void multiply_bfloat16(const MatrixView&, const Multiplication&);
void multiply_rounded(const MatrixView&, const Multiplication&, const std::uint16_t*);
}  // namespace ricorda::avx512_amx
#endif
#endif

namespace ricorda {
namespace {

#if defined(RICORDA_X86)

struct Processor {
  bool avx2 = false, avx512 = false, bf16 = false, vnni = false, intel = false;
};

#if defined(_MSC_VER)
Processor this_processor() {
  int leaf0[4], leaf1[4], leaf7[4], leaf7_1[4];
  __cpuid(leaf0, 0);
  if (leaf0[0] < 7) return {};
  __cpuid(leaf1, 1);
  const bool saves_vectors = (leaf1[2] >> 27) & 1;
  const unsigned long long saved = saves_vectors ? _xgetbv(0) : 0;  // registers the system keeps
  __cpuidex(leaf7, 7, 0);
  __cpuidex(leaf7_1, 7, 1);
  const auto bit = [](int word, int position) { return ((word >> position) & 1) != 0; };
  Processor has;
  has.avx2 = (saved & 0x6) == 0x6 && bit(leaf1[2], 12) && bit(leaf7[1], 5);
  has.avx512 = has.avx2 && (saved & 0xe6) == 0xe6 && bit(leaf7[1], 16) && bit(leaf7[1], 17) &&
               bit(leaf7[1], 30) && bit(leaf7[1], 31);
  has.vnni = has.avx512 && bit(leaf7[2], 11);
  has.bf16 = has.avx512 && leaf7[0] >= 1 && bit(leaf7_1[0], 5);
  has.intel = leaf0[1] == 0x756e6547;  // "Genu", as GenuineIntel begins
  return has;
}
#else
Processor this_processor() {
  Processor has;
  has.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  has.avx512 = has.avx2 && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
  has.bf16 = has.avx512 && __builtin_cpu_supports("avx512bf16");
  has.vnni = has.avx512 && __builtin_cpu_supports("avx512vnni");
  has.intel = __builtin_cpu_is("intel");
  return has;
}
#endif

#if defined(RICORDA_COMPILES_AMX)
// Whether the processor multiplies tiles of bfloat16, and the system lets this process use them:
// Linux wants to be asked, since their 8 KiB are part of what a change of threads saves.
bool grants_amx() {
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & amx_bf16) != 0 && (edx & amx_tile) != 0 &&
         syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

void add_x86_sets(std::vector<InstructionSet>& sets) {
  Processor has = this_processor();
  Routines routines = avx512::routines;
#if defined(RICORDA_COMPILES_BF16)
  if (has.bf16) {
    routines.multiply[int(Precision::bfloat16)] = avx512_bf16::multiply_bfloat16;
    routines.multiply_rounded = avx512_bf16::multiply_rounded;
    routines.pack_block[int(Precision::bfloat16)] = avx512_bf16::pack_block_bfloat16;
    routines.transpose[int(Precision::bfloat16)] = avx512_bf16::transpose_bfloat16;
  }
#else
  has.bf16 = false;
#endif
  if (has.bf16 || has.vnni) {
    if (has.vnni) routines.multiply[int(Precision::int8)] = avx512_vnni::multiply_int8;
    const char* extensions = !has.vnni ? "BF16" : has.bf16 ? "BF16 and VNNI" : "VNNI";
    // Intel's cores begin one such product a cycle, of two numbers each, but two of float32.
    const bool prefers_bfloat16 = has.bf16 && !has.intel;
    sets.push_back(
        {"avx512", std::string("AVX-512 with ") + extensions, routines, prefers_bfloat16});
  }
#if defined(RICORDA_COMPILES_AMX)
  if (has.bf16 && has.vnni && grants_amx()) {
    routines.multiply[int(Precision::bfloat16)] = avx512_amx::multiply_bfloat16;
    routines.multiply_rounded = avx512_amx::multiply_rounded;
    sets.insert(sets.begin(), {"amx", "AMX, and AVX-512 with BF16 and VNNI", routines, true});
  }
#endif
  if (has.avx512) {
    // on a processor with extensions, a second name runs the code of those without
    const char* name = has.bf16 || has.vnni ? "avx512-base" : "avx512";
    sets.push_back({name, "AVX-512", avx512::routines, false});
  }
  if (has.avx2) sets.push_back({"avx2", "AVX2 with FMA", avx2::routines, false});
}

#endif

#if defined(RICORDA_X86)
// Not among those to choose from: slower than all others.
const InstructionSet& fused_set() {
  static const InstructionSet set{"portable-fused", "portable C++, a * b + c rounded once",
                                  portable_fused::routines, false};
  return set;
}
#endif

std::vector<InstructionSet> find_instruction_sets() {
  std::vector<InstructionSet> sets;
#if defined(RICORDA_X86)
  add_x86_sets(sets);
#endif
  sets.push_back({"portable", "portable C++", portable::routines, false});
  return sets;
}

}  // namespace

const std::vector<InstructionSet>& instruction_sets() {
  static const std::vector<InstructionSet> sets = find_instruction_sets();
  return sets;
}

const InstructionSet& choose_instruction_set(std::string_view name) {
  const char* source = "kernels";
  if (name.empty()) {
    const char* wanted = std::getenv("RICORDA_KERNELS");
    if (wanted != nullptr) name = wanted;
    source = "RICORDA_KERNELS";
  }
  if (name.empty()) return instruction_sets().front();
#if defined(RICORDA_X86)
  if (name == fused_set().name) return fused_set();
#endif
  std::string known;
  for (const InstructionSet& set : instruction_sets()) {
    if (set.name == name) return set;
    known += (known.empty() ? "" : ", ") + set.name;
  }
  throw std::invalid_argument(std::string(source) + " must be one of what this processor has (" +
                              known + "), not '" + std::string(name) + "'");
}

const InstructionSet& choose_exact_set(std::string_view name) {
#if defined(RICORDA_X86)
  const InstructionSet& chosen = choose_instruction_set(name);
  return chosen.name == "portable" ? fused_set() : chosen;
#else
  return choose_instruction_set(name);
#endif
}

}  // namespace ricorda
