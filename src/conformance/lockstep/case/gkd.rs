//! A distillation by TRL's `GKDTrainer`, all of whose updates learn from
//! demonstrations (`lmbda = 0`) or all from given completions (`lmbda = 1`).

use algorithms::{Demonstration, Gkd};
use anyhow::{Context, Result, bail, ensure};

use super::{Case, File, check_ids, sizes, take, training};
use crate::model::ModelConfig;

impl Case {
    pub(super) fn gkd(file: File, config: &ModelConfig) -> Result<Self> {
        let mut settings = file.settings;
        let training = training(&mut settings)?;
        let (batch_size, accumulated) = sizes(&mut settings)?;
        let rows = batch_size * accumulated;
        let max_completion_length = take(&mut settings, "max_new_tokens")?.unwrap_or(128);
        // TRL samples at it, and the completions are given.
        take::<f64>(&mut settings, "temperature")?;
        let gkd = Gkd {
            prompts_per_generation: rows,
            num_generations: 1,
            lmbda: take(&mut settings, "lmbda")?.unwrap_or(0.5),
            beta: take(&mut settings, "beta")?.unwrap_or(0.5),
            ..Gkd::default()
        };
        algorithms::Algorithm::check(&gkd).map_err(|error| anyhow::anyhow!("settings.{error}"))?;
        ensure!(
            gkd.lmbda <= 0.0 || gkd.lmbda >= 1.0,
            "settings.lmbda = {}: TRL draws which micro-batches learn from completions, the lab alternates; give a case of 0 or 1",
            gkd.lmbda
        );
        if let Some(name) = settings.keys().next() {
            bail!("settings.{name} is not followed");
        }
        ensure!(
            file.batches.len() >= file.steps.len(),
            "{} batches where {} updates need one each",
            file.batches.len(),
            file.steps.len()
        );
        let (mut prompts, mut rollouts) = (Vec::new(), Vec::new());
        let mut demonstrations = Vec::new();
        for (index, mut batch) in file.batches.into_iter().enumerate() {
            let place = || format!("batches[{index}]");
            // A completion is judged by the teacher alone.
            batch.rewards = vec![None; batch.completion_ids.len()];
            let of_batch = batch.prompts(rows, 1).with_context(place)?;
            if gkd.lmbda > 0.0 {
                rollouts.extend(batch.rollouts(config).with_context(place)?);
                prompts.push(of_batch);
                continue;
            }
            check_ids(of_batch.iter().chain(&batch.completion_ids), config).with_context(place)?;
            let shown = of_batch.into_iter().zip(batch.completion_ids);
            let shown = shown.map(|(prompt, completion)| Demonstration {
                prompt,
                weights: vec![1.0; completion.len()],
                completion,
            });
            demonstrations.push(shown.collect());
        }
        Self {
            algorithm: Box::new(gkd),
            training,
            temperature: 1.0,
            max_completion_length,
            steps: file.steps,
            prompts,
            rollouts,
            demonstrations,
        }
        .whole()
    }
}
