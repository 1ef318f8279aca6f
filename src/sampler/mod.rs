//! External samplers: an arm's rollouts drawn by a server, vLLM or `SGLang`, whose
//! weights the lab refreshes.
//!
//! Before a collection the policy is written as a model folder and the server is
//! told to load it; then each prompt goes as token ids, so that no template
//! comes between, and token ids with their log-probabilities come back. A server
//! holds one policy at a time: trainings of one process that share it take
//! turns, each loading its own weights again. Two processes must not share one.
//!
//! What it deliberately does not do: start servers, or validate and evaluate by
//! them. The correction for the two engines' difference is
//! [`algorithms::Correction`].

mod asking;
mod reply;
mod settings;
mod weights;

pub use settings::{SamplerSettings, Server};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use algorithms::{Correction, Example, Metrics, TokenScores};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::error::UserError;
use crate::generation::{Completion, Ended, Key, Sampling};
use crate::http::{Asked, Client, Place, Sent, Trouble, beginning};
use crate::model::Model;

/// Mean difference of log-probabilities, in nats, beyond which no number format
/// explains it.
const FAR_APART: f64 = 0.1;

/// What to do about a server that is away.
const AWAY: &str = "see to it that the server runs, then go on with --resume from the last checkpoint (training.save_steps says how often there is one)";

/// What to do about one that never was there.
const NOT_UP: &str = "start the server, or mend sampler.endpoint";

/// A status that no other try would change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// Seconds that a server has to answer a mere look.
const LOOK: u64 = 10;

/// The policy that a server holds: whose folder it was loaded from, and after
/// how many updates.
type Held = Option<(PathBuf, u64)>;

/// A server, and the policy that it is given.
pub struct Sampler {
    settings: SamplerSettings,
    client: Client,
    /// Where the policy is written for the server.
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    /// What this process knows of the server; whoever asks it holds this.
    held: Arc<Mutex<Held>>,
    /// The folder in it that the server was last told to load.
    written: Option<PathBuf>,
    /// Whether it was said that server and trainer are far apart.
    warned: bool,
    metrics: Metrics,
}

impl Sampler {
    /// A server that has the model, asked for it; policies are written into
    /// `folder`.
    pub fn connect(
        settings: &SamplerSettings,
        folder: &Path,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let sampler = Self::new(settings, folder, stop)?;
        sampler.check_model(AWAY)?;
        Ok(sampler)
    }

    /// Asks nothing yet.
    fn new(settings: &SamplerSettings, folder: &Path, stop: &Arc<AtomicBool>) -> Result<Self> {
        let key = settings.api_key_env.as_ref().map(|name| {
            std::env::var(name).map_err(|error| {
                UserError(format!(
                    "the variable {name}, which api_key_env names, is not set: {error}"
                ))
            })
        });
        Ok(Self {
            settings: settings.clone(),
            client: Client::new(key.transpose()?, settings.patience()),
            folder: std::path::absolute(folder)?,
            stop: Arc::clone(stop),
            held: held(settings.root()),
            written: None,
            warned: false,
            metrics: Metrics::new(),
        })
    }

