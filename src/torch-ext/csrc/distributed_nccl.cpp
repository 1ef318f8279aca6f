// An NCCL process group, as a shared object of its own: like cuda_graph.cpp it
// is linked to no CUDA library and is opened once libtorch_cuda is in the
// process. src/distributed/nccl.rs opens it.

#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>

#include "torch_guarded.h"

// The group is the caller's to release.
extern "C" const char* qinglan_make_nccl(c10d::Store* store, int rank, int world, int64_t timeout,
                                         c10d::Backend** output) {
  return qinglan::torch_guarded([&] {
    // By default a watchdog ends the process where a collective times out. This
    // leaves the word to the wait, which names the rank and the collective.
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2", /*overwrite=*/0);
    auto own = c10::make_intrusive<c10d::PrefixStore>(
        "nccl", c10::intrusive_ptr<c10d::Store>::reclaim_copy(store));
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout);
    *output = c10::make_intrusive<c10d::ProcessGroupNCCL>(own, rank, world, options).release();
  });
}
