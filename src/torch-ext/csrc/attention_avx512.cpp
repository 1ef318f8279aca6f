#include "attention.h"
#include "avx512.h"

namespace qinglan {
namespace {

// Queries that read a key or a value together.
constexpr int kMostHeads = 4;
// Vectors of sums a query has while values are added; wider heads take turns.
constexpr int kVectors = 4;

// A token with a key/value head and the queries of its group.
struct Item {
  const Attend& call;
  const uint32_t* list;
  int64_t kv_head;
  int64_t first;    // the first position attended to
  int64_t begin;    // where its page begins
  int64_t length;   // one past the last position attended to
  int64_t padded;   // whole pages
  int64_t queries;  // where the first of the group's queries begins

  Item(const Attend& of, int64_t task)
      : call(of),
        list(of.batch.pages + of.batch.lists[task / of.cache.kv_heads]),
        kv_head(task % of.cache.kv_heads),
        first(of.first(task / of.cache.kv_heads)),
        begin(first / kPage * kPage),
        length(of.batch.positions[task / of.cache.kv_heads] + 1),
        padded(scores_length(int32_t(length - 1))),
        queries(task * (of.heads / of.cache.kv_heads) * of.cache.head_dim) {}

  const char* keys(int64_t page) const { return at(call.cache.keys(list[page], kv_head)); }
  const char* values(int64_t page) const { return at(call.cache.values(list[page], kv_head)); }

 private:
  const char* at(int64_t number) const {
    return static_cast<const char*>(call.cache.pages) + number * (call.cache.bf16 ? 2 : 4);
  }
};

// The element pair (bfloat16) or element (float32) `step` of a query, in all lanes.
inline __m512 spread(const Attend& call, int64_t query, int64_t step) {
  int32_t bits;
  const char* at = static_cast<const char*>(call.queries) + query * (call.cache.bf16 ? 2 : 4) + step * 4;
  __builtin_memcpy(&bits, at, sizeof bits);
  return _mm512_castsi512_ps(_mm512_set1_epi32(bits));
}

template <bool bf16>
inline __m512 multiply_add(__m512 sum, __m512 a, __m512 b) {
  return bf16 ? _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b) : _mm512_fmadd_ps(a, b, sum);
}

inline __m512 capped(__m512 scores, __m512 cap) { return _mm512_mul_ps(cap, tanh16(_mm512_div_ps(scores, cap))); }

// Scores of `heads` queries, whole pages at a time; positions before the first
// and past the length get a score whose exponential is 0. Leaves each query's greatest score in `most`.
template <int heads, bool bf16>
void score(const Item& item, int64_t first_head, float* scores, float* most) {
  const Cache& cache = item.call.cache;
  const int64_t dim = cache.head_dim;
  const int64_t steps = bf16 ? dim / 2 : dim;
  const int64_t block_bytes = dim * kLanes * (bf16 ? 2 : 4);
  const __m512 scale = _mm512_set1_ps(item.call.scale);
  const __m512 cap = _mm512_set1_ps(item.call.cap);
  const bool caps = item.call.cap > 0.0f;
  const __m512 never = _mm512_set1_ps(-1e30f);
  __m512 greatest[heads];
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h) greatest[h] = never;
  for (int64_t s = item.begin; s < item.padded; s += kPage) {
    const char* low = item.keys(s / kPage);
    const char* high = low + block_bytes;
    // The values of these positions are asked for while there is something to
    // compute.
    const char* values = item.values(s / kPage);
    const int64_t value_bytes = (item.length - s) * dim * (bf16 ? 2 : 4);
    __m512 sums[heads][2];
#pragma GCC unroll 4
    for (int h = 0; h < heads; ++h) sums[h][0] = sums[h][1] = _mm512_setzero_ps();
    for (int64_t step = 0; step < steps; ++step) {
      if (step * 128 < value_bytes) {
        _mm_prefetch(values + step * 128, _MM_HINT_T1);
        _mm_prefetch(values + step * 128 + 64, _MM_HINT_T1);
      }
      const __m512 key_low = _mm512_loadu_ps(low + step * 64);
      const __m512 key_high = _mm512_loadu_ps(high + step * 64);
#pragma GCC unroll 4
      for (int h = 0; h < heads; ++h) {
        const __m512 query = spread(item.call, item.queries + (first_head + h) * dim, step);
        sums[h][0] = multiply_add<bf16>(sums[h][0], key_low, query);
        sums[h][1] = multiply_add<bf16>(sums[h][1], key_high, query);
      }
    }
    const __mmask16 there_low = lanes16(item.length - s) & ~lanes16(item.first - s);
    const __mmask16 there_high = lanes16(item.length - s - kLanes) & ~lanes16(item.first - s - kLanes);
#pragma GCC unroll 4
    for (int h = 0; h < heads; ++h) {
      __m512 a = _mm512_mask_mul_ps(never, there_low, sums[h][0], scale);
      __m512 b = _mm512_mask_mul_ps(never, there_high, sums[h][1], scale);
      if (caps) {
        a = _mm512_mask_mov_ps(never, there_low, capped(a, cap));
        b = _mm512_mask_mov_ps(never, there_high, capped(b, cap));
      }
      _mm512_storeu_ps(scores + h * item.padded + s, a);
      _mm512_storeu_ps(scores + h * item.padded + s + kLanes, b);
      greatest[h] = _mm512_max_ps(greatest[h], _mm512_max_ps(a, b));
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h) most[h] = _mm512_reduce_max_ps(greatest[h]);
}

// Turns the scores from `begin` on into weights and returns their sum.
float softmax(float* scores, int64_t begin, int64_t padded, float most) {
  __m512 sums = _mm512_setzero_ps();
  for (int64_t s = begin; s < padded; s += kLanes) {
    const __m512 weights = exp16(_mm512_sub_ps(_mm512_loadu_ps(scores + s), _mm512_set1_ps(most)));
    _mm512_storeu_ps(scores + s, weights);
    sums = _mm512_add_ps(sums, weights);
  }
  return _mm512_reduce_add_ps(sums);
}

// The even or the odd ones of 32 bfloat16, as float32: the other half of each
// lane is cut off or shifted out. Sums stay in this order until they are rounded.
inline __m512 even_of(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
inline __m512 odd_of(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(int(0xffff0000))));
}

