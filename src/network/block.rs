//! One layer: attention and the gated feed-forward layer, each added to the
//! residual stream, forward and backward.

use anyhow::Result;
use tch::{Kind, Tensor};
use torch_ext::{Activation, attention::Attended, layers};

use super::Keep;
use super::attention::{Attention, LayerAttention, PackedAttention};
use super::linear::Linear;
use super::norm::Norm;
use super::parameters::Parameters;

/// A layer's parameters.
pub(super) struct Block {
    attention: Part,
    heads: LayerAttention,
    feed_forward: Part,
    activation: Activation,
    kind: Kind,
}

/// A part of a layer between two points of the residual stream: a norm and a
/// product before what the part is about, a product and a norm behind it. Which norms there
/// are is the architecture's.
struct Part {
    before: Option<Norm>,
    enter: Linear,
    leave: Linear,
    after: Option<Norm>,
    kind: Kind,
}

/// What the norm behind a part read, float32, and its factors.
type Left = Option<(Tensor, Tensor)>;

/// What is kept of a layer's forward pass; `A` of its attention.
pub(crate) struct Saved<A> {
    /// The layer's input.
    x_SD: Tensor,
    /// The rest, where it is not computed again.
    inside: Option<Inside<A>>,
}

/// What lies inside a layer. Normed rows and the gated product are made again
/// from it: that costs less than keeping them.
struct Inside<A> {
    entered_S: Option<Tensor>,
    /// Before the norms of query and key heads.
    raw_SC: Tensor,
    mixed_SX: Tensor,
    attended: A,
    left: Left,
    middle_SD: Tensor,
    fed_S: Option<Tensor>,
    gate_up_SF: Tensor,
    fed: Left,
}

impl Part {
    fn new(
        parameters: &Parameters<'_>,
        layer: usize,
        [before, after]: [Option<&str>; 2],
        enter: Linear,
        leave: Linear,
    ) -> Result<Self> {
        let norm = |name: Option<&str>, kind: Kind| {
            let at = |name: &str| format!("model.layers.{layer}.{name}.weight");
            name.map(|name| Norm::new(parameters, &at(name), kind))
                .transpose()
        };
        Ok(Self {
            before: norm(before, parameters.kind)?,
            enter,
            leave,
            after: norm(after, Kind::Float)?,
            kind: parameters.kind,
        })
    }

    /// The product of the residual stream, and the factors of the norm before it
    /// where a backward pass follows.
    fn enter(&self, x_SD: &Tensor, returns: bool) -> (Tensor, Option<Tensor>) {
        match &self.before {
            Some(norm) if returns => {
                let (normed_SD, factors_S) = norm.forward(x_SD);
                (self.enter.forward(&normed_SD), Some(factors_S))
            }
            Some(norm) => (self.enter.forward(&norm.rows(x_SD)), None),
            None => (self.enter.forward(&x_SD.to_kind(self.kind)), None),
        }
    }

    /// The residual stream with the product of `inner` added, in place unless
    /// it is kept; and what a backward pass needs, where one follows.
    fn leave(&self, x_SD: Tensor, inner: &Tensor, kept: bool, returns: bool) -> (Tensor, Left) {
        let Some(norm) = &self.after else {
            let next_SD = if kept {
                x_SD + self.leave.forward(inner)
            } else {
                self.leave.add_to(inner, x_SD)
            };
            return (next_SD, None);
        };
        let y_SD = self.leave.forward(inner).to_kind(Kind::Float);
        if !returns {
            return (x_SD + norm.rows(&y_SD), None);
        }
        let (normed_SD, factors_S) = norm.forward(&y_SD);
        (x_SD + normed_SD, Some((y_SD, factors_S)))
    }

    /// The gradient of `inner`, from that of the residual stream after the part.
    fn leave_backward(&self, inner: &Tensor, left: Left, gradient_SD: &Tensor) -> Tensor {
        let (Some(norm), Some((y_SD, factors_S))) = (&self.after, left) else {
            return self.leave.backward(inner, &gradient_SD.to_kind(self.kind));
        };
        let y_gradient_SD = y_SD.zeros_like();
        norm.backward(&y_SD, &factors_S, gradient_SD, &y_gradient_SD);
        let y_gradient_SD = y_gradient_SD.to_kind(self.kind);
        self.leave.backward(inner, &y_gradient_SD)
    }

    /// Adds to the gradient of the residual stream before the part what comes back through its
    /// first product.
    fn enter_backward(
        &self,
        x_SD: &Tensor,
        factors_S: Option<&Tensor>,
        y_gradient: &Tensor,
        gradient_SD: &Tensor,
    ) {
        let (Some(norm), Some(factors_S)) = (&self.before, factors_S) else {
            let own_SD = self.enter.backward(&x_SD.to_kind(self.kind), y_gradient);
            let _ = gradient_SD.shallow_clone().g_add_(&own_SD);
            return;
        };
        let normed_SD = norm.rows(x_SD);
        let normed_gradient_SD = self.enter.backward(&normed_SD, y_gradient);
        norm.backward(x_SD, factors_S, &normed_gradient_SD, gradient_SD);
    }
}

