// Products of a few to a few hundred rows with a large packed matrix.
//
// The matrix [M,K] is cut into panels of 32 outputs; within a panel the weights
// lie in the order in which they are read, input by input: [panel][K][32] for
// float32, [panel][K/2][32][2] for bfloat16, whose products take inputs in
// pairs. What is missing of the last panel and the last pair is zero. A panel is
// read from memory once a call and stays in the cache while all rows pass it.
//
// Every output is one sum over the inputs from first to last, whatever the
// number of rows.
#pragma once

#include <cstdint>

#include "activation.h"

namespace qinglan {

constexpr int64_t kPanel = 32;

// What becomes of the sums; the numbers are those of the Rust side.
enum class Finish : int32_t {
  kStoreFloat = 0,
  kStoreBf16 = 1,
  // y (float32) += sum.
  kAddFloat = 2,
  // Panels hold 16 gates, then the 16 ups they belong to; y = activation(gate) * up.
  kGateUpFloat = 3,
  kGateUpBf16 = 4,
};

struct Linear {
  const void* x;      // [rows, inputs], bfloat16 or float32 as the weights
  const void* packed;
  const float* bias;  // [panels * 32] in the order of the panels, or null
  void* y;            // [rows, outputs]
  int64_t rows;
  int64_t inputs;
  int64_t outputs;    // columns of y
  bool bf16;
  Finish finish;
  Activation activation;  // of gates
};

struct Pack {
  const void* weight;  // [M, inputs]
  void* packed;
  int64_t outputs;     // columns of y: M, or M/2 for gate and up
  int64_t inputs;
  bool from_bf16;
  bool to_bf16;
  bool gate_up;
};

inline bool is_gate_up(Finish finish) {
  return finish == Finish::kGateUpFloat || finish == Finish::kGateUpBf16;
}

// Columns of y that a panel makes.
inline int64_t panel_width(bool gate_up) { return gate_up ? kPanel / 2 : kPanel; }

inline int64_t panel_count(int64_t outputs, bool gate_up) {
  return (outputs + panel_width(gate_up) - 1) / panel_width(gate_up);
}

// Numbers in a panel.
inline int64_t panel_length(int64_t inputs, bool bf16) {
  return kPanel * (bf16 ? (inputs + 1) / 2 * 2 : inputs);
}

// All rows against one panel. Panels follow each other in memory, which the
// processor's own prefetching makes more of than software could.
void linear_panel_plain(const Linear& call, int64_t panel);
void linear_panel_avx512(const Linear& call, int64_t panel);

}  // namespace qinglan
