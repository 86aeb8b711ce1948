// The table of one instruction set: its cells and its inner loops.
//
// The set `portable_fused` is there for its float32 results. It shares with `portable` the other
// precisions, and what has no fused multiplications.
#include "routines.hpp"

#include "cells/table.hpp"

#if defined(RICORDA_FUSED)
#define RICORDA_UNFUSED portable
#else
#define RICORDA_UNFUSED RICORDA_SET
#endif

namespace ricorda::RICORDA_UNFUSED {

void multiply_bfloat16(const MatrixView&, const Multiplication&);
void multiply_int8(const MatrixView&, const Multiplication&);
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

}  // namespace ricorda::RICORDA_UNFUSED

namespace ricorda::RICORDA_SET {

void multiply_float32(const MatrixView&, const Multiplication&);
float largest_of(const float*, int);
float exponentials(const float*, int, float, float*);
float total_of(const float*, int);
void totals_from(const float*, const float*, int, const float*, float*);
int places_between(const float*, int, float, float, std::uint32_t*);
void drop_below(const float*, int, float, float*);
void tanh_of(const float*, int, float*);
void sigmoid_of(const float*, int, float*);

extern const Routines routines;
constexpr Routines routines{
    .cells = cells,
    .cell_count = sizeof cells / sizeof cells[0],
    .multiply = {multiply_float32, RICORDA_UNFUSED::multiply_bfloat16,
                 RICORDA_UNFUSED::multiply_int8},
    .largest = largest_of,
    .exponentials = exponentials,
    .total = total_of,
    .totals_from = totals_from,
    .places_between = places_between,
    .drop_below = drop_below,
    .multiply_rounded = nullptr,
    .pack_block = {RICORDA_UNFUSED::pack_block_float32, RICORDA_UNFUSED::pack_block_bfloat16},
    .transpose = {RICORDA_UNFUSED::transpose_float32, RICORDA_UNFUSED::transpose_bfloat16},
    .add = RICORDA_UNFUSED::add,
    .scale = RICORDA_UNFUSED::scale,
    .sum_of_squares = RICORDA_UNFUSED::sum_of_squares,
    .drop = RICORDA_UNFUSED::drop,
    .adamw = RICORDA_UNFUSED::adamw,
    .adapt = RICORDA_UNFUSED::adapt,
    .tanh = tanh_of,
    .sigmoid = sigmoid_of,
};

}  // namespace ricorda::RICORDA_SET
