//! What `bench sft` and `bench grpo` share: the model, the step loop's
//! settings, and the line that they print.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Map, Value, json};
use tch::Device;

use crate::device::{self, DeviceChoice};
use crate::error::as_user_error;
use crate::formats::{self, Engine};
use crate::generation::PrecisionChoice;
use crate::hub;
use crate::memory;
use crate::model::{Model, Stored};
use crate::training::{Training, TrainingSettings};

/// Most updates or rows; more would measure the patience of the user.
const MOST: usize = 1_000_000;

/// Arguments of both benches.
#[derive(Args)]
pub(super) struct Shared {
    /// A Hugging Face folder, a GGUF file, or the name of a model in the cache.
    #[arg(long, value_name = "DIR|GGUF|NAME")]
    model: String,
    /// Optimizer updates.
    #[arg(long, default_value_t = 3)]
    pub(super) steps: usize,
    /// Number format of matrix products, in rollouts too.
    #[arg(long, value_enum, default_value_t)]
    pub(super) dtype: PrecisionChoice,
    /// Tokens of one forward and backward pass.
    #[arg(long, default_value_t = 1024)]
    micro_batch_tokens: usize,
    /// Compute what lies inside a layer a second time rather than keep it.
    #[arg(long)]
    gradient_checkpointing: bool,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
}

/// A bench under way.
pub(super) struct Bench {
    pub(super) model: Model,
    pub(super) training: Training,
    pub(super) device: Device,
    json: bool,
}

/// Seconds of each update so far.
pub(super) struct Clock {
    device: Device,
    step_seconds: Vec<f64>,
}

/// Refuses a number that is 0 or beyond all measure; `name` is the option.
pub(super) fn check_count(name: &str, count: usize) -> Result<()> {
    as_user_error((|| {
        ensure!(
            (1..=MOST).contains(&count),
            "--{name} {count}: give a number from 1 to {MOST}"
        );
        Ok(())
    })())
}

impl Shared {
    /// Loads the model; `learning_rate` is that of the peer's script.
    pub(super) fn begin(&self, learning_rate: f64) -> Result<Bench> {
        check_count("steps", self.steps)?;
        check_count("micro-batch-tokens", self.micro_batch_tokens)?;
        let device = as_user_error(self.device.resolve())?;
        let path = as_user_error(hub::model(&self.model))?;
        let model = as_user_error(Stored::open(&path))?.load(device)?;
        let tokens = self.micro_batch_tokens;
        let config = model.decoder.config();
        let dtype = formats::settle(self.dtype, Engine::Training, config, tokens, device);
        let settings = TrainingSettings {
            steps: Some(self.steps as u64),
            learning_rate: Some(learning_rate),
            micro_batch_tokens: Some(self.micro_batch_tokens),
            dtype: Some(dtype),
            gradient_checkpointing: Some(self.gradient_checkpointing),
            ..TrainingSettings::default()
        };
        let training = settings
            .resolve(&TrainingSettings::default(), "bench")
            .map_err(anyhow::Error::msg)?;
        Ok(Bench {
            model,
            training,
            device,
            json: self.json,
        })
    }
}

impl Clock {
    /// Times one update.
    pub(super) fn step<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        device::synchronize(self.device);
        let started = Instant::now();
        let result = work()?;
        device::synchronize(self.device);
        self.step_seconds.push(started.elapsed().as_secs_f64());
        Ok(result)
    }
}

impl Bench {
    /// A clock that has timed nothing.
    pub(super) fn clock(&self) -> Clock {
        Clock {
            device: self.device,
            step_seconds: Vec::new(),
        }
    }

    /// Prints what was measured, with what is the bench's own in `own`.
    pub(super) fn report(&self, bench: &str, clock: Clock, own: Value) -> Result<()> {
        let peak = memory::peak(self.device).context("reading the peak of memory")?;
        let round = |value: f64| (value * 100.0).round() / 100.0;
        let seconds: Vec<f64> = clock.step_seconds.iter().copied().map(round).collect();
        if !self.json {
            let mut sorted = clock.step_seconds;
            sorted.sort_by(f64::total_cmp);
            println!(
                "{:.2} seconds an update (median of {}), {:.2} GB at the peak: {bench} in {} on {:?}, {own}",
                sorted[sorted.len() / 2],
                sorted.len(),
                peak / 1e9,
                self.training.dtype.resolve(self.device),
                self.device,
            );
            return Ok(());
        }
        let mut line = Map::from_iter([
            ("bench".to_owned(), json!(bench)),
            ("step_seconds".to_owned(), json!(seconds)),
            ("peak_gb".to_owned(), json!(round(peak / 1e9))),
            (
                "dtype".to_owned(),
                json!(self.training.dtype.resolve(self.device).to_string()),
            ),
            ("device".to_owned(), json!(format!("{:?}", self.device))),
            ("threads".to_owned(), json!(tch::get_num_threads())),
            (
                "micro_batch_tokens".to_owned(),
                json!(self.training.micro_batch_tokens),
            ),
        ]);
        if let Value::Object(own) = own {
            line.extend(own);
        }
        println!("{}", Value::Object(line));
        Ok(())
    }
}
