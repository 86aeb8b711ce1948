// Which instruction sets the inner loops were compiled for, and which of them this processor has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "routines.hpp"

namespace ricorda {

struct InstructionSet {
  std::string name;         // as RICORDA_KERNELS takes it: "avx512"
  std::string description;  // for people: "AVX-512 with BF16 and VNNI"
  Routines routines;
  bool prefers_bfloat16;  // learns faster in it than in float32
};

// What this processor can run, the fastest first. The last one, "portable", is always there.
const std::vector<InstructionSet>& instruction_sets();

// The set of that name; for an empty name the one that the environment variable RICORDA_KERNELS
// names, else the fastest. Throws std::invalid_argument if this processor does not have it.
const InstructionSet& choose_instruction_set(std::string_view name);

// The same among the sets whose float32 results have the same bits on all processors. These round
// a * b + c once; where a processor cannot, "portable-fused" computes it, slowly.
const InstructionSet& choose_exact_set(std::string_view name);

}  // namespace ricorda
