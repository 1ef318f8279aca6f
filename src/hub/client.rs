//! Asking the hub over HTTP.
//!
//! Redirects are followed by hand, because a token goes to the hub's own address and to
//! no other: large files lie elsewhere, under addresses that are signed.
//!
//! Source of the addresses and headers: `huggingface_hub`'s `file_download` and the
//! documentation of the hub's API.

use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::name::{Kind, Name, is_commit};
use crate::http::retry_after;

/// Redirects of one question, at most.
const REDIRECTS: usize = 8;

/// Bytes of a listing, at most; the hub's largest data sets have some 10,000 files.
const LARGEST_LISTING: u64 = 64 << 20;

/// Time in which something has to come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The hub, or a mirror of it.
pub(super) struct Client {
    agent: Agent,
    /// Its address, without a slash at the end.
    endpoint: String,
    token: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another try may go well, after so long where the hub says so.
    Passing(String, Option<Duration>),
    /// No other try would.
    Refused(Refusal),
}

/// What the hub refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It knows no such repository, or does not tell this user of it.
    Repository,
    /// The repository has no such revision.
    Revision,
    /// The revision has no such file.
    File,
    /// The repository is open to those alone who accepted its terms.
    Gated,
    /// It does not accept the token.
    Token,
    /// Anything else, in words.
    Other(String),
}

/// What a commit holds.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// The commit.
    #[serde(rename = "sha")]
    pub(super) commit: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Listing {
    /// The paths of its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.siblings.iter().map(|file| file.rfilename.as_str())
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.files().any(|known| known == file)
    }
}

/// What is known of a file before it is downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// The name of its content: the SHA-256 of a large file, the hash that Git gives
    /// the content of any other.
    pub(super) etag: String,
    /// Bytes; `None` where the hub does not say.
    pub(super) size: Option<u64>,
}

impl Client {
    /// Nothing is sent yet; `endpoint` is an address without a slash at the end.
    pub(super) fn new(endpoint: &str, token: Option<String>) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_per_read(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("qinglan/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self {
            agent,
            endpoint: endpoint.to_owned(),
            token,
        }
    }

