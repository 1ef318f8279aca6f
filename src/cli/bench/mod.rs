//! `qinglan bench`: how fast this machine samples and trains, measured in a
//! way that a script can set beside its peers.

mod rollout;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Arguments of `qinglan bench`.
#[derive(Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Sample completions of a fixed length and count tokens per second.
    Rollout(rollout::Rollout),
}

impl Bench {
    pub(super) fn execute(self) -> Result<()> {
        match self.what {
            What::Rollout(rollout) => rollout.execute(),
        }
    }
}
