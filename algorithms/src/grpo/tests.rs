//! What is collected under which settings, and the default loss to the bit.

use std::collections::VecDeque;

use tch::Kind;

use super::*;
use crate::Algorithm;
use crate::Scorer;
use crate::advantages::AdvantageScale;
use crate::policy_loss::KlEstimator;
use crate::testing::{Rows, Scripted, counts, judged, rollout, values};

/// Two groups of two.
fn two_by_two() -> Grpo {
    Grpo {
        prompts_per_generation: 2,
        num_generations: 2,
        ..Grpo::default()
    }
}

/// The first group alike, the second not; 3, 5, 2 and 4 tokens.
fn half_alike() -> Vec<Rollout> {
    vec![
        rollout(3, 1.0),
        rollout(5, 1.0),
        rollout(2, 0.0),
        rollout(4, 1.0),
    ]
}

fn batches(grpo: &Grpo, lab: &mut Scripted) -> Vec<Batch> {
    grpo.collect(0, lab).unwrap().batches
}

#[test]
fn a_group_without_advantage_is_not_trained_but_counted() {
    let collected = two_by_two()
        .collect(0, &mut Scripted::of(half_alike()))
        .unwrap();
    assert_eq!(collected.batches.len(), 1);
    assert_eq!(collected.batches[0].examples.len(), 2);
    assert_eq!(collected.batches[0].examples[0].prompt, [1]);
    assert!((collected.batches[0].normaliser - 14.0).abs() < 1e-12);
    assert_eq!(collected.batches[0].tokens, 14);
    assert!((collected.metrics["frac_reward_zero_std"] - 0.5).abs() < 1e-12);
    assert!((collected.metrics["completions/min_length"] - 2.0).abs() < 1e-12);
}

#[test]
fn rewards_and_lengths_are_told_as_trl_tells_them() {
    let mut rollouts = half_alike();
    rollouts[0].truncated = true;
    let lengths: Vec<f64> = rollouts.iter().map(|r| r.completion.len() as f64).collect();
    let mut lab = Scripted::of(rollouts);
    let metrics = two_by_two().collect(0, &mut lab).unwrap().metrics;
    let is = |name: &str, value: f64| {
        assert!((metrics[name] - value).abs() < 1e-12, "{name}: {metrics:?}");
    };
    // Rewards 1, 1, 0, 1: the deviation is over all of them, not within groups.
    is("reward", 0.75);
    is("reward_std", 0.5);
    is("frac_reward_zero_std", 0.5);
    is("completions/mean_length", lengths.iter().sum::<f64>() / 4.0);
    let terminated = || lengths[1..].iter().copied();
    is(
        "completions/min_terminated_length",
        terminated().fold(f64::INFINITY, f64::min),
    );
    is(
        "completions/max_terminated_length",
        terminated().fold(0.0, f64::max),
    );
    is(
        "completions/mean_terminated_length",
        terminated().sum::<f64>() / 3.0,
    );
    // Each group is told what its rollouts were worth.
    assert_eq!(lab.told[0], (0, vec![0.0, 0.0]));
    let (problem, advantages) = &lab.told[1];
    assert!(*problem == 1 && advantages[0] < 0.0 && advantages[1] > 0.0);
    assert_eq!(lab.told.len(), 2);
}

#[test]
fn lengths_that_nothing_has_are_left_out() {
    let mut rollouts = half_alike();
    for rollout in &mut rollouts {
        rollout.truncated = true;
    }
    let collected = two_by_two()
        .collect(0, &mut Scripted::of(rollouts))
        .unwrap();
    assert!(
        !collected
            .metrics
            .contains_key("completions/mean_terminated_length")
    );
}

