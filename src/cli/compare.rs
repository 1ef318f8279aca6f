//! `qinglan compare`: the comparison of finished runs, on standard output.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use experiments::comparison::Comparison;
use experiments::tables;

use super::color_on;
use crate::runner::UserError;
use crate::runner::finish::Loaded;

/// Arguments of `qinglan compare`.
#[derive(Args)]
pub(super) struct Compare {
    /// Run directories, or sweep directories for their finished runs.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "terminal")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Terminal,
    Md,
    Latex,
    Csv,
    Json,
}

impl Compare {
    pub(super) fn execute(self) -> Result<()> {
        let runs = crate::sweep::finished_runs(self.runs)?;
        let comparison = match runs.as_slice() {
            [run] => UserError::blame(Loaded::read(run))?.compare()?,
            runs => UserError::blame(merged(runs))?.compare()?,
        };
        print(&comparison, self.format)
    }
}

/// Prints the comparison of one run.
pub(super) fn print_run(run: &Path) -> Result<()> {
    print_comparison(&Loaded::read(run)?.compare()?)
}

/// Prints a comparison.
pub(super) fn print_comparison(comparison: &Comparison) -> Result<()> {
    print(comparison, Format::Terminal)
}

fn print(comparison: &Comparison, format: Format) -> Result<()> {
    let text = match format {
        Format::Terminal => tables::terminal::render(comparison, color_on(&std::io::stdout())),
        Format::Md => tables::markdown::render(comparison),
        Format::Latex => tables::latex::render(comparison),
        Format::Csv => tables::csv::render(comparison),
        Format::Json => tables::json::render(comparison)?,
    };
    println!("{}", text.trim_end());
    Ok(())
}

/// Several runs as one, their arms named `RUN/ARM`. Runs that did not evaluate
/// the same items in the same way are refused: their difference would be the
/// evaluation's as much as the arms'.
fn merged(runs: &[PathBuf]) -> Result<Loaded> {
    let mut all: Option<Loaded> = None;
    for run in runs {
        let mut loaded = Loaded::read(run)?;
        let label = run
            .file_name()
            .with_context(|| format!("{} is not the name of a folder", run.display()))?
            .to_string_lossy()
            .into_owned();
        loaded.prefix(&label);
        let Some(together) = &mut all else {
            all = Some(loaded);
            continue;
        };
        let taken = |name: &String| together.manifest.arms.iter().any(|arm| arm.name == *name);
        if let Some(twice) = loaded.manifest.arms.iter().find(|arm| taken(&arm.name)) {
            bail!(UserError(format!(
                "two of the runs are called {}; rename one of the folders",
                twice.name.split('/').next().unwrap_or_default()
            )));
        }
        if loaded.manifest.evaluation != together.manifest.evaluation {
            bail!(UserError(format!(
                "{} was evaluated otherwise than {}: items, samples, temperature, token cap and norms must be the same",
                run.display(),
                runs[0].display()
            )));
        }
        together.absorb(loaded)?;
    }
    all.context("no run was given")
}
