// Flash attention over sequences of different lengths, which tch leaves out
// with every other *_forward operator. Goes through the dispatcher, so it
// links to libtorch_cpu alone and records its gradient like any operator.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_flash_attention_forward.h>

#include <optional>

#include "torch_guarded.h"

// `key_lengths` may be null: then each sequence's keys reach to where the next
// one's begin. Of the keys before a
// query's own, the last `before` are seen, all of them if it is negative. The
// result is a new tensor that the caller owns.
extern "C" const char* qinglan_flash_attention(
    const at::Tensor* query, const at::Tensor* key, const at::Tensor* value,
    const at::Tensor* query_starts, const at::Tensor* key_starts,
    const at::Tensor* key_lengths, int64_t longest_query, int64_t longest_key,
    bool causal, double scale, int64_t before, at::Tensor** output) {
  return qinglan::torch_guarded([&] {
    std::optional<at::Tensor> used;
    if (key_lengths != nullptr) {
      used = *key_lengths;
    }
    std::optional<int64_t> left, right;
    if (before >= 0) {
      left = before;
      right = 0;
    }
    auto attended = at::_flash_attention_forward(
        *query, *key, *value, *query_starts, *key_starts, longest_query,
        longest_key, /*dropout_p=*/0.0, causal, /*return_debug_mask=*/false,
        scale, left, right, used);
    *output = new at::Tensor(std::move(std::get<0>(attended)));
  });
}
