//! From logits to tokens by inverting the cumulative distribution at a given
//! uniform number: the draw is decided by the number, not by a generator.
//!
//! Filters mean what they mean in transformers and are applied in its order:
//! repetition penalty, banned tokens, temperature, top-k, top-p, min-p.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use crate::network::PrecisionChoice;

/// How to sample.
///
/// Worked example: `max_new_tokens = 64, temperature = 1.0` samples from the
/// model's own distribution; temperature 0 is greedy; `top_k = 20, top_p = 0.8`
/// are what Qwen2.5 recommends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Token cap of a completion, the end token included; `max_completion_length` in TRL.
    #[serde(alias = "max_completion_length")]
    pub max_new_tokens: usize,
    /// No end token is drawn before that many tokens.
    pub min_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Only the so many likeliest tokens are drawn; 0 is all.
    pub top_k: usize,
    /// Only the likeliest tokens that make up this mass; 1 is all.
    pub top_p: f64,
    /// Only tokens at least this fraction as likely as the likeliest; 0 is all.
    pub min_p: f64,
    /// Divides the positive logits of tokens that prompt or completion hold,
    /// and multiplies the negative ones; 1 is none.
    pub repetition_penalty: f64,
    /// Strings that end a completion once they are written.
    pub stop: Vec<String>,
    /// Number format of generation.
    pub dtype: PrecisionChoice,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            max_new_tokens: 512,
            min_new_tokens: 0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            dtype: PrecisionChoice::Auto,
        }
    }
}

impl Sampling {
    /// What contradicts itself, as one sentence with the key's name.
    pub fn check(&self) -> Result<(), String> {
        let outside = |name: &str, value: f64, wanted: &str| {
            Err(format!("{name} = {value}: it must be {wanted}"))
        };
        if self.max_new_tokens == 0 {
            return Err("max_new_tokens = 0: nothing would be sampled".to_owned());
        }
        if self.min_new_tokens > self.max_new_tokens {
            return Err(format!(
                "min_new_tokens = {} is above max_new_tokens = {}",
                self.min_new_tokens, self.max_new_tokens
            ));
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return outside("temperature", self.temperature, "0 or above");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return outside("top_p", self.top_p, "above 0 and at most 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return outside("min_p", self.min_p, "between 0 and 1");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            return outside("repetition_penalty", self.repetition_penalty, "above 0");
        }
        if self.stop.iter().any(String::is_empty) {
            return Err("stop holds an empty string, which every text contains".to_owned());
        }
        Ok(())
    }

    /// The settings that shape the distribution, as vLLM and `SGLang` take them in
    /// a request (`OpenAI`'s names where it has them). Each is sent even where it
    /// changes nothing: one that is not sent is the server's own, such as that of
    /// the model's `generation_config.json`.
    pub(crate) fn request_fields(&self) -> Map<String, Value> {
        // Every field is named, so that one that is added is not forgotten here.
        let Self {
            // Servers have these under several names, or as token ids.
            max_new_tokens: _,
            min_new_tokens: _,
            stop: _,
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty,
            dtype: _,
        } = self;
        let top_k = match top_k {
            0 => -1,
            some => *some as i64,
        };
        let fields = [
            ("temperature", json!(temperature)),
            ("top_p", json!(top_p)),
            ("top_k", json!(top_k)),
            ("min_p", json!(min_p)),
            ("repetition_penalty", json!(repetition_penalty)),
        ];
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }

    fn penalises(&self) -> bool {
        (self.repetition_penalty - 1.0).abs() > f64::EPSILON
    }
}

/// One row of a draw.
pub(super) struct Row<'a> {
    /// In [0, 1).
    pub uniform: f64,
    /// The completion so far.
    pub written: &'a [i64],
}

