//! What a run of several ranks asks of its definition and its directory.
//!
//! What it deliberately does not do: share the work, which every stage does for
//! itself.

use algorithms::Algorithm;
use anyhow::{Context, Result, ensure};

use super::{DEFINITION_FILE, Request};
use crate::config::{AlgorithmSettings, BaseSettings, Definition, table_of};
use crate::error::UserError;
use crate::files;

/// File that says how many ranks the run began with, where they were several.
const RANKS_FILE: &str = "ranks";

/// Refuses a number of ranks that cannot share a definition's batches evenly,
/// and several where an arm has an external sampler.
pub(crate) fn check(definition: &Definition, world: usize) -> Result<()> {
    let divides = |place: &str, count: usize| {
        ensure!(
            count.is_multiple_of(world),
            "{place} = {count} cannot be shared evenly by {world} ranks: start a number of ranks that divides it, or change it"
        );
        Ok(())
    };
    let base = |place: &str, base: &BaseSettings| {
        let pretraining = base.pretraining.as_ref();
        pretraining.map_or(Ok(()), |pretraining| {
            divides(
                &format!("{place}.pretraining.batch_size"),
                pretraining.batch_size,
            )
        })
    };
    let algorithm = |place: &str, algorithm: &AlgorithmSettings| {
        for (key, count) in shared(algorithm) {
            divides(&format!("{place}.algorithm.{key}"), count)?;
        }
        anyhow::Ok(())
    };
    base("base", &definition.base)?;
    for (name, stage) in definition.trained() {
        let place = table_of(name);
        if let Some(settings) = &stage.base {
            base(&format!("{place}.base"), settings)?;
        }
        if let Some(settings) = &stage.algorithm {
            algorithm(&place, settings)?;
        }
        // Each rank would load its own policy over the others'.
        ensure!(
            world == 1 || stage.sampler.is_none(),
            "{place}.sampler: a server takes its weights from one process, and this run has {world} ranks: start one, or remove the table"
        );
    }
    Ok(())
}

/// What ranks share of an algorithm's update, by its key.
fn shared(settings: &AlgorithmSettings) -> Vec<(String, usize)> {
    let name = settings.algorithm().name();
    let prompts = |of: &dyn Algorithm| of.samples().map_or(0, |phase| phase.prompts());
    let own = |key: &str, count| (format!("{name}.{key}"), count);
    match settings {
        AlgorithmSettings::Sft(sft) => vec![own("batch_size", sft.batch_size)],
        AlgorithmSettings::Chord(chord) => vec![
            own("batch_size", chord.batch_size),
            own("grpo.prompts_per_generation", prompts(&chord.grpo)),
        ],
        AlgorithmSettings::Luffy(luffy) => {
            vec![own("grpo.prompts_per_generation", prompts(&luffy.grpo))]
        }
        AlgorithmSettings::Mix(mix) => [("imitate", &mix.imitate), ("reinforce", &mix.reinforce)]
            .into_iter()
            .flat_map(|(part, of)| {
                let keys = shared(of).into_iter();
                keys.map(move |(key, count)| (format!("mix.{part}.{key}"), count))
            })
            .collect(),
        other => vec![own("prompts_per_generation", prompts(other.algorithm()))],
    }
}

impl Request {
    /// How many ranks the run began with, noted in its directory: bases that
    /// it makes are made by so many, however many go on with it.
    pub(super) fn began_with(&self) -> Result<usize> {
        let path = self.out.join(RANKS_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().with_context(|| {
                format!(
                    "{} is damaged: it holds the number of ranks that the run began with",
                    path.display()
                )
            }),
            Err(_) if self.out.join("arms").exists() => Ok(1),
            Err(_) => {
                if self.ranks.are_several() {
                    files::write_whole(&path, format!("{}\n", self.ranks.world()).as_bytes())?;
                }
                Ok(self.ranks.world())
            }
        }
    }

    /// Makes sure that every rank sees the run directory that rank 0 made.
    pub(super) fn see_directory(&self) -> Result<()> {
        let there = std::fs::read_to_string(self.out.join(DEFINITION_FILE));
        let seen = if there.is_ok_and(|there| there == self.text) {
            Ok(())
        } else {
            Err(UserError(format!(
                "{} holds nothing of what rank 0 wrote there: give all ranks one --out, on a file system that they share",
                self.out.display()
            ))
            .into())
        };
        self.ranks.gather(seen).map(|_| ())
    }
}
