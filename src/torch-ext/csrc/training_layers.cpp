// The small parts of a layer as training runs them: the gated activation forward
// and backward, RMSNorm backward, and adding bfloat16 gradients to float32 sums.

#include <algorithm>
#include <vector>

#include "activation.h"
#include "parallel.h"
#include "training.h"

namespace qinglan {

// The backward pass of the norm in norm.cpp.
struct TrainNorm {
  const float* x;          // [rows, width]
  const float* weight;     // [width]
  const float* factors;    // [rows]: 1 / root mean square
  const void* y_gradient;  // [rows, width]
  float* x_gradient;       // [rows, width], added to
  float* weight_gradient;  // [width], added to; may be null
  int64_t rows;
  int64_t width;
  bool bf16;  // of y's gradient
};

struct TrainGate {
  const void* gate_up;   // [rows, 2 width]
  void* y;               // [rows, width]; forward only
  const void* y_gradient;   // backward only
  void* gate_up_gradient;   // backward only
  int64_t rows;
  int64_t width;
  bool bf16;
  Activation activation;
};

struct Accumulate {
  float* sum;
  const uint16_t* more;
  int64_t count;
};

namespace {

// Rows whose share of the weight's gradient is summed by one task: a constant,
// so that the sum does not depend on the number of threads.
constexpr int64_t kChunk = 64;

template <class Number>
QINGLAN_INSIDE void norm_back_row(const TrainNorm& call, int64_t row, float* weight_gradient) {
  const float* x = call.x + row * call.width;
  const Number* dy = static_cast<const Number*>(call.y_gradient) + row * call.width;
  float* dx = call.x_gradient + row * call.width;
  const float factor = call.factors[row];
  float sums[kLanes] = {};
  const int64_t whole = call.width / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) sums[j] += number(dy, i + j) * call.weight[i + j] * x[i + j];
  }
  for (int64_t i = whole; i < call.width; ++i) sums[i - whole] += number(dy, i) * call.weight[i] * x[i];
  float together = 0.0f;
  for (int64_t j = 0; j < kLanes; ++j) together += sums[j];
  const float pull = together * factor * factor / float(call.width);
  for (int64_t i = 0; i < call.width; ++i) {
    dx[i] += factor * (number(dy, i) * call.weight[i] - x[i] * pull);
  }
  for (int64_t i = 0; i < call.width; ++i) weight_gradient[i] += number(dy, i) * x[i] * factor;
}

QINGLAN_LEVELS(void, norm_back_rows, (const TrainNorm& call, int64_t first, int64_t last, float* weight_gradient),
               (call, first, last, weight_gradient)) {
  for (int64_t row = first; row < last; ++row) {
    if (call.bf16) {
      norm_back_row<uint16_t>(call, row, weight_gradient);
    } else {
      norm_back_row<float>(call, row, weight_gradient);
    }
  }
}

// 1 / (1 + exp(-x)).
QINGLAN_INSIDE float sigmoid(float x) { return 1.0f / (1.0f + exp_fast(std::min(-x, 80.0f))); }

template <class Number, Activation activation>
QINGLAN_INSIDE void gate_row(const TrainGate& call, int64_t row) {
  const Number* gate = static_cast<const Number*>(call.gate_up) + row * 2 * call.width;
  const Number* up = gate + call.width;
  Number* y = static_cast<Number*>(call.y) + row * call.width;
  for (int64_t i = 0; i < call.width; ++i) {
    const float g = number(gate, i);
    put(y, i, g * sigmoid(inner<activation>(g)) * number(up, i));
  }
}

template <class Number, Activation activation>
QINGLAN_INSIDE void gate_back_row(const TrainGate& call, int64_t row) {
  const Number* gate = static_cast<const Number*>(call.gate_up) + row * 2 * call.width;
  const Number* up = gate + call.width;
  const Number* dy = static_cast<const Number*>(call.y_gradient) + row * call.width;
  Number* gate_gradient = static_cast<Number*>(call.gate_up_gradient) + row * 2 * call.width;
  Number* up_gradient = gate_gradient + call.width;
  for (int64_t i = 0; i < call.width; ++i) {
    const float g = number(gate, i), s = sigmoid(inner<activation>(g)), d = number(dy, i);
    put(gate_gradient, i, d * number(up, i) * s * (1.0f + g * (1.0f - s) * inner_slope<activation>(g)));
    put(up_gradient, i, d * g * s);
  }
}

template <class Number, Activation activation>
QINGLAN_INSIDE void gate_all(const TrainGate& call, int64_t first, int64_t last, bool backward) {
  for (int64_t row = first; row < last; ++row) {
    backward ? gate_back_row<Number, activation>(call, row) : gate_row<Number, activation>(call, row);
  }
}

template <class Number>
QINGLAN_INSIDE void gate_by(const TrainGate& call, int64_t first, int64_t last, bool backward) {
  if (call.activation == Activation::kSilu) {
    gate_all<Number, Activation::kSilu>(call, first, last, backward);
  } else {
    gate_all<Number, Activation::kGeluTanh>(call, first, last, backward);
  }
}

QINGLAN_LEVELS(void, gate_rows, (const TrainGate& call, int64_t first, int64_t last, bool backward),
               (call, first, last, backward)) {
  if (call.bf16) {
    gate_by<uint16_t>(call, first, last, backward);
  } else {
    gate_by<float>(call, first, last, backward);
  }
}

QINGLAN_LEVELS(void, accumulate, (const Accumulate& call, int64_t first, int64_t last), (call, first, last)) {
  for (int64_t i = first; i < last; ++i) call.sum[i] += from_bf16(call.more[i]);
}

// Runs `work(first, last)` over chunks of the rows.
template <class Work>
void in_chunks(int64_t rows, int64_t chunk, const Work& work) {
  Tasks tasks((rows + chunk - 1) / chunk);
  on_product_threads((rows + chunk - 1) / chunk, [&] {
    for (int64_t task = tasks.take(); task >= 0; task = tasks.take()) {
      work(task * chunk, std::min(rows, (task + 1) * chunk));
    }
  });
}

}  // namespace
}  // namespace qinglan

extern "C" const char* qinglan_train_norm(const qinglan::TrainNorm* call) {
  using namespace qinglan;
  return guarded([&] {
    const int64_t chunks = (call->rows + kChunk - 1) / kChunk;
    std::vector<float> parts(size_t(chunks * call->width), 0.0f);
    in_chunks(call->rows, kChunk, [&](int64_t first, int64_t last) {
      norm_back_rows(*call, first, last, parts.data() + first / kChunk * call->width);
    });
    if (call->weight_gradient == nullptr) return;
    for (int64_t part = 0; part < chunks; ++part) {
      for (int64_t i = 0; i < call->width; ++i) call->weight_gradient[i] += parts[size_t(part * call->width + i)];
    }
  });
}

extern "C" const char* qinglan_train_gate(const qinglan::TrainGate* call, bool backward) {
  using namespace qinglan;
  return guarded([&] {
    in_chunks(call->rows, 16, [&](int64_t first, int64_t last) { gate_rows(*call, first, last, backward); });
  });
}

extern "C" const char* qinglan_accumulate(const qinglan::Accumulate* call) {
  using namespace qinglan;
  return guarded([&] {
    in_chunks(call->count, 1 << 16, [&](int64_t first, int64_t last) { accumulate(*call, first, last); });
  });
}
