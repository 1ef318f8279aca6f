//! `qinglan rewards check`: what a definition's rewards say of completions that
//! are there, before anything is trained on them.

use std::path::PathBuf;
use std::time::Duration;

use ::rewards::{BatchScores, Registry, Scored, WeightedRewards};
use anyhow::{Context, Result, bail};
use clap::Args;

use super::findings::{Findings, Judged};
use super::given::{self, Batches, Given, Known};
use super::{at, show};
use crate::config::{Definition, build_rewards, folder_of};
use crate::runner::problems;

/// The name that the teacher's rewards go by.
const TEACHER: &str = "teacher";

/// Arguments of `qinglan rewards check`.
#[derive(Args)]
pub(super) struct Check {
    /// The experiment whose rewards are tried.
    definition: PathBuf,
    /// What a run kept (an arm's folder `completions`, or a file of it), or
    /// JSONL with prompt and completion, and answer, tokens and more if known.
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
    pub(super) fn execute(&self, registry: &Registry) -> Result<()> {
        let (definition, _) = Definition::read(&self.definition, &[], registry)?;
        let folder = folder_of(&self.definition);
        let (mix, _, _) = at(&self.definition, problems(&definition, folder))?;
        let known = Known::new(&mix, definition.rollout.max_new_tokens);
        let arms = at(&self.definition, self.arms(&definition))?;
        let batches = given::read(&self.completions, &known)?;
        let verdicts = verdicts(&batches)?;
        let mut found = Vec::new();
        for (name, table) in arms {
            let rewards = build_rewards(table, registry, folder);
            let rewards = rewards.with_context(|| name.to_owned())?;
            let findings = judge(name, table, &rewards, &batches, &verdicts);
            found.push(at(
                &self.completions,
                findings.with_context(|| format!("arm {name}")),
            )?);
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
            return Ok(());
        }
        let shown: Vec<String> = found.iter().map(show::findings).collect();
        print!("{}", shown.join("\n"));
        Ok(())
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

fn judge(
    name: &str,
    table: &toml::Table,
    rewards: &WeightedRewards,
    batches: &Batches,
    verdicts: &[Option<f64>],
) -> Result<Findings> {
    let mut scores: Option<BatchScores> = None;
    let mut times = vec![Duration::ZERO; table.len()];
    for batch in &batches.all {
        let seen: Vec<Scored<'_>> = batch.iter().map(Given::scored).collect();
        let (said, took) = rewards.score_timed(&seen)?;
        for (time, took) in times.iter_mut().zip(took) {
            *time += took;
        }
        match &mut scores {
            Some(scores) => scores.append(said),
            None => scores = Some(said),
        }
    }
    let scores = scores.context("there are no completions")?;
    let given: Vec<&Given> = batches.all.iter().flatten().collect();
    let kinds = rewards.kinds();
    Ok(Findings::of(&Judged {
        arm: name,
        given: &given,
        batches: batches.all.len(),
        scores: &scores,
        rewards: kinds.zip(times).collect(),
        verdicts,
    }))
}
