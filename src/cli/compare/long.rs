//! `qinglan compare --format long`: the records of the runs and people's trials
//! as tables, and the script that fits mixed models to them, in a folder.
//!
//! The script is written last: a folder without it is not whole.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use experiments::alignment::cost::CutOff;
use experiments::norms::{NormItem, Norms};
use experiments::tables::{long, plain};

use crate::error::{UserError, as_user_error};
use crate::files;
use crate::runner::finish::Loaded;

const SAMPLES: &str = "samples.csv";
const TRIALS: &str = "trials.csv";
const SCRIPT: &str = "analysis.R";

/// Two human costs that are further apart are not one.
const SAME_COST: f64 = 1e-9;

/// Writes the folder `out`, new or empty, and says on standard output what is in it.
/// `people` are norms with trials.
pub(super) fn write(loaded: &Loaded, people: Option<&Path>, out: &Path) -> Result<()> {
    ensure!(
        !out.ancestors().any(Path::is_file),
        UserError(format!(
            "--out {}: it is, or lies in, a file; name a folder",
            out.display()
        ))
    );
    ensure!(
        files::is_empty(out),
        UserError(format!(
            "{} is not empty: tables of another comparison could be left in it; give another folder with --out",
            out.display()
        ))
    );
    let tasks = &loaded.manifest.tasks;
    let people = people
        .map(|folder| read_people(loaded, folder))
        .transpose()?;
    let shown = |name: &str| plain::line(&out.join(name).display().to_string());
    let mut rows = 0;
    files::write_whole_with(&out.join(SAMPLES), |file| {
        let arms = &loaded.manifest.arms;
        rows = long::samples(file, arms, tasks, &loaded.norms, &loaded.recording)?;
        Ok(())
    })?;
    println!("{}: {rows} records", shown(SAMPLES));
    if loaded.manifest.only_correct {
        println!("  all of them; the run's own figures are over right answers alone");
    }
    if loaded.manifest.cut_off == CutOff::Drop {
        println!("  all of them; the run's own figures leave out those that were cut off");
    }
    match people {
        Some(people) => {
            files::write_whole_with(&out.join(TRIALS), |file| {
                rows = long::trials(file, tasks, &loaded.norms, &people)?;
                Ok(())
            })?;
            println!("{}: {rows} trials of people", shown(TRIALS));
            let others = other_costs(loaded, &people);
            if others > 0 {
                println!(
                    "  of {others} items the mean time differs from the run's: h is not the mean of these trials"
                );
            }
        }
        None => println!(
            "no trials of people, which runs do not keep: the model of response times needs --norms DIR"
        ),
    }
    files::write_whole(&out.join(SCRIPT), long::ANALYSIS.as_bytes())?;
    println!(
        "{}: run it with Rscript; it needs lme4 (Debian: r-cran-lme4)",
        shown(SCRIPT)
    );
    Ok(())
}

/// Norms with at least one trial on an item of the runs.
fn read_people(loaded: &Loaded, folder: &Path) -> Result<Norms> {
    let tasks = &loaded.manifest.tasks;
    let people = Norms::read(folder, tasks).map_err(Into::into);
    let people = as_user_error(people).context("--norms")?;
    let is_met = |task: &String| {
        let trials = people.trials(task).iter();
        trials
            .map(|trial| loaded.norms.item(task, &trial.item_id))
            .any(|item| item.is_some())
    };
    ensure!(
        tasks.iter().any(is_met),
        UserError(format!(
            "{} has no trial on an item of {}; give a folder of norms with trials.csv, over the items that were evaluated",
            folder.display(),
            tasks.join(", ")
        ))
    );
    Ok(people)
}

/// How many items have another human cost among `people` than in the runs.
fn other_costs(loaded: &Loaded, people: &Norms) -> usize {
    let items = loaded.manifest.tasks.iter();
    let items = items.flat_map(|task| loaded.norms.items(task));
    let differs = |item: &&NormItem| {
        let theirs = people.human_cost(&item.task, &item.item_id);
        match (item.human_cost(), theirs) {
            (Some(own), Some(theirs)) => (own - theirs).abs() > SAME_COST,
            _ => false,
        }
    };
    items.filter(differs).count()
}
