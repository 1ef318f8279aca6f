//! Rewards, penalties and the loss by hand.

use tch::Kind;

use super::*;
use crate::Algorithm;
use crate::testing::{Rows, Scripted, counts, rollout, values};

fn rloo() -> Rloo {
    Rloo {
        prompts_per_generation: 2,
        beta: 0.0,
        ..Rloo::default()
    }
}

fn rollouts() -> Vec<crate::Rollout> {
    vec![
        rollout(3, 1.0),
        rollout(5, 1.0),
        rollout(2, 0.0),
        rollout(4, 1.0),
    ]
}

#[test]
fn advantages_are_against_the_others_and_rollouts_divide() {
    let batch = &rloo()
        .collect(0, &mut Scripted::of(rollouts()))
        .unwrap()
        .batches[0];
    assert_eq!(batch.examples.len(), 2);
    assert_eq!(batch.examples[0].weights, [-1.0; 2]);
    assert_eq!(batch.examples[1].weights, [1.0; 4]);
    assert_eq!(batch.examples[0].sampled_logprobs, None);
    assert_eq!(
        (batch.normaliser.to_bits(), batch.tokens),
        (4.0f64.to_bits(), 14)
    );
}

#[test]
fn divergence_costs_reward_and_only_where_there_is_a_reference() {
    let held = Rloo {
        beta: 0.5,
        ..rloo()
    };
    assert!(held.needs_reference() && !rloo().needs_reference());
    let mut lab = Scripted::of(rollouts());
    let collected = held.collect(0, &mut lab).unwrap();
    assert_eq!(
        lab.scored,
        [(crate::Scorer::Policy, 4), (crate::Scorer::Reference, 4)]
    );
    // A token 7 has -0.7 under the policy and -1.4 under the reference: a token costs 0.35.
    let weights: Vec<f32> = collected.batches[0]
        .examples
        .iter()
        .map(|example| example.weights[0])
        .collect();
    let reward = |reward: f32, tokens: f32| reward - 0.35 * tokens;
    let first = reward(1.0, 3.0) - reward(1.0, 5.0);
    let second = reward(0.0, 2.0) - reward(1.0, 4.0);
    for (got, expected) in weights.iter().zip([first, -first, second, -second]) {
        assert!((got - expected).abs() < 1e-6, "{got} for {expected}");
    }
    assert!((collected.metrics["kl"] - 0.7).abs() < 1e-6);
}

#[test]
fn rewards_can_be_clipped_and_advantages_normalised() {
    let clipped = Rloo {
        reward_clip_range: Some([0.0, 0.5]),
        ..rloo()
    };
    let rewards = [Some(1.0), Some(0.0), Some(-4.0), None];
    assert_eq!(
        clipped.advantages(&rewards, &[0.0; 4]),
        [0.5, -0.5, 0.0, 0.0]
    );
    let normalised = Rloo {
        normalize_advantages: true,
        advantage_epsilon: 0.0,
        ..rloo()
    };
    let rewards = [Some(1.0), Some(0.0), Some(3.0), Some(1.0)];
    let advantages = normalised.advantages(&rewards, &[0.0; 4]);
    // 1, -1, 2, -2: mean 0, deviation sqrt(10 / 3).
    for (got, expected) in advantages.iter().zip([1.0, -1.0, 2.0, -2.0]) {
        assert!((got - expected / (10.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}

#[test]
fn a_completion_is_one_action() {
    let logprobs_N = Tensor::from_slice(&[-0.9, -0.9, -0.5]).set_requires_grad(true);
    let tokens = TokenBatch {
        logprobs_N: logprobs_N.shallow_clone(),
        weights_N: Tensor::from_slice(&[2.0, 2.0, -1.0]),
        lengths: vec![2, 1],
        // The first ratio is exp(0.1) in all, the second exp(-0.5), below the clip.
        sampled_logprobs_N: Some(Tensor::from_slice(&[-1.0, -0.9, 0.0])),
        reference_logprobs_N: None,
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    };
    let (loss, metrics) = rloo().loss(&tokens, &counts(2.0, 3)).unwrap();
    let ratio = 0.1f64.exp();
    assert!((loss.double_value(&[]) - (0.4 - ratio)).abs() < 1e-12);
    let gradient = values(&Tensor::run_backward(&[loss], &[logprobs_N], false, false)[0]);
    for (got, expected) in gradient.iter().zip([-ratio, -ratio, 0.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
    // One of two completions, though one of three tokens.
    assert!((metrics["clip_ratio/low_mean"] - 0.5).abs() < 1e-12);
    assert!(metrics["clip_ratio/low_min"].abs() < 1e-12);
    assert!(metrics["clip_ratio/high_max"].abs() < 1e-12);
}

#[test]
fn any_number_of_micro_batches_gives_the_same_update() {
    let rows = Rows::made_up(16);
    let in_parts = |parts: usize| {
        let mut gradient = Vec::new();
        for part in 0..parts {
            let (tokens, leaf_N) =
                rows.cut(part * 16 / parts, (part + 1) * 16 / parts, Kind::Double);
            let (loss, _) = rloo().loss(&tokens, &counts(16.0, rows.tokens())).unwrap();
            gradient.extend(values(
                &Tensor::run_backward(&[loss], &[leaf_N], false, false)[0],
            ));
        }
        gradient
    };
    let whole = in_parts(1);
    assert!(whole.iter().any(|derivative| derivative.abs() > 1e-3));
    for parts in [2, 4, 8] {
        let gradient = in_parts(parts);
        assert_eq!(gradient.len(), whole.len());
        let alike = |(part, whole): (&f64, &f64)| (part - whole).abs() < 1e-12;
        assert!(gradient.iter().zip(&whole).all(alike));
    }
}

#[test]
fn contradictory_settings_are_named() {
    let refused = |key: &str, change: fn(&mut Rloo)| {
        let mut rloo = rloo();
        change(&mut rloo);
        let message = rloo.check().unwrap_err();
        assert!(message.contains(key), "{message}");
    };
    refused("num_generations", |r| r.num_generations = 1);
    refused("reward_clip_range", |r| {
        r.reward_clip_range = Some([1.0, 0.0]);
    });
    refused("beta", |r| r.beta = f64::NAN);
    refused("epsilon", |r| r.epsilon = 1.0);
    refused("steps_per_generation", |r| r.steps_per_generation = 3);
    Rloo::default().check().unwrap();
}
