//! What the decoder computes, read from the `config.json` of a Hugging Face folder.
//!
//! All architectures are one decoder. What they share is read here; how each differs from the
//! plain one, [`super::architecture`] says, a file for each. Both spellings of
//! transformers are read (4: `rope_theta`, `rope_scaling`, `torch_dtype`; 5:
//! `rope_parameters`, `dtype`); written is the older one. What the decoder cannot do is refused by
//! name rather than approximated: other architectures and activations,
//! experts, quantised weights, other rotary scalings and settings.

mod keys;

use serde_json::{Map, Value, json};
use torch_ext::{Activation, Look};

use super::architecture::{self, Architecture};
use super::rope::{self, Rope, RopeScaling};
pub(super) use keys::Keys;

/// Where a layer has norms, by their names in a checkpoint. A norm before
/// a part is of what the part reads, one after it of what it adds to the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerNorms {
    /// Of what attention reads.
    pub before_attention: Option<&'static str>,
    /// Of what attention gives.
    pub after_attention: Option<&'static str>,
    /// Of what the feed-forward layer reads.
    pub before_feed_forward: Option<&'static str>,
    /// Of what the feed-forward layer gives.
    pub after_feed_forward: Option<&'static str>,
}

/// `RMSNorm` of queries and keys before they are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNorms {
    /// Each head on its own, one weight `[E]` for all of them.
    Each,
    /// All heads of a token together, a weight `[H * E]` or `[K * E]`.
    Together,
}

/// Which products of a layer have biases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// Attention's output.
    pub output: bool,
    /// The feed-forward layer's.
    pub mlp: bool,
}

/// What differs from layer to layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerKind {
    /// How many positions a query sees, its own included; absent: all before it.
    pub window: Option<i64>,
    /// Which of the configuration's rotary positions queries and keys have.
    pub rope: usize,
}

