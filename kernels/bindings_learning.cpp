// The part of the Python module that learns: a whole step.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "bindings.hpp"
#include "learning/learner.hpp"

namespace ricorda {

using namespace nb::literals;

namespace {

using Changed = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Symbols = Input<std::int64_t, 2>;
// Symbols, and the logarithms of the probabilities with which they were drawn.
using Drawn = std::tuple<Input<std::int64_t, 1>, Input<float, 1>>;

// Learning is in float32 or, where the processor multiplies it, bfloat16.
Precision learning_precision(const std::string& word, const InstructionSet& set) {
  const auto precision = one_of<Precision>(
      "precision", word, {{"float32", Precision::float32}, {"bfloat16", Precision::bfloat16}});
  if (precision == Precision::bfloat16 && set.routines.multiply_rounded == nullptr)
    throw std::invalid_argument("the kernels learn in bfloat16 only with AVX512_BF16, which " +
                                set.name + " has not");
  return precision;
}

void check(bool holds, const std::string& expected) {
  if (!holds) throw std::invalid_argument(expected);
}

// B T, within which no count overflows.
void check_window_size(int streams, int steps) {
  check_at_least("streams", streams, 1);
  check_at_least("steps", steps, 1);
  check(std::int64_t{streams} * steps <= 1 << 30, "a window must have at most 2^30 symbols");
}

void check_settings(const LearningSettings& settings) {
  for (const auto& [name, share] : {std::pair("dropout", settings.dropout),
                                    {"input_dropout", settings.input_dropout},
                                    {"recurrent_dropout", settings.recurrent_dropout},
                                    {"first_beta", settings.first_beta},
                                    {"second_beta", settings.second_beta}})
    check(share >= 0 && share < 1, std::string(name) + " must be from 0 to below 1");
  check(settings.weight_decay >= 0 && std::isfinite(settings.weight_decay),
        "weight_decay must be at least 0");
  check(settings.clip_norm > 0, "clip_norm must be above 0");
  check(settings.epsilon >= 0, "epsilon must be at least 0");
}

void check_part(const LearningSettings& settings, int streams) {
  check(settings.first_stream >= 0, "first_stream must be at least 0");
  check(settings.all_streams == 0 || settings.first_stream <= settings.all_streams - streams,
        "all_streams must be 0, or at least the last of the streams");
}

template <class Array>
std::vector<Ids> ids_of(const char* name, const Array& symbols, int vocabulary_size) {
  std::vector<Ids> ids(symbols.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t id = symbols.data()[i];
    if (id < 0 || id >= vocabulary_size)
      throw std::out_of_range(std::string(name) + " must be below the vocabulary's size " +
                              std::to_string(vocabulary_size) + ", not " + std::to_string(id));
    ids[i] = static_cast<Ids>(id);
  }
  return ids;
}

void check_drawn(const std::vector<Ids>& ids, const Input<float, 1>& log_probabilities) {
  check_shape("log_probabilities", log_probabilities, {ids.size()});
  check(std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end(),
        "candidates must ascend");
  const float* first = log_probabilities.data();
  check(std::all_of(first, first + ids.size(),
                    [](float logarithm) { return logarithm <= 0 && std::isfinite(logarithm); }),
        "log_probabilities must be finite and at most 0");
}

// A learner, and the arrays that it changes, which stay alive with it.
class HeldLearner {
 public:
  using Arrays = std::tuple<Changed, Changed, Changed, std::optional<Changed>>;

