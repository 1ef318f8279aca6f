//! A model where it is stored: a Hugging Face folder or a GGUF file, opened
//! and held to its own configuration, its tensors not yet read.
//!
//! Opening reads text and headers only, and refuses a model that is not whole:
//! nothing of it is used before every tensor is known to be there in the shape
//! that the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use memmap2::Mmap;
use serde_json::{Map, Value, json};
use tch::{Device, Tensor};

use super::chat::ChatTemplate;
use super::generation_config::{self, GenerationConfig};
use super::gguf::Gguf;
use super::tensor_files::TensorFiles;
use super::tokenizer::{self, SpecialTokens};
use super::weights::{Entry, layout};
use super::{Adapter, Decoder, Model, ModelConfig, Text, Weights};
use crate::hub;

/// Files beside the weights that training does not change, by name.
pub type Companions = BTreeMap<String, Vec<u8>>;

/// Names of the companions of a Hugging Face folder.
const COMPANIONS: [&str; 5] = [
    tokenizer::FILE,
    tokenizer::CONFIG,
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
];

/// The embedding and the head, by their names in a checkpoint.
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A model that is there but not in memory.
pub struct Stored {
    /// Shape and constants.
    pub config: ModelConfig,
    /// Its text side.
    pub text: Text,
    /// How its makers sample from it.
    pub generation: GenerationConfig,
    /// Files that belong to it.
    pub companions: Companions,
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it has a head of its own though its configuration ties it to the
    /// embedding.
    own_head: bool,
    /// Whether somebody would tell a chat template something, and it has none.
    told_nobody: bool,
    adapter: Option<Adapter>,
    tensors: Tensors,
}

enum Tensors {
    Files(TensorFiles),
    Gguf(Mmap),
}

impl Stored {
    /// Opens a folder or a GGUF file.
    pub fn open(path: &Path) -> Result<Self> {
        let stored = if path.is_dir() {
            Self::open_folder(path)
        } else if path
            .extension()
            .is_some_and(|extension| extension == "gguf")
        {
            Self::open_gguf(path)
        } else if path.exists() {
            Err(anyhow!(
                "it is neither a Hugging Face folder nor a .gguf file"
            ))
        } else {
            Err(anyhow!("there is no such file or folder"))
        };
        stored.with_context(|| format!("the model {}", path.display()))
    }

    /// The model of that name: a path, from `folder` on where it is relative,
    /// else a name in `cache`, else one on the hub that Hugging Face's cache has.
    pub fn find(name: &str, folder: &Path, cache: &Path) -> Result<PathBuf> {
        ensure!(!name.is_empty(), "the model's name is empty");
        let path = folder.join(name);
        if path.exists() {
            return Ok(path);
        }
        let cached = cache.join(name);
        if cached.exists() {
            return Ok(cached);
        }
        if let Some(of_hub) = hub::Name::model(name) {
            let found = hub::Hub::of_user()?.cached(&of_hub);
            return Ok(found.with_context(|| hub::no_path(name))?.path);
        }
        bail!(
            "there is no model {name}: neither {} nor {} exists; \
             name one of the Hugging Face Hub, ORG/NAME, or bring one with qinglan model import, \
             make smollm2 or make gemma3",
            path.display(),
            cached.display()
        )
    }

