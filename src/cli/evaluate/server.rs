//! The server that `qinglan evaluate` asks: its arguments, and what they make.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use tokenizers::Tokenizer;

use crate::evaluate::endpoint::{Address, Api, Endpoint};
use crate::evaluate::fields::Fields;
use crate::generation::Sampling;
use crate::http::Patience;

/// Questions that may be asked at the same time.
const MOST_AT_ONCE: usize = 256;

/// Arguments that are of a server alone.
#[derive(Args)]
pub(super) struct ServerArguments {
    /// An OpenAI-compatible server, such as `http://localhost:8000/v1`.
    #[arg(long, value_name = "URL", requires = "served")]
    endpoint: Option<String>,
    /// The model's name at the server.
    #[arg(long = "served-model", value_name = "NAME", requires = "endpoint")]
    served: Option<String>,
    /// Which of the server's interfaces is asked.
    #[arg(long, value_enum, default_value = "chat", requires = "endpoint")]
    api: Api,
    /// Fields of a question that the server calls otherwise, `FIELD=NAME`, or refuses, `FIELD=`; separated by
    /// commas, such as `max_tokens=max_completion_tokens,top_k=,min_p=`.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        requires = "endpoint"
    )]
    request_fields: Vec<String>,
    /// Counts tokens where the server does not: a folder with a tokenizer.json, or that file.
    #[arg(long, value_name = "DIR|FILE", requires = "endpoint")]
    tokenizer: Option<PathBuf>,
    /// The environment variable that holds the server's key.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "OPENAI_API_KEY",
        requires = "endpoint"
    )]
    api_key_env: String,
    /// Questions asked at the same time.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "endpoint")]
    concurrency: usize,
    /// Tries of a question before it is given up.
    #[arg(long, value_name = "N", default_value_t = 6, requires = "endpoint")]
    tries: u32,
    /// Seconds after which a try without a reply has failed.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 600,
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        requires = "endpoint"
    )]
    timeout: u64,
}

impl ServerArguments {
    /// Whether a server is to be asked.
    pub(super) fn is_given(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Questions asked at the same time.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The server, asked with `sampling`; `None` where none is given.
    pub(super) fn endpoint(&self, sampling: &Sampling) -> Result<Option<Endpoint>> {
        let (Some(url), Some(model)) = (&self.endpoint, &self.served) else {
            return Ok(None);
        };
        ensure!(
            (1..=MOST_AT_ONCE).contains(&self.concurrency),
            "--concurrency {}: ask between 1 and {MOST_AT_ONCE} questions at a time",
            self.concurrency
        );
        ensure!(self.tries > 0, "--tries 0: try each question at least once");
        let key = std::env::var(&self.api_key_env)
            .ok()
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty());
        let address = Address {
            url: url.clone(),
            api: self.api,
            key,
            model: model.clone(),
        };
        let patience = Patience {
            tries: self.tries,
            first_wait: Duration::from_secs(1),
            timeout: Duration::from_secs(self.timeout),
        };
        let fields = Fields::new(sampling, &self.request_fields)?;
        let tokenizer = self.tokenizer.as_deref().map(tokenizer).transpose()?;
        Ok(Some(Endpoint::new(address, tokenizer, fields, patience)?))
    }
}

/// The tokenizer of a folder, or of a file.
fn tokenizer(path: &Path) -> Result<Tokenizer> {
    let file = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        path.to_owned()
    };
    let place = || format!("--tokenizer {}", file.display());
    let bytes = experiments::text::bytes(&file).with_context(place)?;
    let mut tokenizer = Tokenizer::from_bytes(&bytes)
        .map_err(|error| anyhow!("{error}"))
        .with_context(place)?;
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| anyhow!("{error}"))
        .with_context(place)?;
    Ok(tokenizer)
}
