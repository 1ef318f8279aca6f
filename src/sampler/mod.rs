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

mod reply;
mod settings;

pub use settings::{SamplerSettings, Server};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

use algorithms::{Correction, Example, Metrics, TokenScores};
use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use serde_json::{Value, json};

use crate::files;
use crate::generation::{Completion, Ended, GenerationError, Key, Sampling};
use crate::http::{Asked, Client, Place, Sent, Trouble};
use crate::model::{Model, folder};
use crate::random::stream;
use crate::runner::UserError;
use reply::NoReply;

/// Mean difference of log-probabilities, in nats, beyond which no number format
/// explains it.
const FAR_APART: f64 = 0.1;

/// What to do about a server that is away.
const AWAY: &str = "see to it that the server runs, then go on with --resume from the last checkpoint (training.save_steps says how often there is one)";

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

/// A prompt on its way to the server.
struct Request<'a> {
    /// Place of its first completion among all.
    first: usize,
    body: Value,
    place: Place,
    asked: reply::Asked<'a>,
}

impl Sampler {
    /// A server that has the model, asked for it; policies are written into
    /// `folder`.
    pub fn connect(
        settings: &SamplerSettings,
        folder: &Path,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let key = settings.api_key_env.as_ref().map(|name| {
            let way_out = || format!("the variable {name}, which api_key_env names, is not set");
            std::env::var(name).with_context(way_out)
        });
        let sampler = Self {
            settings: settings.clone(),
            client: Client::new(key.transpose()?, settings.patience()),
            folder: std::path::absolute(folder)?,
            stop: Arc::clone(stop),
            held: held(settings.root()),
            written: None,
            warned: false,
            metrics: Metrics::new(),
        };
        sampler.check_model()?;
        Ok(sampler)
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
        let completions = self.ask(&requests, first, ended)?;
        self.add("sampling/seconds", started.elapsed().as_secs_f64());
        Ok(completions)
    }

    fn add(&mut self, name: &str, seconds: f64) {
        *self.metrics.entry(name.to_owned()).or_default() += seconds;
    }

    /// Refuses a server that does not have the model.
    fn check_model(&self) -> Result<()> {
        let url = format!("{}/v1/models", self.settings.root());
        let text = self.patiently(&url, || self.client.get(&url), |text| Ok(Ok(text)))?;
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

    /// Writes the policy where the server finds it, and has it loaded.
    fn refresh(&mut self, model: &Model, step: u64) -> Result<()> {
        if self.written.is_none() && self.folder.exists() {
            // A process that was killed left it.
            std::fs::remove_dir_all(&self.folder)
                .with_context(|| format!("removing {}", self.folder.display()))?;
        }
        files::create_folder(&self.folder)?;
        // A name of its own: a server may keep what it knows of a path.
        let at = self.folder.join(format!("step-{step:06}"));
        let earlier = self.written.replace(at.clone());
        folder::save(model, &at)?;
        self.load(&at)?;
        if let Some(earlier) = earlier.filter(|earlier| *earlier != at) {
            std::fs::remove_dir_all(&earlier)
                .with_context(|| format!("removing {}", earlier.display()))?;
        }
        Ok(())
    }

    /// Has the server load a folder.
    fn load(&self, folder: &Path) -> Result<()> {
        let (root, at) = (self.settings.root(), folder.to_string_lossy());
        let reload = self.settings.reload.as_deref();
        match self.settings.server {
            Server::Vllm => {
                let url = reload.map_or_else(|| format!("{root}/collective_rpc"), str::to_owned);
                let body = json!({"method": "reload_weights", "kwargs": {"weights_path": at}});
                self.order(&url, &body)?;
                // What was read with other weights must not be gone on from.
                self.order(&format!("{root}/reset_prefix_cache"), &json!({}))
            }
            Server::Sglang => {
                let own = || format!("{root}/update_weights_from_disk");
                let url = reload.map_or_else(own, str::to_owned);
                self.order(&url, &json!({"model_path": at, "flush_cache": true}))
            }
        }
    }

    /// Tells the server to do something about its weights.
    fn order(&self, url: &str, body: &Value) -> Result<()> {
        let done = |text: String| {
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            ensure!(
                value["success"] != json!(false),
                "{}",
                value["message"].as_str().unwrap_or("it gives no reason")
            );
            Ok(Ok(()))
        };
        let at = self.folder.display();
        let vllm = match self.settings.server {
            Server::Vllm => {
                "; vLLM has this address where it was started with VLLM_SERVER_DEV_MODE=1"
            }
            Server::Sglang => "",
        };
        self.patiently(url, || self.client.post(url, body), done)
            .with_context(|| format!(
                "the server did not load the policy in {at}: it must be able to read that folder (sampler.weights){vllm}"
            ))
    }

    /// Tries until there is an answer that `read` takes.
    fn patiently<T>(
        &self,
        url: &str,
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
        self.answer(url, asked)
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
            Sent::Refused(status, said) => bail!("{url} answers HTTP {status}: {said}"),
            Sent::Unsendable(what) => bail!("asking {url}: {what}"),
        }
    }

    fn answer<T>(&self, url: &str, asked: Asked<T>) -> Result<T> {
        match asked {
            Asked::Answered(answer) => Ok(answer),
            Asked::GaveUp(last) => bail!(
                "{url} gave no answer in {} tries, the last: {last}; {AWAY}",
                self.settings.tries
            ),
            Asked::Stopped => bail!("stopped while {url} was waited for; go on with --resume"),
        }
    }

