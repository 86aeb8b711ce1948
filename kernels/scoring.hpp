// Whole sequences through a network: read, forward, score, trace.
//
// Arrays are as Python sees them, unpadded and stream by stream: ids (B, T), state (S, L, B, H).
// Streams are shared out between threads in groups; nothing that a group computes depends on
// another one, so the results have the same bits whatever B and the number of threads.
#pragma once

#include <cstdint>

#include "network.hpp"

namespace ricorda {

struct Sequences {
  const std::uint32_t* ids;     // (B, T), each below V
  const std::uint32_t* labels;  // (B, T), each below K; null: 0 for all
  int streams;                  // B
  int steps;                    // T
  const float* state;           // (S, L, B, H)
  float* new_state;             // (S, L, B, H)
  int threads;
};

// The new state alone.
void read_sequences(const Network& network, const Sequences& sequences);

// logits (B, T, V)
void forward(const Network& network, const Sequences& sequences, float* logits);

// What came instead, and how well the network expected it.
struct Scores {
  const std::uint32_t* targets;  // (B, T): the symbol that followed each one read
  float* nats;                   // (B, T): minus the logarithm of its probability
  int top;                       // N alternatives, at most V
  std::uint32_t* top_ids;        // (B, T, N), the most probable first; the lower id on ties
  float* top_nats;               // (B, T, N)
};
void score(const Network& network, const Sequences& sequences, const Scores& scores);

// One stream, B = 1: activations (parts, T, L, H), the parts of the state and then the gates that
// the cell traces.
inline int trace_parts(const Cell& cell) { return cell.state_parts + cell.traced; }
void trace(const Network& network, const Sequences& sequences, float* activations);

}  // namespace ricorda
