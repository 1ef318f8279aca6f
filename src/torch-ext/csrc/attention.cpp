#include "attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dispatch.h"
#include "numbers.h"
#include "parallel.h"

namespace qinglan {
namespace {

void write(void* to, int64_t at, bool bf16, float value) {
  if (bf16) {
    static_cast<uint16_t*>(to)[at] = to_bf16(value);
  } else {
    static_cast<float*>(to)[at] = value;
  }
}

// kLanes scores of one query against a block of keys.
QINGLAN_LEVELS(void, score_block, (const Attend& call, int64_t query, int64_t keys, float* scores),
               (call, query, keys, scores)) {
  const Cache& cache = call.cache;
  float sums[kLanes] = {};
  if (cache.bf16) {
    const uint16_t* key = static_cast<const uint16_t*>(cache.pages) + keys;
    const uint16_t* q = static_cast<const uint16_t*>(call.queries) + query;
    for (int64_t e = 0; e < cache.head_dim; e += 2) {
      const float first = from_bf16(q[e]);
      const float second = from_bf16(q[e + 1]);
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        sums[lane] += from_bf16(key[e * kLanes + lane * 2]) * first;
        sums[lane] += from_bf16(key[e * kLanes + lane * 2 + 1]) * second;
      }
    }
  } else {
    const float* key = static_cast<const float*>(cache.pages) + keys;
    const float* q = static_cast<const float*>(call.queries) + query;
    for (int64_t e = 0; e < cache.head_dim; ++e) {
      for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += key[e * kLanes + lane] * q[e];
    }
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) scores[lane] = sums[lane] * call.scale;
}

QINGLAN_LEVELS(void, cap_scores, (float* scores, int64_t count, float cap), (scores, count, cap)) {
  const float turn = 1.0f / cap;
  for (int64_t s = 0; s < count; ++s) scores[s] = cap * tanh_fast(scores[s] * turn);
}

// Turns the first `length` scores into weights and returns their sum.
QINGLAN_LEVELS(float, softmax, (float* scores, int64_t length), (scores, length)) {
  float most = scores[0];
  for (int64_t s = 1; s < length; ++s) most = scores[s] > most ? scores[s] : most;
  float sum = 0.0f;
  for (int64_t s = 0; s < length; ++s) {
    scores[s] = exp_fast(scores[s] - most);
    sum += scores[s];
  }
  return sum;
}

QINGLAN_LEVELS(void, add_value, (const Cache& cache, int64_t value, float weight, float* sums),
               (cache, value, weight, sums)) {
  if (cache.bf16) {
    const uint16_t* v = static_cast<const uint16_t*>(cache.pages) + value;
    for (int64_t e = 0; e < cache.head_dim; ++e) sums[e] += weight * from_bf16(v[e]);
  } else {
    const float* v = static_cast<const float*>(cache.pages) + value;
    for (int64_t e = 0; e < cache.head_dim; ++e) sums[e] += weight * v[e];
  }
}

// The heads of a token, one after the other: queries, keys, values.
inline void read_head(const Store& call, int64_t at, int64_t dim, float* __restrict head) {
  if (call.qkv_bf16) {
    const uint16_t* from = static_cast<const uint16_t*>(call.qkv) + at;
    for (int64_t e = 0; e < dim; ++e) head[e] = from_bf16(from[e]);
  } else {
    const float* from = static_cast<const float*>(call.qkv) + at;
    for (int64_t e = 0; e < dim; ++e) head[e] = from[e];
  }
}

inline void normalise(const float* __restrict weight, float eps, int64_t dim, float* __restrict head) {
  float squares = 0.0f;
  for (int64_t e = 0; e < dim; ++e) squares += head[e] * head[e];
  const float factor = 1.0f / std::sqrt(squares / float(dim) + eps);
  for (int64_t e = 0; e < dim; ++e) head[e] = head[e] * factor * weight[e];
}

// Turns the pairs (e, e + half) by the angles of the position.
inline void rotate(const float* __restrict cosines, const float* __restrict sines, int64_t half,
                   float* __restrict low, float* __restrict high) {
  for (int64_t e = 0; e < half; ++e) {
    const float a = low[e];
    const float b = high[e];
    low[e] = a * cosines[e] - b * sines[e];
    high[e] = b * cosines[e] + a * sines[e];
  }
}

inline void write_row(const float* __restrict head, int64_t dim, bool bf16, void* to, int64_t at) {
  if (bf16) {
    uint16_t* __restrict row = static_cast<uint16_t*>(to) + at;
    for (int64_t e = 0; e < dim; ++e) row[e] = to_bf16(head[e]);
  } else {
    float* __restrict row = static_cast<float*>(to) + at;
    for (int64_t e = 0; e < dim; ++e) row[e] = head[e];
  }
}

// One lane of a block of keys: four bytes in each of its vectors.
inline void write_key(const float* __restrict head, int64_t dim, bool bf16, void* to, int64_t at) {
  if (bf16) {
    uint16_t* __restrict lane = static_cast<uint16_t*>(to) + at;
    for (int64_t e = 0; e < dim; e += 2) {
      lane[e * kLanes] = to_bf16(head[e]);
      lane[e * kLanes + 1] = to_bf16(head[e + 1]);
    }
  } else {
    float* __restrict lane = static_cast<float*>(to) + at;
    for (int64_t e = 0; e < dim; ++e) lane[e * kLanes] = head[e];
  }
}

// `head` is scratch for one.
QINGLAN_LEVELS(void, store_token, (const Store& call, int64_t token, float* __restrict head), (call, token, head)) {
  const Cache& cache = call.cache;
  const int64_t dim = cache.head_dim;
  const int64_t half = dim / 2;
  const int32_t position = call.batch.positions[token];
  const uint32_t page = call.batch.pages[call.batch.lists[token] + position / kPage];
  const int64_t offset = position % kPage;
  const float* cosines = call.cosines + position * half;
  const float* sines = call.sines + position * half;
  int64_t from = token * (call.heads + 2 * cache.kv_heads) * dim;
  for (int64_t h = 0; h < call.heads; ++h, from += dim) {
    read_head(call, from, dim, head);
    if (call.query_norm) normalise(call.query_norm, call.eps, dim, head);
    rotate(cosines, sines, half, head, head + half);
    write_row(head, dim, cache.bf16, call.queries, (token * call.heads + h) * dim);
  }
  for (int64_t h = 0; h < cache.kv_heads; ++h, from += dim) {
    read_head(call, from, dim, head);
    if (call.key_norm) normalise(call.key_norm, call.eps, dim, head);
    rotate(cosines, sines, half, head, head + half);
    write_key(head, dim, cache.bf16, cache.pages, cache.keys(page, h) + cache.key_at(offset, 0));
  }
  for (int64_t h = 0; h < cache.kv_heads; ++h, from += dim) {
    read_head(call, from, dim, head);
    write_row(head, dim, cache.bf16, cache.pages, cache.values(page, h) + offset * dim);
  }
}

}  // namespace

