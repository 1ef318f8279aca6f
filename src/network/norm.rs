//! `RMSNorm` of the rows of the residual stream (Zhang & Sennrich 2019, arXiv 1910.07467).

use anyhow::Result;
use tch::{Kind, Tensor};
use torch_ext::{cpu, layers};

use super::parameters::Parameters;

/// An `RMSNorm`.
pub(super) struct Norm {
    weight_D: Tensor,
    gradient_D: Option<Tensor>,
    eps: f64,
    kind: Kind,
    /// Whether it lies between packed products, whose threads it shares then.
    packs: bool,
}

impl Norm {
    /// The norm whose weight has that name, giving rows of that kind.
    pub(super) fn new(parameters: &Parameters<'_>, name: &str, kind: Kind) -> Result<Self> {
        Ok(Self {
            weight_D: parameters.norm(name)?,
            gradient_D: parameters.gradient(name),
            eps: parameters.config.rms_norm_eps,
            kind,
            packs: parameters.packs(),
        })
    }

    /// Normed rows of `x_SD`, float32.
    pub(super) fn rows(&self, x_SD: &Tensor) -> Tensor {
        if self.packs {
            cpu::rms_norm(x_SD, &self.weight_D, self.eps, self.kind)
        } else {
            self.forward(x_SD).0
        }
    }

    /// Normed rows of `x_SD`, float32, and the factors that the backward pass needs.
    pub(super) fn forward(&self, x_SD: &Tensor) -> (Tensor, Tensor) {
        layers::norm(x_SD, &self.weight_D, self.eps, self.kind)
    }

    /// Adds to `x_gradient_SD` what comes back from `y_gradient_SD`.
    pub(super) fn backward(
        &self,
        x_SD: &Tensor,
        factors_S: &Tensor,
        y_gradient_SD: &Tensor,
        x_gradient_SD: &Tensor,
    ) {
        layers::norm_backward(
            x_SD,
            &self.weight_D,
            factors_S,
            y_gradient_SD,
            x_gradient_SD,
            self.gradient_D.as_ref(),
        );
    }
}
