//! TRL 1.16's settings as a definition: what `qinglan config from-trl` writes and says.
//!
//! Every key of the file is accounted for: taken, renamed, worked out with others, not
//! supported (and what that changes), or none of a definition's business. A key that TRL
//! 1.16 does not have is refused.

mod decide;
mod draft;
mod settings;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use decide::Decided;
use draft::Draft;
use settings::{Settings, count, flag, is, number, wrong};
use tables::{Fate, Kind};

/// Which trainer of TRL the settings are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Trainer {
    /// `GRPOTrainer`.
    Grpo,
    /// `SFTTrainer`.
    Sft,
    /// `RLOOTrainer`.
    Rloo,
    /// `GKDTrainer`.
    Gkd,
}

/// Values of `SFTConfig`'s `loss_type`.
const SFT_LOSSES: [&str; 3] = ["nll", "chunked_nll", "dft"];

const TRAINERS: [Trainer; 4] = [Trainer::Grpo, Trainer::Rloo, Trainer::Sft, Trainer::Gkd];

impl Trainer {
    /// The algorithm's name in a definition.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::Sft => "sft",
            Self::Rloo => "rloo",
            Self::Gkd => "gkd",
        }
    }
}

/// What TRL's file does not say and its trainers know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Rows of the data set, where epochs are to become steps.
    pub(crate) rows: Option<u64>,
    /// Processes that TRL would run in.
    pub(crate) processes: u64,
}

/// A definition and what became of each setting.
pub(crate) struct Translation {
    /// The definition, TOML.
    pub(crate) definition: String,
    /// A line a key of the file, in its order.
    pub(crate) report: Vec<String>,
    /// What the definition leaves to be filled in.
    pub(crate) to_fill_in: Vec<String>,
}

/// Translates a file of TRL's settings; the trainer is told by its keys where none is given.
pub(crate) fn translate(
    path: &Path,
    trainer: Option<Trainer>,
    known: Known,
) -> Result<Translation> {
    let settings = Settings::read(path)?;
    let place = || path.display().to_string();
    let trainer = match trainer {
        Some(trainer) => trainer,
        None => guess(&settings).with_context(place)?,
    };
    refuse_unknown(&settings, trainer).with_context(place)?;
    write(&settings, trainer, known, path).with_context(place)
}

/// The only trainer that has all of the keys. A file that `SFTTrainer` could have is taken
/// for its own, though `GKDTrainer` inherits all of its settings.
fn guess(settings: &Settings) -> Result<Trainer> {
    // SFT and GRPO both have a loss_type, of other values.
    let loss = settings.get("loss_type").and_then(Value::as_str);
    let of_sft = loss.map(|loss| SFT_LOSSES.contains(&loss));
    let has_all = |trainer: &Trainer| {
        let mut keys = settings.0.keys();
        let imitates = matches!(trainer, Trainer::Sft | Trainer::Gkd);
        keys.all(|key| trainer.fate(key).is_some()) && of_sft.is_none_or(|sft| sft == imitates)
    };
    let mut fitting: Vec<Trainer> = TRAINERS.into_iter().filter(has_all).collect();
    if fitting == [Trainer::Sft, Trainer::Gkd] {
        fitting.pop();
    }
    match fitting[..] {
        [trainer] => Ok(trainer),
        [] => {
            // The trainer that knows most of them says best what is wrong with the others.
            let strangers = |trainer: &Trainer| {
                let keys = settings.0.keys();
                keys.filter(|key| trainer.fate(key).is_none()).count()
            };
            let nearest = TRAINERS.into_iter().min_by_key(strangers);
            Ok(nearest.unwrap_or(Trainer::Grpo))
        }
        _ => {
            let names: Vec<&str> = fitting.iter().map(|trainer| trainer.name()).collect();
            bail!(
                "these keys could be of {}: say which with --algorithm",
                names.join(" or ")
            )
        }
    }
}

