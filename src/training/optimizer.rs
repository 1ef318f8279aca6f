//! AdamW and Muon over the flat parameter vector.
//!
//! AdamW: Loshchilov & Hutter 2019 (arXiv 1711.05101); matrices decay, norms and
//! biases do not. Muon: Jordan et al. 2024, momentum .95 with Nesterov, five
//! Newton-Schulz iterations with the published coefficients; matrices of one shape
//! are orthogonalised together.

use std::collections::BTreeMap;
use std::ops::Range;

use tch::{Kind, Tensor};
use torch_ext::{AdamW, Quartet};

use super::settings::{Optimizer, Training};
use crate::model::Weights;
use crate::model::weights::Entry;

const MUON_MOMENTUM: f64 = 0.95;
/// Coefficients of the quintic iteration, from the source.
const NEWTON_SCHULZ: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

/// An optimizer's memory. Vectors are laid out as the weights are: `[P]`, or
/// one part of that, for the weights of that part alone.
#[derive(Debug)]
pub struct State {
    /// Updates made.
    pub updates: u64,
    /// The place of the first weight that it is for.
    pub first: i64,
    /// First moment; momentum for Muon's matrices.
    pub first_P: Tensor,
    /// Second moment.
    pub second_P: Tensor,
}

impl State {
    /// Memory before the first update.
    pub fn new(weights: &Weights) -> Self {
        Self::for_part(weights, 0..weights.count())
    }

    /// The same for a part of the weights.
    pub fn for_part(weights: &Weights, part: Range<i64>) -> Self {
        let zeros = || {
            weights
                .flat()
                .narrow(0, part.start, part.end - part.start)
                .zeros_like()
        };
        Self {
            updates: 0,
            first: part.start,
            first_P: zeros(),
            second_P: zeros(),
        }
    }

    /// What of it a part of the weights needs.
    #[must_use]
    pub fn part(&self, part: Range<i64>) -> Self {
        let own = |of: &Tensor| {
            of.narrow(0, part.start - self.first, part.end - part.start)
                .copy()
        };
        Self {
            updates: self.updates,
            first: part.start,
            first_P: own(&self.first_P),
            second_P: own(&self.second_P),
        }
    }

    /// One update of the weights by `scale` times a gradient, which is used up
    /// and laid out as the memory is. Muon needs all of it. `rate` is the
    /// schedule's share of the peak learning rate.
    pub fn update(
        &mut self,
        weights: &Weights,
        gradient_P: &Tensor,
        scale: f64,
        training: &Training,
        rate: f64,
    ) {
        let _guard = tch::no_grad_guard();
        self.updates += 1;
        let learning_rate = training.learning_rate * rate;
        let orthogonal = match training.optimizer {
            Optimizer::Adamw => BTreeMap::new(),
            Optimizer::Muon => {
                let matrices = hidden_matrices(weights);
                self.orthogonalised(weights, &matrices, gradient_P, scale, training, rate);
                matrices
            }
        };
        let is_left = |entry: &Entry| !orthogonal.values().flatten().any(|&o| o == entry.offset);
        for decays in [true, false] {
            let adamw = AdamW {
                step: self.updates,
                learning_rate,
                betas: (training.adam_beta1, training.adam_beta2),
                weight_decay: if decays { training.weight_decay } else { 0.0 },
                epsilon: training.adam_epsilon,
                divisor: 1.0 / scale,
            };
            let end = self.first + self.first_P.numel() as i64;
            let own_P = weights.flat().narrow(0, self.first, end - self.first);
            let gradient_P = gradient_P.narrow(0, 0, end - self.first);
            let quartets: Vec<Quartet> = weights
                .entries()
                .iter()
                .filter(|entry| is_left(entry) && (entry.shape.len() == 2) == decays)
                .filter_map(|entry| {
                    let from = entry.offset.max(self.first);
                    let count = (entry.offset + entry.len()).min(end) - from;
                    let part = |of: &Tensor| of.narrow(0, from - self.first, count);
                    (count > 0)
                        .then(|| [&own_P, &gradient_P, &self.first_P, &self.second_P].map(part))
                })
                .collect();
            adamw
                .update(&quartets)
                .expect("parts of vectors of one layout are of one shape and kind");
        }
    }

