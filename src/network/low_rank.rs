//! What an adapter adds to a product, and its backward pass.
//!
//! LoRA adds s B A x. `DoRA` makes of W x in all m / n * (W x + s B A x), where the
//! row norms n of W + s B A have no gradient; sources are named in
//! [`crate::model::adapter`]. Under dropout the adapter's product reads the input
//! that is left, and so does W's where `DoRA` scales it: y = W x + b + (m / n - 1) *
//! W x' + m / n * s B A x', as in PEFT.

use std::rc::Rc;

use anyhow::Result;
use tch::{Kind, Tensor};

use super::dropout::{Dropout, Mask};
use super::linear::add_product;
use super::parameters::{Memory, Parameters, Place, needed};
use crate::model::adapter::{Adapter, Part, Piece, row_norms};

/// The adapter of one matrix, which is the rows of a leaf from `first` on.
pub(super) struct LowRank {
    first: i64,
    scale: f64,
    /// A, `[r, in]`.
    down: Tensor,
    /// B, `[rows, r]`.
    up: Tensor,
    down_gradient: Option<Tensor>,
    up_gradient: Option<Tensor>,
    magnitude: Option<Magnitude>,
    dropout: Option<Rc<Dropout>>,
    /// The matrix's name without its kind.
    module: String,
}

/// How `DoRA` scales the rows of the matrix.
struct Magnitude {
    /// W, `[rows, in]`, as products take it.
    weight: Tensor,
    /// What is added to W x, `[rows]`.
    bias: Option<Tensor>,
    /// m / n, `[rows]`.
    factors: Tensor,
    /// m / n - 1, `[rows]`.
    excess: Tensor,
    /// n, `[rows]`, float32.
    norms: Tensor,
    gradient: Option<Tensor>,
}

impl Magnitude {
    fn new(
        (memory, kind): (&Memory<'_>, Kind),
        (adapter, part): (&Adapter, &Part),
        leaf: &str,
        magnitude: &Tensor,
        change: &Tensor,
    ) -> Result<Self> {
        let of = |vector_P: &Tensor, leaf: &str| {
            let whole = memory.weights.view(vector_P, leaf)?;
            Some(whole.narrow(0, part.first, magnitude.size()[0]))
        };
        let weight = format!("{leaf}.weight");
        let plain = needed(of(memory.weights.flat(), &weight), &weight)?;
        let norms = row_norms(&(plain + change));
        let factors = magnitude / &norms;
        let gradient_P = memory.gradient_P.as_ref();
        Ok(Self {
            weight: needed(of(&memory.operands_P, &weight), &weight)?,
            bias: of(&memory.operands_P, &format!("{leaf}.bias")),
            excess: (&factors - 1.0).to_kind(kind),
            factors: factors.to_kind(kind),
            norms,
            gradient: gradient_P
                .and_then(|vector_P| adapter.piece(vector_P, &part.module, Piece::Magnitude)),
        })
    }
}

impl LowRank {
    /// The adapters of the matrices of a leaf, none where there are none:
    /// `model.layers.0.self_attn.qkv`.
    pub(super) fn parts(parameters: &Parameters<'_>, leaf: &str) -> Result<Vec<Self>> {
        let _guard = tch::no_grad_guard();
        let Place::Memory(memory) = &parameters.place else {
            return Ok(Vec::new());
        };
        let Some(adapter) = memory.adapter else {
            return Ok(Vec::new());
        };
        let parts = adapter.parts(leaf).iter();
        parts
            .map(|part| Self::new((memory, parameters.kind), (adapter, part), leaf))
            .collect()
    }

