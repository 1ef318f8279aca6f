//! Several run directories as one comparison.
//!
//! Runs of one definition that differ in their seeds alone, or those of their
//! teachers, become one run with all of them. Other runs stand side by side, their arms named `RUN/ARM`. What the
//! runs do not have in common is said in the comparison's fairness; what would
//! make every figure a comparison of evaluations is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use experiments::comparison::{Condition, Flaw, question};
use experiments::manifest::{ArmRun, Manifest, Role};
use serde_json::Value;

use super::finish::{Loaded, MANIFEST, unreadable};
use crate::error::UserError;

/// What two runs' environments must agree in for their arms to differ by
/// training alone.
const ENVIRONMENT: [&str; 5] = ["qinglan", "libtorch", "device", "processor", "kernels"];

/// Reads one run, or several as one. `point_of` names the point of a grid that a run of a
/// sweep is at, which several seeds share.
pub fn read(runs: &[PathBuf], point_of: impl Fn(&Path) -> Option<String>) -> Result<Loaded> {
    refuse_twice(runs)?;
    let mut groups: Vec<(String, Loaded)> = Vec::new();
    let mut flaws: Vec<Flaw> = Vec::new();
    for run in runs {
        let loaded = match one_of(run, runs.len() > 1)? {
            Ok(loaded) => loaded,
            Err(why) => {
                let found = format!("left out: {why}");
                flaws.push(Flaw::of(Condition::Complete, Vec::new(), found));
                continue;
            }
        };
        let same = groups
            .iter_mut()
            .find(|(_, group)| is_of_one_definition(group, &loaded));
        if let Some((label, group)) = same {
            group.join(loaded)?;
            // It is no longer one seed's.
            if let Some(point) = point_of(run) {
                *label = point;
            }
            continue;
        }
        groups.push((name_of(run)?, loaded));
    }
    if groups.is_empty() {
        let why: Vec<&str> = flaws.iter().map(|flaw| flaw.found.as_str()).collect();
        bail!(UserError(format!(
            "none of the runs can be compared: {}",
            why.join("; ")
        )));
    }
    let labels: Vec<String> = groups.iter().map(|(label, _)| label.clone()).collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = labels.iter().find(|label| !seen.insert(*label)) {
        bail!(UserError(format!(
            "two of the runs are called {twice}; rename one of the folders"
        )));
    }
    let several = groups.len() > 1;
    let mut groups = groups.into_iter().map(|(label, mut group)| {
        if several {
            group.prefix(&label);
        }
        (label, group)
    });
    let (first, mut together) = groups.next().context("no run was given")?;
    for (label, group) in groups {
        together.absorb(group, [&first, &label])?;
    }
    if several {
        let same = same_trainings(&together.manifest);
        together.manifest.notes.extend(same);
    }
    together
        .manifest
        .notes
        .extend(flaws.iter().map(|flaw| format!("{}.", flaw.found)));
    together.flaws.extend(flaws);
    Ok(together)
}

/// Refuses a run that is given twice, under one name or two: a comparison with
/// itself would look like a replication.
fn refuse_twice(runs: &[PathBuf]) -> Result<()> {
    let mut seen = BTreeSet::new();
    // What cannot be found is answered where it is read.
    for run in runs {
        if std::fs::canonicalize(run).is_ok_and(|place| !seen.insert(place)) {
            bail!(UserError(format!(
                "{} is given twice; name each run once",
                run.display()
            )));
        }
    }
    Ok(())
}

