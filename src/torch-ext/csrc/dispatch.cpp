#include "dispatch.h"

#include <cstdlib>
#include <cstring>

namespace qinglan {
namespace {

thread_local bool plain_only = false;

Level level_of_machine() {
#ifdef QINGLAN_AVX512
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (!avx2) return Level::kPortable;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (!avx512) return Level::kAvx2;
  return __builtin_cpu_supports("avx512bf16") ? Level::kAvx512Bf16 : Level::kAvx512;
#else
  return Level::kPortable;
#endif
}

// Names that are unknown or beyond the machine are refused where the program
// starts; here they ask for nothing.
Level level_of_process() {
  const Level most = level_of_machine();
  const char* asked = std::getenv("QINGLAN_CPU");
  if (asked == nullptr) return most;
  const char* const names[] = {"portable", "avx2", "avx512", "avx512_bf16"};
  for (int at = 0; at < int(most); ++at) {
    if (std::strcmp(asked, names[at]) == 0) return Level(at);
  }
  return most;
}

}  // namespace

const Level process_level = level_of_process();

bool use_avx512() { return process_level == Level::kAvx512Bf16 && !plain_only; }

}  // namespace qinglan

extern "C" int qinglan_level_of_machine() { return int(qinglan::level_of_machine()); }

extern "C" int qinglan_level() { return int(qinglan::process_level); }

// For tests: the calls of this thread take the loops.
extern "C" void qinglan_plain_only(bool yes) { qinglan::plain_only = yes; }
