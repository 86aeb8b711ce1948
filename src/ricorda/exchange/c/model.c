/* The network's step. weights.h holds its numbers. */
#include "model.h"

#include <stddef.h>

#define H MODEL_HIDDEN
#define ROWS (@GATES@ * H) /* of the stacked gates */

#if INT8
struct matrix {
  const int8_t *weights; /* (R, C), row after row */
  const float *scales;   /* (R,); a weight is an integer times the scale of its row */
};
#else
struct matrix {
  const float *weights; /* (R, C), row after row */
};
#endif

struct layer {
#if EMBEDDING || STACKED
  struct matrix input; /* (ROWS, the inputs of the layer) */
#endif
#if GRU
  struct matrix recurrent; /* (2 * H, H), of r and z */
  struct matrix candidate; /* (H, H), of n */
  const float *bias;       /* (4 * H,), of r, z, the input's part of n, the recurrent part of n */
#else
#if RECURRENT
  struct matrix recurrent; /* (ROWS, H) */
#endif
  const float *bias; /* (ROWS,) */
#endif
};

#include "weights.h"

#if INT8
/* Write a vector as scale * (4096 * high + low) and return the scale. The error is at most
 * 2^-24 of the largest number; that of a float is about as large. */
static float to_fixed_point(struct model_state *state, const float *vector, int count) {
  float largest = 0;
  for (int k = 0; k < count; k++) {
    const float size = vector[k] < 0 ? -vector[k] : vector[k];
    if (!(size <= largest)) largest = size;
  }
  /* Where the state overflows, the scale is infinite and the logits become NaN. */
  const float steps = largest > 1e-30f && largest < 3e38f ? 16777216.0f / largest : 0;
  for (int k = 0; k < count; k++) {
    const int32_t fixed = steps > 0 ? (int32_t)(vector[k] * steps) : 0;
    state->high[k] = (int16_t)(fixed / 4096);
    state->low[k] = (int16_t)(fixed % 4096);
  }
  return largest / 16777216.0f;
}

/* Add a matrix (rows, depth) times a vector (depth,) to totals (rows,). Sums of integers may be
 * taken in any order, so compilers use the processor's vectors. */
static void add_product(struct model_state *state, const struct matrix *matrix, int rows, int depth,
                        const float *vector, float *totals) {
  const float scale = to_fixed_point(state, vector, depth);
  const int16_t *const highs = state->high, *const lows = state->low;
  const int8_t *weights = matrix->weights;
  for (int row = 0; row < rows; row++, weights += depth) {
    @SUM@ high = 0, low = 0;
    for (int k = 0; k < depth; k++) {
      high += (int32_t)weights[k] * highs[k];
      low += (int32_t)weights[k] * lows[k];
    }
    totals[row] += matrix->scales[row] * scale * (4096.0f * (float)high + (float)low);
  }
}
#else
#define LANES 16 /* sums side by side, for which compilers use the processor's vectors */

/* Add a matrix (rows, depth) times a vector (depth,) to totals (rows,). */
static void add_product(const struct matrix *matrix, int rows, int depth, const float *vector,
                        float *totals) {
  const int whole = depth - depth % LANES;
  const float *weights = matrix->weights;
  for (int row = 0; row < rows; row++, weights += depth) {
    float sums[LANES] = {0}, sum = 0;
    for (int k = 0; k < whole; k += LANES)
      for (int lane = 0; lane < LANES; lane++) sums[lane] += weights[k + lane] * vector[k + lane];
    for (int k = whole; k < depth; k++) sum += weights[k] * vector[k];
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    totals[row] += sum;
  }
}
#endif

#if RNN || GRU || LSTM || CIFG || MINGRU
/* x P(x^2) / Q(x^2): within 4e-7 of the hyperbolic tangent. */
static inline float tanh_of(float x) {
  const float bounded = x < -8.95f ? -8.95f : x > 8.95f ? 8.95f : x;
  const float s = bounded * bounded;
  const float above =
      1.0f + s * (0.13384245336055756f +
                  s * (0.0034994143061339855f +
                       s * (2.0672234313678928e-05f + s * 1.3442738477920102e-08f)));
  const float below =
      1.0f + s * (0.46717560291290283f +
                  s * (0.025891531258821487f +
                       s * (0.00032918990473262966f + s * 7.812473086232785e-07f)));
  return bounded * above / below;
}
#endif
#if MINLSTM

