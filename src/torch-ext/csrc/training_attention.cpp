// Causal attention over sequences laid end to end, with its gradient: rotation,
// scores, softmax and mixing in one pass, in float32 whatever the format.
//
// Sequences come in groups: a trunk, and branches that each go on from the
// trunk's end and do not see each other. A prompt with eight completions is one
// trunk with eight branches, so the prompt is computed once; a sequence of its
// own is a trunk without branches. One task is a group and one key head, with
// all queries that read it: nobody else writes the gradient of its keys and
// values, and every sum has one order.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel.h"
#include "training.h"

namespace qinglan {

struct Span {
  int64_t start;
  int64_t length;
};

struct TrainAttention {
  const void* qkv;         // [S, (heads + 2 kv_heads) * width]
  const float* cosines;    // [positions, width / 2]
  const float* sines;      // [positions, width / 2]
  const Span* spans;       // each trunk, followed by its branches
  const int64_t* groups;   // [count + 1]: where each group's spans begin, and the end
  int64_t count;
  int64_t longest;         // tokens of the longest trunk with its longest branch
  int64_t heads;
  int64_t kv_heads;
  int64_t width;
  int64_t window;          // positions that a query sees, its own included
  float scale;
  float cap;               // scores become cap tanh(score / cap), unless it is 0
  bool bf16;
  void* mixed;             // [S, heads * width]; written forward, read backward
  float* normalisers;      // [S, heads]: logarithm of each softmax's sum; the same
  const void* mixed_gradient;  // backward only
  void* qkv_gradient;          // backward only, [S, (heads + 2 kv_heads) * width]
};

namespace {

// Queries at once: enough that a product over them is worth its loads.
constexpr int64_t kBlock = 32;

template <class Number>
struct Task {
  const TrainAttention& call;
  const int64_t kv_head;
  const int64_t half;
  const int64_t padded;   // width, rounded up to whole vectors
  const int64_t columns;  // longest, the same, with one block more
  const int64_t channels;
  float* keys;            // [longest, padded], rotated
  float* keys_across;     // [width, columns]
  float* values;          // [longest, padded]; forward only
  float* values_across;   // [width, columns]; backward only
  float* key_gradient;    // [longest, padded]; backward only
  float* value_gradient;  // [longest, padded]; backward only
  float* queries;         // [kBlock, padded]
  float* scores;          // [kBlock, columns]
  float* score_gradient;  // [kBlock, columns]; backward only
  float* outputs;         // [kBlock, padded]
  float* output_gradient; // [kBlock, padded]; backward only

  QINGLAN_INSIDE static int64_t size(const TrainAttention& call, bool backward) {
    const int64_t padded = round_up(call.width, 16), columns = round_up(call.longest, 32) + kBlock;
    const int64_t rows = call.longest * padded, across = call.width * columns;
    const int64_t block = kBlock * padded, wide = kBlock * columns;
    return backward ? 3 * rows + 2 * across + 3 * block + 2 * wide : 2 * rows + across + 2 * block + wide;
  }

  QINGLAN_INSIDE Task(const TrainAttention& call, int64_t kv_head, float* memory, bool backward)
      : call(call),
        kv_head(kv_head),
        half(call.width / 2),
        padded(round_up(call.width, 16)),
        columns(round_up(call.longest, 32) + kBlock),
        channels((call.heads + 2 * call.kv_heads) * call.width) {
    const auto next = [&](int64_t count) {
      float* here = memory;
      memory += count;
      return here;
    };
    keys = next(call.longest * padded);
    keys_across = next(call.width * columns);
    values = backward ? nullptr : next(call.longest * padded);
    values_across = backward ? next(call.width * columns) : nullptr;
    key_gradient = backward ? next(call.longest * padded) : nullptr;
    value_gradient = backward ? next(call.longest * padded) : nullptr;
    queries = next(kBlock * padded);
    scores = next(kBlock * columns);
    score_gradient = backward ? next(kBlock * columns) : nullptr;
    outputs = next(kBlock * padded);
    output_gradient = backward ? next(kBlock * padded) : nullptr;
    // Columns beyond the real ones are computed along and must be finite.
    std::memset(keys, 0, size_t(size(call, backward)) * sizeof(float));
  }

  QINGLAN_INSIDE const Number* channel(int64_t token, int64_t head) const {
    return static_cast<const Number*>(call.qkv) + token * channels + head * call.width;
  }

  // A head's numbers, turned by its position and scaled.
  QINGLAN_INSIDE void rotated(const Number* from, int64_t position, float scale, float* to) const {
    const float* cosines = call.cosines + position * half;
    const float* sines = call.sines + position * half;
    for (int64_t i = 0; i < half; ++i) {
      const float a = number(from, i) * scale, b = number(from, i + half) * scale;
      to[i] = a * cosines[i] - b * sines[i];
      to[i + half] = b * cosines[i] + a * sines[i];
    }
  }