/// Refuses keys that the trainer does not have in TRL 1.16, with near names.
fn refuse_unknown(settings: &Settings, trainer: Trainer) -> Result<()> {
    let unknown = settings.0.keys();
    let unknown: Vec<String> = unknown
        .filter(|key| trainer.fate(key).is_none())
        .map(|key| {
            let elsewhere = TRAINERS.iter().filter(|other| other.fate(key).is_some());
            let elsewhere: Vec<&str> = elsewhere.map(|other| other.name()).collect();
            if !elsewhere.is_empty() {
                return format!("{key} (a setting of {})", elsewhere.join(" and "));
            }
            let scored = trainer
                .names()
                .map(|name| (strsim::jaro_winkler(key, name), name));
            let near = scored.max_by(|a, b| a.0.total_cmp(&b.0));
            match near.filter(|(likeness, _)| *likeness > 0.8) {
                Some((_, name)) => format!("{key} (near: {name})"),
                None => key.clone(),
            }
        })
        .collect();
    ensure!(
        unknown.is_empty(),
        "TRL 1.16's {} has no {}: remove what another version of TRL had, or name the algorithm with --algorithm",
        trainer.name(),
        unknown.join(", ")
    );
    Ok(())
}

fn write(settings: &Settings, trainer: Trainer, known: Known, path: &Path) -> Result<Translation> {
    let mut draft = Draft::new(trainer);
    let decided = Decided::all(settings, trainer, known, &mut draft)?;
    let mut report = Vec::new();
    let mut unsupported = Vec::new();
    for (key, value) in &settings.0 {
        let Some(fate) = trainer.fate(key) else {
            continue;
        };
        let line = match fate {
            Fate::Key(_, _) | Fate::Decided(_) if value.is_null() => {
                format!("{key}: taken, null is TRL's default and the lab's")
            }
            Fate::Key(to, kind) => {
                draft.set(to, converted(key, value, kind)?);
                match to.rsplit_once('.') {
                    Some((_, own)) if own == key => format!("{key}: taken, {to}"),
                    _ => format!("{key}: renamed to {to}"),
                }
            }
            Fate::Decided(to) => match decided.notes.get(key.as_str()) {
                Some(note) => format!("{key}: becomes {to}: {note}"),
                None => format!("{key}: becomes {to}"),
            },
            Fate::Unsupported(like, _) if like.iter().any(|like| is(value, like)) => {
                format!("{key}: taken, the lab does so always")
            }
            Fate::Unsupported(_, changes) => {
                let line = format!("{key} = {value}: not supported: {changes}");
                unsupported.push(line.clone());
                line
            }
            Fate::Outside(what) => format!("{key}: not taken, a matter {what}"),
        };
        report.push(line);
    }
    decide::complete(settings, trainer, &mut draft)?;
    let name = path.file_name().map(|name| name.to_string_lossy());
    let mut head = vec![format!(
        "Written by qinglan config from-trl from {}, TRL 1.16's settings of {}.",
        name.unwrap_or_default(),
        trainer.name()
    )];
    head.extend(decided.remarks);
    head.extend(unsupported);
    // A comment ends with its line.
    let head: Vec<String> = head
        .iter()
        .map(|line| line.replace(['\n', '\r'], " "))
        .collect();
    Ok(Translation {
        definition: draft.text(&head),
        report,
        to_fill_in: draft.to_fill_in(),
    })
}

/// A value as TOML.
fn converted(key: &str, value: &Value, kind: Kind) -> Result<toml::Value> {
    let converted = match kind {
        Kind::Count => count(value).map(|count| toml::Value::from(count as i64)),
        Kind::Number => number(value).map(toml::Value::from),
        Kind::Flag => flag(value).map(toml::Value::from),
        Kind::Text => value.as_str().map(toml::Value::from),
        Kind::Table => value
            .is_object()
            .then(|| toml::Value::try_from(value).ok())
            .flatten(),
        Kind::Range => value
            .as_array()
            .filter(|ends| ends.len() == 2)
            .and_then(|ends| {
                let ends: Option<Vec<f64>> = ends.iter().map(number).collect();
                ends.map(toml::Value::from)
            }),
    };
    let wanted = match kind {
        Kind::Count => "a whole number from 0 on",
        Kind::Number => "a number",
        Kind::Flag => "true or false",
        Kind::Text => "a text",
        Kind::Table => "keys and values without null",
        Kind::Range => "two numbers",
    };
    converted.ok_or_else(|| wrong(key, value, wanted))
}
