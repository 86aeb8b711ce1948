// What a recurrent cell is: how its gates lie in memory, and one step forwards and backwards.
//
// A cell is one file of this folder and one line in table.hpp. The file is compiled once for each
// instruction set. Its equations stand in src/ricorda/engine/reference.py.
//
// Dimensions: H hidden, padded to a multiple of row_block; G gates.
#pragma once

namespace ricorda {

constexpr int most_gates = 6;
constexpr int most_state_parts = 2;

// One step of one stream. `gates` holds the totals before their activations, in blocks of H, and
// receives what the backward step and a trace need. A part of the state may be updated in place.
struct CellStep {
  float* gates;
  const float* before[most_state_parts];  // (H) each, hidden first
  float* after[most_state_parts];         // (H) each
  int hidden_size;
};

// The same step backwards. `gates` holds what CellStep left there and receives the gradients of the
// totals.
struct CellStepBack {
  float* gates;
  const float* before[most_state_parts];
  const float* after[most_state_parts];
  const float* hidden_gradient;  // of after[0]
  float* cell_gradient;          // in: of after[1], out: of before[1]
  // Of before[0]: receives, by addition, what does not flow through the recurrent weights.
  float* hidden_before_gradient;
  int hidden_size;
};

struct Cell {
  const char* name = "";
  const char* nonlinearity = "";  // "": the cell has no such option
  int gates = 0;                  // G, the blocks of rows in a model file's stacked weights
  int state_parts = 1;
  // False: the gates depend on the input alone, and hidden_block is not read.
  bool has_recurrent_weights = true;
  // A row of gates has `blocks` blocks of H. The product with the input writes the last G of them,
  // the product with the hidden state the first G. These are the blocks of each gate, in the order
  // of the stacked weights.
  int blocks = 0;
  int input_block[most_gates] = {};
  int hidden_block[most_gates] = {};
  // The blocks that hold activations after a step, in the order of a trace.
  int traced = 0;
  int traced_block[most_gates] = {};
  void (*forward)(const CellStep&) = nullptr;
  void (*backward)(const CellStepBack&) = nullptr;
};

}  // namespace ricorda
