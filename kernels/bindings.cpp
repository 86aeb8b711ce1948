// The Python module ricorda._kernels: checks what comes in, lets go of the GIL, calls the core.
#include "bindings.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include "network.hpp"
#include "philox.hpp"
#include "sampling.hpp"
#include "sequences.hpp"
#include "session.hpp"
#include "thread_pool.hpp"

namespace ricorda {

using namespace nb::literals;

namespace {

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

void check_ids(const char* name, const Ids* ids, std::size_t count, int vocabulary_size) {
  for (std::size_t i = 0; i < count; ++i)
    if (ids[i] >= static_cast<Ids>(vocabulary_size))
      throw std::out_of_range(std::string(name) + " must be below the vocabulary's size " +
                              std::to_string(vocabulary_size) + ", not " + std::to_string(ids[i]));
}

Precision precision_of(const std::string& word) {
  return one_of<Precision>("precision", word,
                           {{"float32", Precision::float32},
                            {"bfloat16", Precision::bfloat16},
                            {"int8", Precision::int8}});
}

}  // namespace

NetworkShape shape_of(const std::string& cell, const std::string& nonlinearity, int vocabulary_size,
                      int hidden_size, int num_layers, int embedding_size) {
  check_at_least("vocabulary_size", vocabulary_size, 1);
  check_at_least("hidden_size", hidden_size, 1);
  check_at_least("num_layers", num_layers, 1);
  check_at_least("embedding_size", embedding_size, 0);
  const int most = 1 << 24;  // sizes within which no product of two overflows
  if (std::max({vocabulary_size, hidden_size, num_layers, embedding_size}) > most)
    throw std::invalid_argument("sizes must be at most " + std::to_string(most));
  return {
      one_of<Cell>("cell", cell, {{"rnn", Cell::rnn}, {"gru", Cell::gru}, {"lstm", Cell::lstm}}),
      one_of<bool>("nonlinearity", nonlinearity, {{"tanh", false}, {"relu", true}}),
      vocabulary_size,
      hidden_size,
      num_layers,
      embedding_size};
}

namespace {

// The tensors of a model file by name, with their shapes checked.
class TensorReader {
 public:
  explicit TensorReader(const nb::dict& tensors) : tensors_(tensors) {}

  const float* read(const std::string& name, const std::vector<std::size_t>& shape) {
    Tensor tensor;
    if (!tensors_.contains(name.c_str()))
      throw std::invalid_argument("the tensor " + name + " is missing");
    if (!nb::try_cast(tensors_[name.c_str()], tensor, false))
      throw std::invalid_argument(name + " must be a contiguous float32 array");
    check_shape(name.c_str(), tensor, shape);
    return tensor.data();
  }