    /// The question for `count` completions of a prompt.
    fn request<'a>(
        &self,
        model: &'a Model,
        index: usize,
        prompt: &'a [i64],
        first: usize,
        (key, count): (&Key, usize),
        sampling: &Sampling,
    ) -> Result<Request<'a>, GenerationError> {
        let config = model.decoder.config();
        let (tokens, context) = (prompt.len(), config.context());
        if tokens == 0 {
            return Err(GenerationError::EmptyPrompt { index });
        }
        if tokens >= context {
            return Err(GenerationError::PromptTooLong {
                index,
                tokens,
                context,
            });
        }
        let asked = reply::Asked {
            prompt,
            completions: count,
            cap: sampling.max_new_tokens.min(context - tokens),
            ends: &model.text.ends,
            vocabulary: config.vocab_size,
        };
        let top_k = match sampling.top_k {
            0 => -1,
            some => some as i64,
        };
        let mut drawn = json!({
            "n": count,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": top_k,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "stop_token_ids": asked.ends,
        });
        let body = match self.settings.server {
            Server::Vllm => {
                let mut stream = stream(key.seed, "external sampler", &key.indices);
                drawn["model"] = json!(self.settings.model);
                drawn["prompt"] = json!(prompt);
                drawn["max_tokens"] = json!(asked.cap);
                drawn["min_tokens"] = json!(sampling.min_new_tokens);
                drawn["seed"] = json!(stream.random_range(0..1u32 << 31));
                drawn["logprobs"] = json!(1);
                drawn["return_token_ids"] = json!(true);
                drawn["return_tokens_as_token_ids"] = json!(true);
                drawn
            }
            Server::Sglang => {
                drawn["max_new_tokens"] = json!(asked.cap);
                drawn["min_new_tokens"] = json!(sampling.min_new_tokens);
                json!({"input_ids": prompt, "sampling_params": drawn, "return_logprob": true})
            }
        };
        Ok(Request {
            first,
            body,
            place: Place {
                seed: key.seed,
                indices: [key.indices.first().copied().unwrap_or(0), index as u64],
            },
            asked,
        })
    }

    /// Asks all requests, several at a time, and tells of completions as they
    /// come; `total` is how many there are to be.
    fn ask(
        &self,
        requests: &[Request<'_>],
        total: usize,
        ended: Ended<'_>,
    ) -> Result<Vec<Completion>> {
        let next = AtomicUsize::new(0);
        // Set by whoever met what no other try would mend.
        let halt = AtomicBool::new(false);
        let work = |answered: &mpsc::Sender<(usize, Vec<Completion>)>| -> Result<()> {
            while !halt.load(Ordering::SeqCst) {
                let Some(request) = requests.get(next.fetch_add(1, Ordering::SeqCst)) else {
                    break;
                };
                let completions = self.completions(request)?;
                if answered.send((request.first, completions)).is_err() {
                    break;
                }
            }
            Ok(())
        };
        let work = |answered: mpsc::Sender<(usize, Vec<Completion>)>| {
            let done = work(&answered);
            if done.is_err() {
                halt.store(true, Ordering::SeqCst);
            }
            done
        };
        let mut all: Vec<Option<Completion>> = vec![None; total];
        std::thread::scope(|scope| {
            let (answered, answers) = mpsc::channel();
            let work = &work;
            let workers: Vec<_> = (0..self.settings.parallel.clamp(1, requests.len().max(1)))
                .map(|_| {
                    let answered = answered.clone();
                    scope.spawn(move || work(answered))
                })
                .collect();
            drop(answered);
            let mut told = Ok(());
            'told: for (first, completions) in &answers {
                for (place, completion) in (first..).zip(completions) {
                    told = ended(place, &completion);
                    if told.is_err() {
                        halt.store(true, Ordering::SeqCst);
                        break 'told;
                    }
                    if let Some(room) = all.get_mut(place) {
                        *room = Some(completion);
                    }
                }
            }
            drop(answers);
            for worker in workers {
                let done = worker
                    .join()
                    .unwrap_or_else(|_| bail!("a thread that asks the server broke off"));
                told = told.and(done);
            }
            told
        })?;
        let all: Option<Vec<Completion>> = all.into_iter().collect();
        all.context("the server was not asked for every completion")
    }

    /// The completions of one prompt.
    fn completions(&self, request: &Request<'_>) -> Result<Vec<Completion>> {
        let root = self.settings.root();
        let url = match self.settings.server {
            Server::Vllm => format!("{root}/v1/completions"),
            Server::Sglang => format!("{root}/generate"),
        };
        let read = |text: String| {
            let read = match self.settings.server {
                Server::Vllm => reply::vllm(&text, &request.asked),
                Server::Sglang => reply::sglang(&text, &request.asked),
            };
            match read {
                Ok(completions) => Ok(Ok(completions)),
                Err(NoReply::Broken(what)) => Ok(Err(what.into())),
                Err(NoReply::Unfit(what)) => bail!(what),
            }
        };
        let asked = self.client.patiently(
            request.place,
            &self.stop,
            || Self::once(&url, || self.client.post(&url, &request.body), read),
            |number, what| tracing::warn!("{url}, try {number}: {what}"),
        )?;
        self.answer(&url, asked)
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
