//! The entropy of the policy in the loss: which tokens are pushed by it, and how strongly it
//! is rewarded.
//!
//! Tokens of high entropy: Wang et al. 2025 (arXiv 2506.01939). The coefficient that adapts:
//! He et al. 2025 (Skywork-OR1, arXiv 2505.22312), with the numbers of TRL 1.16: after each
//! update it rises by `delta` where the entropy was at most the target and falls by it
//! otherwise, and it is applied only where the update before had an entropy of at most the
//! target. The first update has none before it and is not rewarded.

use serde::{Deserialize, Serialize};

use crate::{Example, TokenScores};

/// What of the entropy is rewarded, and which tokens are pushed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntropyBonus {
    /// Share of the tokens, those of the highest entropy, that are pushed and rewarded.
    pub quantile: f64,
    /// Weight of their mean entropy at the first update.
    pub coef: f64,
    /// How the weight adapts; `None` where it stays.
    pub adaptive: Option<AdaptiveEntropy>,
}

/// How the weight of the entropy adapts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveEntropy {
    /// The entropy that is kept to, in nats a token.
    pub target: f64,
    /// Change of the weight after each update.
    pub delta: f64,
    /// Its smallest value.
    pub min: f64,
    /// Its largest.
    pub max: f64,
}

impl EntropyBonus {
    /// Whether the loss rewards entropy.
    pub fn is_rewarded(self) -> bool {
        self.coef != 0.0 || self.adaptive.is_some()
    }
}

/// Where an adapting weight stands between updates; a checkpoint keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EntropyState {
    coef: f64,
    /// Mean entropy of the last update's tokens.
    entropy: Option<f64>,
}

impl EntropyState {
    /// Before the first update.
    pub fn new(bonus: EntropyBonus) -> Self {
        Self {
            coef: bonus.coef,
            entropy: None,
        }
    }

    /// The weight of the next update.
    pub fn coef(self, adaptive: AdaptiveEntropy) -> f64 {
        match self.entropy {
            Some(entropy) if entropy <= adaptive.target => self.coef,
            _ => 0.0,
        }
    }

    /// After an update whose tokens had that mean entropy.
    pub fn follow(&mut self, adaptive: AdaptiveEntropy, entropy: f64) {
        self.coef = if entropy <= adaptive.target {
            (self.coef + adaptive.delta).min(adaptive.max)
        } else {
            (self.coef - adaptive.delta).max(adaptive.min)
        };
        self.entropy = Some(entropy);
    }
}

/// Takes the weight from the tokens of an update below the quantile, and gives the others
/// their share of the mean entropy. `policy` is what the policy says of each example; it is
/// only read where a quantile is chosen.
pub(crate) fn weigh(examples: &mut [Example], policy: &[Option<TokenScores>], bonus: EntropyBonus) {
    let entropies = || policy.iter().flatten().flat_map(|scores| &scores.entropies);
    let threshold = (bonus.quantile < 1.0)
        .then(|| quantile(entropies().copied().collect(), 1.0 - bonus.quantile));
    let keeps = |entropy: f32| threshold.is_none_or(|least| f64::from(entropy) >= least);
    let kept: Vec<Vec<bool>> = examples
        .iter()
        .zip(policy)
        .map(|(example, scores)| match scores {
            Some(scores) => scores.entropies.iter().map(|&e| keeps(e)).collect(),
            None => vec![true; example.completion.len()],
        })
        .collect();
    let count = kept.iter().flatten().filter(|&&kept| kept).count().max(1);
    let share = 1.0 / count as f32;
    for (example, kept) in examples.iter_mut().zip(kept) {
        for (weight, &kept) in example.weights.iter_mut().zip(&kept) {
            if !kept {
                *weight = 0.0;
            }
        }
        if bonus.is_rewarded() {
            let weights = kept.iter().map(|&kept| if kept { share } else { 0.0 });
            example.entropy_weights = Some(weights.collect());
        }
    }
}

/// The value below which the share `q` of the values lies, interpolated
/// linearly between the two nearest.
fn quantile(mut values: Vec<f32>, q: f64) -> f64 {
    values.sort_by(f32::total_cmp);
    let place = q * (values.len().max(1) - 1) as f64;
    let at = |place: f64| values.get(place as usize).map_or(0.0, |&v| f64::from(v));
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_two_nearest() {
        let values = || vec![3.0, 1.0, 2.0, 5.0];
        for (q, expected) in [(0.0, 1.0), (1.0, 5.0), (0.5, 2.5), (0.9, 4.4)] {
            assert!((quantile(values(), q) - expected).abs() < 1e-6);
        }
        assert!(quantile(Vec::new(), 0.5).abs() < 1e-12);
    }

    /// The order of TRL 1.16's trainer: what is applied to an update is what the update
    /// before left, and nothing while its entropy was above the target.
    #[test]
    fn the_weight_rises_below_the_target_and_falls_above_it() {
        let adaptive = AdaptiveEntropy {
            target: 0.5,
            delta: 0.1,
            min: 0.0,
            max: 0.25,
        };
        let mut state = EntropyState::new(EntropyBonus {
            quantile: 1.0,
            coef: 0.1,
            adaptive: Some(adaptive),
        });
        let mut applied = Vec::new();
        for entropy in [0.4, 0.5, 0.3, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2] {
            applied.push((state.coef(adaptive) * 100.0).round() / 100.0);
            state.follow(adaptive, entropy);
        }
        assert_eq!(applied, [0.0, 0.2, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0, 0.1]);
    }
}