 private:
  const nb::dict& tensors_;
};

NetworkTensors read_tensors(const NetworkShape& shape, const nb::dict& tensors) {
  TensorReader reader(tensors);
  const std::size_t hidden = shape.hidden_size, vocabulary = shape.vocabulary_size;
  const std::size_t rows = shape.tensor_gates() * hidden;
  NetworkTensors result{};
  if (shape.embedding_size > 0)
    result.embedding =
        reader.read("embedding.weight", {vocabulary, std::size_t(shape.embedding_size)});
  for (int number = 0; number < shape.num_layers; ++number) {
    const std::string layer = "layers." + std::to_string(number) + ".";
    const std::size_t inputs = number == 0 ? shape.input_size() : hidden;
    result.layers.push_back({reader.read(layer + "weight_ih", {rows, inputs}),
                             reader.read(layer + "weight_hh", {rows, hidden}),
                             reader.read(layer + "bias_ih", {rows}),
                             reader.read(layer + "bias_hh", {rows})});
  }
  result.output_weight = reader.read("output.weight", {vocabulary, hidden});
  result.output_bias = reader.read("output.bias", {vocabulary});
  return result;
}

std::vector<std::size_t> state_shape(const NetworkShape& shape, std::size_t streams) {
  return {std::size_t(shape.state_parts()), std::size_t(shape.num_layers), streams,
          std::size_t(shape.hidden_size)};
}

// ids (B, T) and state (S, L, B, H), checked, as the core takes them.
Sequences sequences_of(const NetworkShape& shape, const Input<Ids, 2>& ids,
                       const Input<float, 4>& state, NewArray<float>& new_state, int threads) {
  check_at_least("threads", threads, 1);
  check_shape("state", state, state_shape(shape, ids.shape(0)));
  check_ids("ids", ids.data(), ids.size(), shape.vocabulary_size);
  if (std::max(ids.shape(0), ids.shape(1)) > (std::size_t(1) << 30))
    throw std::invalid_argument("ids must have at most 2^30 rows and columns");
  return {ids.data(),   static_cast<int>(ids.shape(0)), static_cast<int>(ids.shape(1)),
          state.data(), new_state.elements.get(),       threads};
}

std::shared_ptr<Network> make_network(const std::string& cell, const std::string& nonlinearity,
                                      int vocabulary_size, int hidden_size, int num_layers,
                                      int embedding_size, const nb::dict& tensors,
                                      const std::string& precision, const std::string& kernels) {
  const NetworkShape shape =
      shape_of(cell, nonlinearity, vocabulary_size, hidden_size, num_layers, embedding_size);
  const InstructionSet& set = choose_instruction_set(kernels);
  const Precision chosen = precision_of(precision);
  const NetworkTensors read = read_tensors(shape, tensors);
  const nb::gil_scoped_release unlocked;
  return std::make_shared<Network>(shape, read, chosen, set);
}

auto forward_python(const Network& network, const Input<Ids, 2>& ids, const Input<float, 4>& state,
                    int threads) {
  const NetworkShape& shape = network.shape();
  NewArray<float> new_state(state_shape(shape, ids.shape(0)));
  const Sequences sequences = sequences_of(shape, ids, state, new_state, threads);
  NewArray<float> logits({ids.shape(0), ids.shape(1), std::size_t(shape.vocabulary_size)});
  {
    const nb::gil_scoped_release unlocked;
    forward(network, sequences, logits.elements.get());
  }
  return std::tuple(logits.to_python(), new_state.to_python());
}

auto score_python(const Network& network, const Input<Ids, 2>& ids, const Input<Ids, 2>& targets,
                  const Input<float, 4>& state, int top, int threads) {
  const NetworkShape& shape = network.shape();
  const std::size_t streams = ids.shape(0), steps = ids.shape(1);
  NewArray<float> new_state(state_shape(shape, streams));
  const Sequences sequences = sequences_of(shape, ids, state, new_state, threads);
  check_shape("targets", targets, {streams, steps});
  check_ids("targets", targets.data(), targets.size(), shape.vocabulary_size);
  check_at_least("top", top, 0);
  top = std::min(top, shape.vocabulary_size);
  NewArray<float> nats({streams, steps});
  NewArray<Ids> top_ids({streams, steps, std::size_t(top)});
  NewArray<float> top_nats({streams, steps, std::size_t(top)});
  {
    const nb::gil_scoped_release unlocked;
    score(network, sequences,
          {targets.data(), nats.elements.get(), top, top_ids.elements.get(),
           top_nats.elements.get()});
  }
  return std::tuple(nats.to_python(), top_ids.to_python(), top_nats.to_python(),
                    new_state.to_python());
}

auto trace_python(const Network& network, const Input<Ids, 2>& ids, const Input<float, 4>& state) {
  const NetworkShape& shape = network.shape();
  if (ids.shape(0) != 1) throw std::invalid_argument("trace reads one stream: ids (1, T)");
  NewArray<float> new_state(state_shape(shape, 1));
  const Sequences sequences = sequences_of(shape, ids, state, new_state, 1);
  NewArray<float> activations({std::size_t(trace_parts(shape.cell)), ids.shape(1),
                               std::size_t(shape.num_layers), std::size_t(shape.hidden_size)});
  {
    const nb::gil_scoped_release unlocked;
    trace(network, sequences, activations.elements.get());
  }
  return std::tuple(activations.to_python(), new_state.to_python());
}

// start, begins (N + 1), symbols (n), next (n), otherwise (N)
using ConstraintArrays =
    std::tuple<std::int32_t, std::vector<std::uint32_t>, std::vector<std::uint32_t>,
               std::vector<std::int32_t>, std::vector<std::int32_t>>;

SamplingSettings sampling_settings(double repetition_penalty, int repetition_window,
                                   const std::optional<ConstraintArrays>& constraint, bool greedy,
                                   double temperature, int top_k, double top_p, double min_p,
                                   double presence_penalty, double frequency_penalty,
                                   const std::optional<Input<float, 1>>& bias) {
  SamplingSettings settings;
  settings.repetition_penalty = repetition_penalty;
  settings.repetition_window = repetition_window;
  if (constraint) {
    const auto& [start, begins, symbols, next, otherwise] = *constraint;
    settings.constraint = {start, begins, symbols, next, otherwise};
  }
  settings.greedy = greedy;
  settings.temperature = temperature;
  settings.top_k = top_k;
  settings.top_p = top_p;
  settings.min_p = min_p;
  settings.presence_penalty = presence_penalty;
  settings.frequency_penalty = frequency_penalty;
  if (bias) settings.bias.assign(bias->data(), bias->data() + bias->size());
  return settings;
}

std::vector<Ids> checked_ids(const char* name, const Input<Ids, 1>& ids, int vocabulary_size) {
  check_ids(name, ids.data(), ids.size(), vocabulary_size);
  return {ids.data(), ids.data() + ids.size()};
}

std::int64_t add_python(Session& session, const Input<Ids, 1>& ids,
                        const SamplingSettings& sampling, std::int64_t length, std::uint64_t seed,
                        std::uint64_t stream_index, const std::vector<std::vector<Ids>>& stops,
                        int alternatives, const std::optional<Input<float, 4>>& state,
                        const std::optional<Input<Ids, 1>>& before) {
  const NetworkShape& shape = session.network().shape();
  StreamSettings settings{sampling, length, stops, seed, stream_index, alternatives};
  for (const auto& stop : stops)
    check_ids("stops", stop.data(), stop.size(), shape.vocabulary_size);
  if (state) check_shape("state", *state, state_shape(shape, 1));
  std::vector<Ids> read = checked_ids("ids", ids, shape.vocabulary_size), earlier;
  if (before) earlier = checked_ids("before", *before, shape.vocabulary_size);
  const nb::gil_scoped_release unlocked;
  return session.add(std::move(read), settings, state ? state->data() : nullptr, earlier);
}

const char* name_of(Ending ending) {
  switch (ending) {
    case Ending::none: return nullptr;
    case Ending::length: return "length";
    case Ending::stop: return "stop";
    case Ending::not_finite: return "not finite";
  }
  return nullptr;
}

template <class Element>
auto array_of(const std::vector<Element>& values, std::vector<std::size_t> shape) {
  NewArray<Element> array(std::move(shape));
  std::copy(values.begin(), values.end(), array.elements.get());
  return array.to_python();
}

nb::list advance_python(Session& session, int steps, int threads) {
  check_at_least("steps", steps, 1);
  check_at_least("threads", threads, 1);
  std::vector<Progress> all;
  {
    const nb::gil_scoped_release unlocked;
    all = session.advance(steps, threads);
  }
  nb::list result;
  for (const Progress& progress : all) {
    const Written& written = progress.written;
    const std::size_t count = written.ids.size();
    const std::size_t alternatives = count > 0 ? written.alternative_ids.size() / count : 0;
    result.append(
        nb::make_tuple(progress.stream, array_of(written.ids, {count}),
                       array_of(written.log_probabilities, {written.log_probabilities.size()}),
                       array_of(written.alternative_ids, {count, alternatives}),
                       array_of(written.alternative_log_probabilities, {count, alternatives}),
                       progress.chosen, name_of(progress.ending)));
  }
  return result;
}

auto save_python(const Session& session, std::int64_t stream) {
  NewArray<float> state(state_shape(session.network().shape(), 1));
  std::vector<Ids> unread;
  {
    const nb::gil_scoped_release unlocked;
    unread = session.save(stream, state.elements.get());
  }
  return std::tuple(array_of(unread, {unread.size()}), state.to_python());
}

// What a stream with these logits (V) chooses by each uniform number, for the tests of sampling.
auto choose_python(const Input<float, 1>& logits, const SamplingSettings& settings,
                   const Input<Ids, 1>& recent, const Input<double, 1>& uniforms,
                   const std::string& kernels, const std::optional<Input<Ids, 1>>& before) {
  const int vocabulary_size = static_cast<int>(logits.size());
  settings.check(vocabulary_size);
  const std::vector<Ids> seen = checked_ids("recent", recent, vocabulary_size);
  std::vector<std::uint32_t> written(vocabulary_size, 0);
  if (before)
    for (const Ids id : checked_ids("written", *before, vocabulary_size)) ++written[id];
  Sampler sampler(choose_instruction_set(kernels).routines, vocabulary_size);
  NewArray<Ids> chosen({uniforms.size()});
  for (std::size_t i = 0; i < uniforms.size(); ++i)
    chosen.elements[i] = sampler.choose(logits.data(), settings, {seen.begin(), seen.end()},
                                        written, settings.constraint.start, uniforms.data()[i]);
  return chosen.to_python();
}

auto philox_python(std::uint64_t seed, std::uint64_t stream_index, std::size_t count) {
  Philox random(seed, stream_index);
  NewArray<std::uint64_t> numbers({count});
  for (std::size_t i = 0; i < count; ++i) numbers.elements[i] = random.next();
  return numbers.to_python();
}

// An activation by itself, for the tests of its error.
auto activation_python(const std::string& name, const Input<float, 1>& values,
                       const std::string& kernels) {
  const Routines& routines = choose_instruction_set(kernels).routines;
  const std::size_t count = values.size(), room = (count + row_block - 1) / row_block * row_block;
  AlignedBuffer<float> arguments(room), results(room);
  std::copy_n(values.data(), count, arguments.data());
  if (name == "exp")
    routines.exponentials(arguments.data(), int(room), 0.0f, results.data());
  else
    one_of<decltype(routines.tanh)>(
        "name", name, {{"exp", nullptr}, {"tanh", routines.tanh}, {"sigmoid", routines.sigmoid}})(
        arguments.data(), int(room), results.data());
  NewArray<float> array({count});
  std::copy_n(results.data(), count, array.elements.get());
  return array.to_python();
}

// The sum of `values`, read `times` times over: how fast memory can be read.
float read_python(const Input<float, 1>& values, int times, const std::string& kernels) {
  check_at_least("times", times, 1);
  const Routines& routines = choose_instruction_set(kernels).routines;
  const int count = static_cast<int>(values.size());
  if (count % row_block != 0)
    throw std::invalid_argument("the number of values must be a multiple of " +
                                std::to_string(row_block));
  const nb::gil_scoped_release unlocked;
  float total = 0.0f;
  for (int time = 0; time < times; ++time) total = routines.total(values.data(), count);
  return total;
}

std::vector<std::tuple<std::string, std::string>> instruction_sets_python() {
  std::vector<std::tuple<std::string, std::string>> sets;
  for (const InstructionSet& set : instruction_sets()) sets.emplace_back(set.name, set.description);
  return sets;
}

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::float32: return "float32";
    case Precision::bfloat16: return "bfloat16";
    case Precision::int8: return "int8";
  }
  return "";
}

}  // namespace

