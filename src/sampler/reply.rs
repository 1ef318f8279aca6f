//! What a server's reply says: token ids and the log-probability of each.
//!
//! Nothing is made up. A reply without ids is refused and never tokenised
//! again, which would give other tokens than were drawn; one without
//! log-probabilities is refused too.
//!
//! Formats: vLLM's `/v1/completions` (`choices[].token_ids`, or
//! `logprobs.tokens` of the form `token_id:17`, and `logprobs.token_logprobs`),
//! and `SGLang`'s `/generate` (`meta_info.output_token_logprobs`, each
//! `[log-probability, id, text]`).

use serde::Deserialize;
use serde_json::Value;

use crate::generation::{Completion, Finish};
use crate::http::{self, NoReply};

/// How far above 0 rounding may lift a log-probability.
const ROUNDING: f64 = 1e-3;

fn unfit<T>(what: impl Into<String>) -> Result<T, NoReply> {
    Err(NoReply::Unfit(what.into()))
}

fn broken<T>(what: &str) -> Result<T, NoReply> {
    Err(NoReply::Broken(what.to_owned()))
}

/// A reply whose parts are not what they should be.
fn misshapen(error: &serde_json::Error) -> NoReply {
    NoReply::Unfit(format!("a reply without completions: {error}"))
}

/// What the completions of one prompt are held to.
pub(super) struct Asked<'a> {
    /// The prompt.
    pub(super) prompt: &'a [i64],
    /// Completions that were asked for.
    pub(super) completions: usize,
    /// Most tokens of each.
    pub(super) cap: usize,
    /// Tokens that end one.
    pub(super) ends: &'a [i64],
    /// Size of the policy's vocabulary.
    pub(super) vocabulary: i64,
}

/// A completion as a server gave it.
struct Given {
    tokens: Vec<i64>,
    logprobs: Vec<Option<f64>>,
    finish: Option<String>,
}

#[derive(Deserialize)]
struct Completions {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    logprobs: Option<Logprobs>,
    finish_reason: Option<String>,
    token_ids: Option<Vec<i64>>,
    prompt_token_ids: Option<Vec<i64>>,
}