/// The name of a run's folder, whatever path leads there: `.` has none.
fn name_of(run: &Path) -> Result<String> {
    let place = std::fs::canonicalize(run).with_context(|| format!("reading {}", run.display()))?;
    let name = run.file_name().or_else(|| place.file_name());
    let name = name.with_context(|| format!("{} is not the name of a folder", run.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// Arms that ended with the same weights in every seed, a note for each training:
/// a copied run, or one definition trained twice, is no second measurement. Weights
/// that no training moved are meant to be the same.
fn same_trainings(manifest: &Manifest) -> Vec<String> {
    let mut arms: BTreeMap<Vec<(u64, &str)>, Vec<&str>> = BTreeMap::new();
    for card in &manifest.arms {
        let runs = manifest.arm_runs.iter().filter(|run| run.arm == card.name);
        let weights: Vec<_> = runs
            .filter(|run| run.initial_weights != run.final_weights)
            .map(|run| (run.seed, run.final_weights.as_str()))
            .collect();
        if !weights.is_empty() {
            arms.entry(weights).or_default().push(&card.name);
        }
    }
    let several = arms.into_values().filter(|arms| arms.len() > 1);
    several
        .map(|arms| {
            format!(
                "{} have the same weights: they are one training, not {} that agree.",
                arms.join(", "),
                arms.len()
            )
        })
        .collect()
}

/// A run, or why it is left out of a comparison of several: it is not finished, or
/// what it says of itself is damaged. A folder that is no run was a slip of the
/// hand, and an only run has nothing to be left out of: both are errors.
fn one_of(run: &Path, several: bool) -> Result<Result<Loaded, String>> {
    let is_run = run.join(super::DEFINITION_FILE).exists() || run.join(MANIFEST).exists();
    if !several || !is_run {
        return Loaded::read_what_is_whole(run).map(Ok);
    }
    let loaded = match unreadable(run) {
        Ok(Some(why)) => return Ok(Err(why)),
        Ok(None) => Loaded::read_what_is_whole(run),
        Err(error) => Err(error),
    };
    Ok(loaded.map_err(|error| format!("{error:#}")))
}

/// The definition without seeds and questions. The seed of a teacher that the run does not have
/// is a setting like any other.
fn seedless(manifest: &Manifest) -> Value {
    let mut definition = manifest.definition.clone();
    let mut drop_from = |table: &str, keys: &[&str]| {
        if let Some(table) = definition.get_mut(table).and_then(Value::as_object_mut) {
            table.retain(|key, _| !keys.contains(&key.as_str()));
        }
    };
    drop_from("experiment", &["seeds"]);
    if !teachers(manifest).is_empty() {
        drop_from("teacher", &["seed", "seeds"]);
    }
    // What is asked of a training is nothing of it.
    if let Some(definition) = definition.as_object_mut() {
        definition.remove("question");
    }
    definition
}

fn teachers(manifest: &Manifest) -> Vec<&ArmRun> {
    let is_teacher = |run: &&ArmRun| {
        let card = manifest.arms.iter().find(|card| card.name == run.arm);
        card.is_some_and(|card| card.role == Role::Teacher)
    };
    manifest.arm_runs.iter().filter(is_teacher).collect()
}

/// Whether two runs differ in their seeds alone: one definition and evaluation,
/// one content of the files they read, no seed in both, and the same weights of
/// every teacher whose seed is in both.
fn is_of_one_definition(group: &Loaded, other: &Loaded) -> bool {
    let (a, b) = (&group.manifest, &other.manifest);
    let same_weights = |own: &&ArmRun| {
        let same = |its: &&ArmRun| its.arm == own.arm && its.seed == own.seed;
        let its = teachers(b).into_iter().find(same);
        its.is_none_or(|its| its.final_weights == own.final_weights)
    };
    !a.arm_runs.is_empty()
        && seedless(a) == seedless(b)
        && a.arms == b.arms
        && a.evaluation == b.evaluation
        && group.read_otherwise(other).is_empty()
        && teachers(a).iter().all(same_weights)
        && a.seeds.iter().all(|seed| !b.seeds.contains(seed))
}

impl Loaded {
    /// Takes in the other seeds of the same definition.
    fn join(&mut self, mut other: Self) -> Result<()> {
        let of = |manifest: &Manifest| -> Vec<(String, u64)> {
            let teachers = teachers(manifest).into_iter();
            teachers.map(|run| (run.arm.clone(), run.seed)).collect()
        };
        let (own, its) = (of(&self.manifest), of(&other.manifest));
        let (shared, new): (Vec<_>, Vec<_>) = its.into_iter().partition(|its| own.contains(its));
        let several = own.len() + new.len() > 1;
        if several {
            self.name_teacher();
            other.name_teacher();
        }
        for (name, seed) in &shared {
            // The records of an only teacher carry no seed.
            other.recording.forget(name, several.then_some(*seed));
        }
        let known = |arm: &str, seed: u64| shared.iter().any(|it| it.0 == arm && it.1 == seed);
        let (runs, curves) = (&mut other.manifest.arm_runs, &mut other.curves);
        runs.retain(|run| !known(&run.arm, run.seed));
        curves.retain(|curve| !known(&curve.arm, curve.seed));
        other.training.retain(|log| !known(&log.arm, log.seed));
        other.on_the_way.retain(|at| !known(&at.arm, at.seed));
        self.note_environment(&other, "a run with other seeds");
        self.manifest.seeds.extend(other.manifest.seeds);
        self.manifest.arm_runs.extend(other.manifest.arm_runs);
        self.manifest.notes.extend(other.manifest.notes);
        let questions = question::of_both(&self.manifest.questions, &other.manifest.questions);
        self.manifest.questions = questions;
        self.recording.absorb(other.recording)?;
        self.curves.extend(other.curves);
        self.training.extend(other.training);
        self.on_the_way.extend(other.on_the_way);
        self.flaws.extend(other.flaws);
        Ok(())
    }

    /// Says in the records of a run of one teacher which it was, as those of several do.
    fn name_teacher(&mut self) {
        let [teacher] = teachers(&self.manifest)[..] else {
            return;
        };
        let (arm, seed) = (teacher.arm.clone(), teacher.seed);
        self.recording.name_seed(&arm, seed);
        for at in &mut self.on_the_way {
            at.recording.name_seed(&arm, seed);
        }
        let students = self.manifest.arms.iter();
        let students = students.filter(|card| card.teacher.as_deref() == Some(&*arm));
        for student in students {
            self.recording.name_teacher(&student.name, seed);
            let runs = self.manifest.arm_runs.iter_mut();
            for run in runs.filter(|run| run.arm == student.name) {
                run.teacher.get_or_insert(seed);
            }
        }
    }

    /// Puts a run's name before the names of its arms.
    fn prefix(&mut self, label: &str) {
        let arms = self.manifest.arms.iter();
        let arms: Vec<&str> = arms.map(|card| card.name.as_str()).collect();
        for asked in &mut self.manifest.questions {
            asked.prefix(label, &arms);
        }
        let rename = |name: &mut String| *name = format!("{label}/{name}");
        for card in &mut self.manifest.arms {
            rename(&mut card.name);
            card.base.iter_mut().for_each(rename);
            card.init.iter_mut().for_each(rename);
            card.teacher.iter_mut().for_each(rename);
        }
        for arm_run in &mut self.manifest.arm_runs {
            rename(&mut arm_run.arm);
            arm_run.init.iter_mut().for_each(rename);
        }
        self.recording.prefix(label);
        for curve in &mut self.curves {
            rename(&mut curve.arm);
        }
        for log in &mut self.training {
            rename(&mut log.arm);
        }
        for at in &mut self.on_the_way {
            rename(&mut at.arm);
        }
        for recipe in &mut self.recipes {
            rename(&mut recipe.arm);
        }
        for flaw in &mut self.flaws {
            flaw.arms.iter_mut().for_each(rename);
        }
    }

    /// Takes in another run's arms, which have other names, over the tasks that
    /// both were evaluated on. `labels` are this run's and the other's.
    fn absorb(&mut self, other: Self, labels: [&str; 2]) -> Result<()> {
        self.note_evaluation(&other, labels)?;
        self.note_inputs(&other, labels);
        self.note_environment(&other, labels[1]);
        if self.manifest.title != other.manifest.title {
            self.manifest.title = format!("{}; {}", self.manifest.title, other.manifest.title);
            self.manifest.hypothesis = format!(
                "{}\n\n{}",
                self.manifest.hypothesis, other.manifest.hypothesis
            );
        }
        // A seed that one run lacks is missing from none of the other's contrasts.
        self.manifest
            .seeds
            .retain(|seed| other.manifest.seeds.contains(seed));
        self.manifest.arms.extend(other.manifest.arms);
        self.manifest.arm_runs.extend(other.manifest.arm_runs);
        self.manifest.notes.extend(other.manifest.notes);
        self.manifest.questions.extend(other.manifest.questions);
        self.recording.absorb(other.recording)?;
        self.curves.extend(other.curves);
        self.training.extend(other.training);
        self.on_the_way.extend(other.on_the_way);
        self.recipes.extend(other.recipes);
        self.flaws.extend(other.flaws);
        for (name, hash) in other.inputs {
            self.inputs.entry(name).or_insert(hash);
        }
        Ok(())
    }

    /// Keeps the tasks of both and says what else differs; refuses where nothing
    /// is left that both were asked, or people's times differ.
    fn note_evaluation(&mut self, other: &Self, [first, label]: [&str; 2]) -> Result<()> {
        let (own, card) = (&self.manifest.evaluation, &other.manifest.evaluation);
        let refused = |why: String| {
            Err(UserError(format!("{label} cannot be compared with {first}: {why}")).into())
        };
        if own.norms != card.norms {
            return refused("people's times are from other sources".to_owned());
        }
        let shared = |task: &String| other.manifest.tasks.contains(task);
        let (tasks, alone): (Vec<String>, Vec<String>) =
            self.manifest.tasks.iter().cloned().partition(shared);
        let others = other
            .manifest
            .tasks
            .iter()
            .filter(|task| !tasks.contains(task));
        let alone: Vec<String> = alone.into_iter().chain(others.cloned()).collect();
        if tasks.is_empty() {
            return refused("they have no task in common".to_owned());
        }
        let other_items = |task: &&String| self.norms.items(task) != other.norms.items(task);
        if let Some(task) = tasks.iter().find(other_items) {
            return refused(format!("their items of {task} differ"));
        }
        let mut say = |condition, found: String| {
            self.manifest.notes.push(format!("{found}."));
            self.flaws.push(Flaw {
                condition,
                found,
                arms: Vec::new(),
                runs: vec![label.to_owned()],
            });
        };
        if !alone.is_empty() {
            let found = format!(
                "{first} and {label} are compared on the tasks of both, without {}",
                alone.join(", ")
            );
            say(Condition::Items, found);
        }
        if own.max_new_tokens != card.max_new_tokens {
            let found = format!(
                "{label} could write {} new tokens, {first} {}",
                card.max_new_tokens, own.max_new_tokens
            );
            say(Condition::TokenCap, found);
        }
        let budget = |card: &experiments::manifest::EvaluationCard| {
            format!(
                "{} sample(s) an item at temperature {}",
                card.samples, card.temperature
            )
        };
        if budget(own) != budget(card) {
            say(
                Condition::Samples,
                format!("{label} gave {}, {first} {}", budget(card), budget(own)),
            );
        } else if own.items != card.items
            && alone.is_empty()
            && own.max_new_tokens == card.max_new_tokens
        {
            say(
                Condition::Prompts,
                format!(
                    "{label} was asked in other words or computed in another number format than {first}"
                ),
            );
        }
        self.manifest.tasks = tasks;
        Ok(())
    }

    /// Files that both name and that had another content in each; what only one
    /// recorded is not known to differ.
    fn read_otherwise(&self, other: &Self) -> Vec<&str> {
        let differs = |(name, hash): &(&String, &String)| {
            let its = other.inputs.get(*name);
            its.is_some_and(|its| its != *hash)
        };
        let differing = self.inputs.iter().filter(differs);
        differing.map(|(name, _)| name.as_str()).collect()
    }

    fn note_inputs(&mut self, other: &Self, [first, label]: [&str; 2]) {
        let differing = self.read_otherwise(other);
        if differing.is_empty() {
            return;
        }
        let found = format!(
            "{} had another content in {label} than in {first}",
            differing.join(", ")
        );
        self.manifest.notes.push(format!("{found}."));
        self.flaws.push(Flaw {
            condition: Condition::Inputs,
            found,
            arms: Vec::new(),
            runs: vec![label.to_owned()],
        });
    }

    fn note_environment(&mut self, other: &Self, label: &str) {
        let (own, its) = (&self.manifest.environment, &other.manifest.environment);
        let differing = ENVIRONMENT
            .iter()
            .filter(|name| own.get(**name) != its.get(**name));
        let differing: Vec<String> = differing
            .map(|name| {
                let value = |of: Option<&String>| of.map_or("unknown", String::as_str).to_owned();
                format!(
                    "{name} {} and {}",
                    value(its.get(*name)),
                    value(own.get(*name))
                )
            })
            .collect();
        if !differing.is_empty() {
            let found = format!("{label} beside the first: {}", differing.join(", "));
            self.flaws
                .push(Flaw::of(Condition::Environment, Vec::new(), found));
        }
    }
}

#[cfg(test)]
mod tests;
