//! How far a policy has moved from its base: in what it says, and in its weights.
//!
//! The divergence is KL(policy || base) = sum p (ln p - ln q) over the vocabulary, exact
//! at every position that is looked at, not estimated from the sampled tokens. "RL's Razor"
//! (Shenfeld et al. 2025, arXiv 2509.04259) takes KL(base || policy) on the inputs of the
//! new task. Here it is the other direction, because the positions are also those of the
//! policy's own samples, over which KL(policy || base) of the whole completion is the sum
//! of what is computed; on prompts the same direction is kept, so that the two compare.
//!
//! Both networks compute in float32 and at temperature 1, whatever the number format and
//! temperature of training and evaluation, so that figures of different runs compare.

use algorithms::Example;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::forward::micro_batches;
use crate::generation::Precision;
use crate::model::Decoder;
use crate::network::{Network, Packed};

/// Numbers of a weight that are compared at once; bounds memory.
const PART: i64 = 1 << 20;

/// A sum over positions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Divergence {
    nats: f64,
    positions: f64,
}

impl Divergence {
    /// That of further positions added.
    pub(super) fn add(&mut self, other: Self) {
        self.nats += other.nats;
        self.positions += other.positions;
    }

    /// Nats a position; `None` where there is none, or where the sum is not finite.
    pub(super) fn mean(self) -> Option<f64> {
        (self.positions > 0.0)
            .then_some(self.nats / self.positions)
            .filter(|mean| mean.is_finite())
    }
}

/// KL(policy || base) at the positions that predict the examples' completions; `budget`
/// as for [`micro_batches`].
pub(super) fn divergence(
    policy: &Decoder,
    base: &Decoder,
    examples: &[Example],
    budget: usize,
) -> Divergence {
    let [policy_network, base_network] =
        [policy, base].map(|decoder| Network::reading(decoder, Precision::Float32));
    let mut sum = Divergence::default();
    for rows in micro_batches(examples, budget) {
        let packed = Packed::new(&rows, policy.device());
        let divergences_N = policy_network.divergence(
            &policy_network.read(&packed),
            &base_network,
            &base_network.read(&packed),
        );
        sum.nats += divergences_N.sum(Kind::Double).double_value(&[]);
        sum.positions += divergences_N.size()[0] as f64;
    }
    sum
}

/// A prompt as an example whose completion is predicted at every position of the prompt:
/// what follows its last token is only predicted, so any token stands for it.
pub(super) fn every_position(prompt: &[i64]) -> Option<Example> {
    let (first, others) = prompt.split_first()?;
    Some(Example {
        prompt: vec![*first],
        completion: [others, &[*first]].concat(),
        ..Example::default()
    })
}

/// How far the weights lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Apart {
    /// Euclidean norm of the difference of all parameters, an adapter's change included.
    pub(super) distance: f64,
    /// The same divided by the norm of the base; `None` of a base that is 0.
    pub(super) relative: Option<f64>,
}

/// How far a policy's weights lie from those of its base, which has the same layout.
pub(super) fn weights(policy: &Decoder, base: &Decoder) -> Apart {
    let _guard = tch::no_grad_guard();
    let (mut moved, mut whole) = (0.0, 0.0);
    for entry in base.weights().entries() {
        let now = policy.merged(&entry.name).reshape([-1]);
        let before = base.weights().get(&entry.name).reshape([-1]);
        for first in (0..entry.len()).step_by(PART as usize) {
            let part = |values: &Tensor| values.narrow(0, first, PART.min(entry.len() - first));
            moved += squares(&(part(&now) - part(&before)));
            whole += squares(&part(&before));
        }
    }
    let distance = f64::sqrt(moved);
    Apart {
        distance,
        relative: (whole > 0.0).then(|| distance / f64::sqrt(whole)),
    }
}

