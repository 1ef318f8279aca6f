//! Rotary positions as the network multiplies by them: frequencies, scaled, and tables of cosines and
//! sines.

use tch::{Device, Kind, Tensor};

use super::ModelConfig;
use super::rope::{Rope, RopeScaling};

/// Frequencies `[E/2]` for sequences of that length.
fn frequencies(config: &ModelConfig, rope: Rope, length: i64) -> Vec<f64> {
    let width = config.head_dim as f64;
    let mut base = rope.theta;
    if let RopeScaling::Dynamic { factor } = rope.scaling
        && length > config.max_position_embeddings
    {
        let stretch = factor * length as f64 / config.max_position_embeddings as f64;
        base *= (stretch - (factor - 1.0)).powf(width / (width - 2.0));
    }
    (0..config.head_dim / 2)
        .map(|index| (index as f64, base.powf(-2.0 * index as f64 / width)))
        .map(|(index, frequency)| scaled(rope, width, index, frequency))
        .collect()
}

/// A frequency, the `index`-th of a head of that width, after scaling.
fn scaled(rope: Rope, width: f64, index: f64, frequency: f64) -> f64 {
    match rope.scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } => frequency,
        RopeScaling::Absent => 0.0,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            beta_fast,
            beta_slow,
            truncate,
            ..
        } => {
            // The dimension whose frequency turns so often in the original context.
            let turning = |turns: f64| {
                let wave = original_max_position_embeddings / (turns * std::f64::consts::TAU);
                width * wave.ln() / (2.0 * rope.theta.ln())
            };
            let (mut low, mut high) = (turning(beta_fast), turning(beta_slow));
            if truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            (low, high) = (low.max(0.0), high.min(width - 1.0));
            // As in transformers, so that a blend of no width is a step.
            if (high - low).abs() < f64::EPSILON {
                high += 0.001;
            }
            let share = ((index - low) / (high - low)).clamp(0.0, 1.0);
            share * frequency / factor + (1.0 - share) * frequency
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let wavelength = std::f64::consts::TAU / frequency;
            let turns = original_max_position_embeddings / wavelength;
            if turns < low_freq_factor {
                frequency / factor
            } else if turns > high_freq_factor {
                frequency
            } else {
                let share = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                (1.0 - share) * frequency / factor + share * frequency
            }
        }
    }
}

/// Cosines and sines `[T, E/2]`, float32, of the first positions.
#[derive(Debug)]
pub struct Rotary {
    /// Cosines.
    pub cos_TE: Tensor,
    /// Sines.
    pub sin_TE: Tensor,
}

impl Rotary {
    /// What a sequence of `length` tokens is rotated by, for each of the
    /// configuration's rotary positions.
    pub fn of_sequence(config: &ModelConfig, length: i64, device: Device) -> Vec<Self> {
        let each = config.ropes.iter().map(|&rope| {
            let frequencies = frequencies(config, rope, length);
            Self::from_angles(rope, length, device, |position, angles| {
                angles.extend(frequencies.iter().map(|frequency| position * frequency));
            })
        });
        each.collect()
    }

    /// What sequences that grow token by token are rotated by: position t as
    /// the last of t + 1 tokens. It differs from [`Rotary::of_sequence`] under
    /// dynamic scaling alone, where transformers keeps cached keys as they
    /// were first rotated.
    pub fn of_growing(config: &ModelConfig, rows: i64, device: Device) -> Vec<Self> {
        let each = config.ropes.iter().map(|&rope| {
            let fixed = frequencies(config, rope, 1);
            Self::from_angles(rope, rows, device, |position, angles| {
                let length = position as i64 + 1;
                if length > config.max_position_embeddings
                    && matches!(rope.scaling, RopeScaling::Dynamic { .. })
                {
                    let grown = frequencies(config, rope, length);
                    angles.extend(grown.iter().map(|frequency| position * frequency));
                } else {
                    angles.extend(fixed.iter().map(|frequency| position * frequency));
                }
            })
        });
        each.collect()
    }

