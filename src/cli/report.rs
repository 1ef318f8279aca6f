//! `qinglan report`: tables, figures and report of a finished run, written again.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::runner::UserError;
use crate::runner::finish::Loaded;

/// Arguments of `qinglan report`.
#[derive(Args)]
pub(super) struct Report {
    /// Run directory.
    run: PathBuf,
}

impl Report {
    pub(super) fn execute(self) -> Result<()> {
        for path in UserError::blame(Loaded::read(&self.run))?.write_tables(&self.run)? {
            println!("{}", path.display());
        }
        Ok(())
    }
}