impl Block {
    pub(super) fn new(parameters: &Parameters<'_>, index: usize) -> Result<Self> {
        let config = parameters.config;
        let at = |name: &str| format!("model.layers.{index}.{name}");
        let linear = |name: &str| Linear::new(parameters, &at(name));
        let norms = config.norms;
        Ok(Self {
            attention: Part::new(
                parameters,
                index,
                [norms.before_attention, norms.after_attention],
                linear("self_attn.qkv")?,
                linear("self_attn.o_proj")?,
            )?,
            heads: LayerAttention::new(parameters, index)?,
            feed_forward: Part::new(
                parameters,
                index,
                [norms.before_feed_forward, norms.after_feed_forward],
                Linear::gate_up(parameters, &at("mlp.gate_up"))?,
                linear("mlp.down_proj")?,
            )?,
            activation: config.activation,
            kind: parameters.kind,
        })
    }

    /// The residual stream after the layer, and what is kept.
    pub(super) fn forward<A: Attention>(
        &self,
        x_SD: Tensor,
        attention: &mut A,
        keep: Keep,
    ) -> (Tensor, Option<Saved<A::Kept>>) {
        let kept_SD = (keep != Keep::Nothing).then(|| x_SD.shallow_clone());
        let (next_SD, inside) = self.compute(x_SD, attention, keep);
        let saved = kept_SD.map(|x_SD| Saved {
            x_SD,
            inside: (keep == Keep::Everything).then_some(inside),
        });
        (next_SD, saved)
    }

    fn compute<A: Attention>(
        &self,
        x_SD: Tensor,
        attention: &mut A,
        keep: Keep,
    ) -> (Tensor, Inside<A::Kept>) {
        let returns = keep == Keep::Everything;
        let (raw_SC, entered_S) = self.attention.enter(&x_SD, returns);
        let (mixed_SX, attended) = attention.attend(&self.heads, &raw_SC, returns);
        let kept = keep != Keep::Nothing;
        let (middle_SD, left) = self.attention.leave(x_SD, &mixed_SX, kept, returns);
        let (gate_up_SF, fed_S) = self.feed_forward.enter(&middle_SD, returns);
        let kept_SD = middle_SD.shallow_clone();
        let gated_SF = self.gated(&gate_up_SF);
        let (next_SD, fed) = self
            .feed_forward
            .leave(middle_SD, &gated_SF, returns, returns);
        let inside = Inside {
            entered_S,
            raw_SC,
            mixed_SX,
            attended,
            left,
            middle_SD: kept_SD,
            fed_S,
            gate_up_SF,
            fed,
        };
        (next_SD, inside)
    }

    /// `act(gate) * up`, which a packed product has computed already.
    fn gated(&self, gate_up_SF: &Tensor) -> Tensor {
        if self.feed_forward.enter.gates() {
            gate_up_SF.shallow_clone()
        } else {
            layers::gate(gate_up_SF, self.activation).to_kind(self.kind)
        }
    }

    /// Makes of the gradient of the layer's output that of its input, in place.
    pub(super) fn backward(
        &self,
        saved: Saved<Attended>,
        attention: &mut PackedAttention<'_>,
        gradient_SD: &Tensor,
    ) {
        let Saved { x_SD, inside } = saved;
        let again = |attention| {
            let x_SD = x_SD.shallow_clone();
            self.compute(x_SD, attention, Keep::Everything).1
        };
        let inside = inside.unwrap_or_else(|| again(attention));
        let gated_SF = self.gated(&inside.gate_up_SF);
        let gated_gradient_SF =
            self.feed_forward
                .leave_backward(&gated_SF, inside.fed, gradient_SD);
        drop(gated_SF);
        let gate_up_gradient_SF =
            layers::gate_backward(&inside.gate_up_SF, &gated_gradient_SF, self.activation);
        self.feed_forward.enter_backward(
            &inside.middle_SD,
            inside.fed_S.as_ref(),
            &gate_up_gradient_SF,
            gradient_SD,
        );
        let mixed_gradient_SX =
            self.attention
                .leave_backward(&inside.mixed_SX, inside.left, gradient_SD);
        let raw_gradient_SC = attention.backward(
            &self.heads,
            &inside.raw_SC,
            inside.attended,
            &mixed_gradient_SX,
        );
        self.attention.enter_backward(
            &x_SD,
            inside.entered_S.as_ref(),
            &raw_gradient_SC,
            gradient_SD,
        );
    }
}
