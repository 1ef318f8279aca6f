//! `qinglan bench grpo`: optimizer updates of GRPO, from prompts to updated
//! weights, with completions of a fixed length and a reward that costs nothing.

use std::time::Instant;

use algorithms::{Algorithm, Batch, Demonstration, Grpo, Lab, LabError, Prompt, Rollout};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use super::training::{Shared, check_count};
use crate::error::{UserError, as_user_error};
use crate::formats::{self, Engine};
use crate::generation::{self, Key, PrecisionChoice, Sampling};
use crate::model::Model;
use crate::training::Learner;
use crate::training::optimizer::State;

/// Arguments of `qinglan bench grpo`.
#[derive(Args)]
pub(super) struct GrpoBench {
    #[command(flatten)]
    shared: Shared,
    /// Problems of one update.
    #[arg(long, default_value_t = 8)]
    prompts: usize,
    /// Completions of each problem.
    #[arg(long, default_value_t = 8)]
    generations: usize,
    /// Tokens of each completion; end tokens are not drawn before.
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
}

/// Sums to work out, and a reward that tells completions apart and costs nothing.
struct Sums<'a> {
    model: &'a Model,
    sampling: Sampling,
    sampled: usize,
}

/// What problem `index` asks.
fn question(index: u64) -> String {
    format!(
        "What is {} + {}? Think step by step.",
        17 + index,
        25 + 3 * index
    )
}

fn other(error: anyhow::Error) -> LabError {
    LabError::Other(error.into())
}

impl Lab for Sums<'_> {
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        let first = phase * count as u64;
        (first..first + count as u64)
            .map(|problem| {
                let tokens = self.model.text.encode_prompt(&question(problem));
                let tokens = tokens.map_err(other)?;
                Ok(Prompt { problem, tokens })
            })
            .collect()
    }

    fn rollouts(
        &mut self,
        step: u64,
        prompts: &[Prompt],
        group: usize,
    ) -> Result<Vec<Rollout>, LabError> {
        let tokens: Vec<Vec<i64>> = prompts.iter().map(|prompt| prompt.tokens.clone()).collect();
        let keys = |index: usize| {
            let key = |sample| Key {
                seed: 0,
                purpose: "bench",
                indices: vec![step, index as u64, sample],
            };
            (0..group as u64).map(key).collect()
        };
        let completions =
            generation::generate(self.model, &tokens, &self.sampling, keys).map_err(other)?;
        completions
            .into_iter()
            .map(|completion| {
                self.sampled += completion.tokens.len();
                let text = self.model.text.decode(&completion.tokens).map_err(other)?;
                Ok(Rollout {
                    truncated: completion.truncated(),
                    completion: completion.tokens,
                    logprobs: completion.logprobs,
                    reward: Some((text.chars().count() % 5) as f64),
                    ..Rollout::default()
                })
            })
            .collect()
    }

    fn demonstrations(&mut self, _: u64, _: usize) -> Result<Vec<Demonstration>, LabError> {
        Err(LabError::NoDemonstrations)
    }
}

impl GrpoBench {
    pub(super) fn execute(self) -> Result<()> {
        check_count("prompts", self.prompts)?;
        check_count(
            "prompts times --generations",
            self.prompts.saturating_mul(self.generations),
        )?;
        check_count("new-tokens", self.new_tokens)?;
        let algorithm = Grpo {
            prompts_per_generation: self.prompts,
            num_generations: self.generations,
            ..Grpo::default()
        };
        algorithm
            .check()
            .map_err(|error| UserError(error.replace("num_generations =", "--generations")))?;
        let bench = self.shared.begin(1e-6)?;
        let longest = as_user_error(
            (bench.model.text.encode_prompt(&question(1 << 20))).context(
                "the bench asks in English and wants a model that reads text, such as SmolLM2",
            ),
        )?
        .len();
        let room = bench
            .model
            .decoder
            .config()
            .context()
            .saturating_sub(longest);
        as_user_error((|| {
            ensure!(
                self.new_tokens <= room,
                "--new-tokens {}: the model's context has room for {room} beside the prompt",
                self.new_tokens
            );
            Ok(())
        })())?;
        let batch = formats::generation_rows(self.prompts * self.generations);
        let config = bench.model.decoder.config();
        let asked = self.shared.dtype;
        let dtype = formats::settle(asked, Engine::Generation, config, batch, bench.device);
        let mut optimizer = State::new(bench.model.decoder.trainable());
        let (mut sampled, mut trained) = (0, 0);
        let mut rollout_seconds = Vec::new();
        let learner = Learner::new(&bench.model.decoder, &algorithm, &bench.training, 1.0);
        let mut clock = bench.clock();
        for step in 0..self.shared.steps as u64 {
            let (batch, tokens) = clock.step(|| {
                let started = Instant::now();
                let (batch, tokens) = self.collect(&bench.model, &algorithm, step, dtype)?;
                rollout_seconds.push((started.elapsed().as_secs_f64() * 100.0).round() / 100.0);
                learner.update(&batch, &mut optimizer, step)?;
                Ok((batch, tokens))
            })?;
            sampled += tokens;
            trained += batch.tokens;
        }
        let own = json!({
            "prompts": self.prompts,
            "generations": self.generations,
            "new_tokens": self.new_tokens,
            "rollout_dtype": dtype.resolve(bench.device).to_string(),
            "sampled_tokens": sampled,
            "trained_tokens": trained,
            "rollout_seconds": rollout_seconds,
        });
        bench.report("grpo", clock, own)
    }

    /// What one update trains on, and the tokens that were sampled for it.
    fn collect(
        &self,
        model: &Model,
        algorithm: &Grpo,
        step: u64,
        dtype: PrecisionChoice,
    ) -> Result<(Batch, usize)> {
        let mut lab = Sums {
            model,
            sampling: Sampling {
                max_new_tokens: self.new_tokens,
                min_new_tokens: self.new_tokens,
                dtype,
                ..Sampling::default()
            },
            sampled: 0,
        };
        let mut collected = algorithm.collect(step, &mut lab)?;
        Ok((collected.batches.remove(0), lab.sampled))
    }
}
