// The Python module ricorda._kernels: it checks arguments, releases the GIL and calls the core.
#include <algorithm>

#include "bindings/bindings.hpp"
#include "philox.hpp"
#include "thread_pool.hpp"

namespace ricorda {
namespace {

std::string text_of(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

template <class NameOf>
std::vector<std::string> names_of(const Routines& routines, const NameOf& name_of_cell) {
  std::vector<std::string> names;
  for (int i = 0; i < routines.cell_count; ++i) {
    const std::string name = name_of_cell(routines.cells[i]);
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  }
  return names;
}

const Cell& read_cell(Fields& fields, const Routines& routines) {
  const auto name = fields.required<std::string>("cell");
  const auto nonlinearity = fields.optional<std::string>("nonlinearity", "tanh");
  index_of("cell", name, names_of(routines, [](const Cell& cell) { return cell.name; }));
  index_of("nonlinearity", nonlinearity,
           names_of(routines, [](const Cell& cell) { return cell.nonlinearity; }));
  return *std::find_if(routines.cells, routines.cells + routines.cell_count, [&](const Cell& cell) {
    const std::string own = cell.nonlinearity;
    return name == cell.name && (own.empty() || own == nonlinearity);
  });
}

std::vector<std::tuple<std::string, int, int, int, int, bool>> cells() {
  std::vector<std::tuple<std::string, int, int, int, int, bool>> cells;
  const Routines& routines = choose_instruction_set("").routines;
  for (int i = 0; i < routines.cell_count; ++i) {
    const Cell& cell = routines.cells[i];
    cells.emplace_back(cell.name, cell.gates, cell.blocks, cell.state_parts, cell.traced,
                       cell.has_recurrent_weights);
  }
  return cells;
}

Output<std::uint64_t> philox(std::uint64_t seed, std::uint64_t stream_index, std::size_t count) {
  Philox random(seed, stream_index);
  NewArray<std::uint64_t> numbers({count});
  for (std::size_t i = 0; i < count; ++i) numbers.elements[i] = random.next();
  return numbers.to_python();
}

Output<float> activation(const std::string& name, const Input<float, 1>& values,
                         const std::string& kernels) {
  const Routines& routines = choose_instruction_set(kernels).routines;
  const std::size_t count = values.size(), padded_count = padded(int(count));
  AlignedBuffer<float> arguments(padded_count), results(padded_count);
  std::copy_n(values.data(), count, arguments.data());
  const std::size_t number = index_of("name", name, {"exp", "tanh", "sigmoid"});
  if (number == 0)
    routines.exponentials(arguments.data(), int(padded_count), 0.0f, results.data());
  else
    (number == 1 ? routines.tanh : routines.sigmoid)(arguments.data(), int(padded_count),
                                                     results.data());
  NewArray<float> array({count});
  std::copy_n(results.data(), count, array.elements.get());
  return array.to_python();
}

float read(const Input<float, 1>& values, int times, const std::string& kernels) {
  check_at_least("times", times, 1);
  const Routines& routines = choose_instruction_set(kernels).routines;
  const int count = static_cast<int>(values.size());
  check(count % row_block == 0,
        "the number of values must be a multiple of " + std::to_string(row_block));
  const nb::gil_scoped_release unlocked;
  float total = 0.0f;
  for (int time = 0; time < times; ++time) total = routines.total(values.data(), count);
  return total;
}

std::vector<std::tuple<std::string, std::string>> list_instruction_sets() {
  std::vector<std::tuple<std::string, std::string>> sets;
  for (const InstructionSet& set : instruction_sets()) sets.emplace_back(set.name, set.description);
  return sets;
}

const std::vector<std::string> precisions{"float32", "bfloat16", "int8"};

}  // namespace

void check(bool holds, const std::string& expected) {
  if (!holds) throw std::invalid_argument(expected);
}

void check_at_least(const char* name, int value, int least) {
  check(value >= least, std::string(name) + " must be at least " + std::to_string(least) +
                            ", not " + std::to_string(value));
}

void check_shape(const char* name, const std::vector<std::size_t>& shape,
                 const std::vector<std::size_t>& expected) {
  check(shape == expected, std::string(name) + " must have the shape " + text_of(expected) +
                               ", not " + text_of(shape));
}

void check_ids(const char* name, const Id* ids, std::size_t count, int vocabulary_size) {
  Id largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, ids[i]);
  if (largest >= static_cast<Id>(vocabulary_size))
    throw std::out_of_range(std::string(name) + " must be below the vocabulary's size " +
                            std::to_string(vocabulary_size) + ", not " + std::to_string(largest));
}

std::size_t index_of(const char* name, const std::string& word,
                     const std::vector<std::string>& known) {
  std::string list;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (known[i] == word) return i;
    list += (i > 0 ? ", " : "") + known[i];
  }
  throw std::invalid_argument(std::string(name) + " must be one of " + list + ", not '" + word +
                              "'");
}

