//! The losses of the GRPO family held to losses and gradients computed by
//! other code, in float64.
//!
//! A reference is one JSON file: matrices `logp`, `old_logp`, `ref_logp` and
//! `mask` (rows are completions, columns token positions), an `advantage` for
//! each row, the temperatures of `sapo`, and `cases`: settings, the loss, and
//! its derivative by each of `logp`. Only tokens with a `mask` of 1 are laid end
//! to end; the derivative at the others is 0 here, and is compared too. Other
//! keys are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tch::Tensor;

use crate::TokenBatch;
use crate::policy_loss::{ImportanceSamplingLevel, KlEstimator, LossError, LossType, Objective};

/// Largest deviation allowed, of a loss and of each derivative.
pub const TOLERANCE: f64 = 1e-9;

/// One loss beside its reference.
///
/// Worked example: `{name: "dapo, token, beta 0.04 corrected, epsilon 0.2 to
/// 0.28", loss_type: Dapo, loss: 2.8e-17, gradient: 1.4e-17}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The settings, in words.
    pub name: String,
    /// The loss.
    pub loss_type: LossType,
    /// Absolute difference of the loss; infinite where one is not a number.
    pub loss: f64,
    /// Largest absolute difference of a derivative.
    pub gradient: f64,
}

impl Case {
    /// Whether loss and gradient conform.
    pub fn holds(&self) -> bool {
        self.loss <= TOLERANCE && self.gradient <= TOLERANCE
    }
}

/// The worst of several cases.
///
/// Worked example: `{cases: 18, failed: 0, loss: 5.6e-17, gradient: 2.8e-17}`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Worst {
    /// How many cases there are.
    pub cases: usize,
    /// How many of them do not conform.
    pub failed: usize,
    /// Largest difference of a loss.
    pub loss: f64,
    /// Largest difference of a derivative.
    pub gradient: f64,
}

/// What keeps losses from being held to a reference.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// The file cannot be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a reference.
    #[error("{path}: {detail}; give a file of the form that make_losses.py writes")]
    Reference {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

#[derive(Deserialize)]
struct Reference {
    logp: Vec<Vec<f64>>,
    old_logp: Vec<Vec<f64>>,
    ref_logp: Vec<Vec<f64>>,
    mask: Vec<Vec<f64>>,
    advantage: Vec<f64>,
    sapo_temperature_pos: f64,
    sapo_temperature_neg: f64,
    cases: Vec<ReferenceCase>,
}

#[derive(Deserialize)]
struct ReferenceCase {
    loss_type: LossType,
    importance_sampling_level: ImportanceSamplingLevel,
    beta: f64,
    use_bias_correction_kl: bool,
    epsilon_low: f64,
    epsilon_high: f64,
    delta: Option<f64>,
    max_completion_length: f64,
    num_items_in_batch: f64,
    loss: f64,
    grad: Vec<Vec<f64>>,
}

impl ReferenceCase {
    fn name(&self) -> String {
        let level = match self.importance_sampling_level {
            ImportanceSamplingLevel::Token => "token",
            ImportanceSamplingLevel::Sequence => "sequence",
        };
        let corrected = if self.use_bias_correction_kl {
            " corrected"
        } else {
            ""
        };
        let delta = self
            .delta
            .map_or_else(String::new, |d| format!(", delta {d}"));
        format!(
            "{}, {level}, beta {}{corrected}, epsilon {} to {}{delta}",
            self.loss_type.name(),
            self.beta,
            self.epsilon_low,
            self.epsilon_high,
        )
    }
}

/// Holds every case of a reference file; the worst deviations by loss are
/// [`worst_by_loss`] of them.
pub fn losses(path: &Path) -> Result<Vec<Case>, ConformanceError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConformanceError::Read {
        path: path.into(),
        source,
    })?;
    let error = |detail: String| ConformanceError::Reference {
        path: path.into(),
        detail,
    };
    let reference: Reference = serde_json::from_str(&text).map_err(|e| error(e.to_string()))?;
    reference.check_shapes().map_err(error)?;
    let held = reference.cases.iter().enumerate().map(|(index, case)| {
        reference
            .hold(case)
            .map_err(|e| error(format!("case {index} ({}): {e}", case.name())))
    });
    held.collect()
}

/// The worst deviations of each loss.
pub fn worst_by_loss(cases: &[Case]) -> BTreeMap<LossType, Worst> {
    let mut worst: BTreeMap<LossType, Worst> = BTreeMap::new();
    for case in cases {
        let entry = worst.entry(case.loss_type).or_default();
        entry.cases += 1;
        entry.failed += usize::from(!case.holds());
        entry.loss = entry.loss.max(case.loss);
        entry.gradient = entry.gradient.max(case.gradient);
    }
    worst
}

