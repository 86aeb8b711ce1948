#include "output.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ricorda {
namespace {

constexpr int rows_of_logits = 256;

}  // namespace

OutputWeights::OutputWeights(const InstructionSet& set, Precision precision, int most,
                             int hidden_size)
    : hidden_size(hidden_size),
      forward(set, precision, padded(most), hidden_size),
      back(set, precision, padded(hidden_size), padded(most)),
      start(padded(most)) {}

void OutputWeights::pack(const float* weight, const float* bias, int vocabulary_size) {
  this->vocabulary_size = vocabulary_size;
  forward.reshape(padded(vocabulary_size), hidden_size);
  back.reshape(padded(hidden_size), padded(vocabulary_size));
  forward.pack(
      {.values = weight, .row_stride = hidden_size, .rows = vocabulary_size, .depth = hidden_size});
  back.pack({.values = weight,
             .row_stride = 1,
             .depth_stride = hidden_size,
             .rows = hidden_size,
             .depth = vocabulary_size,
             .padded_depth = padded(vocabulary_size)});
  float* end = std::copy_n(bias, vocabulary_size, start.data());
  std::fill(end, start.data() + padded(vocabulary_size), -std::numeric_limits<float>::infinity());
}

OutputGradients::OutputGradients(int most, int hidden_size)
    : weight(std::size_t(padded(most)) * padded(hidden_size)), bias(padded(most)) {}

void OutputGradients::clear(int vocabulary_size) {
  std::fill_n(bias.data(), padded(vocabulary_size), 0.0f);
}

OutputPass::OutputPass(const InstructionSet& set, Precision precision, int most, int hidden_size,
                       int symbols)
    : set_(&set),
      hidden_(padded(hidden_size)),
      symbols_(symbols),
      together_(std::min(symbols, rows_of_logits)),
      inputs_(std::size_t(together_) * hidden_),
      logits_(std::size_t(together_) * padded(most)),
      prepared_(prepared_bytes(together_, std::max(hidden_, padded(most)))),
      zeros_(hidden_),
      starts_(together_),
      sums_(set, precision, together_, hidden_) {}

const float* OutputPass::logits(const OutputWeights& weights, const float* hidden, int count) {
  std::fill_n(starts_.begin(), count, weights.start.data());
  weights.forward.multiply({hidden, hidden_, starts_.data(), logits_.data(),
                            padded(weights.vocabulary_size), count, false, prepared_.data()});
  return logits_.data();
}

double OutputPass::run(const OutputWeights& weights, const float* hidden,
                       const std::uint32_t* targets, const float* corrections, float scale,
                       const std::function<void(int, float*)>& drop, OutputGradients& gradients,
                       float* hidden_gradient) {
  const std::size_t width = hidden_;
  const int vocabulary = padded(weights.vocabulary_size);
  double nats = 0.0;
  for (int first = 0; first < symbols_; first += together_) {
    const int count = std::min(together_, symbols_ - first);
    const float* inputs = hidden + first * width;
    if (drop) {
      std::copy_n(inputs, count * width, inputs_.data());
      for (int i = 0; i < count; ++i) drop(first + i, inputs_.data() + i * width);
      inputs = inputs_.data();
    }
    logits(weights, inputs, count);
    nats += to_gradients(targets + first, corrections, vocabulary, count, scale);
    for (int i = 0; i < count; ++i)
      set_->routines.add(logits_.data() + std::size_t(i) * vocabulary, vocabulary,
                         gradients.bias.data());
    sums_.set_right({inputs, hidden_}, count, hidden_);
    sums_.add({logits_.data(), vocabulary}, vocabulary, gradients.weight.data(), hidden_,
              first == 0);
    std::fill_n(starts_.begin(), count, zeros_.data());
    float* back = hidden_gradient + first * width;
    weights.back.multiply({logits_.data(), vocabulary, starts_.data(), back, hidden_, count, false,
                           prepared_.data()});
    if (drop)
      for (int i = 0; i < count; ++i) drop(first + i, back + i * width);
  }
  return nats;
}

// Turns logits into the gradients of their nats times scale: softmax minus one at the target.
double OutputPass::to_gradients(const std::uint32_t* targets, const float* corrections,
                                int vocabulary, int count, float scale) {
  const Routines& routines = set_->routines;
  double nats = 0.0;
  for (int i = 0; i < count; ++i) {
    float* row = logits_.data() + std::size_t(i) * vocabulary;
    const float at_target = row[targets[i]];
    if (corrections != nullptr) {
      routines.add(corrections, vocabulary, row);
      row[targets[i]] = at_target;
    }
    const float largest = routines.largest(row, vocabulary);
    const float total = routines.exponentials(row, vocabulary, largest, row);
    nats += std::log(static_cast<double>(total)) + largest - at_target;
    routines.scale(row, vocabulary, scale / total);
    row[targets[i]] -= scale;
  }
  return nats;
}

}  // namespace ricorda