/// One token a row and its log-probability at the sampling's temperature
/// before anything is filtered. `logits_BV` are raw, float32; `prompt` gives
/// the prompt of a row; `ends` are banned before the minimum length.
pub(super) fn draw<'p>(
    logits_BV: &Tensor,
    rows: &[Row<'_>],
    prompt: &dyn Fn(usize) -> &'p [i64],
    sampling: &Sampling,
    ends: &[i64],
) -> Result<Vec<(i64, f32)>> {
    let seen: Vec<Vec<i64>> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            if sampling.penalises() {
                [prompt(index), row.written].concat()
            } else {
                Vec::new()
            }
        })
        .collect();
    let banned = |row: &Row<'_>| {
        if row.written.len() < sampling.min_new_tokens {
            ends
        } else {
            &[]
        }
    };
    if logits_BV.device() != Device::Cpu {
        let banned: Vec<&[i64]> = rows.iter().map(banned).collect();
        let uniforms: Vec<f64> = rows.iter().map(|row| row.uniform).collect();
        return Ok(by_operators(logits_BV, &uniforms, &seen, &banned, sampling));
    }
    let draws: Vec<torch_ext::cpu::Draw<'_>> = rows
        .iter()
        .zip(&seen)
        .map(|(row, seen)| torch_ext::cpu::Draw {
            uniform: row.uniform,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            seen,
            banned: banned(row),
        })
        .collect();
    let drawn = torch_ext::cpu::sample(logits_BV, &draws)?;
    Ok(drawn
        .into_iter()
        .map(|drawn| (drawn.token, drawn.plain_logprob))
        .collect())
}

/// The same over libtorch's operators: for CUDA, and the reference of the
/// kernel's tests.
fn by_operators(
    logits_BV: &Tensor,
    uniforms: &[f64],
    seen: &[Vec<i64>],
    banned: &[&[i64]],
    sampling: &Sampling,
) -> Vec<(i64, f32)> {
    let device = logits_BV.device();
    let greedy = sampling.temperature <= 0.0;
    let temperature = if greedy { 1.0 } else { sampling.temperature };
    let plain_BV = (logits_BV / temperature).log_softmax(-1, Kind::Float);
    let kept_BV = filtered(logits_BV, seen, banned, sampling);
    let tokens_B = if greedy {
        kept_BV.argmax(-1, false)
    } else {
        let uniforms_B1 = Tensor::from_slice(uniforms).unsqueeze(1).to_device(device);
        invert(&kept_BV.softmax(-1, Kind::Float), &uniforms_B1)
    };
    let chosen_B = plain_BV
        .gather(1, &tokens_B.unsqueeze(1), false)
        .squeeze_dim(1);
    // One copy to the host for both: double holds ids and log-probabilities.
    let both = Tensor::stack(
        &[
            tokens_B.to_kind(Kind::Double),
            chosen_B.to_kind(Kind::Double),
        ],
        0,
    )
    .to_device(Device::Cpu);
    let count = uniforms.len();
    let mut values = vec![0f64; 2 * count];
    both.copy_data(&mut values, 2 * count);
    let (tokens, logprobs) = values.split_at(count);
    tokens
        .iter()
        .zip(logprobs)
        .map(|(&token, &logprob)| (token as i64, logprob as f32))
        .collect()
}

/// Tokens in one block of the two-step search of [`invert`].
const BLOCK: i64 = 256;

/// The token of each row at which the cumulative distribution passes the
/// uniform number.
///
/// First the block of tokens is found, then the token in it: a running sum
/// over a whole vocabulary is the slowest thing a GPU does in a step.
fn invert(probabilities_BV: &Tensor, uniforms_B1: &Tensor) -> Tensor {
    let (rows, vocabulary) = probabilities_BV.size2().expect("probabilities are [B, V]");
    let blocks = (vocabulary + BLOCK - 1) / BLOCK;
    let padded = probabilities_BV.constant_pad_nd([0, blocks * BLOCK - vocabulary]);
    let blocks_BNW = padded.view([rows, blocks, BLOCK]);
    let before_BN = blocks_BNW
        .sum_dim_intlist(-1, false, Kind::Double)
        .cumsum(-1, Kind::Double);
    // Scaling by the last sum keeps rounding from leaving a gap below 1 into
    // which a draw could fall.
    let threshold_B1 = uniforms_B1 * before_BN.narrow(-1, blocks - 1, 1);
    let block_B1 = passed(&before_BN, &threshold_B1);
    let reached_B1 = before_BN
        .constant_pad_nd([1, 0])
        .gather(1, &block_B1, false);
    let block_BW = blocks_BNW
        .gather(
            1,
            &block_B1.unsqueeze(-1).expand([rows, 1, BLOCK], false),
            false,
        )
        .squeeze_dim(1);
    let inside_BW = block_BW.cumsum(-1, Kind::Double);
    let token_B1 = passed(&inside_BW, &(threshold_B1 - reached_B1));
    (block_B1 * BLOCK + token_B1).squeeze_dim(1)
}