/* 2^n times a polynomial: within 4e-7 of the exponential, relatively, from -80 to 80. */
static inline float exp_of(float x) {
  const float bounded = x < -80 ? -80 : x > 80 ? 80 : x;
  const int32_t n = (int32_t)(bounded * 1.44269504f + (bounded < 0 ? -0.5f : 0.5f));
  const float r = bounded - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
  union {
    int32_t bits;
    float value;
  } power = {(n + 127) * 8388608};
  const float high = 1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720));
  return power.value * (1 + r * (1 + r * (0.5f + r * (1.0f / 6 + r * high))));
}
#endif
#if LSTM || CIFG || GRU || MINGRU

static inline float sigmoid_of(float x) { return 0.5f + 0.5f * tanh_of(0.5f * x); }
#endif

#if RNN
/* h' = tanh(total) */
static void apply_cell(struct model_state *state, int layer) {
  float *hidden = state->hidden[layer];
  for (int unit = 0; unit < H; unit++) hidden[unit] = tanh_of(state->totals[unit]);
}
#endif
#if RELU
/* h' = max(total, 0) */
static void apply_cell(struct model_state *state, int layer) {
  float *hidden = state->hidden[layer];
  for (int unit = 0; unit < H; unit++)
    hidden[unit] = state->totals[unit] < 0 ? 0 : state->totals[unit];
}
#endif
#if GRU
/* h' = (1 - z) * n + z * h */
static void apply_cell(struct model_state *state, int layer) {
  const float *r_total = state->totals, *z_total = r_total + H;
  const float *n_total = z_total + H, *n_recurrent = n_total + H;
  float *hidden = state->hidden[layer];
  for (int unit = 0; unit < H; unit++) {
    const float r = sigmoid_of(r_total[unit]), z = sigmoid_of(z_total[unit]);
    const float n = tanh_of(n_total[unit] + r * n_recurrent[unit]);
    hidden[unit] = (1 - z) * n + z * hidden[unit];
  }
}
#endif
#if LSTM
/* c' = f * c + i * g, h' = o * tanh(c') */
static void apply_cell(struct model_state *state, int layer) {
  const float *i_total = state->totals, *f_total = i_total + H;
  const float *g_total = f_total + H, *o_total = g_total + H;
  float *hidden = state->hidden[layer], *cell = state->cell[layer];
  for (int unit = 0; unit < H; unit++) {
    const float i = sigmoid_of(i_total[unit]), f = sigmoid_of(f_total[unit]);
    const float g = tanh_of(g_total[unit]), o = sigmoid_of(o_total[unit]);
    cell[unit] = f * cell[unit] + i * g;
    hidden[unit] = o * tanh_of(cell[unit]);
  }
}
#endif
#if CIFG
/* c' = (1 - i) * c + i * g, h' = o * tanh(c') */
static void apply_cell(struct model_state *state, int layer) {
  const float *i_total = state->totals, *g_total = i_total + H, *o_total = g_total + H;
  float *hidden = state->hidden[layer], *cell = state->cell[layer];
  for (int unit = 0; unit < H; unit++) {
    const float i = sigmoid_of(i_total[unit]);
    const float g = tanh_of(g_total[unit]), o = sigmoid_of(o_total[unit]);
    cell[unit] = (1 - i) * cell[unit] + i * g;
    hidden[unit] = o * tanh_of(cell[unit]);
  }
}
#endif
#if MINGRU
/* h' = (1 - z) * h + z * n */
static void apply_cell(struct model_state *state, int layer) {
  const float *z_total = state->totals, *n_total = z_total + H;
  float *hidden = state->hidden[layer];
  for (int unit = 0; unit < H; unit++) {
    const float z = sigmoid_of(z_total[unit]);
    hidden[unit] = (1 - z) * hidden[unit] + z * n_total[unit];
  }
}
#endif
#if MINLSTM
/* h' = (f * h + i * g) / (f + i), by 1 / i and 1 / f, which never vanish */
static void apply_cell(struct model_state *state, int layer) {
  const float *i_total = state->totals, *f_total = i_total + H, *g_total = f_total + H;
  float *hidden = state->hidden[layer];
  for (int unit = 0; unit < H; unit++) {
    const float i = 1 + exp_of(-i_total[unit]), f = 1 + exp_of(-f_total[unit]);
    hidden[unit] += f / (f + i) * (g_total[unit] - hidden[unit]);
  }
}
#endif

