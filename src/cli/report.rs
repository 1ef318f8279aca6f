//! `qinglan report`: tables, figures and report of a finished run, written again.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use crate::runner::UserError;
use crate::runner::finish::Loaded;
use crate::sweep;

/// Arguments of `qinglan report`.
#[derive(Args)]
pub(super) struct Report {
    /// Run directory.
    run: PathBuf,
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
        let loaded = UserError::blame(Loaded::read(&self.run))?;
        // What cannot be compared is the run's fault, a full disk is nobody's.
        let comparison = UserError::blame(loaded.compare())?;
        for path in loaded.write(&comparison, &self.run)? {
            println!("{}", path.display());
        }
        Ok(())
    }
}
