#include "dispatch.h"

namespace qinglan {

static thread_local bool plain_only = false;

bool machine_has_avx512() {
#ifdef QINGLAN_AVX512
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bf16");
  return has;
#else
  return false;
#endif
}

bool use_avx512() { return machine_has_avx512() && !plain_only; }

}  // namespace qinglan

extern "C" bool qinglan_has_avx512_bf16() { return qinglan::machine_has_avx512(); }

// For tests: the calls of this thread take the plain loops.
extern "C" void qinglan_plain_only(bool yes) { qinglan::plain_only = yes; }
