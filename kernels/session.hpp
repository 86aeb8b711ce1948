// Many texts being written at once by one network.
//
// Each stream has its own state, settings and random numbers; a step reads one symbol in all of
// them by one product with each weight matrix. What a stream writes does not depend on the others,
// on when they come and go, or on the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "network.hpp"
#include "philox.hpp"
#include "sampling.hpp"
#include "stop_sequences.hpp"

namespace ricorda {

struct StreamSettings {
  SamplingSettings sampling;
  std::int64_t length = 0;                        // symbols to write at most
  std::vector<std::vector<std::uint32_t>> stops;  // each at least one symbol
  std::uint64_t seed = 0;
  std::uint64_t stream_index = 0;
  int alternatives = -1;    // most likely symbols reported with each one; -1: no log-probabilities
  std::uint32_t label = 0;  // of the text
};

enum class Ending { none, length, stop, not_finite };

// Symbols that a stream has written for certain; N alternatives each.
struct Written {
  std::vector<std::uint32_t> ids;                    // (n)
  std::vector<float> log_probabilities;              // (n), or empty if not asked for
  std::vector<std::uint32_t> alternative_ids;        // (n, N)
  std::vector<float> alternative_log_probabilities;  // (n, N)

  // Takes out the first n symbols.
  Written take(std::size_t n);
};

struct Progress {
  std::int64_t stream;
  Written written;      // since the last call; what may become a stop sequence is held back
  std::int64_t chosen;  // symbols chosen so far, a boundary or those of a stop sequence included
  Ending ending;
};

class Session {
 public:
  explicit Session(std::shared_ptr<const Network> network);
  ~Session();

  // Begins a text after the symbols `ids` (at least one, each below V), read from a state
  // (S, L, 1, H), null for zeros. `before` are earlier symbols, for the repetition penalty.
  // Returns the stream's number. Throws std::invalid_argument for settings out of range.
  std::int64_t add(std::vector<std::uint32_t> ids, const StreamSettings& settings,
                   const float* state, const std::vector<std::uint32_t>& before);

  // Forgets a stream; throws std::out_of_range if there is none of this number.
  void remove(std::int64_t stream);

  // Takes up to `steps` steps in every stream that has not ended. In each step a stream reads a
  // symbol: of what it began with, else the last one that it chose; then, if nothing is left to
  // read, it chooses the next. A boundary ends its text, and is not written. Returns one Progress
  // for each of these streams, in order.
  std::vector<Progress> advance(int steps, int threads);

  // Lets the `advance` under way, or else the next one, end after the step that it is in; waits for
  // nothing.
  void interrupt() { interrupted_ = true; }

  // The state (S, L, 1, H) of a stream and the symbols it has yet to read from there, so that
  // add(unread, settings, state) continues from the same place.
  std::vector<std::uint32_t> save(std::int64_t stream, float* state) const;

  std::size_t size() const;  // streams, ended ones included
  const Network& network() const { return *network_; }

 private:
  struct Stream;
  struct GroupWorkspace;
  using Streams = std::vector<Stream*>;

  void advance_group(Streams streams, int steps, GroupWorkspace& workspace);
  void step(const Streams& streams, float* states, GroupWorkspace& workspace);
  void choose(Stream& stream, const float* logits, GroupWorkspace& workspace);
  void describe(Stream& stream, const float* logits, std::uint32_t chosen,
                GroupWorkspace& workspace);

  std::shared_ptr<const Network> network_;
  mutable std::mutex mutex_;
  std::atomic<bool> interrupted_ = false;
  std::map<std::int64_t, std::unique_ptr<Stream>> streams_;
  std::int64_t next_number_ = 0;
  std::vector<std::unique_ptr<GroupWorkspace>>
      workspaces_;  // of the groups, kept from call to call
};

}  // namespace ricorda
