//! The formula by hand, and in its place in GRPO.

use super::*;
use crate::testing::{Scripted, rollout};
use crate::{
    Algorithm, Batch, Collected, Grpo, Lab, OldLogprobs, Opd, Prompt, ReinforcePlusPlus, Rft, Rloo,
    Rollout, Scorer, TokenScores,
};

/// Two completions under the policy of [`Scripted`]: a token `t` is at `-t / 10`.
fn examples() -> Vec<Example> {
    vec![
        Example {
            completion: vec![10, 20, 5],
            weights: vec![2.0; 3],
            sampled_logprobs: Some(vec![-1.2, -4.0, -0.5]),
            ..Example::default()
        },
        Example {
            completion: vec![10],
            weights: vec![-1.0],
            sampled_logprobs: Some(vec![-0.7]),
            ..Example::default()
        },
    ]
}

fn weighed(mode: CorrectionMode, clip_max: f64) -> (Vec<Vec<f32>>, Metrics) {
    let mut examples = examples();
    let mut mismatch = Mismatch::default();
    for example in &mut examples {
        let policy: Vec<f32> = example
            .completion
            .iter()
            .map(|&t| -t as f32 / 10.0)
            .collect();
        Correction { mode, clip_max }
            .weigh_example(example, &policy, &mut mismatch)
            .unwrap();
    }
    let weights = examples.into_iter().map(|e| e.weights).collect();
    (weights, mismatch.metrics())
}

fn close(found: &[Vec<f32>], expected: &[&[f64]]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(*expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5,
                "{found} {expected}"
            );
        }
    }
}

// Differences: -1.0 + 1.2 = 0.2, -2.0 + 4.0 = 2.0, 0; and -1.0 + 0.7 = -0.3.
#[test]
fn a_token_counts_by_its_ratio_up_to_the_bound() {
    let (weights, metrics) = weighed(CorrectionMode::TokenTruncate, 3.0);
    let (a, b) = (0.2f64.exp(), (-0.3f64).exp());
    close(&weights, &[&[2.0 * a, 6.0, 2.0], &[-b]]);
    let is = |name: &str, value: f64| {
        let found = metrics[&format!("sampling/{name}")];
        assert!((found - value).abs() < 1e-6, "{name}: {found} {value}");
    };
    is(
        "sampling_logp_difference/mean",
        (0.2 + 2.0 + 0.0 + 0.3) / 4.0,
    );
    is("sampling_logp_difference/max", 2.0);
    is("importance_sampling_ratio/min", b);
    is("importance_sampling_ratio/mean", (a + 3.0 + 1.0 + b) / 4.0);
    is("importance_sampling_ratio/max", 3.0);
    is("importance_sampling_ratio/clipped", 0.25);
    let k3 = |d: f64| d.exp() - d - 1.0;
    is("kl", (k3(0.2) + k3(2.0) + k3(-0.3)) / 4.0);
}

#[test]
fn beyond_the_bound_a_mask_leaves_nothing() {
    let (weights, metrics) = weighed(CorrectionMode::TokenMask, 3.0);
    close(
        &weights,
        &[&[2.0 * 0.2f64.exp(), 0.0, 2.0], &[-(-0.3f64).exp()]],
    );
    assert!(metrics["sampling/importance_sampling_ratio/min"].abs() < 1e-12);
}

#[test]
fn a_completion_counts_by_the_product_of_its_ratios() {
    let (a, b) = (2.2f64.exp(), (-0.3f64).exp());
    let (weights, _) = weighed(CorrectionMode::SequenceTruncate, 20.0);
    close(&weights, &[&[2.0 * a; 3], &[-b]]);
    let (weights, _) = weighed(CorrectionMode::SequenceTruncate, 3.0);
    close(&weights, &[&[6.0; 3], &[-b]]);
    let (weights, metrics) = weighed(CorrectionMode::SequenceMask, 3.0);
    close(&weights, &[&[0.0; 3], &[-b]]);
    let clipped = metrics["sampling/importance_sampling_ratio/clipped"];
    assert!((clipped - 0.5).abs() < 1e-12);
}

#[test]
fn log_probabilities_that_are_missing_are_counted_out() {
    let mut lacking = examples().remove(0);
    lacking.sampled_logprobs = None;
    let error = Correction {
        mode: CorrectionMode::TokenTruncate,
        clip_max: 3.0,
    }
    .weigh_example(&mut lacking, &[-1.0, -2.0, -0.5], &mut Mismatch::default())
    .unwrap_err();
    assert!(matches!(
        error,
        LabError::Count {
            expected: 3,
            got: 0,
            ..
        }
    ));
}

