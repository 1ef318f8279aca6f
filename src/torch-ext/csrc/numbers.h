// bfloat16 and the exponential, as plain inline functions that the compiler can
// turn into vector code.
#pragma once

#include <cstdint>
#include <cstring>

#include "dispatch.h"

namespace qinglan {

QINGLAN_INSIDE float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

QINGLAN_INSIDE uint32_t to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

QINGLAN_INSIDE float from_bf16(uint16_t half) { return from_bits(uint32_t(half) << 16); }

// To nearest, ties to even; a NaN stays one.
QINGLAN_INSIDE uint16_t to_bf16(float value) {
  const uint32_t bits = to_bits(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40;
  return uint16_t((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

// exp(x) for x <= 88, within 2 units in the last place; exactly 0 below -87.
// x = n ln 2 + r with |r| <= ln 2 / 2; the polynomial is exp's Taylor series
// with the last coefficients fitted to that interval.
QINGLAN_INSIDE float exp_fast(float x) {
  // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits.
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = x - n * 0.693145752f;
  r = r - n * 1.42860677e-6f;
  float p = 1.98756981e-4f;
  p = p * r + 1.39819994e-3f;
  p = p * r + 8.33345187e-3f;
  p = p * r + 4.16657962e-2f;
  p = p * r + 1.66666657e-1f;
  p = p * r + 0.5f;
  p = p * (r * r) + r + 1.0f;
  const float value = p * from_bits((to_bits(shifted) << 23) + 0x3f800000u);
  return x < -87.0f ? 0.0f : value;
}

// tanh(x) within 3 units in the last place. Near 0 an odd polynomial, fitted to
// the interval by least squares; beyond it 1 - 2 / (exp(2 |x|) + 1).
QINGLAN_INSIDE float tanh_fast(float x) {
  const float squares = x * x;
  float p = -5.70404252e-3f;
  p = p * squares + 2.06378615e-2f;
  p = p * squares - 5.37391565e-2f;
  p = p * squares + 1.33314318e-1f;
  p = p * squares - 3.33332813e-1f;
  const float near = x + x * squares * p;
  const float size = from_bits(to_bits(x) & 0x7fffffffu);
  // A NaN stays one.
  const float twice = size > 20.0f ? 40.0f : 2.0f * size;
  const float far = 1.0f - 2.0f / (exp_fast(twice) + 1.0f);
  return size < 0.625f ? near : from_bits(to_bits(far) | (to_bits(x) & 0x80000000u));
}

}  // namespace qinglan