    /// The same model, its chat template told this in every rendering.
    #[must_use]
    pub fn telling(mut self, kwargs: &Map<String, Value>) -> Self {
        self.told_nobody = self.text.chat.is_none() && !kwargs.is_empty();
        self.text.chat = self.text.chat.map(|chat| chat.telling(kwargs.clone()));
        self
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = experiments::text::string(&path).with_context(|| {
            format!(
                "reading {}: a model folder holds config.json, model.safetensors and tokenizer.json",
                path.display()
            )
        })?;
        let mut config = ModelConfig::from_json(&text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        let tokenizer = tokenizer::load(folder, config.vocab_size as usize)?;
        let special = SpecialTokens::from_folder(folder)?;
        let id = |token: &Option<String>| {
            let token = token.as_deref()?;
            tokenizer.token_to_id(token).map(i64::from)
        };
        let (end, pad) = (id(&special.eos), id(&special.pad));
        let generation = GenerationConfig::from_folder(folder)?.unwrap_or_default();
        let mut companions = Companions::new();
        for name in COMPANIONS {
            let path = folder.join(name);
            if path.exists() {
                let bytes =
                    std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                companions.insert(name.to_owned(), bytes);
            }
        }
        let of_generation: Vec<i64> = generation
            .eos_token_id
            .iter()
            .map(|&id| i64::from(id))
            .collect();
        let ends = ends(&config, &of_generation, end)?;
        let files = TensorFiles::open(folder)?;
        let own_head = config.tie_word_embeddings && has_own_head(&files)?;
        config.tie_word_embeddings &= !own_head;
        let stored = Self {
            text: Text {
                end: end.unwrap_or(ends[0]),
                pad: pad.or(config.pad_token_id),
                chat: ChatTemplate::from_folder(folder)?,
                tokenizer,
                ends,
            },
            config,
            generation,
            companions,
            path: folder.to_owned(),
            own_head,
            told_nobody: false,
            adapter: None,
            tensors: Tensors::Files(files),
        };
        stored.check()?;
        Ok(stored)
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let bytes = torch_ext::map_file(path)?;
        let file = Gguf::parse(&bytes)?;
        let config = ModelConfig::from_value(&file.config()?).map_err(anyhow::Error::msg)?;
        let tokenizer = file.tokenizer()?;
        let ids = file.special_tokens()?;
        let word = |id: Option<u32>| id.and_then(|id| tokenizer.id_to_token(id));
        let special = SpecialTokens {
            bos: word(ids.bos),
            eos: word(ids.eos),
            pad: word(ids.pad),
            unk: word(ids.unk),
        };
        let end = ids.eos.map(i64::from);
        let of_file: Vec<i64> = ids.ends().map(i64::from).collect();
        let ends = ends(&config, &of_file, end)?;
        let template = file.chat_template()?;
        let generation = GenerationConfig {
            eos_token_id: ends.iter().map(|&id| id as u32).collect(),
            bos_token_id: ids.bos,
            pad_token_id: ids.pad,
            ..GenerationConfig::default()
        };
        let mut companions = gguf_companions(&config, &tokenizer, &special, template)?;
        companions.insert(
            generation_config::FILE.to_owned(),
            serde_json::to_vec_pretty(&generation.to_json())?,
        );
        let chat = template
            .map(|source| ChatTemplate::new(source, special))
            .transpose()
            .context("tokenizer.chat_template")?;
        let stored = Self {
            text: Text {
                end: end.unwrap_or(ends[0]),
                pad: ids.pad.map(i64::from),
                chat,
                tokenizer,
                ends,
            },
            config,
            generation,
            companions,
            path: path.to_owned(),
            // It says by its tensors alone whether the head is the embedding.
            own_head: false,
            told_nobody: false,
            adapter: None,
            tensors: Tensors::Gguf(bytes),
        };
        stored.check()?;
        Ok(stored)
    }

    /// The same model with the adapter of a PEFT folder.
    pub fn with_adapter(self, folder: &Path) -> Result<Self> {
        let adapter = Adapter::load(folder, &layout(&self.config), Device::Cpu)
            .with_context(|| format!("the adapter {}", folder.display()))?;
        Ok(Self {
            adapter: Some(adapter),
            ..self
        })
    }

    /// Every tensor of the configuration in its shape, and no other.
    fn check(&self) -> Result<()> {
        self.text.check(self.config.vocab_size)?;
        let mut shapes: BTreeMap<String, Vec<usize>> = match &self.tensors {
            Tensors::Files(files) => files
                .names()
                .map(|name| Ok((name.to_owned(), files.shape(name)?.to_vec())))
                .collect::<Result<_>>()?,
            Tensors::Gguf(bytes) => Gguf::parse(bytes)?
                .tensors()
                .map(|(name, stored)| (name.to_owned(), stored.shape.clone()))
                .collect(),
        };
        for entry in layout(&self.config) {
            let wanted: Vec<usize> = entry.shape.iter().map(|&size| size as usize).collect();
            match shapes.remove(&entry.name) {
                None => bail!("tensor {} is missing", entry.name),
                Some(shape) => ensure!(
                    shape == wanted,
                    "tensor {} has shape {shape:?}, the configuration says {wanted:?}",
                    entry.name
                ),
            }
        }
        // Written by some versions of transformers: what follows from the
        // configuration, and a head that is the embedding.
        let idle: BTreeSet<&str> = shapes
            .keys()
            .map(String::as_str)
            .filter(|name| !name.ends_with("rotary_emb.inv_freq"))
            .filter(|name| !(self.config.tie_word_embeddings && *name == HEAD))
            .collect();
        if let Some(name) = idle.first() {
            bail!("tensor {name} is not part of this configuration");
        }
        Ok(())
    }

    /// What is to be known of it before its figures are believed, a sentence
    /// each; mostly nothing.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.own_head {
            notes.push(format!(
                "config.json says tie_word_embeddings: true, but {HEAD} differs from {EMBEDDING}; \
                 the model keeps its own head, as in transformers and vLLM"
            ));
        }
        if let Some(chat) = &self.text.chat {
            notes.extend(match chat.unread() {
                Ok(unread) => unread
                    .iter()
                    .map(|name| format!("its chat template never reads {name:?}, so that chat_template_kwargs.{name} changes nothing"))
                    .collect(),
                Err(error) => vec![format!("{error:#}")],
            });
        } else if self.told_nobody {
            notes
                .push("it has no chat template, so chat_template_kwargs change nothing".to_owned());
        }
        if let Some(turn) = self.text.unended_turn() {
            let ends: Vec<String> = (self.text.ends.iter())
                .map(|&id| self.text.named(id))
                .collect();
            notes.push(format!(
                "the chat template ends a turn with {turn}, but only {} ends a completion, so \
                 answers may go on to the token cap; {}",
                ends.join(" or "),
                match &self.tensors {
                    Tensors::Files(_) =>
                        "name that token in eos_token_id of generation_config.json",
                    Tensors::Gguf(_) =>
                        "a file names that token as tokenizer.ggml.eot_token_id, or export the model \
                         and name it in eos_token_id of generation_config.json",
                }
            ));
        }
        notes
    }

    /// Its notes as warnings.
    pub fn warn(&self) {
        for note in self.notes() {
            tracing::warn!("the model {}: {note}", self.path.display());
        }
    }

    /// How many tensors are stored in each number format.
    pub fn formats(&self) -> Result<BTreeMap<String, usize>> {
        let mut formats = BTreeMap::new();
        match &self.tensors {
            Tensors::Files(files) => {
                for name in files.names() {
                    *formats.entry(files.dtype(name)?.to_string()).or_default() += 1;
                }
            }
            Tensors::Gguf(bytes) => {
                for (kind, count) in Gguf::parse(bytes)?.kind_counts() {
                    formats.insert(kind.name().to_owned(), count);
                }
            }
        }
        Ok(formats)
    }

    /// Calls `with` with a function that reads a parameter's numbers.
    fn reading<R>(
        &self,
        with: impl FnOnce(&dyn Fn(&str, &mut [f32]) -> Result<()>) -> Result<R>,
    ) -> Result<R> {
        let told = || format!("the model {}", self.path.display());
        match &self.tensors {
            Tensors::Files(files) => {
                with(&|name, values| files.read_f32(name, values).with_context(told))
            }
            Tensors::Gguf(bytes) => {
                let file = Gguf::parse(bytes)?;
                with(&|name, values| file.read_into(name, values).with_context(told))
            }
        }
    }

    /// Calls `with` with a function that gives a parameter, float32 on the
    /// CPU, an adapter's change included. For generation, which keeps its own
    /// form of the weights and need not hold these.
    pub fn source<R>(
        &self,
        with: impl FnOnce(&dyn Fn(&str) -> Result<Tensor>) -> Result<R>,
    ) -> Result<R> {
        let shapes: BTreeMap<String, Vec<i64>> = layout(&self.config)
            .into_iter()
            .map(|entry| (entry.name, entry.shape))
            .collect();
        self.reading(|read| {
            with(&|name| {
                let shape = shapes
                    .get(name)
                    .with_context(|| format!("the configuration has no tensor {name}"))?;
                let mut values = vec![0.0f32; shape.iter().product::<i64>() as usize];
                read(name, &mut values)?;
                let plain = Tensor::from_slice(&values).view(shape.as_slice());
                let change = self
                    .adapter
                    .as_ref()
                    .and_then(|adapter| adapter.change(name, &plain));
                Ok(match change {
                    Some(change) => plain + change,
                    None => plain,
                })
            })
        })
    }

    /// Reads the whole model onto a device, float32; an adapter is merged.
    pub fn load(self, device: Device) -> Result<Model> {
        let entries = layout(&self.config);
        let weights = self.source(|source| {
            Weights::read(entries, device, |entry: &Entry, values| {
                let count = values.len();
                source(&entry.name)?.reshape([-1]).copy_data(values, count);
                Ok(())
            })
        })?;
        Ok(Model {
            decoder: Decoder::new(self.config, weights),
            text: self.text,
            companions: self.companions,
        })
    }
}

