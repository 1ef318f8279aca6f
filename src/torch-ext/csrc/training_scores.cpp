// From logits to what a loss is made of, and back: each token's log-probability
// and the entropy of the distribution that it was drawn from, in one reading of
// the logits, and the gradient of both.

#include <algorithm>
#include <cmath>

#include "parallel.h"
#include "training.h"

namespace qinglan {

struct TrainScores {
  const float* logits;      // [rows, vocabulary], before the temperature
  const int64_t* targets;   // [rows]
  float* logprobs;          // [rows]
  float* entropies;         // [rows], in nats
  float* normalisers;       // [rows]: logarithm of the softmax's sum
  bool* best;               // [rows]: whether no other token is likelier
  const float* logprob_gradient;  // backward only
  const float* entropy_gradient;  // backward only; may be null
  void* logit_gradient;           // backward only, [rows, vocabulary]
  int64_t rows;
  int64_t vocabulary;
  float inverse_temperature;
  bool bf16;  // of the logits' gradient
};

namespace {

QINGLAN_LEVELS(void, score_row, (const TrainScores& call, int64_t row), (call, row)) {
  const float* logits = call.logits + row * call.vocabulary;
  const float turn = call.inverse_temperature;
  const int64_t whole = call.vocabulary / kLanes * kLanes;
  float most[kLanes];
  std::fill_n(most, kLanes, -INFINITY);
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) most[j] = std::max(most[j], logits[i + j]);
  }
  for (int64_t i = whole; i < call.vocabulary; ++i) most[i - whole] = std::max(most[i - whole], logits[i]);
  const float top = *std::max_element(most, most + kLanes);
  float sums[kLanes] = {}, weighted[kLanes] = {};
  const auto add = [&](int64_t at, int64_t lane) {
    const float distance = (logits[at] - top) * turn;
    const float share = exp_fast(distance);
    sums[lane] += share;
    // Where a share is 0 its distance may be infinite.
    weighted[lane] += share > 0.0f ? share * distance : 0.0f;
  };
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) add(i + j, j);
  }
  for (int64_t i = whole; i < call.vocabulary; ++i) add(i, i - whole);
  double sum = 0.0, mean = 0.0;
  for (int64_t j = 0; j < kLanes; ++j) {
    sum += sums[j];
    mean += weighted[j];
  }
  const double logarithm = std::log(sum);
  const float target = logits[call.targets[row]];
  call.logprobs[row] = float(double((target - top) * turn) - logarithm);
  call.entropies[row] = float(logarithm - mean / sum);
  call.normalisers[row] = float(double(top * turn) + logarithm);
  call.best[row] = target >= top;
}

template <class Number>
QINGLAN_INSIDE void back_row(const TrainScores& call, int64_t row) {
  const float* logits = call.logits + row * call.vocabulary;
  Number* to = static_cast<Number*>(call.logit_gradient) + row * call.vocabulary;
  const float turn = call.inverse_temperature, normaliser = call.normalisers[row];
  const float pull = call.logprob_gradient[row] * turn;
  const int64_t target = call.targets[row];
  const float own = exp_fast(logits[target] * turn - normaliser);
  if (call.entropy_gradient == nullptr) {
    for (int64_t i = 0; i < call.vocabulary; ++i) {
      put(to, i, -pull * exp_fast(logits[i] * turn - normaliser));
    }
    put(to, target, pull * (1.0f - own));
    return;
  }
  const float spread = call.entropy_gradient[row] * turn, entropy = call.entropies[row];
  const auto gradient = [&](float logit) {
    const float logprob = logit * turn - normaliser;
    const float share = exp_fast(logprob);
    return share > 0.0f ? -share * (pull + spread * (logprob + entropy)) : 0.0f;
  };
  for (int64_t i = 0; i < call.vocabulary; ++i) put(to, i, gradient(logits[i]));
  put(to, target, pull + gradient(logits[target]));
}

QINGLAN_LEVELS(void, back, (const TrainScores& call, int64_t row), (call, row)) {
  if (call.bf16) {
    back_row<uint16_t>(call, row);
  } else {
    back_row<float>(call, row);
  }
}

}  // namespace
}  // namespace qinglan

extern "C" const char* qinglan_train_scores(const qinglan::TrainScores* call, bool backward) {
  using namespace qinglan;
  return guarded([&] {
    Tasks tasks(call->rows);
    on_product_threads(std::min(call->rows, worth(double(call->rows * call->vocabulary))), [&] {
      for (int64_t row = tasks.take(); row >= 0; row = tasks.take()) {
        backward ? back(*call, row) : score_row(*call, row);
      }
    });
  });
}
