//! `qinglan bench scaling`: how long an update takes several ranks of this
//! machine, what of that they compute and what they tell each other. A model of
//! random weights is made for it, so that it asks for no file.
//!
//! `docs/SCALING.md` has the model of step time that it is held to.

use std::time::{Duration, Instant};

use algorithms::{Batch, Example, Sft};
use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use super::training::check_count;
use crate::distributed::{self, Ranks, launch};
use crate::error::as_user_error;
use crate::model::{Decoder, ModelShape, Weights};
use crate::training::{Learner, Training, TrainingSettings};

/// How long a rank waits for the others.
const PATIENCE: Duration = Duration::from_secs(300);

/// Tokens that the model knows.
const VOCABULARY: i64 = 8192;

/// Arguments of `qinglan bench scaling`.
#[derive(Args)]
pub(super) struct Scaling {
    /// Ranks; the batch is the same for any number of them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nproc: usize,
    /// Threads of each rank [default: the cores, shared by the ranks].
    #[arg(long)]
    threads: Option<usize>,
    /// Width of the model, a multiple of 64.
    #[arg(long, default_value_t = 512)]
    width: usize,
    /// Layers of the model.
    #[arg(long, default_value_t = 8)]
    layers: usize,
    /// Rows of one update.
    #[arg(long, default_value_t = 32)]
    rows: usize,
    /// Tokens of a row.
    #[arg(long, default_value_t = 128)]
    length: usize,
    /// Updates that are timed.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Keep a part of the optimizer's moments on each rank.
    #[arg(long = "shard-optimizer")]
    shard_optimizer: bool,
}

impl Scaling {
    pub(super) fn execute(self) -> Result<()> {
        for (name, count) in [
            ("nproc", self.nproc),
            ("layers", self.layers),
            ("rows", self.rows),
            ("length", self.length),
            ("steps", self.steps),
            ("threads", self.threads.unwrap_or(1)),
        ] {
            check_count(name, count)?;
        }
        as_user_error((|| {
            ensure!(
                self.width.is_multiple_of(64) && (64..=16_384).contains(&self.width),
                "--width {}: give a multiple of 64 from 64 to 16384",
                self.width
            );
            Ok(())
        })())?;
        let Some(place) = launch::place()? else {
            if self.nproc == 1 {
                return self.measure(&Ranks::single());
            }
            let code = as_user_error(distributed::spawn(self.nproc))?;
            ensure!(code == 0, "a rank failed; it has said why");
            return Ok(());
        };
        distributed::follow_starter();
        self.measure(&distributed::join(&place, PATIENCE)?)
    }

    fn measure(&self, ranks: &Ranks) -> Result<()> {
        let threads = self.threads.unwrap_or_else(|| ranks.threads());
        tch::set_num_threads(threads as i32);
        let shape = ModelShape {
            width: self.width as i64,
            layers: self.layers,
            heads: self.width as i64 / 64,
            kv_heads: self.width as i64 / 64,
            feed_forward: self.width as i64 * 3,
            context: self.length as i64,
        };
        let config = shape.config(VOCABULARY, 0, 1, 2);
        let weights = Weights::random(&config, 1, Device::Cpu);
        let decoder = Decoder::new(config, weights);
        let parameters = decoder.weights().count();
        let training = self.training()?;
        let algorithm = Sft::default();
        let learner = Learner::new(&decoder, &algorithm, &training, 1.0);
        let learner = learner.among(ranks, self.shard_optimizer);
        let mut optimizer = learner.state();
        let batch = self.batch();
        let mut seconds = Vec::new();
        let mut bytes = 0;
        for step in 0..=self.steps {
            ranks.any(Ok(false))?;
            let (started, sent) = (Instant::now(), sent(ranks));
            learner.update(&batch, &mut optimizer, step as u64)?;
            // The first finds nothing in memory yet.
            if step > 0 {
                seconds.push(started.elapsed().as_secs_f64());
                bytes = self::sent(ranks) - sent;
            }
        }
        let alone = self.compute_alone(&decoder, &training, &batch, ranks)?;
        let reduced = all_reduce_seconds(parameters, self.steps, ranks)?;
        if ranks.is_first() {
            let line = json!({
                "bench": "scaling",
                "ranks": ranks.world(),
                "threads": threads,
                "parameters": parameters,
                "tokens": self.rows * self.length,
                "sharded": self.shard_optimizer,
                "update_seconds": median(seconds),
                "own_share_alone_seconds": alone,
                "all_reduce_seconds": reduced,
                "bytes_handed_per_update": bytes,
            });
            println!("{line}");
        }
        Ok(())
    }

    fn training(&self) -> Result<Training> {
        let settings = TrainingSettings {
            steps: Some(self.steps as u64 + 1),
            micro_batch_tokens: Some(1024),
            ..TrainingSettings::default()
        };
        let resolved = settings.resolve(&TrainingSettings::default(), "bench");
        resolved.map_err(anyhow::Error::msg)
    }

    fn batch(&self) -> Batch {
        let ids = |row: usize| move |place: usize| 3 + ((row * 31 + place * 17) % 8000) as i64;
        let examples = (0..self.rows)
            .map(|row| {
                let completion: Vec<i64> = (0..self.length - 1).map(ids(row)).collect();
                Example {
                    prompt: vec![3 + row as i64],
                    weights: vec![1.0; completion.len()],
                    completion,
                    ..Example::default()
                }
            })
            .collect();
        let tokens = self.rows * (self.length - 1);
        Batch {
            examples,
            normaliser: tokens as f64,
            tokens,
            ..Batch::default()
        }
    }

    /// Seconds of an update over this rank's share with nobody told of it,
    /// while the other ranks do the same.
    fn compute_alone(
        &self,
        decoder: &Decoder,
        training: &Training,
        batch: &Batch,
        ranks: &Ranks,
    ) -> Result<f64> {
        let share = crate::training::forward::share(&batch.examples, ranks.rank(), ranks.world());
        let own = Batch {
            examples: share.to_vec(),
            ..batch.clone()
        };
        let algorithm = Sft::default();
        let learner = Learner::new(decoder, &algorithm, training, 1.0);
        let mut optimizer = learner.state();
        let mut seconds = Vec::new();
        for step in 0..=self.steps {
            ranks.any(Ok(false))?;
            let started = Instant::now();
            learner.update(&own, &mut optimizer, step as u64)?;
            if step > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
        Ok(median(seconds))
    }
}

/// Seconds of an all-reduce of so many numbers with nothing else to do.
fn all_reduce_seconds(count: i64, times: usize, ranks: &Ranks) -> Result<f64> {
    let Some(group) = ranks.group() else {
        return Ok(0.0);
    };
    let numbers = Tensor::zeros([count], (Kind::Float, Device::Cpu));
    let mut seconds = Vec::new();
    for _ in 0..times {
        group.barrier()?;
        let started = Instant::now();
        group.all_reduce(&numbers)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(median(seconds))
}

/// Bytes that this rank has handed to collectives.
fn sent(ranks: &Ranks) -> u64 {
    let (control, _) = ranks.traffic();
    [
        control.broadcast,
        control.all_reduce,
        control.all_gather,
        control.reduce_scatter,
    ]
    .iter()
    .map(|count| count.bytes)
    .sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
