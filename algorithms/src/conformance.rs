//! Losses and divergences compared with figures and gradients computed by other code, in
//! float64.
//!
//! A reference is one JSON file of either of two forms.
//!
//! Losses of policies: matrices `logp`, `old_logp`, `ref_logp` and `mask` (rows are
//! completions, columns token positions), an `advantage` for each row, the settings of `sapo`
//! or `vespo`, and `cases`: settings by TRL's names, or verl's where `by` says so, the loss,
//! and its derivative by each of `logp`. Only tokens with a `mask` of 1 are laid end to end;
//! the derivative at the others is 0 here, and is compared too.
//!
//! Divergences: logits `student` and `teacher` `[B, T, V]`, a `mask` `[B, T]`, and `cases`:
//! `beta`, `temperature`, the loss, and its derivative by each of the student's logits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

use crate::policy_loss::{Average, LossError};
use crate::{Batch, Divergence, Grpo, ImportanceSamplingLevel, LossType, Scorer, TokenBatch};

/// Largest deviation allowed, of a loss and of each derivative.
pub const TOLERANCE: f64 = 1e-9;

/// One loss beside its reference.
///
/// Worked example: `{name: "dapo, token, beta 0.04 corrected, epsilon 0.2 to
/// 0.28", of: "dapo", loss: 2.8e-17, gradient: 1.4e-17}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The settings, in words.
    pub name: String,
    /// The loss, by its name.
    pub of: &'static str,
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

/// What keeps losses from being compared with a reference.
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
    #[error("{path}: {detail}; give a file of the form that scripts/losses-expected.py writes")]
    Reference {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

#[derive(Deserialize)]
struct Losses {
    logp: Vec<Vec<f64>>,
    old_logp: Vec<Vec<f64>>,
    ref_logp: Vec<Vec<f64>>,
    mask: Vec<Vec<f64>>,
    advantage: Vec<f64>,
    sapo_temperature_pos: Option<f64>,
    sapo_temperature_neg: Option<f64>,
    vespo: Option<Vespo>,
    cases: Vec<LossCase>,
}

#[derive(Deserialize)]
struct Vespo {
    k_pos: f64,
    lambda_pos: f64,
    k_neg: f64,
    lambda_neg: f64,
}

#[derive(Deserialize)]
struct LossCase {
    loss_type: LossType,
    loss: f64,
    grad: Vec<Vec<f64>>,
    #[serde(flatten)]
    settings: CaseSettings,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CaseSettings {
    Verl {
        clip_low: f64,
        clip_high: f64,
        clip_ratio_c: f64,
        loss_agg_mode: String,
    },
    Trl {
        importance_sampling_level: ImportanceSamplingLevel,
        beta: f64,
        use_bias_correction_kl: bool,
        epsilon_low: f64,
        epsilon_high: f64,
        delta: Option<f64>,
        off_policy_mask_threshold: Option<f64>,
        max_completion_length: f64,
        num_items_in_batch: f64,
    },
}

#[derive(Deserialize)]
struct Divergences {
    student: Vec<Vec<Vec<f64>>>,
    teacher: Vec<Vec<Vec<f64>>>,
    mask: Vec<Vec<f64>>,
    cases: Vec<DivergenceCase>,
}

#[derive(Deserialize)]
struct DivergenceCase {
    beta: f64,
    temperature: f64,
    loss: f64,
    grad: Vec<Vec<Vec<f64>>>,
}

/// Compares every case of a reference file; the worst deviations by loss are
/// [`worst_by_loss`] of them.
pub fn losses(path: &Path) -> Result<Vec<Case>, ConformanceError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConformanceError::Read {
        path: path.into(),
        source,
    })?;
    compared(&text).map_err(|detail| ConformanceError::Reference {
        path: path.into(),
        detail,
    })
}

