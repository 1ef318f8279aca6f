//! The small parts of a layer by libtorch's operators, for every device; the
//! reference of the kernels.

use tch::{Kind, Tensor};

use super::Activation;

/// `sqrt(2 / pi)`, and the weight of the cube beside it.
const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044_715);

pub(super) fn norm(x_SD: &Tensor, weight_D: &Tensor, eps: f64, kind: Kind) -> (Tensor, Tensor) {
    let mean_S = x_SD.square().mean_dim(-1, false, Kind::Float);
    let factors_S = (mean_S + eps).rsqrt();
    let y_SD = x_SD * factors_S.unsqueeze(-1) * weight_D;
    (y_SD.to_kind(kind), factors_S)
}

pub(super) fn norm_backward(
    x_SD: &Tensor,
    weight_D: &Tensor,
    factors_S: &Tensor,
    y_gradient_SD: &Tensor,
    x_gradient_SD: &Tensor,
    weight_gradient_D: Option<&Tensor>,
) {
    let y_gradient_SD = y_gradient_SD.to_kind(Kind::Float);
    let factors_S1 = factors_S.unsqueeze(-1);
    let scaled_SD = x_SD * &factors_S1;
    let pulled_SD = &y_gradient_SD * weight_D;
    let together_S1 = (&pulled_SD * &scaled_SD).mean_dim(-1, true, Kind::Float);
    let own_SD = (pulled_SD - &scaled_SD * together_S1) * factors_S1;
    let _ = x_gradient_SD.shallow_clone().g_add_(&own_SD);
    if let Some(sum) = weight_gradient_D {
        let own_D = (y_gradient_SD * scaled_SD).sum_dim_intlist(0, false, Kind::Float);
        let _ = sum.shallow_clone().g_add_(&own_D);
    }
}

pub(super) fn gate(gate_up_SF: &Tensor, activation: Activation) -> Tensor {
    let halves = gate_up_SF.chunk(2, -1);
    activation.of(&halves[0]) * &halves[1]
}

pub(super) fn gate_backward(
    gate_up_SF: &Tensor,
    y_gradient_SF: &Tensor,
    activation: Activation,
) -> Tensor {
    let halves = gate_up_SF.to_kind(Kind::Float).chunk(2, -1);
    let (gate, up) = (&halves[0], &halves[1]);
    let y_gradient_SF = y_gradient_SF.to_kind(Kind::Float);
    let (active, slope) = match activation {
        Activation::Silu => {
            let s = gate.sigmoid();
            let slope = &s * (gate * (1.0 - &s) + 1.0);
            (gate * s, slope)
        }
        Activation::GeluTanh => {
            let (root, cube) = GELU;
            let squares = gate.square();
            let t = (gate * (&squares * cube + 1.0) * root).tanh();
            let inner = (squares * (3.0 * cube) + 1.0) * root;
            let half = (&t + 1.0) * 0.5;
            let slope = &half + gate * 0.5 * (1.0 - t.square()) * inner;
            (gate * half, slope)
        }
    };
    Tensor::cat(&[&y_gradient_SF * up * slope, y_gradient_SF * active], -1)
        .to_kind(gate_up_SF.kind())
}

pub(super) fn accumulate(sum: &Tensor, more: &Tensor) {
    let _ = sum.shallow_clone().g_add_(more);
}
