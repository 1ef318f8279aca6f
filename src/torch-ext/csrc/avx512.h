// Vector helpers of the AVX-512 files, which alone are compiled for it. Those
// files include no header of the standard library: a function of one, compiled
// here, could replace the copy that the rest of the program uses, also on
// machines without AVX-512.
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace qinglan {
namespace {

// The polynomial of exp_fast in numbers.h, 16 at a time, for any x: below the
// range the result is 0, above it infinity, and a NaN stays one.
inline __m512 exp16(__m512 x) {
  // Infinities would turn into NaN below. The second operand is what comes out
  // where one is NaN.
  x = _mm512_max_ps(_mm512_set1_ps(-200.0f), x);
  x = _mm512_min_ps(_mm512_set1_ps(200.0f), x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
  __m512 p = _mm512_set1_ps(1.98756981e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.39819994e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.33345187e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.16657962e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.66666657e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_scalef_ps(p, n);
}

// The mask of the first `count` of 16 lanes.
inline __mmask16 lanes16(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : __mmask16((1u << count) - 1);
}

inline void store_bf16(uint16_t* to, __mmask16 lanes, __m512 values) {
  _mm256_mask_storeu_epi16(to, lanes, (__m256i)_mm512_cvtneps_pbh(values));
}

}  // namespace
}  // namespace qinglan
