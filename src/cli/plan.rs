//! `qinglan plan`: how many seeds, items and samples a definition's questions need, from a pilot.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use experiments::alignment::cost::Counting;
use experiments::manifest::{ArmRun, Manifest};
use experiments::plan::{self, Cost, Pilot, Size};
use experiments::tables::layout::plan::plan as tables_of;
use experiments::tables::{markdown, terminal};
use rewards::Registry;
use serde_json::Value;

use super::color_on;
use crate::config::{Definition, folder_of};
use crate::error::{UserError, as_user_error};
use crate::runner;
use crate::runner::finish::Loaded;

/// Arguments of `qinglan plan`.
#[derive(Args)]
pub(super) struct Plan {
    /// The experiment whose questions are to be decided.
    definition: PathBuf,
    /// A finished run of it, or of one like it, with two seeds or more.
    #[arg(long, value_name = "RUN")]
    pilot: PathBuf,
    /// Numbers of seeds.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [2, 3, 5, 8, 12])]
    seeds: Vec<usize>,
    /// Numbers of items over all tasks [default: as many as the definition has].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    items: Vec<usize>,
    /// Numbers of samples an item [default: 4,16,64; the pilot's where it has one].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    samples: Vec<u32>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "terminal")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Terminal,
    Md,
}

impl Plan {
    pub(super) fn execute(self, registry: &Registry) -> Result<()> {
        let (definition, _) = as_user_error(Definition::read(&self.definition, &[], registry))?;
        if definition.question.is_empty() {
            bail!(UserError(format!(
                "{} asks no question, so there is nothing to plan for; write one as a [[question]]",
                self.definition.display()
            )));
        }
        let loaded = as_user_error(Loaded::read(&self.pilot))?;
        check(&definition, &loaded.manifest, &self.pilot)?;
        let manifest = &loaded.manifest;
        let arms: Vec<&str> = manifest.arms.iter().map(|arm| arm.name.as_str()).collect();
        let counting = Counting {
            only_correct: manifest.only_correct,
            cut_off: manifest.cut_off,
        };
        let items = loaded.recording.items(&arms, &manifest.tasks, counting);
        let halves = loaded.recording.halves(&arms, &manifest.tasks, counting);
        let pilot = Pilot {
            arms: &arms,
            tasks: &manifest.tasks,
            norms: &loaded.norms,
            samples: manifest.evaluation.samples,
            items: &items,
            halves: &halves,
        };
        let folder = folder_of(&self.definition);
        let (_, asked, _) = as_user_error(runner::problems(&definition, folder))?;
        let sizes = self.sizes(asked.len(), &pilot)?;
        let own = definition.cards();
        let counted: Vec<&str> = own.iter().map(|card| card.name.as_str()).collect();
        let cost = Cost::of(manifest, &counted, pilot.answered());
        let found = plan::plan(&pilot, &definition.question, &sizes, cost);
        let title = &definition.experiment.title;
        let document = tables_of(&found, title, notes(&definition, manifest)?);
        let text = match self.format {
            Format::Terminal => terminal::of(&document, color_on(&std::io::stdout())),
            Format::Md => markdown::of(&document),
        };
        super::compare::write(text.as_bytes())
    }

    /// Every combination of the numbers asked for, the fewest seeds first.
    fn sizes(&self, asked: usize, pilot: &Pilot<'_>) -> Result<Vec<Size>> {
        let refuse = |why: String| Err(UserError(why).into());
        let items = match self.items.as_slice() {
            [] => &[asked],
            given => given,
        };
        let samples = match (self.samples.as_slice(), pilot.samples) {
            ([], 1) => &[1],
            ([], _) => &[4, 16, 64][..],
            (given, _) => given,
        };
        if let Some(seeds) = self.seeds.iter().find(|seeds| **seeds < 2) {
            return refuse(format!(
                "--seeds {seeds}: a record of fewer than two seeds answers for its own training alone; plan two or more"
            ));
        }
        if let Some(items) = items.iter().find(|items| **items < 2) {
            return refuse(format!("--items {items}: there must be two items or more"));
        }
        if samples.contains(&0) {
            return refuse("--samples 0: there must be a sample an item".to_owned());
        }
        if let Some(other) = samples.iter().find(|k| pilot.samples == 1 && **k != 1) {
            return refuse(format!(
                "--samples {other}: the pilot has one sample an item, so what more would take away is not known; \
                 plan with 1, or give a pilot of two or more"
            ));
        }
        let mut sizes = Vec::new();
        for &seeds in &self.seeds {
            for &items in items {
                sizes.extend(samples.iter().map(|&samples| Size {
                    seeds,
                    items,
                    samples,
                }));
            }
        }
        Ok(sizes)
    }
}

