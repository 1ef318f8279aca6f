//! `qinglan rewards`: which rewards there are, what they are, and what they say
//! of completions that are there.

use ::rewards::Registry;
use anyhow::Result;
use clap::Args;

/// Arguments of `qinglan rewards`.
#[derive(Args)]
pub(super) struct Rewards {}

impl Rewards {
    pub(super) fn execute(self, registry: &Registry) -> Result<()> {
        let _ = registry;
        Ok(())
    }
}