#[derive(Deserialize)]
struct Logprobs {
    #[serde(default)]
    tokens: Vec<String>,
    #[serde(default)]
    token_logprobs: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct Generated {
    meta_info: MetaInfo,
}

#[derive(Deserialize)]
struct MetaInfo {
    finish_reason: Option<Reason>,
    output_token_logprobs: Option<Vec<Drawn>>,
    prompt_tokens: Option<usize>,
}

/// Log-probability, id and text of a token.
type Drawn = (Option<f64>, i64, Option<String>);

#[derive(Deserialize)]
struct Reason {
    r#type: String,
}

/// Reads a reply of vLLM's `/v1/completions`.
pub(super) fn vllm(body: &str, asked: &Asked<'_>) -> Result<Vec<Completion>, NoReply> {
    let Completions { mut choices } =
        serde_json::from_value(http::json(body)?).map_err(|error| misshapen(&error))?;
    choices.sort_by_key(|choice| choice.index);
    let given = choices.into_iter().map(|choice| {
        if let Some(prompt) = &choice.prompt_token_ids
            && prompt != asked.prompt
        {
            return unfit(
                "the server read another prompt than it was sent; it must leave token ids as they are",
            );
        }
        let logprobs = choice.logprobs;
        let named = || -> Option<Vec<i64>> {
            let tokens = &logprobs.as_ref()?.tokens;
            tokens
                .iter()
                .map(|token| token.strip_prefix("token_id:")?.parse().ok())
                .collect()
        };
        let Some(tokens) = choice.token_ids.or_else(named) else {
            return unfit(
                "the server gives no token ids, and text cut into tokens again would not be what was drawn; it needs return_token_ids (vLLM 0.10.2 and later), or server = \"sglang\"",
            );
        };
        Ok(Given {
            tokens,
            logprobs: logprobs.map_or_else(Vec::new, |logprobs| logprobs.token_logprobs),
            finish: choice.finish_reason,
        })
    });
    all(given.collect::<Result<_, _>>()?, asked)
}

/// Reads a reply of `SGLang`'s `/generate`: an object for one completion, a list
/// for several.
pub(super) fn sglang(body: &str, asked: &Asked<'_>) -> Result<Vec<Completion>, NoReply> {
    let values = match http::json(body)? {
        Value::Array(values) => values,
        value => vec![value],
    };
    let given = values.into_iter().map(|value| {
        let Generated { meta_info } =
            serde_json::from_value(value).map_err(|error| misshapen(&error))?;
        if meta_info
            .prompt_tokens
            .is_some_and(|count| count != asked.prompt.len())
        {
            return unfit("the server read another prompt than it was sent; it must leave token ids as they are");
        }
        let Some(drawn) = meta_info.output_token_logprobs else {
            return unfit("the server gives no token ids and log-probabilities (meta_info.output_token_logprobs), though return_logprob asked for them");
        };
        let (logprobs, tokens) = drawn.into_iter().map(|(logprob, id, _)| (logprob, id)).unzip();
        Ok(Given {
            tokens,
            logprobs,
            finish: meta_info.finish_reason.map(|reason| reason.r#type),
        })
    });
    all(given.collect::<Result<_, _>>()?, asked)
}

/// Holds the completions to what was asked.
fn all(given: Vec<Given>, asked: &Asked<'_>) -> Result<Vec<Completion>, NoReply> {
    if given.len() != asked.completions {
        return broken("another number of completions than was asked for");
    }
    given.into_iter().map(|one| checked(one, asked)).collect()
}

fn checked(given: Given, asked: &Asked<'_>) -> Result<Completion, NoReply> {
    let Given {
        tokens,
        logprobs,
        finish,
    } = given;
    if let Some(id) = tokens
        .iter()
        .find(|&&id| !(0..asked.vocabulary).contains(&id))
    {
        return unfit(format!(
            "the server drew the token id {id}, and the policy's vocabulary has {} tokens; it serves another model",
            asked.vocabulary
        ));
    }
    if tokens.len() > asked.cap {
        return unfit(format!(
            "the server drew {} tokens, and at most {} were asked for",
            tokens.len(),
            asked.cap
        ));
    }
    if logprobs.len() != tokens.len() {
        return unfit(format!(
            "the server gives {} log-probabilities of {} tokens",
            logprobs.len(),
            tokens.len()
        ));
    }
    let logprobs = logprobs
        .into_iter()
        .map(|logprob| match logprob {
            // Beyond single precision it would be minus infinity, and the ratio with it.
            Some(logprob) if (logprob as f32).is_finite() && logprob <= ROUNDING => {
                Ok(logprob as f32)
            }
            Some(logprob) => unfit(format!(
                "the server gives a log-probability of {logprob}, which no token has"
            )),
            None => unfit("the server gives no log-probability of a token that it drew"),
        })
        .collect::<Result<Vec<f32>, _>>()?;
    let ended = tokens.last().is_some_and(|last| asked.ends.contains(last));
    let finish = match finish.as_deref() {
        _ if tokens.is_empty() => return broken("a completion without tokens"),
        Some("stop" | "length") if ended => Finish::End,
        Some("length") => Finish::Length,
        Some("stop") => {
            return unfit(format!(
                "the server ended a completion with the token id {}, and the policy ends with one of {:?}; it must give end tokens back, and end with no others",
                tokens.last().copied().unwrap_or_default(),
                asked.ends
            ));
        }
        _ => return broken("a completion that was broken off"),
    };
    Ok(Completion {
        tokens,
        logprobs,
        finish,
    })
}

#[cfg(test)]
mod tests;