    /// The files of a revision.
    pub(super) fn list(&self, name: &Name) -> Result<Listing, Trouble> {
        let url = format!(
            "{}/api/{}/{}/revision/{}",
            self.endpoint,
            name.kind.plural(),
            name.repo,
            encoded(name.revision(), "")
        );
        let mut response = self.ask(&url, false, 0)?;
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST_LISTING)
            .read_to_string()
            .map_err(|error| trouble(&error))?;
        let listing: Listing = serde_json::from_str(&text).map_err(|error| {
            Trouble::Refused(Refusal::Other(format!(
                "{url} answers with no listing of files ({error})"
            )))
        })?;
        if !is_commit(&listing.commit) {
            return Err(Trouble::Refused(Refusal::Other(format!(
                "{url} names no commit"
            ))));
        }
        Ok(listing)
    }

    /// What the hub says of a file of a commit.
    pub(super) fn facts(&self, url: &str) -> Result<FileFacts, Trouble> {
        let response = self.ask(url, true, 0)?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let etag = header("x-linked-etag").or(header("etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
        let is_name = |etag: &&str| {
            !etag.is_empty() && etag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let Some(etag) = etag.filter(is_name) else {
            return Err(Trouble::Refused(Refusal::Other(format!(
                "{url} has no entity tag (ETag) that could name its content"
            ))));
        };
        // The length of a redirect is not that of the file.
        let length = (!response.status().is_redirection()).then(|| header("content-length"));
        let size = header("x-linked-size").or(length.flatten());
        Ok(FileFacts {
            etag: etag.to_owned(),
            size: size.and_then(|size| size.parse().ok()),
        })
    }

    /// A file's content from a byte on; status 200 says that all of it comes.
    pub(super) fn open(&self, url: &str, from: u64) -> Result<Response<Body>, Trouble> {
        self.ask(url, false, from)
    }

    /// The address of a file of a commit.
    pub(super) fn address(&self, name: &Name, commit: &str, file: &str) -> String {
        let kind = match name.kind {
            Kind::Model => "",
            Kind::DataSet => "datasets/",
        };
        let file = encoded(file, "/");
        format!(
            "{}/{kind}{}/resolve/{commit}/{file}",
            self.endpoint, name.repo
        )
    }

    /// One question. Of a file alone whose head is asked for (`head`), a redirect to
    /// another address is the answer: what the hub says of it stands there.
    fn ask(&self, url: &str, head: bool, from: u64) -> Result<Response<Body>, Trouble> {
        let own = origin(&self.endpoint);
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = if head {
                self.agent.head(&url)
            } else {
                self.agent.get(&url)
            };
            // A length and a hash are of the file as it is.
            request = request.header("accept-encoding", "identity");
            if from > 0 {
                request = request.header("range", format!("bytes={from}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| origin(&url) == own) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| trouble(&error))?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return self.judged(response, &url);
            }
            let location = response.headers().get("location");
            let location = location.and_then(|location| location.to_str().ok());
            let next = match location {
                Some(location) if location.starts_with("//") => None,
                Some(location) if location.starts_with('/') => {
                    Some(format!("{}{location}", origin(&url)))
                }
                Some(location) if origin(location) != location => Some(location.to_owned()),
                _ => None,
            };
            let Some(next) = next else {
                return Err(Trouble::Refused(Refusal::Other(format!(
                    "{url} leads to no address (HTTP {status})"
                ))));
            };
            if head && origin(&next) != own {
                return Ok(response);
            }
            url = next;
        }
        Err(Trouble::Refused(Refusal::Other(format!(
            "{url} leads on and on ({REDIRECTS} redirects)"
        ))))
    }

    /// An answer that is one, or what is refused.
    fn judged(&self, response: Response<Body>, url: &str) -> Result<Response<Body>, Trouble> {
        let status = response.status().as_u16();
        if matches!(status, 200..=299) {
            return Ok(response);
        }
        let code = response.headers().get("x-error-code");
        let code = code.and_then(|code| code.to_str().ok()).unwrap_or_default();
        let host = origin(url);
        let refusal = match (status, code) {
            (408 | 429 | 500..=599, _) => {
                let what = format!("HTTP {status} from {host}");
                return Err(Trouble::Passing(what, retry_after(&response)));
            }
            (_, "GatedRepo") => Refusal::Gated,
            (_, "RepoNotFound") => Refusal::Repository,
            (_, "RevisionNotFound") => Refusal::Revision,
            (_, "EntryNotFound") => Refusal::File,
            // The hub says the same of what it does not know and of what is private.
            (401, _) if self.token.is_none() => Refusal::Repository,
            (401, _) => Refusal::Token,
            (404, _) => Refusal::Repository,
            _ => Refusal::Other(format!("HTTP {status} from {url}")),
        };
        Err(Trouble::Refused(refusal))
    }
}

/// Scheme and host of an address; the text itself where it has neither.
pub(super) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(url.len(), |at| at + 3);
    let end = url[start..].find(['/', '?', '#']);
    &url[..end.map_or(url.len(), |end| start + end)]
}

/// What befell a connection: mostly what another may not meet with.
fn trouble(error: &ureq::Error) -> Trouble {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    match error {
        Io(_) | Timeout(_) | Protocol(_) | HostNotFound | ConnectionFailed => {
            Trouble::Passing(error.to_string(), None)
        }
        _ => Trouble::Refused(Refusal::Other(error.to_string())),
    }
}

/// A text as a part of an address; letters of `kept` stay.
fn encoded(text: &str, kept: &str) -> String {
    let mut address = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(letter) || kept.contains(letter) {
            address.push(letter);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_origin_and_encode_the_rest() {
        let client = Client::new("https://hub.example", None);
        let name = Name::data("hf://datasets/a/b/c d/e.parquet".as_ref());
        let name = name.unwrap().unwrap();
        let url = client.address(&name, "0123", "c d/e%.parquet");
        let expected = "https://hub.example/datasets/a/b/resolve/0123/c%20d/e%25.parquet";
        assert_eq!(url, expected);
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
        for (url, expected) in [
            ("https://hub.example/a", "https://hub.example"),
            ("http://127.0.0.1:80?x", "http://127.0.0.1:80"),
            ("https://hub.example", "https://hub.example"),
            ("elsewhere", "elsewhere"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }
}
