//! What lies in a run directory, finished or not, looked at from outside.
//!
//! It reads the definition as plain TOML and the jobs by their markers, so runs
//! of other versions are seen too, and it never writes. What a finished run
//! found is [`super::finish`]'s business.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use experiments::tables::plain;

use super::finish::MANIFEST;
use super::pins::Pins;
use super::{DEFINITION_FILE, OUTCOME};
use crate::error::UserError;
use crate::files;

/// A run directory as it stands.
///
/// Worked example: the quickstart after its bases, with the teacher in training,
/// is `GoingOn`, and its parts are `base` of seeds 1 and 2 (done), `teacher` (not
/// done, 30 of 80 updates), and `sft` and `grpo` of both seeds (not begun).
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The run directory.
    pub folder: PathBuf,
    /// Short name of the experiment.
    pub name: String,
    /// Title for people; the name where there is none.
    pub title: String,
    /// How far it is.
    pub state: State,
    /// Training seeds.
    pub seeds: Vec<i64>,
    /// Everything that is made in it, in the order it is shown.
    pub parts: Vec<Part>,
    /// The definition, as TOML.
    pub definition: toml::Table,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its manifest is written.
    Finished,
    /// A process holds its lock.
    GoingOn,
    /// Neither: it can be gone on with.
    Stopped,
}

impl State {
    /// The state in a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::GoingOn => "going on",
            Self::Stopped => "stopped",
        }
    }
}

/// A model that a run makes: one arm of one seed, a base, or the teacher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The arm's name.
    pub arm: String,
    /// Its seed; the teacher has one of its own.
    pub seed: Option<i64>,
    /// Its folder.
    pub folder: PathBuf,
    /// The log of its training's metrics, in the folder once training begins.
    pub log: PathBuf,
    /// Whether it is trained and evaluated.
    pub done: bool,
    /// What of it came from the store, in a word each.
    pub taken: Vec<String>,
    /// Updates that its log has; `None` before the first.
    pub updates: Option<u64>,
    /// Updates that it is to have; `None` where the definition leaves it open.
    pub of: Option<u64>,
}

impl Survey {
    /// Looks at a run directory.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut survey = Self::without_logs(folder)?;
        for part in &mut survey.parts {
            part.updates = last_step(&part.log);
        }
        Ok(survey)
    }

    /// The same without a look into the logs: no part has updates yet. It serves
    /// whoever follows the logs anyway.
    pub(super) fn without_logs(folder: &Path) -> Result<Self> {
        let path = folder.join(DEFINITION_FILE);
        if !path.is_file() {
            bail!(UserError(format!(
                "{} holds no run: it has no {DEFINITION_FILE}",
                folder.display()
            )));
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let definition: toml::Table =
            toml::from_str(&text).with_context(|| path.display().to_string())?;
        let experiment = definition.get("experiment").and_then(toml::Value::as_table);
        let word = |key: &str| Some(plain::line(experiment?.get(key)?.as_str()?));
        let name = word("name").unwrap_or_else(|| folder.display().to_string());
        let seeds = experiment
            .and_then(|experiment| experiment.get("seeds")?.as_array())
            .map(|seeds| seeds.iter().filter_map(toml::Value::as_integer).collect());
        let seeds: Vec<i64> = seeds.unwrap_or_default();
        let state = if folder.join(MANIFEST).exists() {
            State::Finished
        } else if files::is_locked(folder) {
            State::GoingOn
        } else {
            State::Stopped
        };
        Ok(Self {
            parts: parts(folder, &definition, &seeds),
            folder: folder.to_owned(),
            title: word("title").unwrap_or_else(|| name.clone()),
            name,
            state,
            seeds,
            definition,
        })
    }

    /// The run directories among `folder` itself and the folders in it, by path.
    /// What is no run is passed over; a run that cannot be read is an error of
    /// its own.
    pub fn all(folder: &Path) -> Result<Vec<(PathBuf, Result<Self>)>> {
        let mut places = vec![folder.to_owned()];
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            places.push(entry.path());
        }
        places.retain(|place| place.join(DEFINITION_FILE).is_file());
        places.sort();
        let survey = |place: PathBuf| {
            let run = Self::of(&place);
            (place, run)
        };
        Ok(places.into_iter().map(survey).collect())
    }

    /// Whether its definition is another than when it began; false where nothing
    /// says what it was then.
    pub fn was_edited(&self) -> bool {
        let Ok(Some(pins)) = Pins::read(&self.folder) else {
            return false;
        };
        let hash = files::hash_file(&self.folder.join(DEFINITION_FILE));
        hash.is_ok_and(|hash| hash != pins.definition)
    }

    /// How many parts are done.
    pub fn done(&self) -> usize {
        self.parts.iter().filter(|part| part.done).count()
    }

    /// Bytes of all files in the directory; links are not followed.
    pub fn bytes(&self) -> Result<u64> {
        files::bytes(&self.folder)
    }
}