    /// Muon's update of the matrices inside layers. Their momentum lies where
    /// AdamW keeps its first moment.
    fn orthogonalised(
        &self,
        weights: &Weights,
        matrices: &BTreeMap<Vec<i64>, Vec<i64>>,
        gradient_P: &Tensor,
        scale: f64,
        training: &Training,
        rate: f64,
    ) {
        let decay = 1.0 - training.learning_rate * rate * training.weight_decay;
        for (shape, offsets) in matrices {
            let length: i64 = shape.iter().product();
            let part = |of: &Tensor, offset: i64| of.narrow(0, offset, length);
            let stack = |from: &Tensor| {
                let parts: Vec<Tensor> = offsets
                    .iter()
                    .map(|&offset| part(from, offset).view(shape.as_slice()))
                    .collect();
                Tensor::stack(&parts, 0)
            };
            let gradients = stack(gradient_P) * scale;
            let momentum = stack(&self.first_P) * MUON_MOMENTUM + &gradients;
            let looked_ahead = gradients + &momentum * MUON_MOMENTUM;
            let growth = (shape[0] as f64 / shape[1] as f64).max(1.0).sqrt();
            let step = orthogonalise(&looked_ahead) * (growth * training.muon_learning_rate * rate);
            for (index, &offset) in (0i64..).zip(offsets) {
                part(&self.first_P, offset).copy_(&momentum.select(0, index).reshape([-1]));
                let mut own = part(weights.flat(), offset);
                let _ = own.g_mul_scalar_(decay);
                let _ = own.g_sub_(&step.select(0, index).reshape([-1]));
            }
        }
    }
}

/// Offsets of the matrices inside layers, by shape.
fn hidden_matrices(weights: &Weights) -> BTreeMap<Vec<i64>, Vec<i64>> {
    let mut by_shape: BTreeMap<Vec<i64>, Vec<i64>> = BTreeMap::new();
    for entry in weights.entries() {
        if entry.is_hidden_matrix() {
            by_shape
                .entry(entry.shape.clone())
                .or_default()
                .push(entry.offset);
        }
    }
    by_shape
}