    fn new(
        (memory, kind): (&Memory<'_>, Kind),
        (adapter, part): (&Adapter, &Part),
        leaf: &str,
    ) -> Result<Self> {
        let module = &part.module;
        let own = |piece| adapter.piece(adapter.weights().flat(), module, piece);
        let gradient = |piece| adapter.piece(memory.gradient_P.as_ref()?, module, piece);
        let down = needed(own(Piece::A), module)?;
        let up = needed(own(Piece::B), module)?;
        let magnitude = own(Piece::Magnitude).map(|magnitude| {
            let change = up.matmul(&down) * adapter.scale();
            Magnitude::new((memory, kind), (adapter, part), leaf, &magnitude, &change)
        });
        Ok(Self {
            first: part.first,
            scale: adapter.scale(),
            down: down.to_kind(kind),
            up: up.to_kind(kind),
            down_gradient: gradient(Piece::A),
            up_gradient: gradient(Piece::B),
            magnitude: magnitude.transpose()?,
            dropout: memory.dropout.clone(),
            module: module.clone(),
        })
    }

    /// Adds to its columns of `y`, `[S, out]`, what it makes of `x`, `[S, in]`. There
    /// is nothing in them but the product of the leaf and its bias.
    pub(super) fn forward(&self, x: &Tensor, y: &Tensor) {
        let own = self.of(y);
        let mask = self.mask(x);
        let left = left_of(mask.as_ref(), x);
        let mut change = self.product(&linear(&left, &self.down));
        if let Some(magnitude) = &self.magnitude {
            let base = match (&mask, &magnitude.bias) {
                (Some(_), _) => linear(&left, &magnitude.weight),
                (None, Some(bias)) => &own - bias,
                (None, None) => own.shallow_clone(),
            };
            change = change * &magnitude.factors + base * &magnitude.excess;
        }
        let _ = own.shallow_clone().g_add_(&change);
    }

    /// Adds to the gradient of `x` what comes back from that of `y`; sums the
    /// parameters' own.
    pub(super) fn backward(&self, x: &Tensor, y_gradient: &Tensor, x_gradient: &Tensor) {
        let y_gradient = self.of(y_gradient);
        let mask = self.mask(x);
        let left = left_of(mask.as_ref(), x);
        let mut own = &y_gradient * self.scale;
        if let Some(magnitude) = &self.magnitude {
            own *= &magnitude.factors;
        }
        let narrow = linear(&left, &self.down);
        if let Some(sum) = &self.up_gradient {
            add_product(sum, &own, &narrow, None);
        }
        let narrow_gradient = own.matmul(&self.up);
        if let Some(sum) = &self.down_gradient {
            add_product(sum, &narrow_gradient, &left, None);
        }
        let mut left_gradient = narrow_gradient.matmul(&self.down);
        if let Some(magnitude) = &self.magnitude {
            if let Some(sum) = &magnitude.gradient {
                let whole = linear(&left, &magnitude.weight) + self.product(&narrow);
                let each = y_gradient.to_kind(Kind::Float) * whole / &magnitude.norms;
                let rows = each.sum_dim_intlist(0, false, Kind::Float);
                let _ = sum.shallow_clone().g_add_(&rows);
            }
            left_gradient += (&y_gradient * &magnitude.excess).matmul(&magnitude.weight);
        }
        let _ = x_gradient
            .shallow_clone()
            .g_add_(&left_of(mask.as_ref(), &left_gradient));
    }

    /// s B A x from A x.
    fn product(&self, narrow: &Tensor) -> Tensor {
        linear(narrow, &self.up) * self.scale
    }

    fn mask(&self, x: &Tensor) -> Option<Mask> {
        self.dropout.as_ref()?.mask(&self.module, x)
    }

    /// The columns of `[S, out]` that it adds to.
    fn of(&self, y: &Tensor) -> Tensor {
        y.narrow(1, self.first, self.up.size()[0])
    }
}

fn linear(x: &Tensor, weight: &Tensor) -> Tensor {
    x.linear(weight, None::<Tensor>)
}

/// What dropout leaves of an input, or of the gradient of what it left.
fn left_of(mask: Option<&Mask>, x: &Tensor) -> Tensor {
    mask.map_or_else(|| x.shallow_clone(), |mask| mask.apply(x))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn wave(shape: &[i64], turn: f64) -> Tensor {
        let count: i64 = shape.iter().product();
        let flat = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1.7 + turn).sin();
        flat.view(shape)
    }

    /// A part of rows 2 to 7 of a leaf of 9 rows, with row norms that are not those of
    /// its own sum: they are constants of the backward pass.
    struct Case {
        /// x, A, B and m.
        inputs: [Tensor; 4],
        weight: Tensor,
        bias: Option<Tensor>,
        norms: Tensor,
        dora: bool,
        dropout: Option<Rc<Dropout>>,
    }

