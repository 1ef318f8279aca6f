//! `[base]` and `[teacher.base]`: a model that is there, or one that the lab pre-trains.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::generation::PrecisionChoice;
use crate::model::ModelShape;
use crate::tasks::Mix;
use crate::tasks::corpus::{Corpus, Shares};
use crate::training::{Training, TrainingSettings};

/// `[base]`: a model that is there, or one pre-trained in the lab.
///
/// Worked examples: `[base] model = "smollm2-135m-instruct"` alone; or
/// `[base.shape]` and `[base.pretraining]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseSettings {
    /// A Hugging Face folder or a GGUF file, from the definition's folder on,
    /// or the name of a model in the cache, or one on the Hugging Face Hub:
    /// `ORG/NAME[@REVISION]`, `ORG/NAME[@REVISION]/FILE.gguf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Shape of a model to pre-train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ModelShape>,
    /// Its pre-training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretraining: Option<Pretraining>,
}

/// Where a base comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BaseSource<'a> {
    /// It is there, under that name or path.
    Model(&'a str),
    /// The lab pre-trains it.
    Pretrained(&'a ModelShape, &'a Pretraining),
}

impl BaseSettings {
    /// Refuses what cannot be pre-trained; `place` names the table, `needed` are new
    /// tokens that the context must hold beside a prompt.
    pub(super) fn check(&self, place: &str, needed: i64, mix: &Mix) -> Result<()> {
        let BaseSource::Pretrained(shape, pretraining) = self.source(place)? else {
            return Ok(());
        };
        shape
            .check()
            .map_err(|error| anyhow::anyhow!("{place}.shape.{error}"))?;
        pretraining.resolve(&format!("{place}.pretraining.training"))?;
        ensure!(
            pretraining.training.keep_best != Some(true),
            "{place}.pretraining.training.keep_best = true: a base is what its last update left, and nothing else of it is kept; remove the key"
        );
        ensure!(
            pretraining.batch_size > 0,
            "{place}.pretraining.batch_size = 0: an update needs a document"
        );
        ensure!(
            pretraining.focus_weight.is_finite() && pretraining.focus_weight > 0.0,
            "{place}.pretraining.focus_weight = {}: it must be above 0",
            pretraining.focus_weight
        );
        ensure!(
            shape.context > needed,
            "{place}.shape.context = {}: it must hold a prompt and {needed} new tokens",
            shape.context
        );
        Corpus::of(mix, pretraining.corpus)
            .with_context(|| format!("{place}.pretraining.corpus"))?;
        Ok(())
    }

    /// Which of the two it is; `place` names the table in messages.
    pub fn source(&self, place: &str) -> Result<BaseSource<'_>> {
        match (&self.model, &self.shape, &self.pretraining) {
            (Some(model), None, None) => Ok(BaseSource::Model(model)),
            (None, Some(shape), Some(pretraining)) => {
                Ok(BaseSource::Pretrained(shape, pretraining))
            }
            _ => bail!(
                "{place} needs either {place}.model, a model that is there, or {place}.shape and {place}.pretraining, to make one"
            ),
        }
    }
}

/// `[base.pretraining]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretraining {
    /// Documents an optimizer update.
    pub batch_size: usize,
    /// How many times a token in a document's focus counts.
    #[serde(default = "focus_weight")]
    pub focus_weight: f64,
    /// Habits of the corpus.
    #[serde(default)]
    pub corpus: Shares,
    /// The step loop.
    pub training: TrainingSettings,
}

impl Pretraining {
    /// The settings of the step loop; `place` names their table in messages.
    /// Small models gain nothing from bfloat16, so float32 is the default here.
    pub fn resolve(&self, place: &str) -> Result<Training> {
        let inherited = TrainingSettings {
            dtype: Some(PrecisionChoice::Float32),
            ..TrainingSettings::default()
        };
        let resolved = self.training.resolve(&inherited, place);
        resolved.map_err(anyhow::Error::msg)
    }
}

fn focus_weight() -> f64 {
    1.0
}