  HeldLearner(const NetworkShape& shape, const LearningSettings& settings, int streams, int steps,
              Precision precision, const InstructionSet& set, int threads,
              std::vector<Arrays> arrays)
      : arrays_(std::move(arrays)) {
    Parameters parameters;
    for (auto& [weights, first, second, average] : arrays_)
      parameters.push_back(
          {weights.data(), first.data(), second.data(), average ? average->data() : nullptr});
    const std::vector<std::size_t> sizes = Learner::sizes_of(shape);
    if (sizes.size() != parameters.size())
      throw std::invalid_argument("there must be " + std::to_string(sizes.size()) +
                                  " parameters, not " + std::to_string(parameters.size()));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto& [weights, first, second, average] = arrays_[i];
      if (weights.size() != sizes[i] || first.size() != sizes[i] || second.size() != sizes[i] ||
          (average && average->size() != sizes[i]))
        throw std::invalid_argument("parameter " + std::to_string(i) +
                                    " and its moments must have " + std::to_string(sizes[i]) +
                                    " numbers");
    }
    std::size_t most = std::size_t(shape.vocabulary_size) * shape.gates_width();
    for (const std::size_t size : sizes) most = std::max(most, size);
    check(most < std::size_t{1} << 31, "a network's parameters must each have below 2^31 numbers");
    learner_ = std::make_unique<Learner>(shape, settings, streams, steps, precision, set, threads,
                                         std::move(parameters));
  }

  std::tuple<double, double> step(const Symbols& inputs, const Symbols& targets,
                                  const std::vector<Changed>& state,
                                  const std::optional<Input<float, 1>>& restart,
                                  float learning_rate, std::int64_t number, std::uint64_t key,
                                  const std::optional<Drawn>& candidates, float average_share,
                                  bool update) {
    Prepared prepared = window(inputs, targets, state, restart, key, candidates);
    set_update(prepared.step, learning_rate, number, average_share);
    prepared.step.update = update;
    const nb::gil_scoped_release unlocked;
    const std::lock_guard lock(
        mutex_);  // two threads of Python may take steps, one after the other
    const LearningResult result = learner_->step(prepared.step);
    return {result.nats, result.gradient_norm};
  }

  double gradients(const Symbols& inputs, const Symbols& targets, const std::vector<Changed>& state,
                   const std::optional<Input<float, 1>>& restart, const Changed& flat,
                   std::uint64_t key, const std::optional<Drawn>& candidates) {
    Prepared prepared = window(inputs, targets, state, restart, key, candidates);
    check_flat(flat);
    const nb::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);
    went_through_ = false;
    const double nats = learner_->gradients(prepared.step, flat.data());
    went_through_ = true;
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
    check(std::exchange(went_through_, false), "apply must follow gradients");
    return learner_->apply(step, flat.data());
  }

  void copy_gradient(int parameter, const Changed& gradient) const {
    const auto& sizes = learner_->sizes();
    if (parameter < 0 || static_cast<std::size_t>(parameter) >= sizes.size() ||
        gradient.size() != sizes[parameter])
      throw std::invalid_argument("no parameter of this number and size");
    learner_->copy_gradient(parameter, gradient.data());
  }

 private:
  // A step, and the ids that it points to.
  struct Prepared {
    std::vector<Ids> inputs, targets, candidates;
    LearningStep step;
  };

  Prepared window(const Symbols& inputs, const Symbols& targets, const std::vector<Changed>& state,
                  const std::optional<Input<float, 1>>& restart, std::uint64_t key,
                  const std::optional<Drawn>& candidates) const {
    const NetworkShape& shape = learner_->shape();
    const std::size_t streams = learner_->streams(), steps = learner_->steps();
    check_shape("inputs", inputs, {streams, steps});
    check_shape("targets", targets, {streams, steps});
    Prepared prepared{ids_of("inputs", inputs, shape.vocabulary_size),
                      ids_of("targets", targets, shape.vocabulary_size),
                      {},
                      {}};
    if (candidates) {
      const auto& [drawn, log_probabilities] = *candidates;
      prepared.candidates = ids_of("candidates", drawn, shape.vocabulary_size);
      check_drawn(prepared.candidates, log_probabilities);
      prepared.step.candidates = Candidates{prepared.candidates.data(), log_probabilities.data(),
                                            static_cast<int>(prepared.candidates.size())};
    }
    prepared.step.inputs = prepared.inputs.data();
    prepared.step.targets = prepared.targets.data();
    prepared.step.key = key;
    if (restart) {
      check_shape("restart", *restart, {streams});
      prepared.step.restart = restart->data();
    }
    set_state(prepared.step, state);
    return prepared;
  }

