//! What a draw promises, and the kernel held to libtorch's operators.

use rand::RngExt;

use super::*;
use crate::random::stream;

/// Tokens of one row of logits, each drawn with one of the uniforms.
fn drawn(logits: &[f32], uniforms: &[f64], sampling: &Sampling) -> Vec<i64> {
    let row = Tensor::from_slice(logits).view([1, -1]);
    uniforms
        .iter()
        .map(|&uniform| {
            let rows = [Row {
                uniform,
                written: &[],
            }];
            draw(&row, &rows, &|_| &[], sampling, &[]).unwrap()[0].0
        })
        .collect()
}

#[test]
fn the_uniform_number_decides_the_token() {
    // Probabilities .5, .25, .25.
    let logits = [2f32.ln(), 0.0, 0.0];
    let uniforms = [0.0, 0.49, 0.51, 0.74, 0.76, 1.0 - f64::EPSILON];
    let tokens = drawn(&logits, &uniforms, &Sampling::default());
    assert_eq!(tokens, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn a_token_without_probability_is_never_drawn() {
    let logits = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
    let uniforms = [0.0, 0.5, 1.0 - f64::EPSILON];
    assert_eq!(drawn(&logits, &uniforms, &Sampling::default()), [1, 1, 1]);
}

#[test]
fn temperature_zero_takes_the_likeliest_at_the_log_probability_of_one() {
    let logits = Tensor::from_slice(&[0.0f32, 3.0, 1.0]).view([1, 3]);
    let greedy = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let rows = [Row {
        uniform: 0.99,
        written: &[],
    }];
    let (token, logprob) = draw(&logits, &rows, &|_| &[], &greedy, &[]).unwrap()[0];
    assert_eq!(token, 1);
    let expected = 3.0 - (1.0 + 3f64.exp() + 1f64.exp()).ln();
    assert!((f64::from(logprob) - expected).abs() < 1e-6);
}

#[test]
fn the_end_is_not_drawn_before_the_minimum_length() {
    let logits = Tensor::from_slice(&[9.0f32, 0.0]).view([1, 2]);
    let longer = Sampling {
        min_new_tokens: 2,
        ..Sampling::default()
    };
    let token = |written: &[i64]| {
        let rows = [Row {
            uniform: 0.5,
            written,
        }];
        draw(&logits, &rows, &|_| &[], &longer, &[0]).unwrap()[0].0
    };
    assert_eq!([token(&[]), token(&[1]), token(&[1, 1])], [1, 1, 0]);
}

#[test]
fn the_kernel_draws_what_the_operators_draw() {
    let (rows, vocabulary) = (64i64, 301i64);
    let mut numbers = stream(3, "logits", &[]);
    let logits: Vec<f32> = (0..rows * vocabulary)
        .map(|_| (numbers.random::<f64>() * 12.0 - 6.0) as f32)
        .collect();
    let logits_BV = Tensor::from_slice(&logits).view([rows, vocabulary]);
    let uniforms: Vec<f64> = (0..rows).map(|_| numbers.random()).collect();
    let prompt = [3i64, 5, 3, 200];
    let written: Vec<Vec<i64>> = (0..rows).map(|row| vec![row, 2 * row]).collect();
    let plain = Sampling::default();
    for (name, sampling) in [
        ("plain", plain.clone()),
        (
            "tempered",
            Sampling {
                temperature: 0.6,
                ..plain.clone()
            },
        ),
        (
            "greedy",
            Sampling {
                temperature: 0.0,
                ..plain.clone()
            },
        ),
        (
            "top-k",
            Sampling {
                top_k: 7,
                ..plain.clone()
            },
        ),
        (
            "top-p",
            Sampling {
                top_p: 0.7,
                ..plain.clone()
            },
        ),
        (
            "min-p",
            Sampling {
                min_p: 0.2,
                ..plain.clone()
            },
        ),
        (
            "penalty",
            Sampling {
                repetition_penalty: 1.5,
                ..plain.clone()
            },
        ),
        (
            "all",
            Sampling {
                temperature: 0.8,
                top_k: 40,
                top_p: 0.9,
                min_p: 0.05,
                repetition_penalty: 1.2,
                min_new_tokens: 3,
                ..plain
            },
        ),
    ] {
        let given: Vec<Row<'_>> = uniforms
            .iter()
            .zip(&written)
            .map(|(&uniform, written)| Row { uniform, written })
            .collect();
        let ends = [11i64, 12];
        let by_kernel = draw(&logits_BV, &given, &|_| &prompt, &sampling, &ends).unwrap();
        let seen: Vec<Vec<i64>> = written
            .iter()
            .map(|written| [&prompt[..], written].concat())
            .collect();
        let banned: Vec<&[i64]> = (0..rows)
            .map(|_| {
                if sampling.min_new_tokens > 2 {
                    &ends[..]
                } else {
                    &[]
                }
            })
            .collect();
        let by_operators = by_operators(&logits_BV, &uniforms, &seen, &banned, &sampling);
        for (row, (kernel, operators)) in by_kernel.iter().zip(&by_operators).enumerate() {
            assert_eq!(kernel.0, operators.0, "{name}, row {row}");
            assert!((kernel.1 - operators.1).abs() < 1e-5, "{name}, row {row}");
        }
    }
}

#[test]
fn a_setting_that_means_nothing_is_refused_by_name() {
    let plain = Sampling::default();
    for (wrong, key) in [
        (
            Sampling {
                temperature: -1.0,
                ..plain.clone()
            },
            "temperature",
        ),
        (
            Sampling {
                temperature: f64::NAN,
                ..plain.clone()
            },
            "temperature",
        ),
        (
            Sampling {
                top_p: 0.0,
                ..plain.clone()
            },
            "top_p",
        ),
        (
            Sampling {
                min_p: 1.5,
                ..plain.clone()
            },
            "min_p",
        ),
        (
            Sampling {
                repetition_penalty: 0.0,
                ..plain.clone()
            },
            "repetition_penalty",
        ),
        (
            Sampling {
                max_new_tokens: 0,
                ..plain.clone()
            },
            "max_new_tokens",
        ),
        (
            Sampling {
                min_new_tokens: 600,
                ..plain.clone()
            },
            "min_new_tokens",
        ),
        (
            Sampling {
                stop: vec![String::new()],
                ..plain.clone()
            },
            "stop",
        ),
    ] {
        assert!(wrong.check().unwrap_err().contains(key), "{key}");
    }
    assert_eq!(plain.check(), Ok(()));
}
