//! What a user asks a sweep for: a definition, seeds, settings for all jobs, and
//! the values that a grid combines.
//!
//! From options alone, or from a file that can be kept beside the definition:
//!
//! ```toml
//! definition = "quickstart.toml"        # from this file's folder on
//! seeds = [1, 2, 3, 4]                  # the definition's own where absent
//! [set]                                 # for every job, as --set
//! training.steps = 200
//! [grid]                                # every combination is run
//! arm.grpo.algorithm.grpo.beta = [0.0, 0.04]
//! arm.grpo.training.learning_rate = [1e-6, 3e-6]
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::config::folder_of;

/// A key and the values that it takes, as TOML.
///
/// Worked example: `("arm.grpo.algorithm.grpo.beta", ["0", "0.04"])`.
pub(super) type Axis = (String, Vec<String>);

/// What a sweep was asked for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// The definition file.
    pub(crate) definition: PathBuf,
    /// Training seeds; the definition's where there are none.
    pub(super) seeds: Vec<u64>,
    /// `key=value` for every job.
    pub(super) set: Vec<String>,
    /// The grid; without an axis it is one point.
    pub(super) grid: Vec<Axis>,
}

/// A sweep file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    definition: PathBuf,
    #[serde(default)]
    seeds: Vec<u64>,
    #[serde(default)]
    set: toml::Table,
    #[serde(default)]
    grid: toml::Table,
}

impl Wanted {
    /// From a definition or a sweep file, and options. Seeds given as an option
    /// take the place of the file's; settings and axes come after its own.
    pub(crate) fn read(
        path: &Path,
        seeds: Vec<u64>,
        set: Vec<String>,
        grid: &[String],
    ) -> Result<Self> {
        let mut wanted = Self::file(path)?;
        if !seeds.is_empty() {
            wanted.seeds = seeds;
        }
        wanted.set.extend(set);
        for entry in grid {
            wanted.grid.push(axis(entry)?);
        }
        wanted.check()?;
        Ok(wanted)
    }

    fn file(path: &Path) -> Result<Self> {
        let text = experiments::text::string(path).with_context(|| {
            format!(
                "reading {}: give a definition such as experiments/definitions/quickstart.toml, or a sweep file that names one",
                path.display()
            )
        })?;
        // What is wrong with a definition is said where definitions are read.
        let names_one = toml::from_str::<toml::Table>(&text)
            .is_ok_and(|table| table.contains_key("definition") || table.contains_key("grid"));
        if !names_one {
            return Ok(Self {
                definition: path.to_owned(),
                ..Self::default()
            });
        }
        let place = || path.display().to_string();
        let file: SweepFile = toml::from_str(&text).with_context(place)?;
        let mut set = Vec::new();
        for (key, value) in leaves(&file.set) {
            set.push(format!("{key}={value}"));
        }
        let mut grid = Vec::new();
        for (key, value) in leaves(&file.grid) {
            let values = value.as_array().with_context(|| {
                format!(
                    "{}: grid.{key} = {value}: give the values to try as a list",
                    path.display()
                )
            })?;
            let values = values.iter().map(toml::Value::to_string).collect();
            grid.push((key, values));
        }
        Ok(Self {
            definition: folder_of(path).join(file.definition),
            seeds: file.seeds,
            set,
            grid,
        })
    }

    fn check(&self) -> Result<()> {
        for (index, seed) in self.seeds.iter().enumerate() {
            ensure!(
                !self.seeds[..index].contains(seed),
                "seed {seed} is named twice"
            );
        }
        for (index, (key, values)) in self.grid.iter().enumerate() {
            ensure!(
                key != "experiment.seeds",
                "the grid has experiment.seeds: every job has one seed; name them with --seeds"
            );
            ensure!(
                self.grid[..index].iter().all(|(other, _)| other != key),
                "the grid names {key} twice"
            );
            ensure!(
                !self.set.iter().any(|entry| key_of(entry) == key),
                "{key} is both set for every job and in the grid; keep one of them"
            );
            ensure!(!values.is_empty(), "the grid has no value for {key}");
            for (index, value) in values.iter().enumerate() {
                ensure!(
                    !values[..index].contains(value),
                    "the grid names {key} = {value} twice"
                );
            }
        }
        if let Some(entry) = self
            .set
            .iter()
            .find(|entry| key_of(entry) == "experiment.seeds")
        {
            bail!("--set {entry}: name the seeds of a sweep with --seeds");
        }
        Ok(())
    }
}

fn key_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key).trim()
}

