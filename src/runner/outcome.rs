//! The marker of a finished stage: what it made, with the hash of every file it
//! left, so that what is taken from a stage later is what the stage made.
//!
//! A run that is taken up again checks all of it before anything else happens.
//! Markers of earlier versions hold no hashes; what lies beside one is taken
//! as it is, and that is said.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use experiments::manifest::{ArmRun, Manifest};
use serde::{Deserialize, Serialize};

use super::finish::{MANIFEST, read_json};
use super::stages;
use crate::config::{Definition, Graph, Stage};
use crate::error::as_user_error;
use crate::files::{self, Hashes};
use crate::store::Kind;

/// Name of the marker.
pub(crate) const OUTCOME: &str = "outcome.json";

/// What a finished job left behind; the marker of its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The entry of the manifest.
    pub arm_run: ArmRun,
    /// Hashes of the files it left, by their paths below the folder; none in a
    /// marker of an earlier version.
    #[serde(default)]
    pub files: Hashes,
    /// Which parts of it came from the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Kind>,
    /// Hash of all of the above; empty in a marker of an earlier version.
    #[serde(default)]
    seal: String,
}

impl Outcome {
    /// Reads the marker of a folder; `None` where the job has not finished.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(OUTCOME);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let outcome = serde_json::from_slice(&text)
            .map_err(anyhow::Error::from)
            .and_then(|outcome: Self| {
                ensure!(
                    outcome.files.is_empty() && outcome.seal.is_empty()
                        || outcome.seal == outcome.hash()?,
                    "it was changed"
                );
                Ok(outcome)
            });
        let damaged = || format!("{} is damaged; {}", path.display(), again(folder));
        as_user_error(outcome.with_context(damaged)).map(Some)
    }

    /// Writes the marker of a folder in which everything else lies.
    pub(super) fn write(folder: &Path, arm_run: ArmRun, taken: Vec<Kind>) -> Result<()> {
        let mut outcome = Self {
            arm_run,
            files: files::hash_all(folder, &stages::left())?,
            taken,
            seal: String::new(),
        };
        outcome.seal = outcome.hash()?;
        files::write_whole(&folder.join(OUTCOME), &serde_json::to_vec_pretty(&outcome)?)
    }

    fn hash(&self) -> Result<String> {
        let sealed = match self.taken.as_slice() {
            [] => serde_json::to_vec(&(&self.arm_run, &self.files))?,
            taken => serde_json::to_vec(&(&self.arm_run, &self.files, taken))?,
        };
        Ok(files::hash(&sealed))
    }

    /// Refuses a folder that does not hold what its job left.
    pub(crate) fn check(&self, folder: &Path) -> Result<()> {
        if self.files.is_empty() {
            tracing::warn!(
                "{} is of a version that kept no hashes: what lies beside it is taken as it is",
                folder.join(OUTCOME).display()
            );
        }
        files::check_hashes(folder, &self.files)
            .with_context(|| format!("what a finished part left was changed; {}", again(folder)))
    }
}

/// The way out where a stage's folder does not hold what it should.
pub(super) fn again(folder: &Path) -> String {
    format!(
        "put it back as it was, or remove {} and go on with --resume to make that part again",
        folder.display()
    )
}

/// Checks what the finished stages of a run left, and against its manifest
/// where it has one. That is removed where a stage has to be made again: the
/// run is no longer complete.
pub(super) fn check_finished(out: &Path, definition: &Definition) -> Result<()> {
    let path = out.join(MANIFEST);
    let manifest = path.exists().then(|| read_json::<Manifest>(&path));
    let manifest = manifest.and_then(|manifest| {
        let unread = |error| {
            tracing::warn!("{error:#}; it is written again from what the parts of the run left");
        };
        manifest.map_err(unread).ok()
    });
    let mut complete = true;
    for Stage { folder: name, .. } in Graph::of(definition)?.0 {
        let folder = out.join(&name);
        let Some(outcome) = Outcome::read(&folder)? else {
            complete = false;
            continue;
        };
        let arm_run = &outcome.arm_run;
        if arm_run.folder != name {
            bail!(
                "{} is of {}; {}",
                folder.join(OUTCOME).display(),
                arm_run.folder,
                again(&folder)
            );
        }
        outcome.check(&folder)?;
        let Some(manifest) = &manifest else {
            continue;
        };
        let differs = || {
            format!(
                "{} was written of something else; {}",
                path.display(),
                again(&folder)
            )
        };
        let below = format!("{name}/");
        let own = manifest.files.iter();
        let own = own.filter(|(file, _)| file.starts_with(&below));
        let own = own.map(|(file, hash)| (file.clone(), hash.clone()));
        files::check_hashes(out, &own.collect()).with_context(differs)?;
        let mut known = manifest.arm_runs.iter();
        if let Some(known) = known.find(|known| known.folder == name) {
            ensure!(known == arm_run, "{}", differs());
        }
    }
    if path.exists() && !complete {
        std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm_run() -> ArmRun {
        ArmRun {
            arm: "a".into(),
            seed: 1,
            teacher: None,
            folder: "arms/a/seed-1".into(),
            init: None,
            initial_weights: "0123".into(),
            final_weights: "4567".into(),
            problem_order: None,
            trained_on: Vec::new(),
            budget: None,
            pretraining_seconds: Some(0.1),
            evaluation_seconds: None,
        }
    }

    #[test]
    fn every_bit_of_a_marker_matters() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("metrics.jsonl"), "{}\n").unwrap();
        Outcome::write(folder.path(), arm_run(), vec![Kind::Model]).unwrap();
        let path = folder.path().join(OUTCOME);
        let whole = std::fs::read(&path).unwrap();
        let written = Outcome::read(folder.path()).unwrap().unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let read = Outcome::read(folder.path());
            // White space says nothing, whichever it is.
            assert!(
                read.as_ref().is_err() || read.as_ref().unwrap().as_ref() == Some(&written),
                "byte {place}: {read:?}"
            );
        }
    }

    #[test]
    fn a_marker_without_hashes_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let text = serde_json::json!({ "arm_run": arm_run() }).to_string();
        std::fs::write(folder.path().join(OUTCOME), text).unwrap();
        let outcome = Outcome::read(folder.path()).unwrap().unwrap();
        assert_eq!(outcome.arm_run, arm_run());
        outcome.check(folder.path()).unwrap();
    }
}