/// The lab of the tests, whose samples another engine draws.
struct Elsewhere(Scripted, Option<Correction>);

impl Lab for Elsewhere {
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        self.0.prompts(phase, count)
    }

    fn rollouts(
        &mut self,
        step: u64,
        prompts: &[Prompt],
        group: usize,
    ) -> Result<Vec<Rollout>, LabError> {
        self.0.rollouts(step, prompts, group)
    }

    fn demonstrations(
        &mut self,
        step: u64,
        count: usize,
    ) -> Result<Vec<crate::Demonstration>, LabError> {
        self.0.demonstrations(step, count)
    }

    fn scores(
        &mut self,
        scorer: Scorer,
        examples: &[Example],
    ) -> Result<Vec<TokenScores>, LabError> {
        self.0.scores(scorer, examples)
    }

    fn correction(&self) -> Option<Correction> {
        self.1
    }
}

fn collected(grpo: &dyn Algorithm, correction: Option<Correction>) -> (Collected, usize) {
    // One token 7 each, at -0.7 under the policy and at -0.5 when it was sampled.
    let rollouts = vec![rollout(1, 0.0), rollout(1, 1.0)];
    let mut lab = Elsewhere(Scripted::of(rollouts), correction);
    let collected = grpo.collect(0, &mut lab).unwrap();
    (collected, lab.0.scored.len())
}

fn weights(batch: &Batch) -> Vec<f32> {
    batch
        .examples
        .iter()
        .flat_map(|example| example.weights.clone())
        .collect()
}

#[test]
fn grpo_weighs_its_advantages_and_takes_later_ratios_against_the_policy() {
    let grpo = Grpo {
        prompts_per_generation: 1,
        num_generations: 2,
        ..Grpo::default()
    };
    let correction = Some(Correction {
        mode: CorrectionMode::TokenTruncate,
        clip_max: 3.0,
    });
    let (plain, asked) = collected(&grpo, None);
    assert_eq!(asked, 0);
    assert!(
        !plain
            .metrics
            .keys()
            .any(|name| name.starts_with("sampling/"))
    );
    let (corrected, asked) = collected(&grpo, correction);
    assert_eq!(asked, 1);
    let ratio = (-0.2f64).exp() as f32;
    for (plain, corrected) in weights(&plain.batches[0])
        .iter()
        .zip(weights(&corrected.batches[0]))
    {
        assert!((plain * ratio - corrected).abs() < 1e-6);
    }
    // With one update a phase the policy is still the one that was scored.
    let sampled = |collected: &Collected| collected.batches[0].examples[0].sampled_logprobs.clone();
    assert_eq!(sampled(&corrected), None);
    let again = Grpo {
        num_iterations: 2,
        old_logprobs: OldLogprobs::Recomputed,
        ..grpo
    };
    let (corrected, asked) = collected(&again, correction);
    assert_eq!(asked, 1, "the policy is asked once");
    assert_eq!(sampled(&corrected), Some(vec![-0.7]));
}

/// Every algorithm that learns from its own samples weighs those of another engine alike:
/// its weights are those it gives to the policy's own samples, times the ratio.
#[test]
fn every_reinforcing_algorithm_corrects_for_another_engines_samples() {
    let (phase, group) = (1, 2);
    macro_rules! of {
        ($name:ident) => {
            Box::new($name {
                prompts_per_generation: phase,
                num_generations: group,
                ..$name::default()
            })
        };
    }
    let all: [Box<dyn Algorithm>; 5] = [
        of!(Grpo),
        of!(Rloo),
        of!(ReinforcePlusPlus),
        of!(Rft),
        of!(Opd),
    ];
    let mode = CorrectionMode::TokenTruncate;
    let bounded = |clip_max| Some(Correction { mode, clip_max });
    // Ratios of 1 / 2 by their bound, or exp(-0.2) as they are.
    for algorithm in all {
        let weigh = |clip_max| {
            let (collected, _) = collected(algorithm.as_ref(), bounded(clip_max));
            weights(&collected.batches[0])
        };
        let (bounded, free) = (weigh(0.5), weigh(3.0));
        assert!(
            free.iter().any(|&weight| weight != 0.0),
            "{}",
            algorithm.name()
        );
        for (bounded, free) in bounded.iter().zip(&free) {
            let ratio = (-0.2f64).exp() as f32;
            assert!(
                (bounded * ratio / 0.5 - free).abs() < 1e-6,
                "{}",
                algorithm.name()
            );
        }
    }
}
