// RMSNorm of the rows of the residual stream for sampling and for training, whose
// backward pass is in training_layers.cpp, and picking rows of a table.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "dispatch.h"
#include "numbers.h"
#include "parallel.h"

namespace qinglan {

struct Norm {
  const float* x;       // [rows, width]
  const float* weight;  // [width]
  void* y;              // [rows, width]
  float* factors;       // [rows]: 1 / root mean square; null where nothing goes back
  int64_t rows;
  int64_t width;
  float eps;
  bool bf16;      // of y
  bool products;  // whether libtorch's products come before and after
};

struct Gather {
  const void* table;    // [any, width]
  const int64_t* rows;  // which
  float* y;             // [count, width]
  int64_t count;
  int64_t width;
  bool bf16;  // of the table
};

namespace {

constexpr int64_t kSums = 32;

// Rows of a task between products, of which there are many.
constexpr int64_t kChunk = 64;

QINGLAN_LEVELS(void, norm_row, (const Norm& call, int64_t row), (call, row)) {
  const float* x = call.x + row * call.width;
  // Sums side by side, because the compiler may not reorder one.
  float sums[kSums] = {};
  const int64_t whole = call.width / kSums * kSums;
  for (int64_t i = 0; i < whole; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += x[i + j] * x[i + j];
  }
  for (int64_t i = whole; i < call.width; ++i) sums[i - whole] += x[i] * x[i];
  float squares = 0.0f;
  for (int64_t j = 0; j < kSums; ++j) squares += sums[j];
  const float factor = 1.0f / std::sqrt(squares / float(call.width) + call.eps);
  if (call.factors) call.factors[row] = factor;
  if (call.bf16) {
    uint16_t* y = static_cast<uint16_t*>(call.y) + row * call.width;
    for (int64_t i = 0; i < call.width; ++i) y[i] = to_bf16(x[i] * factor * call.weight[i]);
  } else {
    float* y = static_cast<float*>(call.y) + row * call.width;
    for (int64_t i = 0; i < call.width; ++i) y[i] = x[i] * factor * call.weight[i];
  }
}

QINGLAN_LEVELS(void, gather_row, (const Gather& call, int64_t at), (call, at)) {
  const int64_t from = call.rows[at] * call.width;
  float* y = call.y + at * call.width;
  if (call.bf16) {
    const uint16_t* row = static_cast<const uint16_t*>(call.table) + from;
    for (int64_t i = 0; i < call.width; ++i) y[i] = from_bf16(row[i]);
  } else {
    std::copy_n(static_cast<const float*>(call.table) + from, call.width, y);
  }
}

}  // namespace
}  // namespace qinglan

extern "C" const char* qinglan_norm(const qinglan::Norm* call) {
  using namespace qinglan;
  return guarded([&] {
    const int64_t chunk = call->products ? kChunk : 1;
    const int64_t count = (call->rows + chunk - 1) / chunk;
    Tasks tasks(count);
    const auto work = [&] {
      for (int64_t task = tasks.take(); task >= 0; task = tasks.take()) {
        const int64_t last = std::min(call->rows, (task + 1) * chunk);
        for (int64_t row = task * chunk; row < last; ++row) norm_row(*call, row);
      }
    };
    if (call->products) {
      on_product_threads(count, work);
    } else {
      on_threads(std::min(count, worth(0.5 * double(call->rows * call->width))), work);
    }
  });
}

extern "C" const char* qinglan_gather(const qinglan::Gather* call) {
  using namespace qinglan;
  return guarded([&] {
    Tasks tasks(call->count);
    on_threads(std::min(call->count, worth(0.3 * double(call->count * call->width))), [&] {
      for (int64_t at = tasks.take(); at >= 0; at = tasks.take()) gather_row(*call, at);
    });
  });
}
