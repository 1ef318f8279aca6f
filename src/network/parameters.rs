//! Where a network finds its parameters: in a decoder in memory, to train and to score, or
//! one after another by their names in a checkpoint, to sample with.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::dropout::Dropout;
use crate::model::weights::{self, Weights};
use crate::model::{Adapter, ModelConfig};

/// Parameters by checkpoint name, float32, an adapter merged.
pub type Source<'a> = &'a dyn Fn(&str) -> Result<Tensor>;

/// The parameters of a network.
pub(crate) struct Parameters<'a> {
    /// What the network is.
    pub(super) config: &'a ModelConfig,
    /// What products take.
    pub(super) kind: Kind,
    pub(super) place: Place<'a>,
}

/// Where they are.
pub(super) enum Place<'a> {
    /// In memory, with their gradients beside.
    Memory(Memory<'a>),
    /// Read by name, each leaf once, and put where the network samples.
    Named {
        read: Source<'a>,
        /// The parameters that a leaf is made of.
        leaves: BTreeMap<String, Vec<String>>,
        device: Device,
        /// Whether products are packed for the kernels of the CPU.
        packs: bool,
    },
}

/// The parameters of a decoder.
pub(super) struct Memory<'a> {
    pub(super) weights: &'a Weights,
    /// The weights as products take them, in the layout of the weights.
    pub(super) operands_P: Tensor,
    /// In the layout of what is trained; absent where nothing is.
    pub(super) gradient_P: Option<Tensor>,
    pub(super) adapter: Option<&'a Adapter>,
    /// What the adapter drops of its inputs; absent where it never does.
    pub(super) dropout: Option<Rc<Dropout>>,
}

impl<'a> Parameters<'a> {
    /// Parameters by name, to sample with.
    pub(crate) fn named(
        config: &'a ModelConfig,
        read: Source<'a>,
        device: Device,
        kind: Kind,
        packs: bool,
    ) -> Self {
        let place = Place::Named {
            read,
            leaves: weights::leaf_parts(config),
            device,
            packs,
        };
        Self {
            config,
            kind,
            place,
        }
    }

    /// A leaf in float32, as it is trained or stored; `None` where the layout has none.
    pub(super) fn master(&self, leaf: &str) -> Result<Option<Tensor>> {
        match &self.place {
            Place::Memory(memory) => Ok(memory.weights.view(memory.weights.flat(), leaf)),
            Place::Named { read, leaves, .. } => {
                let Some(names) = leaves.get(leaf) else {
                    return Ok(None);
                };
                let parts: Result<Vec<Tensor>> = names.iter().map(|name| read(name)).collect();
                Ok(Some(match parts?.as_slice() {
                    [one] => one.shallow_clone(),
                    several => Tensor::cat(several, 0),
                }))
            }
        }
    }

    /// A leaf as products take it, on its device.
    pub(super) fn operand(&self, leaf: &str) -> Result<Option<Tensor>> {
        match &self.place {
            Place::Memory(memory) => Ok(memory.weights.view(&memory.operands_P, leaf)),
            Place::Named { device, .. } => {
                let leaf = self.master(leaf)?;
                Ok(leaf.map(|leaf| leaf.to_device(*device).to_kind(self.kind)))
            }
        }
    }

    /// The weight of a norm as it multiplies, float32, on its device.
    pub(super) fn norm(&self, leaf: &str) -> Result<Tensor> {
        let stored = needed(self.master(leaf)?, leaf)?;
        let stored = match &self.place {
            Place::Memory(_) => stored,
            Place::Named { device, .. } => stored.to_device(*device),
        };
        Ok(match self.config.norm_offset {
            0.0 => stored,
            offset => stored + offset,
        })
    }

    /// Where a leaf's gradient is summed; absent where it is frozen.
    pub(super) fn gradient(&self, leaf: &str) -> Option<Tensor> {
        let Place::Memory(memory) = &self.place else {
            return None;
        };
        let trained = memory.gradient_P.as_ref();
        let trained = trained.filter(|_| memory.adapter.is_none())?;
        memory.weights.view(trained, leaf)
    }

    /// Whether products are packed for the kernels of the CPU.
    pub(super) fn packs(&self) -> bool {
        matches!(self.place, Place::Named { packs: true, .. })
    }
}

/// The layout of a configuration has every leaf that the network reads.
pub(super) fn needed(leaf: Option<Tensor>, name: &str) -> Result<Tensor> {
    leaf.with_context(|| format!("the configuration has no parameter {name}"))
}