// Adds up the values of elements [first, first + kVectors * 16) for `heads`
// queries and writes the means. Meanwhile the keys of `next` are asked for.
template <int heads, bool bf16>
void mix(const Item& item, const Item& next, int64_t first_head, int64_t first, const float* scores, const float* totals) {
  const Cache& cache = item.call.cache;
  const int64_t dim = cache.head_dim;
  // bfloat16 comes in pairs, 32 numbers a vector.
  const int64_t wide = bf16 ? 2 : 1;
  __mmask16 lanes[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const int64_t begin = first + (bf16 ? v / 2 * 32 : v * 16);
    lanes[v] = lanes16((dim - begin) / wide);
  }
  __m512 sums[heads][kVectors];
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[h][v] = _mm512_setzero_ps();
  }
  for (int64_t page = item.begin; page < item.padded; page += kPage) {
    const char* values = item.values(page / kPage) + first * (bf16 ? 2 : 4);
    const int64_t ahead = next.begin + (page - item.begin);
    const char* keys = ahead < next.padded ? next.keys(ahead / kPage) : values;
    const int64_t start = item.first > page ? item.first - page : 0;
    const int64_t end = item.length - page < kPage ? item.length - page : kPage;
    for (int64_t s = start; s < end; ++s) {
      for (int64_t byte = 0; byte < dim * (bf16 ? 2 : 4); byte += 64) {
        _mm_prefetch(keys + s * dim * (bf16 ? 2 : 4) + byte, _MM_HINT_T1);
      }
      __m512 value[kVectors];
      if (bf16) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; v += 2) {
          const __m512i pairs = _mm512_maskz_loadu_epi32(lanes[v], values + s * dim * 2 + v * 32);
          value[v] = even_of(pairs);
          value[v + 1] = odd_of(pairs);
        }
      } else {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          value[v] = _mm512_maskz_loadu_ps(lanes[v], values + s * dim * 4 + v * 64);
        }
      }
#pragma GCC unroll 4
      for (int h = 0; h < heads; ++h) {
        const __m512 weight = _mm512_set1_ps(scores[h * item.padded + page + s]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[h][v] = _mm512_fmadd_ps(weight, value[v], sums[h][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h) {
    const __m512 total = _mm512_set1_ps(totals[h]);
    const int64_t at = item.queries + (first_head + h) * dim + first;
    if (bf16) {
      uint16_t* y = static_cast<uint16_t*>(item.call.y) + at;
      for (int v = 0; v < kVectors; v += 2) {
        const __m512i even = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_div_ps(sums[h][v], total)));
        const __m512i odd = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_div_ps(sums[h][v + 1], total)));
        const __m512i pairs = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
        _mm512_mask_storeu_epi32(y + v * 16, lanes[v], pairs);
      }
    } else {
      float* y = static_cast<float*>(item.call.y) + at;
      for (int v = 0; v < kVectors; ++v) {
        _mm512_mask_storeu_ps(y + v * 16, lanes[v], _mm512_div_ps(sums[h][v], total));
      }
    }
  }
}

template <int heads, bool bf16>
void attend_heads(const Item& item, const Item& next, int64_t first_head, float* scores) {
  float most[heads];
  float totals[heads];
  score<heads, bf16>(item, first_head, scores, most);
  for (int h = 0; h < heads; ++h) totals[h] = softmax(scores + h * item.padded, item.begin, item.padded, most[h]);
  for (int64_t first = 0; first < item.call.cache.head_dim; first += kVectors * 16) {
    mix<heads, bf16>(item, next, first_head, first, scores, totals);
  }
}

using HeadsFn = void (*)(const Item&, const Item&, int64_t, float*);
constexpr HeadsFn kFloat[kMostHeads + 1] = {nullptr, attend_heads<1, false>, attend_heads<2, false>,
                                            attend_heads<3, false>, attend_heads<4, false>};
constexpr HeadsFn kBf16[kMostHeads + 1] = {nullptr, attend_heads<1, true>, attend_heads<2, true>,
                                           attend_heads<3, true>, attend_heads<4, true>};

}  // namespace

void attend_avx512(const Attend& call, int64_t task, int64_t next, float* scores) {
  const int64_t group = call.heads / call.cache.kv_heads;
  const Item item(call, task);
  const Item next_item(call, next < 0 ? task : next);
  const HeadsFn* run = call.cache.bf16 ? kBf16 : kFloat;
  for (int64_t head = 0; head < group; head += kMostHeads) {
    const int64_t heads = group - head < kMostHeads ? group - head : kMostHeads;
    run[heads](item, next_item, head, scores);
  }
}

}  // namespace qinglan
