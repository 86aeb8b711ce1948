// What the files that know Python share: types of arrays, and checks of what comes in.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "network.hpp"

namespace ricorda {

namespace nb = nanobind;

template <class Element, int dimensions>
using Input = nb::ndarray<const Element, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
using Tensor = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Ids = std::uint32_t;

inline std::string text_of(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

template <class Array>
void check_shape(const char* name, const Array& array, const std::vector<std::size_t>& expected) {
  std::vector<std::size_t> shape(array.ndim());
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = array.shape(i);
  if (shape != expected)
    throw std::invalid_argument(std::string(name) + " must have the shape " + text_of(expected) +
                                ", not " + text_of(shape));
}

inline void check_at_least(const char* name, int value, int least) {
  if (value < least)
    throw std::invalid_argument(std::string(name) + " must be at least " + std::to_string(least) +
                                ", not " + std::to_string(value));
}

template <class Value>
Value one_of(const char* name, const std::string& word,
             std::initializer_list<std::pair<const char*, Value>> choices) {
  std::string known;
  for (const auto& [choice, value] : choices) {
    if (word == choice) return value;
    known += (known.empty() ? "" : ", ") + std::string(choice);
  }
  throw std::invalid_argument(std::string(name) + " must be one of " + known + ", not '" + word +
                              "'");
}

NetworkShape shape_of(const std::string& cell, const std::string& nonlinearity, int vocabulary_size,
                      int hidden_size, int num_layers, int embedding_size);

// Adds what learning needs to the module: bindings_learning.cpp.
void bind_learning(nb::module_& module);

}  // namespace ricorda
