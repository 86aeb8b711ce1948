// Some rows of a matrix that has one for each symbol, in the order in which they were first taken.
//
// A window has few of many symbols: what a step needs of such a matrix, and its gradients, are then
// kept as K rows in place of V.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace ricorda {

class RowChoice {
 public:
  RowChoice() = default;
  explicit RowChoice(int vocabulary_size) : rows_(vocabulary_size, none) {}

  void clear() {
    for (const std::uint32_t id : ids_) rows_[id] = none;
    ids_.clear();
  }

  void take(std::uint32_t id) {
    if (rows_[id] != none) return;
    rows_[id] = static_cast<std::uint32_t>(ids_.size());
    ids_.push_back(id);
  }

  int count() const { return static_cast<int>(ids_.size()); }
  const std::vector<std::uint32_t>& ids() const { return ids_; }      // (K) the symbol of each row
  std::uint32_t row_of(std::uint32_t id) const { return rows_[id]; }  // of a symbol that was taken
  int vocabulary_size() const { return static_cast<int>(rows_.size()); }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  std::vector<std::uint32_t> ids_;
  std::vector<std::uint32_t> rows_;  // (V)
};

}  // namespace ricorda
