// The product of packed weights with the inputs of any number of streams.
//
// A tile is what stays in registers while k runs over the depth: some vectors of rows for some
// streams. Every sum has one accumulator and adds its products in ascending k, whatever the tile,
// so a stream's result has the same bits alone and in any batch.
//
// `Arithmetic` is one precision, see product_*.cpp:
//   Weight, Input        types of a weight and of a prepared input
//   Weights, Sum         one round's weights of `width` rows, and their sums
//   group                how many k lie side by side, and
//   rounds               in how many rounds they are added
//   prepare(...)         inputs in this precision, into Multiplication::prepared
//   take, spread         one round's weights, and its input in every lane
//   begin, add, finish   a sum before the first product, with one more round, and as floats
#pragma once

#include "routines.hpp"
#include "simd/vector.hpp"

namespace ricorda::RICORDA_SET {

template <class Input>
struct PreparedInputs {
  const Input* values;  // (streams, stride)
  std::ptrdiff_t stride;
  const float* scales;  // (streams,) int8 only
};

// Accumulation for precisions that sum in float32.
struct FloatSums {
  using Sum = Float;
  static constexpr bool scaled = false;

  static RICORDA_INLINE Float begin(const MatrixView&, int, const float* start) {
    return load(start);
  }
  static RICORDA_INLINE Float finish(const MatrixView&, int, Float sums, const float*, float) {
    return sums;
  }
};

// Inputs that are multiplied as they are, in float32.
struct FloatInputs : FloatSums {
  using Input = float;
  using Weights = Float;

