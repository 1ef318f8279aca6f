//! `qinglan compare`: the comparison of finished runs, on standard output, or
//! their records as tables in a folder.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use experiments::alignment::cost::CutOff;
use experiments::comparison::{Comparison, Measure};
use experiments::tables::layout::Document;
use experiments::{report, tables};

mod long;

use super::color_on;
use crate::error::{UserError, as_user_error};
use crate::runner::finish::Loaded;
use crate::runner::together;

/// Arguments of `qinglan compare`.
#[derive(Args)]
pub(super) struct Compare {
    /// Run directories, or sweep directories for their finished runs. Runs of one
    /// definition with other seeds, of arms or teachers, become one run; arms of others are named RUN/ARM.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// How to print it. csv and parquet have one row an estimate; long writes one row a
    /// record, and a script in R that fits mixed models to them, into a folder.
    #[arg(long, value_enum, default_value = "terminal")]
    format: Format,
    /// Show these columns of each table alone, such as elasticity,reliability,p-holm;
    /// of csv and parquet the columns by their names.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    columns: Vec<String>,
    /// Order arms, and contrasts, by a measure, the largest first.
    #[arg(long, value_enum, value_name = "MEASURE")]
    sort: Option<Order>,
    /// Hold every other arm against this one too.
    #[arg(long, value_name = "ARM")]
    baseline: Option<String>,
    /// What an answer counts for that the token cap cut off: the tokens it had, or nothing, as in
    /// published figures [default: as the run says].
    #[arg(long, value_enum)]
    cut_off: Option<CutOffChoice>,
    /// Ask the questions of this file too: TOML, a [[question]] each, as in a
    /// definition. They are marked as added after the run.
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Refuse, with exit code 2, where a condition of pairing does not hold.
    #[arg(long)]
    strict: bool,
    /// With --format long: the folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With --format long: norms with people's trials, which no run keeps.
    #[arg(long, value_name = "DIR")]
    norms: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Terminal,
    Md,
    Latex,
    Csv,
    Json,
    Html,
    Parquet,
    Long,
}

/// `--cut-off`.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum CutOffChoice {
    Cap,
    Drop,
}

impl From<CutOffChoice> for CutOff {
    fn from(choice: CutOffChoice) -> Self {
        match choice {
            CutOffChoice::Cap => Self::Cap,
            CutOffChoice::Drop => Self::Drop,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    Elasticity,
    AlignmentUnlimited,
    Alignment,
    Accuracy,
    BalancedAccuracy,
    Tokens,
}

impl Order {
    fn measure(self) -> Measure {
        match self {
            Self::Elasticity => Measure::Elasticity,
            Self::AlignmentUnlimited => Measure::AlignmentUnlimited,
            Self::Alignment => Measure::Alignment,
            Self::Accuracy => Measure::Accuracy,
            Self::BalancedAccuracy => Measure::BalancedAccuracy,
            Self::Tokens => Measure::Tokens,
        }
    }
}

impl Compare {
    /// Why these options do not go together; `None` where they do.
    fn conflict(&self) -> Option<&'static str> {
        let long = self.format == Format::Long;
        let shaped = !self.columns.is_empty()
            || self.sort.is_some()
            || self.baseline.is_some()
            || self.questions.is_some();
        if matches!(self.format, Format::Json | Format::Html) && !self.columns.is_empty() {
            Some("--columns is for tables; json and html hold the whole comparison")
        } else if self.format == Format::Parquet && std::io::stdout().is_terminal() {
            Some("a Parquet table is no text for a terminal; write it to a file with > FILE")
        } else if long && self.out.is_none() {
            Some("--format long writes several files; say into which folder with --out DIR")
        } else if !long && self.out.is_some() {
            Some("--out is for --format long; other formats go to standard output, > FILE")
        } else if !long && self.norms.is_some() {
            Some("--norms is for --format long; other formats show the times that the run keeps")
        } else if long && shaped {
            Some(
                "--columns, --sort, --baseline and --questions are about figures; long has one row a record",
            )
        } else {
            None
        }
    }

    pub(super) fn execute(self) -> Result<()> {
        if let Some(why) = self.conflict() {
            bail!(UserError(why.to_owned()));
        }
        // A list is often written with a blank after its commas.
        let columns: Vec<String> = self.columns.iter().map(|c| c.trim().to_owned()).collect();
        let runs = crate::sweep::finished_runs(self.runs)?;
        let mut loaded = as_user_error(together::read(&runs, crate::sweep::point_of))?;
        if let Some(choice) = self.cut_off {
            loaded.manifest.cut_off = choice.into();
        }
        if let Some(path) = &self.questions {
            as_user_error(loaded.ask(path))?;
        }
        let comparison = loaded.compare_with(self.baseline.as_deref());
        let mut comparison = as_user_error(comparison)?;
        if self.strict {
            refuse_unfair(&comparison)?;
        }
        if let Some(order) = self.sort {
            comparison.sort_by(order.measure());
        }
        let document = || -> Result<Document> {
            let mut document = tables::layout::document(&comparison);
            if !columns.is_empty() {
                document.keep(&columns).map_err(UserError)?;
            }
            Ok(document)
        };
        let columns = columns.as_slice();
        let bytes = match self.format {
            Format::Terminal => {
                let color = color_on(&std::io::stdout());
                tables::terminal::of(&document()?, color).into_bytes()
            }
            Format::Md => tables::markdown::of(&document()?).into_bytes(),
            Format::Latex => tables::latex::of(&document()?).into_bytes(),
            Format::Csv => tables::csv::with_columns(&comparison, columns)
                .map_err(UserError)?
                .into_bytes(),
            Format::Json => tables::json::render(&comparison)?.into_bytes(),
            Format::Html => report::html(&comparison, &loaded.shown()).into_bytes(),
            Format::Parquet => tables::parquet::render(&comparison, columns).map_err(UserError)?,
            Format::Long => {
                let out = self.out.as_deref().context("--out is missing")?;
                return long::write(&loaded, self.norms.as_deref(), out);
            }
        };
        write(&bytes)
    }
}

/// Refuses a comparison that a condition of pairing does not hold for.
fn refuse_unfair(comparison: &Comparison) -> Result<()> {
    let failing: Vec<&str> = comparison
        .fairness
        .iter()
        .filter(|found| found.condition.is_pairing() && found.holds == Some(false))
        .map(|found| found.found.as_str())
        .collect();
    if !failing.is_empty() {
        bail!(UserError(format!(
            "the comparison is not fair ({}); without --strict it is made and the arms concerned are marked",
            failing.join("; ")
        )));
    }
    Ok(())
}

/// Prints the comparison of one run.
pub(super) fn print_run(run: &Path) -> Result<()> {
    print_comparison(&Loaded::read(run)?.compare()?)
}

/// Prints a comparison.
pub(super) fn print_comparison(comparison: &Comparison) -> Result<()> {
    let color = color_on(&std::io::stdout());
    write(tables::terminal::render(comparison, color).as_bytes())
}

/// Writes a result to standard output.
pub(super) fn write(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.context("standard output takes no more")
}
