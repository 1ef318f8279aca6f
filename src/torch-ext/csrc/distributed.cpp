// Process groups over one TCPStore: PyTorch's own collectives, which tch leaves
// out. The Rust side, with what a caller must know, is src/distributed.

#include "distributed.h"

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "torch_guarded.h"

namespace qinglan {

struct Connect {
  const char* host;
  const char* address;
  const char* interfaces;
  int64_t timeout;  // milliseconds
  int32_t rank;
  int32_t world;
  uint16_t port;
};

// Members go in the reverse order: the group before the store it was made with.
struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  Transport cpu;
};

struct Pending {
  c10::intrusive_ptr<c10d::Work> work;
};

enum class Collective : int32_t { Broadcast, AllReduce, AllGather, ReduceScatter, Barrier };

}  // namespace qinglan

extern "C" {

const char* qinglan_group_connect(const qinglan::Connect* call, qinglan::Group** output) {
  using namespace qinglan;
  return torch_guarded([&] {
    const auto deadline = std::chrono::steady_clock::now() + Milliseconds(call->timeout);
    const auto left = [&] {
      const auto rest = deadline - std::chrono::steady_clock::now();
      return std::max(std::chrono::duration_cast<Milliseconds>(rest), Milliseconds(1));
    };
    c10d::TCPStoreOptions options;
    options.port = call->port;
    options.isServer = call->rank == 0;
    options.numWorkers = size_t(call->world);
    options.timeout = Milliseconds(call->timeout);
    auto store = c10::make_intrusive<c10d::TCPStore>(call->host, options);
    store->setTimeout(left());
    auto cpu = make_gloo(store, call->rank, call->world, call->address, call->interfaces, left(),
                         Milliseconds(call->timeout));
    *output = new Group{std::move(store), std::move(cpu)};
  });
}

// `other` is what an all-gather fills and what a reduce-scatter reads; `root`
// is a broadcast's.
const char* qinglan_group_start(qinglan::Group* group, qinglan::Collective collective, const at::Tensor* tensor,
                                const at::Tensor* other, int64_t root, qinglan::Pending** output) {
  using namespace qinglan;
  return torch_guarded([&] {
    c10d::Backend& backend = *group->cpu;
    std::vector<at::Tensor> list;
    if (tensor != nullptr) list.push_back(*tensor);
    c10::intrusive_ptr<c10d::Work> work;
    switch (collective) {
      case Collective::Broadcast: {
        c10d::BroadcastOptions options;
        options.rootRank = root;
        work = backend.broadcast(list, options);
        break;
      }
      case Collective::AllReduce:
        work = backend.allreduce(list);
        break;
      case Collective::AllGather: {
        at::Tensor whole = *other;
        work = backend._allgather_base(whole, list[0]);
        break;
      }
      case Collective::ReduceScatter: {
        at::Tensor whole = *other;
        work = backend._reduce_scatter_base(list[0], whole);
        break;
      }
      case Collective::Barrier:
        work = backend.barrier();
        break;
    }
    *output = new Pending{std::move(work)};
  });
}

// Ends when the work has ended or has timed out.
const char* qinglan_pending_wait(qinglan::Pending* pending) {
  return qinglan::torch_guarded([&] { TORCH_CHECK(pending->work->wait(), "the work was aborted"); });
}

void qinglan_pending_free(qinglan::Pending* pending) { delete pending; }

void qinglan_group_abort(qinglan::Group* group) {
  // Closing what is closed already is no failure worth a word.
  qinglan::torch_guarded([&] { group->cpu->abort(); });
}

void qinglan_group_free(qinglan::Group* group) { delete group; }

}  // extern "C"
