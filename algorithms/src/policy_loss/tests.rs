//! Each loss by hand, cut in any way, and with infinities where nothing counts.

use super::*;
use crate::add_metrics;
use crate::testing::{Rows, counts, values};
use crate::{Grpo, ImportanceSamplingLevel, LossType};

const LOSS_TYPES: [LossType; 11] = [
    LossType::Grpo,
    LossType::DrGrpo,
    LossType::Dapo,
    LossType::Bnpo,
    LossType::Cispo,
    LossType::Sapo,
    LossType::Luspo,
    LossType::Vespo,
    LossType::DppoTv,
    LossType::DppoKl,
    LossType::GeoMean,
];

const LEVELS: [ImportanceSamplingLevel; 2] = [
    ImportanceSamplingLevel::Token,
    ImportanceSamplingLevel::Sequence,
];

fn grpo(loss_type: LossType, level: ImportanceSamplingLevel) -> Grpo {
    Grpo {
        loss_type,
        importance_sampling_level: level,
        epsilon_high: Some(0.28),
        use_bias_correction_kl: false,
        ..Grpo::default()
    }
}

fn objective(loss_type: LossType, level: ImportanceSamplingLevel) -> Objective {
    grpo(loss_type, level).objective()
}

fn tokens(logprobs: &[f64], sampled: &[f64], weights: &[f64], lengths: &[i64]) -> TokenBatch {
    TokenBatch {
        logprobs_N: Tensor::from_slice(logprobs).set_requires_grad(true),
        weights_N: Tensor::from_slice(weights),
        lengths: lengths.to_vec(),
        sampled_logprobs_N: Some(Tensor::from_slice(sampled)),
        reference_logprobs_N: None,
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    }
}

/// Loss, gradient and metrics of the rows cut into `parts` micro-batches.
fn in_parts(
    objective: &Objective,
    rows: &Rows,
    parts: usize,
    bonus: f64,
) -> (f64, Vec<f64>, Metrics) {
    let count = rows.lengths.len();
    let tokens = rows.tokens() as f64;
    let normaliser = objective.average.normaliser(tokens, count as f64, 11.0);
    let mut sum = 0.0;
    let mut gradient = Vec::new();
    let mut metrics = Metrics::new();
    for part in 0..parts {
        let (from, to) = (part * count / parts, (part + 1) * count / parts);
        let (mut micro_batch, leaf_N) = rows.cut(from, to, Kind::Double);
        if bonus != 0.0 {
            micro_batch.entropy_weights_N = Some(leaf_N.full_like(bonus / tokens));
        }
        let (loss, more) = objective
            .loss(&micro_batch, &counts(normaliser, rows.tokens()))
            .unwrap();
        add_metrics(&mut metrics, more);
        sum += loss.double_value(&[]);
        let gradients = Tensor::run_backward(&[loss], &[leaf_N], false, false);
        gradient.extend(values(&gradients[0]));
    }
    (sum, gradient, metrics)
}

#[test]
fn any_number_of_micro_batches_gives_the_same_update() {
    let rows = Rows::made_up(16);
    assert!(rows.lengths.iter().min() < rows.lengths.iter().max());
    for loss_type in LOSS_TYPES {
        for level in LEVELS {
            for (beta, corrected, estimator, bonus) in [
                (0.0, false, KlEstimator::K3, 0.0),
                (0.04, true, KlEstimator::K1, 0.0),
                (0.04, false, KlEstimator::K2, 0.01),
                (0.04, true, KlEstimator::K3, 0.01),
            ] {
                let clips = matches!(objective(loss_type, level).loss, PolicyLoss::Clip { .. });
                let objective = Grpo {
                    beta,
                    use_bias_correction_kl: corrected,
                    kl_estimator: estimator,
                    delta: clips.then_some(1.5),
                    off_policy_mask_threshold: Some(0.1),
                    ..grpo(loss_type, level)
                }
                .objective();
                let (whole_loss, whole, told) = in_parts(&objective, &rows, 1, bonus);
                assert!(whole.iter().any(|derivative| derivative.abs() > 1e-6));
                for parts in [2, 4, 8] {
                    let (loss, gradient, metrics) = in_parts(&objective, &rows, parts, bonus);
                    assert!((loss - whole_loss).abs() < 1e-12);
                    assert_eq!(gradient.len(), whole.len());
                    assert_eq!(told.len(), metrics.len());
                    for (name, value) in &metrics {
                        assert!((value - told[name]).abs() < 1e-9, "{name} in {parts}");
                    }
                    for (part, whole) in gradient.iter().zip(&whole) {
                        assert!((part - whole).abs() < 1e-12, "{objective:?} in {parts}");
                    }
                }
            }
        }
    }
}