#[test]
fn one_rollout_phase_serves_several_updates_and_iterations() {
    let grpo = Grpo {
        steps_per_generation: 2,
        num_iterations: 2,
        ..two_by_two()
    };
    let mut lab = Scripted::of(vec![
        rollout(1, 1.0),
        rollout(1, 0.0),
        rollout(1, 0.0),
        rollout(1, 1.0),
    ]);
    let batches = grpo.collect(8, &mut lab).unwrap().batches;
    assert_eq!(batches.len(), 4);
    assert_eq!(batches[0].examples[0].prompt, [4]);
    assert_eq!(batches[1].examples[0].prompt, [5]);
    assert!(batches[1].examples[0].weights[0] < 0.0);
    assert_eq!((&batches[0], &batches[1]), (&batches[2], &batches[3]));
    // Update 8 begins the third phase of four updates.
    assert_eq!(lab.phases, [2]);
    assert_eq!(
        [0, 1, 4, 9].map(|updates| grpo.problems_met(updates)),
        [0, 2, 2, 6]
    );
}

#[test]
fn every_loss_is_divided_by_what_its_name_says() {
    for (loss_type, expected) in [
        (LossType::Dapo, 14.0),
        (LossType::Bnpo, 14.0),
        (LossType::Cispo, 14.0),
        (LossType::Grpo, 4.0),
        (LossType::Sapo, 4.0),
        (LossType::DrGrpo, 40.0),
    ] {
        let grpo = Grpo {
            loss_type,
            ..two_by_two()
        };
        let mut lab = Scripted {
            cap: Some(10),
            ..Scripted::of(half_alike())
        };
        let normaliser = batches(&grpo, &mut lab)[0].normaliser;
        assert!((normaliser - expected).abs() < 1e-12, "{loss_type:?}");
    }
    let uncapped = Grpo {
        loss_type: LossType::DrGrpo,
        ..two_by_two()
    };
    let refused = uncapped.collect(0, &mut Scripted::of(half_alike()));
    assert!(matches!(refused, Err(LabError::NoLengthCap)));
}

#[test]
fn truncated_completions_can_be_left_out_of_loss_and_count_but_not_of_the_mean() {
    let grpo = Grpo {
        mask_truncated_completions: true,
        scale_rewards: AdvantageScale::None,
        ..two_by_two()
    };
    let mut rollouts = half_alike();
    rollouts[2].truncated = true;
    let collected = grpo.collect(0, &mut Scripted::of(rollouts)).unwrap();
    let batch = &collected.batches[0];
    assert_eq!((batch.examples.len(), batch.tokens), (1, 12));
    assert_eq!(batch.examples[0].weights, [0.5; 4]);
    assert!((batch.normaliser - 12.0).abs() < 1e-12);
    assert!((collected.metrics["completions/clipped_ratio"] - 0.25).abs() < 1e-12);
    assert!((collected.metrics["completions/mean_terminated_length"] - 4.0).abs() < 1e-12);
}

#[test]
fn an_empty_completion_is_not_trained() {
    let mut rollouts = half_alike();
    rollouts[2] = rollout(0, 0.0);
    let batch = &batches(&two_by_two(), &mut Scripted::of(rollouts))[0];
    assert_eq!((batch.examples.len(), batch.tokens), (1, 12));
}

#[test]
fn a_reference_is_asked_of_every_rollout_alike_or_not() {
    let grpo = Grpo {
        beta: 0.04,
        ..two_by_two()
    };
    assert!(grpo.needs_reference() && !two_by_two().needs_reference());
    let mut lab = Scripted::of(half_alike());
    let batch = &batches(&grpo, &mut lab)[0];
    assert_eq!(batch.examples.len(), 4);
    assert_eq!(batch.examples[0].reference_logprobs, Some(vec![-1.4; 3]));
    assert_eq!(lab.scored, [(Scorer::Reference, 4)]);
    lab.rollouts.push_back(half_alike());
    assert!(
        batches(&two_by_two(), &mut lab)[0].examples[0]
            .reference_logprobs
            .is_none()
    );
}