/* Add the first layer's input weights times a symbol to the totals. */
static void add_symbol(struct model_state *state, int symbol) {
#if EMBEDDING
#if INT8
  const int8_t *row = embedding.weights + (size_t)symbol * MODEL_EMBEDDING;
  for (int k = 0; k < MODEL_EMBEDDING; k++) state->input[k] = embedding.scales[symbol] * row[k];
  add_product(state, &layers[0].input, ROWS, MODEL_EMBEDDING, state->input, state->totals);
#else
  const float *row = embedding.weights + (size_t)symbol * MODEL_EMBEDDING;
  add_product(&layers[0].input, ROWS, MODEL_EMBEDDING, row, state->totals);
#endif
#else
  /* The symbol's one-hot vector picks a column of the weights. */
#if INT8
  const int8_t *column = columns.weights + (size_t)symbol * ROWS;
  for (int row = 0; row < ROWS; row++) state->totals[row] += columns.scales[row] * column[row];
#else
  const float *column = columns.weights + (size_t)symbol * ROWS;
  for (int row = 0; row < ROWS; row++) state->totals[row] += column[row];
#endif
#endif
}

#if LABELS
static void add_label(struct model_state *state, int label) {
#if INT8
  const int8_t *weights = labels.weights + (size_t)label * ROWS;
  for (int row = 0; row < ROWS; row++) state->totals[row] += labels.scales[label] * weights[row];
#else
  const float *weights = labels.weights + (size_t)label * ROWS;
  for (int row = 0; row < ROWS; row++) state->totals[row] += weights[row];
#endif
}

#endif
void model_reset(struct model_state *state) {
  for (int layer = 0; layer < MODEL_LAYERS; layer++) {
    for (int unit = 0; unit < H; unit++) {
      state->hidden[layer][unit] = 0;
#if LSTM || CIFG
      state->cell[layer][unit] = 0;
#endif
    }
  }
}

#if LABELS
void model_step(struct model_state *state, int symbol, int label, float *logits) {
#else
void model_step(struct model_state *state, int symbol, float *logits) {
#endif
#if DOCUMENTS
  if (symbol == MODEL_BOUNDARY) model_reset(state);
#endif
  for (int number = 0; number < MODEL_LAYERS; number++) {
    const struct layer *layer = &layers[number];
#if RECURRENT
    const float *before = state->hidden[number];
#endif
    for (int row = 0; row < @BLOCKS@ * H; row++) state->totals[row] = layer->bias[row];
#if STACKED
    if (number > 0) {
      const float *input = state->hidden[number - 1];
      add_product(@STATE@&layer->input, ROWS, H, input, state->totals);
    } else {
      add_symbol(state, symbol);
#if LABELS
      add_label(state, label);
#endif
    }
#else
    add_symbol(state, symbol);
#if LABELS
    add_label(state, label);
#endif
#endif
#if GRU
    add_product(@STATE@&layer->recurrent, 2 * H, H, before, state->totals);
    add_product(@STATE@&layer->candidate, H, H, before, state->totals + 3 * H);
#else
#if RECURRENT
    add_product(@STATE@&layer->recurrent, ROWS, H, before, state->totals);
#endif
#endif
    apply_cell(state, number);
  }
  for (int next = 0; next < MODEL_SYMBOLS; next++) logits[next] = output_bias[next];
  add_product(@STATE@&output, MODEL_SYMBOLS, H, state->hidden[MODEL_LAYERS - 1], logits);
}
