//! A product by a weight `[out, in]`, with a bias and an adapter where there
//! are, and the way back through it.

use tch::{Kind, Tensor};
use torch_ext::cpu::training;

use super::{Parameters, has_kernels, present};

/// A linear layer.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    weight_gradient: Option<Tensor>,
    bias_gradient: Option<Tensor>,
    parts: Vec<LowRank>,
}

/// What an adapter adds to the outputs from `first` on: `scale * up down x`.
struct LowRank {
    first: i64,
    scale: f64,
    /// `[r, in]`.
    down: Tensor,
    /// `[rows, r]`.
    up: Tensor,
    down_gradient: Option<Tensor>,
    up_gradient: Option<Tensor>,
}

impl Linear {
    /// The layer of that name: `model.layers.0.self_attn.qkv`.
    pub(super) fn new(parameters: &Parameters<'_>, name: &str) -> Self {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let parts = parameters.adapter.map_or_else(Vec::new, |adapter| {
            let own = adapter.weights();
            let gradient = |name: &str| own.view(parameters.gradient_P.as_ref()?, name);
            let parts = adapter.parts(name).iter();
            parts
                .map(|part| LowRank {
                    first: part.first,
                    scale: adapter.scale(),
                    down: own.get(&part.down).to_kind(parameters.kind),
                    up: own.get(&part.up).to_kind(parameters.kind),
                    down_gradient: gradient(&part.down),
                    up_gradient: gradient(&part.up),
                })
                .collect()
        });
        Self {
            weight: present(parameters.operand(&weight)),
            bias: parameters.operand(&bias),
            weight_gradient: parameters.gradient(&weight),
            bias_gradient: parameters.gradient(&bias),
            parts,
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
            let change = x.linear(&part.down, None::<Tensor>);
            let change = change.linear(&part.up, None::<Tensor>) * part.scale;
            let _ = part.of(&y).g_add_(&change);
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
            let own = part.of(y_gradient) * part.scale;
            let narrow = x.linear(&part.down, None::<Tensor>);
            if let Some(sum) = &part.up_gradient {
                add_product(sum, &own, &narrow, None);
            }
            let narrow_gradient = own.matmul(&part.up);
            if let Some(sum) = &part.down_gradient {
                add_product(sum, &narrow_gradient, x, None);
            }
            let _ = x_gradient
                .shallow_clone()
                .g_add_(&narrow_gradient.matmul(&part.down));
        }
        x_gradient
    }
}

impl LowRank {
    /// The columns of `[S, out]` that it adds to.
    fn of(&self, y: &Tensor) -> Tensor {
        y.narrow(1, self.first, self.up.size()[0])
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
