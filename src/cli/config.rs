//! `qinglan config`: settings of other trainers as a definition.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::error::as_user_error;
use crate::messages::say;
use crate::trl::{Known, Trainer, translate};

/// Arguments of `qinglan config`.
#[derive(Args)]
pub(super) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write a definition from TRL 1.16's settings, and say of every key what became of it.
    FromTrl(FromTrl),
}

/// Arguments of `qinglan config from-trl`.
#[derive(Args)]
struct FromTrl {
    /// YAML as `trl grpo --config` reads it, or JSON (`*.json`) as `to_json_string` writes it.
    file: PathBuf,
    /// The trainer, where the keys do not tell.
    #[arg(long)]
    algorithm: Option<Trainer>,
    /// Where the definition goes; standard output otherwise.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Rows of the data set, from which epochs become steps.
    #[arg(long)]
    rows: Option<u64>,
    /// Processes that TRL would run in; batches are as many times larger.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    processes: u64,
}

impl Config {
    /// Runs it.
    pub(super) fn execute(self) -> Result<()> {
        let What::FromTrl(own) = self.what;
        let known = Known {
            rows: own.rows,
            processes: own.processes,
        };
        let translation = as_user_error(translate(&own.file, own.algorithm, known))?;
        for line in &translation.report {
            say!("{line}");
        }
        for missing in &translation.to_fill_in {
            say!("to fill in: {missing}");
        }
        let Some(out) = &own.out else {
            print!("{}", translation.definition);
            return Ok(());
        };
        // What somebody has filled in is not written over.
        let file = File::create_new(out);
        let written = file.and_then(|mut file| file.write_all(translation.definition.as_bytes()));
        as_user_error(written.with_context(|| format!("cannot write {}", out.display())))
    }
}
