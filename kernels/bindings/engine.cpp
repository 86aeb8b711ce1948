// Running a network: Network, Session, and the choice of symbols.
#include <algorithm>

#include "bindings/bindings.hpp"
#include "sampling.hpp"
#include "scoring.hpp"
#include "session.hpp"

namespace ricorda {
namespace {

// The tensors of a model file by name, with their shapes checked.
class TensorReader {
 public:
  explicit TensorReader(const nb::dict& tensors) : tensors_(tensors) {}

  const float* read(const std::string& name, const std::vector<std::size_t>& shape) {
    nb::ndarray<const float, nb::c_contig, nb::device::cpu> tensor;
    check(tensors_.contains(name.c_str()), "the tensor " + name + " is missing");
    check(nb::try_cast(tensors_[name.c_str()], tensor, false),
          name + " must be a contiguous float32 array");
    check_shape(name.c_str(), tensor, shape);
    return tensor.data();
  }

 private:
  const nb::dict& tensors_;
};

NetworkTensors read_tensors(const NetworkShape& shape, const nb::dict& tensors) {
  TensorReader reader(tensors);
  const std::size_t hidden = shape.hidden_size, vocabulary = shape.vocabulary_size;
  const std::size_t rows = shape.gates() * hidden;
  NetworkTensors result{};
  if (shape.embedding_size > 0)
    result.embedding =
        reader.read("embedding.weight", {vocabulary, std::size_t(shape.embedding_size)});
  if (shape.num_labels > 0)
    result.labels = reader.read("labels.weight", {std::size_t(shape.num_labels), rows});
  for (int number = 0; number < shape.num_layers; ++number) {
    const std::string layer = "layers." + std::to_string(number) + ".";
    const std::size_t inputs = number == 0 ? shape.input_size() : hidden;
    LayerTensors read{};
    read.weight_ih = reader.read(layer + "weight_ih", {rows, inputs});
    read.bias_ih = reader.read(layer + "bias_ih", {rows});
    if (shape.cell->has_recurrent_weights) {
      read.weight_hh = reader.read(layer + "weight_hh", {rows, hidden});
      read.bias_hh = reader.read(layer + "bias_hh", {rows});
    }
    result.layers.push_back(read);
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
Sequences sequences_of(const NetworkShape& shape, const Input<Id, 2>& ids, const Labels& labels,
                       const Input<float, 4>& state, NewArray<float>& new_state, int threads) {
  check_at_least("threads", threads, 1);
  check_shape("state", state, state_shape(shape, ids.shape(0)));
  check_ids("ids", ids.data(), ids.size(), shape.vocabulary_size);
  check(std::max(ids.shape(0), ids.shape(1)) <= (std::size_t(1) << 30),
        "ids must have at most 2^30 rows and columns");
  return {.ids = ids.data(),
          .labels = checked_labels(shape, labels, shape_of(ids)),
          .streams = static_cast<int>(ids.shape(0)),
          .steps = static_cast<int>(ids.shape(1)),
          .state = state.data(),
          .new_state = new_state.elements.get(),
          .threads = threads};
}

void make_network(Network* self, const nb::kwargs& given) {
  Fields fields(given);
  const InstructionSet& set = choose_instruction_set(fields.optional<std::string>("kernels", ""));
  const NetworkShape shape = read_shape(fields, set);
  const Precision precision = read_precision(fields, {"float32", "bfloat16", "int8"});
  const nb::dict given_tensors = fields.required<nb::dict>("tensors");
  fields.refuse_others();
  const NetworkTensors tensors = read_tensors(shape, given_tensors);
  const nb::gil_scoped_release unlocked;
  new (self) Network(shape, tensors, precision, set);
}

auto read_python(const Network& network, const Input<Id, 2>& ids, const Input<float, 4>& state,
                 int threads, const Labels& labels) {
  NewArray<float> new_state(state_shape(network.shape(), ids.shape(0)));
  const Sequences sequences = sequences_of(network.shape(), ids, labels, state, new_state, threads);
  without_gil([&] { read_sequences(network, sequences); });
  return new_state.to_python();
}

auto forward_python(const Network& network, const Input<Id, 2>& ids, const Input<float, 4>& state,
                    int threads, const Labels& labels) {
  const NetworkShape& shape = network.shape();
  NewArray<float> new_state(state_shape(shape, ids.shape(0)));
  const Sequences sequences = sequences_of(shape, ids, labels, state, new_state, threads);
  NewArray<float> logits({ids.shape(0), ids.shape(1), std::size_t(shape.vocabulary_size)});
  without_gil([&] { forward(network, sequences, logits.elements.get()); });
  return std::tuple(logits.to_python(), new_state.to_python());
}

auto score_python(const Network& network, const Input<Id, 2>& ids, const Input<Id, 2>& targets,
                  const Input<float, 4>& state, int top, int threads, const Labels& labels) {
  const NetworkShape& shape = network.shape();
  const std::size_t streams = ids.shape(0), steps = ids.shape(1);
  NewArray<float> new_state(state_shape(shape, streams));
  const Sequences sequences = sequences_of(shape, ids, labels, state, new_state, threads);
  check_shape("targets", targets, {streams, steps});
  check_ids("targets", targets.data(), targets.size(), shape.vocabulary_size);
  check_at_least("top", top, 0);
  top = std::min(top, shape.vocabulary_size);
  NewArray<float> nats({streams, steps});
  NewArray<Id> top_ids({streams, steps, std::size_t(top)});
  NewArray<float> top_nats({streams, steps, std::size_t(top)});
  const Scores scores{targets.data(), nats.elements.get(), top, top_ids.elements.get(),
                      top_nats.elements.get()};
  without_gil([&] { score(network, sequences, scores); });
  return std::tuple(nats.to_python(), top_ids.to_python(), top_nats.to_python(),
                    new_state.to_python());
}

auto trace_python(const Network& network, const Input<Id, 2>& ids, const Input<float, 4>& state,
                  const Labels& labels) {
  const NetworkShape& shape = network.shape();
  check(ids.shape(0) == 1, "trace reads one stream: ids (1, T)");
  NewArray<float> new_state(state_shape(shape, 1));
  const Sequences sequences = sequences_of(shape, ids, labels, state, new_state, 1);
  NewArray<float> activations({std::size_t(trace_parts(*shape.cell)), ids.shape(1),
                               std::size_t(shape.num_layers), std::size_t(shape.hidden_size)});
  without_gil([&] { trace(network, sequences, activations.elements.get()); });
  return std::tuple(activations.to_python(), new_state.to_python());
}

// start, begins (N + 1), symbols (n), next (n), otherwise (N)
using ConstraintArrays = std::tuple<std::int32_t, std::vector<Id>, std::vector<Id>,
                                    std::vector<std::int32_t>, std::vector<std::int32_t>>;

void make_sampling_settings(SamplingSettings* self, const nb::kwargs& given) {
  Fields fields(given);
  SamplingSettings settings;
  fields.read("repetition_penalty", settings.repetition_penalty);
  fields.read("repetition_window", settings.repetition_window);
  fields.read("presence_penalty", settings.presence_penalty);
  fields.read("frequency_penalty", settings.frequency_penalty);
  fields.read("greedy", settings.greedy);
  fields.read("temperature", settings.temperature);
  fields.read("top_k", settings.top_k);
  fields.read("top_p", settings.top_p);
  fields.read("min_p", settings.min_p);
  std::optional<ConstraintArrays> constraint;
  if (fields.read("constraint", constraint) && constraint) {
    const auto& [start, begins, symbols, next, otherwise] = *constraint;
    settings.constraint = {start, begins, symbols, next, otherwise};
  }
  std::optional<Input<float, 1>> bias;
  if (fields.read("bias", bias) && bias)
    settings.bias.assign(bias->data(), bias->data() + bias->size());
  fields.refuse_others();
  new (self) SamplingSettings(std::move(settings));
}

std::vector<Id> checked_ids(const char* name, const Input<Id, 1>& ids, int vocabulary_size) {
  check_ids(name, ids.data(), ids.size(), vocabulary_size);
  return {ids.data(), ids.data() + ids.size()};
}

std::int64_t add_python(Session& session, const Input<Id, 1>& ids, const SamplingSettings& sampling,
                        std::int64_t length, std::uint64_t seed, std::uint64_t stream_index,
                        const std::vector<std::vector<Id>>& stops, int alternatives,
                        const std::optional<Input<float, 4>>& state,
                        const std::optional<Input<Id, 1>>& before, Id label) {
  const NetworkShape& shape = session.network().shape();
  const StreamSettings settings{sampling, length, stops, seed, stream_index, alternatives, label};
  for (const auto& stop : stops)
    check_ids("stops", stop.data(), stop.size(), shape.vocabulary_size);
  if (state) check_shape("state", *state, state_shape(shape, 1));
  std::vector<Id> read = checked_ids("ids", ids, shape.vocabulary_size), earlier;
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
  nb::list result;
  for (const Progress& progress : without_gil([&] { return session.advance(steps, threads); })) {
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
  const std::vector<Id> unread =
      without_gil([&] { return session.save(stream, state.elements.get()); });
  return std::tuple(array_of(unread, {unread.size()}), state.to_python());
}

// What a stream with these logits (V) chooses by each uniform number, for the tests of sampling.
auto choose_python(const Input<float, 1>& logits, const SamplingSettings& settings,
                   const Input<Id, 1>& recent, const Input<double, 1>& uniforms,
                   const std::string& kernels, const std::optional<Input<Id, 1>>& before) {
  const int vocabulary_size = static_cast<int>(logits.size());
  settings.check(vocabulary_size);
  const std::vector<Id> seen = checked_ids("recent", recent, vocabulary_size);
  std::vector<std::uint32_t> written(vocabulary_size, 0);
  if (before)
    for (const Id id : checked_ids("written", *before, vocabulary_size)) ++written[id];
  Sampler sampler(choose_instruction_set(kernels).routines, vocabulary_size);
  NewArray<Id> chosen({uniforms.size()});
  for (std::size_t i = 0; i < uniforms.size(); ++i)
    chosen.elements[i] = sampler.choose(logits.data(), settings, {seen.begin(), seen.end()},
                                        written, settings.constraint.start, uniforms.data()[i]);
  return chosen.to_python();
}

}  // namespace

void bind_engine(nb::module_& module) {
  module.def(
      "choose", &choose_python, "logits"_a.noconvert(), "settings"_a, "recent"_a.noconvert(),
      "uniforms"_a.noconvert(), "kernels"_a = "", "written"_a.noconvert() = nb::none(),
      "Return what is chosen from logits (V,) after the symbols `recent`, by each uniform\n"
      "number; for the tests. `written` are the symbols that presence and frequency penalty\n"
      "count.");

  nb::class_<SamplingSettings>(
      module, "SamplingSettings",
      "How the next symbol is chosen; see ricorda.engine.sampling. 0 means no limit for top_k.\n\n"
      "`constraint` is start, begins (N + 1), symbols (n), next (n), otherwise (N), as\n"
      "ricorda.engine.constraints makes them. `choose` takes its start state.")
      .def("__init__", &make_sampling_settings,
           nb::sig("def __init__(self, *, repetition_penalty: float = 1.0, "
                   "repetition_window: int = 64, "
                   "constraint: tuple[int, list[int], list[int], list[int], list[int]] | None "
                   "= None, greedy: bool = False, temperature: float = 1.0, top_k: int = 0, "
                   "top_p: float = 1.0, min_p: float = 0.0, presence_penalty: float = 0.0, "
                   "frequency_penalty: float = 0.0, "
                   "bias: numpy.typing.NDArray[numpy.float32] | None = None) -> None"));

  nb::class_<Network>(module, "Network",
                      "A trained network with its weights packed. No call changes it.")
      .def("__init__", &make_network,
           nb::sig("def __init__(self, *, cell: str, nonlinearity: str = 'tanh', "
                   "vocabulary_size: int, hidden_size: int, num_layers: int, embedding_size: int, "
                   "documents: bool = False, num_labels: int = 0, "
                   "tensors: dict[str, numpy.typing.NDArray[numpy.float32]], "
                   "precision: str = 'float32', kernels: str = '') -> None"),
           "Pack the tensors of a model file. An embedding size of 0 means one-hot.\n\n"
           "With `documents` the last symbol is the boundary: before a stream reads it, its state\n"
           "becomes zero. `labels` below are (B, T), each below num_labels; None is 0 for all.")
      .def("read", &read_python, "ids"_a.noconvert(), "state"_a.noconvert(), "threads"_a = 1,
           nb::kw_only(), "labels"_a.noconvert() = nb::none(),
           "Read ids (B, T) from a state (S, L, B, H): the new state.")
      .def("forward", &forward_python, "ids"_a.noconvert(), "state"_a.noconvert(), "threads"_a = 1,
           nb::kw_only(), "labels"_a.noconvert() = nb::none(),
           "Read ids (B, T) from a state (S, L, B, H): logits (B, T, V), new state.")
      .def("score", &score_python, "ids"_a.noconvert(), "targets"_a.noconvert(),
           "state"_a.noconvert(), "top"_a = 0, "threads"_a = 1, nb::kw_only(),
           "labels"_a.noconvert() = nb::none(),
           "Read ids (B, T): nats of the targets (B, T), best ids and nats (B, T, N), new state.")
      .def("trace", &trace_python, "ids"_a.noconvert(), "state"_a.noconvert(), nb::kw_only(),
           "labels"_a.noconvert() = nb::none(),
           "Read ids (1, T): activations (parts, T, L, H), new state.")
      .def_prop_ro("instruction_set",
                   [](const Network& network) { return network.instruction_set().name; })
      .def_prop_ro("precision", [](const Network& network) { return name_of(network.precision()); })
      .def_prop_ro("step_bytes", &Network::step_bytes,
                   "How many bytes of weights one step of one stream reads.")
      .def_prop_ro("bytes", &Network::bytes, "How many bytes all the weights occupy.");

  nb::class_<Session>(module, "Session",
                      "Many texts that are written at once; several threads may use it.")
      .def(nb::init<std::shared_ptr<Network>>(), "network"_a)
      .def("add", &add_python, "ids"_a.noconvert(), "sampling"_a, "length"_a, "seed"_a,
           "stream_index"_a = 0, "stops"_a = std::vector<std::vector<Id>>(), "alternatives"_a = -1,
           "state"_a.noconvert() = nb::none(), "before"_a.noconvert() = nb::none(), "label"_a = 0,
           "Begin to continue ids (n,) from a state (S, L, 1, H); returns the stream's number.\n\n"
           "`before` are earlier symbols, for the repetition penalty; `alternatives` is how many "
           "of\n"
           "the most likely symbols to report with each one, -1 for no log-probabilities at all;\n"
           "`label` is the text's, 0 for none.")
      .def("remove", &Session::remove, "stream"_a, nb::call_guard<nb::gil_scoped_release>(),
           "Remove a stream. Raises IndexError if there is none of this number.")
      .def(
          "advance", &advance_python, "steps"_a, "threads"_a = 1,
          nb::sig("def advance(self, steps: int, threads: int = 1) -> list[tuple[int, "
                  "numpy.typing.NDArray[numpy.uint32], numpy.typing.NDArray[numpy.float32], "
                  "numpy.typing.NDArray[numpy.uint32], numpy.typing.NDArray[numpy.float32], int, "
                  "typing.Literal['length', 'stop', 'not finite'] | None]]"),
          "Take up to `steps` steps in every stream that has not ended.\n\n"
          "Returns for each of them: its number; the ids written (n,); their log-probabilities\n"
          "(n,), or (0,) if not asked for; the most likely ids (n, N) and theirs (n, N); how many\n"
          "symbols it chose so far; and why it ended, or None. A boundary ends its text with\n"
          "'stop' and is the last of the ids.")
      .def("interrupt", &Session::interrupt,
           "End the `advance` under way, or the next, after its step; waits for nothing.")
      .def("save", &save_python, "stream"_a,
           "Return the symbols yet to read (n,) and the state (S, L, 1, H) to read them from.")
      .def("__len__", &Session::size, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace ricorda
