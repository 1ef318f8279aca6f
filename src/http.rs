//! Asking a server over HTTP, patiently: what the evaluation of a server and
//! sampling from one have in common.
//!
//! What may pass is tried again with growing waits: 429, 408, 5xx, refused or
//! broken connections, time-outs, and bodies that broke off. Any other status
//! is the user's to mend and is given back at once. The key is sent and nothing
//! else: it is in no message and no record.
//!
//! What it deliberately does not do: know what is asked, or what to do about it.

mod body;

pub(crate) use body::{NoReply, ServerError, json};

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::RngExt;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::random::stream;

/// Bytes of a reply, at most: far beyond any completion.
const LARGEST_REPLY: u64 = 64 << 20;

/// Longest wait that a server may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Longest wait between two tries of our own.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Characters of what a server said that are shown.
const SHOWN: usize = 300;

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

/// How a question ended.
pub(crate) enum Asked<T> {
    /// With an answer.
    Answered(T),
    /// Without one, after all tries or after one that no other would mend; what
    /// befell the last of them.
    GaveUp(String),
    /// The user wants to stop.
    Stopped,
}

/// Why a try failed, and how long the server wants us to wait.
pub(crate) struct Trouble {
    /// In a few words, the same for all that failed in this way.
    pub(crate) what: String,
    /// Whether the connection says that the server may have ended.
    pub(crate) gone: bool,
    /// Whether it would befall every other try of the question too.
    lasting: bool,
    wait: Option<Duration>,
    /// The beginning of what the server said, where it said anything.
    said: String,
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Self {
            what,
            gone: false,
            lasting: false,
            wait: None,
            said: String::new(),
        }
    }
}

impl Trouble {
    /// One that no other try of the question would mend.
    pub(crate) fn lasting(what: String) -> Self {
        Self {
            lasting: true,
            ..what.into()
        }
    }
}

/// What came of one try.
pub(crate) enum Sent {
    /// The body of a reply that says that all is well.
    Body(String),
    /// Another try may do better.
    Trouble(Trouble),
    /// A status that no other try would change, and all that the server said.
    Refused(u16, String),
    /// The question could not be sent, and never will be.
    Unsendable(String),
}

/// Names one question, so that the waits of those who failed together differ.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Seed of the evaluation or the training.
    pub(crate) seed: u64,
    /// Such as item and sample.
    pub(crate) indices: [u64; 2],
}

/// Whoever asks.
pub(crate) struct Client {
    agent: Agent,
    key: Option<String>,
    patience: Patience,
}

/// Refuses what is no address, and one that holds a secret; `name` is what the
/// user calls it and `way_out` says where a key belongs.
pub(crate) fn check_address(url: &str, name: &str, way_out: &str) -> Result<()> {
    ensure!(
        url.starts_with("http://") || url.starts_with("https://"),
        "{name}: an address begins with http:// or https://, such as http://localhost:8000/v1"
    );
    let authority = url.split('/').nth(2).unwrap_or_default();
    ensure!(
        !authority.contains('@') && !url.contains('?'),
        "{name}: an address holds no key; {way_out}"
    );
    Ok(())
}

