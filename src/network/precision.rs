//! Number formats: what the user asks for, and what is computed in.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// What the user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// The faster one, as measured on this machine; see [`crate::formats`].
    #[default]
    Auto,
    /// bfloat16.
    #[value(name = "bfloat16", alias = "bf16")]
    #[serde(alias = "bf16")]
    Bfloat16,
    /// float32.
    #[value(name = "float32", alias = "fp32")]
    #[serde(alias = "fp32")]
    Float32,
}

/// The number format that weights and cache are kept in. Sums are always
/// taken in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bfloat16.
    Bfloat16,
    /// float32.
    Float32,
}

impl PrecisionChoice {
    /// The format for a device. What was left open and never measured is
    /// float32 on a CPU, the more exact.
    pub fn resolve(self, device: Device) -> Precision {
        match (self, device) {
            (Self::Float32, _) | (Self::Auto, Device::Cpu) => Precision::Float32,
            (Self::Bfloat16 | Self::Auto, _) => Precision::Bfloat16,
        }
    }
}

impl Precision {
    /// The kind of its tensors.
    pub fn kind(self) -> Kind {
        match self {
            Self::Bfloat16 => Kind::BFloat16,
            Self::Float32 => Kind::Float,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bfloat16 => "bfloat16",
            Self::Float32 => "float32",
        })
    }
}
