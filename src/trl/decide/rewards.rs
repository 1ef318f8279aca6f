//! Rewards: TRL's functions by their names, and their weights by their order.

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use toml::Table;

use super::{Decided, Draft, Settings, Trainer};
use crate::trl::settings::{number, wrong};

/// States the rewards of the trainers that have some, and how they are scaled.
pub(super) fn write(
    settings: &Settings,
    trainer: Trainer,
    draft: &mut Draft,
    decided: &mut Decided,
) -> Result<()> {
    if !matches!(trainer, Trainer::Grpo | Trainer::Rloo) {
        if trainer == Trainer::Sft {
            return loss(settings, draft);
        }
        return Ok(());
    }
    if let Some(scale) = settings.get("scale_rewards") {
        // TRL's older form is a truth value.
        let scale = match crate::trl::settings::flag(scale) {
            Some(true) => "group",
            Some(false) => "none",
            None => match scale.as_str() {
                Some(name @ ("group" | "batch" | "none")) => name,
                _ => {
                    return Err(wrong(
                        "scale_rewards",
                        scale,
                        "\"group\", \"batch\" or \"none\"",
                    ));
                }
            },
        };
        draft.set("algorithm.scale_rewards", scale);
    }
    let functions = names(settings)?;
    let weights = weights(settings)?;
    let Some(functions) = functions else {
        let first = weights.as_ref().and_then(|weights| weights.first());
        let note = match &weights {
            Some(weights) => {
                format!("the rewards of TRL's script, in the order of reward_weights = {weights:?}")
            }
            None => "the rewards of TRL's script".to_owned(),
        };
        draft.stub("reward.correct", first.copied().unwrap_or(1.0), &note);
        decided.note(
            "reward_weights",
            "weights of rewards that a script names, which are to be filled in",
        );
        return Ok(());
    };
    let weights = weights.unwrap_or_else(|| vec![1.0; functions.len()]);
    ensure!(
        weights.len() == functions.len(),
        "reward_weights has {} weights for {} reward_funcs: one each",
        weights.len(),
        functions.len()
    );
    for (name, weight) in functions.iter().zip(weights) {
        let (key, entry) = reward(name, weight)?;
        let path = format!("reward.{key}");
        ensure!(
            !draft.has(&path),
            "reward_funcs has {key} twice: give one of them another name"
        );
        draft.set(&path, entry);
    }
    Ok(())
}

fn names(settings: &Settings) -> Result<Option<Vec<String>>> {
    let Some(value) = settings.get("reward_funcs") else {
        return Ok(None);
    };
    let names: Option<Vec<String>> = match value {
        Value::String(name) => Some(vec![name.clone()]),
        Value::Array(names) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    let names = names.filter(|names| !names.is_empty());
    names
        .map(Some)
        .ok_or_else(|| wrong("reward_funcs", value, "names of functions"))
}

fn weights(settings: &Settings) -> Result<Option<Vec<f64>>> {
    let Some(value) = settings.get("reward_weights") else {
        return Ok(None);
    };
    let weights = value
        .as_array()
        .map(|weights| weights.iter().map(number).collect());
    let weights: Option<Vec<f64>> = weights.flatten();
    weights
        .map(Some)
        .ok_or_else(|| wrong("reward_weights", value, "a list of numbers"))
}

/// The name and entry of a reward function of TRL, or of a module's by its dotted path.
fn reward(name: &str, weight: f64) -> Result<(String, Table)> {
    let mut entry = Table::new();
    let mut put = |key: &str, value: toml::Value| entry.insert(key.to_owned(), value);
    let key = match name {
        "accuracy_reward" | "reasoning_accuracy_reward" => {
            put("is", "correct".into());
            name.to_owned()
        }
        "think_format_reward" => {
            put("is", "format".into());
            name.to_owned()
        }
        "get_soft_overlong_punishment" => {
            put("is", "overlong".into());
            // TRL's script has no others.
            put("max_tokens", 1280.into());
            put("cache", 256.into());
            name.to_owned()
        }
        _ => {
            let Some((module, function)) = name.rsplit_once('.') else {
                bail!(
                    "reward_funcs: {name:?} is no function of TRL 1.16 (accuracy_reward, reasoning_accuracy_reward, think_format_reward, get_soft_overlong_punishment) and no dotted path"
                );
            };
            put("is", "python".into());
            put("file", format!("{}.py", module.replace('.', "/")).into());
            put("function", function.into());
            function.to_owned()
        }
    };
    entry.insert("weight".to_owned(), weight.into());
    Ok((key, entry))
}

/// SFT's loss, whose chunked form is a matter of memory.
fn loss(settings: &Settings, draft: &mut Draft) -> Result<()> {
    match settings.text("loss_type")? {
        None => {}
        Some("nll" | "chunked_nll") => draft.set("algorithm.loss_type", "nll"),
        Some("dft") => draft.set("algorithm.loss_type", "dft"),
        Some(other) => bail!("loss_type = {other:?}: TRL's SFT has nll, chunked_nll and dft"),
    }
    Ok(())
}
