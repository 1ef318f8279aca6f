// Memory for packed weights and caches.

#include <cstdint>
#include <cstdlib>

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {
constexpr size_t kLine = 64;
constexpr size_t kHuge = size_t(2) << 20;
}  // namespace

// Memory that begins on a cache line, or null. Blocks of some size ask for huge
// pages: weights are streamed through, and with pages of 4 KiB the look-ups of
// addresses cost a tenth of the time and more.
extern "C" void* qinglan_allocate(int64_t bytes) {
  const bool huge = size_t(bytes) >= kHuge;
  void* block = nullptr;
  if (posix_memalign(&block, huge ? kHuge : kLine, size_t(bytes)) != 0) return nullptr;
#ifdef __linux__
  // Only advice: what it returns changes nothing.
  if (huge) madvise(block, size_t(bytes), MADV_HUGEPAGE);
#endif
  return block;
}

extern "C" void qinglan_free(void* block) { std::free(block); }

// Keeps freed memory for the tensors to come, and asks for large tensors in huge
// pages. By default glibc gives every larger block back to the system, which
// clears each page of it when it is asked for again: in training that was a tenth
// of the time.
extern "C" void qinglan_keep_memory() {
  // libtorch's own switch; it is read when the first tensor is made.
  setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
#ifdef __GLIBC__
  // The largest threshold that glibc takes; blocks above it still go back.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}
