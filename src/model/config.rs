//! `config.json` of a Hugging Face folder, as far as the lab's decoder goes.
//!
//! Read are both spellings of transformers (4: `rope_theta`, `rope_scaling`,
//! `torch_dtype`; 5: `rope_parameters`, `dtype`); written is the older one.
//! Refused by name rather than approximated: other architectures, other
//! activations, sliding windows, experts, other rotary scalings and settings.

use serde_json::{Map, Value, json};

use super::rope::{self, RopeScaling};

/// A family of decoders. They differ in where biases stand and in whether
/// heads of queries and keys are normalised; see [`ModelConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM2, R1-Distill-Llama. Biases where the file says so.
    Llama,
    /// Qwen2, Qwen2.5, R1-Distill-Qwen. Biases on queries, keys and values.
    Qwen2,
    /// Qwen3. RMSNorm over each head of queries and keys.
    Qwen3,
}

impl Architecture {
    const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// The value of `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// The class of transformers.
    fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }
}

/// Shape and constants of a decoder.
///
/// Worked example: the quickstart's student has `hidden_size` 96, 3 layers and
/// 4 heads over 4 key/value heads of `head_dim` 24; SmolLM2-135M has
/// `hidden_size` 576, 30 layers, 9 heads over 3 key/value heads of 64.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
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
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// What happens to them beyond the context of training.
    pub rope_scaling: RopeScaling,
    /// Longest sequence, in tokens; the training's under dynamic scaling.
    pub max_position_embeddings: i64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the attention's products have biases, the output's included
    /// (Llama, Qwen3). Qwen2 always has those of queries, keys and values.
    pub attention_bias: bool,
    /// Whether the feed-forward layer's products have biases (Llama).
    pub mlp_bias: bool,
    /// Id of the beginning-of-sequence token, where there is one.
    pub bos_token_id: Option<i64>,
    /// Ids of the tokens that end a sequence.
    pub eos_token_ids: Vec<i64>,
    /// Id of the padding token, where there is one.
    pub pad_token_id: Option<i64>,
}

/// Keys of an object, read with their name in every error.
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    fn present(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn size(&self, key: &str) -> Result<Option<i64>, String> {
        // Above this no shape is real, and products of two sizes still fit.
        const LARGEST: i64 = 1 << 30;
        let Some(value) = self.present(key) else {
            return Ok(None);
        };
        value
            .as_i64()
            .filter(|size| (1..=LARGEST).contains(size))
            .map(Some)
            .ok_or_else(|| format!("{key} = {value} is not a size"))
    }

    fn needed(&self, key: &str) -> Result<i64, String> {
        self.size(key)?
            .ok_or_else(|| format!("the key {key} is missing"))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        let Some(value) = self.present(key) else {
            return Ok(default);
        };
        value
            .as_f64()
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| format!("{key} = {value} is not a positive number"))
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        match self.present(key) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| format!("{key} = {value} is neither true nor false")),
        }
    }

    /// A token id, a list of them, or none.
    fn ids(&self, key: &str) -> Result<Vec<i64>, String> {
        let wrong = |value: &Value| format!("{key} = {value} is not a token id");
        match self.present(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_i64().ok_or_else(|| wrong(value)))
                .collect(),
            Some(value) => Ok(vec![value.as_i64().ok_or_else(|| wrong(value))?]),
        }
    }
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
        let architecture = architecture(&keys)?;
        refuse(&keys)?;
        let (rope_theta, rope_scaling) = rope(&keys)?;
        let hidden_size = keys.needed("hidden_size")?;
        let num_attention_heads = keys.needed("num_attention_heads")?;
        let head_dim = match (keys.size("head_dim")?, architecture) {
            (Some(width), _) => width,
            // The default of transformers' Qwen3Config.
            (None, Architecture::Qwen3) => 128,
            (None, _) => hidden_size / num_attention_heads,
        };
        let config = Self {
            architecture,
            vocab_size: keys.needed("vocab_size")?,
            hidden_size,
            intermediate_size: keys.needed("intermediate_size")?,
            num_hidden_layers: keys.needed("num_hidden_layers")? as usize,
            num_attention_heads,
            num_key_value_heads: keys
                .size("num_key_value_heads")?
                .unwrap_or(num_attention_heads),
            head_dim,
            rms_norm_eps: keys.number("rms_norm_eps", 1e-6)?,
            rope_theta,
            rope_scaling,
            max_position_embeddings: keys.needed("max_position_embeddings")?,
            tie_word_embeddings: keys.flag("tie_word_embeddings")?,
            attention_bias: keys.flag("attention_bias")? && architecture != Architecture::Qwen2,
            mlp_bias: keys.flag("mlp_bias")? && architecture == Architecture::Llama,
            bos_token_id: keys.ids("bos_token_id")?.first().copied(),
            eos_token_ids: keys.ids("eos_token_id")?,
            pad_token_id: keys.ids("pad_token_id")?.first().copied(),
        };
        config.check()?;
        Ok(config)
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
        if self.num_hidden_layers > 1000 {
            return Err(format!(
                "num_hidden_layers = {}: no known model has so many",
                self.num_hidden_layers
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
        match self.rope_scaling {
            RopeScaling::Dynamic { factor } => (trained * factor.max(1.0)) as usize,
            _ => trained as usize,
        }
    }

    /// Whether a sequence of that length is rotated otherwise than its tokens
    /// one by one would be.
    pub fn outgrown(&self, length: usize) -> bool {
        matches!(self.rope_scaling, RopeScaling::Dynamic { .. })
            && length as i64 > self.max_position_embeddings
    }

    /// The id that fills rows behind their last token; never attended to.
    pub fn filler(&self) -> i64 {
        let end = self.eos_token_ids.first().copied();
        self.pad_token_id
            .or(end)
            .filter(|id| *id >= 0)
            .unwrap_or_default()
    }

    /// Whether queries, keys and values have biases.
    pub fn qkv_bias(&self) -> bool {
        self.attention_bias || self.architecture == Architecture::Qwen2
    }

    /// Whether heads of queries and keys are normalised.
    pub fn qk_norm(&self) -> bool {
        self.architecture == Architecture::Qwen3
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
            "architectures": [self.architecture.class()],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": self.rope_scaling.to_json(),
            "max_position_embeddings": self.max_position_embeddings,
            "tie_word_embeddings": self.tie_word_embeddings,
            "hidden_act": "silu",
            "bos_token_id": self.bos_token_id,
            "eos_token_id": ends,
            "pad_token_id": self.pad_token_id,
            "torch_dtype": torch_dtype,
        });
        // Keys that the other classes of transformers do not know stay out.
        if self.architecture != Architecture::Qwen2 {
            value["attention_bias"] = json!(self.attention_bias);
        }
        if self.architecture == Architecture::Llama {
            value["mlp_bias"] = json!(self.mlp_bias);
        }
        let mut text = format!("{value:#}");
        text.push('\n');
        text
    }
}

