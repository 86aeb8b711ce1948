// Products of bfloat16 weights by AMX: a processor's matrix multiplier, with tiles for registers.
//
// A tile has up to 16 rows of 64 bytes. One instruction adds to 16 x 16 float32 sums the products
// of 16 streams' inputs of 32 k with 16 rows' weights, which a panel already holds in the order
// that it takes: pairs of k, row beside row. Inputs are rounded to bfloat16. Every sum adds its
// products in ascending k, whatever the number of streams, as in product.hpp.
//
// Tiles 0 to 3 hold sums. Up to 16 streams: 4 their inputs, 5 to 7 weights, for four blocks of rows
// at once. More streams, in two halves: 4 and 5 their inputs, 6 and 7 weights, for two blocks.
#include "simd/product.hpp"

namespace ricorda::RICORDA_SET {
namespace {

constexpr int tile_rows = 16;
constexpr int tile_depth = 32;               // k of one instruction
constexpr int most_streams = 2 * tile_rows;  // whose sums are in tiles at once
constexpr std::ptrdiff_t pair_bytes = 4;     // of two bfloat16, or of a float32 sum

// What LDTILECFG reads.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// The processor's tiles, for so many streams and k. Released at the end: registers in use make a
// change of threads slower.
class Tiles {
 public:
  ~Tiles() {
    if (streams_ > 0) _tile_release();
  }

  void shape(int streams, int depth) {
    if (streams == streams_ && depth == depth_) return;
    streams_ = streams;
    depth_ = depth;
    const bool halved = streams > tile_rows;
    const int first = halved ? (streams + 1) / 2 : streams, second = streams - first;
    TileShapes shapes;
    const auto set = [&](int tile, int rows, int bytes) {
      shapes.rows[tile] = std::uint8_t(rows);
      shapes.row_bytes[tile] = std::uint16_t(bytes);
    };
    const int input_bytes = 2 * depth;
    for (int tile = 0; tile < 4; ++tile) set(tile, halved && tile >= 2 ? second : first, 64);
    set(4, first, input_bytes);
    if (halved)
      set(5, second, input_bytes);
    else
      set(5, depth / 2, 64);
    set(6, depth / 2, 64);
    set(7, depth / 2, 64);
    _tile_loadconfig(&shapes);
  }

