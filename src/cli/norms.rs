//! `qinglan norms`: look at norms, check them, and bring tables of another
//! layout into their schema.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use experiments::norms::check::check;
use experiments::norms::describe::{built_in, describe};
use experiments::norms::table::{Imported, Map};
use experiments::norms::{Norms, conditions};
use experiments::tables::plain;

use crate::error::{UserError, as_user_error};
use crate::messages::say;
use crate::tasks;

/// Arguments of `qinglan norms`.
#[derive(Args)]
pub(super) struct NormsVerb {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Name the tasks that there are norms of: the built-in ones, and those of folders.
    List(List),
    /// Say what norms hold: items, clusters, covariates, subjects, trials, window, reliability,
    /// times, source.
    Describe(Describe),
    /// Name everything wrong or odd by file and line; exit code 2 where norms are refused.
    Check(Check),
    /// Bring a CSV table of trials or items into the schema of the norms.
    Import(Import),
}

/// Arguments of `qinglan norms list`.
#[derive(Args)]
struct List {
    /// Folders of norms, folders of such folders, or data sets (JSONL or Parquet).
    #[arg(value_name = "DIR|FILE")]
    norms: Vec<PathBuf>,
}

/// Arguments of `qinglan norms describe`.
#[derive(Args)]
struct Describe {
    /// A folder of norms, a folder of such folders, or a data set (JSONL or Parquet).
    #[arg(value_name = "DIR|FILE")]
    norms: PathBuf,
    /// Only these tasks.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
}

/// Arguments of `qinglan norms check`.
#[derive(Args)]
struct Check {
    /// A folder of norms, a folder of such folders, or a data set (JSONL or Parquet).
    #[arg(value_name = "DIR|FILE")]
    norms: PathBuf,
}

/// Arguments of `qinglan norms import`.
#[derive(Args)]
struct Import {
    /// The table, CSV.
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Which column holds what, TOML [default: norms.toml beside the table].
    #[arg(long, value_name = "TOML")]
    map: Option<PathBuf>,
    /// The folder of norms to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl NormsVerb {
    pub(super) fn execute(self) -> Result<()> {
        match self.what {
            What::List(list) => list.execute(),
            What::Describe(describe) => describe.execute(),
            What::Check(check) => check.execute(),
            What::Import(import) => import.execute(),
        }
    }
}

impl List {
    fn execute(self) -> Result<()> {
        println!("built-in, means by condition");
        for task in built_in() {
            let (low, high) = task.range_ms;
            let items = match tasks::items(&[task.task.to_owned()], &[], None) {
                Ok((items, _)) => format!("{} items", items.len()),
                Err(_) => "its items come with a folder of norms".to_owned(),
            };
            println!(
                "  {:<20} {:>3} conditions, {low:.0} to {high:.0} ms; {items}",
                task.task, task.conditions
            );
        }
        let untimed =
            tasks::names().filter(|name| conditions::all().iter().all(|c| c.task != *name));
        for name in untimed {
            println!("  {name:<20} no times: give norms of it, or see accuracy alone");
        }
        for path in self.norms {
            let norms = as_user_error(Norms::read(&path, &[]).map_err(Into::into))?;
            println!("{}", path.display());
            for task in describe(&norms) {
                println!(
                    "  {:<20} {:>4} items, {} with times{}",
                    plain::line(&task.task),
                    task.items,
                    task.timed,
                    match task.trials {
                        Some((trials, _)) => format!(", {trials} trials"),
                        None => String::new(),
                    }
                );
            }
        }
        Ok(())
    }
}

impl Describe {
    fn execute(self) -> Result<()> {
        let norms = as_user_error(Norms::read(&self.norms, &self.tasks).map_err(Into::into))?;
        let norms = tasks::completed(norms);
        for task in describe(&norms) {
            print!("{}", plain::lines(&task.to_string()));
        }
        println!("source: {}", plain::line(norms.source()));
        Ok(())
    }
}

impl Check {
    fn execute(self) -> Result<()> {
        let findings = as_user_error(check(&self.norms).map_err(Into::into))?;
        for finding in &findings.list {
            println!("{}", plain::lines(&finding.to_string()));
        }
        let (errors, remarks) = (
            findings.errors(),
            findings.list.len().saturating_sub(findings.errors()),
        );
        println!(
            "{} items, {} trials: {errors} errors, {remarks} remarks",
            findings.items, findings.trials
        );
        if errors > 0 {
            bail!(UserError(format!(
                "{} would be refused as norms",
                self.norms.display()
            )));
        }
        Ok(())
    }
}

impl Import {
    fn execute(self) -> Result<()> {
        let map = match self.map {
            Some(map) => map,
            None => self.table.with_file_name("norms.toml"),
        };
        let read = || {
            let norms = Imported::read(&self.table, &Map::read(&map)?)?;
            norms.write(&self.out)?;
            Ok(norms)
        };
        let norms = as_user_error(read())?;
        for (count, why) in &norms.notes {
            say!("{count} {why}");
        }
        println!(
            "{}: {} items, {} trials",
            self.out.display(),
            norms.items.len(),
            norms.trials.len()
        );
        Ok(())
    }
}
