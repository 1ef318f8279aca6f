//! Asking an OpenAI-compatible server for an answer.
//!
//! What may pass is tried again by [`crate::http`], and each failed try is told
//! to whoever asked, by name. Any status that does not pass ends the evaluation
//! at once.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use clap::ValueEnum;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::reply::{self, NoReply, Reply};
use crate::http::{Asked, Client, Patience, Place, Sent, Trouble, check_address};
use crate::random::stream;
use crate::runner::UserError;

/// Which of the two interfaces is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// `/chat/completions`: through the server's chat template.
    Chat,
    /// `/completions`: the prompt as it stands.
    Completions,
}

/// A server, and how it is asked.
pub(crate) struct Endpoint {
    client: Client,
    url: String,
    api: Api,
    model: String,
    tokenizer: Option<Tokenizer>,
    temperature: f64,
    max_new_tokens: usize,
}

/// One question.
pub(crate) struct Question<'a> {
    /// The text.
    pub(crate) prompt: &'a str,
    /// Seed of the evaluation.
    pub(crate) seed: u64,
    /// Item and sample.
    pub(crate) place: [u64; 2],
}

/// What makes an [`Endpoint`].
pub(crate) struct Address {
    /// Where it is, such as `http://localhost:8000/v1`.
    pub(crate) url: String,
    /// Which interface.
    pub(crate) api: Api,
    /// The key, where it wants one.
    pub(crate) key: Option<String>,
    /// The model's name there.
    pub(crate) model: String,
}

impl Endpoint {
    /// A server; nothing is sent yet.
    pub(crate) fn new(
        address: Address,
        tokenizer: Option<Tokenizer>,
        temperature: f64,
        max_new_tokens: usize,
        patience: Patience,
    ) -> Result<Self> {
        let Address {
            url,
            api,
            key,
            model,
        } = address;
        let way_out = "put it into the variable that --api-key-env names";
        check_address(&url, "--endpoint", way_out)?;
        let path = match api {
            Api::Chat => "/chat/completions",
            Api::Completions => "/completions",
        };
        let url = url.trim_end_matches('/');
        let url = url.strip_suffix(path).unwrap_or(url);
        Ok(Self {
            client: Client::new(key, patience),
            url: format!("{url}{path}"),
            api,
            model,
            tokenizer,
            temperature,
            max_new_tokens,
        })
    }

    /// The model's name there.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Asks until there is an answer, patience ends or `stop` is set; each
    /// failed try goes to `trouble` with its number from 1.
    pub(crate) fn ask(
        &self,
        question: &Question,
        stop: &AtomicBool,
        trouble: impl FnMut(u32, &str),
    ) -> Result<Asked<Reply>> {
        let place = Place {
            seed: question.seed,
            indices: question.place,
        };
        self.client
            .patiently(place, stop, || self.once(question), trouble)
    }

    fn body(&self, question: &Question) -> Value {
        // A server that knows seeds then gives the same answer again; 31 bits,
        // because some read it into an int.
        let seed: u32 = stream(question.seed, "endpoint", &question.place).random_range(0..1 << 31);
        let mut body = json!({
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_new_tokens,
            "seed": seed,
        });
        match self.api {
            Api::Chat => {
                body["messages"] = json!([{"role": "user", "content": question.prompt}]);
            }
            Api::Completions => body["prompt"] = json!(question.prompt),
        }
        body
    }

    /// One try; an error is one that no other try would mend.
    fn once(&self, question: &Question) -> Result<Result<Reply, Trouble>> {
        let text = match self.client.post(&self.url, &self.body(question)) {
            Sent::Body(text) => text,
            Sent::Trouble(trouble) => return Ok(Err(trouble)),
            Sent::Refused(status, said) => bail!(UserError(format!(
                "the server answers HTTP {status} to the question for {}: {said}; mend --endpoint, --served-model, --api or the key",
                self.model
            ))),
            Sent::Unsendable(what) => bail!(UserError(format!(
                "asking the server: {what}; mend --endpoint"
            ))),
        };
        match reply::read(&text, question.prompt, self.tokenizer.as_ref()) {
            Ok(reply) => Ok(Ok(reply)),
            Err(NoReply::Broken(what)) => Ok(Err(what.into())),
            Err(NoReply::Uncounted(what)) => bail!(UserError(format!(
                "the server gives no count of {what}; give the model's tokenizer with --tokenizer and go on with --resume"
            ))),
        }
    }
}
