//! `qinglan rewards check`: what a definition's rewards say of completions that
//! are there, before anything is trained on them.
//!
//! Each reward judges by itself, so that one that cannot is named with the row
//! it stopped at and the others go on.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ::rewards::{BatchScores, Registry, RewardError, Scored, WeightedRewards};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::findings::{Failure, Findings, Judged, Tried};
use super::given::{self, Batches, Given, Known};
use super::{at, kept, show};
use crate::config::{Definition, build_rewards, folder_of};
use crate::error::as_user_error;
use crate::runner::problems;

/// The name that the teacher's rewards go by.
const TEACHER: &str = "teacher";

/// Most completions that a reward is timed on.
const TIMED: usize = 64;

/// Rewards that say what they do about length.
const OPENLY: [&str; 3] = ["length_cost", "overlong", "human_cost"];

/// Variables by which a script says so.
const LENGTHS: [&str; 2] = ["tokens", "reasoning_tokens"];

/// Rewards that hand `completion_ids` on.
const HANDS_IDS_ON: [&str; 2] = ["python", "command"];

/// Arguments of `qinglan rewards check`.
#[derive(Args)]
pub(super) struct Check {
    /// The experiment whose rewards are tried.
    definition: PathBuf,
    /// What a run kept (an arm's folder `completions`, or a file of it), or JSONL:
    /// an object a line with `prompt` and `completion`, and where known `answer` (or
    /// `solution`), `completion_tokens` (or `tokens`), `reasoning_tokens`,
    /// `completion_ids`, `max_new_tokens`, `truncated`, `human_cost`, `task`,
    /// `problem`; rows of one `step` are judged together. Other keys are columns.
    #[arg(long, value_name = "FILE")]
    completions: PathBuf,
    /// Only this arm's rewards; otherwise those of all arms.
    #[arg(long, value_name = "NAME")]
    arm: Option<String>,
    /// One JSON list, an object an arm.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Prints what was found; an error after that is of rewards that could not
    /// judge.
    pub(super) fn execute(&self, registry: &Registry) -> Result<()> {
        let found = as_user_error(self.look(registry))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            let shown: Vec<String> = found.iter().map(show::findings).collect();
            print!("{}", shown.join("\n"));
        }
        let failed: Vec<String> = found
            .iter()
            .flat_map(|found| {
                let failed = found.failed.iter();
                failed.map(|failure| format!("{} of arm {}", failure.name, found.arm))
            })
            .collect();
        ensure!(
            failed.is_empty(),
            "{} could not judge these completions: {}",
            if failed.len() == 1 {
                "a reward".to_owned()
            } else {
                format!("{} rewards", failed.len())
            },
            failed.join(", ")
        );
        Ok(())
    }

    fn look(&self, registry: &Registry) -> Result<Vec<Findings>> {
        let (definition, _) = Definition::read(&self.definition, &[], registry)?;
        let folder = folder_of(&self.definition);
        let (mix, _, _) = at(&self.definition, problems(&definition, folder))?;
        let known = Known::new(&mix, definition.rollout.max_new_tokens);
        let arms = at(&self.definition, self.arms(&definition))?;
        let batches = given::read(&self.completions, &known)?;
        let verdicts = verdicts(&batches)?;
        let mut built = Vec::new();
        for (name, table) in arms {
            let rewards = each(table, registry, folder);
            built.push((name, rewards.with_context(|| format!("arm {name}"))?));
        }
        let asks = |rewards: &[Single]| {
            let mut kinds = rewards.iter().map(Single::kind);
            kinds.any(|kind| HANDS_IDS_ON.contains(&kind))
        };
        let without_ids = kept::without_ids(&batches);
        let found = built.iter().map(|(name, rewards)| {
            let found = judge(name, rewards, &batches, &verdicts);
            let mut found = found.with_context(|| format!("arm {name}"))?;
            if asks(rewards) {
                found.notes.extend(without_ids.clone());
            }
            Ok(found)
        });
        at(&self.completions, found.collect())
    }

    /// The tables of rewards to try, by arm.
    fn arms<'a>(&self, definition: &'a Definition) -> Result<Vec<(&'a str, &'a toml::Table)>> {
        let teacher = definition.teacher.as_ref();
        let teacher = teacher.map(|teacher| (TEACHER, &teacher.reward));
        let arms = definition.arm.iter();
        let arms = arms.map(|(name, arm)| (name.as_str(), &arm.reward));
        let all: Vec<(&str, &toml::Table)> = arms
            .chain(teacher)
            .filter(|(_, table)| !table.is_empty())
            .collect();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        if all.is_empty() {
            bail!("it has no arm with rewards: add [arm.NAME.reward] with correct = 1.0");
        }
        let Some(wanted) = &self.arm else {
            return Ok(all);
        };
        let found: Vec<_> = all.into_iter().filter(|(name, _)| name == wanted).collect();
        if found.is_empty() {
            bail!(
                "there is no arm {wanted} with rewards; there are {}",
                names.join(", ")
            );
        }
        Ok(found)
    }
}