/// `key=a,b` as an axis. The values are the elements of a TOML list where they
/// can be, so that `"a,b",[1,2]` are two; else what lies between commas.
fn axis(entry: &str) -> Result<Axis> {
    let (key, values) = entry.split_once('=').with_context(|| {
        format!(
            "--grid {entry}: write key=values, such as --grid arm.grpo.algorithm.grpo.beta=0,0.04"
        )
    })?;
    let list = format!("[{values}]").parse::<toml_edit::Value>();
    let values: Vec<String> = match list.as_ref().map(toml_edit::Value::as_array) {
        Ok(Some(list)) => list
            .iter()
            .map(|value| value.to_string().trim().to_owned())
            .collect(),
        _ => values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect(),
    };
    ensure!(
        values.iter().all(|value| !value.is_empty()),
        "--grid {entry}: a value is missing between commas"
    );
    Ok((key.trim().to_owned(), values))
}

/// Dotted keys of a table with what is no table itself.
fn leaves(table: &toml::Table) -> Vec<(String, &toml::Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = leaves(inner).into_iter();
                found.extend(inner.map(|(below, value)| (format!("{key}.{below}"), value)));
            }
            value => found.push((key.clone(), value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(entry: &str) -> Vec<String> {
        axis(entry).expect("an axis").1
    }

    #[test]
    fn values_are_cut_at_commas_unless_toml_says_otherwise() {
        assert_eq!(grid("a.b=0,0.04"), ["0", "0.04"]);
        assert_eq!(grid("a = grpo, dr_grpo"), ["grpo", "dr_grpo"]);
        assert_eq!(grid("a=\"x,y\",[1, 2]"), ["\"x,y\"", "[1, 2]"]);
        assert_eq!(grid("a={ b = 1 },{ b = 2 }"), ["{ b = 1 }", "{ b = 2 }"]);
        assert_eq!(grid("a=1e-3,x"), ["1e-3", "x"]);
        for wrong in ["a", "a=x,,y", "a="] {
            let refused = axis(wrong).and_then(|axis| {
                Wanted {
                    grid: vec![axis],
                    ..Wanted::default()
                }
                .check()
            });
            assert!(refused.is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sweep_file_says_what_options_say() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sweep.toml");
        let text = "definition = \"tiny.toml\"\nseeds = [3]\n[set]\na.b = 1\na.c = \"x\"\n\
                    [grid]\nd.e = [0.5, 2]\n\"d.f\" = [[1, 2], { g = true }]\n";
        std::fs::write(&path, text).expect("a file");
        let read = Wanted::read(&path, vec![], vec!["k=1".into()], &["h=1,2".into()]);
        let axis =
            |key: &str, values: [&str; 2]| (key.to_owned(), values.map(str::to_owned).to_vec());
        let expected = Wanted {
            definition: folder.path().join("tiny.toml"),
            seeds: vec![3],
            set: ["a.b=1", "a.c=\"x\"", "k=1"].map(str::to_owned).to_vec(),
            grid: vec![
                axis("d.e", ["0.5", "2"]),
                axis("d.f", ["[1, 2]", "{ g = true }"]),
                axis("h", ["1", "2"]),
            ],
        };
        assert_eq!(read.expect("a sweep file"), expected);
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tiny.toml");
        std::fs::write(&path, "").expect("a file");
        let refused = |seeds: &[u64], set: &[&str], grid: &[&str]| {
            let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
            let grid: Vec<String> = words(grid);
            let read = Wanted::read(&path, seeds.to_vec(), words(set), &grid);
            read.expect_err("a contradiction").to_string()
        };
        let is = |said: String, expected: &str| assert!(said.contains(expected), "{said}");
        is(refused(&[1, 2, 1], &[], &[]), "seed 1 is named twice");
        is(refused(&[], &[], &["a=1", "a=2"]), "names a twice");
        is(refused(&[], &[], &["a=1,2,1"]), "names a = 1 twice");
        is(
            refused(&[], &["a=3"], &["a=1"]),
            "both set for every job and in the grid",
        );
        is(refused(&[], &[], &["experiment.seeds=1,2"]), "--seeds");
        is(refused(&[], &["experiment.seeds=[1]"], &[]), "--seeds");
        std::fs::write(&path, "definition = \"a.toml\"\ngird = 1\n").expect("a file");
        is(
            format!("{:#}", Wanted::file(&path).expect_err("a misspelt key")),
            "gird",
        );
        std::fs::write(&path, "definition = \"a.toml\"\ngrid.a = 1\n").expect("a file");
        is(
            Wanted::file(&path).expect_err("no list").to_string(),
            "as a list",
        );
    }
}
