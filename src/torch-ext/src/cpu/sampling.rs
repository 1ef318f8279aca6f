//! From logits to tokens: the uniform number given for a row decides its token.
//!
//! The steps, their order and their meaning are those of transformers:
//! repetition penalty, banned tokens, temperature, top-k, top-p, min-p. The
//! token is then the first in the order of the vocabulary whose cumulative
//! probability exceeds the uniform number, so nothing depends on how equals are
//! sorted. Logits are float32, cumulative sums float64.

use tch::{Kind, Tensor};

use super::{expect, ffi, matrix};

/// How the token of one row is drawn.
///
/// Worked example: `Draw { uniform: 0.25, top_p: 0.9, ..Draw::default() }`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw<'a> {
    /// In `[0, 1)`.
    pub uniform: f64,
    /// Divides the logits. 0 takes the likeliest token, of equals the first:
    /// the filters then do nothing, and log-probabilities are those of
    /// temperature 1.
    pub temperature: f64,
    /// Keeps the likeliest tokens, and all that equal the last; 0 keeps all.
    pub top_k: usize,
    /// Keeps the likeliest tokens until they hold this much probability; 1 keeps all.
    pub top_p: f64,
    /// Keeps tokens at least this likely relative to the likeliest; 0 keeps all.
    pub min_p: f64,
    /// Divides positive and multiplies negative logits of seen tokens; 1 does nothing.
    pub repetition_penalty: f64,
    /// The tokens that the penalty is for; repetitions count once.
    pub seen: &'a [i64],
    /// Tokens that cannot be drawn, such as the end token while it is too early.
    pub banned: &'a [i64],
}

impl Default for Draw<'_> {
    fn default() -> Self {
        Self {
            uniform: 0.0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seen: &[],
            banned: &[],
        }
    }
}

/// A token that was drawn.
///
/// Worked example: from logits `[ln 2, 0, 0]` with `top_k: 1`, token 0 has a
/// `logprob` of 0 and a `plain_logprob` of ln 0.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: i64,
    /// Its log-probability under the distribution it was drawn from.
    pub logprob: f32,
    /// Its log-probability under the logits divided by the temperature alone:
    /// what a trainer that recomputes the logits arrives at.
    pub plain_logprob: f32,
}

/// Why nothing could be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// NaN or infinite logits, or nothing but banned tokens.
    #[error(
        "row {row}: the logits have no finite distribution: the model has diverged, or every token is banned"
    )]
    NoDistribution {
        /// Which row.
        row: usize,
    },
}

/// Draws one token a row of logits `[N, V]`, Float.
///
/// # Panics
/// If a uniform number, a setting or a token id lies outside its range.
pub fn sample(logits: &Tensor, draws: &[Draw<'_>]) -> Result<Vec<Drawn>, SampleError> {
    let (rows, vocabulary) = matrix(logits, "logits");
    expect(logits, "logits", &[Kind::Float], &[rows, vocabulary]);
    assert!(
        draws.len() as i64 == rows && vocabulary > 0,
        "{} draws for logits {:?}",
        draws.len(),
        logits.size()
    );
    let calls: Vec<ffi::Draw> = draws.iter().map(|draw| checked(draw, vocabulary)).collect();
    let nothing = ffi::Drawn {
        token: -1,
        logprob: 0.0,
        plain_logprob: 0.0,
    };
    let mut drawn = vec![nothing; draws.len()];
    // SAFETY: logits hold rows times vocabulary numbers, calls and drawn one
    // entry a row, and every token id was checked against the vocabulary.
    ffi::check(unsafe {
        ffi::qinglan_sample(&ffi::Sample {
            logits: logits.data_ptr().cast(),
            rows,
            vocabulary,
            draws: calls.as_ptr(),
            drawn: drawn.as_mut_ptr(),
        })
    });
    drawn
        .iter()
        .enumerate()
        .map(|(row, drawn)| {
            if drawn.token < 0 {
                return Err(SampleError::NoDistribution { row });
            }
            Ok(Drawn {
                token: drawn.token,
                logprob: drawn.logprob,
                plain_logprob: drawn.plain_logprob,
            })
        })
        .collect()
}

fn checked(draw: &Draw<'_>, vocabulary: i64) -> ffi::Draw {
    let finite = [
        draw.temperature,
        draw.top_p,
        draw.min_p,
        draw.repetition_penalty,
    ]
    .iter()
    .all(|value| value.is_finite());
    assert!(
        (0.0..1.0).contains(&draw.uniform)
            && finite
            && draw.temperature >= 0.0
            && draw.repetition_penalty > 0.0,
        "a draw needs a uniform number in [0, 1) and finite settings, not {draw:?}"
    );
    let known = |token: &i64| (0..vocabulary).contains(token);
    assert!(
        draw.seen.iter().chain(draw.banned).all(known),
        "a seen or banned token is outside the vocabulary of {vocabulary}"
    );
    ffi::Draw {
        uniform: draw.uniform,
        temperature: draw.temperature,
        top_p: draw.top_p,
        min_p: draw.min_p,
        penalty: draw.repetition_penalty,
        // More than the vocabulary keeps all of it.
        top_k: i64::try_from(draw.top_k)
            .unwrap_or(i64::MAX)
            .min(vocabulary),
        seen: draw.seen.as_ptr(),
        seen_count: draw.seen.len() as i64,
        banned: draw.banned.as_ptr(),
        banned_count: draw.banned.len() as i64,
    }
}
