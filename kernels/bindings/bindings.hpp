// What the files that know Python share: types of arrays, fields by name, and checks of arguments.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "network.hpp"

namespace ricorda {

namespace nb = nanobind;
using namespace nb::literals;

using Id = std::uint32_t;
template <class Element, int dimensions>
using Input = nb::ndarray<const Element, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;
template <class Element>
using Output = nb::ndarray<nb::numpy, Element>;

// A new array for Python, and its memory, which lives as long as the array.
template <class Element>
struct NewArray {
  explicit NewArray(std::vector<std::size_t> sizes) : shape(std::move(sizes)) {
    std::size_t count = 1;
    for (const std::size_t size : shape) count *= size;
    elements = std::make_unique<Element[]>(count);
  }
  Output<Element> to_python() {
    Element* memory = elements.get();
    nb::capsule owner(memory, [](void* held) noexcept { delete[] static_cast<Element*>(held); });
    elements.release();
    return Output<Element>(memory, shape.size(), shape.data(), owner);
  }

  std::vector<std::size_t> shape;
  std::unique_ptr<Element[]> elements;
};

// Keyword arguments, which are read by name into the fields of a struct.
class Fields {
 public:
  explicit Fields(const nb::kwargs& given) : given_(given) {}

  // Changes `value` if the field is given. Arrays are not converted.
  template <class Value>
  bool read(const char* name, Value& value) {
    if (!given_.contains(name)) return false;
    ++read_;
    if (!nb::try_cast(given_[name], value, std::is_arithmetic_v<Value>))
      throw nb::type_error((std::string(name) + " has the wrong type").c_str());
    return true;
  }
  template <class Value>
  Value required(const char* name) {
    Value value{};
    if (!read(name, value)) throw nb::type_error((std::string(name) + " is missing").c_str());
    return value;
  }
  template <class Value>
  Value optional(const char* name, Value value) {
    read(name, value);
    return value;
  }
  // Call it last.
  void refuse_others() const {
    if (read_ != given_.size()) throw nb::type_error("an argument has a name that is not known");
  }

 private:
  const nb::kwargs& given_;
  std::size_t read_ = 0;
};

// Calls the core without the GIL.
template <class Work>
auto without_gil(const Work& work) {
  const nb::gil_scoped_release unlocked;
  return work();
}

void check(bool holds, const std::string& expected);
void check_at_least(const char* name, int value, int least);
void check_shape(const char* name, const std::vector<std::size_t>& shape,
                 const std::vector<std::size_t>& expected);
void check_ids(const char* name, const Id* ids, std::size_t count, int vocabulary_size);

template <class Array>
std::vector<std::size_t> shape_of(const Array& array) {
  std::vector<std::size_t> shape(array.ndim());
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = array.shape(i);
  return shape;
}
template <class Array>
void check_shape(const char* name, const Array& array, const std::vector<std::size_t>& expected) {
  check_shape(name, shape_of(array), expected);
}

// The index of a word among those that are known.
std::size_t index_of(const char* name, const std::string& word,
                     const std::vector<std::string>& known);
const char* name_of(Precision precision);
Precision read_precision(Fields& fields, const std::vector<std::string>& known);
NetworkShape read_shape(Fields& fields, const InstructionSet& set);
// The labels beside ids of a shape; null where there are none.
using Labels = std::optional<Input<Id, 2>>;
const Id* checked_labels(const NetworkShape& shape, const Labels& labels,
                         const std::vector<std::size_t>& expected);

class AdaptiveReader;
// The reader of an object of the class AdaptiveReader; throws nb::type_error for another.
AdaptiveReader& adaptive_reader_of(nb::handle object);

void bind_engine(nb::module_& module);
void bind_learner(nb::module_& module);
void bind_compression(nb::module_& module);

}  // namespace ricorda
