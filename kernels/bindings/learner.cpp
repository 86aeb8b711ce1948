// Training: the learner, and dropout by itself.
#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>

#include "adaptive_reader.hpp"
#include "bindings/bindings.hpp"
#include "learner.hpp"

namespace ricorda {
namespace {

using Changed = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Ids = Input<Id, 2>;
using Restart = std::optional<Input<float, 1>>;
// Symbols, and the logarithms of the probabilities with which they were drawn.
using Drawn = std::optional<std::tuple<Input<Id, 1>, Input<float, 1>>>;

bool is_share(float value) { return value >= 0 && value < 1; }
bool is_not_negative(float value) { return value >= 0 && std::isfinite(value); }
bool is_positive(float value) { return value > 0; }

// The numeric settings, under the names that Python's configuration has.
struct Setting {
  const char* name;
  float LearningSettings::* value;
  bool (*fits)(float);
  const char* expected;
};
constexpr Setting settings_table[] = {
    {"dropout", &LearningSettings::dropout, is_share, "from 0 to below 1"},
    {"input_dropout", &LearningSettings::input_dropout, is_share, "from 0 to below 1"},
    {"recurrent_dropout", &LearningSettings::recurrent_dropout, is_share, "from 0 to below 1"},
    {"first_beta", &LearningSettings::first_beta, is_share, "from 0 to below 1"},
    {"second_beta", &LearningSettings::second_beta, is_share, "from 0 to below 1"},
    {"weight_decay", &LearningSettings::weight_decay, is_not_negative, "at least 0"},
    {"clip_norm", &LearningSettings::clip_norm, is_positive, "above 0"},
    {"epsilon", &LearningSettings::epsilon, is_not_negative, "at least 0"},
};

std::vector<std::string> learning_settings() {
  std::vector<std::string> names;
  for (const Setting& setting : settings_table) names.emplace_back(setting.name);
  return names;
}

LearningSettings read_settings(Fields& fields, int streams) {
  LearningSettings settings;
  for (const Setting& setting : settings_table) {
    fields.read(setting.name, settings.*setting.value);
    check(setting.fits(settings.*setting.value),
          std::string(setting.name) + " must be " + setting.expected);
  }
  fields.read("first_stream", settings.first_stream);
  fields.read("all_streams", settings.all_streams);
  check(settings.first_stream >= 0, "first_stream must be at least 0");
  check(settings.all_streams == 0 || settings.first_stream <= settings.all_streams - streams,
        "all_streams must be 0, or at least the last of the streams");
  return settings;
}

void check_negatives(const Input<Id, 1>& ids, const Input<float, 1>& log_probabilities,
                     int vocabulary_size) {
  check_ids("negatives", ids.data(), ids.size(), vocabulary_size);
  check_shape("log_probabilities", log_probabilities, {ids.size()});
  const Id* end = ids.data() + ids.size();
  check(std::adjacent_find(ids.data(), end, std::greater_equal<>()) == end,
        "negatives must ascend");
  const float* first = log_probabilities.data();
  check(std::all_of(first, first + ids.size(),
                    [](float logarithm) { return logarithm <= 0 && std::isfinite(logarithm); }),
        "log_probabilities must be finite and at most 0");
}

// A learner, and the arrays that it changes, which stay alive with it.
class BoundLearner {
 public:
  using Arrays = std::tuple<Changed, Changed, Changed, std::optional<Changed>>;

  explicit BoundLearner(Fields& fields) {
    const InstructionSet& set = choose_instruction_set(fields.optional<std::string>("kernels", ""));
    const NetworkShape shape = read_shape(fields, set);
    const int streams = fields.required<int>("streams"), steps = fields.required<int>("steps");
    check_at_least("streams", streams, 1);
    check_at_least("steps", steps, 1);
    check(std::int64_t{streams} * steps <= 1 << 30, "a window must have at most 2^30 symbols");
    const int threads = fields.optional("threads", 1);
    check_at_least("threads", threads, 1);
    const Precision precision = read_precision(fields, {"float32", "bfloat16"});
    check(precision == Precision::float32 || set.routines.multiply_rounded != nullptr,
          "the kernels learn in bfloat16 only with AVX512_BF16, which " + set.name + " lacks");
    const LearningSettings settings = read_settings(fields, streams);
    check(settings.recurrent_dropout == 0 || shape.cell->has_recurrent_weights,
          "recurrent_dropout must be 0 for a cell without recurrent weights");
    arrays_ = fields.required<std::vector<Arrays>>("parameters");
    fields.refuse_others();
    learner_ = std::make_unique<Learner>(shape, settings, streams, steps, precision, set, threads,
                                         checked_parameters(shape));
  }