#[test]
fn an_infinite_ratio_without_weight_leaves_everything_finite() {
    let infinity = f64::NEG_INFINITY;
    for loss_type in LOSS_TYPES {
        for level in LEVELS {
            // Row 0 counts; row 1 has no weight, and there is nothing to divide by.
            let batch = tokens(
                &[-1.0, -0.5, -0.5, infinity],
                &[-1.0, -0.4, infinity, -0.1],
                &[1.0, 1.0, 0.0, 0.0],
                &[2, 2],
            );
            let leaf_N = batch.logprobs_N.shallow_clone();
            let (loss, metrics) = objective(loss_type, level)
                .loss(&batch, &counts(2.0, 4))
                .unwrap();
            assert!(
                loss.double_value(&[]).is_finite(),
                "{loss_type:?} {level:?}"
            );
            assert!(metrics.values().all(|value| value.is_finite()));
            let gradient = values(&Tensor::run_backward(&[loss], &[leaf_N], false, false)[0]);
            assert!(gradient.iter().all(|derivative| derivative.is_finite()));
            assert!(gradient[0] < 0.0 && gradient[2].abs() == 0.0 && gradient[3].abs() == 0.0);
        }
    }
}

#[test]
fn on_policy_every_gain_has_the_slope_of_its_weight() {
    for loss_type in LOSS_TYPES {
        for level in LEVELS {
            let batch = TokenBatch {
                sampled_logprobs_N: None,
                ..tokens(&[-1.0, -0.5, -2.0], &[], &[0.7, 0.7, -0.3], &[2, 1])
            };
            let leaf_N = batch.logprobs_N.shallow_clone();
            let objective = Grpo {
                epsilon_high: Some(5.0),
                ..grpo(loss_type, level)
            }
            .objective();
            let (loss, _) = objective.loss(&batch, &counts(1.0, 3)).unwrap();
            let gradient = values(&Tensor::run_backward(&[loss], &[leaf_N], false, false)[0]);
            let averages = objective.average == Average::Completions;
            let divisor = if averages { 2.0 } else { 1.0 };
            // GMPO's lengths are 1e-8 longer.
            let tolerance = if loss_type == LossType::GeoMean {
                1e-7
            } else {
                1e-12
            };
            for (derivative, expected) in gradient.iter().zip([-0.7 / divisor, -0.7 / divisor, 0.3])
            {
                assert!(
                    (derivative - expected).abs() < tolerance,
                    "{loss_type:?} {level:?}"
                );
            }
        }
    }
}

#[test]
fn a_sequence_ratio_is_the_geometric_mean_of_its_tokens() {
    let batch = tokens(&[-1.0, -0.9, -0.5], &[-1.1, -1.2, -0.5], &[1.0; 3], &[2, 1]);
    let objective = Objective {
        loss: PolicyLoss::Clip {
            low: 0.0,
            high: 9.0,
            delta: None,
        },
        ..objective(LossType::Dapo, ImportanceSamplingLevel::Sequence)
    };
    let (loss, _) = objective.loss(&batch, &counts(1.0, 3)).unwrap();
    assert!((loss.double_value(&[]) + 2.0 * 0.2f64.exp() + 1.0).abs() < 1e-12);
}

#[test]
fn what_was_bad_and_has_become_unlikely_is_masked() {
    let objective = Grpo {
        off_policy_mask_threshold: Some(0.5),
        ..grpo(LossType::Dapo, ImportanceSamplingLevel::Token)
    }
    .objective();
    // Mean falls of 0.6, 0.4 and 0.6 nats; the last was good.
    let batch = tokens(
        &[-1.0, -1.2, -1.4, -1.6],
        &[-0.6, -0.4, -1.0, -1.0],
        &[-1.0, -1.0, -1.0, 1.0],
        &[2, 1, 1],
    );
    let leaf_N = batch.logprobs_N.shallow_clone();
    let (loss, metrics) = objective.loss(&batch, &counts(4.0, 4)).unwrap();
    let gradient = values(&Tensor::run_backward(&[loss], &[leaf_N], false, false)[0]);
    let zero: Vec<bool> = gradient
        .iter()
        .map(|derivative| *derivative == 0.0)
        .collect();
    // The third is clipped: its ratio lies below 0.8.
    assert_eq!(zero, [true, true, true, false]);
    assert!((metrics["off_policy_mask_ratio"] - 0.5).abs() < 1e-12);
}

#[test]
fn delta_bounds_what_a_bad_token_may_cost() {
    let gain = |delta| {
        let ratio_N = Tensor::from_slice(&[3.0]);
        let weights_N = Tensor::from_slice(&[-1.0]);
        values(&clipped_gain_N(&ratio_N, &weights_N, 0.8, 1.2, delta))[0]
    };
    assert!((gain(None) + 3.0).abs() < 1e-12);
    assert!((gain(Some(1.5)) + 1.5).abs() < 1e-12);
}

