//! Returns and their normalisation by hand.

use super::*;
use crate::Algorithm;
use crate::testing::{Scripted, rollout};

fn plain() -> ReinforcePlusPlus {
    ReinforcePlusPlus {
        prompts_per_generation: 2,
        beta: 0.0,
        ..ReinforcePlusPlus::default()
    }
}

fn weights(algorithm: &ReinforcePlusPlus, lab: &mut Scripted) -> Vec<Vec<f32>> {
    let collected = algorithm.collect(0, lab).unwrap();
    let examples = collected
        .batches
        .into_iter()
        .flat_map(|batch| batch.examples);
    examples.map(|example| example.weights).collect()
}

fn near(got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (&got, expected) in got.iter().zip(expected) {
        assert!(
            (f64::from(got) - expected).abs() < 1e-5,
            "{got} for {expected}"
        );
    }
}

#[test]
fn what_is_to_come_is_the_outcome_less_the_penalties_from_there_on() {
    let returns = returns(1.0, &[0.1, 0.2]);
    assert!((returns[0] - 0.7).abs() < 1e-12 && (returns[1] - 0.8).abs() < 1e-12);
}

#[test]
fn advantages_are_normalised_over_all_tokens() {
    let mut lab = Scripted::of(vec![rollout(3, 1.0), rollout(1, 0.0)]);
    let weights = weights(&plain(), &mut lab);
    // 1 1 1 0: mean 0.75, deviation sqrt(3) / 4.
    let deviation = 3f64.sqrt() / 4.0;
    near(&weights[0], &[0.25 / deviation; 3]);
    near(&weights[1], &[-0.75 / deviation]);
    assert!(lab.scored.is_empty());
}

#[test]
fn divergence_is_taken_from_the_reward_token_by_token() {
    let held = ReinforcePlusPlus {
        beta: 0.5,
        ..plain()
    };
    assert!(held.needs_reference() && !plain().needs_reference());
    let mut lab = Scripted::of(vec![rollout(2, 1.0), rollout(1, 0.0)]);
    let weights = weights(&held, &mut lab);
    // A token costs 0.35: returns 0.3, 0.65 and -0.35, mean 0.2.
    let deviation = ((0.1f64.powi(2) + 0.45f64.powi(2) + 0.55f64.powi(2)) / 3.0).sqrt();
    near(&weights[0], &[0.1 / deviation, 0.45 / deviation]);
    near(&weights[1], &[-0.55 / deviation]);
}

#[test]
fn with_a_group_baseline_divergence_is_a_term_of_the_loss() {
    let grouped = ReinforcePlusPlus {
        num_generations: 2,
        baseline: Baseline::Group,
        beta: 0.5,
        ..plain()
    };
    let mut lab = Scripted::of(vec![
        rollout(1, 5.0),
        rollout(1, 4.0),
        rollout(1, 1.0),
        rollout(1, 0.0),
    ]);
    let batch = &grouped.collect(0, &mut lab).unwrap().batches[0];
    near(&[batch.examples[0].weights[0]], &[1.0]);
    near(&[batch.examples[3].weights[0]], &[-1.0]);
    assert_eq!(batch.examples[0].reference_logprobs, Some(vec![-1.4]));
    let tokens = TokenBatch {
        logprobs_N: Tensor::from_slice(&[-1.0]),
        weights_N: Tensor::from_slice(&[0.0]),
        lengths: vec![1],
        sampled_logprobs_N: None,
        reference_logprobs_N: Some(Tensor::from_slice(&[-1.4])),
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    };
    let loss = grouped.loss(&tokens, batch).unwrap().0.double_value(&[]);
    assert!((loss - 0.5 * 0.08 / 4.0).abs() < 1e-9);
    let free = plain().loss(&tokens, batch).unwrap().0.double_value(&[]);
    assert!(free.abs() == 0.0);
}

#[test]
fn rewards_that_are_alike_or_do_not_apply_push_nothing() {
    let mut alike = Scripted::of(vec![rollout(2, 0.1), rollout(3, 0.1)]);
    assert!(weights(&plain(), &mut alike).is_empty());
    let unknown = crate::Rollout {
        reward: None,
        ..rollout(2, 0.0)
    };
    let mut lab = Scripted::of(vec![unknown, rollout(1, 1.0)]);
    let batch = &plain().collect(0, &mut lab).unwrap().batches[0];
    assert_eq!((batch.examples.len(), batch.tokens), (0, 1));
}

#[test]
fn several_updates_share_a_phase() {
    let off_policy = ReinforcePlusPlus {
        steps_per_generation: 2,
        num_iterations: 2,
        ..plain()
    };
    let mut lab = Scripted::of(vec![rollout(3, 1.0), rollout(1, 0.0)]);
    let batches = off_policy.collect(0, &mut lab).unwrap().batches;
    let tokens: Vec<usize> = batches.iter().map(|batch| batch.tokens).collect();
    assert_eq!(tokens, [3, 1, 3, 1]);
    assert_eq!(batches[0].examples[0].sampled_logprobs, Some(vec![-0.7; 3]));
}

#[test]
fn contradictory_settings_are_named() {
    let refused = |key: &str, change: fn(&mut ReinforcePlusPlus)| {
        let mut algorithm = plain();
        change(&mut algorithm);
        let message = algorithm.check().unwrap_err();
        assert!(message.contains(key), "{message}");
    };
    refused("baseline", |r| r.baseline = Baseline::Group);
    refused("prompts_per_generation", |r| r.prompts_per_generation = 1);
    refused("num_generations", |r| r.num_generations = 0);
    refused("beta", |r| r.beta = -1.0);
    ReinforcePlusPlus::default().check().unwrap();
}
