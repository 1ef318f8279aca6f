//! The small parts of a layer, forward and backward: RMSNorm, the gated
//! activation, and sums of bfloat16 gradients in float32.
//!
//! Kernels read and write every number once and keep what the gradient needs;
//! no sum of theirs depends on the number of threads. libtorch's operators, the
//! reference of the kernels, read and write all numbers once per operator.
//!
//! Axes: S tokens laid end to end, D width of the residual stream, F width of
//! the feed-forward layer.

mod kernels;
mod portable;

use tch::{Kind, Tensor};

use crate::has_kernels;

/// What a gated feed-forward layer does to its gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu = 0,
    /// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, which transformers
    /// calls `gelu_pytorch_tanh` (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    GeluTanh = 1,
}

impl Activation {
    /// The activation of each number, by libtorch's operators, in the tensor's kind.
    pub(crate) fn of(self, x: &Tensor) -> Tensor {
        match self {
            Self::Silu => x.silu(),
            Self::GeluTanh => x.gelu("tanh"),
        }
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` of each row of `x_SD`, in `kind`
/// (float32 or bfloat16), and the factors `1 / sqrt(mean(x^2) + eps)`, `[S]`,
/// that its gradient needs. `x_SD` and `weight_D` are float32.
pub fn norm(x_SD: &Tensor, weight_D: &Tensor, eps: f64, kind: Kind) -> (Tensor, Tensor) {
    if has_kernels(x_SD.device()) {
        kernels::norm(x_SD, weight_D, eps, kind)
    } else {
        portable::norm(x_SD, weight_D, eps, kind)
    }
}

/// Adds to the float32 gradients of `x_SD` and, where it is trained, of the
/// weight, what comes back through the norm from `y_gradient_SD`, which has the
/// kind of the norm's result.
pub fn norm_backward(
    x_SD: &Tensor,
    weight_D: &Tensor,
    factors_S: &Tensor,
    y_gradient_SD: &Tensor,
    x_gradient_SD: &Tensor,
    weight_gradient_D: Option<&Tensor>,
) {
    let backward = if has_kernels(x_SD.device()) {
        kernels::norm_backward
    } else {
        portable::norm_backward
    };
    backward(
        x_SD,
        weight_D,
        factors_S,
        y_gradient_SD,
        x_gradient_SD,
        weight_gradient_D,
    );
}

/// `activation(gate) * up`, `[S, F]`, of `[S, 2 F]` with the gates first, in
/// float32 or bfloat16.
pub fn gate(gate_up_SF: &Tensor, activation: Activation) -> Tensor {
    if has_kernels(gate_up_SF.device()) {
        kernels::gate(gate_up_SF, activation)
    } else {
        portable::gate(gate_up_SF, activation)
    }
}

/// The gradient of `gate_up_SF`, `[S, 2 F]` in its kind, from that of [`gate`].
pub fn gate_backward(
    gate_up_SF: &Tensor,
    y_gradient_SF: &Tensor,
    activation: Activation,
) -> Tensor {
    if has_kernels(gate_up_SF.device()) {
        kernels::gate_backward(gate_up_SF, y_gradient_SF, activation)
    } else {
        portable::gate_backward(gate_up_SF, y_gradient_SF, activation)
    }
}

/// `sum += more`, a bfloat16 gradient into its float32 sum of the same shape.
pub fn accumulate(sum: &Tensor, more: &Tensor) {
    if has_kernels(sum.device()) {
        kernels::accumulate(sum, more);
    } else {
        portable::accumulate(sum, more);
    }
}

#[cfg(test)]
mod tests;
