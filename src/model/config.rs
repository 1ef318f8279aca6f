//! `config.json` of a Hugging Face folder, as far as the lab's decoder goes.
//!
//! Read are both spellings of transformers (4: `rope_theta`, `torch_dtype`;
//! 5: `rope_parameters`, `dtype`); written is the older one. Deliberately
//! refused rather than approximated: other architectures, other activations,
//! biases, scaled rotary embeddings.

use serde::{Deserialize, Serialize};

/// Shape and constants of a decoder.
///
/// Worked example: the quickstart's student has `hidden_size` 96,
/// 3 layers, 4 heads over 2 key/value heads of `head_dim` 24.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Always `["LlamaForCausalLM"]` for what the lab writes.
    pub architectures: Vec<String>,
    /// Always `llama`.
    pub model_type: String,
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
    /// Longest sequence, in tokens.
    pub max_position_embeddings: i64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Activation of the gate.
    pub hidden_act: String,
    /// Id of the beginning-of-sequence token.
    pub bos_token_id: i64,
    /// Id of the end token.
    pub eos_token_id: i64,
    /// Id of the padding token.
    pub pad_token_id: i64,
    /// Number format of the stored weights.
    pub torch_dtype: String,
}

/// The part of a shape that a definition chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Width of the residual stream.
    pub width: i64,
    /// Number of layers.
    pub layers: usize,
    /// Query heads; divides the width.
    pub heads: i64,
    /// Key/value heads; divides the heads.
    pub kv_heads: i64,
    /// Width of the gated feed-forward layer.
    pub feed_forward: i64,
    /// Longest sequence, in tokens.
    pub context: i64,
}

impl ModelShape {
    /// What contradicts itself in the shape, as one sentence.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("width", self.width),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("feed_forward", self.feed_forward),
            ("layers", self.layers as i64),
        ] {
            if value < 1 {
                return Err(format!("{name} = {value}: it must be at least 1"));
            }
        }
        if self.width % self.heads != 0 || (self.width / self.heads) % 2 != 0 {
            return Err(format!(
                "width = {} does not split into {} heads of even width, which rotary embeddings need",
                self.width, self.heads
            ));
        }
        if self.heads % self.kv_heads != 0 {
            return Err(format!(
                "heads = {} is not a multiple of kv_heads = {}",
                self.heads, self.kv_heads
            ));
        }
        if self.context < 16 {
            return Err(format!(
                "context = {}: fewer than 16 tokens hold no problem with its answer",
                self.context
            ));
        }
        Ok(())
    }

    /// The full configuration over a vocabulary.
    pub fn config(&self, vocab_size: i64, bos: i64, eos: i64, pad: i64) -> ModelConfig {
        ModelConfig {
            architectures: vec!["LlamaForCausalLM".to_owned()],
            model_type: "llama".to_owned(),
            vocab_size,
            hidden_size: self.width,
            intermediate_size: self.feed_forward,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            num_key_value_heads: self.kv_heads,
            head_dim: self.width / self.heads,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            max_position_embeddings: self.context,
            tie_word_embeddings: true,
            hidden_act: "silu".to_owned(),
            bos_token_id: bos,
            eos_token_id: eos,
            pad_token_id: pad,
            torch_dtype: "float32".to_owned(),
        }
    }
}

#[cfg(test)]
impl ModelShape {
    /// The smallest shape that has everything: what unit tests build models of.
    pub(crate) fn tiny() -> Self {
        Self {
            width: 16,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            feed_forward: 32,
            context: 32,
        }
    }
}