  std::tuple<double, double> step(const Ids& inputs, const Ids& targets,
                                  const std::vector<Changed>& state, const Restart& restart,
                                  float learning_rate, std::int64_t number, const Labels& labels,
                                  std::uint64_t key, const Drawn& negatives, float average_share,
                                  bool update) {
    LearningStep step = window(inputs, targets, state, restart, labels, key, negatives);
    set_update(step, learning_rate, number, average_share);
    step.update = update;
    const nb::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);  // threads of Python take steps one after the other
    const LearningResult result = learner_->step(step);
    return {result.nats, result.gradient_norm};
  }

  double gradients(const Ids& inputs, const Ids& targets, const std::vector<Changed>& state,
                   const Restart& restart, const Changed& flat, const Labels& labels,
                   std::uint64_t key, const Drawn& negatives) {
    const LearningStep step = window(inputs, targets, state, restart, labels, key, negatives);
    check_flat(flat);
    const nb::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);
    has_gradients_ = false;
    const double nats = learner_->gradients(step, flat.data());
    has_gradients_ = true;
    return nats;
  }

  double apply(const std::vector<Changed>& state, const Changed& flat, float learning_rate,
               std::int64_t number, float average_share) {
    LearningStep step{};
    set_state(step, state);
    set_update(step, learning_rate, number, average_share);
    check_flat(flat);
    const nb::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);
    check(std::exchange(has_gradients_, false), "apply must follow gradients");
    return learner_->apply(step, flat.data());
  }

  void copy_gradient(int parameter, const Changed& gradient) const {
    const auto& sizes = learner_->sizes();
    check(parameter >= 0 && static_cast<std::size_t>(parameter) < sizes.size() &&
              gradient.size() == sizes[parameter],
          "no parameter has this number and size");
    learner_->copy_gradient(parameter, gradient.data());
  }

 private:
  Parameters checked_parameters(const NetworkShape& shape) {
    const std::vector<std::size_t> sizes = Learner::sizes_of(shape);
    check(sizes.size() == arrays_.size(), "there must be " + std::to_string(sizes.size()) +
                                              " parameters, not " + std::to_string(arrays_.size()));
    std::size_t most =
        std::size_t(std::max(shape.vocabulary_size, shape.num_labels)) * shape.gates_width();
    Parameters parameters;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto& [weights, first, second, average] = arrays_[i];
      check(weights.size() == sizes[i] && first.size() == sizes[i] && second.size() == sizes[i] &&
                (!average || average->size() == sizes[i]),
            "parameter " + std::to_string(i) + " and its moments must have " +
                std::to_string(sizes[i]) + " numbers");
      parameters.push_back({.weights = weights.data(),
                            .first_moments = first.data(),
                            .second_moments = second.data(),
                            .averages = average ? average->data() : nullptr});
      most = std::max(most, sizes[i]);
    }
    check(most < std::size_t{1} << 31, "a network's parameters must each have below 2^31 numbers");
    return parameters;
  }

  LearningStep window(const Ids& inputs, const Ids& targets, const std::vector<Changed>& state,
                      const Restart& restart, const Labels& labels, std::uint64_t key,
                      const Drawn& negatives) const {
    const std::size_t streams = learner_->streams(), steps = learner_->steps();
    const int vocabulary_size = learner_->shape().vocabulary_size;
    check_shape("inputs", inputs, {streams, steps});
    check_shape("targets", targets, {streams, steps});
    check_ids("inputs", inputs.data(), inputs.size(), vocabulary_size);
    check_ids("targets", targets.data(), targets.size(), vocabulary_size);
    if (restart) check_shape("restart", *restart, {streams});
    LearningStep step{};
    step.inputs = inputs.data();
    step.targets = targets.data();
    step.labels = checked_labels(learner_->shape(), labels, {streams, steps});
    step.restart = restart ? restart->data() : nullptr;
    step.key = key;
    if (negatives) {
      const auto& [ids, log_probabilities] = *negatives;
      check_negatives(ids, log_probabilities, vocabulary_size);
      step.negatives = Negatives{ids.data(), log_probabilities.data(), int(ids.size())};
    }
    set_state(step, state);
    return step;
  }

  void set_state(LearningStep& step, const std::vector<Changed>& state) const {
    const NetworkShape& shape = learner_->shape();
    check(state.size() == static_cast<std::size_t>(shape.state_parts()) * shape.num_layers,
          "state must have every part of every layer");
    for (const Changed& part : state) {
      check_shape("state", part,
                  {std::size_t(learner_->streams()), std::size_t(shape.hidden_size)});
      step.state.push_back(part.data());
    }
  }

  static void set_update(LearningStep& step, float learning_rate, std::int64_t number,
                         float average_share) {
    check(std::isfinite(learning_rate), "learning_rate must be finite");
    check(number >= 1, "number must be at least 1");
    check(average_share >= 0 && average_share <= 1, "average_share must be from 0 to 1");
    step.learning_rate = learning_rate;
    step.number = number;
    step.average_share = average_share;
  }

  void check_flat(const Changed& flat) const {
    std::size_t count = 0;
    for (const std::size_t size : learner_->sizes()) count += size;
    check_shape("flat", flat, {count});
  }

  std::vector<Arrays> arrays_;
  std::unique_ptr<Learner> learner_;
  std::mutex mutex_;
  bool has_gradients_ = false;  // computed, and not applied yet
};

