// How the gates of a step lie side by side in a row of W floats, in blocks of Hp.
#pragma once

#include "network.hpp"

namespace ricorda {

// Where the blocks of H rows of torch's stacked weights go in a row of gates.
//   rnn, lstm  in torch's order
//   gru        torch stacks reset, update, candidate; the candidate's two products stay apart:
//              candidate (hidden part), reset, update, candidate (input part)
struct GateBlocks {
  int input[4];
  int hidden[4];
};

inline GateBlocks gate_blocks(Cell cell) {
  if (cell == Cell::gru) return {{1, 2, 3}, {1, 2, 0}};
  return {{0, 1, 2, 3}, {0, 1, 2, 3}};
}

// The first of the blocks that a product with the input weights writes; one with the hidden
// weights begins at 0.
inline int first_input_block(Cell cell) { return cell == Cell::gru ? 1 : 0; }

}  // namespace ricorda
