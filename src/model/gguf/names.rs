//! What a file of an architecture says, and what its tensors are called in a checkpoint.

use anyhow::Result;
use serde_json::Value as Json;

use super::Gguf;
use crate::model::architecture::{self, Architecture};

/// The tensor that holds what rotary frequencies are divided by. It is no
/// parameter: a checkpoint says the same in `rope_scaling`.
pub(super) const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// How the GGUF files of an architecture differ from its checkpoints.
#[derive(Debug)]
pub struct Form {
    /// The value of `general.architecture`, and what its keys begin with.
    pub name: &'static str,
    /// Parts of a layer and their names in a checkpoint, where they are other than Llama's.
    pub parts: &'static [(&'static str, &'static str)],
    /// Parts of a layer that may have a bias.
    pub biases: &'static [&'static str],
    /// Whether the two halves of each head of queries and keys are laid into each other.
    pub interleaved: bool,
    /// By how much the stored weights of norms are larger.
    pub norm_offset: f32,
    /// Whether the merges that a vocabulary implies go by the place of the token they make, not by
    /// its score, and whether its runs of spaces are stored as such.
    pub merges_by_place: bool,
    /// Keys that [`Form::config`] reads and that are refused elsewhere.
    pub keys: &'static [&'static str],
    /// Adds what the metadata says beside the keys that all have.
    pub config: fn(&Gguf<'_>, &mut Json) -> Result<()>,
}

/// Parts of a layer, as Llama has them.
const PARTS: [(&str, &str); 9] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

impl Form {
    /// The architecture that `general.architecture` names, and its form.
    pub(super) fn named(name: &str) -> Option<(&'static Architecture, &'static Self)> {
        all().find(|(_, form)| form.name == name)
    }

    /// The names of those that are read.
    pub(super) fn names() -> String {
        let names: Vec<&str> = all().map(|(_, form)| form.name).collect();
        names.join(", ")
    }

    /// The name in a checkpoint of a tensor that such a model has, whether or
    /// not every one has it.
    pub(super) fn checkpoint_name(&self, name: &str) -> Option<String> {
        match name {
            "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
            "output_norm.weight" => return Some("model.norm.weight".to_owned()),
            "output.weight" => return Some("lm_head.weight".to_owned()),
            _ => {}
        }
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, suffix) = rest.split_once('.')?;
        let mut parts = self.parts.iter().chain(&PARTS);
        let (_, own) = parts.find(|(known, _)| *known == part)?;
        let there = suffix == "weight" || suffix == "bias" && self.biases.contains(&part);
        // Spelled as ggml spells it: "01" or "+1" would be a second name for 1.
        let number: u32 = layer.parse().ok()?;
        (number.to_string() == layer && there)
            .then(|| format!("model.layers.{layer}.{own}.{suffix}"))
    }
}

/// The architectures that have a form.
fn all() -> impl Iterator<Item = (&'static Architecture, &'static Form)> {
    let all = architecture::ALL.into_iter();
    all.filter_map(|architecture| Some((architecture, architecture.gguf.as_ref()?)))
}