impl Client {
    /// Nothing is sent yet.
    pub(crate) fn new(key: Option<String>, patience: Patience) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(patience.timeout))
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            agent,
            key,
            patience,
        }
    }

    /// Tries until there is an answer, patience ends or `stop` is set; each
    /// failed try goes to `trouble` with its number from 1. An error of `once`
    /// is one that no other try would mend.
    pub(crate) fn patiently<T>(
        &self,
        place: Place,
        stop: &AtomicBool,
        once: impl Fn() -> Result<Result<T, Trouble>>,
        mut trouble: impl FnMut(u32, &str),
    ) -> Result<Asked<T>> {
        let mut last = String::new();
        for number in 1..=self.patience.tries {
            if stop.load(Ordering::SeqCst) {
                return Ok(Asked::Stopped);
            }
            let failed = match once()? {
                Ok(answer) => return Ok(Asked::Answered(answer)),
                Err(failed) => failed,
            };
            let what = self.without_key(&failed.what);
            trouble(number, &what);
            if failed.lasting {
                return Ok(Asked::GaveUp(what));
            }
            if number < self.patience.tries {
                let wait = failed.wait.unwrap_or_else(|| self.wait(place, number));
                let until = Instant::now() + wait;
                while Instant::now() < until && !stop.load(Ordering::SeqCst) {
                    let left = until.saturating_duration_since(Instant::now());
                    std::thread::sleep(left.min(Duration::from_millis(50)));
                }
            }
            last = match failed.said.as_str() {
                "" => what,
                said => format!("{what}: {said}"),
            };
        }
        Ok(Asked::GaveUp(last))
    }

    /// Twice as long after each try, and up to as long again, so that those who
    /// failed together do not come back together.
    fn wait(&self, place: Place, number: u32) -> Duration {
        let wait = self
            .patience
            .first_wait
            .saturating_mul(1u32.checked_shl(number - 1).unwrap_or(u32::MAX))
            .min(LONGEST_WAIT);
        let [first, second] = place.indices;
        let indices = [first, second, u64::from(number)];
        let jitter: f64 = stream(place.seed, "wait", &indices).random_range(0.0..1.0);
        wait.mul_f64(1.0 + jitter)
    }

    /// One try of a question with a body.
    pub(crate) fn post(&self, url: &str, body: &Value) -> Sent {
        let mut request = self.agent.post(url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.read(request.send_json(body))
    }

    /// One try of a question without one.
    pub(crate) fn get(&self, url: &str) -> Sent {
        let mut request = self.agent.get(url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.read(request.call())
    }

    fn read(&self, response: Result<Response<ureq::Body>, ureq::Error>) -> Sent {
        let mut response = match response {
            Ok(response) => response,
            Err(error) => return self.failed(&error),
        };
        let status = response.status().as_u16();
        let wait = retry_after(&response);
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST_REPLY)
            .lossy_utf8(true)
            .read_to_string();
        match (status, text) {
            (200..=299, Ok(text)) => Sent::Body(text),
            (200..=299, Err(error)) => self.failed(&error),
            (408 | 429 | 500..=599, text) => Sent::Trouble(Trouble {
                wait,
                said: self.shown(&text.unwrap_or_default()),
                ..format!("HTTP {status}").into()
            }),
            (_, text) => Sent::Refused(status, self.without_key(&text.unwrap_or_default())),
        }
    }

    /// The name of what befell a connection.
    fn failed(&self, error: &ureq::Error) -> Sent {
        use std::io::ErrorKind;
        let (what, gone) = match error {
            ureq::Error::Timeout(_) => ("no reply in time", false),
            ureq::Error::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused => ("connection refused", true),
                ErrorKind::TimedOut | ErrorKind::WouldBlock => ("no reply in time", false),
                _ => ("a broken connection", true),
            },
            ureq::Error::ConnectionFailed => ("connection refused", true),
            ureq::Error::HostNotFound => ("no such host", false),
            ureq::Error::Protocol(_) => ("a broken connection", true),
            ureq::Error::BodyExceedsLimit(_) => ("a reply without end", false),
            other => return Sent::Unsendable(self.shown(&other.to_string())),
        };
        Sent::Trouble(Trouble {
            gone,
            ..what.to_owned().into()
        })
    }

    /// The beginning of what a server said, in a line, without the key.
    fn shown(&self, text: &str) -> String {
        beginning(&self.without_key(text))
    }

    /// What a server said, without the key.
    pub(crate) fn without_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) if !key.is_empty() => text.replace(key, "(the key)"),
            _ => text.to_owned(),
        }
    }
}

/// The beginning of a text, in a line.
pub(crate) fn beginning(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(SHOWN).collect()
}

/// Seconds that the server asks to wait.
pub(crate) fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.to_str().ok()?;
    let seconds = Duration::from_secs(text.trim().parse().ok()?);
    Some(seconds.min(LONGEST_RETRY_AFTER))
}