#[test]
fn the_ratio_is_taken_against_what_the_settings_say() {
    let sampled = |grpo: &Grpo| {
        let mut lab = Scripted::of(half_alike());
        let logprobs = batches(grpo, &mut lab)[0].examples[0]
            .sampled_logprobs
            .clone();
        (logprobs, lab.scored.len())
    };
    assert_eq!(sampled(&two_by_two()), (Some(vec![-0.5; 2]), 0));
    let recomputed = Grpo {
        old_logprobs: OldLogprobs::Recomputed,
        ..two_by_two()
    };
    assert_eq!(sampled(&recomputed), (None, 0));
    let off_policy = Grpo {
        num_iterations: 2,
        ..recomputed
    };
    assert_eq!(sampled(&off_policy), (Some(vec![-0.7; 2]), 1));
}

#[test]
fn only_tokens_of_high_entropy_are_pushed_and_rewarded() {
    let grpo = Grpo {
        scale_rewards: AdvantageScale::None,
        top_entropy_quantile: 0.5,
        entropy_coef: 0.3,
        ..two_by_two()
    };
    assert!(grpo.entropy().is_some() && two_by_two().entropy().is_none());
    let mut rollouts = vec![
        rollout(1, 1.0),
        rollout(1, 1.0),
        rollout(2, 0.0),
        rollout(1, 1.0),
    ];
    // The lab's entropy of a token is the token: 1 5 | 2 4 3, of which 3 and up is half.
    rollouts[0].completion = vec![1];
    rollouts[1].completion = vec![5];
    rollouts[2].completion = vec![2, 4];
    rollouts[3].completion = vec![3];
    let batch = &batches(&grpo, &mut Scripted::of(rollouts))[0];
    assert_eq!(batch.examples.len(), 4);
    assert_eq!(batch.examples[2].weights, [0.0, -0.5]);
    assert_eq!(batch.examples[3].weights, [0.5]);
    let bonus = |index: usize| batch.examples[index].entropy_weights.clone().unwrap();
    // Three tokens share the bonus.
    assert!((batch.entropy_coef - 0.3).abs() < 1e-12);
    assert_eq!((bonus(0), bonus(1)), (vec![0.0], vec![1.0 / 3.0]));
    assert_eq!(
        (bonus(2), bonus(3)),
        (vec![0.0, 1.0 / 3.0], vec![1.0 / 3.0])
    );
}

#[test]
fn groups_that_are_alike_are_replaced_until_the_rounds_are_over() {
    let grpo = Grpo {
        dynamic_sampling_rounds: 2,
        ..two_by_two()
    };
    let alike = || vec![rollout(1, 1.0), rollout(1, 1.0)];
    let telling = || vec![rollout(1, 1.0), rollout(1, 0.0)];
    let mut lab = Scripted {
        rollouts: VecDeque::from([[alike(), telling()].concat(), alike(), telling()]),
        ..Scripted::default()
    };
    let collected = grpo.collect(5, &mut lab).unwrap();
    assert_eq!(lab.sampled, [2, 1, 1]);
    assert_eq!(lab.phases, [5, 5 + (1 << 32), 5 + (2 << 32)]);
    assert_eq!(collected.batches[0].examples.len(), 4);
    assert!((collected.metrics["frac_reward_zero_std"] - 0.5).abs() < 1e-12);

    let mut never = Scripted {
        rollouts: VecDeque::from([[alike(), telling()].concat(), alike(), alike()]),
        ..Scripted::default()
    };
    let batch = &grpo.collect(0, &mut never).unwrap().batches[0];
    assert_eq!((batch.examples.len(), batch.tokens), (2, 4));

    let mut at_once = Scripted::of([telling(), telling()].concat());
    grpo.collect(0, &mut at_once).unwrap();
    assert_eq!(at_once.sampled, [2]);
}

