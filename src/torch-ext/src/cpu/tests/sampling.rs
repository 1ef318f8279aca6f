//! The draw of a token held to a plain reference.

use super::*;

/// What `sample` computes, by sorting: tokens that stay, with their probabilities.
fn distribution(logits: &[f32], draw: &Draw<'_>) -> Vec<f64> {
    let mut scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    let mut seen = draw.seen.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for token in seen {
        let score = &mut scores[token as usize];
        *score *= if *score < 0.0 {
            draw.repetition_penalty
        } else {
            draw.repetition_penalty.recip()
        };
    }
    for &token in draw.banned {
        scores[token as usize] = f64::NEG_INFINITY;
    }
    let softmax = |scores: &[f64]| {
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores
            .iter()
            .map(|score| ((score - most) / draw.temperature).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        weights
            .iter()
            .map(|weight| weight / total)
            .collect::<Vec<f64>>()
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(b.cmp(&a)));
    if draw.top_k > 0 {
        let least = scores[order[draw.top_k.min(order.len()) - 1]];
        for score in &mut scores {
            if *score < least {
                *score = f64::NEG_INFINITY;
            }
        }
    }
    let probabilities = softmax(&scores);
    let mut above = 0.0;
    for &token in &order {
        if above >= draw.top_p && above > 0.0 {
            scores[token] = f64::NEG_INFINITY;
        }
        above += probabilities[token];
    }
    let probabilities = softmax(&scores);
    let most = probabilities.iter().copied().fold(0.0, f64::max);
    for (score, probability) in scores.iter_mut().zip(&probabilities) {
        if *probability < draw.min_p * most {
            *score = f64::NEG_INFINITY;
        }
    }
    softmax(&scores)
}

fn as_slice(logits: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; logits.numel()];
    let count = values.len();
    logits.copy_data(&mut values, count);
    values
}

#[test]
fn the_uniform_number_decides_the_token() {
    // Probabilities .5, .25, .25.
    let logits = Tensor::from_slice(&[2f32.ln(), 0.0, 0.0]).view([1, 3]);
    let token = |uniform| {
        let draw = Draw {
            uniform,
            ..Draw::default()
        };
        sample(&logits, &[draw]).expect("the logits are finite")[0].token
    };
    let last = 1.0 - f64::EPSILON / 2.0;
    assert_eq!(
        [0.0, 0.49, 0.51, 0.74, 0.76, last].map(token),
        [0, 0, 1, 1, 2, 2]
    );
}

#[test]
fn every_setting_draws_from_the_distribution_it_describes() {
    let vocabulary = 3001;
    let seen = [5, 17, 5, 2000];
    let banned = [0, 3000, 17];
    let plain = Draw::default();
    let settings = [
        plain,
        Draw {
            temperature: 0.7,
            ..plain
        },
        Draw { top_k: 40, ..plain },
        Draw { top_k: 1, ..plain },
        Draw {
            top_k: 5000,
            ..plain
        },
        Draw {
            top_p: 0.6,
            ..plain
        },
        Draw {
            top_p: 0.0,
            ..plain
        },
        Draw {
            min_p: 0.2,
            temperature: 1.5,
            ..plain
        },
        Draw {
            banned: &banned,
            ..plain
        },
        Draw {
            repetition_penalty: 1.3,
            seen: &seen,
            ..plain
        },
        Draw {
            repetition_penalty: 1.3,
            seen: &seen,
            banned: &banned,
            temperature: 0.8,
            top_k: 300,
            top_p: 0.8,
            min_p: 0.1,
            uniform: 0.0,
        },
    ];
    // Rounded to eighths in the second row, so that many are equal.
    let row = noise(&[1, vocabulary], 30) * 4.0;
    let logits = Tensor::cat(&[&row, &((&row * 8.0).round() / 8.0)], 0);
    for settings in settings {
        for uniform in [0.0, 0.013, 0.4, 0.77, 0.999_999] {
            let draw = Draw {
                uniform,
                ..settings
            };
            let drawn = sample(&logits, &[draw, draw]).expect("the logits are finite");
            for (index, drawn) in drawn.iter().enumerate() {
                let logits = as_slice(&logits.get(index as i64));
                let probabilities = distribution(&logits, &draw);
                let token = drawn.token as usize;
                let below: f64 = probabilities[..token].iter().sum();
                assert!(
                    below <= uniform + 1e-5 && uniform < below + probabilities[token] + 1e-5,
                    "{draw:?}: token {token} covers {below} and {} on",
                    probabilities[token]
                );
                let expected = probabilities[token].ln();
                assert!(
                    (f64::from(drawn.logprob) - expected).abs() < 1e-5,
                    "{draw:?}"
                );
                let plain = distribution(
                    &logits,
                    &Draw {
                        temperature: draw.temperature,
                        ..plain
                    },
                );
                let expected = plain[token].ln();
                assert!((f64::from(drawn.plain_logprob) - expected).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn temperature_zero_takes_the_likeliest_token_that_is_allowed() {
    let logits = Tensor::from_slice(&[0f32, 2.0, 1.0, 2.0]).view([1, 4]);
    let greedy = Draw {
        temperature: 0.0,
        uniform: 0.99,
        top_p: 0.1,
        ..Draw::default()
    };
    let drawn = sample(&logits, &[greedy]).expect("the logits are finite")[0];
    let expected = logits.log_softmax(-1, Kind::Float).double_value(&[0, 1]);
    assert_eq!(drawn.token, 1);
    assert!((f64::from(drawn.logprob) - expected).abs() < 1e-6);
    let drawn = sample(
        &logits,
        &[Draw {
            banned: &[1, 3],
            ..greedy
        }],
    )
    .expect("two are left")[0];
    assert_eq!(drawn.token, 2);
    assert!(drawn.plain_logprob < drawn.logprob);
}

#[test]
fn a_row_is_drawn_the_same_in_every_batch() {
    let logits = noise(&[33, 5000], 31) * 5.0;
    let draws: Vec<Draw<'_>> = (0..33)
        .map(|row| Draw {
            uniform: f64::from(row) / 33.0,
            top_p: 0.9,
            ..Draw::default()
        })
        .collect();
    let together = sample(&logits, &draws).expect("the logits are finite");
    for row in [0, 16, 32] {
        let alone = sample(&logits.narrow(0, row as i64, 1), &draws[row..=row]);
        assert_eq!(alone.expect("the logits are finite")[0], together[row]);
    }
}

#[test]
fn logits_without_a_distribution_are_an_error_that_names_the_row() {
    let error = |values: &[f32], banned: &[i64]| {
        let logits = Tensor::cat(
            &[noise(&[1, 3], 1), Tensor::from_slice(values).view([1, 3])],
            0,
        );
        let draw = Draw {
            banned,
            ..Draw::default()
        };
        sample(&logits, &[Draw::default(), draw]).expect_err("there is nothing to draw from")
    };
    let expected = SampleError::NoDistribution { row: 1 };
    assert_eq!(error(&[0.0, f32::NAN, 1.0], &[]), expected);
    assert_eq!(error(&[0.0, f32::INFINITY, 1.0], &[]), expected);
    assert_eq!(error(&[0.0, 0.5, 1.0], &[0, 1, 2]), expected);
}
