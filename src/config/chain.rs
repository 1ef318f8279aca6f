//! Chains: arms that start from the final weights of another arm of the same
//! seed, SFT and then RL for instance.
//!
//! Whatever an arm starts from, it is what a reference model holds it to.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Definition;

/// Where a chained arm starts, written `arm:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Init {
    /// The arm whose final weights it starts from.
    pub arm: String,
}

impl TryFrom<String> for Init {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("arm:") {
            Some(arm) if !arm.is_empty() => Ok(Self {
                arm: arm.to_owned(),
            }),
            _ => Err(format!(
                "init = {text:?}: write \"arm:NAME\", the arm whose final weights this one starts from"
            )),
        }
    }
}

impl From<Init> for String {
    fn from(init: Init) -> Self {
        format!("arm:{}", init.arm)
    }
}

impl Definition {
    /// Every chain begins at an arm that starts from the base, and no adapter
    /// lies upon an adapter.
    pub(super) fn check_chains(&self) -> Result<()> {
        for (name, arm) in &self.arm {
            let Some(init) = &arm.init else { continue };
            let place = format!("arm.{name}.init = \"arm:{}\"", init.arm);
            let start = self.arm.get(&init.arm).with_context(|| {
                let known: Vec<&str> = self.arm.keys().map(String::as_str).collect();
                format!(
                    "{place}: there is no such arm; the arms are {}",
                    known.join(", ")
                )
            })?;
            ensure!(
                arm.lora.is_none() || start.lora.is_none(),
                "{place}: both arms have a lora, and an adapter is kept beside weights that are in a folder; \
                 take the lora from one of them"
            );
            let mut passed = vec![name.as_str()];
            let mut at = &init.arm;
            loop {
                ensure!(
                    !passed.contains(&at.as_str()),
                    "{place}: {} start from each other in a circle; let one of them start from the base",
                    passed.join(", ")
                );
                passed.push(at);
                // A name that no arm has is refused where it stands.
                match self.arm.get(at).and_then(|arm| arm.init.as_ref()) {
                    Some(init) => at = &init.arm,
                    None => break,
                }
            }
        }
        Ok(())
    }
}