/// Shape and constants of a decoder.
///
/// Worked example: the quickstart's student has `hidden_size` 96, 3 layers and
/// 4 heads over 4 key/value heads of `head_dim` 24; SmolLM2-135M has
/// `hidden_size` 576, 30 layers, 9 heads over 3 key/value heads of 64.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub architecture: &'static Architecture,
    /// Rows of the embedding.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: i64,
    /// Key/value heads; divides the query heads.
    pub num_key_value_heads: i64,
    /// Width of a head.
    pub head_dim: i64,
    /// Added to the mean square in `RMSNorm`.
    pub rms_norm_eps: f64,
    /// Longest sequence, in tokens; the training's under dynamic scaling.
    pub max_position_embeddings: i64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Id of the beginning-of-sequence token, where there is one.
    pub bos_token_id: Option<i64>,
    /// Ids of the tokens that end a sequence.
    pub eos_token_ids: Vec<i64>,
    /// Id of the padding token, where there is one.
    pub pad_token_id: Option<i64>,
    /// Rotary positions; which of them a layer has, [`ModelConfig::layers`] says.
    pub ropes: Vec<Rope>,
    /// What differs from layer to layer, a kind for each.
    pub layers: Vec<LayerKind>,
    /// Where a layer has norms.
    pub norms: LayerNorms,
    /// Added to the weight of every norm before it multiplies.
    pub norm_offset: f64,
    /// Norms of queries and keys.
    pub head_norms: Option<HeadNorms>,
    /// Which products have biases.
    pub biases: Biases,
    /// Whether queries, keys and values are one matrix in a checkpoint, and
    /// gate and up projection another.
    pub packed: bool,
    /// The gate's activation.
    pub activation: Activation,
    /// What a query's product with a key is multiplied by.
    pub attention_scale: f64,
    /// Soft cap of the scores of attention: `c tanh(score / c)`.
    pub attention_cap: Option<f64>,
    /// What rows of the embedding are multiplied by when they are read.
    pub embedding_scale: f64,
    /// What logits are multiplied by.
    pub logit_scale: f64,
    /// Soft cap of the logits.
    pub logit_cap: Option<f64>,
    /// The architecture's own keys, as they were read.
    pub(super) own: Map<String, Value>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`, in either spelling.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Self::from_value(&value)
    }

    /// Reads what a `config.json` holds.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("it is not a JSON object")?;
        let keys = Keys(object);
        let architecture = architecture::named(&keys)?;
        refuse(&keys, architecture)?;
        let hidden_size = keys.needed("hidden_size")?;
        let num_attention_heads = keys.needed("num_attention_heads")?;
        let num_hidden_layers = keys.needed("num_hidden_layers")? as usize;
        if num_hidden_layers > 1000 {
            return Err(format!(
                "num_hidden_layers = {num_hidden_layers}: no known model has so many"
            ));
        }
        let head_dim = keys.size("head_dim")?;
        let own = architecture.keys.iter().filter_map(|&key| {
            let value = object.get(key)?;
            Some((key.to_owned(), value.clone()))
        });
        let mut config = Self {
            architecture,
            vocab_size: keys.needed("vocab_size")?,
            hidden_size,
            intermediate_size: keys.needed("intermediate_size")?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: keys
                .size("num_key_value_heads")?
                .unwrap_or(num_attention_heads),
            head_dim: head_dim.unwrap_or(hidden_size / num_attention_heads),
            rms_norm_eps: keys.number("rms_norm_eps", 1e-6)?,
            max_position_embeddings: keys.needed("max_position_embeddings")?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", false)?,
            bos_token_id: keys.ids("bos_token_id")?.first().copied(),
            eos_token_ids: keys.ids("eos_token_id")?,
            pad_token_id: keys.ids("pad_token_id")?.first().copied(),
            own: own.collect(),
            ..Self::plain(architecture, num_hidden_layers)
        };
        (architecture.read)(&keys, &mut config)?;
        if config.ropes.is_empty() {
            config.ropes = vec![rope::flat(&keys, 10_000.0)?];
        }
        if config.attention_scale == 0.0 {
            config.attention_scale = Look::all(config.head_dim).scale;
        }
        config.check()?;
        Ok(config)
    }

    /// A decoder that differs in nothing from Llama's, without sizes, rotary
    /// positions and scale of attention.
    pub(super) fn plain(architecture: &'static Architecture, layers: usize) -> Self {
        let everywhere = LayerKind {
            window: None,
            rope: 0,
        };
        Self {
            architecture,
            vocab_size: 0,
            hidden_size: 0,
            intermediate_size: 0,
            num_hidden_layers: layers,
            num_attention_heads: 0,
            num_key_value_heads: 0,
            head_dim: 0,
            rms_norm_eps: 0.0,
            max_position_embeddings: 0,
            tie_word_embeddings: false,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            pad_token_id: None,
            ropes: Vec::new(),
            layers: vec![everywhere; layers],
            norms: LayerNorms {
                before_attention: Some("input_layernorm"),
                after_attention: None,
                before_feed_forward: Some("post_attention_layernorm"),
                after_feed_forward: None,
            },
            norm_offset: 0.0,
            head_norms: None,
            biases: Biases::default(),
            packed: false,
            activation: Activation::Silu,
            attention_scale: 0.0,
            attention_cap: None,
            embedding_scale: 1.0,
            logit_scale: 1.0,
            logit_cap: None,
            own: Map::new(),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.num_attention_heads % self.num_key_value_heads != 0 {
            return Err(format!(
                "num_attention_heads = {} is not a multiple of num_key_value_heads = {}",
                self.num_attention_heads, self.num_key_value_heads
            ));
        }
        if self.head_dim < 2 || self.head_dim % 2 != 0 {
            return Err(format!(
                "head_dim = {}: rotary embeddings need an even width",
                self.head_dim
            ));
        }
        let trained = self.max_position_embeddings;
        let windows = self.layers.iter().filter_map(|layer| layer.window);
        if let Some(window) = windows.max().filter(|&window| window > trained) {
            return Err(format!(
                "sliding_window = {window} is larger than max_position_embeddings = {trained}; \
                 a model that sees its whole context has sliding_window = null"
            ));
        }
        let ids = self
            .bos_token_id
            .iter()
            .chain(&self.eos_token_ids)
            .chain(&self.pad_token_id);
        for &id in ids {
            if id >= self.vocab_size {
                return Err(format!(
                    "the token id {id} lies outside the vocabulary of {}",
                    self.vocab_size
                ));
            }
        }
        Ok(())
    }

    /// Longest sequence the decoder takes, in tokens.
    pub fn context(&self) -> usize {
        let trained = self.max_position_embeddings as f64;
        let factors = self.ropes.iter().map(|rope| match rope.scaling {
            RopeScaling::Dynamic { factor } => factor.max(1.0),
            _ => 1.0,
        });
        (trained * factors.fold(f64::INFINITY, f64::min)) as usize
    }

    /// Whether a sequence of that length is rotated otherwise than its tokens
    /// one by one would be.
    pub fn outgrown(&self, length: usize) -> bool {
        let dynamic = |rope: &Rope| matches!(rope.scaling, RopeScaling::Dynamic { .. });
        self.ropes.iter().any(dynamic) && length as i64 > self.max_position_embeddings
    }

    /// The id that fills rows behind their last token; never attended to.
    pub fn filler(&self) -> i64 {
        let end = self.eos_token_ids.first().copied();
        self.pad_token_id
            .or(end)
            .filter(|id| *id >= 0)
            .unwrap_or_default()
    }

    /// The text of a `config.json`, in the spelling of transformers 4.
    /// `torch_dtype` is the number format of the weights beside it.
    pub fn to_json(&self, torch_dtype: &str) -> String {
        let ends = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        };
        let mut value = json!({
            "architectures": [self.architecture.class],
            "model_type": self.architecture.model_type,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.ropes[0].theta,
            "rope_scaling": self.ropes[0].scaling.to_json(),
            "max_position_embeddings": self.max_position_embeddings,
            "tie_word_embeddings": self.tie_word_embeddings,
            self.architecture.activation_key: architecture::activation_name(self.activation),
            "bos_token_id": self.bos_token_id,
            "eos_token_id": ends,
            "pad_token_id": self.pad_token_id,
            "torch_dtype": torch_dtype,
        });
        for (key, own) in &self.own {
            value[key] = own.clone();
        }
        let mut text = format!("{value:#}");
        text.push('\n');
        text
    }
}

#[cfg(test)]
impl ModelConfig {
    /// The same sizes in another architecture, with these keys beside.
    pub(crate) fn like(&self, model_type: &str, keys: &Value) -> Self {
        let mut value: Value = serde_json::from_str(&self.to_json("float32")).unwrap();
        value["model_type"] = json!(model_type);
        for (key, own) in keys.as_object().unwrap() {
            value[key] = own.clone();
        }
        Self::from_value(&value).unwrap()
    }
}

/// Refuses what the decoder would silently do otherwise.
fn refuse(keys: &Keys<'_>, architecture: &Architecture) -> Result<(), String> {
    rope::refuse_keys(keys, architecture)?;
    if let Some(quantization) = keys.present("quantization_config") {
        let method = quantization.get("quant_method").unwrap_or(&Value::Null);
        return Err(format!(
            "quantization_config.quant_method = {method} is not supported; use the checkpoint in bfloat16, or a GGUF file"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
