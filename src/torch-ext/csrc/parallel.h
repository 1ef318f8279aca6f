// Work on as many threads as libtorch is set to use.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>

namespace qinglan {

// Hands out the numbers 0..count, each once. Threads take tasks as they come
// free, so a core that is also busy elsewhere holds nobody up. No result depends
// on who took what: a task writes only what is its own.
class Tasks {
 public:
  explicit Tasks(int64_t count) : count_(count) {}

  // The next task, or -1 when all are taken.
  int64_t take() {
    const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    return task < count_ ? task : -1;
  }

 private:
  std::atomic<int64_t> next_{0};
  const int64_t count_;
};

// Runs `work` once on each of at most `most` threads and waits for all.
void on_threads(int64_t most, const std::function<void()>& work);

// The same on the threads that libtorch's products run on. Kernels between two
// products use these: the products' threads look for work for a while after one
// and would take the time of others.
void on_product_threads(int64_t most, const std::function<void()>& work);

// How many threads work of so many nanoseconds is worth: what handing some of it
// over costs must stay small beside it.
inline int64_t worth(double nanoseconds) { return 1 + int64_t(nanoseconds / 4000.0); }

// Runs `body`; an exception becomes its message, success a null pointer. The
// message lives until the next failure on this thread.
template <class Body>
const char* guarded(const Body& body) noexcept {
  static thread_local std::string message;
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
    message = "an unknown C++ exception";
  }
  return message.c_str();
}

}  // namespace qinglan
