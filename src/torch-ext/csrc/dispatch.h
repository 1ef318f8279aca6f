// Which of the two implementations runs: AVX-512 with BF16, or plain loops.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define QINGLAN_AVX512 1
// The compiler makes one copy for each set and the loader picks: plain loops
// then use what vectors the machine has.
#if defined(__GNUC__) && !defined(__clang__)
#define QINGLAN_CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#endif
#endif

#ifndef QINGLAN_CLONES
#define QINGLAN_CLONES
#endif

namespace qinglan {

// Whether the AVX-512 kernels are compiled in and the machine runs them.
bool machine_has_avx512();

// The same, unless a test on this thread has asked for the plain loops.
bool use_avx512();

}  // namespace qinglan
