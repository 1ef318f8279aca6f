//! Asking an OpenAI-compatible server for an answer.
//!
//! What may pass is tried again by [`crate::http`], and each failed try is
//! reported to the caller, by name. What is wrong with one answer leaves that one
//! out; a status that no other question would change ends the evaluation.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use clap::ValueEnum;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::fields::Fields;
use super::reply::{self, NoAnswer, Reply};
use crate::error::UserError;
use crate::http::{
    Asked, Client, NoReply, Patience, Place, Sent, ServerError, Trouble, check_address,
};
use crate::model::chat::Message;
use crate::random::stream;

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
    fields: Fields,
    /// What the server's chat template is told.
    kwargs: Map<String, Value>,
}

/// One question.
pub(crate) struct Question<'a> {
    /// What comes before the prompt.
    pub(crate) before: &'a [Message],
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
        fields: Fields,
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
            fields,
            kwargs: Map::new(),
        })
    }

    /// The same, its chat template told this; as vLLM, `SGLang` and llama.cpp call it.
    pub(crate) fn telling(self, kwargs: Map<String, Value>) -> Self {
        Self { kwargs, ..self }
    }

    /// What an evaluation's record says of it: who is asked by which interface
    /// with which settings, and no address.
    pub(crate) fn record(&self) -> Value {
        json!({"served_model": self.model, "api": self.api, "request": self.fields.record()})
    }

    /// The fields of a question that say how to sample.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
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
        let mut body = Value::Object(self.fields.of(seed));
        body["model"] = json!(self.model);
        match self.api {
            Api::Chat => {
                let asked = Message::of_user(question.prompt);
                let messages = [question.before, &[asked]].concat();
                body["messages"] = json!(messages);
                if !self.kwargs.is_empty() {
                    body["chat_template_kwargs"] = json!(self.kwargs);
                }
            }
            Api::Completions => {
                body["prompt"] = json!(Message::as_text(question.before, question.prompt));
            }
        }
        body
    }

    /// One try; an error is one that no other question would mend.
    fn once(&self, question: &Question) -> Result<Result<Reply, Trouble>> {
        let text = match self.client.post(&self.url, &self.body(question)) {
            Sent::Body(text) => text,
            Sent::Trouble(trouble) => return Ok(Err(trouble)),
            Sent::Refused(status, said) => return self.refused(status, &said).map(Err),
            Sent::Unsendable(what) => bail!(UserError(format!(
                "asking the server: {what}; mend --endpoint"
            ))),
        };
        let asked = reply::Asked {
            prompt: &Message::as_text(question.before, question.prompt),
            cap: self.fields.cap(),
            tokenizer: self.tokenizer.as_ref(),
        };
        match reply::read(&text, &asked) {
            Ok(reply) => Ok(Ok(reply)),
            Err(NoAnswer::Reply(NoReply::Broken(what))) => Ok(Err(what.into())),
            Err(NoAnswer::Reply(NoReply::Unfit(what))) => Ok(Err(Trouble::lasting(what))),
            Err(NoAnswer::Reply(NoReply::Refused(status, said))) => {
                let said = self.client.without_key(&said);
                bail!(UserError(self.fields.refusal(status, &said, &self.model)))
            }
            Err(NoAnswer::Uncounted(what)) => bail!(UserError(format!(
                "the server gives no count of {what}; give the model's tokenizer with --tokenizer and go on with --resume"
            ))),
        }
    }

    /// A refusal of one question, where the server's filter is what refused it;
    /// an error that says what to do where every other would be refused too.
    fn refused(&self, status: u16, said: &str) -> Result<Trouble> {
        let value: Value = serde_json::from_str(said).unwrap_or_default();
        match ServerError::of(&value) {
            Some(error) if error.is_of_a_filter() => Ok(Trouble::lasting(format!(
                "a filter withheld the answer: {}",
                error.message()
            ))),
            _ => bail!(UserError(self.fields.refusal(status, said, &self.model))),
        }
    }
}