  static PreparedInputs<float> prepare(const MatrixView&, const Multiplication& task) {
    return {task.inputs, task.input_stride, nullptr};
  }
  static RICORDA_INLINE Float add(Float sums, Float weights, Float input) {
    return fma(weights, input, sums);
  }
};

#if defined(RICORDA_BF16)
// Inputs rounded to bfloat16, into Multiplication::prepared.
inline PreparedInputs<std::uint16_t> round_inputs(const MatrixView& matrix,
                                                  const Multiplication& task) {
  const int depth = padded(matrix.depth);
  auto* values = static_cast<std::uint16_t*>(task.prepared);
  for (int s = 0; s < task.streams; ++s)
    for (int k = 0; k < depth; k += width)
      store_bfloat16(values + s * std::ptrdiff_t{depth} + k,
                     load(task.inputs + s * task.input_stride + k));
  return {values, depth, nullptr};
}
#endif

template <class Arithmetic>
struct Tile {
  const MatrixView& matrix;
  const Multiplication& task;
  PreparedInputs<typename Arithmetic::Input> inputs;
  const typename Arithmetic::Weight* weights;  // of the panel, from `first_row` on
  int panel_width;                             // rows from one group of k to the next
  int first_row;
  int first_stream;
};

// Adds the products of one round of k. Weights that several streams share are taken once.
template <class Arithmetic, int vectors, int streams>
RICORDA_INLINE void add_round(typename Arithmetic::Sum (&sums)[streams][vectors],
                              const typename Arithmetic::Weight* weights,
                              const typename Arithmetic::Input* const (&inputs)[streams], int k,
                              int round) {
  constexpr int stride = width * Arithmetic::group;
  if constexpr (streams == 1) {
    const auto input = Arithmetic::spread(inputs[0] + k, round);
    RICORDA_UNROLL
    for (int v = 0; v < vectors; ++v)
      sums[0][v] =
          Arithmetic::add(sums[0][v], Arithmetic::take(weights + v * stride, round), input);
  } else {
    typename Arithmetic::Weights rows[vectors];
    RICORDA_UNROLL
    for (int v = 0; v < vectors; ++v) rows[v] = Arithmetic::take(weights + v * stride, round);
    RICORDA_UNROLL
    for (int s = 0; s < streams; ++s) {
      const auto input = Arithmetic::spread(inputs[s] + k, round);
      RICORDA_UNROLL
      for (int v = 0; v < vectors; ++v) sums[s][v] = Arithmetic::add(sums[s][v], rows[v], input);
    }
  }
}

template <class Arithmetic, int vectors, int streams>
void run_tile(const Tile<Arithmetic>& tile) {
  constexpr int group = Arithmetic::group;
  const MatrixView& matrix = tile.matrix;
  typename Arithmetic::Sum sums[streams][vectors];
  const typename Arithmetic::Input* inputs[streams];
  RICORDA_UNROLL
  for (int s = 0; s < streams; ++s) {
    const float* start = tile.task.starts[tile.first_stream + s] + tile.first_row;
    inputs[s] = tile.inputs.values + (tile.first_stream + s) * tile.inputs.stride;
    RICORDA_UNROLL
    for (int v = 0; v < vectors; ++v)
      sums[s][v] = Arithmetic::begin(matrix, tile.first_row + v * width, start + v * width);
  }
  const typename Arithmetic::Weight* weights = tile.weights;
  for (int k = 0; k < matrix.depth; k += group) {
    RICORDA_UNROLL
    for (int round = 0; round < Arithmetic::rounds; ++round)
      add_round<Arithmetic>(sums, weights, inputs, k, round);
    weights += tile.panel_width * group;
  }
  RICORDA_UNROLL
  for (int s = 0; s < streams; ++s) {
    const int stream = tile.first_stream + s;
    const float* start = tile.task.starts[stream] + tile.first_row;
    const float scale = Arithmetic::scaled ? tile.inputs.scales[stream] : 1.0f;
    float* output = tile.task.outputs + stream * tile.task.output_stride + tile.first_row;
    RICORDA_UNROLL
    for (int v = 0; v < vectors; ++v)
      store(output + v * width, Arithmetic::finish(matrix, tile.first_row + v * width, sums[s][v],
                                                   start + v * width, scale));
  }
}

// The next share of `left` in portions of nearly equal size, none above `most`.
constexpr int next_share(int left, int most) {
  const int portions = (left + most - 1) / most;
  return (left + portions - 1) / portions;
}

// Whether a panel is ever divided into tiles of so many vectors, none above `most`.
constexpr bool occurs(int vectors, int most) {
  for (int rows = row_block; rows < 2 * panel_rows; rows += row_block)
    for (int left = rows / width; left > 0; left -= next_share(left, most))
      if (next_share(left, most) == vectors) return true;
  return false;
}

// The tile of a size known only now. Sizes that do not occur are not compiled.
template <class Arithmetic, int vectors, int streams>
RICORDA_INLINE void run_known(const Tile<Arithmetic>& tile) {
  constexpr bool alone = streams == 1 && occurs(vectors, tile_alone);
  if constexpr (alone || (streams <= tile_streams && occurs(vectors, tile_vectors)))
    run_tile<Arithmetic, vectors, streams>(tile);
}

template <class Arithmetic, int vectors>
RICORDA_INLINE void run_streams(const Tile<Arithmetic>& tile, int streams) {
  static_assert(tile_streams <= 6);
  switch (streams) {
    case 1: return run_known<Arithmetic, vectors, 1>(tile);
    case 2: return run_known<Arithmetic, vectors, 2>(tile);
    case 3: return run_known<Arithmetic, vectors, 3>(tile);
    case 4: return run_known<Arithmetic, vectors, 4>(tile);
    case 5: return run_known<Arithmetic, vectors, 5>(tile);
    case 6: return run_known<Arithmetic, vectors, 6>(tile);
  }
}

template <class Arithmetic>
void run(const Tile<Arithmetic>& tile, int vectors, int streams) {
  static_assert(tile_alone <= 8 && tile_vectors <= 8);
  switch (vectors) {
    case 1: return run_streams<Arithmetic, 1>(tile, streams);
    case 2: return run_streams<Arithmetic, 2>(tile, streams);
    case 3: return run_streams<Arithmetic, 3>(tile, streams);
    case 4: return run_streams<Arithmetic, 4>(tile, streams);
    case 5: return run_streams<Arithmetic, 5>(tile, streams);
    case 6: return run_streams<Arithmetic, 6>(tile, streams);
    case 7: return run_streams<Arithmetic, 7>(tile, streams);
    case 8: return run_streams<Arithmetic, 8>(tile, streams);
  }
}

// All streams' products with one panel, whose weights stay in the nearest cache meanwhile.
template <class Arithmetic>
void multiply_panel(const MatrixView& matrix, const Multiplication& task,
                    const PreparedInputs<typename Arithmetic::Input>& inputs, int panel) {
  using Weight = typename Arithmetic::Weight;
  const int first = panel * panel_rows, rows = rows_of_panel(matrix.rows, panel);
  const Weight* weights = static_cast<const Weight*>(matrix.weights) +
                          static_cast<std::ptrdiff_t>(first) * matrix.depth;
  const int most_vectors = task.streams == 1 ? tile_alone : tile_vectors;
  for (int row = 0; row < rows;) {
    const int vectors = next_share((rows - row) / width, most_vectors);
    for (int stream = 0; stream < task.streams;) {
      const int streams = next_share(task.streams - stream, tile_streams);
      run(Tile<Arithmetic>{matrix, task, inputs, weights + row * Arithmetic::group, rows,
                           first + row, stream},
          vectors, streams);
      stream += streams;
    }
    row += vectors * width;
  }
}

template <class Arithmetic>
void multiply_prepared(const MatrixView& matrix, const Multiplication& task,
                       const PreparedInputs<typename Arithmetic::Input>& inputs) {
  const int panels = panel_count(matrix.rows);
  for (int i = 0; i < panels; ++i)
    multiply_panel<Arithmetic>(matrix, task, inputs, task.backwards ? panels - 1 - i : i);
}

template <class Arithmetic>
void multiply(const MatrixView& matrix, const Multiplication& task) {
  multiply_prepared<Arithmetic>(matrix, task, Arithmetic::prepare(matrix, task));
}

}  // namespace ricorda::RICORDA_SET