#[test]
fn several_rewards_can_be_normalised_one_by_one() {
    let grpo = Grpo {
        prompts_per_generation: 1,
        num_generations: 4,
        multi_objective_aggregation: MultiObjectiveAggregation::NormalizeThenSum,
        advantage_epsilon: 0.0,
        ..Grpo::default()
    };
    let rollouts = vec![
        judged(Some(1.0), Some(0.0)),
        judged(Some(0.0), Some(100.0)),
        judged(Some(1.0), Some(100.0)),
        judged(Some(0.0), Some(0.0)),
    ];
    let batch = &batches(&grpo, &mut Scripted::of(rollouts))[0];
    // The large reward does not drown the small one: the first two cancel out.
    assert_eq!(batch.examples.len(), 2);
    let expected = (1.0 / (2.0f64 / 3.0).sqrt()) as f32;
    assert!((batch.examples[0].weights[0] - expected).abs() < 1e-6);
    let sums_only = grpo.collect(0, &mut Scripted::of(vec![rollout(1, 1.0); 4]));
    assert!(matches!(sums_only, Err(LabError::NoParts)));
}

#[test]
fn a_lab_that_gives_another_number_of_rollouts_is_refused() {
    let refused = two_by_two().collect(0, &mut Scripted::of(vec![rollout(1, 1.0); 3]));
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("3 rollouts where 4"), "{message}");
}

#[test]
fn the_clip_stops_the_gradient_of_a_ratio_out_of_range() {
    let logprobs_N = Tensor::from_slice(&[0.0f32, 0.0]).set_requires_grad(true);
    let tokens = TokenBatch {
        // exp(0 + 0.5) = 1.65 lies above 1.2, exp(0) = 1 within.
        sampled_logprobs_N: Some(Tensor::from_slice(&[-0.5f32, 0.0])),
        weights_N: Tensor::from_slice(&[1.0f32, 1.0]),
        logprobs_N: logprobs_N.shallow_clone(),
        lengths: vec![2],
        reference_logprobs_N: None,
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    };
    let (loss, metrics) = Grpo::default().loss(&tokens, &counts(2.0, 2)).unwrap();
    assert!((loss.double_value(&[]) + f64::midpoint(1.2, 1.0)).abs() < 1e-6);
    let gradient = Tensor::run_backward(&[loss], &[logprobs_N], false, false);
    assert!(gradient[0].double_value(&[0]).abs() < 1e-9);
    assert!((gradient[0].double_value(&[1]) + 0.5).abs() < 1e-6);
    assert!((metrics["clip_ratio/high_mean"] - 0.5).abs() < 1e-9);
}

#[test]
fn the_default_loss_is_that_of_earlier_runs_to_the_bit() {
    let rows = Rows::made_up(40);
    let (tokens, leaf_N) = rows.cut(0, 40, Kind::Float);
    let normaliser = 321.0;
    let (loss, metrics) = Grpo::default()
        .loss(&tokens, &counts(normaliser, 321))
        .unwrap();
    // As it was written when the recorded runs were made.
    let sampled_N = tokens.sampled_logprobs_N.as_ref().unwrap();
    let ratio_N = (&tokens.logprobs_N - sampled_N).exp();
    let plain_N = &ratio_N * &tokens.weights_N;
    let clipped_N = ratio_N.clamp(0.8, 1.2) * &tokens.weights_N;
    let earlier = -plain_N.minimum(&clipped_N).sum(Kind::Float) / normaliser;
    assert_eq!(
        loss.double_value(&[]).to_bits(),
        earlier.double_value(&[]).to_bits()
    );
    let now = Tensor::run_backward(&[loss], &[&leaf_N], false, false);
    let then = Tensor::run_backward(&[earlier], &[&leaf_N], false, false);
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(values(&now[0])), bits(values(&then[0])));
    assert!(metrics["clip_ratio/high_mean"] > 0.0 && metrics["clip_ratio/low_mean"] > 0.0);
}