impl ModelConfig {
    /// Reads the text of a `config.json`, in either spelling.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let object = value
            .as_object_mut()
            .ok_or("the file is not a JSON object")?;
        if let Some(rope) = object.get("rope_parameters").cloned() {
            let kind = rope.get("rope_type").and_then(|kind| kind.as_str());
            if kind.is_some_and(|kind| kind != "default") {
                return Err(format!(
                    "rope_parameters.rope_type = {:?} is not supported",
                    kind.unwrap_or_default()
                ));
            }
            if let Some(theta) = rope.get("rope_theta") {
                object.entry("rope_theta").or_insert(theta.clone());
            }
        }
        if object
            .get("rope_scaling")
            .is_some_and(|value| !value.is_null())
        {
            return Err("rope_scaling is not supported".to_owned());
        }
        for key in ["attention_bias", "mlp_bias"] {
            if object.get(key).and_then(serde_json::Value::as_bool) == Some(true) {
                return Err(format!("{key} = true is not supported"));
            }
        }
        if let Some(dtype) = object.get("dtype").cloned() {
            object.entry("torch_dtype").or_insert(dtype);
        }
        object.entry("rope_theta").or_insert(10_000.0.into());
        object.entry("torch_dtype").or_insert("float32".into());
        object.entry("tie_word_embeddings").or_insert(false.into());
        object.entry("hidden_act").or_insert("silu".into());
        if !object.contains_key("head_dim")
            && let (Some(width), Some(heads)) = (
                object
                    .get("hidden_size")
                    .and_then(serde_json::Value::as_i64),
                object
                    .get("num_attention_heads")
                    .and_then(serde_json::Value::as_i64),
            )
        {
            object.insert("head_dim".to_owned(), (width / heads.max(1)).into());
        }
        let config: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.model_type != "llama" {
            return Err(format!(
                "model_type = {:?} is not supported; the decoder knows llama",
                self.model_type
            ));
        }
        if self.hidden_act != "silu" {
            return Err(format!(
                "hidden_act = {:?} is not supported; the decoder knows silu",
                self.hidden_act
            ));
        }
        if self.num_key_value_heads < 1
            || self.num_attention_heads < 1
            || self.num_attention_heads % self.num_key_value_heads != 0
        {
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
        Ok(())
    }

    /// The text of a `config.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a struct of numbers and strings always serialises");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> ModelShape {
        ModelShape {
            width: 96,
            layers: 3,
            heads: 4,
            kv_heads: 2,
            feed_forward: 256,
            context: 160,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let config = shape().config(150, 1, 2, 0);
        assert_eq!(ModelConfig::from_json(&config.to_json()), Ok(config));
    }

    #[test]
    fn both_spellings_of_the_rotary_base_are_read() {
        let config = shape().config(150, 1, 2, 0);
        let newer = config
            .to_json()
            .replace(
                "\"rope_theta\": 10000.0",
                "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 5000.0}",
            )
            .replace("torch_dtype", "dtype");
        let read = ModelConfig::from_json(&newer).unwrap();
        assert!((read.rope_theta - 5000.0).abs() < f64::EPSILON);
        assert_eq!(read.torch_dtype, "float32");
    }

    #[test]
    fn what_the_decoder_cannot_do_is_refused_by_name() {
        let config = shape().config(150, 1, 2, 0).to_json();
        let other = config.replace("\"llama\"", "\"mamba\"");
        assert!(
            ModelConfig::from_json(&other)
                .unwrap_err()
                .contains("mamba")
        );
        let scaled = config.replace(
            "\"hidden_act\"",
            "\"rope_scaling\": {\"rope_type\": \"yarn\"}, \"hidden_act\"",
        );
        assert!(
            ModelConfig::from_json(&scaled)
                .unwrap_err()
                .contains("rope_scaling")
        );
    }

    #[test]
    fn a_shape_that_cannot_be_built_says_which_number() {
        let uneven = ModelShape {
            heads: 5,
            ..shape()
        };
        assert!(uneven.check().unwrap_err().contains("width"));
        let ungrouped = ModelShape {
            kv_heads: 3,
            ..shape()
        };
        assert!(ungrouped.check().unwrap_err().contains("kv_heads"));
    }
}