#[test]
fn estimators_of_the_divergence_by_hand() {
    let (logprobs_N, reference_N) = (Tensor::from_slice(&[-1.0]), Tensor::from_slice(&[-1.5]));
    let kl = |estimator| values(&kl_N(&logprobs_N, &reference_N, estimator))[0];
    assert!((kl(KlEstimator::K1) - 0.5).abs() < 1e-12);
    assert!((kl(KlEstimator::K2) - 0.125).abs() < 1e-12);
    assert!((kl(KlEstimator::K3) - ((-0.5f64).exp() + 0.5 - 1.0)).abs() < 1e-12);
}

#[test]
fn the_corrected_divergence_has_the_slope_of_the_reverse_divergence() {
    let held = |corrected| {
        let held = Grpo {
            beta: 0.1,
            use_bias_correction_kl: corrected,
            ..grpo(LossType::Dapo, ImportanceSamplingLevel::Token)
        };
        held.objective()
    };
    let slope = |objective: Objective| {
        let batch = TokenBatch {
            reference_logprobs_N: Some(Tensor::from_slice(&[-1.5])),
            ..tokens(&[-1.0], &[-1.0], &[0.0], &[1])
        };
        let leaf_N = batch.logprobs_N.shallow_clone();
        let (loss, metrics) = objective.loss(&batch, &counts(1.0, 1)).unwrap();
        assert!((metrics["kl"] - ((-0.5f64).exp() - 0.5)).abs() < 1e-12);
        values(&Tensor::run_backward(&[loss], &[leaf_N], false, false)[0])[0]
    };
    // Where the ratio is 1: the difference of log-probabilities, 0.5.
    assert!((slope(held(true)) - 0.1 * 0.5).abs() < 1e-12);
    assert!((slope(held(false)) - 0.1 * (1.0 - (-0.5f64).exp())).abs() < 1e-12);
}

#[test]
fn what_the_sum_is_divided_by() {
    let divisors = LOSS_TYPES.map(|loss_type| loss_type.average().normaliser(22.0, 5.0, 8.0));
    // grpo, dr_grpo, dapo, bnpo, cispo, sapo, luspo, vespo, dppo_tv, dppo_kl, geo_mean
    let expected = [5.0, 40.0, 22.0, 22.0, 22.0, 5.0, 5.0, 22.0, 22.0, 22.0, 5.0];
    for (got, expected) in divisors.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-12);
    }
    assert!((Average::Tokens.normaliser(0.0, 5.0, 8.0) - 1.0).abs() < 1e-12);
}

#[test]
fn a_missing_reference_or_entropy_is_named() {
    let level = ImportanceSamplingLevel::Token;
    let held = Grpo {
        beta: 0.04,
        ..grpo(LossType::Dapo, level)
    }
    .objective();
    let batch = tokens(&[-1.0], &[-1.0], &[1.0], &[1]);
    assert_eq!(
        held.loss(&batch, &counts(1.0, 1)).unwrap_err(),
        LossError::NoReference
    );
    let rewarded = TokenBatch {
        entropy_weights_N: Some(Tensor::from_slice(&[0.1])),
        ..batch
    };
    let free = objective(LossType::Dapo, level);
    assert_eq!(
        free.loss(&rewarded, &counts(1.0, 1)).unwrap_err(),
        LossError::NoEntropies
    );
}

#[test]
fn entropy_is_rewarded_by_its_weight_whatever_the_loss_is_divided_by() {
    for loss_type in LOSS_TYPES {
        let plain = tokens(&[-1.0, -2.0], &[-1.0, -2.0], &[1.0, 1.0], &[2]);
        let rewarded = TokenBatch {
            entropies_N: Some(Tensor::from_slice(&[2.0, 4.0])),
            entropy_weights_N: Some(Tensor::from_slice(&[0.05, 0.05])),
            ..tokens(&[-1.0, -2.0], &[-1.0, -2.0], &[1.0, 1.0], &[2])
        };
        let objective = objective(loss_type, ImportanceSamplingLevel::Token);
        let of = counts(7.0, 2);
        let loss = |batch| objective.loss(batch, &of).unwrap().0.double_value(&[]);
        assert!((loss(&plain) - loss(&rewarded) - 0.3).abs() < 1e-12);
    }
}

#[test]
fn the_extremes_of_the_clip_are_over_completions() {
    let objective = objective(LossType::Dapo, ImportanceSamplingLevel::Token);
    // Ratios e^0.5, 1 | e^0.5 | e^-0.5, e^-0.5, e^-0.5, 1.
    let batch = tokens(
        &[0.5, 0.0, 0.5, -0.5, -0.5, -0.5, 0.0],
        &[0.0; 7],
        &[1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0],
        &[2, 1, 4],
    );
    let (_, metrics) = objective.loss(&batch, &counts(7.0, 7)).unwrap();
    for (name, value) in [
        ("high_mean", 1.0 / 7.0),
        ("high_max", 0.5),
        ("low_mean", 3.0 / 7.0),
        ("low_min", 0.0),
        ("region_mean", 4.0 / 7.0),
    ] {
        let got = metrics[&format!("clip_ratio/{name}")];
        assert!((got - value).abs() < 1e-12, "{name}: {got}");
    }
}
