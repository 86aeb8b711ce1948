#include "panels.hpp"

#include <algorithm>

namespace ricorda {

Panels::Panels(const InstructionSet& set, Precision precision, int rows, int depth)
    : pack_block_(set.routines.pack_block[int(precision)]),
      rows_(rows),
      depth_(padded(depth)),
      group_(group_of(precision)),
      element_size_(precision == Precision::bfloat16 ? 2 : 4),
      elements_(static_cast<std::size_t>(rows) * depth_ * element_size_) {}

void Panels::pack(const float* source, std::ptrdiff_t row_stride, std::ptrdiff_t depth_stride,
                  int first_row, int count, int first_depth, int depth, int room) {
  for (int i = 0; i < count; i += row_block) {
    const int row = first_row + i;
    const int panel = std::min(row / panel_rows, panel_count(rows_) - 1);
    const int first = panel * panel_rows, width = rows_of_panel(rows_, panel);
    const std::size_t place = std::size_t(first) * depth_ + std::size_t(first_depth) * width +
                              std::size_t(row - first) * group_;
    pack_block_({source + i * row_stride, row_stride, depth_stride, std::min(row_block, count - i),
                 depth, room, elements_.data() + place * element_size_,
                 std::ptrdiff_t(width) * group_});
  }
}

}  // namespace ricorda
