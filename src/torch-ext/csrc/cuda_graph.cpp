// CUDA graphs and the CUDA allocator's counters, as a shared object of its own.
// It is linked to no CUDA library: its undefined symbols are libtorch_cuda's,
// and it is opened once that is in the process. The Rust side of it, with what
// a caller must know, is src/cuda_graph.rs.

#include <ATen/Context.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <map>

#include "torch_guarded.h"

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

template <typename Work>
void ignoring_errors(Work work) noexcept {
  try {
    work();
  } catch (...) {
  }
}

// The allocator does not answer before the first tensor otherwise.
c10::DeviceIndex ready(int device) {
  at::globalContext().lazyInitDevice(at::kCUDA);
  return static_cast<c10::DeviceIndex>(device);
}

// All recordings of a device share one stream: cuBLAS keeps a workspace of
// some 30 MB for each stream it has seen.
c10::cuda::CUDAStream recording_stream(c10::DeviceIndex device) {
  static thread_local std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;
  auto found = streams.find(device);
  if (found == streams.end()) {
    found = streams.emplace(device, c10::cuda::getStreamFromPool(false, device)).first;
  }
  return found->second;
}

struct Graph : at::cuda::CUDAGraph {
  // Takes back what a recording that did not come to its end has set. Without
  // it the allocator keeps asking a graph that is gone which stream it was on,
  // and the device's generator refuses to draw.
  void abandon() noexcept {
    if (capture_dev_ == UNDEFINED_DEVICE) {
      return;
    }
    auto* host = at::getHostAllocator(at::kCUDA);
    ignoring_errors([&] { allocator::endAllocateToPool(capture_dev_, mempool_id_); });
    ignoring_errors([&] { host->end_allocate_to_pool(mempool_id_); });
    if (!capture_ended_) {
      ignoring_errors([&] { allocator::releasePool(capture_dev_, mempool_id_); });
      ignoring_errors([&] { host->release_pool(mempool_id_); });
    }
    for (auto& [state, increment] : captured_generator_states_) {
      state->capturing_ = false;
    }
  }
};

struct Recording {
  Graph graph;
  c10::cuda::CUDAStream caller;
  c10::DeviceIndex caller_device;
};

}  // namespace

extern "C" {

// Waits for the caller's work and makes the recording stream current.
const char* qinglan_graph_enter(int device, Recording** output) {
  return qinglan::torch_guarded([&] {
    const auto index = ready(device);
    const auto caller_device = c10::cuda::current_device();
    const auto caller = c10::cuda::getCurrentCUDAStream(index);
    caller.synchronize();
    const auto side = recording_stream(index);
    c10::cuda::set_device(index);
    *output = new Recording{{}, caller, caller_device};
    c10::cuda::setCurrentCUDAStream(side);
  });
}

const char* qinglan_graph_begin(Recording* recording) {
  return qinglan::torch_guarded([&] {
    c10::cuda::getCurrentCUDAStream().synchronize();
    try {
      // Other threads may allocate meanwhile, autograd's among them.
      recording->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      recording->graph.abandon();
      throw;
    }
  });
}

const char* qinglan_graph_end(Recording* recording) {
  return qinglan::torch_guarded([&] {
    try {
      recording->graph.capture_end();
    } catch (...) {
      recording->graph.abandon();
      throw;
    }
  });
}

// Waits for the recording stream and makes the caller's current again.
const char* qinglan_graph_leave(Recording* recording) {
  return qinglan::torch_guarded([&] {
    const auto side = c10::cuda::getCurrentCUDAStream(recording->caller.device_index());
    c10::cuda::setCurrentCUDAStream(recording->caller);
    c10::cuda::set_device(recording->caller_device);
    side.synchronize();
  });
}

const char* qinglan_graph_replay(Recording* recording) {
  return qinglan::torch_guarded([&] { recording->graph.replay(); });
}

void qinglan_graph_free(Recording* recording) {
  ignoring_errors([&] { delete recording; });
}

const char* qinglan_peak_allocated(int device, int64_t* bytes) {
  return qinglan::torch_guarded([&] {
    const auto stats = allocator::getDeviceStats(ready(device));
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *bytes = stats.allocated_bytes[all].peak;
  });
}

const char* qinglan_reset_peak_allocated(int device) {
  return qinglan::torch_guarded([&] { allocator::resetPeakStats(ready(device)); });
}

}  // extern "C"
