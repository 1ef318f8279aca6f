//! Addresses: hashes of everything that determines a part of a stage, besides the
//! processor that computes it, by whose kernels too it is told.

use anyhow::Result;
use rewards::WeightedRewards;
use serde::Serialize;

use super::{Facts, Run};
use crate::config::{Stage, reward_files};
use crate::evaluator::EvaluationSettings;
use crate::files;
use crate::model::Stored;
use crate::runner::{outside, provenance};
use crate::tasks::Item;
use crate::training::Training;

/// Hash of the sources that decide bits, so that a version that computes otherwise takes
/// nothing of what another left.
const SOURCES: &str = env!("QINGLAN_SOURCES");

/// Hash of settings as JSON, and of what they start from.
pub(super) fn identity(parts: &[&str], settings: &impl Serialize) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(b"\0");
    }
    hasher.update(&serde_json::to_vec(settings)?);
    Ok(hasher.finalize().to_hex()[..16].to_owned())
}

impl Run {
    /// The address of what an identity determines on a machine like this one.
    pub(super) fn address(&self, identity: &str) -> String {
        let kernels = torch_ext::cpu::Level::of_process().to_string();
        let threads = self.request.workers().1.to_string();
        let device = format!("{:?}", self.device_kind());
        // Sums over ranks round in another way than those of one process, which
        // promises its own bits.
        let ranks = format!("{} {}", self.began_with, self.ranks().world());
        let logged = self.definition().experiment.log_completions.to_string();
        let parts = [
            identity,
            SOURCES,
            provenance::LIBTORCH,
            &kernels,
            &threads,
            &device,
            &ranks,
            &logged,
        ];
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part.as_bytes());
            hasher.update(b"\0");
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Hash of how a model is asked and rotated, and in which formats it computes.
    pub(super) fn reading(&self, stored: &Stored, training: Option<&Training>) -> Result<String> {
        let device = self.device_kind();
        let format = self.definition().rollout.dtype.resolve(device);
        let trained = training.map(|training| training.dtype.resolve(device).to_string());
        let parts = (
            stored.config.to_json("float32"),
            &stored.companions,
            format!("{device:?} {format} {}", trained.unwrap_or_default()),
        );
        Ok(files::hash(&serde_json::to_vec(&parts)?))
    }

    /// Hashes of what the files hold that a reward table names, and those of the data
    /// sets; of this program too where a reward is none of the lab's own.
    pub(super) fn outside_hashes(&self, table: &toml::Table) -> Result<Vec<(String, String)>> {
        let folder = &self.request.definition_folder;
        let mut hashes = reward_files(table, folder)?;
        for (name, path) in outside::data_files(&self.definition().tasks, folder)? {
            hashes.push((name, files::hash_file(&path)?));
        }
        let own = rewards::Registry::builtin();
        if WeightedRewards::from_table(&own, table, folder).is_err() {
            let program = std::env::current_exe()?;
            hashes.push(("this program".to_owned(), files::hash_file(&program)?));
        }
        Ok(hashes)
    }

    /// The address of a training, and of its evaluations on the way.
    pub(super) fn address_of_training(&self, stage: &Stage, training: &str) -> Result<String> {
        if self.definition().evaluation.at.is_none() || !stage.is_evaluated {
            return Ok(self.address(training));
        }
        let identity = identity(&["on the way", training], &self.evaluated(stage)?)?;
        Ok(self.address(&identity))
    }

    /// The address of a stage's answers to the evaluation at its end.
    pub(super) fn address_of_evaluation(&self, number: usize, facts: &Facts) -> Result<String> {
        let stage = self.stage(number)?;
        let reading = self.reading(&self.stored(number)?, None)?;
        let (_, _, names) = self.evaluated(stage)?;
        let settings = (
            &self.items,
            self.definition().evaluation.of_the_end(),
            names,
        );
        let kwargs = &self.definition().tasks.chat_template_kwargs;
        let weights = [facts.initial_weights.as_str(), &facts.final_weights];
        let identity = identity(
            &["evaluation", weights[0], weights[1], &reading],
            &(settings, kwargs),
        )?;
        Ok(self.address(&identity))
    }

    /// What decides the records of a stage besides its weights.
    fn evaluated(&self, stage: &Stage) -> Result<(&[Item], &EvaluationSettings, impl Serialize)> {
        let teacher = self.teacher_of(stage)?.map(|teacher| teacher.seed);
        let seeds = (self.seed_of_records(stage), stage.seed, teacher);
        Ok((
            &self.items,
            &self.definition().evaluation,
            (stage.name.clone(), seeds),
        ))
    }
}