/// Brings the singular values of each matrix of a stack close to 1.
fn orthogonalise(stack: &Tensor) -> Tensor {
    let (a, b, c) = NEWTON_SCHULZ;
    let tall = stack.size()[1] > stack.size()[2];
    let wide = if tall {
        stack.transpose(1, 2)
    } else {
        stack.shallow_clone()
    };
    let norms = wide
        .square()
        .sum_dim_intlist([1i64, 2].as_slice(), true, Kind::Float)
        .sqrt();
    let mut x = wide / (norms + 1e-7);
    for _ in 0..5 {
        let gram = x.matmul(&x.transpose(1, 2));
        let polynomial = &gram * b + gram.matmul(&gram) * c;
        x = &x * a + polynomial.matmul(&x);
    }
    if tall { x.transpose(1, 2) } else { x }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::ModelShape;
    use crate::training::TrainingSettings;

    fn weights() -> Weights {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        Weights::random(&config, 3, Device::Cpu)
    }

    fn training(optimizer: Optimizer) -> Training {
        TrainingSettings {
            steps: Some(10),
            optimizer: Some(optimizer),
            learning_rate: Some(0.01),
            ..TrainingSettings::default()
        }
        .resolve(&TrainingSettings::default(), "training")
        .unwrap()
    }

    #[test]
    fn adamw_makes_the_steps_of_pytorch() {
        // Reference by hand for one element with gradients 0.5 then half of -0.5:
        // step 1 moves by lr * 0.5 / (0.5 + eps); step 2 by the bias-corrected ratio.
        let weights = weights();
        let before = weights.flat().double_value(&[0]);
        let mut state = State::new(&weights);
        let training = training(Optimizer::Adamw);
        let gradient = |value: f64| weights.flat().full_like(value);
        state.update(&weights, &gradient(0.5), 1.0, &training, 1.0);
        state.update(&weights, &gradient(-0.5), 0.5, &training, 1.0);
        let m = 0.9 * (0.1 * 0.5) + 0.1 * -0.25;
        let v: f64 = 0.999 * (0.001 * 0.25) + 0.001 * 0.0625;
        let second = 0.01 * (m / (1.0 - 0.81)) / ((v / (1.0 - 0.998_001)).sqrt() + 1e-8);
        let moved = before - weights.flat().double_value(&[0]);
        assert!((moved - (0.01 + second)).abs() < 1e-6, "{moved}");
    }

    #[test]
    fn adamw_takes_its_betas_and_epsilon_from_the_settings() {
        // By hand as above, with betas .5 and .75, an epsilon that shows, and one gradient.
        let weights = weights();
        let before = weights.flat().double_value(&[0]);
        let training = Training {
            adam_beta1: 0.5,
            adam_beta2: 0.75,
            adam_epsilon: 0.5,
            ..training(Optimizer::Adamw)
        };
        let mut state = State::new(&weights);
        for _ in 0..2 {
            let gradient = weights.flat().full_like(0.5);
            state.update(&weights, &gradient, 1.0, &training, 1.0);
        }
        // Both moments corrected, 0.5 / (0.5 + 0.5) at each step.
        let moved = before - weights.flat().double_value(&[0]);
        assert!((moved - 0.01).abs() < 1e-6, "{moved}");
        let moments = [&state.first_P, &state.second_P].map(|moment| moment.double_value(&[0]));
        assert!((moments[0] - 0.375).abs() < 1e-6, "{moments:?}");
        assert!((moments[1] - 0.25 * 0.4375).abs() < 1e-6, "{moments:?}");
    }

    #[test]
    fn muon_moves_matrices_by_an_orthogonal_step() {
        let weights = weights();
        let before = weights.duplicate();
        let mut state = State::new(&weights);
        let gradient = weights.flat().copy();
        state.update(&weights, &gradient, 1.0, &training(Optimizer::Muon), 1.0);
        let name = "model.layers.0.self_attn.q_proj.weight";
        let step = before.get(name) - weights.get(name);
        let (_, singular, _) = (step / 0.02).svd(true, true);
        assert!(singular.max().double_value(&[]) < 1.4);
        assert!(singular.min().double_value(&[]) > 0.3);
    }

    #[test]
    fn parts_together_make_the_update_of_the_whole() {
        let training = training(Optimizer::Adamw);
        let (whole, parted) = (weights(), weights());
        let gradient = whole.flat() * 0.3 + 0.01;
        let mut state = State::new(&whole);
        let cut = whole.count() / 2 + 3;
        let parts = [0..cut, cut..whole.count()];
        let mut states = parts.clone().map(|part| State::for_part(&parted, part));
        for _ in 0..2 {
            state.update(&whole, &gradient.copy(), 0.5, &training, 1.0);
            for state in &mut states {
                let own = gradient.narrow(0, state.first, state.first_P.numel() as i64);
                state.update(&parted, &own.copy(), 0.5, &training, 1.0);
            }
        }
        // Where a vector register begins decides how some numbers are rounded.
        let same = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 1e-7;
        assert!(same(whole.flat(), parted.flat()));
        for (own, part) in states.iter().zip(parts) {
            let of_whole = state.part(part);
            assert!(same(&own.first_P, &of_whole.first_P));
            assert!(same(&own.second_P, &of_whole.second_P));
        }
    }

    #[test]
    fn weight_decay_spares_the_norms() {
        let weights = weights();
        let mut state = State::new(&weights);
        let mut training = training(Optimizer::Adamw);
        training.weight_decay = 0.5;
        let before = weights.duplicate();
        state.update(&weights, &weights.flat().zeros_like(), 1.0, &training, 1.0);
        let ratio =
            |name: &str| weights.get(name).double_value(&[0]) / before.get(name).double_value(&[0]);
        assert!((ratio("model.norm.weight") - 1.0).abs() < 1e-7);
        let matrix = "model.embed_tokens.weight";
        let shrunk =
            weights.get(matrix).double_value(&[2, 3]) / before.get(matrix).double_value(&[2, 3]);
        assert!((shrunk - 0.995).abs() < 1e-5);
    }
}
