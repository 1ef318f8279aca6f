//! Asking an OpenAI-compatible server, patiently.
//!
//! What may pass is tried again with growing waits: 429, 408, 5xx, refused or
//! broken connections, time-outs, and bodies that are no reply. Each of these
//! is told to whoever asked, by name. Any other status is the user's to mend
//! and ends the evaluation at once. The key is sent and nothing else: it is in
//! no error and no record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use ureq::Agent;
use ureq::http::Response;

use super::reply::{self, NoReply, Reply};
use crate::random::stream;
use crate::runner::UserError;

/// Bytes of a reply, at most: far beyond any completion.
const LARGEST_REPLY: u64 = 64 << 20;

/// Longest wait that a server may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Longest wait between two tries of our own.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Bytes of a refusal that are shown.
const SHOWN: usize = 300;

/// Which of the two interfaces is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// `/chat/completions`: through the server's chat template.
    Chat,
    /// `/completions`: the prompt as it stands.
    Completions,
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Tries of a question, at least one.
    pub(crate) tries: u32,
    /// Wait after the first; it doubles from try to try.
    pub(crate) first_wait: Duration,
    /// Time for one reply.
    pub(crate) timeout: Duration,
}

/// A server, and how it is asked.
pub(crate) struct Endpoint {
    agent: Agent,
    url: String,
    api: Api,
    key: Option<String>,
    model: String,
    tokenizer: Option<Tokenizer>,
    temperature: f64,
    max_new_tokens: usize,
    patience: Patience,
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

/// How a question ended.
pub(crate) enum Asked {
    /// With an answer.
    Answered(Reply),
    /// After all tries, without one.
    GaveUp,
    /// The user wants to stop.
    Stopped,
}

/// Why a try failed, and how long the server wants us to wait.
struct Trouble {
    what: String,
    wait: Option<Duration>,
}

impl From<&str> for Trouble {
    fn from(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            wait: None,
        }
    }
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
        ensure!(
            url.starts_with("http://") || url.starts_with("https://"),
            "--endpoint: an address begins with http:// or https://, such as http://localhost:8000/v1"
        );
        let authority = url.split('/').nth(2).unwrap_or_default();
        ensure!(
            !authority.contains('@') && !url.contains('?'),
            "--endpoint: an address holds no key; put it into the variable that --api-key-env names"
        );
        let path = match api {
            Api::Chat => "/chat/completions",
            Api::Completions => "/completions",
        };
        let url = url.trim_end_matches('/');
        let url = url.strip_suffix(path).unwrap_or(url);
        let agent = Agent::config_builder()
            .timeout_global(Some(patience.timeout))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self {
            agent,
            url: format!("{url}{path}"),
            api,
            key,
            model,
            tokenizer,
            temperature,
            max_new_tokens,
            patience,
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
        mut trouble: impl FnMut(u32, &str),
    ) -> Result<Asked> {
        for number in 1..=self.patience.tries {
            if stop.load(Ordering::SeqCst) {
                return Ok(Asked::Stopped);
            }
            let failed = match self.once(question)? {
                Ok(reply) => return Ok(Asked::Answered(reply)),
                Err(failed) => failed,
            };
            trouble(number, &failed.what);
            if number < self.patience.tries {
                let wait = failed.wait.unwrap_or_else(|| self.wait(question, number));
                let until = Instant::now() + wait;
                while Instant::now() < until && !stop.load(Ordering::SeqCst) {
                    let left = until.saturating_duration_since(Instant::now());
                    std::thread::sleep(left.min(Duration::from_millis(50)));
                }
            }
        }
        Ok(Asked::GaveUp)
    }

    /// Twice as long after each try, and up to as long again, so that those who
    /// failed together do not come back together.
    fn wait(&self, question: &Question, number: u32) -> Duration {
        let wait = self
            .patience
            .first_wait
            .saturating_mul(1u32.checked_shl(number - 1).unwrap_or(u32::MAX))
            .min(LONGEST_WAIT);
        let [item, sample] = question.place;
        let place = [item, sample, u64::from(number)];
        let jitter: f64 = stream(question.seed, "wait", &place).random_range(0.0..1.0);
        wait.mul_f64(1.0 + jitter)
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
        let mut request = self.agent.post(&self.url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = match request.send_json(self.body(question)) {
            Ok(response) => response,
            Err(error) => return self.failed(&error).map(Err),
        };
        let status = response.status().as_u16();
        let wait = retry_after(&response);
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST_REPLY)
            .lossy_utf8(true)
            .read_to_string();
        match status {
            200..=299 => {}
            408 | 429 | 500..=599 => {
                let what = format!("HTTP {status}");
                return Ok(Err(Trouble { what, wait }));
            }
            _ => bail!(UserError(format!(
                "the server answers HTTP {status} to the question for {}: {}; mend --endpoint, --served-model, --api or the key",
                self.model,
                self.shown(&text.unwrap_or_default())
            ))),
        }
        let text = match text {
            Ok(text) => text,
            Err(error) => return self.failed(&error).map(Err),
        };
        match reply::read(&text, question.prompt, self.tokenizer.as_ref()) {
            Ok(reply) => Ok(Ok(reply)),
            Err(NoReply::Broken(what)) => Ok(Err(what.into())),
            Err(NoReply::Uncounted(what)) => bail!(UserError(format!(
                "the server gives no count of {what}; give the model's tokenizer with --tokenizer and go on with --resume"
            ))),
        }
    }

    /// The name of what befell a connection.
    fn failed(&self, error: &ureq::Error) -> Result<Trouble> {
        use std::io::ErrorKind;
        Ok(match error {
            ureq::Error::Timeout(_) => "no reply in time".into(),
            ureq::Error::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused => "connection refused".into(),
                ErrorKind::TimedOut | ErrorKind::WouldBlock => "no reply in time".into(),
                _ => "a broken connection".into(),
            },
            ureq::Error::ConnectionFailed => "connection refused".into(),
            ureq::Error::HostNotFound => "no such host".into(),
            ureq::Error::Protocol(_) => "a broken connection".into(),
            ureq::Error::BodyExceedsLimit(_) => "a reply without end".into(),
            other => bail!(UserError(format!(
                "asking the server: {}; mend --endpoint",
                self.shown(&other.to_string())
            ))),
        })
    }

    /// The beginning of what a server said, in a line, without the key.
    fn shown(&self, text: &str) -> String {
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = match &self.key {
            Some(key) if !key.is_empty() => line.replace(key, "(the key)"),
            _ => line,
        };
        line.chars().take(SHOWN).collect()
    }
}

/// Seconds that the server asks to wait.
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.to_str().ok()?;
    let seconds = Duration::from_secs(text.trim().parse().ok()?);
    Some(seconds.min(LONGEST_RETRY_AFTER))
}
