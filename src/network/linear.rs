//! A product by a weight `[out, in]`, with a bias and an adapter where there
//! are, and its backward pass.

use anyhow::Result;
use tch::{Kind, Tensor};
use torch_ext::cpu::{PackedGateUp, PackedLinear};
use torch_ext::layers;

use super::low_rank::LowRank;
use super::parameters::{Parameters, needed};

/// A linear layer.
pub(crate) struct Linear {
    weight: Weight,
    weight_gradient: Option<Tensor>,
    bias_gradient: Option<Tensor>,
    parts: Vec<LowRank>,
}

/// A weight as its product takes it.
enum Weight {
    Plain {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    /// For few rows on the CPU, to sample with; gives float32.
    Packed(PackedLinear),
    /// The same of gate and up projection, with the gate applied; gives the kind of its weight.
    GateUp(PackedGateUp),
}

impl Linear {
    /// The layer of that name: `model.layers.0.self_attn.qkv`.
    pub(super) fn new(parameters: &Parameters<'_>, name: &str) -> Result<Self> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        Ok(Self {
            weight: if parameters.packs() {
                let operand = needed(parameters.master(&weight)?, &weight)?;
                let bias = parameters.master(&bias)?;
                Weight::Packed(PackedLinear::new(&operand, bias.as_ref(), parameters.kind))
            } else {
                Weight::Plain {
                    weight: needed(parameters.operand(&weight)?, &weight)?,
                    bias: parameters.operand(&bias)?,
                }
            },
            weight_gradient: parameters.gradient(&weight),
            bias_gradient: parameters.gradient(&bias),
            parts: LowRank::parts(parameters, name)?,
        })
    }

    /// The product of gate and up projection; where it is packed and has no
    /// bias, it applies the gate too.
    pub(super) fn gate_up(parameters: &Parameters<'_>, name: &str) -> Result<Self> {
        let config = parameters.config;
        if !parameters.packs() || config.biases.mlp {
            return Self::new(parameters, name);
        }
        let weight = format!("{name}.weight");
        let operand = needed(parameters.master(&weight)?, &weight)?;
        let fused = PackedGateUp::new(&operand, parameters.kind, config.activation);
        Ok(Self {
            weight: Weight::GateUp(fused),
            weight_gradient: None,
            bias_gradient: None,
            parts: Vec::new(),
        })
    }

    /// A layer without bias or adapter; the gradient of the weight goes into `sum`,
    /// which is float32.
    pub(crate) fn bare(weight: Tensor, sum: Tensor) -> Self {
        Self {
            weight: Weight::Plain { weight, bias: None },
            weight_gradient: Some(sum),
            bias_gradient: None,
            parts: Vec::new(),
        }
    }

    /// Whether the product applies the gate.
    pub(super) fn gates(&self) -> bool {
        matches!(self.weight, Weight::GateUp(_))
    }

    /// `[S, in]` gives `[S, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let y = match &self.weight {
            Weight::Plain { weight, bias } => x.linear(weight, bias.as_ref()),
            Weight::Packed(packed) => packed.forward(x, Kind::Float),
            Weight::GateUp(packed) => packed.forward(x),
        };
        for part in &self.parts {
            part.forward(x, &y);
        }
        y
    }

    /// Adds what `[S, in]` gives to the residual stream `[S, out]`, float32, in place.
    pub(super) fn add_to(&self, x: &Tensor, mut residual: Tensor) -> Tensor {
        if let Weight::Packed(packed) = &self.weight {
            packed.add_to(x, &mut residual);
            return residual;
        }
        residual.g_add_(&self.forward(x))
    }

    /// The gradient of `x`, from that of what it gave; sums the parameters' own.
    ///
    /// # Panics
    /// If the weight is packed, as only a network that samples has it.
    pub(crate) fn backward(&self, x: &Tensor, y_gradient: &Tensor) -> Tensor {
        let Weight::Plain { weight, .. } = &self.weight else {
            panic!("a network that samples has no backward pass");
        };
        if let Some(sum) = &self.weight_gradient {
            add_product(sum, y_gradient, x, None);
        }
        if let Some(sum) = &self.bias_gradient {
            let rows = y_gradient.sum_dim_intlist(0, false, Kind::Float);
            let _ = sum.shallow_clone().g_add_(&rows);
        }
        let x_gradient = y_gradient.matmul(weight);
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
    layers::accumulate(sum, &product);
}
