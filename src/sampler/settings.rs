//! `[arm.NAME.sampler]`: which server draws an arm's rollouts, and how what it
//! drew is weighed.

use std::path::PathBuf;
use std::time::Duration;

use algorithms::{Correction, CorrectionMode};
use serde::{Deserialize, Serialize};

use crate::http::{Patience, check_address};

/// Prompts that may be asked at the same time.
const MOST_AT_ONCE: usize = 1024;

/// Most tries of a question; their waits then are as long as a day.
const MOST_TRIES: u32 = 1000;

/// Seconds beyond which a reply is not waited for; a clock has an end too.
const LONGEST_TIMEOUT: u64 = 86_400;

/// Which server it is: how it is asked for token ids, and how it takes weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// vLLM: `/v1/completions` with `return_token_ids`, and `/collective_rpc`
    /// with `reload_weights`, which is there with `VLLM_SERVER_DEV_MODE=1`.
    /// `--logprobs-mode processed_logprobs` makes it give log-probabilities at
    /// the temperature of sampling.
    #[default]
    Vllm,
    /// `SGLang`: `/generate` with `return_logprob`, and `/update_weights_from_disk`.
    Sglang,
}

/// `[arm.NAME.sampler]`: the arm's rollouts come from a server. Validation and
/// evaluation stay the lab's own.
///
/// Worked example: `endpoint = "http://127.0.0.1:8000/v1"`, `model = "policy"`,
/// of a server started with `VLLM_SERVER_DEV_MODE=1 vllm serve BASE
/// --served-model-name policy --logprobs-mode processed_logprobs`, `BASE` being
/// the folder of the model that the arm starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerSettings {
    /// Which server it is.
    #[serde(default)]
    pub server: Server,
    /// Its address, such as `http://127.0.0.1:8000/v1`.
    pub endpoint: String,
    /// The model's name there; refused where the server has no such model.
    pub model: String,
    /// Where it is told to load weights, if elsewhere than at the server's own
    /// address. It is sent what the server's own address would be: for vLLM
    /// `{"method": "reload_weights", "kwargs": {"weights_path": FOLDER}}`, for
    /// `SGLang` `{"model_path": FOLDER, "flush_cache": true}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
    /// Folder that the server can read too, in which the policy is written as
    /// `qinglan-ARM-seed-S/step-N` before each collection; the arm's own folder
    /// where nothing is said. What is written is removed when the arm has ended.
    /// A relative path starts at the definition's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// The environment variable that holds the server's key, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Seconds for one reply: of all completions of a problem, or of loading weights.
    #[serde(default = "timeout")]
    pub timeout: u64,
    /// Tries of a question; the waits between double from one second on.
    #[serde(default = "tries")]
    pub tries: u32,
    /// Problems that are asked at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// Whether the difference between the server's log-probabilities and the
    /// trainer's is corrected for.
    #[serde(default = "yes")]
    pub importance_sampling_correction: bool,
    /// What becomes of the ratio of the two; TRL's is `sequence_mask`.
    #[serde(default)]
    pub importance_sampling_mode: CorrectionMode,
    /// The bound of the ratio.
    #[serde(default = "clip_max")]
    pub importance_sampling_clip_max: f64,
}

fn timeout() -> u64 {
    600
}

fn tries() -> u32 {
    8
}

fn parallel() -> usize {
    32
}

fn yes() -> bool {
    true
}

fn clip_max() -> f64 {
    3.0
}

impl SamplerSettings {
    /// What contradicts itself, as one sentence that begins with the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        let way_out = "put it into the variable that api_key_env names";
        for (key, url) in [
            ("endpoint", Some(&self.endpoint)),
            ("reload", self.reload.as_ref()),
        ] {
            if let Some(url) = url {
                check_address(url, key, way_out).map_err(|error| error.to_string())?;
            }
        }
        if self.model.is_empty() {
            return Err("model is empty: give the name under which the server has it".to_owned());
        }
        if !(1..=LONGEST_TIMEOUT).contains(&self.timeout) {
            return Err(format!(
                "timeout = {}: between 1 and {LONGEST_TIMEOUT} seconds, a day",
                self.timeout
            ));
        }
        if !(1..=MOST_TRIES).contains(&self.tries) {
            return Err(format!(
                "tries = {}: between 1 and {MOST_TRIES}",
                self.tries
            ));
        }
        if !(1..=MOST_AT_ONCE).contains(&self.parallel) {
            return Err(format!(
                "parallel = {}: between 1 and {MOST_AT_ONCE} problems are asked at the same time",
                self.parallel
            ));
        }
        let bound = self.importance_sampling_clip_max;
        if !(bound.is_finite() && bound >= 1.0) {
            return Err(format!(
                "importance_sampling_clip_max = {bound}: it bounds a ratio that is 1 where server and trainer agree, so it is at least 1"
            ));
        }
        Ok(())
    }

    /// How the rollouts are weighed; `None` where they are taken as they are.
    pub(crate) fn correction(&self) -> Option<Correction> {
        self.importance_sampling_correction.then_some(Correction {
            mode: self.importance_sampling_mode,
            clip_max: self.importance_sampling_clip_max,
        })
    }

    pub(super) fn patience(&self) -> Patience {
        Patience {
            tries: self.tries,
            first_wait: Duration::from_secs(1),
            timeout: Duration::from_secs(self.timeout),
        }
    }

    /// The server's address without the path of its interface.
    pub(super) fn root(&self) -> &str {
        let url = self.endpoint.trim_end_matches('/');
        url.strip_suffix("/v1").unwrap_or(url)
    }

    /// What a reader of a run must know of the arm `name`.
    pub(crate) fn note(&self, name: &str) -> String {
        let server = match self.server {
            Server::Vllm => "vLLM",
            Server::Sglang => "SGLang",
        };
        format!(
            "{name} was sampled by another engine, {server}: its rollouts are not the lab's draws, and neither a repetition nor a resumption draws the same ones unless that server is deterministic."
        )
    }
}
