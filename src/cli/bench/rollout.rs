//! `qinglan bench rollout`: completions of a fixed or mixed length from a chat
//! prompt, as rollouts of an RL step are sampled.
//!
//! The clock runs over reading the prompts and sampling; loading and packing
//! the weights, and one such run to warm up, come before it. A prompt is read once for
//! its group and for each group anew, though all prompts are alike here.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rand::RngExt;
use serde_json::json;

use crate::device::DeviceChoice;
use crate::error::{UserError, as_user_error};
use crate::formats;
use crate::generation::network::Switches;
use crate::generation::{Engine, Key, PrecisionChoice, Prompt, Sampling};
use crate::hub;
use crate::model::Stored;
use crate::random::stream;
use crate::{device, memory};

/// What the model is asked: a chat turn of about 30 tokens.
const QUESTION: &str = "What is 17 + 25? Think step by step.";

/// Shortest completion of a mixed batch; the longest is `--new-tokens`.
const SHORTEST: usize = 8;

/// Most completions of a batch; more would measure the memory of the list.
const MOST_COMPLETIONS: usize = 1_000_000;

/// Arguments of `qinglan bench rollout`.
#[derive(Args)]
pub(super) struct Rollout {
    /// A Hugging Face folder, a GGUF file, or the name of a model in the cache.
    #[arg(long, value_name = "DIR|GGUF|NAME")]
    model: String,
    /// Completions.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Completions of one prompt; the last group may be smaller.
    #[arg(long, default_value_t = 8)]
    group: usize,
    /// Tokens of each completion; end tokens are not drawn before.
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// Lengths drawn uniformly from 8 to the new tokens instead.
    #[arg(long)]
    mixed: bool,
    /// Number format.
    #[arg(long, value_enum, default_value_t)]
    dtype: PrecisionChoice,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Part of the CUDA path to switch off; may be repeated.
    #[arg(long, value_enum)]
    without: Vec<Part>,
    /// Times the measurement is repeated; the median is reported.
    #[arg(long, default_value_t = 1)]
    repeats: usize,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
}

/// What can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Replaying steps as CUDA graphs.
    CudaGraphs,
    /// libtorch's flash attention.
    FlashAttention,
}

impl Rollout {
    /// Refuses what could not be measured as it would be reported; `room` is
    /// what the context holds beside the prompt.
    fn check(&self, room: usize) -> Result<()> {
        ensure!(
            (1..=MOST_COMPLETIONS).contains(&self.batch),
            "--batch {}: give a number from 1 to {MOST_COMPLETIONS}",
            self.batch
        );
        ensure!(
            self.group > 0,
            "--group 0: a group has at least one completion"
        );
        ensure!(self.repeats > 0, "--repeats 0: nothing would be measured");
        ensure!(
            self.new_tokens <= room,
            "--new-tokens {}: the model's context has room for {room} beside the prompt",
            self.new_tokens
        );
        ensure!(
            !self.mixed || self.new_tokens >= SHORTEST,
            "--new-tokens {}: mixed lengths begin at {SHORTEST}",
            self.new_tokens
        );
        Ok(())
    }

    pub(super) fn execute(self) -> Result<()> {
        let device = as_user_error(self.device.resolve())?;
        let path = as_user_error(hub::model(&self.model))?;
        let stored = as_user_error(Stored::open(&path))?;
        let rows = formats::generation_rows(self.batch);
        let dtype = formats::settle(
            self.dtype,
            formats::Engine::Generation,
            &stored.config,
            rows,
            device,
        );
        let precision = dtype.resolve(device);
        let switches = Switches {
            cuda_graphs: !self.without.contains(&Part::CudaGraphs),
            flash_attention: !self.without.contains(&Part::FlashAttention),
        };
        let mut engine = stored.source(|source| {
            let (config, text) = (&stored.config, &stored.text);
            Engine::switched(config, text, source, device, precision, switches)
        })?;
        let tokens = as_user_error(stored.text.encode_prompt(QUESTION))?;
        as_user_error(
            self.check(stored.config.context() - tokens.len().min(stored.config.context())),
        )?;
        let sampling = Sampling {
            max_new_tokens: self.new_tokens,
            min_new_tokens: self.new_tokens,
            ..Sampling::default()
        };
        sampling
            .check()
            .map_err(|error| UserError(format!("--new-tokens: {error}")))?;
        let mut lengths = stream(0, "bench lengths", &[]);
        let keys: Vec<Key> = (0..self.batch as u64)
            .map(|index| Key {
                seed: 0,
                purpose: "bench",
                indices: vec![index],
            })
            .collect();
        // A cap is a prompt's: of mixed lengths each completion is its own group.
        let group = if self.mixed { 1 } else { self.group };
        let prompts: Vec<Prompt> = keys
            .chunks(group)
            .map(|keys| Prompt {
                tokens: tokens.clone(),
                keys: keys.to_vec(),
                max_new_tokens: self
                    .mixed
                    .then(|| lengths.random_range(SHORTEST..=self.new_tokens)),
            })
            .collect();
        engine.generate(&prompts, &sampling)?;
        let mut sampled = 0;
        let mut rates = Vec::new();
        let mut seconds = Vec::new();
        for _ in 0..self.repeats {
            device::synchronize(device);
            let started = Instant::now();
            let completions = engine.generate(&prompts, &sampling)?;
            let took = started.elapsed().as_secs_f64();
            sampled = completions.iter().map(|c| c.tokens.len()).sum::<usize>();
            rates.push(sampled as f64 / took);
            seconds.push(took);
        }
        rates.sort_by(f64::total_cmp);
        let rate = rates[rates.len() / 2];
        let peak = memory::peak(device).context("reading the peak of memory")?;
        if self.json {
            println!(
                "{}",
                json!({
                    "bench": "rollout",
                    "tokens_per_second": round(rate),
                    "sampled_tokens": sampled,
                    "peak_gb": (peak / 1e7).round() / 100.0,
                    "batch": self.batch,
                    "group": group,
                    "new_tokens": self.new_tokens,
                    "mixed": self.mixed,
                    "dtype": precision.to_string(),
                    "device": format!("{device:?}"),
                    "threads": tch::get_num_threads(),
                    "seconds": seconds,
                })
            );
        } else {
            println!(
                "{rate:.1} tokens per second, {:.2} GB at the peak: {} completions of {}{} tokens in {precision} on {device:?}",
                peak / 1e9,
                self.batch,
                if self.mixed { "8 to " } else { "" },
                self.new_tokens,
            );
        }
        Ok(())
    }
}

/// To one decimal: what repeats tell apart.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