// Adaptive reading, and the arrays of the trained network, which stay alive with it.
class BoundAdaptiveReader {
 public:
  using Arrays = std::tuple<Input<float, 1>, Input<float, 1>>;

  BoundAdaptiveReader(std::shared_ptr<const Network> network, std::vector<Arrays> parameters,
                      std::vector<float> rates, float pull, int segment,
                      const std::string& precision, int threads,
                      const std::optional<Input<Id, 1>>& letters, int table_bits)
      : arrays_(std::move(parameters)) {
    const NetworkShape& shape = network->shape();
    check_at_least("segment", segment, 1);
    check_at_least("threads", threads, 1);
    check(pull >= 0 && pull < 1, "pull must be from 0 to below 1");
    check(std::all_of(rates.begin(), rates.end(), is_not_negative), "rates must be at least 0");
    const auto chosen =
        static_cast<Precision>(index_of("precision", precision, {"float32", "bfloat16"}));
    const std::vector<std::size_t> sizes = Learner::sizes_of(shape);
    check(sizes.size() == arrays_.size(), "there must be " + std::to_string(sizes.size()) +
                                              " parameters, not " + std::to_string(arrays_.size()));
    std::vector<TrainedParameter> trained;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto& [weights, factors] = arrays_[i];
      check(weights.size() == sizes[i] && factors.size() == sizes[i],
            "parameter " + std::to_string(i) + " and its factors must have " +
                std::to_string(sizes[i]) + " numbers");
      trained.push_back({weights.data(), factors.data()});
    }
    AdaptiveSettings settings{
        .segment = segment, .rates = std::move(rates), .pull = pull, .counts = {}};
    if (letters) settings.counts = count_settings(shape, *letters, table_bits);
    reader_ = std::make_unique<AdaptiveReader>(std::move(network), std::move(trained), settings,
                                               chosen, threads);
  }

  std::tuple<Output<float>, Output<Id>, Output<float>> read(
      const Input<Id, 1>& inputs, const Input<Id, 1>& targets,
      const std::optional<Input<Id, 1>>& labels, int alternatives) {
    const NetworkShape& shape = reader_->shape();
    const std::size_t count = inputs.size();
    check_shape("targets", targets, {count});
    check_ids("inputs", inputs.data(), count, shape.vocabulary_size);
    check_ids("targets", targets.data(), count, shape.vocabulary_size);
    if (labels) {
      check_shape("labels", *labels, {count});
      check_ids("labels", labels->data(), count, std::max(shape.num_labels, 1));
    }
    check(alternatives >= 0 && alternatives <= shape.vocabulary_size,
          "alternatives must be from 0 to the vocabulary's size");
    NewArray<float> nats({count}), best_nats({count, std::size_t(alternatives)});
    NewArray<Id> best({count, std::size_t(alternatives)});
    without_gil([&] {
      const std::lock_guard lock(mutex_);
      reader_->read(inputs.data(), targets.data(), labels ? labels->data() : nullptr, count,
                    nats.elements.get(), alternatives, best.elements.get(),
                    best_nats.elements.get());
    });
    return {nats.to_python(), best.to_python(), best_nats.to_python()};
  }

  AdaptiveReader& reader() { return *reader_; }

  void copy_weights(int parameter, const Changed& weights) const {
    check(parameter >= 0 && static_cast<std::size_t>(parameter) < arrays_.size() &&
              weights.size() == std::get<0>(arrays_[parameter]).size(),
          "no parameter has this number and size");
    reader_->copy_weights(parameter, weights.data());
  }

 private:
  static mixing::PredictorSettings count_settings(const NetworkShape& shape,
                                                  const Input<Id, 1>& letters, int table_bits) {
    check_shape("letters", letters, {std::size_t(shape.vocabulary_size)});
    check(table_bits >= 4 && table_bits <= 24, "table_bits must be from 4 to 24");
    return {.vocabulary_size = shape.vocabulary_size,
            .letters = std::vector<Id>(letters.data(), letters.data() + letters.size()),
            .table_bits = table_bits,
            .network_size = shape.vocabulary_size,
            .trusts_network = true,
            .boundary = shape.boundary};
  }

  std::vector<Arrays> arrays_;
  std::unique_ptr<AdaptiveReader> reader_;
  std::mutex mutex_;
};

