/* Writes text: main [PROMPT [LENGTH [TEMPERATURE [SEED@LABEL_USAGE@]]]]
 *
 * The prompt is UTF-8, spelled as the text that the model learned. Temperature 0 always writes the
 * most likely symbol.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "symbols.h"

static struct model_state state;
static float logits[MODEL_SYMBOLS]; /* of the next symbol */
#if LABELS
static int label; /* of the document */
#endif

static void fail(const char *message, const char *argument) {
  fprintf(stderr, "%s%s\n", message, argument);
  exit(1);
}

static void read_symbol(int symbol) {
#if LABELS
  model_step(&state, symbol, label, logits);
#else
  model_step(&state, symbol, logits);
#endif
  for (int next = 0; next < MODEL_SYMBOLS; next++)
    if (!(logits[next] - logits[next] == 0)) fail("the network's state overflows on this text", "");
}

/* Choosing a symbol. */

static int most_likely(void) {
  int best = 0;
  for (int symbol = 1; symbol < MODEL_SYMBOLS; symbol++)
    if (logits[symbol] > logits[best]) best = symbol;
  return best;
}

/* exp(x) of x <= 0, within 2e-7 of the result; 0 below -87. */
static float exponential(float x) {
  if (!(x > -87.0f)) return 0;
  const int n = (int)(x * 1.44269504f - 0.5f); /* x = n log 2 + r */
  const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  const float power =
      1.0f + r * (1.0f + r * (0.49999994f +
                              r * (0.16666521f +
                                   r * (0.041668389f + r * (0.0083687110f + r * 0.0013814612f)))));
  const uint32_t bits = (uint32_t)(n + 127) << 23;
  float scale; /* 2^n */
  memcpy(&scale, &bits, sizeof scale);
  return power * scale;
}

/* The next number in [0, 1) of SplitMix64 (Steele, Lea and Flood, 2014). */
static float uniform(uint64_t *random) {
  uint64_t bits = *random += UINT64_C(0x9e3779b97f4a7c15);
  bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
  return (float)((bits ^ bits >> 31) >> 40) / 16777216.0f;
}

/* Draw a symbol with the probabilities softmax(logits / temperature). */
static int choose(float temperature, uint64_t *random) {
#if RARE
  logits[MODEL_RARE] = -3e38f;
#endif
  const int best = most_likely();
  if (temperature <= 0) return best;
  const float largest = logits[best];
  float total = 0;
  for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) {
    logits[symbol] = exponential((logits[symbol] - largest) / temperature);
    total += logits[symbol];
  }
  float left = total * uniform(random);
  for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) {
    left -= logits[symbol];
    if (left < 0) return symbol;
  }
  return best; /* rounding left a little */
}

/* Reading the prompt. */

static void write_symbol(int symbol) {
  const size_t begin = symbol_begins[symbol], end = symbol_begins[symbol + 1];
  fwrite(symbol_bytes + begin, 1, end - begin, stdout);
  fflush(stdout);
}
#if BYTES

static size_t encode(const unsigned char *text, int *symbols, int *count) {
  symbols[0] = *text;
  *count = 1;
  return 1;
}
#else

static long left_out; /* characters of the prompt without a symbol */

/* Decode the character at `text` and return its length in bytes. A byte that is not UTF-8 is a
 * character by itself, 0xDC00 + byte. */
static size_t decode(const unsigned char *text, uint32_t *character) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length */
  const unsigned char first = *text;
  const size_t length = first < 0x80   ? 1
                        : first < 0xc0 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf8 ? 4
                                       : 0;
  uint32_t value = length > 1 ? first & (0x7fu >> length) : first;
  size_t read = 1;
  while (read < length && (text[read] & 0xc0) == 0x80) value = value << 6 | (text[read++] & 0x3f);
  if (read != length || value < least[length] || value > 0x10ffff ||
      (value >= 0xd800 && value < 0xe000)) {
    *character = 0xdc00u + first;
    return 1;
  }
  *character = value;
  return length;
}

