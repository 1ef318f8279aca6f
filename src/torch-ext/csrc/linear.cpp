#include "linear.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"
#include "numbers.h"
#include "parallel.h"

namespace qinglan {
namespace {

// Rows that pass a panel together. Two rows times 32 outputs are 8 vectors of
// AVX2, which has 16.
constexpr int64_t kRows = 2;

// 8 numbers, a vector of AVX2; the compiler makes do with what the machine has.
// Those in memory need not be aligned.
typedef float Floats __attribute__((vector_size(32)));
typedef uint32_t Words __attribute__((vector_size(32)));
typedef float LooseFloats __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t LooseWords __attribute__((vector_size(32), aligned(4), may_alias));

struct Tile {
  float sums[kRows][kPanel];
};

// `rows` is a constant so that the sums stay in registers.
template <int64_t rows>
inline __attribute__((always_inline)) void add_rows(const Linear& call, const void* weights, int64_t row,
                                                    Tile& tile) {
  Floats sums[rows][4] = {};
  if (call.bf16) {
    const uint16_t* x = static_cast<const uint16_t*>(call.x) + row * call.inputs;
    for (int64_t k = 0; k < call.inputs; k += 2) {
      const auto* both = reinterpret_cast<const LooseWords*>(static_cast<const uint16_t*>(weights) + k * kPanel);
      const Words pairs[4] = {both[0], both[1], both[2], both[3]};
#pragma GCC unroll 4
      for (int64_t r = 0; r < rows; ++r) {
        const float first = from_bf16(x[r * call.inputs + k]);
        const float second = k + 1 < call.inputs ? from_bf16(x[r * call.inputs + k + 1]) : 0.0f;
#pragma GCC unroll 4
        for (int64_t v = 0; v < 4; ++v) {
          sums[r][v] += (Floats)(pairs[v] << 16) * first;
          sums[r][v] += (Floats)(pairs[v] & 0xffff0000u) * second;
        }
      }
    }
  } else {
    const float* x = static_cast<const float*>(call.x) + row * call.inputs;
    for (int64_t k = 0; k < call.inputs; ++k) {
      const auto* both = reinterpret_cast<const LooseFloats*>(static_cast<const float*>(weights) + k * kPanel);
      const Floats w[4] = {both[0], both[1], both[2], both[3]};
#pragma GCC unroll 4
      for (int64_t r = 0; r < rows; ++r) {
        const float value = x[r * call.inputs + k];
#pragma GCC unroll 4
        for (int64_t v = 0; v < 4; ++v) sums[r][v] += w[v] * value;
      }
    }
  }
  std::memcpy(tile.sums, sums, sizeof sums);
}

QINGLAN_LEVELS(void, add_tile, (const Linear& call, const void* weights, int64_t row, int64_t rows, Tile& tile),
               (call, weights, row, rows, tile)) {
  if (rows == kRows) {
    add_rows<kRows>(call, weights, row, tile);
  } else {
    add_rows<1>(call, weights, row, tile);
  }
}

// Gates, followed by the ups they belong to, as many.
template <Activation activation>
QINGLAN_INSIDE void close_gates(float* sums, int64_t width) {
  for (int64_t j = 0; j < width; ++j) {
    const float gate = sums[j];
    sums[j] = gate / (1.0f + exp_fast(std::min(-inner<activation>(gate), 88.0f))) * sums[width + j];
  }
}

QINGLAN_LEVELS(void, finish, (const Linear& call, int64_t panel, int64_t row, int64_t rows, Tile& tile),
               (call, panel, row, rows, tile)) {
  const bool gate_up = is_gate_up(call.finish);
  const int64_t width = panel_width(gate_up);
  const int64_t first = panel * width;
  const int64_t columns = std::min(width, call.outputs - first);
  for (int64_t r = 0; r < rows; ++r) {
    float* sums = tile.sums[r];
    if (call.bias) {
      for (int64_t j = 0; j < kPanel; ++j) sums[j] += call.bias[panel * kPanel + j];
    }
    if (gate_up) {
      if (call.activation == Activation::kSilu) {
        close_gates<Activation::kSilu>(sums, width);
      } else {
        close_gates<Activation::kGeluTanh>(sums, width);
      }
    }
    const int64_t at = (row + r) * call.outputs + first;
    if (call.finish == Finish::kStoreBf16 || call.finish == Finish::kGateUpBf16) {
      uint16_t* y = static_cast<uint16_t*>(call.y) + at;
      for (int64_t j = 0; j < columns; ++j) y[j] = to_bf16(sums[j]);
    } else {
      float* y = static_cast<float*>(call.y) + at;
      const bool add = call.finish == Finish::kAddFloat;
      for (int64_t j = 0; j < columns; ++j) y[j] = add ? y[j] + sums[j] : sums[j];
    }
  }
}

void pack_panel(const Pack& call, int64_t panel) {
  const int64_t width = panel_width(call.gate_up);
  const int64_t length = panel_length(call.inputs, call.to_bf16);
  const auto* halves = static_cast<const uint16_t*>(call.weight);
  const auto* floats = static_cast<const float*>(call.weight);
  auto* half_panel = static_cast<uint16_t*>(call.packed) + panel * length;
  auto* float_panel = static_cast<float*>(call.packed) + panel * length;
  for (int64_t j = 0; j < kPanel; ++j) {
    const int64_t output = panel * width + j % width;
    const int64_t row = output + (j < width ? 0 : call.outputs);
    for (int64_t k = 0; k < length / kPanel; ++k) {
      const bool there = output < call.outputs && k < call.inputs;
      const int64_t from = row * call.inputs + k;
      const float value = !there ? 0.0f : call.from_bf16 ? from_bf16(halves[from]) : floats[from];
      if (call.to_bf16) {
        half_panel[k / 2 * 2 * kPanel + j * 2 + k % 2] = to_bf16(value);
      } else {
        float_panel[k * kPanel + j] = value;
      }
    }
  }
}

}  // namespace

void linear_panel_plain(const Linear& call, int64_t panel) {
  const int64_t bytes = panel_length(call.inputs, call.bf16) * (call.bf16 ? 2 : 4);
  const char* weights = static_cast<const char*>(call.packed) + panel * bytes;
  for (int64_t row = 0; row < call.rows; row += kRows) {
    const int64_t rows = std::min(kRows, call.rows - row);
    Tile tile;
    add_tile(call, weights, row, rows, tile);
    finish(call, panel, row, rows, tile);
  }
}

}  // namespace qinglan

extern "C" const char* qinglan_linear(const qinglan::Linear* call) {
  using namespace qinglan;
  return guarded([&] {
    auto* run_panel = linear_panel_plain;
#ifdef QINGLAN_AVX512
    if (use_avx512()) run_panel = linear_panel_avx512;
#endif
    const int64_t panels = panel_count(call->outputs, is_gate_up(call->finish));
    Tasks tasks(panels);
    // Reading a weight, and multiplying it by every row.
    const double each = 0.1 + 0.01 * double(call->rows);
    on_threads(std::min(panels, worth(each * double(panels * kPanel * call->inputs))), [&] {
      for (int64_t panel = tasks.take(); panel >= 0; panel = tasks.take()) run_panel(*call, panel);
    });
  });
}

extern "C" const char* qinglan_pack(const qinglan::Pack* call) {
  using namespace qinglan;
  return guarded([&] {
    const int64_t panels = panel_count(call->outputs, call->gate_up);
    Tasks tasks(panels);
    on_threads(std::min(panels, worth(double(panels * kPanel * call->inputs))), [&] {
      for (int64_t panel = tasks.take(); panel >= 0; panel = tasks.take()) pack_panel(*call, panel);
    });
  });
}
