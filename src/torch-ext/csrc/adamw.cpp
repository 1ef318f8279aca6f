// AdamW in one pass over weights, gradients and moments: libtorch's own fused
// operator, which tch leaves out. Goes through the dispatcher, so it links to
// libtorch_cpu alone and runs on CUDA too.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "torch_guarded.h"

namespace qinglan {

struct AdamW {
  int64_t count;
  const at::Tensor* const* weights;
  const at::Tensor* const* gradients;
  const at::Tensor* const* first;
  const at::Tensor* const* second;
  double step;  // updates made, this one included
  double learning_rate;
  double beta_1;
  double beta_2;
  double weight_decay;
  double epsilon;
  double divisor;  // of the gradients; 1 leaves them
};

}  // namespace qinglan

extern "C" const char* qinglan_adamw(const qinglan::AdamW* call) {
  return qinglan::torch_guarded([&] {
    const auto list = [&](const at::Tensor* const* tensors) {
      std::vector<at::Tensor> all;
      for (int64_t i = 0; i < call->count; ++i) all.push_back(*tensors[i]);
      return all;
    };
    const std::vector<at::Tensor> weights = list(call->weights);
    if (weights.empty()) return;
    const auto options = at::TensorOptions().dtype(at::kFloat).device(weights[0].device());
    const std::vector<at::Tensor> steps(weights.size(), at::full({}, call->step, options));
    std::optional<at::Tensor> divisor;
    if (call->divisor != 1.0) divisor = at::full({}, call->divisor, options);
    at::_fused_adamw_(weights, list(call->gradients), list(call->first), list(call->second), {}, steps,
                      call->learning_rate, call->beta_1, call->beta_2, call->weight_decay, call->epsilon,
                      /*amsgrad=*/false, /*maximize=*/false, divisor, /*found_inf=*/std::nullopt);
  });
}