/* Find the symbol with these bytes; -1 if there is none. */
static int find(const unsigned char *text, size_t length) {
  int low = 0, high = SORTED;
  while (low < high) {
    const int middle = low + (high - low) / 2;
#if WORDS
    const int symbol = sorted[middle];
#else
    const int symbol = middle; /* characters are in ascending order */
#endif
    const size_t begin = symbol_begins[symbol], size = symbol_begins[symbol + 1] - begin;
    int order = memcmp(symbol_bytes + begin, text, size < length ? size : length);
    if (order == 0) order = (size > length) - (size < length);
    if (order == 0) return symbol;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return -1;
}

/* Write the symbols of the characters in `length` bytes and return how many there are. */
static int spell(const unsigned char *text, size_t length, int *symbols) {
  int count = 0;
  for (const unsigned char *end = text + length; text < end;) {
    uint32_t character;
    const size_t size = decode(text, &character);
    const int symbol = find(text, size);
    if (symbol >= 0) {
      symbols[count++] = symbol;
    } else {
#if RARE
      symbols[count++] = MODEL_RARE;
#else
      left_out++;
#endif
    }
    text += size;
  }
  return count;
}
#if CHARACTERS

static size_t encode(const unsigned char *text, int *symbols, int *count) {
  uint32_t character;
  const size_t length = decode(text, &character);
  *count = spell(text, length, symbols);
  return length;
}
#else

#define NOTHING (-1) /* the end of the prompt, or a character without a symbol */

/* The class of the character at `text`, whose length is written to `length`. */
static int class_of(const unsigned char *text, size_t *length) {
  uint32_t character;
  *length = decode(text, &character);
  if (*text == 0) return NOTHING;
#if !RARE
  if (find(text, *length) < 0) return NOTHING;
#endif
  int low = 0, high = CLASS_RANGES; /* the last range that begins before the character or at it */
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    if (class_begins[middle] <= character) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return classes[low];
}

/* How many bytes the characters of a class take from `text` on, `most` characters at most. */
static size_t run(const unsigned char *text, int class, int most) {
  size_t total = 0, length;
  while (most-- > 0 && class_of(text + total, &length) == class) total += length;
  return total;
}
#if PIECES

/* How many bytes of `text` are one word: merges never cross from one into the next. */
static size_t word_length(const unsigned char *text) {
  size_t length;
  const size_t space = class_of(text, &length) == SPACE;
  if ((length = run(text + space, LETTER, 32)) > 0) return space + length;
  if ((length = run(text + space, DIGIT, 8)) > 0) return space + length;
  if ((length = run(text + space, OTHER, 8)) > 0)
    return space + length + run(text + space + length, LINE_END, 8);
  if ((length = run(text, LINE_END, 8)) > 0) return length;
  if ((length = run(text, SPACE, 17)) > 1) return length - 1; /* the last is the next word's */
  class_of(text, &length);
  return length;
}

/* Find the merge of two symbols; NULL if there is none. */
static const struct merge *find_merge(int first, int second) {
  int low = 0, high = MERGES;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    const struct merge *merge = &merges[middle];
    if (merge->first == first && merge->second == second) return merge;
    if (merge->first < first || (merge->first == first && merge->second < second)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

/* Join the pair of neighbours that was learned first, as long as there is one. */
static int join(int *symbols, int count) {
  for (;;) {
    const struct merge *best = NULL;
    int place = 0;
    for (int each = 0; each + 1 < count; each++) {
      const struct merge *merge = find_merge(symbols[each], symbols[each + 1]);
      if (merge && (!best || merge->rank < best->rank)) {
        best = merge;
        place = each;
      }
    }
    if (!best) return count;
    symbols[place] = best->result;
    count--;
    for (int each = place + 1; each < count; each++) symbols[each] = symbols[each + 1];
  }
}

static size_t encode(const unsigned char *text, int *symbols, int *count) {
  const size_t length = word_length(text);
  *count = join(symbols, spell(text, length, symbols));
  return length;
}
#else

static size_t encode(const unsigned char *text, int *symbols, int *count) {
  size_t length = run(text, WORD, LONGEST_WORD);
  if (length == 0) class_of(text, &length);
  symbols[0] = find(text, length);
  *count = symbols[0] >= 0 ? 1 : spell(text, length, symbols);
  return length;
}
#endif
#endif
#endif

static void read_prompt(const char *prompt) {
  const unsigned char *text = (const unsigned char *)prompt;
  int symbols[LONGEST_WORD], count, is_empty = 1;
#if DOCUMENTS
  read_symbol(MODEL_START);
  is_empty = 0;
#endif
  while (*text) {
    text += encode(text, symbols, &count);
    for (int each = 0; each < count; each++) read_symbol(symbols[each]);
    if (count > 0) is_empty = 0;
  }
  if (is_empty) read_symbol(MODEL_START);
#if !BYTES
  if (left_out > 0)
    fprintf(stderr, "left out %ld characters of the prompt that the model never saw\n", left_out);
#endif
}

/* The command line. */

static double number(const char *text, double most) {
  char *end;
  const double value = strtod(text, &end);
  if (end == text || *end || !(value >= 0 && value <= most)) fail("not a number in range: ", text);
  return value;
}
#if LABELS

static int find_label(const char *name) {
  const size_t length = strlen(name);
  for (int each = 1; each < MODEL_LABELS; each++) {
    const size_t begin = label_begins[each], size = label_begins[each + 1] - begin;
    if (size == length && memcmp(label_bytes + begin, name, size) == 0) return each;
  }
  fail("the model has no label ", name);
  return 0;
}
#endif

int main(int argc, char **argv) {
  if (argc > @ARGUMENTS@) fail("usage: main [PROMPT [LENGTH [TEMPERATURE [SEED@LABEL_USAGE@]]]]", "");
  const long length = argc > 2 ? (long)number(argv[2], 2e9) : @LENGTH@;
  const float temperature = argc > 3 ? (float)number(argv[3], 1e9) : 0.8f;
  uint64_t random = argc > 4 ? (uint64_t)number(argv[4], 9e15) : 1;
#if LABELS
  if (argc > 5) label = find_label(argv[5]);
#endif
  model_reset(&state);
  read_prompt(argc > 1 ? argv[1] : "");
  for (long written = 0; written < length; written++) {
    const int symbol = choose(temperature, &random);
#if DOCUMENTS
    if (symbol == MODEL_BOUNDARY) break;
#endif
    write_symbol(symbol);
    read_symbol(symbol);
  }
  putchar('\n');
  return 0;
}
