// Which of the two implementations runs: AVX-512 with BF16, or plain loops.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define QINGLAN_AVX512 1
// The compiler makes one copy for each set and the loader picks: plain loops
// then use what vectors the machine has.
#if defined(__GNUC__) && !defined(__clang__)
#define QINGLAN_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=haswell", "default")))
#endif
#endif

#ifndef QINGLAN_CLONES
#define QINGLAN_CLONES
#endif

// A helper of a function that is compiled once for each set of instructions
// must become part of it, or it would be compiled for the least of them.
#define QINGLAN_INSIDE __attribute__((always_inline)) inline

namespace qinglan {

// Whether the AVX-512 kernels are compiled in and the machine runs them.
bool machine_has_avx512();

// The same, unless a test on this thread has asked for the plain loops.
bool use_avx512();

}  // namespace qinglan
