//! What the `config.json` of a checkpoint would say, in the spelling of
//! transformers 4.
//!
//! A key that the model's shape also shows is compared with the tensors, so a
//! configuration never asks for more than the file holds. Deliberately refused
//! rather than approximated: experts, partly rotated heads, values wider than
//! keys, attention windows, layers of different shapes, and rotary scaling
//! other than linear and Llama 3's.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};

use super::{Gguf, tensors};

/// Base of the rotary frequencies where the file does not give it.
const ROPE_THETA: f64 = 10_000.0;

/// What Llama 3.1 and its successors scale by; the other three numbers are the
/// same for all of them.
const LLAMA3_FACTORS: [f64; 2] = [8.0, 32.0];
const LLAMA3_LOW: f64 = 1.0;
const LLAMA3_HIGH: f64 = 4.0;
const LLAMA3_CONTEXT: f64 = 8192.0;

/// Settings of rotary positions that are read, and, last, two that say how the
/// context was stretched and change nothing where the scaling is read.
const ROPE_KEYS: [&str; 7] = [
    "dimension_count",
    "freq_base",
    "scale_linear",
    "scaling.type",
    "scaling.factor",
    "scaling.original_context_length",
    "scaling.finetuned",
];

/// How many positions a query sees.
const WINDOW: &str = "attention.sliding_window";

/// Rounding of divisors that were computed in 32 bits.
const ROUNDING: f64 = 1e-5;

