//! What the teacher's judgement does to a sample.

use tch::Kind;

use super::*;
use crate::Algorithm;
use crate::testing::{Scripted, counts, rollout, values};
use crate::{Example, Rollout};

fn two_by_two() -> Opd {
    Opd {
        prompts_per_generation: 2,
        num_generations: 2,
        ..Opd::default()
    }
}

/// Rollouts of tokens 7, sampled at -0.5, which the teacher gives -0.35; no reward.
fn rollouts() -> Vec<Rollout> {
    [3, 1, 2, 4]
        .map(|length| Rollout {
            reward: None,
            ..rollout(length, 0.0)
        })
        .to_vec()
}

#[test]
fn each_token_is_pushed_by_what_the_teacher_gives_it_above_the_student() {
    let mut lab = Scripted::of(rollouts());
    let collected = two_by_two().collect(0, &mut lab).unwrap();
    assert_eq!(lab.scored, [(Scorer::Teacher, 4)]);
    let batch = &collected.batches[0];
    assert_eq!((batch.examples.len(), batch.tokens), (4, 10));
    assert!((batch.normaliser - 10.0).abs() < 1e-12);
    for weight in batch.examples.iter().flat_map(|example| &example.weights) {
        assert!((weight - 0.15).abs() < 1e-6);
    }
    assert!((collected.metrics["opd/reverse_kl"] + 0.15).abs() < 1e-6);
    // Without a reward there is none to tell of.
    assert!(!collected.metrics.contains_key("reward_std"));
}

#[test]
fn completions_that_were_cut_off_are_judged_and_empty_ones_left_out() {
    let mut given = rollouts();
    given[0].truncated = true;
    given[1].completion.clear();
    given[1].logprobs.clear();
    let collected = two_by_two().collect(0, &mut Scripted::of(given)).unwrap();
    let lengths = |example: &Example| example.completion.len();
    let examples = &collected.batches[0].examples;
    assert_eq!(examples.iter().map(lengths).collect::<Vec<_>>(), [3, 2, 4]);
}

#[test]
fn the_gradient_is_the_weight_times_the_ratio_over_the_tokens() {
    let leaf_N = Tensor::from_slice(&[-1.0f64, -0.4, f64::NEG_INFINITY]).set_requires_grad(true);
    let tokens = TokenBatch {
        logprobs_N: leaf_N.shallow_clone(),
        weights_N: Tensor::from_slice(&[0.5f64, -2.0, 0.0]),
        lengths: vec![3],
        sampled_logprobs_N: Some(Tensor::from_slice(&[-1.0f64, -0.9, -5.0])),
        reference_logprobs_N: None,
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    };
    let (loss, _) = two_by_two().loss(&tokens, &counts(10.0, 10)).unwrap();
    let ratio = 0.5f64.exp();
    assert!((loss.double_value(&[]) - (-0.5 + 2.0 * ratio) / 10.0).abs() < 1e-12);
    let gradients = Tensor::run_backward(&[loss], &[leaf_N], false, false);
    let expected = [-0.05, 0.2 * ratio, 0.0];
    for (got, expected) in values(&gradients[0]).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-12);
    }
}

/// Over all tokens in proportion to their probability, the gradient is that of
/// the divergence: three tokens, every one of them "sampled" once.
#[test]
fn in_expectation_it_is_the_gradient_of_the_reverse_divergence() {
    let logits_V = Tensor::from_slice(&[0.3f64, -0.8, 1.1]).set_requires_grad(true);
    let teacher_V = Tensor::from_slice(&[-0.2f64, 0.9, 0.1]).log_softmax(0, Kind::Double);
    let student_V = logits_V.log_softmax(0, Kind::Double);
    let divergence = (student_V.exp() * (&student_V - &teacher_V)).sum(Kind::Double);
    let expected = Tensor::run_backward(&[divergence], &[&logits_V], true, false);
    let probabilities = values(&student_V.detach().exp());
    let mut gradient_V = logits_V.zeros_like();
    for (place, probability) in probabilities.iter().enumerate() {
        let at = |values_V: &Tensor| values_V.narrow(0, place as i64, 1);
        let tokens = TokenBatch {
            logprobs_N: at(&student_V),
            weights_N: at(&(&teacher_V - student_V.detach())),
            lengths: vec![1],
            sampled_logprobs_N: None,
            reference_logprobs_N: None,
            entropies_N: None,
            entropy_weights_N: None,
            divergences_N: None,
            demonstrated: Vec::new(),
        };
        let (loss, _) = two_by_two().loss(&tokens, &counts(1.0, 1)).unwrap();
        let parts = Tensor::run_backward(&[loss], &[&logits_V], true, false);
        gradient_V += &parts[0] * *probability;
    }
    let difference = (gradient_V - &expected[0]).abs().max().double_value(&[]);
    assert!(difference < 1e-12, "{difference}");
}

#[test]
fn it_needs_a_teacher_and_names_what_contradicts_itself() {
    assert!(Opd::default().needs_teacher() && !Opd::default().needs_reference());
    assert_eq!(Opd::default().check(), Ok(()));
    let none = Opd {
        num_generations: 0,
        ..Opd::default()
    };
    assert!(none.check().unwrap_err().contains("num_generations"));
}
