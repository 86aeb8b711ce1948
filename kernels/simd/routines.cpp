// The table of one instruction set: its cells and its inner loops.
#include "routines.hpp"

#include "cells/table.hpp"

namespace ricorda::RICORDA_SET {

void multiply_float32(const MatrixView&, const Multiplication&);
void multiply_bfloat16(const MatrixView&, const Multiplication&);
void multiply_int8(const MatrixView&, const Multiplication&);
float largest_of(const float*, int);
float exponentials(const float*, int, float, float*);
void totals_from(const float*, const float*, int, const float*, float*);
void pack_block_float32(const BlockToPack&);
void pack_block_bfloat16(const BlockToPack&);
void transpose_float32(const Transposition&);
void transpose_bfloat16(const Transposition&);
void add(const float*, int, float*);
void scale(float*, int, float);
double sum_of_squares(const float*, int);
void drop(float*, int, std::uint64_t, std::uint32_t, float);
void adamw(const AdamW&, const Numbers&);
void adapt(float, float, const Numbers&);
float total_of(const float*, int);
void tanh_of(const float*, int, float*);
void sigmoid_of(const float*, int, float*);

extern const Routines routines;
constexpr Routines routines{
    .cells = cells,
    .cell_count = sizeof cells / sizeof cells[0],
    .multiply = {multiply_float32, multiply_bfloat16, multiply_int8},
    .largest = largest_of,
    .exponentials = exponentials,
    .totals_from = totals_from,
    .multiply_rounded = nullptr,
    .pack_block = {pack_block_float32, pack_block_bfloat16},
    .transpose = {transpose_float32, transpose_bfloat16},
    .add = add,
    .scale = scale,
    .sum_of_squares = sum_of_squares,
    .drop = drop,
    .adamw = adamw,
    .adapt = adapt,
    .total = total_of,
    .tanh = tanh_of,
    .sigmoid = sigmoid_of,
};

}  // namespace ricorda::RICORDA_SET