impl Gguf<'_> {
    /// The configuration.
    pub fn config(&self) -> Result<Json> {
        self.refuse_variants()?;
        let layers = self.needed_size("block_count")?;
        self.check_layers(layers)?;
        let width = self.needed_size("embedding_length")?;
        let feed_forward = self.needed_size("feed_forward_length")?;
        let (heads, kv_heads) = self.heads()?;
        let head_dim = self.head_dim(width, heads)?;
        let vocabulary = self.vocabulary()?;
        for (name, shape) in [
            ("embed_tokens", [vocabulary, width]),
            ("layers.0.self_attn.q_proj", [heads * head_dim, width]),
            ("layers.0.self_attn.k_proj", [kv_heads * head_dim, width]),
            ("layers.0.mlp.gate_proj", [feed_forward, width]),
        ] {
            let name = format!("model.{name}.weight");
            let stored = self.stored(&name)?;
            ensure!(
                stored.shape == shape,
                "tensor {name} has shape {:?}, the metadata says {shape:?}",
                stored.shape
            );
        }
        let theta = self
            .number(&self.own("rope.freq_base"))?
            .unwrap_or(ROPE_THETA);
        ensure!(theta > 0.0, "{} is {theta}", self.own("rope.freq_base"));
        let epsilon = self.own("attention.layer_norm_rms_epsilon");
        let epsilon = self
            .number(&epsilon)?
            .with_context(|| format!("{epsilon} is missing"))?;
        let mut config = json!({
            "architectures": [self.architecture.class],
            "model_type": self.architecture.model_type,
            "vocab_size": vocabulary,
            "hidden_size": width,
            "intermediate_size": feed_forward,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": head_dim,
            "rms_norm_eps": epsilon,
            "rope_theta": theta,
            "rope_scaling": self.rope_scaling(theta, head_dim)?,
            "max_position_embeddings": self.needed_size("context_length")?,
            "tie_word_embeddings": !self.tensors.contains_key("lm_head.weight"),
            "torch_dtype": "float32",
        });
        config[self.architecture.activation_key] = "silu".into();
        // Qwen 2 has neither key: its biases are always there.
        for (key, part) in [
            ("attention_bias", "self_attn.q_proj"),
            ("mlp_bias", "mlp.gate_proj"),
        ] {
            if self.architecture.keys.contains(&key) {
                let name = format!("model.layers.0.{part}.bias");
                config[key] = self.tensors.contains_key(&name).into();
            }
        }
        for (key, name) in [
            ("bos_token_id", "bos"),
            ("eos_token_id", "eos"),
            ("pad_token_id", "padding"),
        ] {
            if let Some(id) = self.token_id(name)? {
                config[key] = id.into();
            }
        }
        (self.form.config)(self, &mut config)?;
        Ok(config)
    }

    /// Query heads, and heads of keys and values.
    pub(super) fn heads(&self) -> Result<(usize, usize)> {
        let key = "attention.head_count";
        let heads = self.needed_size(key)?;
        let kv_heads = self
            .size(&self.own("attention.head_count_kv"))?
            .unwrap_or(heads);
        ensure!(
            kv_heads > 0 && heads.is_multiple_of(kv_heads),
            "{} is {heads}, not a multiple of the {kv_heads} heads of keys and values",
            self.own(key)
        );
        Ok((heads, kv_heads))
    }

    /// A size that is there and not 0.
    fn needed_size(&self, key: &str) -> Result<usize> {
        let key = self.own(key);
        let size = self
            .size(&key)?
            .with_context(|| format!("{key} is missing"))?;
        ensure!(size > 0, "{key} is 0");
        Ok(size)
    }

    /// What would make it another model than the configuration describes.
    fn refuse_variants(&self) -> Result<()> {
        let key = self.own("expert_count");
        if let Some(experts) = self.size(&key)?.filter(|&experts| experts > 0) {
            bail!("{key} is {experts}: mixtures of experts are not read");
        }
        let key = self.own("attention.causal");
        if self.flag(&key)? == Some(false) {
            bail!("{key} is false: only models that look back alone are read");
        }
        let key = self.own(WINDOW);
        let context = self.needed_size("context_length")?;
        if let Some(window) = self
            .size(&key)?
            .filter(|window| (1..context).contains(window) && !self.form.keys.contains(&WINDOW))
        {
            bail!("{key} is {window}: attention within a window is not read");
        }
        Ok(())
    }

    /// The layers that tensors speak of are those that are counted: none is
    /// left out, so a count cannot ask for more layers than there are tensors.
    fn check_layers(&self, layers: usize) -> Result<()> {
        let there: BTreeSet<usize> = self
            .tensors
            .keys()
            .filter_map(|name| {
                name.strip_prefix("model.layers.")?
                    .split('.')
                    .next()?
                    .parse()
                    .ok()
            })
            .collect();
        ensure!(
            there.len() == layers && there.last().is_some_and(|&last| last + 1 == layers),
            "{} is {layers}, the tensors are of {} layers, the last of them number {:?}",
            self.own("block_count"),
            there.len(),
            there.last()
        );
        Ok(())
    }

    fn head_dim(&self, width: usize, heads: usize) -> Result<usize> {
        let key = self.own("attention.key_length");
        let head_dim = if let Some(head_dim) = self.size(&key)? {
            head_dim
        } else {
            ensure!(
                width.is_multiple_of(heads),
                "{} is {width}, not a multiple of the {heads} heads, and {key} is missing",
                self.own("embedding_length")
            );
            width / heads
        };
        ensure!(
            head_dim > 0 && head_dim.is_multiple_of(2),
            "a head is {head_dim} wide; rotary embeddings need an even width"
        );
        for (other, trouble) in [
            (
                "attention.value_length",
                "values wider or narrower than keys are not read",
            ),
            (
                "rope.dimension_count",
                "heads that are rotated in part are not read",
            ),
        ] {
            let other = self.own(other);
            if let Some(size) = self.size(&other)? {
                ensure!(
                    size == head_dim,
                    "{other} is {size}, a head {head_dim} wide: {trouble}"
                );
            }
        }
        Ok(head_dim)
    }

    /// Rows of the embedding.
    fn vocabulary(&self) -> Result<usize> {
        let rows = self.stored("model.embed_tokens.weight")?.shape[0];
        let key = self.own("vocab_size");
        if let Some(said) = self.size(&key)? {
            ensure!(
                said == rows,
                "{key} is {said}, the embedding has {rows} rows"
            );
        }
        let tokens = self
            .list("tokenizer.ggml.tokens")?
            .map_or(0, |tokens| tokens.len());
        ensure!(
            tokens <= rows,
            "tokenizer.ggml.tokens has {tokens} tokens, the embedding {rows} rows"
        );
        Ok(rows)
    }

    /// Refuses settings of the rotary positions that are not read: passed over,
    /// they would make another model.
    fn refuse_rope_keys(&self) -> Result<()> {
        let own = self.own("rope.");
        for (key, value) in &self.metadata {
            let Some(setting) = key.strip_prefix(&own) else {
                continue;
            };
            let of_form = || {
                self.form
                    .keys
                    .iter()
                    .any(|own| own.strip_prefix("rope.") == Some(setting))
            };
            ensure!(
                ROPE_KEYS.contains(&setting) || of_form(),
                "{key} is {value}: it is no setting of rotary positions that is read"
            );
        }
        Ok(())
    }

    fn rope_scaling(&self, theta: f64, head_dim: usize) -> Result<Json> {
        let type_key = self.own("rope.scaling.type");
        let factor_key = self.own("rope.scaling.factor");
        // The name of the factor in the first files.
        let old_factor_key = self.own("rope.scale_linear");
        let factor = match self.number(&factor_key)? {
            Some(factor) => Some(factor),
            None => self.number(&old_factor_key)?,
        };
        let linear = match self.text(&type_key)? {
            Some("none") => None,
            Some("linear") => Some(factor.with_context(|| format!("{factor_key} is missing"))?),
            None => factor,
            Some(other) => bail!("{type_key} is {other:?}; read are none and linear"),
        };
        self.refuse_rope_keys()?;
        // 0 stands for "not scaled" in the files of llama.cpp's converter.
        let linear = linear.filter(|&factor| factor != 0.0 && (factor - 1.0).abs() > f64::EPSILON);
        match (linear, self.llama3_scaling(theta, head_dim)?) {
            (None, None) => Ok(Json::Null),
            (None, Some(llama3)) => Ok(llama3),
            (Some(factor), None) => {
                ensure!(factor > 0.0, "{factor_key} is {factor}");
                Ok(json!({"rope_type": "linear", "factor": factor}))
            }
            (Some(_), Some(_)) => {
                bail!("{type_key} is linear and rope_freqs.weight is there: one of them is read")
            }
        }
    }

    /// The scaling that the stored divisors of the frequencies stand for.
    fn llama3_scaling(&self, theta: f64, head_dim: usize) -> Result<Option<Json>> {
        let Some(stored) = &self.rope_divisors else {
            return Ok(None);
        };
        ensure!(
            stored.shape == [head_dim / 2],
            "tensor rope_freqs.weight has shape {:?}, a head {} frequencies",
            stored.shape,
            head_dim / 2
        );
        let mut divisors = vec![0.0; stored.len()];
        tensors::dequantise(stored, &mut divisors);
        let fits = |expected: &dyn Fn(usize) -> f64| {
            divisors.iter().enumerate().all(|(index, &divisor)| {
                let expected = expected(index);
                (f64::from(divisor) - expected).abs() <= ROUNDING * expected
            })
        };
        if fits(&|_| 1.0) {
            return Ok(None);
        }
        for factor in LLAMA3_FACTORS {
            if fits(&|index| llama3_divisor(factor, theta, head_dim, index)) {
                return Ok(Some(json!({
                    "rope_type": "llama3",
                    "factor": factor,
                    "low_freq_factor": LLAMA3_LOW,
                    "high_freq_factor": LLAMA3_HIGH,
                    "original_max_position_embeddings": LLAMA3_CONTEXT as i64,
                })));
            }
        }
        bail!(
            "tensor rope_freqs.weight holds neither ones nor Llama 3's divisors for a factor of 8 or 32; \
             other rotary scaling is not read"
        )
    }
}

/// What Llama 3.1 divides a rotary frequency by: the factor for waves longer
/// than the original context, 1 for those that fit in it four times, and a
/// blend of both in between.
fn llama3_divisor(factor: f64, theta: f64, head_dim: usize, index: usize) -> f64 {
    let frequency = theta.powf(-2.0 * index as f64 / head_dim as f64);
    let wave = std::f64::consts::TAU / frequency;
    let blend = (LLAMA3_CONTEXT / wave - LLAMA3_LOW) / (LLAMA3_HIGH - LLAMA3_LOW);
    let blend = blend.clamp(0.0, 1.0);
    1.0 / ((1.0 - blend) / factor + blend)
}