    impl Case {
        fn part(&self, inputs: &[Tensor; 4], sums: Option<&[Tensor; 4]>) -> LowRank {
            let gradient = |place: usize| sums.map(|sums| sums[place].shallow_clone());
            let factors = &inputs[3] / &self.norms;
            LowRank {
                first: 2,
                scale: 0.7,
                down: inputs[1].shallow_clone(),
                up: inputs[2].shallow_clone(),
                down_gradient: gradient(1),
                up_gradient: gradient(2),
                magnitude: self.dora.then(|| Magnitude {
                    weight: self.weight.narrow(0, 2, 5),
                    bias: self.bias.as_ref().map(|bias| bias.narrow(0, 2, 5)),
                    excess: &factors - 1.0,
                    factors,
                    norms: self.norms.shallow_clone(),
                    gradient: gradient(3),
                }),
                dropout: self.dropout.clone(),
                module: "q_proj".to_owned(),
            }
        }

        fn objective(&self, inputs: &[Tensor; 4]) -> f64 {
            let y = inputs[0].linear(&self.weight, self.bias.as_ref());
            self.part(inputs, None).forward(&inputs[0], &y);
            (y * wave(&[6, 9], 0.4)).sum(Kind::Double).double_value(&[])
        }
    }

    #[test]
    fn every_gradient_is_that_of_differences_at_fixed_norms() {
        let dropout = Rc::new(Dropout::new(0.4, 5));
        dropout.of_update(3);
        dropout.over(&[11, 12, 13, 14, 15, 16]);
        for (dora, biased, drops) in [
            (false, false, false),
            (false, true, true),
            (true, false, false),
            (true, true, false),
            (true, true, true),
        ] {
            let case = Case {
                inputs: [
                    wave(&[6, 4], 0.1),
                    wave(&[2, 4], 0.2),
                    wave(&[5, 2], 0.3),
                    wave(&[5], 0.5) + 2.0,
                ],
                weight: wave(&[9, 4], 0.6),
                bias: biased.then(|| wave(&[9], 0.7)),
                norms: wave(&[5], 0.8) + 1.5,
                dora,
                dropout: drops.then(|| Rc::clone(&dropout)),
            };
            let sums = case.inputs.each_ref().map(Tensor::zeros_like);
            let part = case.part(&case.inputs, Some(&sums));
            let y_gradient = wave(&[6, 9], 0.4);
            let x_gradient = y_gradient.matmul(&case.weight);
            part.backward(&case.inputs[0], &y_gradient, &x_gradient);
            let [x, down, up, magnitude] = &case.inputs;
            let y = x.linear(&case.weight, case.bias.as_ref());
            let left = match case.dropout.as_ref() {
                Some(dropout) => dropout.mask("q_proj", x).unwrap().apply(x),
                None => x.shallow_clone(),
            };
            let factors = if dora {
                magnitude / &case.norms
            } else {
                magnitude.ones_like()
            };
            let change = linear(&linear(&left, down), up) * 0.7;
            let base = linear(&left, &case.weight.narrow(0, 2, 5));
            let expected =
                &y + (change * &factors + base * (&factors - 1.0)).constant_pad_nd([2, 2]);
            part.forward(x, &y);
            assert!((y - expected).abs().max().double_value(&[]) < 2e-6);
            let found = [&x_gradient, &sums[1], &sums[2], &sums[3]];
            for (place, found) in found.into_iter().enumerate() {
                for index in 0..found.numel() as i64 {
                    let at = |by: f64| {
                        let moved = case.inputs.each_ref().map(Tensor::copy);
                        let mut one = moved[place].view([-1]).get(index);
                        let _ = one.g_add_scalar_(by);
                        case.objective(&moved)
                    };
                    // What is given is linear in each input, so a step may be long.
                    let slope = at(0.5) - at(-0.5);
                    let own = found.view([-1]).double_value(&[index]);
                    let far = (slope - own).abs();
                    assert!(far < 2e-5, "{place} {index}: {own} for {slope}");
                }
            }
        }
    }
}
