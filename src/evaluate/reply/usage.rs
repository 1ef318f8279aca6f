//! What a server's `usage` counts, and whether it counts reasoning within the
//! completion, as `OpenAI` does, or beside it, as xAI, Gemini and bridges do.
//!
//! `total_tokens` decides between the two: it holds everything. Where it holds
//! more than prompt and completion and nothing else says of what, the remainder
//! is what was generated and not shown. Counts that contradict each other are
//! refused.

use serde_json::{Map, Value};

use super::Counted;

/// Names of the same count, `OpenAI`'s first, then Anthropic's.
const PROMPT: [&str; 2] = ["prompt_tokens", "input_tokens"];
const COMPLETION: [&str; 2] = ["completion_tokens", "output_tokens"];

/// Parts of a prompt that Anthropic counts beside it.
const CACHED: [&str; 2] = ["cache_creation_input_tokens", "cache_read_input_tokens"];

/// Counts of a reply; `None` where the server gives none.
///
/// Worked example: 10 prompt, 5 completion, 300 reasoning and 315 in total are a
/// completion of 305 with 300 of reasoning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: Option<u32>,
    /// Everything that was generated, reasoning included.
    pub(super) completion: Option<u32>,
    pub(super) reasoning: Option<(u32, Counted)>,
}

/// Reads the object; `answered` says whether there is an answer beside the
/// reasoning, of which 0 tokens are no count. An error names what is wrong.
pub(super) fn usage(value: &Value, answered: bool) -> Result<Usage, String> {
    let counts = match value {
        Value::Null => return Ok(Usage::default()),
        Value::Object(counts) => counts,
        other => return Err(format!("usage is {other}, which holds no counts")),
    };
    let own_prompt = first(counts, &PROMPT)?;
    let completion = first(counts, &COMPLETION)?.filter(|&count| count > 0 || !answered);
    let total = count(counts, "total_tokens")?.filter(|&total| total > 0);
    let mut found = Vec::new();
    reasoning_counts(counts, &mut found)?;
    found.sort_unstable();
    found.dedup();
    let reasoning = match found.as_slice() {
        [] => None,
        [count] => Some(*count),
        [one, .., other] => {
            return Err(format!("usage counts {one} and {other} reasoning tokens"));
        }
    };
    let mut cached = 0;
    for name in CACHED {
        cached += count(counts, name)?.unwrap_or(0);
    }
    let prompt = own_prompt.map(|prompt| {
        let shown = prompt + cached + completion.unwrap_or(0);
        let by_total = [shown, shown + reasoning.unwrap_or(0)]
            .map(Some)
            .contains(&total);
        let anthropic = total.is_none() && counts.contains_key("input_tokens");
        prompt + if by_total || anthropic { cached } else { 0 }
    });
    let prompt = prompt.filter(|&count| count > 0);
    // Everything that was generated, where the total tells it.
    let generated = prompt.and_then(|prompt| total?.checked_sub(prompt));
    let (completion, reasoning) = match (completion, reasoning, generated) {
        (None, None, Some(all)) => (Some(all).filter(|&all| all > 0), None),
        (None, Some(part), Some(all)) if part > all => {
            return Err(contradiction(counts));
        }
        (None, Some(part), all) => (all, Some((part, Counted::Server))),
        (Some(shown), None, Some(all)) if all > shown => {
            (Some(all), Some((all - shown, Counted::Remainder)))
        }
        (completion, None, _) => (completion, None),
        (Some(shown), Some(part), all) => {
            let both = shown + part;
            let whole = match all {
                Some(all) if all == both => both,
                Some(all) if all > shown => return Err(contradiction(counts)),
                _ if part > shown => both,
                _ => shown,
            };
            (Some(whole), Some((part, Counted::Server)))
        }
    };
    let narrow = |count: u64| {
        u32::try_from(count)
            .map_err(|_| format!("usage counts {count} tokens, more than there are"))
    };
    Ok(Usage {
        prompt: prompt.map(narrow).transpose()?,
        completion: completion.map(narrow).transpose()?,
        reasoning: match reasoning {
            Some((count, by)) => Some((narrow(count)?, by)),
            None => None,
        },
    })
}

fn contradiction(counts: &Map<String, Value>) -> String {
    let counts = Value::Object(counts.clone());
    format!("the counts of usage contradict each other: {counts}")
}

/// The first of several names that counts something, else the first that counts
/// nothing.
fn first(counts: &Map<String, Value>, names: &[&str]) -> Result<Option<u64>, String> {
    let mut best = None;
    for name in names {
        best = match (best, count(counts, name)?) {
            (None | Some(0), Some(count)) => Some(count),
            (best, _) => best,
        };
    }
    Ok(best)
}

/// A count as a number, a number with nothing after its point, or a string of
/// one.
fn count(counts: &Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = counts.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let of_float = |count: f64| {
        let is_count = count >= 0.0 && count.fract() == 0.0 && count <= f64::from(u32::MAX);
        is_count.then_some(count as u64)
    };
    let read = match value {
        Value::Number(number) => number.as_u64().or_else(|| of_float(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok().and_then(of_float),
        _ => None,
    };
    match read.filter(|&count| u32::try_from(count).is_ok()) {
        Some(count) => Ok(Some(count)),
        None => Err(format!("{name} of usage is {value}, which is no count")),
    }
}

/// Every count above 0 of reasoning, wherever it stands and whatever word the
/// server has for it. A server that knows nothing of reasoning says 0 even where
/// there is some.
fn reasoning_counts(counts: &Map<String, Value>, found: &mut Vec<u64>) -> Result<(), String> {
    for (name, value) in counts {
        let lower = name.to_lowercase();
        let is_count = lower.contains("token")
            && ["reason", "think", "thought"]
                .iter()
                .any(|word| lower.contains(word));
        match value {
            Value::Object(inner) => reasoning_counts(inner, found)?,
            _ if is_count => found.extend(count(counts, name)?.filter(|&count| count > 0)),
            _ => {}
        }
    }
    Ok(())
}