/// Absolute difference; infinite where one of the two is not a number.
fn deviation(expected: f64, got: f64) -> f64 {
    let difference = (expected - got).abs();
    if difference.is_nan() {
        f64::INFINITY
    } else {
        difference
    }
}

impl Reference {
    /// Every matrix has the shape of `mask`, and every row an advantage.
    fn check_shapes(&self) -> Result<(), String> {
        let alike = |matrix: &[Vec<f64>]| {
            matrix.len() == self.mask.len()
                && matrix
                    .iter()
                    .zip(&self.mask)
                    .all(|(a, b)| a.len() == b.len())
        };
        for (name, matrix) in [
            ("logp", &self.logp),
            ("old_logp", &self.old_logp),
            ("ref_logp", &self.ref_logp),
        ] {
            if !alike(matrix) {
                return Err(format!("{name} has not the shape of mask"));
            }
        }
        if self.advantage.len() != self.mask.len() {
            return Err(format!(
                "{} advantages for {} rows of mask",
                self.advantage.len(),
                self.mask.len()
            ));
        }
        if self.cases.is_empty() {
            return Err("it has no cases".to_owned());
        }
        match self.cases.iter().position(|case| !alike(&case.grad)) {
            Some(index) => Err(format!("grad of case {index} has not the shape of mask")),
            None => Ok(()),
        }
    }

    /// The values of a matrix at the trained tokens, row by row.
    fn trained(&self, matrix: &[Vec<f64>]) -> Vec<f64> {
        let masked = matrix.iter().flatten().zip(self.mask.iter().flatten());
        masked
            .filter(|(_, mask)| **mask > 0.0)
            .map(|(value, _)| *value)
            .collect()
    }

    fn hold(&self, case: &ReferenceCase) -> Result<Case, LossError> {
        let lengths: Vec<usize> = self
            .mask
            .iter()
            .map(|row| row.iter().filter(|mask| **mask > 0.0).count())
            .collect();
        let weights: Vec<f64> = self
            .advantage
            .iter()
            .zip(&lengths)
            .flat_map(|(&advantage, &length)| std::iter::repeat_n(advantage, length))
            .collect();
        let logprobs_N = Tensor::from_slice(&self.trained(&self.logp)).set_requires_grad(true);
        let tokens = TokenBatch {
            logprobs_N: logprobs_N.shallow_clone(),
            weights_N: Tensor::from_slice(&weights),
            lengths: lengths.iter().map(|&length| length as i64).collect(),
            sampled_logprobs_N: Some(Tensor::from_slice(&self.trained(&self.old_logp))),
            reference_logprobs_N: Some(Tensor::from_slice(&self.trained(&self.ref_logp))),
            entropies_N: None,
            entropy_weights_N: None,
        };
        let objective = Objective {
            loss_type: case.loss_type,
            importance_sampling_level: case.importance_sampling_level,
            epsilon: case.epsilon_low,
            epsilon_high: case.epsilon_high,
            delta: case.delta,
            sapo_temperature_pos: self.sapo_temperature_pos,
            sapo_temperature_neg: self.sapo_temperature_neg,
            beta: case.beta,
            kl_estimator: KlEstimator::K3,
            use_bias_correction_kl: case.use_bias_correction_kl,
        };
        let trained = weights.len() as f64;
        // TRL counts the tokens of `bnpo` in its batch, those of `dapo` and
        // `cispo` in all that were accumulated.
        let counted = match case.loss_type {
            LossType::Bnpo => trained,
            _ => case.num_items_in_batch,
        };
        let normaliser =
            case.loss_type
                .normaliser(counted, lengths.len() as f64, case.max_completion_length);
        let (loss, _) = objective.loss(&tokens, normaliser, trained)?;
        let got = loss.double_value(&[]);
        let gradient_N = Tensor::run_backward(&[loss], &[logprobs_N], false, false);
        let mut derivatives = gradient_N
            .first()
            .and_then(|gradient_N| Vec::<f64>::try_from(gradient_N).ok())
            .unwrap_or_default()
            .into_iter();
        let gradient = self
            .mask
            .iter()
            .flatten()
            .zip(case.grad.iter().flatten())
            .map(|(mask, expected)| {
                let got = if *mask > 0.0 {
                    derivatives.next().unwrap_or(f64::NAN)
                } else {
                    0.0
                };
                deviation(*expected, got)
            })
            .fold(0.0, f64::max);
        Ok(Case {
            name: case.name(),
            loss_type: case.loss_type,
            loss: deviation(case.loss, got),
            gradient,
        })
    }
}

#[cfg(test)]
mod tests;
