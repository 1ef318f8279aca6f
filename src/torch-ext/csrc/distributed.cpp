// Process groups over one TCPStore: PyTorch's own collectives, which tch leaves
// out. The Rust side, with what a caller must know, is src/distributed.

#include "distributed.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
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
  Milliseconds timeout;
  Transport cpu;
  Transport cuda;  // may be null
};

struct Pending {
  c10::intrusive_ptr<c10d::Work> work;
  // Gloo's work knows its own time-out, which 0 leaves to it.
  Milliseconds timeout;
  std::function<void()> finish;  // may be empty
};

// Of csrc/distributed_nccl.cpp, which is opened at run time.
using MakeNccl = const char* (*)(c10d::Store* store, int rank, int world, int64_t timeout, c10d::Backend** output);

enum class Collective : int32_t { Broadcast, AllReduce, AllGather, ReduceScatter, Barrier };

namespace {

using c10d::Store;
using std::chrono::steady_clock;

// What a group is made from, in strings of its own: the thread that makes it
// may outlive the call.
struct Joining {
  std::string host;
  std::string address;
  std::string interfaces;
  int rank;
  int world;
  uint16_t port;
  Milliseconds timeout;
  steady_clock::time_point deadline;
  std::atomic<const char*> stage{"no store answers there; is rank 0 running?"};

  explicit Joining(const Connect& call)
      : host(call.host),
        address(call.address),
        interfaces(call.interfaces),
        rank(call.rank),
        world(call.world),
        port(call.port),
        timeout(call.timeout),
        deadline(steady_clock::now() + timeout) {}

  Milliseconds left() const {
    const auto rest = std::chrono::duration_cast<Milliseconds>(deadline - steady_clock::now());
    return std::max(rest, Milliseconds(1));
  }
};

std::string key(const char* of, int rank) { return std::string("qinglan/") + of + '/' + std::to_string(rank); }

bool is_loopback(const std::string& address) { return address.rfind("127.", 0) == 0 || address == "::1"; }

// Ranks that differ in what they believe, or never come, are found out here,
// where they can be named.
void meet(Store& store, const Joining& call) {
  const auto world = store.compareSet("qinglan/world", std::string(), std::to_string(call.world));
  TORCH_CHECK(world == std::to_string(call.world), "this rank was told of ", call.world,
              " ranks, another one of ", world);
  TORCH_CHECK(store.add(key("count", call.rank), 1) == 1, "another process is rank ", call.rank,
              " there; each rank may be started once, and each run needs a port of its own");
  store.set(key("address", call.rank), call.address);
  std::vector<std::string> keys;
  for (int rank = 0; rank < call.world; ++rank) keys.push_back(key("address", rank));
  try {
    store.wait(keys, call.left());
  } catch (const std::exception&) {
    std::string missing;
    for (int rank = 0; rank < call.world; ++rank) {
      if (!store.check({keys[rank]})) missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
    }
    TORCH_CHECK(missing.empty(), "after ", call.timeout.count(), " ms these ranks are missing: ", missing);
    throw;
  }
  if (!is_loopback(call.address)) return;
  for (int rank = 0; rank < call.world; ++rank) {
    const std::string other = store.get_to_str(keys[rank]);
    TORCH_CHECK(other.empty() || is_loopback(other), "here that name means ", call.address,
                ", where rank ", rank, " at ", other,
                " cannot reach it; give rank 0 as an address, or an interface in GLOO_SOCKET_IFNAME");
  }
}

std::unique_ptr<Group> join(Joining& call) {
  c10d::TCPStoreOptions options;
  options.port = call.port;
  options.isServer = call.rank == 0;
  options.waitWorkers = false;
  options.timeout = call.left();
  auto store = c10::make_intrusive<c10d::TCPStore>(call.host, options);
  store->setTimeout(call.left());
  call.stage = "the ranks have not all come";
  try {
    meet(*store, call);
  } catch (const c10::DistNetworkError&) {
    TORCH_CHECK(false, "rank 0 has left before all ranks had come");
  }
  call.stage = "the ranks have all come and do not connect to each other";
  auto cpu = make_gloo(store, call.rank, call.world, call.address, call.interfaces, call.left(), call.timeout);
  return std::unique_ptr<Group>(new Group{std::move(store), call.timeout, std::move(cpu), {}});
}

// Gloo's own reduce-scatter of equal shares is an all-reduce that keeps one of
// them: twice the traffic. Here every rank gets what all others have for it,
// and adds that up in the order of the ranks.
void start_reduce_scatter(c10d::Backend& gloo, const at::Tensor& part, const at::Tensor& whole, Pending& pending) {
  auto from = whole.view({-1});
  auto received = at::empty_like(from);
  std::vector<int64_t> equal;
  pending.work = gloo.alltoall_base(received, from, equal, equal);
  pending.finish = [received, part, world = gloo.getSize()] {
    const at::NoGradGuard no_grad;
    const auto shares = received.view({world, -1});
    auto sum = part.view({-1});
    sum.copy_(shares[0]);
    for (int64_t rank = 1; rank < world; ++rank) sum.add_(shares[rank]);
  };
}

}  // namespace
}  // namespace qinglan

