//! Models: one decoder for every architecture, its configuration, its
//! weights and adapters, and checkpoints in and out.
//!
//! Axes: `B` rows, `T` time, `V` vocabulary, `D` hidden width, `H` query heads,
//! `K` key/value heads, `G` query heads that share one key/value head
//! (`H = K * G`), `E` width of a head, `S` cached positions, `N` selected
//! positions laid end to end, `L` last positions, `R` slots of a cache, `P`
//! all parameters.

pub mod adapter;
pub mod architecture;
pub mod chat;
pub mod config;
pub mod decoder;
pub mod folder;
pub mod generation_config;
pub mod gguf;
pub mod peft;
pub mod rope;
pub mod rotary;
pub mod shape;
pub mod stored;
pub mod tensor_files;
pub mod text;
pub mod tokenizer;
pub mod vocabulary;
pub mod weights;

pub use adapter::{Adapter, LoraSettings};
pub use architecture::Architecture;
pub use config::ModelConfig;
pub use decoder::Decoder;
pub use shape::ModelShape;
pub use stored::Stored;
pub use text::Text;
pub use weights::Weights;

/// A decoder, and how it reads and writes.
pub struct Model {
    /// The network.
    pub decoder: Decoder,
    /// Its text side.
    pub text: Text,
    /// Files that belong to it and that training does not change.
    pub companions: stored::Companions,
}
