//! Asking a server for completions: what goes to it, several prompts at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Result, bail};
use rand::RngExt;
use serde_json::{Value, json};

use super::reply;
use super::{AWAY, Sampler, Server};
use crate::generation::{Completion, Ended, GenerationError, Key, Sampling};
use crate::http::{NoReply, Place};
use crate::model::Model;
use crate::random::stream;

/// A prompt on its way to the server.
pub(super) struct Request<'a> {
    /// Place of its first completion among all.
    first: usize,
    body: Value,
    place: Place,
    asked: reply::Asked<'a>,
}

impl Sampler {
    /// The question for `count` completions of a prompt.
    pub(super) fn request<'a>(
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
        let mut drawn = Value::Object(sampling.request_fields());
        drawn["n"] = json!(count);
        drawn["stop_token_ids"] = json!(asked.ends);
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

    /// Asks the requests that lack an answer in `all`, several at a time, and
    /// tells of completions as they come. Where the server went away, some are
    /// lacking still.
    pub(super) fn ask(
        &self,
        requests: &[Request<'_>],
        all: &mut [Option<Completion>],
        ended: Ended<'_>,
    ) -> Result<()> {
        let lacks = |request: &&Request<'_>| matches!(all.get(request.first), Some(None));
        let requests: Vec<&Request<'_>> = requests.iter().filter(lacks).collect();
        let next = AtomicUsize::new(0);
        // Set by whoever met what no other try would mend, or no server.
        let halt = AtomicBool::new(false);
        let work = |answered: &mpsc::Sender<(usize, Vec<Completion>)>| -> Result<()> {
            while !halt.load(Ordering::SeqCst) {
                let Some(request) = requests.get(next.fetch_add(1, Ordering::SeqCst)) else {
                    break;
                };
                let Some(completions) = self.completions(request)? else {
                    halt.store(true, Ordering::SeqCst);
                    break;
                };
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
        })
    }

    /// The completions of one prompt; `None` where the server may have ended,
    /// and with it what it was given.
    fn completions(&self, request: &Request<'_>) -> Result<Option<Vec<Completion>>> {
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
                Err(NoReply::Unfit(what)) => bail!(self.client.without_key(&what)),
                Err(NoReply::Refused(status, said)) => bail!(
                    "the server answers HTTP {status}: {}",
                    self.client.without_key(&said)
                ),
            }
        };
        let once = || {
            let tried = Self::once(&url, || self.client.post(&url, &request.body), read)?;
            Ok(match tried {
                Err(trouble) if trouble.gone => Ok(None),
                tried => tried.map(Some),
            })
        };
        let asked = self
            .client
            .patiently(request.place, &self.stop, once, |number, what| {
                tracing::warn!("{url}, try {number}: {what}");
            })?;
        self.answer((&url, AWAY), asked)
    }
}
