//! A product by a weight `[out, in]`, with a bias and an adapter where there
//! are, and the way back through it.

use tch::{Kind, Tensor};
use torch_ext::cpu::training;

use super::low_rank::LowRank;
use super::{Parameters, has_kernels, present};

/// A linear layer.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    weight_gradient: Option<Tensor>,
    bias_gradient: Option<Tensor>,
    parts: Vec<LowRank>,
}

impl Linear {
    /// The layer of that name: `model.layers.0.self_attn.qkv`.
    pub(super) fn new(parameters: &Parameters<'_>, name: &str) -> Self {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        Self {
            weight: present(parameters.operand(&weight)),
            bias: parameters.operand(&bias),
            weight_gradient: parameters.gradient(&weight),
            bias_gradient: parameters.gradient(&bias),
            parts: LowRank::parts(parameters, name),
        }
    }

    /// A layer without bias or adapter; the gradient of the weight goes into `sum`,
    /// which is float32.
    pub(crate) fn bare(weight: Tensor, sum: Tensor) -> Self {
        Self {
            weight,
            bias: None,
            weight_gradient: Some(sum),
            bias_gradient: None,
            parts: Vec::new(),
        }
    }

    /// `[S, in]` gives `[S, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.linear(&self.weight, self.bias.as_ref());
        for part in &self.parts {
            part.forward(x, &y);
        }
        y
    }

    /// The gradient of `x`, from that of what it gave; sums the parameters' own.
    pub(crate) fn backward(&self, x: &Tensor, y_gradient: &Tensor) -> Tensor {
        if let Some(sum) = &self.weight_gradient {
            add_product(sum, y_gradient, x, None);
        }
        if let Some(sum) = &self.bias_gradient {
            let rows = y_gradient.sum_dim_intlist(0, false, Kind::Float);
            let _ = sum.shallow_clone().g_add_(&rows);
        }
        let x_gradient = y_gradient.matmul(&self.weight);
        for part in &self.parts {
            part.backward(x, y_gradient, &x_gradient);
        }
        x_gradient
    }
}

/// `sum += y^T x`: the gradient of a weight. `product` is memory for what is
/// added, where the caller has some.
pub(super) fn add_product(sum: &Tensor, y_gradient: &Tensor, x: &Tensor, product: Option<&Tensor>) {
    let across = y_gradient.transpose(0, 1);
    if x.kind() == Kind::Float {
        let _ = sum.shallow_clone().addmm_(&across, x);
        return;
    }
    // A product of bfloat16 comes in bfloat16; the sum over micro-batches does not.
    let product = match product {
        Some(product) => across.mm_out(product, x),
        None => across.mm(x),
    };
    if has_kernels(sum.device()) {
        training::accumulate(sum, &product);
    } else {
        let _ = sum.shallow_clone().g_add_(&product);
    }
}