const char* name_of(Precision precision) { return precisions[std::size_t(precision)].c_str(); }

Precision read_precision(Fields& fields, const std::vector<std::string>& known) {
  const auto word = fields.optional<std::string>("precision", "float32");
  return static_cast<Precision>(index_of("precision", word, known));
}

NetworkShape read_shape(Fields& fields, const InstructionSet& set) {
  NetworkShape shape{
      .cell = &read_cell(fields, set.routines),
      .vocabulary_size = fields.required<int>("vocabulary_size"),
      .hidden_size = fields.required<int>("hidden_size"),
      .num_layers = fields.required<int>("num_layers"),
      .embedding_size = fields.required<int>("embedding_size"),
      .num_labels = fields.optional("num_labels", 0),
  };
  check_at_least("vocabulary_size", shape.vocabulary_size, 1);
  check_at_least("hidden_size", shape.hidden_size, 1);
  check_at_least("num_layers", shape.num_layers, 1);
  check_at_least("embedding_size", shape.embedding_size, 0);
  check_at_least("num_labels", shape.num_labels, 0);
  if (fields.optional("documents", false)) shape.boundary = shape.vocabulary_size - 1;
  const int most = 1 << 24;  // sizes within which no product of two overflows
  check(std::max({shape.vocabulary_size, shape.hidden_size, shape.num_layers, shape.embedding_size,
                  shape.num_labels}) <= most,
        "sizes must be at most " + std::to_string(most));
  return shape;
}

const Id* checked_labels(const NetworkShape& shape, const Labels& labels,
                         const std::vector<std::size_t>& expected) {
  if (!labels) return nullptr;
  check(shape.num_labels > 0, "the network has no labels: give none");
  check_shape("labels", *labels, expected);
  const Id* end = labels->data() + labels->size();
  const Id* largest = std::max_element(labels->data(), end);
  check(largest == end || *largest < Id(shape.num_labels),
        "labels must be below the number of labels " + std::to_string(shape.num_labels));
  return labels->data();
}

NB_MODULE(_kernels, module) {
  module.doc() =
      "The arithmetic of recurrent networks, in C++.\n\n"
      "Everything here takes contiguous arrays of exactly the types named, without conversion, "
      "and\n"
      "releases the GIL while it works. Raises ValueError for a wrong shape or option, IndexError\n"
      "for an id that is not below V, TypeError for an array of another type.\n\n"
      "Dimensions: B streams, T time, V vocabulary, H hidden, L layers, S parts of the state.";
  nb::set_leak_warnings(false);  // objects that are alive at exit, after an error say, are no leak
  set_usable_cores(nb::cast<int>(nb::module_::import_("ricorda.cores").attr("usable_cores")()));
  module.def("usable_cores", &usable_cores, "Return how many cores this process may use.");
  module.def(
      "cells", &cells,
      "Return the table of cells: name, gates, blocks, parts of the state, traced gates, and\n"
      "whether the gates read the hidden state.");
  module.def("instruction_sets", &list_instruction_sets,
             "Name and describe the instruction sets of this processor, the fastest first.");
  module.def(
      "choose_instruction_set",
      [](const std::string& kernels) { return choose_instruction_set(kernels).name; },
      "kernels"_a = "",
      "Name the instruction set that `kernels` selects.\n\n"
      "The empty string selects that of the environment variable RICORDA_KERNELS, else the "
      "fastest.\n"
      "Raises ValueError if the processor does not have it.");
  module.def(
      "choose_exact_set", [](const std::string& kernels) { return choose_exact_set(kernels).name; },
      "kernels"_a = "",
      "The same among the sets that compute the same bits in float32 on all processors.");
  module.def("activation", &activation, "name"_a, "values"_a.noconvert(), "kernels"_a = "",
             "Compute `exp`, `tanh` or `sigmoid` of values (n,) as the kernels do.");
  module.def("read", &read, "values"_a.noconvert(), "times"_a = 1, "kernels"_a = "",
             "Sum values (n,), n a multiple of 16, so many times: the fastest read of memory.");
  module.def("philox", &philox, "seed"_a, "stream_index"_a, "count"_a,
             "Draw the first numbers of a stream, (count,), as numpy.random.Philox does.");
  bind_engine(module);
  bind_learner(module);
  bind_compression(module);
}

}  // namespace ricorda
