//! The plan: every job of a sweep, each with a definition that was checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use rewards::Registry;
use serde::{Deserialize, Serialize};

use super::PLAN;
use super::grid::Wanted;
use crate::config::{Definition, folder_of};
use crate::files;
use crate::hub::Commits;
use crate::messages::say;
use crate::runner;
use crate::runner::names::Missing;
use crate::runner::pins::Pins;

/// Version of the plan's format.
const FORMAT: u32 = 1;

/// Jobs beyond which a grid is taken for a mistake.
const MOST: usize = 10_000;

/// Letters of a key or a value that go into a name.
const SHOWN: usize = 24;

/// Letters of a name beyond which it is a number instead.
const LONGEST: usize = 120;

/// `sweep.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    format: u32,
    /// Short name of the experiment.
    pub(crate) name: String,
    /// Cores that one job can use: what its arms take side by side.
    #[serde(skip)]
    pub(crate) width: usize,
    /// Hashes of the files that its jobs read from outside, by their paths as the
    /// definition has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<String, String>,
    /// Commits of models and data files on the hub, by their names as the definition
    /// has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) hub: Commits,
    /// In the order they are started: seeds outside, so that what is compared at
    /// one seed is there first.
    pub(crate) jobs: Vec<Job>,
}

/// One run.
///
/// Worked example: number 3, name `beta-0.04-seed-1`, point
/// `{"arm.grpo.algorithm.grpo.beta": "0.04"}`, seed 1, and as overrides that entry
/// and those of `--set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Counted from 1; a task of a Slurm array has the same number.
    pub(crate) number: usize,
    /// The name of its run directory.
    pub(crate) name: String,
    /// Where in the grid it lies, key to value.
    pub(crate) point: IndexMap<String, String>,
    /// Its training seed.
    pub(crate) seed: u64,
    /// `--set` of its command.
    pub(crate) overrides: Vec<String>,
    /// Hash of its definition's text, overrides applied.
    definition: String,
    /// That text.
    #[serde(skip)]
    pub(super) text: String,
    /// The files that it reads from outside, as they are.
    #[serde(skip)]
    pub(super) pins: Pins,
}

/// The setting by which a run of one seed alone has the teacher that teaches it among all
/// seeds of the definition, where there are several teachers.
fn teacher_of(definition: &Definition, seed: u64) -> Option<String> {
    let teacher = definition.teacher.as_ref()?;
    let seeds = &definition.experiment.seeds;
    (teacher.seeds.len() > 1 && seeds.contains(&seed))
        .then(|| format!("teacher.seeds={:?}", [teacher.of_student(seeds, seed)]))
}

impl Plan {
    /// Every job of a sweep. All definitions and what they read are checked here,
    /// before anything is written. `begun` gives what names on the hub stood for when
    /// the sweep of that experiment began, if it did.
    pub(crate) fn expand(
        wanted: &Wanted,
        registry: &Registry,
        begun: impl Fn(&str) -> Result<Commits>,
        missing: Missing,
    ) -> Result<Self> {
        let points = points(wanted)?;
        let names = names(&points);
        let read = |overrides: &[String], point: &str| {
            Definition::read(&wanted.definition, overrides, registry).with_context(|| {
                if point.is_empty() {
                    "the definition".to_owned()
                } else {
                    format!("at {point} of the grid")
                }
            })
        };
        let mut checked = Vec::new();
        let mut hub = None;
        let mut absent = BTreeSet::new();
        for (point, name) in points.into_iter().zip(names) {
            let mut overrides = wanted.set.clone();
            overrides.extend(point.iter().map(|(key, value)| format!("{key}={value}")));
            let (definition, _) = read(&overrides, &name)?;
            let folder = folder_of(&wanted.definition);
            let known = match &mut hub {
                Some(known) => known,
                None => hub.insert(begun(&definition.experiment.name)?),
            };
            let pins = runner::check_inputs(&definition, folder, registry, known, missing);
            let (pins, lines) = pins.with_context(|| format!("at {name} of the grid"))?;
            absent.extend(lines);
            // A name stands for the same in every job.
            known.extend(pins.hub.clone());
            checked.push((point, name, overrides, definition, pins));
        }
        for line in absent {
            say!("{line}");
        }
        let first = &checked.first().context("the grid has no point")?.3;
        let seeds = if wanted.seeds.is_empty() {
            first.experiment.seeds.clone()
        } else {
            wanted.seeds.clone()
        };
        let count = checked.len().saturating_mul(seeds.len());
        ensure!(
            count <= MOST,
            "the grid and the seeds make {count} jobs, at most {MOST} are taken"
        );
        let mut seen = BTreeMap::new();
        for (_, name, _, definition, _) in &checked {
            if let Some(other) = seen.insert(serde_json::to_vec(definition)?, name) {
                bail!(
                    "{other} and {name} of the grid are one and the same definition: leave out one of them"
                );
            }
        }
        let mut jobs = Vec::new();
        for &seed in &seeds {
            for (point, name, overrides, whole, pins) in &checked {
                let mut overrides = overrides.clone();
                overrides.extend(teacher_of(whole, seed));
                let mut with_seed = overrides.clone();
                // As `qinglan run --seeds` writes it.
                with_seed.push(format!("experiment.seeds={:?}", [seed]));
                let (_, text) = read(&with_seed, name)?;
                let seeded = format!("seed-{seed}");
                jobs.push(Job {
                    number: jobs.len() + 1,
                    name: if name.is_empty() {
                        seeded
                    } else {
                        format!("{name}-{seeded}")
                    },
                    point: point.clone(),
                    seed,
                    overrides,
                    definition: files::hash(text.as_bytes()),
                    pins: pins.clone().of_definition(&text),
                    text,
                });
            }
        }
        Ok(Self {
            format: FORMAT,
            name: first.experiment.name.clone(),
            width: first.experiment.threads * first.arm.len(),
            inputs: checked
                .into_iter()
                .flat_map(|(.., pins)| pins.files)
                .collect(),
            hub: hub.unwrap_or_default(),
            jobs,
        })
    }