void make_learner(BoundLearner* self, const nb::kwargs& given) {
  Fields fields(given);
  new (self) BoundLearner(fields);
}

// Dropout by itself, for the tests.
void drop_python(const Changed& values, std::uint64_t key, std::uint32_t first, float keep,
                 const std::string& kernels) {
  check(keep > 0 && keep <= 1, "keep must be from above 0 to 1");
  choose_instruction_set(kernels).routines.drop(values.data(), int(values.size()), key, first,
                                                keep);
}

}  // namespace

AdaptiveReader& adaptive_reader_of(nb::handle object) {
  BoundAdaptiveReader* bound = nullptr;
  if (!nb::try_cast(object, bound)) throw nb::type_error("network must be an AdaptiveReader");
  return bound->reader();
}

void bind_learner(nb::module_& module) {
  module.def("drop", &drop_python, "values"_a.noconvert(), "key"_a, "first"_a, "keep"_a,
             "kernels"_a = "",
             "Drop out of values in place, by the mask's numbers from `first` on; for the tests.");
  module.def(
      "learns_bfloat16",
      [](const std::string& kernels) {
        return choose_instruction_set(kernels).routines.multiply_rounded != nullptr;
      },
      "kernels"_a = "",
      "Whether this processor can learn in bfloat16: whether it has AVX512_BF16.");
  module.def(
      "prefers_bfloat16",
      [](const std::string& kernels) { return choose_instruction_set(kernels).prefers_bfloat16; },
      "kernels"_a = "", "Whether this processor learns faster in bfloat16 than in float32.");

  module.def("learning_settings", &learning_settings,
             "The names of the numeric settings that `Learner` takes.");

  nb::class_<BoundLearner>(
      module, "Learner", "A whole training step in one call, on arrays that belong to the caller.")
      .def("__init__", &make_learner,
           nb::sig("def __init__(self, *, cell: str, nonlinearity: str = 'tanh', "
                   "vocabulary_size: int, hidden_size: int, num_layers: int, embedding_size: int, "
                   "documents: bool = False, num_labels: int = 0, "
                   "parameters: collections.abc.Sequence[tuple["
                   "numpy.typing.NDArray[numpy.float32], numpy.typing.NDArray[numpy.float32], "
                   "numpy.typing.NDArray[numpy.float32], "
                   "numpy.typing.NDArray[numpy.float32] | None]], "
                   "streams: int, steps: int, precision: str = 'float32', threads: int = 1, "
                   "first_stream: int = 0, all_streams: int = 0, kernels: str = '', "
                   "**settings: float) -> None"),
           "Take the parameters in a model file's order, each with its moments and its average.\n\n"
           "They are changed in place. An embedding size of 0 means one-hot. Where several\n"
           "processes share a batch, first_stream and all_streams say which of its streams these\n"
           "are, and how many it has; 0: these are all. settings: any of `learning_settings()`.")
      .def("step", &BoundLearner::step, "inputs"_a.noconvert(), "targets"_a.noconvert(),
           "state"_a.noconvert(), "restart"_a.noconvert() = nb::none(), nb::kw_only(),
           "learning_rate"_a, "number"_a, "labels"_a.noconvert() = nb::none(), "key"_a = 0,
           "negatives"_a.noconvert() = nb::none(), "average_share"_a = 0.0f, "update"_a = true,
           "Learn from inputs and targets (B, T); returns mean nats and the gradient's norm.\n\n"
           "`state` are the parts (B, H) of each layer, changed in place; `restart` (B,) is 1 "
           "where\n"
           "a stream's state counts as zero; `labels` (B, T) are those of the inputs, None for 0.\n"
           "`number` counts steps from 1; `key` seeds the dropout\n"
           "masks. `negatives` are symbols (K,), ascending, with the logarithms (K,) of the\n"
           "probabilities with which they were drawn, for a sampled softmax. If the norm is not\n"
           "finite, nothing is changed.")
      .def("gradients", &BoundLearner::gradients, "inputs"_a.noconvert(), "targets"_a.noconvert(),
           "state"_a.noconvert(), "restart"_a.noconvert().none(), "flat"_a.noconvert(),
           nb::kw_only(), "labels"_a.noconvert() = nb::none(), "key"_a = 0,
           "negatives"_a.noconvert() = nb::none(),
           "Fill `flat` (P,) with what these streams add to the gradient of all.\n\n"
           "Returns what they add to the mean nats. Nothing else is changed.")
      .def(
          "apply", &BoundLearner::apply, "state"_a.noconvert(), "flat"_a.noconvert(), nb::kw_only(),
          "learning_rate"_a, "number"_a, "average_share"_a = 0.0f,
          "Update with the gradient of all streams (P,), after `gradients`; returns its norm.\n\n"
          "The state's parts become those after the window. If the norm is not finite, nothing is\n"
          "changed.")
      .def("copy_gradient", &BoundLearner::copy_gradient, "parameter"_a, "gradient"_a.noconvert(),
           "Copy the last step's gradient of a parameter, by its number, into `gradient`.");

  nb::class_<BoundAdaptiveReader>(
      module, "AdaptiveReader",
      "A network that continues to learn while it reads; the trained one is not changed.\n\n"
      "Copies of the network learn at different rates, and their predictions are mixed with those\n"
      "of the trained network by how well each has done so far.")
      .def(
          nb::init<std::shared_ptr<const Network>, std::vector<BoundAdaptiveReader::Arrays>,
                   std::vector<float>, float, int, const std::string&, int,
                   const std::optional<Input<Id, 1>>&, int>(),
          "network"_a, nb::kw_only(), "parameters"_a, "rates"_a, "pull"_a, "segment"_a,
          "precision"_a = "float32", "threads"_a = 1, "letters"_a.noconvert() = nb::none(),
          "table_bits"_a = 18,
          "Take the trained network, and its parameters in a model file's order, flat (n,), each\n"
          "with the factors of its gradient. `segment` is the number of symbols between updates;\n"
          "`pull` is the share of the way back to the trained weights with each. With `letters`\n"
          "(V,), of each symbol 0 or for a letter a number that both cases share, what the reader\n"
          "has read is counted, in tables of 2 to the power `table_bits` buckets of 64 bytes, and\n"
          "`read` mixes the counts in.")
      .def("read", &BoundAdaptiveReader::read, "inputs"_a.noconvert(), "targets"_a.noconvert(),
           "labels"_a.noconvert() = nb::none(), "alternatives"_a = 0,
           "Read inputs (n,), each followed by its target (n,), and learn from them.\n\n"
           "Returns the nats (n,) of the targets, each predicted before it was seen, the most "
           "likely\n"
           "symbols (n, alternatives) and their nats.")
      .def("copy_weights", &BoundAdaptiveReader::copy_weights, "parameter"_a,
           "weights"_a.noconvert(),
           "Copy a parameter as the copy with the largest share has it into `weights` (n,).");
}

}  // namespace ricorda
