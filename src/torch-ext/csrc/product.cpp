// Products of small float32 matrices, as attention is made of: blocks of 8 by
// 32 sums stay in registers while the inner axis passes.

#include "training.h"

namespace qinglan {
namespace {

// Sixteen numbers that need not begin at a multiple of their size.
typedef float Vector __attribute__((vector_size(64), aligned(4)));

template <int kRows, int kVectors>
QINGLAN_INSIDE void block(const Product& p, int64_t row, int64_t column) {
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + column;
  float* c = p.c + row * p.c_row + column;
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = p.add ? *reinterpret_cast<const Vector*>(c + r * p.c_row + 16 * v) : Vector{};
    }
  }
  for (int64_t i = 0; i < p.inner; ++i) {
    Vector line[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      line[v] = *reinterpret_cast<const Vector*>(b + i * p.b_row + 16 * v);
    }
    for (int r = 0; r < kRows; ++r) {
      const float value = a[r * p.a_row + i * p.a_column];
      for (int v = 0; v < kVectors; ++v) sums[r][v] += value * line[v];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      *reinterpret_cast<Vector*>(c + r * p.c_row + 16 * v) = sums[r][v];
    }
  }
}

template <int kVectors>
QINGLAN_INSIDE void columns_of(const Product& p, int64_t column) {
  int64_t row = 0;
  for (; row + 8 <= p.rows; row += 8) block<8, kVectors>(p, row, column);
  for (; row + 2 <= p.rows; row += 2) block<2, kVectors>(p, row, column);
  if (row < p.rows) block<1, kVectors>(p, row, column);
}

}  // namespace

QINGLAN_LEVELS(void, multiply, (const Product& p), (p)) {
  int64_t column = 0;
  for (; column + 32 <= p.columns; column += 32) columns_of<2>(p, column);
  if (column < p.columns) columns_of<1>(p, column);
}

}  // namespace qinglan
