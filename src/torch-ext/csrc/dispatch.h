// Which implementation runs: kernels for AVX-512 with BF16, or loops that the
// compiler turns into vectors of AVX-512, of AVX2 or of what every x86-64 has.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define QINGLAN_AVX512 1
#endif

// A helper of a function that is compiled once for each set of instructions
// must become part of it, or it would be compiled for the least of them.
#define QINGLAN_INSIDE __attribute__((always_inline)) inline

// Begins a function of loops, `QINGLAN_LEVELS(float, sum, (const float* x, int n), (x, n)) { ... }`,
// that is compiled once for each set of instructions and calls the copy of the
// process's level. The compiler's own target_clones would have the loader pick
// by the processor's model: its copy for Haswell runs on Haswell alone, and no
// process could ask for less than its machine has.
#if defined(QINGLAN_AVX512) && defined(__GNUC__) && !defined(__clang__)
#define QINGLAN_LEVELS(type, name, parameters, arguments)                                                \
  static QINGLAN_INSIDE type name##_inside parameters;                                                   \
  __attribute__((target("arch=x86-64-v4"))) static type name##_avx512 parameters {                       \
    return name##_inside arguments;                                                                      \
  }                                                                                                      \
  __attribute__((target("arch=x86-64-v3"))) static type name##_avx2 parameters {                         \
    return name##_inside arguments;                                                                      \
  }                                                                                                      \
  static type name##_portable parameters { return name##_inside arguments; }                             \
  type name parameters {                                                                                 \
    if (::qinglan::process_level >= ::qinglan::Level::kAvx512) return name##_avx512 arguments;           \
    if (::qinglan::process_level >= ::qinglan::Level::kAvx2) return name##_avx2 arguments;               \
    return name##_portable arguments;                                                                    \
  }                                                                                                      \
  static QINGLAN_INSIDE type name##_inside parameters
#else
#define QINGLAN_LEVELS(type, name, parameters, arguments) type name parameters
#endif

namespace qinglan {

// Sets of instructions, each with those before it.
enum class Level { kPortable, kAvx2, kAvx512, kAvx512Bf16 };

// The most that the machine has, or less where QINGLAN_CPU asks for less; one
// value for the life of the process.
extern const Level process_level;

// Whether the AVX-512 kernels run, unless a test on this thread has asked for
// the loops.
bool use_avx512();

}  // namespace qinglan