fn parts(folder: &Path, definition: &toml::Table, seeds: &[i64]) -> Vec<Part> {
    let table = |table: &toml::Table, key: &str| table.get(key)?.as_table().cloned();
    let steps = |table: Option<toml::Table>| {
        let steps = table?
            .get("training")?
            .as_table()?
            .get("steps")?
            .as_integer()?;
        u64::try_from(steps).ok()
    };
    let shared = steps(Some(definition.clone()));
    let part = |arm: &str, seed: Option<i64>, at: &str, of: Option<u64>| {
        let at = folder.join(at);
        Part {
            arm: plain::line(arm),
            seed,
            done: at.join(OUTCOME).exists(),
            taken: taken(&at),
            log: LOGS
                .map(|log| at.join(log))
                .into_iter()
                .find(|log| log.exists())
                .unwrap_or_else(|| at.join(LOGS[0])),
            updates: None,
            of,
            folder: at,
        }
    };
    let of_base = |settings: Option<toml::Table>| {
        steps(settings.and_then(|settings| table(&settings, "pretraining")))
    };
    let mut parts = Vec::new();
    for seed in seeds {
        let of = of_base(table(definition, "base"));
        parts.push(part(
            "base",
            Some(*seed),
            &format!("arms/base/seed-{seed}"),
            of,
        ));
    }
    if let Some(teacher) = table(definition, "teacher")
        && teacher.contains_key("algorithm")
    {
        let several = teacher.get("seeds").and_then(toml::Value::as_array);
        let several: Vec<i64> = several
            .map(|seeds| seeds.iter().filter_map(toml::Value::as_integer).collect())
            .unwrap_or_default();
        let seed = teacher.get("seed").and_then(toml::Value::as_integer);
        let of = steps(Some(teacher)).or(shared);
        if several.is_empty() {
            parts.push(part("teacher", seed, "teacher", of));
        }
        for seed in several {
            let at = format!("teacher/seed-{seed}");
            parts.push(part("teacher", Some(seed), &at, of));
        }
    }
    for (name, arm) in table(definition, "arm").unwrap_or_default() {
        let of = steps(arm.as_table().cloned()).or(shared);
        for seed in seeds {
            let at = format!("arms/{name}/seed-{seed}");
            parts.push(part(&name, Some(*seed), &at, of));
        }
    }
    parts
}

/// The logs of a stage, from its folder: of a training, and of a base that is made and
/// that is being made.
const LOGS: [&str; 3] = [
    "metrics.jsonl",
    "pretraining.jsonl",
    "pretraining/metrics.jsonl",
];

/// What the marker of a stage says that came from the store.
fn taken(stage: &Path) -> Vec<String> {
    let words = || -> Option<Vec<String>> {
        let text = std::fs::read(stage.join(OUTCOME)).ok()?;
        let marker: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let taken = marker.get("taken")?.as_array()?.iter();
        Some(
            taken
                .filter_map(|word| Some(word.as_str()?.to_owned()))
                .collect(),
        )
    };
    words().unwrap_or_default()
}

/// The last update that a log of metrics tells of. A line that is being written
/// does not count yet.
fn last_step(log: &Path) -> Option<u64> {
    let text = files::tail(log)?;
    let step = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line.get("step")?.as_u64()
    };
    text.lines().rev().find_map(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str = r#"
        [experiment]
        name = "small"
        title = "A small one"
        seeds = [1, 2]
        [base]
        pretraining.training.steps = 7
        [teacher]
        seed = 100
        algorithm.grpo = {}
        training.steps = 5
        [training]
        steps = 9
        [arm.sft]
        algorithm.sft = {}
        [arm.grpo]
        training.steps = 3
    "#;

    fn run() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| {
            let path = at(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write(DEFINITION_FILE, DEFINITION);
        write("arms/base/seed-1/outcome.json", "{}");
        write(
            "arms/grpo/seed-2/metrics.jsonl",
            "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.4}\n{\"step\":3,\"lo",
        );
        folder
    }

    #[test]
    fn parts_are_told_by_their_markers_and_logs() {
        let folder = run();
        let survey = Survey::of(folder.path()).expect("a run");
        assert_eq!(
            (survey.name.as_str(), survey.state),
            ("small", State::Stopped)
        );
        assert_eq!((survey.parts.len(), survey.done()), (7, 1));
        let told: Vec<_> = survey
            .parts
            .iter()
            .map(|part| (part.arm.as_str(), part.seed, part.updates, part.of))
            .collect();
        assert_eq!(told[0], ("base", Some(1), None, Some(7)));
        assert_eq!(told[2], ("teacher", Some(100), None, Some(5)));
        assert_eq!(told[3], ("sft", Some(1), None, Some(9)));
        assert_eq!(told[6], ("grpo", Some(2), Some(2), Some(3)));
    }

    #[test]
    fn a_run_that_a_process_holds_is_going_on_and_a_manifest_ends_it() {
        let folder = run();
        let held = files::lock(folder.path()).expect("a file system with locks");
        assert!(held.is_some());
        let state = || Survey::of(folder.path()).expect("a run").state;
        assert_eq!(state(), State::GoingOn);
        drop(held);
        assert_eq!(state(), State::Stopped);
        std::fs::write(folder.path().join(MANIFEST), "{}").expect("a file");
        assert_eq!(state(), State::Finished);
    }

    #[test]
    fn a_definition_that_was_edited_is_known() {
        let folder = run();
        let edited = || Survey::of(folder.path()).expect("a run").was_edited();
        // Another version's run has no hash of it.
        assert!(!edited());
        let pins = Pins::default().of_definition(DEFINITION);
        pins.write(folder.path()).expect("a file");
        assert!(!edited());
        let text = DEFINITION.replace("A small one", "A large one");
        std::fs::write(folder.path().join(DEFINITION_FILE), text).expect("a file");
        assert!(edited());
    }

    #[test]
    fn a_folder_of_runs_is_listed_and_what_is_no_run_is_passed_over() {
        let folder = run();
        std::fs::create_dir_all(folder.path().join("broken")).expect("a folder");
        std::fs::write(folder.path().join("broken").join(DEFINITION_FILE), "= 1").expect("a file");
        let all = Survey::all(folder.path()).expect("readable");
        let told: Vec<bool> = all.iter().map(|(_, run)| run.is_ok()).collect();
        assert_eq!(told, [true, false]);
        let none = Survey::of(&folder.path().join("arms")).expect_err("no run");
        assert!(none.to_string().contains("holds no run"), "{none}");
    }
}
