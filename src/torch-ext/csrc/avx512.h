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

// tanh_fast of numbers.h, 16 at a time.
inline __m512 tanh16(__m512 x) {
  const __m512 squares = _mm512_mul_ps(x, x);
  __m512 p = _mm512_set1_ps(-5.70404252e-3f);
  p = _mm512_fmadd_ps(p, squares, _mm512_set1_ps(2.06378615e-2f));
  p = _mm512_fmadd_ps(p, squares, _mm512_set1_ps(-5.37391565e-2f));
  p = _mm512_fmadd_ps(p, squares, _mm512_set1_ps(1.33314318e-1f));
  p = _mm512_fmadd_ps(p, squares, _mm512_set1_ps(-3.33332813e-1f));
  const __m512 near = _mm512_fmadd_ps(_mm512_mul_ps(x, squares), p, x);
  const __m512 size = _mm512_abs_ps(x);
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 power = exp16(_mm512_add_ps(size, size));
  const __m512 far = _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.0f), _mm512_add_ps(power, one)));
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
  const __mmask16 small = _mm512_cmp_ps_mask(size, _mm512_set1_ps(0.625f), _CMP_LT_OQ);
  return _mm512_mask_blend_ps(small, _mm512_or_ps(far, sign), near);
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