    /// Looks whether the server is there and has the model: once and not for long,
    /// or `patiently`, as often as its settings say.
    pub(crate) fn look(
        settings: &SamplerSettings,
        patiently: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<()> {
        let mut settings = settings.clone();
        if !patiently {
            settings.tries = 1;
            settings.timeout = settings.timeout.min(LOOK);
        }
        Self::new(&settings, Path::new("."), stop)?.check_model(NOT_UP)
    }

    /// How what it draws is weighed.
    pub(crate) fn correction(&self) -> Option<Correction> {
        self.settings.correction()
    }

    /// Says, at the first samples that it holds for, that the server's
    /// log-probabilities can hardly be those of the policy it was given.
    pub(crate) fn compare(&mut self, examples: &[Example], policy: &[TokenScores]) {
        let (mut sum, mut count) = (0.0, 0.0);
        for (example, policy) in examples.iter().zip(policy) {
            let sampled = example.sampled_logprobs.iter().flatten();
            for (sampled, policy) in sampled.zip(&policy.logprobs) {
                sum += f64::from((policy - sampled).abs());
                count += 1.0;
            }
        }
        if self.warned || count == 0.0 || sum / count <= FAR_APART {
            return;
        }
        self.warned = true;
        let vllm = match self.settings.server {
            Server::Vllm => " (vLLM: --logprobs-mode processed_logprobs)",
            Server::Sglang => "",
        };
        tracing::warn!(
            "the log-probabilities that {} gives are {:.2} nats from the policy's on average: \
             see to it that it loads the weights it is told to and that they are those of the \
             sampling's temperature{vllm}; docs/metrics.md has sampling/sampling_logp_difference",
            self.settings.endpoint,
            sum / count
        );
    }

    /// What the last collection cost and which weights it was drawn with.
    pub(crate) fn take_metrics(&mut self) -> Metrics {
        std::mem::take(&mut self.metrics)
    }

    /// Completions of each prompt, prompt by prompt, one for each of the keys
    /// that `keys` gives for its index, under the policy as it is after `step`
    /// updates. `ended` is told of each as it comes.
    pub(crate) fn sample(
        &mut self,
        model: &Model,
        step: u64,
        prompts: &[Vec<i64>],
        sampling: &Sampling,
        keys: impl Fn(usize) -> Vec<Key>,
        ended: Ended<'_>,
    ) -> Result<Vec<Completion>> {
        let held = Arc::clone(&self.held);
        // What a thread that panicked left may be wrong, so it is looked at as unknown.
        let mut held = held.lock().unwrap_or_else(|poisoned| {
            let mut held = PoisonError::into_inner(poisoned);
            *held = None;
            held
        });
        let own = (self.folder.clone(), step);
        if held.as_ref() != Some(&own) {
            let started = Instant::now();
            *held = None;
            self.refresh(model, step)?;
            *held = Some(own);
            let seconds = started.elapsed().as_secs_f64();
            self.add("sampling/refresh_seconds", seconds);
        }
        self.metrics
            .insert("sampling/weights_step".to_owned(), step as f64);
        let started = Instant::now();
        let mut requests = Vec::with_capacity(prompts.len());
        let mut first = 0;
        for (index, prompt) in prompts.iter().enumerate() {
            let keys = keys(index);
            if let Some(key) = keys.first() {
                let count = keys.len();
                requests.push(self.request(model, index, prompt, first, (key, count), sampling)?);
                first += count;
            }
        }
        let mut all: Vec<Option<Completion>> = vec![None; first];
        for round in 1.. {
            self.ask(&requests, &mut all, ended)?;
            if all.iter().all(Option::is_some) {
                break;
            }
            let endpoint = &self.settings.endpoint;
            ensure!(
                round < self.settings.tries,
                "{endpoint} went away while it drew; {AWAY}"
            );
            // One that was started again holds other weights than it was given.
            tracing::warn!("{endpoint} went away while it drew; it is given the policy again");
            let given = held.take();
            self.refresh(model, step)?;
            *held = given;
        }
        self.add("sampling/seconds", started.elapsed().as_secs_f64());
        let all: Option<Vec<Completion>> = all.into_iter().collect();
        all.context("the server was not asked for every completion")
    }

    fn add(&mut self, name: &str, seconds: f64) {
        *self.metrics.entry(name.to_owned()).or_default() += seconds;
    }

    /// Refuses a server that does not have the model; `way_out` is what to do about
    /// one that is away.
    fn check_model(&self, way_out: &str) -> Result<()> {
        let url = format!("{}/v1/models", self.settings.root());
        let text = self
            .patiently(
                (&url, way_out),
                || self.client.get(&url),
                |text| Ok(Ok(text)),
            )
            .map_err(|error| match error.downcast::<Refused>() {
                Ok(Refused(said)) => {
                    UserError(format!("{said}; mend sampler.endpoint or the key")).into()
                }
                Err(error) => error,
            })?;
        let value: Value = serde_json::from_str(&text)
            .with_context(|| format!("{url} gives no list of models; mend sampler.endpoint"))?;
        let models: Vec<&str> = value["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|model| model["id"].as_str())
            .collect();
        let wanted = &self.settings.model;
        if !models.contains(&wanted.as_str()) {
            bail!(UserError(format!(
                "{url} has no model {wanted:?}, but {}; mend sampler.model or the server's --served-model-name",
                models.join(", ")
            )));
        }
        Ok(())
    }

    /// Tries until there is an answer that `read` takes; where none comes, the error
    /// names the way out.
    fn patiently<T>(
        &self,
        (url, way_out): (&str, &str),
        send: impl Fn() -> Sent,
        read: impl Fn(String) -> Result<Result<T, Trouble>>,
    ) -> Result<T> {
        let place = Place {
            seed: 0,
            indices: [0, 0],
        };
        let asked = self.client.patiently(
            place,
            &self.stop,
            || Self::once(url, &send, &read),
            |number, what| tracing::warn!("{url}, try {number}: {what}"),
        )?;
        self.answer((url, way_out), asked)
    }

    /// One try; an error is one that no other try would mend.
    fn once<T>(
        url: &str,
        send: impl Fn() -> Sent,
        read: impl Fn(String) -> Result<Result<T, Trouble>>,
    ) -> Result<Result<T, Trouble>> {
        match send() {
            Sent::Body(text) => read(text).with_context(|| format!("asking {url}")),
            Sent::Trouble(trouble) => Ok(Err(trouble)),
            Sent::Refused(status, said) => {
                let said = beginning(&said);
                bail!(Refused(format!("{url} answers HTTP {status}: {said}")))
            }
            Sent::Unsendable(what) => bail!("asking {url}: {what}"),
        }
    }

    fn answer<T>(&self, (url, way_out): (&str, &str), asked: Asked<T>) -> Result<T> {
        match asked {
            Asked::Answered(answer) => Ok(answer),
            Asked::GaveUp(last) => bail!(
                "{url} gave no answer in {} tries, the last: {last}; {way_out}",
                self.settings.tries
            ),
            Asked::Stopped => bail!("stopped while {url} was waited for; go on with --resume"),
        }
    }
}

impl Drop for Sampler {
    /// What was written for the server is of no use to anybody else. Where it
    /// cannot be removed it is only untidy.
    fn drop(&mut self) {
        if self.written.is_some() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// What this process knows of the server at that address.
fn held(root: &str) -> Arc<Mutex<Held>> {
    static SERVERS: Mutex<BTreeMap<String, Arc<Mutex<Held>>>> = Mutex::new(BTreeMap::new());
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(servers.entry(root.to_owned()).or_default())
}

#[cfg(test)]
mod tests;