#[test]
fn contradictory_settings_are_named() {
    let refused = |key: &str, change: fn(&mut Grpo)| {
        let mut grpo = Grpo::default();
        change(&mut grpo);
        let message = grpo.check().unwrap_err();
        assert!(message.contains(key), "{message}");
    };
    refused("steps_per_generation", |g| {
        (g.prompts_per_generation, g.steps_per_generation) = (3, 2);
    });
    refused("num_generations", |g| g.num_generations = 1);
    refused("num_iterations", |g| g.num_iterations = 0);
    refused("dynamic_sampling_rounds", |g| {
        g.dynamic_sampling_rounds = 101;
    });
    refused("epsilon", |g| g.epsilon = f64::NAN);
    refused("epsilon_high", |g| g.epsilon_high = Some(0.0));
    refused("epsilon_high", |g| g.loss_type = LossType::Cispo);
    refused("epsilon_high", |g| {
        (g.loss_type, g.epsilon_high) = (LossType::Sapo, Some(0.3));
    });
    refused("delta", |g| {
        (g.epsilon_high, g.delta) = (Some(0.28), Some(1.25));
    });
    refused("delta", |g| {
        (g.loss_type, g.delta) = (LossType::Sapo, Some(2.0));
    });
    refused("sapo_temperature_neg", |g| g.sapo_temperature_neg = 0.0);
    refused("beta", |g| g.beta = -0.1);
    refused("kl_estimator", |g| {
        (g.beta, g.kl_estimator, g.use_bias_correction_kl) = (0.1, KlEstimator::K1, false);
    });
    refused("sync_ref_model", |g| g.sync_ref_model = true);
    refused("ref_model_mixup_alpha", |g| {
        (g.beta, g.sync_ref_model, g.ref_model_mixup_alpha) = (0.1, true, 1.5);
    });
    refused("ref_model_sync_steps", |g| {
        (g.beta, g.sync_ref_model, g.ref_model_sync_steps) = (0.1, true, 0);
    });
    refused("advantage_ddof", |g| g.advantage_ddof = 2);
    refused("advantage_epsilon", |g| g.advantage_epsilon = f64::NAN);
    refused("multi_objective_aggregation", |g| {
        g.multi_objective_aggregation = MultiObjectiveAggregation::NormalizeThenSum;
        g.scale_rewards = AdvantageScale::None;
    });
    refused("top_entropy_quantile", |g| g.top_entropy_quantile = 1.5);
    refused("entropy_coef", |g| g.entropy_coef = f64::INFINITY);
}

#[test]
fn settings_that_agree_are_accepted_and_misspelt_ones_are_not() {
    let read = |text: &str| serde_json::from_str::<Grpo>(text);
    for text in [
        "{}",
        r#"{"loss_type": "dr_grpo", "scale_rewards": "none"}"#,
        r#"{"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4}"#,
        r#"{"loss_type": "cispo", "epsilon_high": 5.0}"#,
        r#"{"loss_type": "sapo", "sapo_temperature_neg": 1.1}"#,
        r#"{"beta": 0.04, "kl_estimator": "k2", "sync_ref_model": true}"#,
        r#"{"beta": 0.04, "kl_estimator": "k1"}"#,
        r#"{"loss_type": "bnpo", "delta": 4.0, "old_logprobs": "recomputed"}"#,
        r#"{"multi_objective_aggregation": "normalize_then_sum", "advantage_ddof": 0}"#,
    ] {
        read(text).unwrap().check().unwrap();
    }
    assert_eq!(read("{}").unwrap(), Grpo::default());
    assert!(read(r#"{"epsilonhigh": 0.3}"#).is_err());
    assert!(read(r#"{"loss_type": "gspo"}"#).is_err());
}

#[test]
fn the_reference_follows_only_when_told_to() {
    assert_eq!(Grpo::default().reference_sync(), None);
    let following = Grpo {
        beta: 0.1,
        sync_ref_model: true,
        ..Grpo::default()
    };
    let expected = ReferenceSync {
        mixup_alpha: 0.6,
        steps: 512,
    };
    assert_eq!(following.reference_sync(), Some(expected));
}