    fn from_angles(
        rope: Rope,
        rows: i64,
        device: Device,
        mut row: impl FnMut(f64, &mut Vec<f64>),
    ) -> Self {
        let mut angles = Vec::new();
        for position in 0..rows {
            row(position as f64, &mut angles);
        }
        let factor = match rope.scaling {
            RopeScaling::Yarn {
                attention_factor, ..
            } => attention_factor,
            _ => 1.0,
        };
        let angles_TE = Tensor::from_slice(&angles).view([rows, -1]);
        let table = |values: Tensor| (values * factor).to_kind(Kind::Float).to_device(device);
        Self {
            cos_TE: table(angles_TE.cos()),
            sin_TE: table(angles_TE.sin()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelShape;

    fn config(scaling: RopeScaling) -> ModelConfig {
        let mut config = ModelShape::tiny().config(20, 1, 2, 0);
        config.head_dim = 16;
        config.ropes[0].scaling = scaling;
        config
    }

    fn of(config: &ModelConfig, length: i64) -> Vec<f64> {
        frequencies(config, config.ropes[0], length)
    }

    #[test]
    fn linear_scaling_stretches_positions() {
        let plain = of(&config(RopeScaling::None), 8);
        let linear = of(&config(RopeScaling::Linear { factor: 4.0 }), 8);
        for (plain, linear) in plain.iter().zip(&linear) {
            assert!((plain / 4.0 - linear).abs() < 1e-15);
        }
    }

    #[test]
    fn llama3_spares_high_frequencies_and_divides_low_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 64.0,
        };
        let plain = of(&config(RopeScaling::None), 8);
        let scaled = of(&config(scaling), 8);
        // Wavelength 6.28 turns ten times in 64 positions; the longest not once.
        assert!((scaled[0] - plain[0]).abs() < 1e-15);
        assert!((scaled[7] - plain[7] / 8.0).abs() < 1e-15);
        assert!(
            (1..7).any(|index| scaled[index] < plain[index] && scaled[index] > plain[index] / 8.0)
        );
    }

    #[test]
    fn dynamic_scaling_begins_where_the_context_ends() {
        let dynamic = config(RopeScaling::Dynamic { factor: 2.0 });
        let context = dynamic.max_position_embeddings;
        let plain = of(&config(RopeScaling::None), 8);
        assert_eq!(of(&dynamic, context), plain);
        // base * (2 * 2 - 1)^(16/14) at twice the context.
        let grown = of(&dynamic, 2 * context);
        let base = 10_000.0 * 3f64.powf(16.0 / 14.0);
        assert!((grown[3] - base.powf(-6.0 / 16.0)).abs() < 1e-15);
        let growing = &Rotary::of_growing(&dynamic, context + 1, Device::Cpu)[0];
        let whole = &Rotary::of_sequence(&dynamic, context + 1, Device::Cpu)[0];
        let last = |table: &Tensor| table.select(0, context);
        assert_eq!(last(&growing.cos_TE), last(&whole.cos_TE));
        let before = |table: &Tensor| table.select(0, context - 1);
        assert_ne!(before(&growing.cos_TE), before(&whole.cos_TE));
    }

    #[test]
    fn yarn_divides_what_turns_rarely_and_lengthens_queries_and_keys() {
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            original_max_position_embeddings: 64.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 1.5,
            truncate: true,
        };
        let (plain, yarn) = (config(RopeScaling::None), config(scaling));
        let (plain, scaled) = (of(&plain, 8), of(&yarn, 8));
        // 32 turns in 64 positions are beyond the first dimension, one turn is at 2.02.
        assert!((scaled[0] - plain[0]).abs() < 1e-15);
        let share = 1.0 / 3.0;
        let blend = share * plain[1] / 4.0 + (1.0 - share) * plain[1];
        assert!((scaled[1] - blend).abs() < 1e-15);
        assert!((scaled[3] - plain[3] / 4.0).abs() < 1e-15);
        let table = &Rotary::of_sequence(&yarn, 2, Device::Cpu)[0];
        assert!((table.cos_TE.double_value(&[0, 0]) - 1.5).abs() < 1e-6);
    }

    #[test]
    fn layers_without_positions_turn_by_nothing() {
        let mut absent = config(RopeScaling::None);
        absent.ropes = vec![Rope::ABSENT];
        let table = &Rotary::of_growing(&absent, 9, Device::Cpu)[0];
        assert_eq!(table.cos_TE, table.cos_TE.ones_like());
        assert_eq!(table.sin_TE, table.sin_TE.zeros_like());
    }
}
