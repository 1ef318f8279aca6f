// The threads. libtorch's own parallel loop waits at its end for every thread of
// its pool, also for one that another process keeps from running; a decoder step
// has some 200 such loops, and on a busy machine each then costs a turn of the
// scheduler. Here the caller closes the job when no task is left and waits only
// for threads that are in the middle of one.

#include "parallel.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace qinglan {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread without work looks for more before it goes to sleep: longer
// than the caller takes from one kernel to the next.
constexpr std::chrono::microseconds kPatience(60);

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// A job as one number that changes as a whole: its serial number, the seats that
// are free and the threads that are inside.
struct State {
  uint32_t serial;
  uint16_t seats;
  uint16_t inside;
};

class Pool {
 public:
  // Never destroyed: its threads may outlive main's last statement.
  static Pool& get() {
    static Pool* pool = new Pool;
    return *pool;
  }

  void run(int64_t helpers, const std::function<void()>& work) {
    const std::unique_lock<std::mutex> only(callers_, std::try_to_lock);
    if (!only.owns_lock()) {
      // Another thread of the program has the helpers.
      work();
      return;
    }
    helpers = std::min(helpers, hire(helpers));
    work_ = &work;
    error_ = nullptr;
    state_ = State{state_.load().serial + 1, uint16_t(helpers), 0};
    if (asleep_ > 0) {
      const std::lock_guard<std::mutex> lock(sleep_);
      wake_.notify_all();
    }
    // Whatever happens, `work` must not be left while somebody runs it.
    try {
      work();
    } catch (...) {
      close();
      throw;
    }
    close();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  // How many threads there are after trying for so many.
  int64_t hire(int64_t wanted) {
    try {
      for (; threads_ < wanted; ++threads_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      // A system out of threads has these to work with.
    }
    return threads_;
  }

  // A helper's life.
  void serve() {
    uint32_t done = state_.load().serial - 1;
    for (;;) {
      await(done);
      State now = state_;
      if (now.serial == done || now.seats == 0) {
        done = now.serial;
        continue;
      }
      if (!state_.compare_exchange_weak(now, State{now.serial, uint16_t(now.seats - 1), uint16_t(now.inside + 1)})) {
        continue;
      }
      done = now.serial;
      try {
        (*work_)();
      } catch (...) {
        const std::lock_guard<std::mutex> lock(sleep_);
        error_ = std::current_exception();
      }
      change([](State state) { return State{state.serial, state.seats, uint16_t(state.inside - 1)}; });
    }
  }

  // Returns when there is a job after `done`.
  void await(uint32_t done) {
    const auto end = Clock::now() + kPatience;
    do {
      for (int i = 0; i < 32; ++i) {
        if (state_.load().serial != done) return;
        pause();
      }
    } while (Clock::now() < end);
    std::unique_lock<std::mutex> lock(sleep_);
    // Counted before the last look: a caller that does not see it has published
    // its job before that look.
    ++asleep_;
    wake_.wait(lock, [&] { return state_.load().serial != done; });
    --asleep_;
  }

  // Lets nobody in any more and waits for those inside.
  void close() {
    change([](State state) { return State{state.serial, 0, state.inside}; });
    for (int64_t tries = 0; state_.load().inside > 0; ++tries) {
      if (tries < 2000) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  template <class Change>
  void change(const Change& to) {
    State now = state_;
    while (!state_.compare_exchange_weak(now, to(now))) {
    }
  }

  std::mutex callers_;
  int64_t threads_ = 0;
  std::atomic<State> state_{State{0, 0, 0}};
  const std::function<void()>* work_ = nullptr;
  std::exception_ptr error_;
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<int> asleep_{0};
};

// OpenMP's own entry, by which libtorch's products start their threads. Looked
// up rather than linked to, so that there is never a second OpenMP beside the
// one that libtorch has brought.
using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

Parallel openmp() {
  static const Parallel entry = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return entry;
}

struct Job {
  const std::function<void()>* work;
  std::mutex lock;
  std::exception_ptr error;
};

// One thread's part of a job; no exception may leave it.
void take_part(void* data) {
  Job& job = *static_cast<Job*>(data);
  try {
    (*job.work)();
  } catch (...) {
    const std::lock_guard<std::mutex> lock(job.lock);
    job.error = std::current_exception();
  }
}

}  // namespace

void on_threads(int64_t most, const std::function<void()>& work) {
  const int64_t threads = std::min<int64_t>(std::min<int64_t>(most, at::get_num_threads()), 256);
  if (threads <= 1 || at::in_parallel_region()) {
    work();
    return;
  }
  Pool::get().run(threads - 1, work);
}

void on_product_threads(int64_t most, const std::function<void()>& work) {
  const int64_t threads = std::min<int64_t>(most, at::get_num_threads());
  if (threads <= 1 || at::in_parallel_region()) {
    work();
    return;
  }
  if (openmp() == nullptr) {
    on_threads(most, work);
    return;
  }
  Job job{&work, {}, nullptr};
  openmp()(take_part, &job, unsigned(threads), 0);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace qinglan