/// Whether completions are right, by `correct` as it is without parameters.
fn verdicts(batches: &Batches) -> Result<Vec<Option<f64>>> {
    let table = toml::Table::from_iter([("correct".to_owned(), toml::Value::Float(1.0))]);
    let correct = build_rewards(&table, &Registry::builtin(), &PathBuf::new())?;
    let each = batches.all.iter().flatten();
    // An expected answer that `correct` refuses is no reason to refuse rewards
    // that can do with it.
    Ok(each
        .map(|given| {
            correct
                .score(&[given.scored()])
                .ok()?
                .totals
                .pop()
                .flatten()
        })
        .collect())
}

/// One reward of a table, with its weight.
struct Single {
    name: String,
    reward: WeightedRewards,
    /// Whether it says that it is about length.
    openly: bool,
    /// Whether it is part of the weighted sum.
    weighs: bool,
}

impl Single {
    /// Its name in the registry.
    fn kind(&self) -> &str {
        self.reward.kinds().next().unwrap_or_default()
    }

    /// What it says of all batches, or why it says nothing.
    fn judge(&self, batches: &Batches) -> Result<BatchScores, String> {
        let mut all: Option<BatchScores> = None;
        for batch in &batches.all {
            let seen: Vec<Scored<'_>> = batch.iter().map(Given::scored).collect();
            let said = self.reward.score(&seen);
            let said = said.map_err(|error| reason(error, batch))?;
            match &mut all {
                Some(all) => all.append(said),
                None => all = Some(said),
            }
        }
        all.ok_or_else(|| "there are no completions".to_owned())
    }

    /// Seconds a completion of a call after others, which finds processes started
    /// and files read; `None` where so few completions cannot be judged.
    fn time(&self, batches: &Batches) -> Option<f64> {
        let batch = batches.all.first()?.iter().take(TIMED);
        let seen: Vec<Scored<'_>> = batch.map(Given::scored).collect();
        let before = Instant::now();
        self.reward.score(&seen).ok()?;
        Some(before.elapsed().as_secs_f64() / seen.len() as f64)
    }
}

/// The rewards of a table one by one.
fn each(table: &toml::Table, registry: &Registry, folder: &Path) -> Result<Vec<Single>> {
    let single = |(name, entry): (&String, &toml::Value)| {
        let alone = toml::Table::from_iter([(name.clone(), entry.clone())]);
        let reward = build_rewards(&alone, registry, folder)?;
        let kind = reward.kinds().next().unwrap_or_default();
        let expression = entry.get("expr").and_then(toml::Value::as_str);
        let words = expression
            .unwrap_or_default()
            .split(|c: char| c != '_' && !c.is_alphanumeric());
        let openly = OPENLY.contains(&kind) || words.into_iter().any(|w| LENGTHS.contains(&w));
        let weight = entry.get("weight").unwrap_or(entry);
        let nothing = weight.as_float() == Some(0.0) || weight.as_integer() == Some(0);
        Ok(Single {
            name: name.clone(),
            reward,
            openly,
            weighs: !nothing,
        })
    };
    table.iter().map(single).collect()
}

/// Why a reward failed, with the row in place of a position in the batch.
fn reason(error: RewardError, batch: &[Given]) -> String {
    let (index, what) = match &error {
        RewardError::Item { index, message, .. } | RewardError::Killed { index, message, .. } => {
            (*index, message.clone())
        }
        RewardError::NotFinite {
            index,
            quantity,
            value,
            ..
        } => (
            *index,
            format!(
                "{quantity} is {value}: it must be finite; give nothing where it does not apply"
            ),
        ),
        _ => return format!("{:#}", anyhow::Error::from(error)),
    };
    match batch.get(index) {
        Some(given) if given.problem == given.prompt => format!("{}: {what}", given.place),
        Some(given) => format!("{}, problem `{}`: {what}", given.place, given.problem),
        None => what,
    }
}

fn judge(
    arm: &str,
    rewards: &[Single],
    batches: &Batches,
    verdicts: &[Option<f64>],
) -> Result<Findings> {
    let given: Vec<&Given> = batches.all.iter().flatten().collect();
    let mut scores = BatchScores {
        totals: vec![None; given.len()],
        columns: Vec::new(),
    };
    let (mut tried, mut failed) = (Vec::new(), Vec::new());
    let mut whole = true;
    for single in rewards {
        let said = match single.judge(batches) {
            Ok(said) => said,
            Err(reason) => {
                failed.push(Failure {
                    name: single.name.clone(),
                    reason,
                });
                whole &= !single.weighs;
                continue;
            }
        };
        for (total, more) in scores.totals.iter_mut().zip(said.totals) {
            if let Some(more) = more {
                *total = Some(total.unwrap_or(0.0) + more);
            }
        }
        scores.columns.extend(said.columns);
        tried.push(Tried {
            openly: single.openly,
            seconds: single.time(batches),
        });
    }
    if !whole {
        scores.totals.fill(None);
    }
    let mut totals = scores.totals.iter().flatten();
    if let Some(total) = totals.find(|total| !total.is_finite()) {
        bail!("the weighted sum of a completion is {total}: use smaller weights");
    }
    Ok(Findings::of(
        &Judged {
            arm,
            given: &given,
            batches: batches.all.len(),
            scores: &scores,
            tried,
            verdicts,
        },
        failed,
    ))
}
