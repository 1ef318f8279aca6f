//! A network's configuration, weights and adapter, as one thing.
//!
//! What it computes is [`crate::network`]'s matter, how completions are sampled from it
//! [`crate::generation`]'s.

use tch::{Device, Tensor};

use super::adapter::Adapter;
use super::{ModelConfig, Weights};

/// A network with its weights.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    weights: Weights,
    adapter: Option<Adapter>,
}

impl Decoder {
    /// A decoder over weights whose layout is the configuration's.
    pub fn new(config: ModelConfig, weights: Weights) -> Self {
        Self {
            config,
            weights,
            adapter: None,
        }
    }

    /// The same network with its weights frozen and an adapter to train.
    #[must_use]
    pub fn with_adapter(self, adapter: Adapter) -> Self {
        Self {
            adapter: Some(adapter),
            ..self
        }
    }

    /// The network without its adapter, over the same memory: what a policy
    /// with an adapter is held to as its reference model.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self::new(self.config.clone(), self.weights.share())
    }

    /// Shape and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Parameters of the network, without those of an adapter.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The adapter, where there is one.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// What training changes: the adapter where there is one, else everything.
    pub fn trainable(&self) -> &Weights {
        self.adapter
            .as_ref()
            .map_or(&self.weights, |adapter| adapter.weights())
    }

    /// A parameter as the network applies it: an adapter's change included.
    pub fn merged(&self, name: &str) -> Tensor {
        let plain = self.weights.get(name);
        self.adapter
            .as_ref()
            .and_then(|adapter| adapter.change(name, plain))
            .map_or_else(|| plain.shallow_clone(), |change| plain + change)
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.weights.flat().device()
    }
}
