//! Each loss by hand, cut in any way, and with infinities where nothing counts.

use super::*;
use crate::add_metrics;
use crate::testing::{Rows, values};

const LOSS_TYPES: [LossType; 6] = [
    LossType::Grpo,
    LossType::DrGrpo,
    LossType::Dapo,
    LossType::Bnpo,
    LossType::Cispo,
    LossType::Sapo,
];

const LEVELS: [ImportanceSamplingLevel; 2] = [
    ImportanceSamplingLevel::Token,
    ImportanceSamplingLevel::Sequence,
];

fn objective(loss_type: LossType, level: ImportanceSamplingLevel) -> Objective {
    Objective {
        loss_type,
        importance_sampling_level: level,
        epsilon: 0.2,
        epsilon_high: 0.28,
        delta: None,
        sapo_temperature_pos: 1.0,
        sapo_temperature_neg: 1.05,
        beta: 0.0,
        kl_estimator: KlEstimator::K3,
        use_bias_correction_kl: false,
    }
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
    let normaliser = objective.loss_type.normaliser(tokens, count as f64, 11.0);
    let mut sum = 0.0;
    let mut gradient = Vec::new();
    let mut metrics = Metrics::new();
    for part in 0..parts {
        let (from, to) = (part * count / parts, (part + 1) * count / parts);
        let (mut micro_batch, leaf_N) = rows.cut(from, to, Kind::Double);
        if bonus != 0.0 {
            micro_batch.entropy_weights_N = Some(leaf_N.full_like(bonus / tokens));
        }
        let (loss, more) = objective.loss(&micro_batch, normaliser, tokens).unwrap();
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
                let objective = Objective {
                    beta,
                    use_bias_correction_kl: corrected,
                    kl_estimator: estimator,
                    delta: loss_type.clips().then_some(1.5),
                    ..objective(loss_type, level)
                };
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
            let (loss, metrics) = objective(loss_type, level).loss(&batch, 2.0, 4.0).unwrap();
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
            let objective = Objective {
                epsilon_high: 5.0,
                ..objective(loss_type, level)
            };
            let (loss, _) = objective.loss(&batch, 1.0, 3.0).unwrap();
            let gradient = values(&Tensor::run_backward(&[loss], &[leaf_N], false, false)[0]);
            let divisor = if loss_type.averages_rows() { 2.0 } else { 1.0 };
            for (derivative, expected) in gradient.iter().zip([-0.7 / divisor, -0.7 / divisor, 0.3])
            {
                assert!(
                    (derivative - expected).abs() < 1e-12,
                    "{loss_type:?} {level:?}"
                );
            }
        }
    }
}

#[test]
fn a_sequence_ratio_is_the_geometric_mean_of_its_tokens() {
    let batch = tokens(&[-1.0, -0.9, -0.5], &[-1.1, -1.2, -0.5], &[1.0; 3], &[2, 1]);
    let level = ImportanceSamplingLevel::Sequence;
    let log_ratio_N = objective(LossType::Grpo, level).log_ratio_N(&batch);
    for (got, expected) in values(&log_ratio_N).iter().zip([0.2, 0.2, 0.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
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
    let held = |corrected| Objective {
        beta: 0.1,
        use_bias_correction_kl: corrected,
        ..objective(LossType::Dapo, ImportanceSamplingLevel::Token)
    };
    let slope = |objective: Objective| {
        let batch = TokenBatch {
            reference_logprobs_N: Some(Tensor::from_slice(&[-1.5])),
            ..tokens(&[-1.0], &[-1.0], &[0.0], &[1])
        };
        let leaf_N = batch.logprobs_N.shallow_clone();
        let (loss, metrics) = objective.loss(&batch, 1.0, 1.0).unwrap();
        assert!((metrics["kl"] - ((-0.5f64).exp() - 0.5)).abs() < 1e-12);
        values(&Tensor::run_backward(&[loss], &[leaf_N], false, false)[0])[0]
    };
    // Where the ratio is 1: the difference of log-probabilities, 0.5.
    assert!((slope(held(true)) - 0.1 * 0.5).abs() < 1e-12);
    assert!((slope(held(false)) - 0.1 * (1.0 - (-0.5f64).exp())).abs() < 1e-12);
}

#[test]
fn what_the_sum_is_divided_by() {
    let divisors = LOSS_TYPES.map(|loss_type| loss_type.normaliser(22.0, 5.0, 8.0));
    // grpo, dr_grpo, dapo, bnpo, cispo, sapo
    for (got, expected) in divisors.iter().zip([5.0, 40.0, 22.0, 22.0, 22.0, 5.0]) {
        assert!((got - expected).abs() < 1e-12);
    }
    assert!((LossType::Dapo.normaliser(0.0, 5.0, 8.0) - 1.0).abs() < 1e-12);
}

#[test]
fn a_missing_reference_or_entropy_is_named() {
    let level = ImportanceSamplingLevel::Token;
    let held = Objective {
        beta: 0.04,
        ..objective(LossType::Dapo, level)
    };
    let batch = tokens(&[-1.0], &[-1.0], &[1.0], &[1]);
    assert_eq!(
        held.loss(&batch, 1.0, 1.0).unwrap_err(),
        LossError::NoReference
    );
    let rewarded = TokenBatch {
        entropy_weights_N: Some(Tensor::from_slice(&[0.1])),
        ..batch
    };
    let free = objective(LossType::Dapo, level);
    assert_eq!(
        free.loss(&rewarded, 1.0, 1.0).unwrap_err(),
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
        let loss = |batch| objective.loss(batch, 7.0, 2.0).unwrap().0.double_value(&[]);
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
    let (_, metrics) = objective.loss(&batch, 7.0, 7.0).unwrap();
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