fn squares(values: &Tensor) -> f64 {
    values.square().sum(Kind::Double).double_value(&[])
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::{Adapter, LoraSettings, ModelShape, Weights};
    use crate::network;

    fn decoder(seed: u64) -> Decoder {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        Decoder::new(config.clone(), Weights::random(&config, seed, Device::Cpu))
    }

    fn copy(decoder: &Decoder) -> Decoder {
        Decoder::new(decoder.config().clone(), decoder.weights().duplicate())
    }

    /// The base, and it with a fresh adapter.
    fn adapted() -> (Decoder, Decoder) {
        let base = decoder(5);
        let settings = "r = 2\nalpha = 4\ntarget_modules = [\"q_proj\", \"o_proj\", \"up_proj\"]";
        let settings: LoraSettings = toml::from_str(settings).unwrap();
        let adapter = Adapter::random(&base, &settings, 1).unwrap();
        let policy = copy(&base).with_adapter(adapter);
        (base, policy)
    }

    /// Moves what is trained.
    fn shift(decoder: &Decoder, by: f64) {
        let flat = decoder.trainable().flat();
        let wave = (Tensor::arange(flat.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).sin();
        let _ = flat.shallow_clone().g_add_(&(wave * by));
    }

    fn example(prompt: &[i64], completion: &[i64]) -> Example {
        Example {
            prompt: prompt.to_vec(),
            completion: completion.to_vec(),
            ..Example::default()
        }
    }

    fn examples() -> Vec<Example> {
        vec![
            example(&[3, 4, 5, 6, 11], &[7, 8, 2]),
            example(&[3, 4, 5, 6, 11], &[9]),
            example(&[5, 7], &[4, 4, 12, 13]),
        ]
    }

    /// KL(policy || base) after each token of a sequence, from all logits in float64.
    fn plainly(policy: &Decoder, base: &Decoder, ids: &[i64]) -> Vec<f64> {
        let [own_TV, other_TV] = [policy, base]
            .map(|decoder| network::logits(decoder, ids).log_softmax(-1, Kind::Double));
        let sum_T = (own_TV.exp() * (&own_TV - other_TV)).sum_dim_intlist(-1, false, Kind::Double);
        Vec::try_from(sum_T).unwrap()
    }

    fn assert_near(found: Option<f64>, expected: &[f64]) {
        let expected = expected.iter().sum::<f64>() / expected.len() as f64;
        let found = found.unwrap();
        assert!(expected > 1e-4, "{expected}");
        let far = (found - expected).abs();
        assert!(far < 1e-4 * expected + 1e-7, "{found} {expected}");
    }

    #[test]
    fn divergences_are_those_of_all_logits_in_float64() {
        let base = decoder(5);
        let moved = copy(&base);
        shift(&moved, 0.05);
        let (adapter_base, with_adapter) = adapted();
        shift(&with_adapter, 0.2);
        for (policy, base) in [(&moved, &base), (&with_adapter, &adapter_base)] {
            let mut of_samples = Vec::new();
            for row in examples() {
                let ids = [&*row.prompt, &*row.completion].concat();
                let after = plainly(policy, base, &ids);
                let first = row.prompt.len() - 1;
                of_samples.extend_from_slice(&after[first..first + row.completion.len()]);
            }
            for budget in [1, 1000] {
                let found = divergence(policy, base, &examples(), budget);
                assert_near(found.mean(), &of_samples);
            }
            let prompts: [&[i64]; 3] = [&[3, 4, 5, 6, 11], &[5], &[7, 8]];
            let of_prompts = prompts.map(|prompt| plainly(policy, base, prompt)).concat();
            assert_eq!(of_prompts.len(), 8);
            let rows: Vec<Example> = prompts.into_iter().filter_map(every_position).collect();
            assert_near(divergence(policy, base, &rows, 1000).mean(), &of_prompts);
        }
    }

    #[test]
    fn a_vocabulary_that_is_gone_through_in_parts_gives_the_same() {
        // 41 rows of logits are in memory at a time.
        let config = ModelShape::tiny().config(200_000, 1, 2, 0);
        let [policy, base] = [5, 6].map(|seed| {
            let weights = Weights::random(&config, seed, Device::Cpu);
            shift(&Decoder::new(config.clone(), weights.share()), 0.2);
            Decoder::new(config.clone(), weights)
        });
        let prompt: Vec<i64> = (0..50).map(|place| 3 + 1000 * place).collect();
        let row = every_position(&prompt).unwrap();
        let found = divergence(&policy, &base, &[row], 1000);
        assert_near(found.mean(), &plainly(&policy, &base, &prompt));
    }

    #[test]
    fn what_has_not_moved_is_at_no_distance_exactly() {
        let base = decoder(5);
        let (adapter_base, fresh) = adapted();
        for (policy, base) in [(&copy(&base), &base), (&fresh, &adapter_base)] {
            let mean = divergence(policy, base, &examples(), 1000).mean();
            assert_eq!(mean, Some(0.0));
            let apart = weights(policy, base);
            assert_eq!((apart.distance, apart.relative), (0.0, Some(0.0)));
        }
        assert_eq!(divergence(&base, &base, &[], 1000).mean(), None);
        assert_eq!(every_position(&[]), None);
    }

    #[test]
    fn the_direction_is_from_the_policy() {
        let (base, other) = (decoder(5), decoder(6));
        let mean = |policy, base| divergence(policy, base, &examples(), 1000).mean().unwrap();
        let (forth, back) = (mean(&other, &base), mean(&base, &other));
        assert!((forth - back).abs() > 1e-6, "{forth} {back}");
    }

    #[test]
    fn weights_are_as_far_apart_as_their_flat_vectors() {
        let base = decoder(5);
        let moved = copy(&base);
        shift(&moved, 0.05);
        let norm = |values: &Tensor| values.to_kind(Kind::Double).norm().double_value(&[]);
        let whole = norm(base.weights().flat());
        let expected = norm(&(moved.weights().flat() - base.weights().flat()));
        let apart = weights(&moved, &base);
        assert!((apart.distance - expected).abs() < 1e-9 * expected.max(1.0));
        assert!((apart.relative.unwrap() - expected / whole).abs() < 1e-9);
        // An adapter's products alone have moved, by the product of its two matrices.
        let (base, policy) = adapted();
        shift(&policy, 0.2);
        let entries = base.weights().entries().iter();
        let squares = entries.map(|entry| {
            let name = &entry.name;
            norm(&(policy.merged(name) - base.weights().get(name))).powi(2)
        });
        let expected = squares.sum::<f64>().sqrt();
        let apart = weights(&policy, &base);
        assert!(expected > 0.1);
        assert!((apart.distance - expected).abs() < 1e-9 * expected);
    }
}