  // The gradient of what was turned, turned back.
  QINGLAN_INSIDE void put_back(const float* from, int64_t position, float scale, Number* to) const {
    const float* cosines = call.cosines + position * half;
    const float* sines = call.sines + position * half;
    for (int64_t i = 0; i < half; ++i) {
      const float a = from[i] * scale, b = from[i + half] * scale;
      put(to, i, a * cosines[i] + b * sines[i]);
      put(to, i + half, b * cosines[i] - a * sines[i]);
    }
  }

  // Keys and values of a span, whose first token is at position `base`.
  QINGLAN_INSIDE void load(const Span& span, int64_t base, bool backward) {
    for (int64_t t = 0; t < span.length; ++t) {
      const int64_t at = base + t;
      float* key = keys + at * padded;
      rotated(channel(span.start + t, call.heads + kv_head), at, 1.0f, key);
      for (int64_t e = 0; e < call.width; ++e) keys_across[e * columns + at] = key[e];
      const Number* value = channel(span.start + t, call.heads + call.kv_heads + kv_head);
      if (backward) {
        for (int64_t e = 0; e < call.width; ++e) values_across[e * columns + at] = number(value, e);
        std::fill_n(key_gradient + at * padded, padded, 0.0f);
        std::fill_n(value_gradient + at * padded, padded, 0.0f);
      } else {
        for (int64_t e = 0; e < call.width; ++e) values[at * padded + e] = number(value, e);
      }
    }
  }

  // The first position that a query at a position sees.
  QINGLAN_INSIDE int64_t first_seen(int64_t position) const {
    return position < call.window ? 0 : position - call.window + 1;
  }

  // From where on the scores of a block whose first query is at a position are
  // computed: whole vectors, as if there were no window.
  QINGLAN_INSIDE int64_t left_of(int64_t position) const { return first_seen(position) / kLanes * kLanes; }

  // Scores of `rows` queries of a head from `first` on, of a span at `base`.
  QINGLAN_INSIDE void score(const Span& span, int64_t base, int64_t head, int64_t first, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
      rotated(channel(span.start + first + r, head), base + first + r, call.scale, queries + r * padded);
    }
    const int64_t left = left_of(base + first), seen = base + first + rows;
    multiply({queries, padded, 1, keys_across + left, columns, scores + left, columns, rows, call.width,
              round_up(seen, 16) - left, false});
    if (call.cap > 0.0f) {
      const float turn = 1.0f / call.cap;
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores + r * columns;
        for (int64_t i = left; i < seen; ++i) row[i] = call.cap * tanh_fast(row[i] * turn);
      }
    }
  }

