//! The number format that `dtype = "auto"` stands for: both are timed on
//! products of the model's own shapes, by what the engine computes them with.
//!
//! A processor's list of instructions does not decide it: with AVX-512 BF16 and
//! without AMX, training took half as long again in bfloat16 as in float32 while
//! sampling a few rows was faster. So every engine is asked by itself, and the
//! choice is made once and kept: a run writes it down before its first stage.
//!
//! What it deliberately does not do: measure GPUs, which compute in bfloat16, or
//! measure again in the middle of something.

mod measure;

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::generation::{Precision, PrecisionChoice};
use crate::model::ModelConfig;

/// How many times as fast bfloat16 has to be to be chosen. It keeps 8 bits of 24
/// and so has to earn its place: products are only a part of the time, so that
/// less than this is little over all, and medians on a machine that others use
/// too differ by a tenth from one measurement to the next.
pub const MARGIN: f64 = 1.2;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Forward and backward passes of packed rows.
    Training,
    /// Sampling, a token a row and step.
    Generation,
}

/// A format and why it is the one.
///
/// Worked example: `{"format": "float32", "reason": {"measured": {"rows": 256,
/// "float32": 71.2, "bfloat16": 44.5}}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What is computed in.
    pub format: Precision,
    /// Why.
    pub reason: Reason,
}

/// Why a format was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// It was measured.
    Measured(Rates),
    /// A GPU computes in bfloat16.
    Gpu,
    /// What goes on began with it.
    Begun,
}

/// Floating-point operations a second in each format, in 10^9, over products of
/// so many rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Rows of each product.
    pub rows: usize,
    /// In float32.
    pub float32: f64,
    /// In bfloat16.
    pub bfloat16: f64,
}

impl Choice {
    /// The format for an engine that computes a model with so many rows at a
    /// time, on as many threads as libtorch is set to use in this one. On a CPU
    /// it takes less than a tenth of a second.
    pub fn measure(engine: Engine, config: &ModelConfig, rows: usize, device: Device) -> Self {
        if device != Device::Cpu {
            return Self {
                format: Precision::Bfloat16,
                reason: Reason::Gpu,
            };
        }
        Self::of(measure::rates(engine, config, rows))
    }

    fn of(rates: Rates) -> Self {
        let earns = rates.bfloat16 >= MARGIN * rates.float32;
        Self {
            format: if earns {
                Precision::Bfloat16
            } else {
                Precision::Float32
            },
            reason: Reason::Measured(rates),
        }
    }

    /// A choice that leaves nothing open.
    pub fn settled(&self) -> PrecisionChoice {
        match self.format {
            Precision::Bfloat16 => PrecisionChoice::Bfloat16,
            Precision::Float32 => PrecisionChoice::Float32,
        }
    }
}

/// `asked`, or what [`Choice::measure`] chooses where that is open.
pub fn settle(
    asked: PrecisionChoice,
    engine: Engine,
    config: &ModelConfig,
    rows: usize,
    device: Device,
) -> PrecisionChoice {
    match asked {
        PrecisionChoice::Auto => Choice::measure(engine, config, rows, device).settled(),
        asked => asked,
    }
}

/// Rows that an engine of generation is measured with: a batch of so many
/// completions, as far as rows are computed together.
pub fn generation_rows(completions: usize) -> usize {
    completions.clamp(1, measure::MOST_GENERATED)
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rates {
            float32, bfloat16, ..
        } = match &self.reason {
            Reason::Measured(rates) => rates,
            Reason::Gpu => return write!(f, "{} (as on every GPU)", self.format),
            Reason::Begun => return write!(f, "{} (as it was begun)", self.format),
        };
        let ratio = bfloat16 / float32;
        match self.format {
            Precision::Bfloat16 => {
                write!(f, "bfloat16 (float32 would take {ratio:.1} times as long")?;
            }
            Precision::Float32 if ratio > 1.0 => write!(
                f,
                "float32 (bfloat16 is {ratio:.2} times as fast, too little for its coarser rounding"
            )?,
            Precision::Float32 => write!(
                f,
                "float32 (bfloat16 would take {:.1} times as long",
                ratio.recip()
            )?,
        }
        write!(
            f,
            ", measured on this model's shapes: float32 {float32:.3}, bfloat16 {bfloat16:.3} GFLOP/s)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(float32: f64, bfloat16: f64) -> Choice {
        Choice::of(Rates {
            rows: 32,
            float32,
            bfloat16,
        })
    }

    #[test]
    fn bfloat16_has_to_be_faster_by_the_margin() {
        assert_eq!(of(10.0, 12.1).format, Precision::Bfloat16);
        assert_eq!(of(10.0, 11.9).format, Precision::Float32);
        assert_eq!(of(10.0, 5.0).format, Precision::Float32);
    }

    #[test]
    fn a_choice_says_what_the_other_format_would_cost() {
        for (choice, says) in [
            (
                of(20.0, 10.0),
                "float32 (bfloat16 would take 2.0 times as long",
            ),
            (
                of(20.0, 22.0),
                "float32 (bfloat16 is 1.10 times as fast, too little",
            ),
            (
                of(20.0, 40.0),
                "bfloat16 (float32 would take 2.0 times as long",
            ),
        ] {
            let told = choice.to_string();
            assert!(told.starts_with(says), "{told}");
        }
        let again: Choice =
            serde_json::from_str(&serde_json::to_string(&of(1.0, 2.0)).unwrap()).unwrap();
        assert_eq!(again, of(1.0, 2.0));
    }

    #[test]
    fn a_gpu_is_not_measured() {
        let config = crate::model::ModelShape {
            width: 16,
            layers: 1,
            heads: 2,
            kv_heads: 1,
            feed_forward: 32,
            context: 64,
        }
        .config(20, 1, 2, 0);
        for engine in [Engine::Training, Engine::Generation] {
            let choice = Choice::measure(engine, &config, 8, Device::Cuda(0));
            assert_eq!(
                (choice.format, choice.reason),
                (Precision::Bfloat16, Reason::Gpu)
            );
            let Reason::Measured(rates) = Choice::measure(engine, &config, 8, Device::Cpu).reason
            else {
                panic!("a CPU is measured");
            };
            assert!(
                rates.float32 > 0.0 && rates.bfloat16 > 0.0 && rates.rows == 8,
                "{rates:?}"
            );
        }
    }
}
