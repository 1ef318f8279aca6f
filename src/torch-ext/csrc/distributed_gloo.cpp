// A Gloo process group. The only file that wants Gloo's headers, which the
// torch package does not bring. They may be older than the Gloo inside
// libtorch: nothing here reads a Gloo object, it only hands pointers on.

#include "distributed.h"

#ifdef QINGLAN_GLOO

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <gloo/context.h>

#include <sstream>

namespace qinglan {
namespace {

// c10d's own Gloo group ignores abort. Without its connections, whatever waits
// fails, here and on the other ranks.
struct Gloo : c10d::ProcessGroupGloo {
  using ProcessGroupGloo::ProcessGroupGloo;
  void abort() override {
    for (const auto& context : contexts_) context->closeConnections();
  }
};

}  // namespace

Transport make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world, const std::string& address,
                    const std::string& interfaces, Milliseconds connecting, Milliseconds timeout) {
  auto options = Gloo::Options::create(connecting);
  std::istringstream names(interfaces);
  for (std::string name; std::getline(names, name, ',');) {
    options->devices.push_back(Gloo::createDeviceForInterface(name, /*lazyInit=*/false));
  }
  if (options->devices.empty()) {
    options->devices.push_back(Gloo::createDeviceForHostname(address, /*lazyInit=*/false));
  }
  auto group = c10::make_intrusive<Gloo>(store, rank, world, options);
  // Nobody leaves before all are connected: rank 0 hosts the store, which the
  // others need until then.
  group->barrier()->wait();
  group->setTimeout(timeout);
  return group;
}

}  // namespace qinglan

#else

qinglan::Transport qinglan::make_gloo(const c10::intrusive_ptr<c10d::Store>&, int, int, const std::string&,
                                      const std::string&, Milliseconds, Milliseconds) {
  TORCH_CHECK(false, "this binary was built without Gloo's headers");
}

#endif
