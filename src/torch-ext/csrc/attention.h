// Keys and values in pages, and attention of tokens laid end to end.
//
// A page holds kPage positions of one layer, [heads, 2, kPage * E], where 2 is
// keys, then values. The values of a head lie [kPage, E]. Its keys lie so that one vector holds the same element of 16 positions, and a score needs no
// sum across a vector: [kPage/16, E, 16] for float32, [kPage/16, E/2, 16, 2] for
// bfloat16, whose products take elements in pairs.
//
// Position p of a token's row lies in page list[p / kPage], where list is the
// token's own list of pages; rows share pages by naming the same ones.
#pragma once

#include <cstdint>

namespace qinglan {

constexpr int64_t kPage = 32;
constexpr int64_t kLanes = 16;

struct Cache {
  void* pages;  // of the layer
  int64_t kv_heads;
  int64_t head_dim;  // even
  bool bf16;

  // Where the keys of a head in a page begin, and its values.
  int64_t keys(uint32_t page, int64_t head) const { return (page * kv_heads + head) * 2 * kPage * head_dim; }
  int64_t values(uint32_t page, int64_t head) const { return keys(page, head) + kPage * head_dim; }
  // Where element e of the key at `offset` in its page lies among the keys.
  int64_t key_at(int64_t offset, int64_t e) const {
    const int64_t block = offset / kLanes * head_dim * kLanes;
    const int64_t lane = offset % kLanes;
    return block + (bf16 ? (e / 2 * kLanes + lane) * 2 + e % 2 : e * kLanes + lane);
  }
};

struct Batch {
  const int32_t* positions;  // of each token
  const int64_t* lists;      // where each token's list begins in `pages`
  const uint32_t* pages;
  int64_t tokens;
};

// Rotates queries and keys of every token and writes keys and values.
struct Store {
  Cache cache;
  Batch batch;
  const void* qkv;  // [tokens, (heads + 2 kv_heads) * E]
  bool qkv_bf16;
  int64_t heads;
  const float* cosines;  // [positions, E/2]
  const float* sines;
  const float* query_norm;  // [E], or null
  const float* key_norm;
  float eps;
  void* queries;  // [tokens, heads * E], of the cache's type
};

struct Attend {
  Cache cache;
  Batch batch;
  const void* queries;  // [tokens, heads * E], of the cache's type
  int64_t heads;
  int64_t window;  // positions that a token sees, its own included
  float scale;
  float cap;  // scores become cap tanh(score / cap), unless it is 0
  void* y;  // [tokens, heads * E], of the cache's type

  // The first position that a token sees.
  int64_t first(int64_t token) const {
    const int64_t position = batch.positions[token];
    return position < window ? 0 : position - window + 1;
  }
};

// Positions of scratch, per query head, that a token needs: whole pages.
inline int64_t scores_length(int32_t position) { return (position / kPage + 1) * kPage; }

// Task t is key/value head t % kv_heads of token t / kv_heads, with the queries of
// its group; `next` is the task that the thread takes next, or -1. `scores` has
// room for heads / kv_heads times scores_length.
void attend_plain(const Attend& call, int64_t task, int64_t next, float* scores);
void attend_avx512(const Attend& call, int64_t task, int64_t next, float* scores);

}  // namespace qinglan
