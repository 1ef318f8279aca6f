//! What of a run directory can be compared where it is not whole: a run that is
//! not finished has the arms that are, and one whose files were lost or changed
//! has the others.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use experiments::comparison::{Condition, Flaw};
use experiments::manifest::{ArmRun, Manifest};

use super::finish::{ITEMS, MANIFEST, TRACES, so_far};
use crate::config::Definition;
use crate::files;

/// What a run that is not finished has so far, and that there is more to come;
/// `None` where no arm is finished.
pub(super) fn unfinished(at: &Path) -> Result<Option<(Manifest, Flaw)>> {
    let definition = at.join(super::DEFINITION_FILE);
    if at.join(MANIFEST).exists() || !definition.exists() || !at.join(ITEMS).exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&definition)
        .with_context(|| format!("reading {}", definition.display()))?;
    let definition: Definition =
        toml::from_str(&text).with_context(|| definition.display().to_string())?;
    let (mut manifest, missing) = so_far(at, &definition)?;
    if manifest.arm_runs.is_empty() {
        return Ok(None);
    }
    let there = missing.is_empty();
    let found = format!(
        "the run in {} is not finished: {} {}; go on with it with qinglan run DEFINITION --out DIR --resume",
        at.display(),
        if there {
            "its report".to_owned()
        } else {
            missing.join(", ")
        },
        if missing.len() > 1 {
            "are not there yet"
        } else {
            "is not there yet"
        },
    );
    // The trainings of an arm, and of several teachers, lie in one folder.
    let of_missing = |run: &ArmRun| {
        let folder = Path::new(&run.folder).parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let mut missing = missing.iter().map(Path::new);
        folder.is_some_and(|folder| missing.any(|what| what.parent() == Some(folder)))
    };
    let partly: BTreeSet<String> = (manifest.arm_runs.iter())
        .filter(|run| of_missing(run))
        .map(|run| run.arm.clone())
        .collect();
    let flaw = Flaw::of(Condition::Complete, partly.into_iter().collect(), found);
    manifest.notes.push(format!("{}.", flaw.found));
    keep_arms_with_runs(&mut manifest);
    Ok(Some((manifest, flaw)))
}

/// Takes out of a manifest the arms that no run is of, and every relation to what
/// is not there.
fn keep_arms_with_runs(manifest: &mut Manifest) {
    let there: Vec<(String, u64)> = manifest
        .arm_runs
        .iter()
        .map(|run| (run.arm.clone(), run.seed))
        .collect();
    for run in &mut manifest.arm_runs {
        // Whether the link fits cannot be told any more.
        let seed = run.seed;
        let lost = |init: &mut String| there.contains(&(init.clone(), seed));
        run.init = run.init.take_if(lost);
    }
    manifest
        .arms
        .retain(|card| there.iter().any(|(arm, _)| *arm == card.name));
    let known: Vec<String> = manifest.arms.iter().map(|card| card.name.clone()).collect();
    for card in &mut manifest.arms {
        for relation in [&mut card.base, &mut card.init, &mut card.teacher] {
            if relation.as_ref().is_some_and(|name| !known.contains(name)) {
                *relation = None;
            }
        }
    }
}

/// Takes out of a manifest the arms of a seed whose records are not those it
/// names, and the other files that are not; says which.
pub(super) fn leave_out_changed(at: &Path, manifest: &mut Manifest) -> Vec<Flaw> {
    let sound = |name: &String, expected: &String| {
        files::hash_file(&at.join(name)).is_ok_and(|found| found == *expected)
    };
    let files = &manifest.files;
    let changed: Vec<String> = files
        .iter()
        .filter(|(name, expected)| *name != ITEMS && *name != TRACES && !sound(name, expected))
        .map(|(name, _)| name.clone())
        .collect();
    let mut flaws = Vec::new();
    for name in &changed {
        let of_file = |run: &&ArmRun| {
            name.strip_prefix(&run.folder)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let run = manifest.arm_runs.iter().find(of_file);
        let left_out = if name.ends_with(TRACES) {
            run.map(|run| format!("{} of seed {} is left out", run.arm, run.seed))
        } else {
            run.map(|run| format!("what {} of seed {} logged is left out", run.arm, run.seed))
        };
        let arms = run.map(|run| vec![run.arm.clone()]).unwrap_or_default();
        let left_out = left_out.unwrap_or_else(|| "it is left out".to_owned());
        let file = at.join(name);
        let file = file.display();
        let found = format!("{file} is missing or was changed after the run: {left_out}");
        flaws.push(Flaw::of(Condition::Complete, arms, found));
    }
    let lost = |run: &ArmRun| changed.contains(&format!("{}/{TRACES}", run.folder));
    manifest.arm_runs.retain(|run| !lost(run));
    manifest.files.retain(|name, _| !changed.contains(name));
    manifest
        .notes
        .extend(flaws.iter().map(|flaw| format!("{}.", flaw.found)));
    // An evaluation has no runs of arms: its records are one file.
    if !manifest.arm_runs.is_empty() || !changed.is_empty() {
        keep_arms_with_runs(manifest);
    }
    flaws
}
