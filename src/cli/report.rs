//! `qinglan report`: tables, figures and report of a finished run, written again.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::error::{UserError, as_user_error};
use crate::runner::finish::Loaded;
use crate::sweep;

/// Arguments of `qinglan report`.
#[derive(Args)]
pub(super) struct Report {
    /// Run directory.
    run: PathBuf,
    /// Ask the questions of this file too: TOML, a [[question]] each, as in a
    /// definition. They are marked as added after the run.
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
}

impl Report {
    pub(super) fn execute(self) -> Result<()> {
        ensure!(
            !sweep::is_sweep(&self.run),
            UserError(format!(
                "{0} is a sweep: give one of its runs, such as {0}/jobs/NAME; qinglan compare {0} --format html is a page of them all",
                self.run.display()
            ))
        );
        let mut loaded = as_user_error(Loaded::read(&self.run))?;
        if let Some(path) = &self.questions {
            as_user_error(loaded.ask(path))?;
        }
        // What cannot be compared is the run's fault, a full disk is nobody's.
        let comparison = as_user_error(loaded.compare())?;
        for path in loaded.write(&comparison, &self.run)? {
            println!("{}", path.display());
        }
        Ok(())
    }
}
