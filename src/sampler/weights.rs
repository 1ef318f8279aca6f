//! Giving a server the policy: written as a model folder, then loaded.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{AWAY, Sampler, Server};
use crate::files;
use crate::model::{Model, folder};

impl Sampler {
    /// Writes the policy where the server finds it, and has it loaded.
    pub(super) fn refresh(&mut self, model: &Model, step: u64) -> Result<()> {
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
        self.patiently((url, AWAY), || self.client.post(url, body), done)
            .with_context(|| format!(
                "the server did not load the policy in {at}: it must be able to read that folder (sampler.weights){vllm}"
            ))
    }
}
