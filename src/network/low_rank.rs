//! What an adapter adds to a product: the product of two thin matrices, and its
//! backward pass.
//!
//! Source: Hu et al. 2021 (arXiv 2106.09685): y = W x + s B A x.

use tch::Tensor;

use super::linear::add_product;
use super::parameters::{Parameters, Place};

/// What an adapter adds to the outputs of a leaf from `first` on: `scale * up down x`.
pub(super) struct LowRank {
    first: i64,
    scale: f64,
    /// `[r, in]`.
    down: Tensor,
    /// `[rows, r]`.
    up: Tensor,
    down_gradient: Option<Tensor>,
    up_gradient: Option<Tensor>,
}

impl LowRank {
    /// The adapter's parts beside the leaf of that name, none where there are none:
    /// `model.layers.0.self_attn.qkv`.
    pub(super) fn parts(parameters: &Parameters<'_>, name: &str) -> Vec<Self> {
        let Place::Memory(memory) = &parameters.place else {
            return Vec::new();
        };
        let Some(adapter) = memory.adapter else {
            return Vec::new();
        };
        let own = adapter.weights();
        let gradient = |name: &str| own.view(memory.gradient_P.as_ref()?, name);
        let parts = adapter.parts(name).iter();
        parts
            .map(|part| Self {
                first: part.first,
                scale: adapter.scale(),
                down: own.get(&part.down).to_kind(parameters.kind),
                up: own.get(&part.up).to_kind(parameters.kind),
                down_gradient: gradient(&part.down),
                up_gradient: gradient(&part.up),
            })
            .collect()
    }

    /// Adds to its columns of `y`, `[S, out]`, what it makes of `x`, `[S, in]`.
    pub(super) fn forward(&self, x: &Tensor, y: &Tensor) {
        let change = x.linear(&self.down, None::<Tensor>);
        let change = change.linear(&self.up, None::<Tensor>) * self.scale;
        let _ = self.of(y).g_add_(&change);
    }

    /// Adds to the gradient of `x` what comes back from that of `y`; sums the
    /// parameters' own.
    pub(super) fn backward(&self, x: &Tensor, y_gradient: &Tensor, x_gradient: &Tensor) {
        let own = self.of(y_gradient) * self.scale;
        let narrow = x.linear(&self.down, None::<Tensor>);
        if let Some(sum) = &self.up_gradient {
            add_product(sum, &own, &narrow, None);
        }
        let narrow_gradient = own.matmul(&self.up);
        if let Some(sum) = &self.down_gradient {
            add_product(sum, &narrow_gradient, x, None);
        }
        let _ = x_gradient
            .shallow_clone()
            .g_add_(&narrow_gradient.matmul(&self.down));
    }

    /// The columns of `[S, out]` that it adds to.
    fn of(&self, y: &Tensor) -> Tensor {
        y.narrow(1, self.first, self.up.size()[0])
    }
}