fn architecture(keys: &Keys<'_>) -> Result<Architecture, String> {
    let known = || Architecture::ALL.map(Architecture::model_type).join(", ");
    let named = keys.present("model_type").ok_or_else(|| {
        format!(
            "the key model_type is missing; the decoder knows {}",
            known()
        )
    })?;
    Architecture::ALL
        .into_iter()
        .find(|architecture| named == architecture.model_type())
        .ok_or_else(|| {
            format!(
                "model_type = {named} is not supported; the decoder knows {}",
                known()
            )
        })
}

/// Refuses what the decoder would silently do otherwise.
fn refuse(keys: &Keys<'_>) -> Result<(), String> {
    if let Some(activation) = keys.present("hidden_act")
        && activation != "silu"
    {
        return Err(format!(
            "hidden_act = {activation} is not supported; the decoder knows silu"
        ));
    }
    if keys.flag("use_sliding_window")? {
        return Err("use_sliding_window = true is not supported".to_owned());
    }
    if let Some(Value::Array(kinds)) = keys.present("layer_types")
        && let Some(other) = kinds.iter().find(|kind| *kind != "full_attention")
    {
        return Err(format!(
            "layer_types holds {other}; the decoder knows full_attention"
        ));
    }
    if let Some(quantization) = keys.present("quantization_config") {
        let method = quantization.get("quant_method").unwrap_or(&Value::Null);
        return Err(format!(
            "quantization_config.quant_method = {method} is not supported; use the checkpoint in bfloat16, or a GGUF file"
        ));
    }
    Ok(())
}

/// Base and scaling of the rotary positions, in either spelling.
fn rope(keys: &Keys<'_>) -> Result<(f64, RopeScaling), String> {
    refuse_rope_keys(keys)?;
    let theta = keys.number("rope_theta", 10_000.0)?;
    let trained = keys.needed("max_position_embeddings")?;
    let of = |place: &'static str| {
        let Some(value) = keys.present(place) else {
            return Ok(None);
        };
        let object = value
            .as_object()
            .ok_or_else(|| format!("{place} is not an object"))?;
        rope::read(place, object, trained).map(Some)
    };
    let (base, scaling) = match (of("rope_parameters")?, of("rope_scaling")?) {
        (None, None) => (None, RopeScaling::None),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(one), Some(other)) => {
            if one.1 != other.1 || (other.0.is_some() && one.0 != other.0) {
                return Err(
                    "rope_parameters and rope_scaling say different things; remove one of them"
                        .to_owned(),
                );
            }
            one
        }
    };
    Ok((base.unwrap_or(theta), scaling))
}

/// Refuses settings of the rotary positions that stand outside of their object
/// and are not read.
fn refuse_rope_keys(keys: &Keys<'_>) -> Result<(), String> {
    let unread = |key: &str, value: &Value| match key {
        "rope_theta" | "rope_parameters" | "rope_scaling" => false,
        // What the decoder does anyway.
        "partial_rotary_factor" | "rotary_pct" => value.as_f64() != Some(1.0),
        _ => (key.starts_with("rope_") || key.starts_with("rotary_")) && *value != json!(false),
    };
    match keys
        .0
        .iter()
        .find(|(key, value)| !value.is_null() && unread(key, value))
    {
        Some((key, value)) => Err(format!("{key} = {value} is not supported")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
