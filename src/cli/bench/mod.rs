//! `qinglan bench`: how fast this machine samples and trains, measured in a
//! way that a script can set beside its peers.

mod grpo;
mod rollout;
mod scaling;
mod sft;
mod training;

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
    /// Make GRPO updates, from prompts to updated weights, and time each.
    Grpo(grpo::GrpoBench),
    /// Make SFT updates on worked sums of mixed length, and time each.
    Sft(sft::SftBench),
    /// Time updates that several processes share, and what they tell each other.
    Scaling(scaling::Scaling),
}

impl Bench {
    pub(super) fn execute(self) -> Result<()> {
        match self.what {
            What::Rollout(rollout) => rollout.execute(),
            What::Grpo(grpo) => grpo.execute(),
            What::Sft(sft) => sft.execute(),
            What::Scaling(scaling) => scaling.execute(),
        }
    }
}
