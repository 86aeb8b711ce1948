// Matrices brought into the order in which products read them.
//
// A tile is 16 by 16 words of 32 bits: floats, or pairs of bfloat16 that a product takes at once.
#include <cstring>

#include "routines.hpp"
#include "simd/vector.hpp"

namespace ricorda::RICORDA_SET {
namespace {

constexpr int side = row_block;
struct alignas(64) WordTile {
  std::uint32_t words[side][side];
};

#if RICORDA_VECTOR_BITS == 512
RICORDA_INLINE void transpose_tile(WordTile& tile) {
  __m512i a[side], b[side];
  RICORDA_UNROLL
  for (int i = 0; i < side; ++i) a[i] = _mm512_load_si512(tile.words[i]);
  RICORDA_UNROLL
  for (int i = 0; i < side; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  RICORDA_UNROLL
  for (int i = 0; i < side; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  RICORDA_UNROLL
  for (int i = 0; i < 4; ++i) {
    b[i] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
    b[i + 4] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
    b[i + 8] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    b[i + 12] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
  }
  RICORDA_UNROLL
  for (int i = 0; i < 8; ++i) {
    a[i] = _mm512_shuffle_i32x4(b[i], b[i + 8], 0x88);
    a[i + 8] = _mm512_shuffle_i32x4(b[i], b[i + 8], 0xdd);
  }
  RICORDA_UNROLL
  for (int i = 0; i < side; ++i) _mm512_store_si512(tile.words[i], a[i]);
}
#else
RICORDA_INLINE void transpose_tile(WordTile& tile) {
  for (int i = 0; i < side; ++i)
    for (int j = 0; j < i; ++j) {
      const std::uint32_t word = tile.words[i][j];
      tile.words[i][j] = tile.words[j][i];
      tile.words[j][i] = word;
    }
}
#endif

RICORDA_INLINE std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
// The nearest bfloat16 in the upper half, ties to even.
RICORDA_INLINE std::uint32_t rounded(float value) {
  const std::uint32_t bits = bits_of(value);
  return bits + 0x7fff + ((bits >> 16) & 1);
}
RICORDA_INLINE std::uint32_t pair_of(float first, float second) {
  return (rounded(first) >> 16) | (rounded(second) & 0xffff0000u);
}

// `side` pairs, of two lines or of one line's neighbours.
#if defined(RICORDA_BF16)
RICORDA_INLINE __m512i both_rounded(const float* lower, const float* upper) {
  return same_bits<__m512i>(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(upper), _mm512_loadu_ps(lower)));
}
RICORDA_INLINE void pairs_of_lines(const float* first, const float* second, std::uint32_t* pairs) {
  alignas(64) static constexpr std::uint16_t order[2 * side] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  _mm512_storeu_si512(
      pairs, _mm512_permutexvar_epi16(_mm512_load_si512(order), both_rounded(first, second)));
}
RICORDA_INLINE void pairs_in_line(const float* line, std::uint32_t* pairs) {
  _mm512_storeu_si512(pairs, both_rounded(line, line + side));
}
#else
RICORDA_INLINE void pairs_of_lines(const float* first, const float* second, std::uint32_t* pairs) {
  for (int j = 0; j < side; ++j) pairs[j] = pair_of(first[j], second[j]);
}
RICORDA_INLINE void pairs_in_line(const float* line, std::uint32_t* pairs) {
  for (int j = 0; j < side; ++j) pairs[j] = pair_of(line[2 * j], line[2 * j + 1]);
}
#endif

// `lines` lines of floats, `stride` apart, of which `count` elements are taken; the rest is zero.
struct Lines {
  const float* source;
  std::ptrdiff_t stride;
  int lines;
  int count;
};

RICORDA_INLINE int at_most(int value, int most) { return value < most ? value : most; }

// Line i of the tile is line i of the source.
RICORDA_INLINE void take_float32(const Lines& from, WordTile& tile) {
  const bool whole = from.count >= side;
  for (int i = 0; i < side; ++i) {
    if (i >= from.lines)
      std::memset(tile.words[i], 0, sizeof tile.words[i]);
    else if (whole)
      std::memcpy(tile.words[i], from.source + i * from.stride, sizeof tile.words[i]);
    else
      for (int j = 0; j < side; ++j)
        tile.words[i][j] = j < from.count ? bits_of(from.source[i * from.stride + j]) : 0;
  }
}

// Line i of the tile are pairs of lines 2 i and 2 i + 1.
RICORDA_INLINE void take_pairs_of_lines(const Lines& from, WordTile& tile) {
  const int count = at_most(from.count, side);
  for (int i = 0; i < side; ++i) {
    const float* first = from.source + 2 * i * from.stride;
    const float* second = first + from.stride;
    if (2 * i + 1 < from.lines && count == side) {
      pairs_of_lines(first, second, tile.words[i]);
    } else {
      for (int j = 0; j < side; ++j) {
        const bool inside = j < count;
        tile.words[i][j] = pair_of(inside && 2 * i < from.lines ? first[j] : 0.0f,
                                   inside && 2 * i + 1 < from.lines ? second[j] : 0.0f);
      }
    }
  }
}

// Line i of the tile is line i of the source, its elements in pairs.
RICORDA_INLINE void take_pairs_in_lines(const Lines& from, WordTile& tile) {
  for (int i = 0; i < side; ++i) {
    const float* line = from.source + i * from.stride;
    if (i < from.lines && from.count >= 2 * side) {
      pairs_in_line(line, tile.words[i]);
    } else {
      for (int j = 0; j < side; ++j) {
        const bool inside = i < from.lines;
        tile.words[i][j] = pair_of(inside && 2 * j < from.count ? line[2 * j] : 0.0f,
                                   inside && 2 * j + 1 < from.count ? line[2 * j + 1] : 0.0f);
      }
    }
  }
}

RICORDA_INLINE void give(const WordTile& tile, int lines, std::uint32_t* target,
                         std::ptrdiff_t stride) {
  for (int i = 0; i < lines; ++i)
    std::memcpy(target + i * stride, tile.words[i], sizeof tile.words[i]);
}

}  // namespace

void pack_block_float32(const BlockToPack& block) {
  WordTile tile;
  auto* target = static_cast<std::uint32_t*>(block.target);
  for (int k = 0; k < block.padded_depth; k += side) {
    if (block.row_stride == 1) {
      take_float32(
          {block.source + k * block.depth_stride, block.depth_stride, block.depth - k, block.rows},
          tile);
    } else {
      take_float32({block.source + k, block.row_stride, block.rows, block.depth - k}, tile);
      transpose_tile(tile);
    }
    give(tile, at_most(side, block.padded_depth - k), target + k * block.target_stride,
         block.target_stride);
  }
}

void pack_block_bfloat16(const BlockToPack& block) {
  WordTile tile;
  auto* target = static_cast<std::uint32_t*>(block.target);
  const std::ptrdiff_t stride = block.target_stride / 2;  // in pairs
  for (int k = 0; k < block.padded_depth; k += 2 * side) {
    if (block.row_stride == 1) {
      take_pairs_of_lines(
          {block.source + k * block.depth_stride, block.depth_stride, block.depth - k, block.rows},
          tile);
    } else {
      take_pairs_in_lines({block.source + k, block.row_stride, block.rows, block.depth - k}, tile);
      transpose_tile(tile);
    }
    give(tile, at_most(side, (block.padded_depth - k) / 2), target + k / 2 * stride, stride);
  }
}

void transpose_float32(const Transposition& task) {
  WordTile tile;
  auto* target = static_cast<std::uint32_t*>(task.target);
  for (int column = 0; column < task.columns; column += side)
    for (int row = 0; row < task.padded_count; row += side) {
      take_float32({task.source + row * task.source_stride + column, task.source_stride,
                    task.count - row, side},
                   tile);
      transpose_tile(tile);
      give(tile, side, target + column * task.target_stride + row, task.target_stride);
    }
}

void transpose_bfloat16(const Transposition& task) {
  WordTile tile;
  auto* target = static_cast<std::uint32_t*>(task.target);
  const std::ptrdiff_t stride = task.target_stride / 2;  // in pairs
  for (int column = 0; column < task.columns; column += side)
    for (int row = 0; row < task.padded_count; row += 2 * side) {
      take_pairs_of_lines({task.source + row * task.source_stride + column, task.source_stride,
                           task.count - row, side},
                          tile);
      transpose_tile(tile);
      give(tile, side, target + column * stride + row / 2, stride);
    }
}

}  // namespace ricorda::RICORDA_SET
