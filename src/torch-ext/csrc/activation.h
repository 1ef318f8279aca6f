// What a gated feed-forward layer does to its gates: x / (1 + exp(-inner(x))).
//
// SiLU has x itself inside. GELU with tanh, 0.5 x (1 + tanh(u)) with
// u = sqrt(2 / pi) (x + 0.044715 x^3), is the same of 2 u: half of 1 + tanh(u)
// is the logistic function of 2 u.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace qinglan {

// The numbers are those of the Rust side.
enum class Activation : int32_t { kSilu = 0, kGeluTanh = 1 };

constexpr float kGeluLinear = 1.59576912f;   // 2 sqrt(2 / pi)
constexpr float kGeluCubic = 0.0713548163f;  // the same times 0.044715
// The logistic function of what is inside has long reached 0 or 1 there, and
// the cube of no number is infinite.
constexpr float kGeluFar = 16.0f;

// Written so that a NaN stays one.
QINGLAN_INSIDE float near_zero(float x) { return x > kGeluFar ? kGeluFar : x < -kGeluFar ? -kGeluFar : x; }

template <Activation activation>
QINGLAN_INSIDE float inner(float x) {
  if (activation == Activation::kSilu) return x;
  const float near = near_zero(x);
  return near * (kGeluLinear + kGeluCubic * near * near);
}

// The derivative of `inner`.
template <Activation activation>
QINGLAN_INSIDE float inner_slope(float x) {
  if (activation == Activation::kSilu) return 1.0f;
  const float near = near_zero(x);
  return kGeluLinear + 3.0f * kGeluCubic * near * near;
}

}  // namespace qinglan