/// How many of the running sums do not pass the threshold; never beyond the
/// last that still grows, so that rounding cannot lead to a token of
/// probability 0.
fn passed(sums_BN: &Tensor, threshold_B1: &Tensor) -> Tensor {
    let last = sums_BN.size()[1] - 1;
    let total_B1 = sums_BN.narrow(-1, last, 1);
    let count = |below: Tensor| below.sum_dim_intlist(-1, true, Kind::Int64);
    count(sums_BN.le_tensor(threshold_B1)).minimum(&count(sums_BN.lt_tensor(&total_B1)))
}

/// Logits at the sampling's temperature, those of tokens left out at minus infinity.
fn filtered(
    logits_BV: &Tensor,
    seen: &[Vec<i64>],
    banned: &[&[i64]],
    sampling: &Sampling,
) -> Tensor {
    let device = logits_BV.device();
    let mut x_BV = logits_BV.copy();
    for (index, (seen, banned)) in seen.iter().zip(banned).enumerate() {
        let row_V = x_BV.select(0, index as i64);
        if !seen.is_empty() && sampling.penalises() {
            let places = Tensor::from_slice(seen).to_device(device);
            let values = row_V.index_select(0, &places);
            let penalised = values.where_self(
                &values.lt(0.0).logical_not(),
                &(&values * sampling.repetition_penalty),
            );
            let penalised =
                penalised.where_self(&values.lt(0.0), &(&values / sampling.repetition_penalty));
            let _ = row_V
                .shallow_clone()
                .index_put_(&[Some(&places)], &penalised, false);
        }
        if !banned.is_empty() {
            let places = Tensor::from_slice(banned).to_device(device);
            let _ = row_V
                .shallow_clone()
                .index_fill_(0, &places, f64::NEG_INFINITY);
        }
    }
    if sampling.temperature <= 0.0 {
        return x_BV;
    }
    x_BV /= sampling.temperature;
    let vocabulary = x_BV.size()[1];
    if sampling.top_k > 0 && (sampling.top_k as i64) < vocabulary {
        let (top_BK, _) = x_BV.topk(sampling.top_k as i64, -1, true, true);
        let least_B1 = top_BK.narrow(-1, sampling.top_k as i64 - 1, 1);
        x_BV = x_BV.masked_fill(&x_BV.lt_tensor(&least_B1), f64::NEG_INFINITY);
    }
    if sampling.top_p < 1.0 {
        let (sorted_BV, order_BV) = x_BV.sort(-1, false);
        let mass_BV = sorted_BV.softmax(-1, Kind::Float).cumsum(-1, Kind::Float);
        let left_out = mass_BV.le(1.0 - sampling.top_p);
        // The likeliest stays, whatever the mass asked for.
        let _ = left_out.narrow(-1, vocabulary - 1, 1).fill_(0.0);
        let left_out = left_out.scatter(-1, &order_BV, &left_out);
        x_BV = x_BV.masked_fill(&left_out, f64::NEG_INFINITY);
    }
    if sampling.min_p > 0.0 {
        let probabilities_BV = x_BV.softmax(-1, Kind::Float);
        let least_B1 = probabilities_BV.amax(-1, true) * sampling.min_p;
        x_BV = x_BV.masked_fill(&probabilities_BV.lt_tensor(&least_B1), f64::NEG_INFINITY);
    }
    x_BV
}

#[cfg(test)]
mod tests;