void attend_plain(const Attend& call, int64_t task, int64_t, float* scores) {
  const Cache& cache = call.cache;
  const int64_t token = task / cache.kv_heads;
  const int64_t kv_head = task % cache.kv_heads;
  const int64_t dim = cache.head_dim;
  const int64_t group = call.heads / cache.kv_heads;
  const int64_t length = call.batch.positions[token] + 1;
  const int64_t first = call.first(token);
  const uint32_t* list = call.batch.pages + call.batch.lists[token];
  std::vector<float> sums(dim);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t query = (token * call.heads + head) * dim;
    for (int64_t s = first / kLanes * kLanes; s < length; s += kLanes) {
      const int64_t keys = cache.keys(list[s / kPage], kv_head) + cache.key_at(s % kPage, 0);
      score_block(call, query, keys, scores + s);
    }
    if (call.cap > 0.0f) cap_scores(scores + first, length - first, call.cap);
    const float total = softmax(scores + first, length - first);
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int64_t s = first; s < length; ++s) {
      const int64_t value = cache.values(list[s / kPage], kv_head) + s % kPage * dim;
      add_value(cache, value, scores[s], sums.data());
    }
    for (int64_t e = 0; e < dim; ++e) write(call.y, query + e, cache.bf16, sums[e] / total);
  }
}

}  // namespace qinglan

extern "C" const char* qinglan_store(const qinglan::Store* call) {
  using namespace qinglan;
  return guarded([&] {
    const int64_t tokens = call->batch.tokens;
    const int64_t numbers = tokens * (call->heads + 2 * call->cache.kv_heads) * call->cache.head_dim;
    Tasks tasks(tokens);
    on_threads(std::min(tokens, worth(double(numbers))), [&] {
      std::vector<float> head(call->cache.head_dim);
      for (int64_t token = tasks.take(); token >= 0; token = tasks.take()) {
        store_token(*call, token, head.data());
      }
    });
  });
}

extern "C" const char* qinglan_attend(const qinglan::Attend* call) {
  using namespace qinglan;
  return guarded([&] {
    auto* attend = attend_plain;
#ifdef QINGLAN_AVX512
    if (use_avx512()) attend = attend_avx512;
#endif
    const Batch& batch = call->batch;
    const int64_t kv_heads = call->cache.kv_heads;
    const int64_t group = call->heads / kv_heads;
    int64_t longest = 0;
    int64_t positions = 0;
    for (int64_t token = 0; token < batch.tokens; ++token) {
      longest = std::max(longest, scores_length(batch.positions[token]));
      positions += batch.positions[token] + 1 - call->first(token);
    }
    const int64_t count = batch.tokens * kv_heads;
    Tasks tasks(count);
    on_threads(std::min(count, worth(15.0 * double(positions * kv_heads))), [&] {
      std::vector<float> scores(group * longest);
      int64_t task = tasks.take();
      while (task >= 0) {
        const int64_t next = tasks.take();
        attend(*call, task, next, scores.data());
        task = next;
      }
    });
  });
}
