#include "avx512.h"
#include "linear.h"

namespace qinglan {
namespace {

// 14 rows times 2 vectors of sums, 2 of weights and one of inputs fill the 32
// registers.
constexpr int kMostRows = 14;

// `rows` is a constant so that the sums stay in registers.
template <int rows>
void tile_bf16(const Linear& call, const void* panel, int64_t row, float* tile) {
  const int64_t stride = call.inputs;
  const uint16_t* x = static_cast<const uint16_t*>(call.x) + row * stride;
  const uint16_t* w = static_cast<const uint16_t*>(panel);
  __m512 sums[rows][2];
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  const int64_t pairs = stride / 2;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(w + pair * 64);
    const __m512bh high = (__m512bh)_mm512_loadu_si512(w + pair * 64 + 32);
#pragma GCC unroll 14
    for (int r = 0; r < rows; ++r) {
      int32_t both;
      __builtin_memcpy(&both, x + r * stride + pair * 2, sizeof both);
      const __m512bh value = (__m512bh)_mm512_set1_epi32(both);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], low, value);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], high, value);
    }
  }
  if (stride % 2) {
    const __m512bh low = (__m512bh)_mm512_loadu_si512(w + pairs * 64);
    const __m512bh high = (__m512bh)_mm512_loadu_si512(w + pairs * 64 + 32);
#pragma GCC unroll 14
    for (int r = 0; r < rows; ++r) {
      const __m512bh value = (__m512bh)_mm512_set1_epi32(x[r * stride + pairs * 2]);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], low, value);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], high, value);
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r) {
    _mm512_storeu_ps(tile + r * kPanel, sums[r][0]);
    _mm512_storeu_ps(tile + r * kPanel + 16, sums[r][1]);
  }
}

template <int rows>
void tile_float(const Linear& call, const void* panel, int64_t row, float* tile) {
  const int64_t stride = call.inputs;
  const float* x = static_cast<const float*>(call.x) + row * stride;
  const float* w = static_cast<const float*>(panel);
  __m512 sums[rows][2];
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < stride; ++k) {
    const __m512 low = _mm512_loadu_ps(w + k * kPanel);
    const __m512 high = _mm512_loadu_ps(w + k * kPanel + 16);
#pragma GCC unroll 14
    for (int r = 0; r < rows; ++r) {
      const __m512 value = _mm512_set1_ps(x[r * stride + k]);
      sums[r][0] = _mm512_fmadd_ps(low, value, sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(high, value, sums[r][1]);
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r) {
    _mm512_storeu_ps(tile + r * kPanel, sums[r][0]);
    _mm512_storeu_ps(tile + r * kPanel + 16, sums[r][1]);
  }
}

using TileFn = void (*)(const Linear&, const void*, int64_t, float*);

constexpr TileFn kTilesBf16[kMostRows + 1] = {
    nullptr,       tile_bf16<1>,  tile_bf16<2>,  tile_bf16<3>,  tile_bf16<4>,
    tile_bf16<5>,  tile_bf16<6>,  tile_bf16<7>,  tile_bf16<8>,  tile_bf16<9>,
    tile_bf16<10>, tile_bf16<11>, tile_bf16<12>, tile_bf16<13>, tile_bf16<14>,
};
constexpr TileFn kTilesFloat[kMostRows + 1] = {
    nullptr,        tile_float<1>,  tile_float<2>,  tile_float<3>,  tile_float<4>,
    tile_float<5>,  tile_float<6>,  tile_float<7>,  tile_float<8>,  tile_float<9>,
    tile_float<10>, tile_float<11>, tile_float<12>, tile_float<13>, tile_float<14>,
};

// Whether the result goes past the cache: logits are larger than it, and reading
// lines only to overwrite them would cost as much again.
bool streams(const Linear& call) {
  return call.finish == Finish::kStoreFloat && call.rows * call.outputs >= (1 << 18) &&
         call.outputs % 16 == 0 && reinterpret_cast<uintptr_t>(call.y) % 64 == 0;
}

void store(const Linear& call, bool stream, int64_t at, int64_t columns, __m512 values) {
  if (columns <= 0) return;
  if (stream) {
    _mm512_stream_ps(static_cast<float*>(call.y) + at, values);
    return;
  }
  const __mmask16 lanes = lanes16(columns);
  if (call.finish == Finish::kStoreBf16 || call.finish == Finish::kGateUpBf16) {
    store_bf16(static_cast<uint16_t*>(call.y) + at, lanes, values);
    return;
  }
  float* y = static_cast<float*>(call.y) + at;
  if (call.finish == Finish::kAddFloat) {
    values = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y), values);
  }
  _mm512_mask_storeu_ps(y, lanes, values);
}

// The numbers of `inner` in activation.h, 16 at a time.
__m512 gelu_inner(__m512 x) {
  const __m512 far = _mm512_set1_ps(kGeluFar);
  // The second operand is what comes out where one is NaN.
  const __m512 near = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), far), _mm512_min_ps(far, x));
  const __m512 squares = _mm512_mul_ps(near, near);
  return _mm512_mul_ps(near, _mm512_fmadd_ps(squares, _mm512_set1_ps(kGeluCubic), _mm512_set1_ps(kGeluLinear)));
}

void finish(const Linear& call, int64_t panel, int64_t row, int rows, const float* tile) {
  const bool stream = streams(call);
  const bool gate_up = is_gate_up(call.finish);
  const int64_t first = panel * panel_width(gate_up);
  const int64_t columns = call.outputs - first;
  __m512 bias[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  if (call.bias) {
    bias[0] = _mm512_loadu_ps(call.bias + panel * kPanel);
    bias[1] = _mm512_loadu_ps(call.bias + panel * kPanel + 16);
  }
  for (int r = 0; r < rows; ++r) {
    const __m512 low = _mm512_add_ps(_mm512_loadu_ps(tile + r * kPanel), bias[0]);
    const __m512 high = _mm512_add_ps(_mm512_loadu_ps(tile + r * kPanel + 16), bias[1]);
    const int64_t at = (row + r) * call.outputs + first;
    if (gate_up) {
      // A large -inner(g) gives g / infinity = 0.
      const __m512 inside = call.activation == Activation::kSilu ? low : gelu_inner(low);
      const __m512 minus = _mm512_sub_ps(_mm512_setzero_ps(), inside);
      const __m512 divisor = _mm512_add_ps(_mm512_set1_ps(1.0f), exp16(minus));
      store(call, stream, at, columns, _mm512_mul_ps(_mm512_div_ps(low, divisor), high));
    } else {
      store(call, stream, at, columns, low);
      store(call, stream, at + 16, columns - 16, high);
    }
  }
}

}  // namespace

void linear_panel_avx512(const Linear& call, int64_t panel) {
  const int64_t bytes = panel_length(call.inputs, call.bf16) * (call.bf16 ? 2 : 4);
  const char* weights = static_cast<const char*>(call.packed) + panel * bytes;
  const TileFn* tiles = call.bf16 ? kTilesBf16 : kTilesFloat;
  // Blocks of like size: a last block of one row would read the panel for little.
  const int64_t blocks = (call.rows + kMostRows - 1) / kMostRows;
  alignas(64) float tile[kMostRows * kPanel];
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = block * call.rows / blocks;
    const int rows = int((block + 1) * call.rows / blocks - row);
    tiles[rows](call, weights, row, tile);
    finish(call, panel, row, rows, tile);
  }
  // Streamed lines must be seen before the call is seen to have ended.
  if (streams(call)) _mm_sfence();
}

}  // namespace qinglan