 private:
  int streams_ = 0;
  int depth_ = 0;
};

// Sums of some streams with some blocks of a panel's rows, over `depth` k from `first_k` on.
struct Block {
  const std::uint16_t* weights;  // of the first row and k
  std::ptrdiff_t weight_stride;  // bytes from one pair of k to the next
  const std::uint16_t* inputs;   // of the first stream and k
  std::ptrdiff_t input_stride;   // bytes
  std::ptrdiff_t second_half;    // streams from the first one of the second half
  float* sums;                   // of the first stream and row
  std::ptrdiff_t sum_stride;     // bytes
  int depth;
};

// For each tile of sums (number, half of the streams, block of rows).
#define RICORDA_SUMS_OF_ONE(use, blocks)  \
  use(0, 0, 0);                           \
  if constexpr (blocks > 1) use(1, 0, 1); \
  if constexpr (blocks > 2) use(2, 0, 2); \
  if constexpr (blocks > 3) use(3, 0, 3)
#define RICORDA_SUMS_OF_TWO(use, blocks)  \
  use(0, 0, 0);                           \
  use(2, 1, 0);                           \
  if constexpr (blocks > 1) use(1, 0, 1); \
  if constexpr (blocks > 1) use(3, 1, 1)

#define RICORDA_LOAD_SUMS(tile, half, rows)                                         \
  _tile_loadd(tile, sums + half * block.second_half * block.sum_stride + rows * 64, \
              block.sum_stride)
#define RICORDA_STORE_SUMS(tile, half, rows)                                         \
  _tile_stored(tile, sums + half * block.second_half * block.sum_stride + rows * 64, \
               block.sum_stride)

template <int blocks>
void add_for_one(const Block& block) {
  char* sums = reinterpret_cast<char*>(block.sums);
  RICORDA_SUMS_OF_ONE(RICORDA_LOAD_SUMS, blocks);
  const char* weights = reinterpret_cast<const char*>(block.weights);
  const char* inputs = reinterpret_cast<const char*>(block.inputs);
  for (int k = 0; k < block.depth; k += tile_depth) {
    _tile_loadd(4, inputs, block.input_stride);
    _tile_loadd(5, weights, block.weight_stride);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (blocks > 1) {
      _tile_loadd(6, weights + 64, block.weight_stride);
      _tile_dpbf16ps(1, 4, 6);
    }
    if constexpr (blocks > 2) {
      _tile_loadd(7, weights + 128, block.weight_stride);
      _tile_dpbf16ps(2, 4, 7);
    }
    if constexpr (blocks > 3) {
      _tile_loadd(5, weights + 192, block.weight_stride);
      _tile_dpbf16ps(3, 4, 5);
    }
    inputs += 2 * tile_depth;
    weights += tile_depth / 2 * block.weight_stride;
  }
  RICORDA_SUMS_OF_ONE(RICORDA_STORE_SUMS, blocks);
}

template <int blocks>
void add_for_two(const Block& block) {
  char* sums = reinterpret_cast<char*>(block.sums);
  RICORDA_SUMS_OF_TWO(RICORDA_LOAD_SUMS, blocks);
  const char* weights = reinterpret_cast<const char*>(block.weights);
  const char* inputs = reinterpret_cast<const char*>(block.inputs);
  const char* second = inputs + block.second_half * block.input_stride;
  for (int k = 0; k < block.depth; k += tile_depth) {
    _tile_loadd(4, inputs, block.input_stride);
    _tile_loadd(6, weights, block.weight_stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, second, block.input_stride);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (blocks > 1) {
      _tile_loadd(7, weights + 64, block.weight_stride);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
    inputs += 2 * tile_depth;
    second += 2 * tile_depth;
    weights += tile_depth / 2 * block.weight_stride;
  }
  RICORDA_SUMS_OF_TWO(RICORDA_STORE_SUMS, blocks);
}

#undef RICORDA_SUMS_OF_ONE
#undef RICORDA_SUMS_OF_TWO
#undef RICORDA_LOAD_SUMS
#undef RICORDA_STORE_SUMS

void add_products(const Block& block, int streams, int blocks) {
  if (streams > tile_rows) return blocks > 1 ? add_for_two<2>(block) : add_for_two<1>(block);
  switch (blocks) {
    case 1: return add_for_one<1>(block);
    case 2: return add_for_one<2>(block);
    case 3: return add_for_one<3>(block);
    default: return add_for_one<4>(block);
  }
}

// Some streams' products with one panel, over some k.
void multiply_part(const MatrixView& matrix, const Multiplication& task,
                   const PreparedInputs<std::uint16_t>& inputs, int panel, int first_stream,
                   int streams, int first_k, int depth) {
  const int first = panel * panel_rows, rows = rows_of_panel(matrix.rows, panel);
  const auto* weights = static_cast<const std::uint16_t*>(matrix.weights) +
                        static_cast<std::ptrdiff_t>(first) * matrix.depth +
                        static_cast<std::ptrdiff_t>(first_k) * rows;
  Block block{.weights = nullptr,
              .weight_stride = pair_bytes * rows,
              .inputs = inputs.values + first_stream * inputs.stride + first_k,
              .input_stride = 2 * inputs.stride,
              .second_half = (streams + 1) / 2,
              .sums = nullptr,
              .sum_stride = pair_bytes * task.output_stride,
              .depth = depth};
  const int most = streams > tile_rows ? 2 : 4;
  for (int row = 0; row < rows;) {
    const int blocks = next_share((rows - row) / row_block, most);
    block.weights = weights + 2 * row;
    block.sums = task.outputs + first_stream * task.output_stride + first + row;
    add_products(block, streams, blocks);
    row += blocks * row_block;
  }
}

void multiply_panel(const MatrixView& matrix, const Multiplication& task,
                    const PreparedInputs<std::uint16_t>& inputs, int panel, Tiles& tiles) {
  const int first = panel * panel_rows, rows = rows_of_panel(matrix.rows, panel);
  const int whole = matrix.depth / tile_depth * tile_depth, rest = matrix.depth - whole;
  for (int stream = 0; stream < task.streams;) {
    const int streams = next_share(task.streams - stream, most_streams);
    for (int s = stream; s < stream + streams; ++s) {
      const float* start = task.starts[s] + first;
      float* output = task.outputs + s * task.output_stride + first;
      if (start != output) std::memcpy(output, start, pair_bytes * rows);
    }
    if (whole > 0) {
      tiles.shape(streams, tile_depth);
      multiply_part(matrix, task, inputs, panel, stream, streams, 0, whole);
    }
    if (rest > 0) {
      tiles.shape(streams, rest);
      multiply_part(matrix, task, inputs, panel, stream, streams, whole, rest);
    }
    stream += streams;
  }
}

void multiply_prepared(const MatrixView& matrix, const Multiplication& task,
                       const PreparedInputs<std::uint16_t>& inputs) {
  Tiles tiles;
  const int panels = panel_count(matrix.rows);
  for (int i = 0; i < panels; ++i)
    multiply_panel(matrix, task, inputs, task.backwards ? panels - 1 - i : i, tiles);
}

}  // namespace

void multiply_bfloat16(const MatrixView& matrix, const Multiplication& task) {
  multiply_prepared(matrix, task, round_inputs(matrix, task));
}

void multiply_rounded(const MatrixView& matrix, const Multiplication& task,
                      const std::uint16_t* inputs) {
  multiply_prepared(matrix, task, {inputs, task.input_stride, nullptr});
}

}  // namespace ricorda::RICORDA_SET
