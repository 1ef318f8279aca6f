//! One layer: attention and the gated feed-forward layer, each added to the
//! residual stream, and the way back.

use tch::{Kind, Tensor};
use torch_ext::cpu::training;

use super::attention::{Attended, Batch, HeadNorms};
use super::linear::Linear;
use super::{Keep, Parameters, has_kernels, portable, present};
use crate::model::ModelConfig;

/// An RMSNorm.
pub(super) struct Norm {
    weight_D: Tensor,
    gradient_D: Option<Tensor>,
    eps: f64,
    kind: Kind,
}

impl Norm {
    /// The norm whose weight has that name.
    pub(super) fn new(config: &ModelConfig, parameters: &Parameters<'_>, name: &str) -> Self {
        Self {
            weight_D: present(parameters.master(name)),
            gradient_D: parameters.gradient(name),
            eps: config.rms_norm_eps,
            kind: parameters.kind,
        }
    }

    /// Normed rows, and the factors that the way back needs.
    pub(super) fn forward(&self, x_SD: &Tensor) -> (Tensor, Tensor) {
        if has_kernels(x_SD.device()) {
            training::norm(x_SD, &self.weight_D, self.eps, self.kind)
        } else {
            portable::norm(x_SD, &self.weight_D, self.eps, self.kind)
        }
    }

    /// Adds to `x_gradient_SD` what comes back from `y_gradient_SD`.
    pub(super) fn backward(
        &self,
        x_SD: &Tensor,
        factors_S: &Tensor,
        y_gradient_SD: &Tensor,
        x_gradient_SD: &Tensor,
    ) {
        let own_D = self.gradient_D.as_ref();
        let back = if has_kernels(x_SD.device()) {
            training::norm_backward
        } else {
            portable::norm_backward
        };
        back(
            x_SD,
            &self.weight_D,
            factors_S,
            y_gradient_SD,
            x_gradient_SD,
            own_D,
        );
    }
}

fn gate(gate_up_SF: &Tensor) -> Tensor {
    if has_kernels(gate_up_SF.device()) {
        training::gate(gate_up_SF)
    } else {
        portable::gate(gate_up_SF)
    }
}

fn gate_backward(gate_up_SF: &Tensor, y_gradient_SF: &Tensor) -> Tensor {
    if has_kernels(gate_up_SF.device()) {
        training::gate_backward(gate_up_SF, y_gradient_SF)
    } else {
        portable::gate_backward(gate_up_SF, y_gradient_SF)
    }
}

/// One layer's parameters.
pub(super) struct Layer {
    input_norm: Norm,
    qkv: Linear,
    head_norms: Option<HeadNorms>,
    output: Linear,
    post_norm: Norm,
    gate_up: Linear,
    down: Linear,
    kind: Kind,
}

/// What is kept of a layer's forward pass.
pub(super) struct Saved {
    /// The layer's input.
    x_SD: Tensor,
    /// The rest, where it is not computed again.
    inside: Option<Inside>,
}

/// What lies inside a layer. Normed rows and the gated product are made again
/// from it: that costs less than keeping them.
struct Inside {
    input_factors_S: Tensor,
    /// Before the norms of query and key heads.
    raw_SC: Tensor,
    attended: Attended,
    middle_SD: Tensor,
    post_factors_S: Tensor,
    gate_up_SF: Tensor,
}

impl Layer {
    pub(super) fn new(config: &ModelConfig, parameters: &Parameters<'_>, index: usize) -> Self {
        let at = |name: &str| format!("model.layers.{index}.{name}");
        let norm = |name: &str| Norm::new(config, parameters, &at(name));
        let linear = |name: &str| Linear::new(parameters, &at(name));
        Self {
            input_norm: norm("input_layernorm.weight"),
            qkv: linear("self_attn.qkv"),
            head_norms: HeadNorms::new(config, parameters, &at("self_attn")),
            output: linear("self_attn.o_proj"),
            post_norm: norm("post_attention_layernorm.weight"),
            gate_up: linear("mlp.gate_up"),
            down: linear("mlp.down_proj"),
            kind: parameters.kind,
        }
    }

    /// The residual stream after the layer, and what is kept.
    pub(super) fn forward(
        &self,
        x_SD: Tensor,
        batch: &Batch<'_>,
        keep: Keep,
    ) -> (Tensor, Option<Saved>) {
        let (next_SD, inside) = self.compute(&x_SD, batch, keep == Keep::Everything);
        let saved = (keep != Keep::Nothing).then(|| Saved {
            x_SD,
            inside: (keep == Keep::Everything).then_some(inside),
        });
        (next_SD, saved)
    }

    fn compute(&self, x_SD: &Tensor, batch: &Batch<'_>, returns: bool) -> (Tensor, Inside) {
        let (normed_SD, input_factors_S) = self.input_norm.forward(x_SD);
        let raw_SC = self.qkv.forward(&normed_SD);
        drop(normed_SD);
        let attended = match &self.head_norms {
            Some(norms) => batch.attend(&norms.forward(&raw_SC), returns),
            None => batch.attend(&raw_SC, returns),
        };
        let middle_SD = x_SD + self.output.forward(attended.mixed_SD());
        let (normed_SD, post_factors_S) = self.post_norm.forward(&middle_SD);
        let gate_up_SF = self.gate_up.forward(&normed_SD);
        drop(normed_SD);
        let next_SD = &middle_SD + self.down.forward(&gate(&gate_up_SF));
        let inside = Inside {
            input_factors_S,
            raw_SC,
            attended,
            middle_SD,
            post_factors_S,
            gate_up_SF,
        };
        (next_SD, inside)
    }

    /// Makes of the gradient of the layer's output that of its input, in place.
    pub(super) fn backward(&self, saved: Saved, batch: &Batch<'_>, gradient_SD: &Tensor) {
        let Saved { x_SD, inside } = saved;
        let inside = inside.unwrap_or_else(|| self.compute(&x_SD, batch, true).1);
        let half_SD = gradient_SD.to_kind(self.kind);
        let gated_SF = gate(&inside.gate_up_SF);
        let gated_gradient_SF = self.down.backward(&gated_SF, &half_SD);
        drop(gated_SF);
        let gate_up_gradient_SF = gate_backward(&inside.gate_up_SF, &gated_gradient_SF);
        let (normed_SD, _) = self.post_norm.forward(&inside.middle_SD);
        let normed_gradient_SD = self.gate_up.backward(&normed_SD, &gate_up_gradient_SF);
        self.post_norm.backward(
            &inside.middle_SD,
            &inside.post_factors_S,
            &normed_gradient_SD,
            gradient_SD,
        );
        let half_SD = gradient_SD.to_kind(self.kind);
        let mixed_gradient_SD = self.output.backward(inside.attended.mixed_SD(), &half_SD);
        let raw_gradient_SC = match &self.head_norms {
            Some(norms) => {
                let qkv_SC = norms.forward(&inside.raw_SC);
                let gradient_SC = batch.backward(&qkv_SC, inside.attended, &mixed_gradient_SD);
                norms.backward(&inside.raw_SC, &gradient_SC)
            }
            None => batch.backward(&inside.raw_SC, inside.attended, &mixed_gradient_SD),
        };
        let (normed_SD, _) = self.input_norm.forward(&x_SD);
        let normed_gradient_SD = self.qkv.backward(&normed_SD, &raw_gradient_SC);
        self.input_norm.backward(
            &x_SD,
            &inside.input_factors_S,
            &normed_gradient_SD,
            gradient_SD,
        );
    }
}
