// A whole step of learning in one call: forwards, loss, backwards, clipping, AdamW.
//
// The streams are divided among the threads, and each goes through the whole window, forwards and
// backwards, by itself: no thread waits for another within a window (learner_pass.cpp). Then the
// gradients of all are added up (learner_gradients.cpp) and the weights updated (learner.cpp), in
// portions that threads share. The same number of threads gives the same bits.
//
// Dimensions: B streams, T steps, V vocabulary, E embedding, H hidden, L layers.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "layer_pass.hpp"
#include "network.hpp"
#include "output.hpp"
#include "sampled_rows.hpp"

namespace ricorda {

struct LearningSettings {
  float dropout = 0.0f;            // of each layer's output, per symbol (Zaremba et al., 2014)
  float input_dropout = 0.0f;      // of the embedding, per kind of symbol (Gal & Ghahramani, 2016)
  float recurrent_dropout = 0.0f;  // of recurrent weights, per window (Merity et al., 2018)
  float weight_decay = 0.0f;
  float clip_norm = 1.0f;
  float first_beta = 0.9f, second_beta = 0.99f;
  float epsilon = 1e-8f;
  // Adaptive reading (Krause et al., 2018) in place of AdamW: a weight changes by learning_rate
  // times its gradient divided by its root mean square, and returns by the share `pull` of the way
  // to the trained weight. Nothing is clipped.
  bool adaptive = false;
  float pull = 0.0f;
  // Where several processes share a batch: which of its streams these are, and how many it has in
  // all; 0: these are all. Means are over all, and masks follow a stream's number among all.
  int first_stream = 0, all_streams = 0;
};

// A parameter, in memory that belongs to the caller. In adaptive reading first_moments are the
// trained weights and second_moments the factors of the gradients; neither is changed.
struct Parameter {
  float* weights;
  float* first_moments;
  float* second_moments;
  float* averages;  // or null
};

// In the order of a model file: embedding (absent for one-hot), labels (absent without), for each
// layer weight_ih, weight_hh, bias_ih, bias_hh (those of hh absent where the cell has no recurrent
// weights), then output weight and bias.
using Parameters = std::vector<Parameter>;

struct LearningStep {
  const std::uint32_t* inputs;   // (B, T)
  const std::uint32_t* targets;  // (B, T)
  const std::uint32_t* labels;   // (B, T) of the inputs; null: 0 for all
  const float* restart;          // (B) 1 where the state starts from zero; or null
  std::vector<float*> state;     // for each layer its parts (B, H), in and out
  float learning_rate;
  std::int64_t number;                 // of the step, from 1
  std::uint64_t key;                   // of the dropout masks
  std::optional<Negatives> negatives;  // of a sampled softmax; empty: all symbols
  float average_share;                 // of the new weights in their averages
  bool update;                         // false: only the gradients
};

struct LearningResult {
  double nats;           // the mean of a symbol
  double gradient_norm;  // before clipping; if it is not finite, nothing was updated
};

class Learner {
 public:
  Learner(const NetworkShape& shape, const LearningSettings& settings, int streams, int steps,
          Precision precision, const InstructionSet& set, int threads, Parameters parameters);

  LearningResult step(const LearningStep& step);

  // The same window of a single stream some symbols at a time. predict: reads `count` inputs from
  // number `first` on, in order from 0, and returns the logits (count, Vp) of their targets; it
  // looks at no later input and at no target, and the bits do not depend on `count`. learn: the
  // rest of the step, once all symbols were predicted.
  const float* predict(const LearningStep& step, int first, int count);
  LearningResult learn(const LearningStep& step);

  // The same in two calls, between which the gradients of several processes can be summed.
  // gradients: fills `flat` with what these streams add to the gradient, every parameter in its own
  // shape, one after the other; returns what they add to the mean nats. apply: updates with the
  // gradient of all; returns its norm, and changes nothing where that is not finite. The norm
  // depends on the gradient alone, so that all processes find the same.
  double gradients(const LearningStep& step, float* flat);
  double apply(const LearningStep& step, const float* flat);

  // The last step's gradient of a parameter, in its own shape; for tests.
  void copy_gradient(int parameter, float* gradient) const;

  const NetworkShape& shape() const { return shape_; }
  int streams() const { return streams_; }
  int steps() const { return steps_; }
  const std::vector<std::size_t>& sizes() const { return sizes_; }
  // How many numbers each parameter has.
  static std::vector<std::size_t> sizes_of(const NetworkShape& shape);

 private:
  // What one thread needs for its streams.
  struct Group {
    int first, streams;  // of the batch
    std::vector<LayerPass> layers;
    std::vector<AlignedBuffer<float>> inputs;  // (L) of (N, Ip), where a layer reads copies
    AlignedBuffer<float> vector_gradient;      // (N, Ep), without a table
    OutputPass output;
    std::vector<LayerGradients> gradients;
    OutputGradients output_gradients;
    AlignedBuffer<float> table_gradient;      // (V, W)
    AlignedBuffer<float> embedding_gradient;  // (rows, Ep), without a table
    AlignedBuffer<float> label_gradient;      // (rows, W)
    // (T, B of the group) the embedding's, the labels' and the output layer's row of each symbol.
    std::vector<std::uint32_t> input_rows, label_rows, targets;
    std::vector<int> resets;
    double nats = 0.0;
  };
  // Some numbers of a parameter that lie side by side, and their gradients.
  struct ParameterSlice {
    int parameter;
    std::size_t offset;
    const float* gradient;
    int count;
    bool decays;
  };
  // Some numbers that every group has its own of, to be summed.
  struct Reduction {
    std::vector<float*> values;  // of each group
    std::size_t first;           // in the buffer
    std::size_t count;
    int masked_layer;  // whose recurrent weights they are the gradients of, if masked; else -1
  };