fn compared(text: &str) -> Result<Vec<Case>, String> {
    let whole: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if whole.get("student").is_some() {
        return read::<Divergences>(text)?.compare();
    }
    read::<Losses>(text)?.compare()
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The worst deviations of each loss.
pub fn worst_by_loss(cases: &[Case]) -> BTreeMap<&'static str, Worst> {
    let mut worst: BTreeMap<&'static str, Worst> = BTreeMap::new();
    for case in cases {
        let entry = worst.entry(case.of).or_default();
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

/// The derivatives of a loss by a leaf.
fn derivatives(loss: Tensor, leaf: &Tensor) -> Vec<f64> {
    let gradients = Tensor::run_backward(&[loss], &[leaf], false, false);
    let first = gradients.first().map(|gradient| gradient.view(-1));
    first
        .and_then(|gradient| Vec::<f64>::try_from(gradient).ok())
        .unwrap_or_default()
}

/// The largest deviation of `got` where `mask` is 1, and of 0 elsewhere.
fn largest(mask: impl Iterator<Item = f64>, expected: Vec<f64>, got: Vec<f64>) -> f64 {
    let mut got = got.into_iter();
    let each = mask.zip(expected).map(|(mask, expected)| {
        let got = if mask > 0.0 {
            got.next().unwrap_or(f64::NAN)
        } else {
            0.0
        };
        deviation(expected, got)
    });
    each.fold(0.0, f64::max)
}

impl LossCase {
    /// The settings as `grpo` has them.
    fn grpo(&self, of: &Losses) -> Grpo {
        let mut grpo = Grpo {
            loss_type: self.loss_type,
            ..Grpo::default()
        };
        if let (Some(positive), Some(negative)) = (of.sapo_temperature_pos, of.sapo_temperature_neg)
        {
            grpo.sapo_temperature_pos = positive;
            grpo.sapo_temperature_neg = negative;
        }
        if let Some(vespo) = &of.vespo {
            grpo.vespo_k_pos = vespo.k_pos;
            grpo.vespo_lambda_pos = vespo.lambda_pos;
            grpo.vespo_k_neg = vespo.k_neg;
            grpo.vespo_lambda_neg = vespo.lambda_neg;
        }
        match &self.settings {
            CaseSettings::Verl {
                clip_low,
                clip_high,
                clip_ratio_c,
                ..
            } => Grpo {
                epsilon: *clip_low,
                epsilon_high: Some(*clip_high),
                delta: Some(*clip_ratio_c),
                ..grpo
            },
            CaseSettings::Trl {
                importance_sampling_level,
                beta,
                use_bias_correction_kl,
                epsilon_low,
                epsilon_high,
                delta,
                off_policy_mask_threshold,
                ..
            } => Grpo {
                importance_sampling_level: *importance_sampling_level,
                beta: *beta,
                use_bias_correction_kl: *use_bias_correction_kl,
                epsilon: *epsilon_low,
                epsilon_high: Some(*epsilon_high),
                delta: *delta,
                off_policy_mask_threshold: *off_policy_mask_threshold,
                ..grpo
            },
        }
    }

    /// Whether verl averages over rows, and not the loss itself.
    fn has_means_of_verl(&self) -> bool {
        let averages = |mode: &str| mode == "seq-mean-token-mean";
        matches!(&self.settings, CaseSettings::Verl { loss_agg_mode, .. } if averages(loss_agg_mode))
            && self.loss_type != LossType::GeoMean
    }

    /// How terms are summed, and what they are divided by, of `tokens` trained tokens in
    /// `rows` completions.
    fn average(&self, tokens: f64, rows: f64) -> Result<(Average, f64), String> {
        let own = self.loss_type.average();
        match &self.settings {
            CaseSettings::Verl { loss_agg_mode, .. } => {
                let average = match (self.loss_type, loss_agg_mode.as_str()) {
                    // Its code does not read the mode.
                    (LossType::GeoMean, _) => own,
                    (_, "token-mean") => Average::Tokens,
                    (_, "seq-mean-token-mean") => Average::Completions,
                    (_, other) => return Err(format!("loss_agg_mode = {other:?} is not known")),
                };
                Ok((average, average.normaliser(tokens, rows, 0.0)))
            }
            CaseSettings::Trl {
                max_completion_length,
                num_items_in_batch,
                ..
            } => {
                // TRL counts the tokens of `bnpo` in its batch, those of the others in all
                // that were accumulated.
                let counted = match self.loss_type {
                    LossType::Bnpo => tokens,
                    _ => *num_items_in_batch,
                };
                Ok((own, own.normaliser(counted, rows, *max_completion_length)))
            }
        }
    }

    fn name(&self) -> String {
        let name = self.loss_type.name();
        match &self.settings {
            CaseSettings::Verl {
                clip_low,
                clip_high,
                loss_agg_mode,
                ..
            } => format!("{name}, verl, {loss_agg_mode}, clip {clip_low} to {clip_high}"),
            CaseSettings::Trl {
                importance_sampling_level,
                beta,
                use_bias_correction_kl,
                epsilon_low,
                epsilon_high,
                delta,
                off_policy_mask_threshold,
                ..
            } => {
                let level = match importance_sampling_level {
                    ImportanceSamplingLevel::Token => "token",
                    ImportanceSamplingLevel::Sequence => "sequence",
                };
                let corrected = if *use_bias_correction_kl {
                    " corrected"
                } else {
                    ""
                };
                let or_nothing = |name: &str, value: &Option<f64>| {
                    value.map_or_else(String::new, |value| format!(", {name} {value}"))
                };
                format!(
                    "{name}, {level}, beta {beta}{corrected}, epsilon {epsilon_low} to {epsilon_high}{}{}",
                    or_nothing("delta", delta),
                    or_nothing("off-policy mask", off_policy_mask_threshold),
                )
            }
        }
    }
}

impl Losses {
    fn compare(&self) -> Result<Vec<Case>, String> {
        self.check_shapes()?;
        let compared = self.cases.iter().enumerate().map(|(index, case)| {
            let compared = self.compare_case(case);
            compared.map_err(|error| format!("case {index} ({}): {error}", case.name()))
        });
        compared.collect()
    }

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

    fn compare_case(&self, case: &LossCase) -> Result<Case, String> {
        let lengths: Vec<usize> = self
            .mask
            .iter()
            .map(|row| row.iter().filter(|mask| **mask > 0.0).count())
            .collect();
        // verl's means over a row divide by its length and 1e-8.
        let more = if case.has_means_of_verl() { 1e-8 } else { 0.0 };
        let of_row = |(&advantage, &length): (&f64, &usize)| {
            let share = length as f64 / (length as f64 + more);
            std::iter::repeat_n(advantage * share, length)
        };
        let rows = self.advantage.iter().zip(&lengths);
        let weights: Vec<f64> = rows.flat_map(of_row).collect();
        let logprobs_N = Tensor::from_slice(&self.trained(&self.logp)).set_requires_grad(true);
        let tokens = TokenBatch {
            logprobs_N: logprobs_N.shallow_clone(),
            weights_N: Tensor::from_slice(&weights),
            lengths: lengths.iter().map(|&length| length as i64).collect(),
            sampled_logprobs_N: Some(Tensor::from_slice(&self.trained(&self.old_logp))),
            reference_logprobs_N: Some(Tensor::from_slice(&self.trained(&self.ref_logp))),
            entropies_N: None,
            entropy_weights_N: None,
            divergences_N: None,
            demonstrated: vec![false; lengths.len()],
        };
        let mut objective = case.grpo(self).objective();
        let (average, normaliser) = case.average(weights.len() as f64, lengths.len() as f64)?;
        objective.average = average;
        let batch = Batch {
            examples: Vec::new(),
            normaliser,
            tokens: weights.len(),
            entropy_coef: 0.0,
            imitation: None,
        };
        let loss = objective.loss(&tokens, &batch);
        let (loss, _) = loss.map_err(|error: LossError| error.to_string())?;
        let got = loss.double_value(&[]);
        Ok(Case {
            name: case.name(),
            of: case.loss_type.name(),
            loss: deviation(case.loss, got),
            gradient: largest(
                self.mask.iter().flatten().copied(),
                case.grad.iter().flatten().copied().collect(),
                derivatives(loss, &logprobs_N),
            ),
        })
    }
}

impl Divergences {
    fn compare(&self) -> Result<Vec<Case>, String> {
        let shape = |logits: &[Vec<Vec<f64>>]| -> Vec<Vec<usize>> {
            let row = |row: &Vec<Vec<f64>>| row.iter().map(Vec::len).collect();
            logits.iter().map(row).collect()
        };
        let expected = shape(&self.student);
        let widths: Vec<usize> = expected.iter().flatten().copied().collect();
        let masks: Vec<usize> = self.mask.iter().map(Vec::len).collect();
        let rows: Vec<usize> = expected.iter().map(Vec::len).collect();
        let alike = self.cases.iter().all(|case| shape(&case.grad) == expected)
            && shape(&self.teacher) == expected;
        if !alike || masks != rows || widths.iter().any(|&width| Some(&width) != widths.first()) {
            return Err("student, teacher, mask and grad are not of one shape".to_owned());
        }
        if self.cases.is_empty() {
            return Err("it has no cases".to_owned());
        }
        let width = widths.first().copied().unwrap_or(0) as i64;
        let trained = |logits: &[Vec<Vec<f64>>]| {
            let masked = logits.iter().flatten().zip(self.mask.iter().flatten());
            let kept: Vec<f64> = masked
                .filter(|(_, mask)| **mask > 0.0)
                .flat_map(|(row, _)| row.iter().copied())
                .collect();
            Tensor::from_slice(&kept).view([-1, width])
        };
        let compare = |case: &DivergenceCase| {
            let student_NV = trained(&self.student).set_requires_grad(true);
            let divergence = Divergence {
                judge: Scorer::Teacher,
                beta: case.beta,
                temperature: case.temperature,
            };
            let of_N = divergence.of_logits(&student_NV, &trained(&self.teacher));
            let loss = of_N.mean(Kind::Double);
            let got = loss.double_value(&[]);
            let mask = self.mask.iter().flatten();
            Case {
                name: format!("gkd, beta {}, temperature {}", case.beta, case.temperature),
                of: "gkd",
                loss: deviation(case.loss, got),
                gradient: largest(
                    mask.flat_map(|&mask| std::iter::repeat_n(mask, width as usize)),
                    case.grad.iter().flatten().flatten().copied().collect(),
                    derivatives(loss, &student_NV),
                ),
            }
        };
        Ok(self.cases.iter().map(compare).collect())
    }
}

#[cfg(test)]
mod tests;