extern "C" {

const char* qinglan_group_connect(const qinglan::Connect* call, qinglan::Group** output) {
  using namespace qinglan;
  return torch_guarded([&] {
    // What c10d logs comes back as errors, without pages of addresses.
    if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
    // Not all of c10d's waiting is bounded: something else may listen at the
    // port and never answer. A thread that is stuck there is left behind.
    auto joining = std::make_shared<Joining>(*call);
    std::packaged_task<std::unique_ptr<Group>()> task([joining] { return join(*joining); });
    auto group = task.get_future();
    std::thread(std::move(task)).detach();
    // Its own words are better, where it has some.
    const Milliseconds grace(200);
    TORCH_CHECK(group.wait_until(joining->deadline + grace) == std::future_status::ready, joining->stage.load(),
                " (waited for ", call->timeout, " ms)");
    *output = group.get().release();
  });
}

// Tensors on GPUs go by NCCL from here on.
const char* qinglan_group_add_nccl(qinglan::Group* group, qinglan::MakeNccl make) {
  return qinglan::torch_guarded([&] {
    c10d::Backend* nccl = nullptr;
    const char* failure = make(group->store.get(), group->cpu->getRank(), group->cpu->getSize(),
                               group->timeout.count(), &nccl);
    TORCH_CHECK(failure == nullptr, failure);
    group->cuda = qinglan::Transport::reclaim(nccl);
  });
}

// `other` is what an all-gather fills and what a reduce-scatter reads; `root`
// is a broadcast's.
const char* qinglan_group_start(qinglan::Group* group, qinglan::Collective collective, const at::Tensor* tensor,
                                const at::Tensor* other, int64_t root, qinglan::Pending** output) {
  using namespace qinglan;
  return torch_guarded([&] {
    const bool cuda = tensor != nullptr && tensor->is_cuda();
    c10d::Backend& backend = cuda ? *group->cuda : *group->cpu;
    std::vector<at::Tensor> list;
    if (tensor != nullptr) list.push_back(*tensor);
    at::Tensor whole;
    if (other != nullptr) whole = *other;
    auto pending = std::make_unique<Pending>();
    if (cuda) pending->timeout = group->timeout;
    switch (collective) {
      case Collective::Broadcast: {
        c10d::BroadcastOptions options;
        options.rootRank = root;
        pending->work = backend.broadcast(list, options);
        break;
      }
      case Collective::AllReduce:
        pending->work = backend.allreduce(list);
        break;
      case Collective::AllGather:
        pending->work = backend._allgather_base(whole, list[0]);
        break;
      case Collective::ReduceScatter:
        if (cuda) {
          pending->work = backend._reduce_scatter_base(list[0], whole);
        } else {
          start_reduce_scatter(backend, list[0], whole, *pending);
        }
        break;
      case Collective::Barrier:
        pending->work = backend.barrier();
        break;
    }
    *output = pending.release();
  });
}

// Ends when the work has ended or has timed out.
const char* qinglan_pending_wait(qinglan::Pending* pending) {
  return qinglan::torch_guarded([&] {
    TORCH_CHECK(pending->work->wait(pending->timeout), "the work was aborted");
    if (pending->finish) pending->finish();
  });
}

void qinglan_pending_free(qinglan::Pending* pending) { delete pending; }

void qinglan_group_abort(qinglan::Group* group) {
  // Closing what is closed already is no failure worth a word.
  qinglan::torch_guarded([&] {
    group->cpu->abort();
    if (group->cuda) group->cuda->abort();
  });
}

void qinglan_group_free(qinglan::Group* group) { delete group; }

}  // extern "C"