    /// Reads the plan of a sweep directory.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(PLAN);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let plan: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged", path.display()))?;
        ensure!(
            plan.format == FORMAT,
            "{}: format {} was written by another version; this one reads format {FORMAT}",
            path.display(),
            plan.format
        );
        Ok(plan)
    }

    /// In what another plan differs, in words.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let changed = |(name, hash): &(&String, &String)| {
            let its = other.inputs.get(*name);
            its.is_some_and(|its| its != *hash)
        };
        if let Some((name, _)) = self.inputs.iter().find(changed) {
            return Some(format!("its {name} had another content"));
        }
        if self.jobs.len() != other.jobs.len() {
            return Some(format!(
                "it has {} jobs, these are {}",
                self.jobs.len(),
                other.jobs.len()
            ));
        }
        let mut pairs = self.jobs.iter().zip(&other.jobs);
        pairs.find_map(|(one, other)| {
            if one.name != other.name {
                Some(format!("its job {} is {}", one.number, one.name))
            } else if one.definition != other.definition {
                Some(format!("its job {} has another definition", one.name))
            } else {
                None
            }
        })
    }
}

/// Every combination, the last axis fastest.
fn points(wanted: &Wanted) -> Result<Vec<IndexMap<String, String>>> {
    let count = wanted.grid.iter().fold(1_usize, |count, (_, values)| {
        count.saturating_mul(values.len())
    });
    ensure!(
        count <= MOST,
        "the grid has {count} points, at most {MOST} jobs are taken"
    );
    let mut points = vec![IndexMap::new()];
    for (key, values) in &wanted.grid {
        let mut longer = Vec::new();
        for point in &points {
            for value in values {
                let mut point: IndexMap<String, String> = point.clone();
                point.insert(key.clone(), value.clone());
                longer.push(point);
            }
        }
        points = longer;
    }
    Ok(points)
}

/// A folder name for each point: the last word of each key with its value, or
/// the whole key where two end alike; numbered where that does not tell them
/// apart, and only numbered where it would be too long. The name of the only point there is without a grid is empty.
fn names(points: &[IndexMap<String, String>]) -> Vec<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let name = |point: &IndexMap<String, String>| {
        let part = |(key, value): (&String, &String)| {
            let short = last(key);
            let alone = point.keys().filter(|other| last(other) == short).count() == 1;
            let key = if alone { short } else { key.clone() };
            format!("{}-{}", folder_word(&key), folder_word(value))
        };
        point.iter().map(part).collect::<Vec<_>>().join("-")
    };
    let mut names: Vec<String> = points.iter().map(name).collect();
    if names.iter().any(|name| name.len() > LONGEST) {
        return (1..=points.len()).map(|n| format!("point-{n}")).collect();
    }
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    if unique.len() < names.len() {
        for (index, name) in names.iter_mut().enumerate() {
            *name = format!("{}-{name}", index + 1);
        }
    }
    names
}

/// What of a word a folder name can hold.
fn folder_word(word: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "._+".contains(c);
    let mut name = String::new();
    for c in word.chars() {
        if kept(c) || (c == '-' && !name.ends_with('-')) {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') && !"\"'".contains(c) {
            name.push('-');
        }
    }
    let name: String = name.chars().take(SHOWN).collect();
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(grid: &[(&str, &[&str])]) -> Wanted {
        let axis = |(key, values): &(&str, &[&str])| {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            ((*key).to_owned(), values)
        };
        Wanted {
            grid: grid.iter().map(axis).collect(),
            ..Wanted::default()
        }
    }

    fn told(grid: &[(&str, &[&str])]) -> Vec<String> {
        names(&points(&wanted(grid)).expect("a small grid"))
    }

    #[test]
    fn points_are_named_by_what_differs() {
        assert_eq!(told(&[]), [""]);
        assert_eq!(
            told(&[("a.beta", &["0", "0.04"]), ("a.lr", &["1e-3"])]),
            ["beta-0-lr-1e-3", "beta-0.04-lr-1e-3"]
        );
        assert_eq!(
            told(&[("a.steps", &["1"]), ("b.steps", &["2"])]),
            ["a.steps-1-b.steps-2"]
        );
        assert_eq!(
            told(&[("a.x", &["\"../up\"", "[1, 2]", "-1"])]),
            ["x-..-up", "x-1-2", "x--1"]
        );
    }

    #[test]
    fn points_that_would_share_a_name_are_numbered() {
        assert_eq!(
            told(&[("x", &["\"a/b\"", "\"a b\""])]),
            ["1-x-a-b", "2-x-a-b"]
        );
    }

    #[test]
    fn no_name_is_longer_than_a_folder_may_be_called() {
        let keys: Vec<String> = (0..20).map(|n| format!("arm.a.key_{n}")).collect();
        let grid: Vec<(&str, &[&str])> = keys
            .iter()
            .map(|key| (key.as_str(), &["1e-3"][..]))
            .collect();
        assert_eq!(told(&grid), ["point-1"]);
    }

    #[test]
    fn a_grid_beyond_reason_is_refused_before_it_is_made() {
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let axis = |key: &str| (key.to_owned(), many.clone());
        let wanted = Wanted {
            grid: ["a", "b", "c", "d"].map(axis).to_vec(),
            ..Wanted::default()
        };
        let refused = points(&wanted).expect_err("a hundred million").to_string();
        assert!(refused.contains("100000000 points"), "{refused}");
    }
}
