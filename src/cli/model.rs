//! `qinglan model`: look at checkpoints, bring them into the cache, write them
//! out as folders.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use experiments::tables::plain;
use serde_json::json;

use crate::error::{UserError, as_user_error};
use crate::hub;
use crate::model::rope::RopeScaling;
use crate::model::tensor_files::NumberFormat;
use crate::model::{ModelConfig, Stored, folder, weights};
use crate::store::models_folder;

/// Arguments of `qinglan model`.
#[derive(Args)]
pub(super) struct Models {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Say what a checkpoint is: architecture, shape, tokenizer, formats.
    Inspect(Inspect),
    /// Bring a checkpoint into the cache, under a name that definitions can use.
    Import(Import),
    /// Write a checkpoint as a Hugging Face folder.
    Export(Export),
}

/// Arguments of `qinglan model inspect`.
#[derive(Args)]
struct Inspect {
    /// A Hugging Face folder, a GGUF file, the name of a model in the cache, or ORG/NAME on the
    /// Hugging Face Hub.
    #[arg(value_name = "DIR|GGUF|NAME")]
    model: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `qinglan model import`.
#[derive(Args)]
struct Import {
    /// A Hugging Face folder, a GGUF file, or ORG/NAME on the Hugging Face Hub.
    #[arg(value_name = "DIR|GGUF|NAME")]
    model: String,
    /// Its name in the cache [default: that of file or folder, in lower case].
    #[arg(long)]
    name: Option<String>,
    /// Number format of the stored weights.
    #[arg(long, value_enum, default_value_t)]
    dtype: Format,
}

/// Arguments of `qinglan model export`.
#[derive(Args)]
struct Export {
    /// A Hugging Face folder, a GGUF file, the name of a model in the cache, or ORG/NAME on the
    /// Hugging Face Hub.
    #[arg(value_name = "DIR|GGUF|NAME")]
    model: String,
    /// The folder to write.
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// A LoRA adapter in PEFT's format to merge into the weights.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Number format of the written weights.
    #[arg(long, value_enum, default_value_t)]
    dtype: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Float32,
    Bfloat16,
    Float16,
}

impl From<Format> for NumberFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Float32 => Self::F32,
            Format::Bfloat16 => Self::Bf16,
            Format::Float16 => Self::F16,
        }
    }
}

impl Models {
    pub(super) fn execute(self) -> Result<()> {
        match self.what {
            What::Inspect(inspect) => inspect.execute(),
            What::Import(import) => import.execute(),
            What::Export(export) => export.execute(),
        }
    }
}

/// Opens what the user named.
fn open(name: &str) -> Result<Stored> {
    as_user_error(hub::model(name).and_then(|path| Stored::open(&path)))
}

impl Inspect {
    fn execute(self) -> Result<()> {
        let stored = open(&self.model)?;
        let config = &stored.config;
        let parameters: i64 = weights::layout(config)
            .iter()
            .map(weights::Entry::len)
            .sum();
        let formats = stored.formats()?;
        if self.json {
            let config: serde_json::Value = serde_json::from_str(&config.to_json("float32"))?;
            println!(
                "{}",
                json!({
                    "path": stored.path,
                    "parameters": parameters,
                    "formats": formats,
                    "config": config,
                    "vocabulary": stored.text.tokenizer.get_vocab_size(true),
                    "end_tokens": stored.text.ends,
                    "generation_config": stored.generation.to_json(),
                    "chat_template": stored.text.chat.is_some(),
                    "notes": stored.notes(),
                })
            );
            return Ok(());
        }
        for (name, value) in lines(&stored, parameters, &formats) {
            println!("{name:>14}  {}", plain::line(&value));
        }
        Ok(())
    }
}