/// Whether a folder holds a head that is not its embedding, bit for bit where
/// both have one number format.
fn has_own_head(files: &TensorFiles) -> Result<bool> {
    let has = |wanted: &str| files.names().any(|name| name == wanted);
    // An embedding that is missing is named when all tensors are looked for.
    if !has(HEAD) || !has(EMBEDDING) {
        return Ok(false);
    }
    let shape = files.shape(HEAD)?;
    if shape != files.shape(EMBEDDING)? {
        return Ok(true);
    }
    if files.dtype(HEAD)? == files.dtype(EMBEDDING)? {
        return Ok(files.bytes(HEAD)? != files.bytes(EMBEDDING)?);
    }
    let numbers = |name: &str| {
        let mut numbers = vec![0.0f32; shape.iter().product()];
        files.read_f32(name, &mut numbers).map(|()| numbers)
    };
    Ok(numbers(HEAD)? != numbers(EMBEDDING)?)
}

/// Every token that ends a completion, each once.
fn ends(config: &ModelConfig, generation: &[i64], end: Option<i64>) -> Result<Vec<i64>> {
    let mut all: Vec<i64> = Vec::new();
    for id in generation
        .iter()
        .chain(&config.eos_token_ids)
        .copied()
        .chain(end)
    {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    ensure!(
        !all.is_empty(),
        "no end token: neither config.json nor generation_config.json has an eos_token_id"
    );
    Ok(all)
}

/// What a folder made of a GGUF file needs besides configuration and weights.
fn gguf_companions(
    config: &ModelConfig,
    tokenizer: &tokenizers::Tokenizer,
    special: &SpecialTokens,
    template: Option<&str>,
) -> Result<Companions> {
    let mut companions = Companions::new();
    let text = tokenizer
        .to_string(true)
        .map_err(|error| anyhow::anyhow!("writing the tokenizer: {error}"))?;
    companions.insert(tokenizer::FILE.to_owned(), text.into_bytes());
    let about = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": special.bos,
        "eos_token": special.eos,
        "pad_token": special.pad,
        "unk_token": special.unk,
        "clean_up_tokenization_spaces": false,
        "model_max_length": config.max_position_embeddings,
    });
    companions.insert(
        tokenizer::CONFIG.to_owned(),
        serde_json::to_vec_pretty(&about)?,
    );
    if let Some(template) = template {
        companions.insert(
            "chat_template.jinja".to_owned(),
            template.as_bytes().to_vec(),
        );
    }
    Ok(companions)
}

#[cfg(test)]
mod tests;