  void set_state(LearningStep& step, const std::vector<Changed>& state) const {
    const NetworkShape& shape = learner_->shape();
    if (state.size() != static_cast<std::size_t>(shape.state_parts()) * shape.num_layers)
      throw std::invalid_argument("state must have every part of every layer");
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
  bool went_through_ = false;  // gradients were computed, and not applied yet
};

std::shared_ptr<HeldLearner> make_learner(
    const std::string& cell, const std::string& nonlinearity, int vocabulary_size, int hidden_size,
    int num_layers, int embedding_size, std::vector<HeldLearner::Arrays> parameters, int streams,
    int steps, const std::string& precision, int threads, float dropout, float input_dropout,
    float recurrent_dropout, float weight_decay, float clip_norm, float first_beta,
    float second_beta, float epsilon, int first_stream, int all_streams,
    const std::string& kernels) {
  const NetworkShape shape =
      shape_of(cell, nonlinearity, vocabulary_size, hidden_size, num_layers, embedding_size);
  check_window_size(streams, steps);
  check_at_least("threads", threads, 1);
  const InstructionSet& set = choose_instruction_set(kernels);
  const LearningSettings settings{dropout,      input_dropout, recurrent_dropout, weight_decay,
                                  clip_norm,    first_beta,    second_beta,       epsilon,
                                  first_stream, all_streams};
  check_settings(settings);
  check_part(settings, streams);
  return std::make_shared<HeldLearner>(shape, settings, streams, steps,
                                       learning_precision(precision, set), set, threads,
                                       std::move(parameters));
}

// Dropout by itself, for the tests.
void drop_python(const Changed& values, std::uint64_t key, std::uint32_t first, float keep,
                 const std::string& kernels) {
  check(keep > 0 && keep <= 1, "keep must be from above 0 to 1");
  choose_instruction_set(kernels).routines.drop(values.data(), int(values.size()), key, first,
                                                keep);
}

}  // namespace

void bind_learning(nb::module_& module) {
  module.def("drop", &drop_python, "values"_a.noconvert(), "key"_a, "first"_a, "keep"_a,
             "kernels"_a = "");
  module.def(
      "learns_bfloat16",
      [](const std::string& kernels) {
        return choose_instruction_set(kernels).routines.multiply_rounded != nullptr;
      },
      "kernels"_a = "");

  nb::class_<HeldLearner>(module, "Learner")
      .def(nb::new_(&make_learner), nb::kw_only(), "cell"_a, "nonlinearity"_a, "vocabulary_size"_a,
           "hidden_size"_a, "num_layers"_a, "embedding_size"_a, "parameters"_a.noconvert(),
           "streams"_a, "steps"_a, "precision"_a = "float32", "threads"_a = 1, "dropout"_a = 0.0f,
           "input_dropout"_a = 0.0f, "recurrent_dropout"_a = 0.0f, "weight_decay"_a = 0.0f,
           "clip_norm"_a = 1.0f, "first_beta"_a = 0.9f, "second_beta"_a = 0.99f,
           "epsilon"_a = 1e-8f, "first_stream"_a = 0, "all_streams"_a = 0, "kernels"_a = "")
      .def("step", &HeldLearner::step, "inputs"_a.noconvert(), "targets"_a.noconvert(),
           "state"_a.noconvert(), "restart"_a.noconvert() = nb::none(), nb::kw_only(),
           "learning_rate"_a, "number"_a, "key"_a = 0, "candidates"_a.noconvert() = nb::none(),
           "average_share"_a = 0.0f, "update"_a = true)
      .def("gradients", &HeldLearner::gradients, "inputs"_a.noconvert(), "targets"_a.noconvert(),
           "state"_a.noconvert(), "restart"_a.noconvert().none(), "flat"_a.noconvert(),
           nb::kw_only(), "key"_a = 0, "candidates"_a.noconvert() = nb::none())
      .def("apply", &HeldLearner::apply, "state"_a.noconvert(), "flat"_a.noconvert(), nb::kw_only(),
           "learning_rate"_a, "number"_a, "average_share"_a = 0.0f)
      .def("copy_gradient", &HeldLearner::copy_gradient, "parameter"_a, "gradient"_a.noconvert());
}

}  // namespace ricorda