  QINGLAN_INSIDE void forward(const Span& span, int64_t base) {
    const int64_t share = call.heads / call.kv_heads;
    for (int64_t head = kv_head * share; head < (kv_head + 1) * share; ++head) {
      for (int64_t first = 0; first < span.length; first += kBlock) {
        const int64_t rows = std::min(kBlock, span.length - first);
        const int64_t left = left_of(base + first), seen = base + first + rows;
        score(span, base, head, first, rows);
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t token = span.start + first + r, position = base + first + r;
          const int64_t from = first_seen(position);
          float* row = scores + r * columns;
          std::fill(row + left, row + from, 0.0f);
          call.normalisers[token * call.heads + head] = softmax(row + from, position + 1 - from, seen - from);
        }
        multiply({scores + left, columns, 1, values + left * padded, padded, outputs, padded, rows, seen - left, padded,
                  false});
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t token = span.start + first + r;
          Number* to = static_cast<Number*>(call.mixed) + (token * call.heads + head) * call.width;
          for (int64_t e = 0; e < call.width; ++e) put(to, e, outputs[r * padded + e]);
        }
      }
    }
  }

  // Makes the first `live` of a row's scores probabilities, and those up to
  // `seen` 0; the logarithm of the sum of their exponentials.
  QINGLAN_INSIDE static float softmax(float* row, int64_t live, int64_t seen) {
    float most = row[0];
    for (int64_t i = 1; i < live; ++i) most = std::max(most, row[i]);
    float sums[kLanes] = {};
    const int64_t whole = live / kLanes * kLanes;
    for (int64_t i = 0; i < whole; i += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) {
        row[i + j] = exp_fast(row[i + j] - most);
        sums[j] += row[i + j];
      }
    }
    for (int64_t i = whole; i < live; ++i) {
      row[i] = exp_fast(row[i] - most);
      sums[i - whole] += row[i];
    }
    float sum = 0.0f;
    for (int64_t j = 0; j < kLanes; ++j) sum += sums[j];
    const float share = 1.0f / sum;
    for (int64_t i = 0; i < live; ++i) row[i] *= share;
    for (int64_t i = live; i < seen; ++i) row[i] = 0.0f;
    return most + std::log(sum);
  }

  QINGLAN_INSIDE void backward(const Span& span, int64_t base) {
    const int64_t share = call.heads / call.kv_heads;
    for (int64_t head = kv_head * share; head < (kv_head + 1) * share; ++head) {
      for (int64_t first = 0; first < span.length; first += kBlock) {
        backward_block(span, base, head, first, std::min(kBlock, span.length - first));
      }
    }
  }

  QINGLAN_INSIDE void backward_block(const Span& span, int64_t base, int64_t head, int64_t first, int64_t rows) {
    const int64_t left = left_of(base + first), seen = base + first + rows;
    score(span, base, head, first, rows);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = ((span.start + first + r) * call.heads + head) * call.width;
      const Number* gradient = static_cast<const Number*>(call.mixed_gradient) + at;
      for (int64_t e = 0; e < call.width; ++e) output_gradient[r * padded + e] = number(gradient, e);
    }
    multiply({output_gradient, padded, 1, values_across + left, columns, score_gradient + left, columns, rows, call.width,
              round_up(seen, 16) - left, false});
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = span.start + first + r, live = base + first + r + 1;
      const int64_t from = first_seen(live - 1);
      const Number* mixed = static_cast<const Number*>(call.mixed) + (token * call.heads + head) * call.width;
      float together = 0.0f;
      for (int64_t e = 0; e < call.width; ++e) together += number(mixed, e) * output_gradient[r * padded + e];
      const float normaliser = call.normalisers[token * call.heads + head];
      float* row = scores + r * columns;
      float* gradient = score_gradient + r * columns;
      if (call.cap > 0.0f) {
        // The slope of a capped score: 1 - tanh^2.
        const float turn = 1.0f / call.cap;
        for (int64_t i = from; i < live; ++i) {
          const float bent = row[i] * turn;
          row[i] = exp_fast(row[i] - normaliser);
          gradient[i] = row[i] * (gradient[i] - together) * (1.0f - bent * bent);
        }
      } else {
        for (int64_t i = from; i < live; ++i) {
          row[i] = exp_fast(row[i] - normaliser);
          gradient[i] = row[i] * (gradient[i] - together);
        }
      }
      for (int64_t i = left; i < from; ++i) row[i] = gradient[i] = 0.0f;
      for (int64_t i = live; i < seen; ++i) row[i] = gradient[i] = 0.0f;
    }
    const int64_t keys_seen = seen - left;
    multiply({score_gradient + left, columns, 1, keys + left * padded, padded, outputs, padded, rows, keys_seen, padded,
              false});
    multiply({scores + left, 1, columns, output_gradient, padded, value_gradient + left * padded, padded, keys_seen, rows,
              padded, true});
    multiply({score_gradient + left, 1, columns, queries, padded, key_gradient + left * padded, padded, keys_seen, rows,
              padded, true});
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = span.start + first + r;
      put_back(outputs + r * padded, base + first + r, call.scale, gradient_of(token, head));
    }
  }

  QINGLAN_INSIDE Number* gradient_of(int64_t token, int64_t head) const {
    return static_cast<Number*>(call.qkv_gradient) + token * channels + head * call.width;
  }

  // Writes the gradients of a span's keys and values once all have added to them.
  QINGLAN_INSIDE void finish(const Span& span, int64_t base) {
    for (int64_t t = 0; t < span.length; ++t) {
      const int64_t at = base + t;
      put_back(key_gradient + at * padded, at, 1.0f, gradient_of(span.start + t, call.heads + kv_head));
      Number* to = gradient_of(span.start + t, call.heads + call.kv_heads + kv_head);
      for (int64_t e = 0; e < call.width; ++e) put(to, e, value_gradient[at * padded + e]);
    }
  }

  QINGLAN_INSIDE void run(int64_t group, bool backward_too) {
    const Span* spans = call.spans + call.groups[group];
    const int64_t count = call.groups[group + 1] - call.groups[group];
    load(spans[0], 0, backward_too);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t base = i == 0 ? 0 : spans[0].length;
      if (i > 0) load(spans[i], base, backward_too);
      if (!backward_too) {
        forward(spans[i], base);
        continue;
      }
      backward(spans[i], base);
      if (i > 0) finish(spans[i], base);
    }
    if (backward_too) finish(spans[0], 0);
  }
};

template <class Number>
QINGLAN_INSIDE void task(const TrainAttention& call, int64_t index, bool backward) {
  static thread_local Scratch scratch;
  const int64_t kv_head = index % call.kv_heads;
  Task<Number> work(call, kv_head, scratch.of(Task<Number>::size(call, backward)), backward);
  work.run(index / call.kv_heads, backward);
}

QINGLAN_LEVELS(void, run_task, (const TrainAttention& call, int64_t index, bool backward), (call, index, backward)) {
  if (call.bf16) {
    task<uint16_t>(call, index, backward);
  } else {
    task<float>(call, index, backward);
  }
}

void run_all(const TrainAttention& call, bool backward) {
  const int64_t count = call.count * call.kv_heads;
  Tasks tasks(count);
  on_product_threads(count, [&] {
    for (int64_t index = tasks.take(); index >= 0; index = tasks.take()) run_task(call, index, backward);
  });
}

}  // namespace
}  // namespace qinglan

extern "C" const char* qinglan_train_attention(const qinglan::TrainAttention* call, bool backward) {
  return qinglan::guarded([&] { qinglan::run_all(*call, backward); });
}