NB_MODULE(_kernels, module) {
  module.doc() = "The arithmetic of trained recurrent networks, in C++.";
  nb::set_leak_warnings(false);  // objects alive at exit, after an error say, are no leak
  module.def("instruction_sets", &instruction_sets_python);
  module.def(
      "choose_instruction_set",
      [](const std::string& kernels) { return choose_instruction_set(kernels).name; },
      "kernels"_a = "");
  set_usable_cores(nb::cast<int>(nb::module_::import_("ricorda.cores").attr("usable_cores")()));
  module.def("usable_cores", &usable_cores);
  module.def("activation", &activation_python, "name"_a, "values"_a.noconvert(), "kernels"_a = "");

  module.def("read", &read_python, "values"_a.noconvert(), "times"_a = 1, "kernels"_a = "");
  module.def("philox", &philox_python, "seed"_a, "stream_index"_a, "count"_a);
  module.def("choose", &choose_python, "logits"_a.noconvert(), "settings"_a, "recent"_a.noconvert(),
             "uniforms"_a.noconvert(), "kernels"_a = "", "written"_a.noconvert() = nb::none());

  nb::class_<SamplingSettings>(module, "SamplingSettings")
      .def(nb::new_(&sampling_settings), nb::kw_only(), "repetition_penalty"_a = 1.0,
           "repetition_window"_a = 64, "constraint"_a = nb::none(), "greedy"_a = false,
           "temperature"_a = 1.0, "top_k"_a = 0, "top_p"_a = 1.0, "min_p"_a = 0.0,
           "presence_penalty"_a = 0.0, "frequency_penalty"_a = 0.0,
           "bias"_a.noconvert() = nb::none());

  nb::class_<Session>(module, "Session")
      .def(nb::init<std::shared_ptr<Network>>(), "network"_a)
      .def("add", &add_python, "ids"_a.noconvert(), "sampling"_a, "length"_a, "seed"_a,
           "stream_index"_a = 0, "stops"_a = std::vector<std::vector<Ids>>(), "alternatives"_a = -1,
           "state"_a.noconvert() = nb::none(), "before"_a.noconvert() = nb::none())
      .def("remove", &Session::remove, "stream"_a, nb::call_guard<nb::gil_scoped_release>())
      .def("advance", &advance_python, "steps"_a, "threads"_a = 1)
      .def("interrupt", &Session::interrupt)
      .def("save", &save_python, "stream"_a)
      .def("__len__", &Session::size, nb::call_guard<nb::gil_scoped_release>());

  nb::class_<Network>(module, "Network")
      .def(nb::new_(&make_network), "cell"_a, "nonlinearity"_a, "vocabulary_size"_a,
           "hidden_size"_a, "num_layers"_a, "embedding_size"_a, "tensors"_a,
           "precision"_a = "float32", "kernels"_a = "")
      .def("forward", &forward_python, "ids"_a.noconvert(), "state"_a.noconvert(), "threads"_a = 1)
      .def("score", &score_python, "ids"_a.noconvert(), "targets"_a.noconvert(),
           "state"_a.noconvert(), "top"_a = 0, "threads"_a = 1)
      .def("trace", &trace_python, "ids"_a.noconvert(), "state"_a.noconvert())
      .def_prop_ro("instruction_set",
                   [](const Network& network) { return network.instruction_set().name; })
      .def_prop_ro("precision", [](const Network& network) { return name_of(network.precision()); })
      .def_prop_ro("step_bytes", &Network::step_bytes)
      .def_prop_ro("bytes", &Network::bytes);

  bind_learning(module);
}

}  // namespace ricorda