/// The context, each kind of rotary positions, and windows.
fn positions(config: &ModelConfig) -> String {
    let mut parts = vec![config.max_position_embeddings.to_string()];
    for (index, rope) in config.ropes.iter().enumerate() {
        let layers = (config.layers.iter()).filter(|layer| layer.rope == index);
        let some = match layers.count() {
            all if all == config.layers.len() => String::new(),
            some => format!(" ({some} layers)"),
        };
        parts.push(match rope.scaling {
            RopeScaling::Absent => format!("no rotation{some}"),
            scaling => format!("rotary base {}, scaling {scaling:?}{some}", rope.theta),
        });
    }
    let windows: Vec<i64> = (config.layers.iter())
        .filter_map(|layer| layer.window)
        .collect();
    if let Some(window) = windows.first() {
        parts.push(format!("a window of {window} ({} layers)", windows.len()));
    }
    parts.join(", ")
}

fn lines(
    stored: &Stored,
    parameters: i64,
    formats: &std::collections::BTreeMap<String, usize>,
) -> Vec<(&'static str, String)> {
    let config = &stored.config;
    let word = |id: i64| {
        let word = stored.text.tokenizer.id_to_token(id as u32);
        format!("{} ({id})", word.unwrap_or_default())
    };
    let ends: Vec<String> = stored.text.ends.iter().map(|&id| word(id)).collect();
    let formats: Vec<String> = formats
        .iter()
        .map(|(format, count)| format!("{count} {format}"))
        .collect();
    let mut lines = vec![
        ("model", stored.path.display().to_string()),
        ("architecture", config.architecture.model_type.to_owned()),
        ("parameters", parameters.to_string()),
        ("tensors", formats.join(", ")),
        ("shape", shape(config)),
        ("positions", positions(config)),
        (
            "vocabulary",
            format!(
                "{} tokens, {} rows{}",
                stored.text.tokenizer.get_vocab_size(true),
                config.vocab_size,
                if config.tie_word_embeddings {
                    ", head tied"
                } else {
                    ""
                }
            ),
        ),
        ("ends with", ends.join(", ")),
        ("generation", stored.generation.to_json().to_string()),
        (
            "chat template",
            if stored.text.chat.is_some() {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ),
    ];
    lines.extend(stored.notes().into_iter().map(|note| ("note", note)));
    lines
}

fn shape(config: &ModelConfig) -> String {
    format!(
        "{} layers, width {}, {} heads over {} of {}, feed-forward {}",
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        config.intermediate_size
    )
}

impl Import {
    fn execute(self) -> Result<()> {
        let of_hub = hub::model_name(&self.model, Path::new(""))?;
        let stored = open(&self.model)?;
        stored.warn();
        let path = Path::new(&self.model);
        let name = match (self.name, of_hub) {
            (Some(name), _) => name,
            (None, Some(of_hub)) => of_hub.short().to_lowercase(),
            (None, None) => if path.is_dir() {
                path.file_name()
            } else {
                path.file_stem()
            }
            .map(|stem| stem.to_string_lossy().to_lowercase())
            .context("the model's path has no file name: give it a name with --name")?,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.starts_with('.') || name.is_empty() || !name.chars().all(plain) {
            bail!(UserError(format!(
                "{name:?} cannot name a model: use letters, digits, '-', '_' and '.'; give one with --name"
            )));
        }
        let at = models_folder()?.join(&name);
        if at.exists() {
            bail!(UserError(format!(
                "{} is there already; remove it first, or give another name with --name",
                at.display()
            )));
        }
        folder::convert(&stored, &at, self.dtype.into())?;
        println!("{name}: {}", at.display());
        Ok(())
    }
}

impl Export {
    fn execute(self) -> Result<()> {
        let mut stored = open(&self.model)?;
        stored.warn();
        if let Some(adapter) = &self.adapter {
            stored = as_user_error(stored.with_adapter(adapter))?;
        }
        if self.out.exists() {
            bail!(UserError(format!(
                "{} is there already; give the name of a folder that is not",
                self.out.display()
            )));
        }
        folder::convert(&stored, &self.out, self.dtype.into())?;
        println!("{}", self.out.display());
        Ok(())
    }
}