  // learner.cpp
  void add_group(int number);
  void list_slices();
  void add_rows(int parameter, int rows, int columns, const float* gradients, std::size_t stride,
                bool decays);
  void add_layer_slices(int layer);
  template <class Use>
  void each_slice(const Use& use) const;
  void finish_step(const LearningStep& step, double norm, const float* flat);
  void update(const LearningStep& step, double norm, const float* flat);
  void adapt(const LearningStep& step);
  LayerTensors tensors_of(int layer) const;
  int label_parameter() const { return shape_.embedding_size > 0 ? 1 : 0; }
  int first_of(int layer) const {
    return label_parameter() + (shape_.num_labels > 0 ? 1 : 0) + shape_.layer_tensors() * layer;
  }
  int first_bias_of(int layer) const { return first_of(layer) + shape_.layer_tensors() / 2; }
  std::size_t label_size() const { return std::size_t(shape_.gates()) * shape_.hidden_size; }
  int all_streams() const { return settings_.all_streams > 0 ? settings_.all_streams : streams_; }

  // learner_pass.cpp
  double run_window(const LearningStep& step);
  void begin_window(const LearningStep& step);
  void choose_inputs(const LearningStep& step);
  void choose_labels(const LearningStep& step);
  void choose_output(const LearningStep& step);
  void reserve_output(int symbols);
  void point_rows(std::size_t first_slice, const RowChoice& rows, const float* gradients,
                  std::size_t width);
  void pack(const LearningStep& step);
  void mask_recurrent(const LearningStep& step, int layer);
  void fill_table(const LearningStep& step);
  void copy_embedding(const LearningStep& step, int row);
  void copy_label(int row);
  void run_group(Group& group, const LearningStep& step);
  void read_symbols(Group& group, const LearningStep& step) const;
  void read_symbol(Group& group, const LearningStep& step, int time);
  LayerInput input_of(Group& group, int layer) const;
  void copy_inputs(Group& group, int layer, const LearningStep& step) const;
  void run_output(Group& group, const LearningStep& step);
  void run_backward(Group& group, const LearningStep& step);
  void read_state(Group& group, const LearningStep& step) const;
  void write_state(Group& group, const LearningStep& step) const;
  // Dropout of one row, or of its gradient: of the embedding, of a layer's outputs, of its
  // recurrent weights.
  void drop_vector(const LearningStep& step, std::size_t id, float* values) const;
  void drop_output(const Group& group, const LearningStep& step, int layer, int row,
                   float* values) const;
  void drop_recurrent(const LearningStep& step, int layer, int row, float* values) const;

  // learner_gradients.cpp
  double finish_gradients(const LearningStep& step);
  std::vector<Reduction> list_reductions();
  double reduce(const Reduction& reduction, const LearningStep& step) const;
  void sum_groups(const std::vector<float*>& values, std::size_t count) const;
  float* sum_buffers(AlignedBuffer<float> Group::* buffer, std::size_t count) const;
  void unmask_recurrent(const Reduction& reduction, const LearningStep& step) const;
  double finish_input(const LearningStep& step);
  double finish_one_hot(const float* table);
  void finish_table(const float* table);
  double finish_labels();
  double finish_biases();
  void spread_output_bias();

  NetworkShape shape_;
  LearningSettings settings_;
  int streams_, steps_;
  Precision precision_;
  const InstructionSet* set_;
  int threads_;
  Parameters parameters_;
  std::vector<std::size_t> sizes_;
  std::vector<std::size_t> starts_;  // of each parameter among all numbers, and their count
  bool with_table_;
  std::vector<Layer> layers_;
  OutputWeights output_;
  int output_capacity_ = 0;  // symbols
  SampledRows output_rows_;
  RowChoice input_rows_;                      // of the embedding; all, where there is a table
  RowChoice label_rows_;                      // of the labels
  AlignedBuffer<float> zeros_;                // the gradient of a row that a step leaves out
  AlignedBuffer<float> bias_gradient_;        // (V) where rows are sampled
  std::vector<AlignedBuffer<float>> masked_;  // (L) recurrent weights (G H, H), where dropped
  AlignedBuffer<float> embedding_;            // (rows, Ep), dropped
  AlignedBuffer<float> table_;                // (V, W)
  AlignedBuffer<float> embedding_gradient_;   // (V, Ep), with a table
  AlignedBuffer<float> one_hot_gradient_;     // (G H, V)
  AlignedBuffer<float> label_table_;          // (rows, W)
  AlignedBuffer<float> label_gradient_;       // (K, G H)
  OuterSums table_sums_;
  ProductWorkspace workspace_;  // of the table
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<ParameterSlice> slices_;
};

}  // namespace ricorda
