//! `qinglan bench sft`: optimizer updates of supervised fine-tuning on worked
//! sums of mixed length.

use algorithms::{Batch, Example, Sft};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use super::training::{Shared, check_count};
use crate::error::as_user_error;
use crate::training::Learner;
use crate::training::optimizer::State;

/// Arguments of `qinglan bench sft`.
#[derive(Args)]
pub(super) struct SftBench {
    #[command(flatten)]
    shared: Shared,
    /// Demonstrations of one update.
    #[arg(long, default_value_t = 32)]
    rows: usize,
}

/// Demonstration `index`: a sum and one to twelve steps of work.
fn row(index: usize) -> (String, String) {
    let (a, b) = (17 + index, 25 + 3 * index);
    let steps: Vec<String> = (1..2 + index % 12)
        .map(|k| format!("Step {k}: {a} plus {k} is {}.", a + k))
        .collect();
    (
        format!("What is {a} + {b}? Think step by step."),
        format!("<think>{}</think> {}", steps.join(" "), a + b),
    )
}

impl SftBench {
    pub(super) fn execute(self) -> Result<()> {
        check_count("rows", self.rows)?;
        let bench = self.shared.begin(1e-5)?;
        let batches = (0..self.shared.steps)
            .map(|step| self.batch(&bench.model, step))
            .collect::<Result<Vec<_>>>()?;
        let algorithm = Sft::default();
        let mut optimizer = State::new(bench.model.decoder.trainable());
        let learner = Learner::new(&bench.model.decoder, &algorithm, &bench.training, 1.0);
        let mut clock = bench.clock();
        for (step, batch) in (0u64..).zip(&batches) {
            clock.step(|| learner.update(batch, &mut optimizer, step))?;
        }
        let tokens = |of: fn(&Example) -> usize| {
            let all = batches.iter().flat_map(|batch| &batch.examples);
            all.map(of).sum::<usize>()
        };
        let own = json!({
            "rows": self.rows,
            "read_tokens": tokens(|row| row.prompt.len() + row.completion.len()),
            "trained_tokens": tokens(|row| row.completion.len()),
        });
        bench.report("sft", clock, own)
    }

    fn batch(&self, model: &crate::model::Model, step: usize) -> Result<Batch> {
        let rows = step * self.rows..(step + 1) * self.rows;
        let context = model.decoder.config().context();
        let examples = rows
            .map(|index| {
                let (prompt, completion) = row(index);
                let prompt = model.text.encode_prompt(&prompt)?;
                let completion = model.text.encode_completion(&completion)?;
                let length = prompt.len() + completion.len();
                ensure!(
                    length <= context,
                    "demonstration {index} has {length} tokens, the model's context holds {context}"
                );
                Ok(Example {
                    weights: vec![1.0; completion.len()],
                    prompt,
                    completion,
                    ..Example::default()
                })
            })
            .collect::<Result<Vec<_>>>();
        let examples = as_user_error(examples.context(
            "the bench shows English sums and wants a model that reads text, such as SmolLM2",
        ))?;
        let tokens = examples.iter().map(|row| row.completion.len()).sum();
        Ok(Batch {
            examples,
            normaliser: tokens as f64,
            tokens,
            ..Batch::default()
        })
    }
}
