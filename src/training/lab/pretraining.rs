//! The lab of a pre-training: generated documents to imitate, and others held
//! out for the loss.

use algorithms::{Demonstration, Lab, LabError, Metrics, Prompt, Rollout};
use anyhow::Result;

use super::{held_out, other};
use crate::distributed::Ranks;
use crate::generation::Precision;
use crate::model::Model;
use crate::tasks::corpus::Corpus;
use crate::training::trainer::Source;

/// Documents of the held-out loss are those from here on: far beyond any that
/// a training reaches.
const HELD_OUT_FROM: u64 = 1 << 40;

/// Pre-training: an endless list of generated documents.
pub struct PretrainingLab<'a> {
    model: &'a Model,
    documents: &'a Corpus,
    seed: u64,
    focus_weight: f32,
    held_out: Vec<Demonstration>,
    ranks: &'a Ranks,
}

impl<'a> PretrainingLab<'a> {
    /// The documents of a seed. Tokens in a document's focus count
    /// `focus_weight` times.
    pub fn new(
        model: &'a Model,
        documents: &'a Corpus,
        seed: u64,
        focus_weight: f64,
        held_out: u64,
        ranks: &'a Ranks,
    ) -> Result<Self> {
        let mut lab = Self {
            model,
            documents,
            seed,
            focus_weight: focus_weight as f32,
            held_out: Vec::new(),
            ranks,
        };
        lab.held_out = (HELD_OUT_FROM..HELD_OUT_FROM + held_out)
            .map(|index| lab.demonstration(index))
            .collect::<Result<_>>()?;
        Ok(lab)
    }

    fn demonstration(&self, index: u64) -> Result<Demonstration> {
        let document = self.documents.document(self.seed, index)?;
        let completion = self.model.text.encode_completion(&document.completion)?;
        let mut weights = vec![1.0; completion.len()];
        for place in document.focus {
            weights[place] = self.focus_weight;
        }
        Ok(Demonstration {
            prompt: self.model.text.encode_prompt(&document.prompt)?,
            completion,
            weights,
        })
    }
}

impl Lab for PretrainingLab<'_> {
    fn prompts(&mut self, _: u64, _: usize) -> Result<Vec<Prompt>, LabError> {
        Err(other(anyhow::anyhow!(
            "pre-training has documents, not problems"
        )))
    }

    fn rollouts(&mut self, _: u64, _: &[Prompt], _: usize) -> Result<Vec<Rollout>, LabError> {
        Err(other(anyhow::anyhow!(
            "pre-training has documents, not rollouts"
        )))
    }

    fn demonstrations(&mut self, step: u64, count: usize) -> Result<Vec<Demonstration>, LabError> {
        let first = step * count as u64;
        (first..first + count as u64)
            .map(|index| self.demonstration(index).map_err(other))
            .collect()
    }
}

impl Source for PretrainingLab<'_> {
    fn validate(&mut self) -> Result<Metrics> {
        held_out(self.model, Precision::Float32, &self.held_out, self.ranks)
    }

    fn take_metrics(&mut self) -> Result<Metrics> {
        Ok(Metrics::new())
    }

    fn take_generated(&mut self) -> (u64, u64) {
        (0, 0)
    }
}