/// Refuses a pilot that says nothing of the definition's questions.
fn check(definition: &Definition, pilot: &Manifest, at: &Path) -> Result<()> {
    let at = at.display();
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let tasks = &definition.tasks.names;
    if sorted(tasks) != sorted(&pilot.tasks) {
        bail!(UserError(format!(
            "{at} was evaluated on {}, the definition asks {}: variances of other tasks say nothing of these; \
             give a pilot of the same tasks",
            pilot.tasks.join(", "),
            tasks.join(", ")
        )));
    }
    if pilot.seeds.len() < 2 {
        bail!(UserError(format!(
            "{at} has one seed, so how much trainings differ is not known; a pilot needs two seeds or more \
             (qinglan run DEFINITION --seeds 1,2)"
        )));
    }
    if let Some(why) = several_teachers(&serde_json::to_value(definition)?, pilot) {
        bail!(UserError(format!("{at}: {why}")));
    }
    let arms: Vec<&str> = pilot.arms.iter().map(|arm| arm.name.as_str()).collect();
    for question in &definition.question {
        if question.sides(&arms).is_none() {
            bail!(UserError(format!(
                "question {:?}, contrast = {:?}: the pilot {at} lacks an arm of it (it has {})",
                question.name,
                question.contrast,
                arms.join(", ")
            )));
        }
    }
    Ok(())
}

/// Why a pilot, or a definition, of several teachers cannot be planned with.
fn several_teachers(definition: &Value, pilot: &Manifest) -> Option<&'static str> {
    let several = |run: &ArmRun| {
        let mut others = pilot.arm_runs.iter().filter(|other| other.arm == run.arm);
        others.any(|other| other.teacher != run.teacher)
    };
    let seeds = definition
        .pointer("/teacher/seeds")
        .and_then(Value::as_array);
    if pilot.arm_runs.iter().any(several) {
        Some(
            "the pilot has several teachers, and a plan does not take the variance between teachers apart from that \
             between the students of one; give a pilot of one teacher",
        )
    } else if seeds.is_some_and(|seeds| seeds.len() > 1) {
        Some(
            "the definition has several teachers, and the pilot one: how far teachers differ is not known from it, so \
             widths would be too narrow; plan with one of teacher.seeds",
        )
    } else {
        None
    }
}

/// What a reader must know of the pilot beside its figures: where it was made otherwise, and
/// which machine its times are of.
fn notes(definition: &Definition, pilot: &Manifest) -> Result<Vec<String>> {
    const SHOWN: usize = 5;
    let mut paths = Vec::new();
    let own = serde_json::to_value(definition)?;
    differences("", &own, &pilot.definition, &mut paths);
    let mut notes = Vec::new();
    if !paths.is_empty() {
        let shown = paths.iter().take(SHOWN).cloned().collect::<Vec<_>>();
        let more = match paths.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        notes.push(format!(
            "The pilot was made with other settings ({}{more}); variances and times are the pilot's.",
            shown.join(", ")
        ));
    }
    let lacking = definition.cards().into_iter().map(|card| card.name);
    let lacking = lacking.filter(|name| pilot.arms.iter().all(|arm| arm.name != *name));
    let lacking: Vec<String> = lacking.collect();
    if !lacking.is_empty() {
        notes.push(format!(
            "The pilot has no {}; minutes are without.",
            lacking.join(", ")
        ));
    }
    if let Some(processor) = pilot.environment.get("processor") {
        notes.push(format!("The pilot ran on {processor}."));
    }
    Ok(notes)
}

/// Keys whose values may differ between a pilot and what it is a pilot of: a number format that
/// is `auto` in one is resolved in the other. So may `evaluation.samples`.
const MAY_DIFFER: [&str; 3] = ["experiment", "question", "dtype"];

/// The keys, by their paths, in which two definitions differ.
fn differences(at: &str, one: &Value, other: &Value, paths: &mut Vec<String>) {
    let (Value::Object(first), Value::Object(second)) = (one, other) else {
        if one != other {
            paths.push(at.to_owned());
        }
        return;
    };
    let only_second = second.keys().filter(|key| !first.contains_key(*key));
    for key in first.keys().chain(only_second) {
        let path = match at {
            "" => key.clone(),
            at => format!("{at}.{key}"),
        };
        if MAY_DIFFER.contains(&key.as_str()) || path == "evaluation.samples" {
            continue;
        }
        let null = &Value::Null;
        let of = |table: &serde_json::Map<String, Value>| table.get(key).unwrap_or(null).clone();
        differences(&path, &of(first), &of(second), paths);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_teachers_are_refused_in_pilot_and_definition() {
        let pilot = |teachers: [u64; 2]| -> Manifest {
            let run = |(seed, teacher): (usize, u64)| {
                json!({
                    "arm": "sft", "seed": seed, "teacher": teacher, "folder": "", "initial_weights": "",
                    "final_weights": "", "problem_order": null, "budget": null
                })
            };
            let runs: Vec<Value> = teachers.into_iter().enumerate().map(run).collect();
            let card = json!({
                "samples": 1, "temperature": 1.0, "max_new_tokens": 9, "items": "", "norms": ""
            });
            let manifest = json!({
                "format": 1, "name": "", "title": "", "hypothesis": "", "seeds": [0, 1], "tasks": [], "arms": [],
                "arm_runs": runs, "evaluation": card, "definition": {}, "environment": {}, "files": {}
            });
            serde_json::from_value(manifest).unwrap()
        };
        let of = |seeds: &[u64]| json!({"teacher": {"seeds": seeds}});
        let one = pilot([100, 100]);
        assert_eq!(several_teachers(&of(&[100]), &one), None);
        assert_eq!(several_teachers(&json!({}), &one), None);
        let told = several_teachers(&of(&[100, 101]), &one);
        assert!(told.is_some_and(|why| why.starts_with("the definition")));
        let told = several_teachers(&of(&[100]), &pilot([100, 101]));
        assert!(told.is_some_and(|why| why.starts_with("the pilot")));
    }
}
