// The part of a process group that differs between backends: how one is made.
// Everything else is c10d::Backend's own interface.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <string>

namespace qinglan {

using Milliseconds = std::chrono::milliseconds;
using Transport = c10::intrusive_ptr<c10d::Backend>;

// `interfaces` are names with commas between them; where there are none, the
// connections are bound to `address`.
Transport make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world, const std::string& address,
                    const std::string& interfaces, Milliseconds connecting, Milliseconds timeout);

}  // namespace qinglan
