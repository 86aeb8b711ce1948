/* @DESCRIPTION@
 *
 * The model reads a text symbol by symbol and predicts the next symbol. It allocates nothing, calls
 * no library, and keeps all that changes in a struct model_state that the caller owns.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_SYMBOLS @SYMBOLS@ /* V */
#define MODEL_HIDDEN @HIDDEN@ /* H, units of a layer */
#define MODEL_LAYERS @LAYERS@
#if EMBEDDING
#define MODEL_EMBEDDING @EMBEDDING@ /* E, numbers that stand for a symbol */
#endif
#define MODEL_START @START@ /* the symbol to read first where there is no prompt */
#if DOCUMENTS
#define MODEL_BOUNDARY @BOUNDARY@ /* the symbol before and after each document */
#endif
#if RARE
#define MODEL_RARE @RARE@ /* the symbol of all characters without one of their own: never write it */
#endif
#if LABELS
#define MODEL_LABELS @LABELS@ /* label 0 is for documents without a label */
#endif

struct model_state { /* @STATE_BYTES@ bytes */
  float hidden[MODEL_LAYERS][MODEL_HIDDEN];
#if LSTM || CIFG
  float cell[MODEL_LAYERS][MODEL_HIDDEN];
#endif

  /* Workspace of one step; the next step does not depend on it. */
  float totals[@BLOCKS@ * MODEL_HIDDEN]; /* of the gates, before their activations */
#if INT8
#if EMBEDDING
  float input[MODEL_EMBEDDING];
#endif
  int16_t high[@DEPTH@], low[@DEPTH@]; /* a vector in fixed point */
#endif
};

/* Begin a text: the state becomes zero. */
void model_reset(struct model_state *state);

/* Read a symbol, 0 to MODEL_SYMBOLS - 1, and write the logits of the next one, (MODEL_SYMBOLS,).
#if LABELS
 * The label, 0 to MODEL_LABELS - 1, is that of the document.
#endif
#if DOCUMENTS
 * A boundary begins a new document: before it is read, the state becomes zero.
#endif
 */
#if LABELS
void model_step(struct model_state *state, int symbol, int label, float *logits);
#else
void model_step(struct model_state *state, int symbol, float *logits);
#endif

#ifdef __cplusplus
}
#endif

#endif
