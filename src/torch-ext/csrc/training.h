// What the kernels of a training's forward and backward pass share: numbers of
// either format read as float32, and products of small float32 matrices.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "dispatch.h"
#include "numbers.h"

namespace qinglan {

QINGLAN_INSIDE float number(const float* from, int64_t at) { return from[at]; }
QINGLAN_INSIDE float number(const uint16_t* from, int64_t at) { return from_bf16(from[at]); }
QINGLAN_INSIDE void put(float* to, int64_t at, float value) { to[at] = value; }
QINGLAN_INSIDE void put(uint16_t* to, int64_t at, float value) { to[at] = to_bf16(value); }

QINGLAN_INSIDE int64_t round_up(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

// Sums that lie side by side, because the compiler may not reorder one.
constexpr int64_t kLanes = 32;

// Float32 memory that begins at a cache line and is not initialised.
class Scratch {
 public:
  float* of(int64_t count) {
    if (count > size_) {
      memory_.reset(static_cast<float*>(std::aligned_alloc(64, size_t(round_up(count * 4, 64)))));
      size_ = memory_ ? count : 0;
      if (!memory_) throw std::bad_alloc();
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(float* block) const { std::free(block); }
  };
  std::unique_ptr<float, Free> memory_;
  int64_t size_ = 0;
};

// C [rows, columns] = or += A [rows, inner] B [inner, columns]. A is read one
// number at a time through its two strides, so a transpose is a matter of
// strides; B and C have dense rows. Columns are a multiple of 16, and what B
// and C have there beyond the last real column is computed along.
struct Product {
  const float* a;
  int64_t a_row;
  int64_t a_column;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  int64_t rows;
  int64_t inner;
  int64_t columns;
  bool add;
};

void multiply(const Product& product);

}  // namespace qinglan
