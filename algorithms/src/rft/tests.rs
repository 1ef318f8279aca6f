//! Which samples are imitated.

use super::*;
use crate::Algorithm;
use crate::Rollout;
use crate::testing::{Scripted, counts, rollout};

fn two_by_three() -> Rft {
    Rft {
        prompts_per_generation: 2,
        num_generations: 3,
        reward_above: 0.5,
        ..Rft::default()
    }
}

fn rollouts() -> Vec<Rollout> {
    vec![
        rollout(1, 1.0),
        rollout(2, 1.5),
        rollout(3, 0.5),
        Rollout {
            truncated: true,
            ..rollout(9, 2.0)
        },
        Rollout {
            reward: None,
            ..rollout(9, 0.0)
        },
        rollout(4, 0.0),
    ]
}

fn lengths(rft: &Rft) -> Vec<usize> {
    let collected = rft.collect(0, &mut Scripted::of(rollouts())).unwrap();
    let examples = collected.batches.iter().flat_map(|batch| &batch.examples);
    examples.map(|example| example.completion.len()).collect()
}

#[test]
fn whole_samples_above_the_bar_are_imitated_equally() {
    let collected = two_by_three()
        .collect(0, &mut Scripted::of(rollouts()))
        .unwrap();
    let batch = &collected.batches[0];
    assert_eq!(lengths(&two_by_three()), [1, 2]);
    assert_eq!(
        (batch.tokens, batch.examples[1].prompt.as_slice()),
        (28, &[0][..])
    );
    assert!((batch.normaliser - 3.0).abs() < 1e-12);
    for example in &batch.examples {
        assert!(
            example
                .weights
                .iter()
                .all(|weight| weight.to_bits() == 1f32.to_bits())
        );
        assert_eq!(example.sampled_logprobs, None);
    }
    assert!((collected.metrics["rft/imitated_ratio"] - 2.0 / 6.0).abs() < 1e-12);
}

#[test]
fn one_sample_a_problem_can_be_enough() {
    let best = Rft {
        best_only: true,
        reward_above: -1.0,
        ..two_by_three()
    };
    assert_eq!(lengths(&best), [2, 4]);
}

#[test]
fn an_update_may_have_nothing_to_imitate() {
    let updates = Rft {
        steps_per_generation: 2,
        ..two_by_three()
    };
    let batches = updates
        .collect(0, &mut Scripted::of(rollouts()))
        .unwrap()
        .batches;
    assert_eq!((batches.len(), batches[1].examples.len()), (2, 0));
    assert!((batches[1].normaliser - 1.0).abs() < 1e-12);
}

#[test]
fn the_loss_is_that_of_demonstrations() {
    let tokens = TokenBatch {
        logprobs_N: Tensor::from_slice(&[-1.0f32, -2.0]),
        weights_N: Tensor::from_slice(&[1.0f32, 1.0]),
        lengths: vec![2],
        sampled_logprobs_N: None,
        reference_logprobs_N: None,
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    };
    let (loss, _) = Rft::default().loss(&tokens, &counts(2.0, 2)).unwrap();
    assert!((loss.double_value(&[]) - 1.5).abs() < 1e-6);
}

#[test]
fn contradictory_settings_are_named() {
    let lonely = Rft {
        num_generations: 1,
        best_only: true,
        ..Rft::default()
    };
    assert!(lonely.check().unwrap_err().contains("best_only"));
    let nowhere = Rft {
        reward_above: f64::NAN,
        ..Rft::default()
    };
    assert!(nowhere.check().unwrap_err().contains("reward_above"));
    Rft::default().check().unwrap();
}
