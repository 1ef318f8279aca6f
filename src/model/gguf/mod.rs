//! Import of GGUF files of the architectures that have a [`Form`], in fifteen number formats.
//!
//! A [`Gguf`] is a view of a file's bytes: it says what a `config.json` of
//! Hugging Face would say, rebuilds the tokenizer, and gives each tensor as
//! numbers under the name and in the row order of a Hugging Face checkpoint.
//! Nothing is written back to GGUF, nothing is computed on quantised blocks,
//! and what is not known here is refused by its name instead of guessed:
//! other architectures, other number formats, other tensors, other ways to
//! split text.
//!
//! The parser is this module's own, because the header of a stranger's file
//! decides what is allocated.

mod blocks;
mod config;
mod header;
mod kind;
mod names;
mod tensors;
#[cfg(test)]
pub(super) mod tests;
mod tokenizer;
mod value;
mod vocabulary;

pub use header::Stored;
pub use kind::Kind;
pub use names::Form;
pub use tokenizer::SpecialTokens;
pub use value::{Array, Value};

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::architecture::Architecture;

/// Larger sizes than this are no model's; the product of two fits 64 bits.
const LARGEST_SIZE: u64 = 1 << 31;

/// A GGUF file of a model, its header read and checked.
///
/// Worked example: of a file of `SmolLM2-135M`, [`Gguf::architecture`] is
/// `llama`, [`Gguf::tensors`] names 272 tensors,
/// `model.embed_tokens.weight` first, and [`Gguf::parameters`] is 134515008.
#[derive(Debug)]
pub struct Gguf<'a> {
    version: u32,
    architecture: &'static Architecture,
    form: &'static Form,
    metadata: BTreeMap<&'a str, Value<'a>>,
    /// By their names in a checkpoint.
    tensors: BTreeMap<String, Stored<'a>>,
    /// What the rotary frequencies are divided by, where the file says so.
    rope_divisors: Option<Stored<'a>>,
}

impl<'a> Gguf<'a> {
    /// Reads the header of the bytes of a whole file; the caller's context
    /// says which file it is.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header = header::parse(bytes)?;
        let metadata = header.metadata;
        let name = match metadata.get("general.architecture") {
            Some(Value::Text(name)) => *name,
            Some(other) => bail!("general.architecture is {}, not a text", other.kind()),
            None => {
                bail!("general.architecture is missing: the file does not say what model it holds")
            }
        };
        let (architecture, form) = Form::named(name).with_context(|| {
            format!(
                "general.architecture is {name:?}; read are {}",
                Form::names()
            )
        })?;
        let mut tensors = BTreeMap::new();
        let mut rope_divisors = None;
        for (name, stored) in header.tensors {
            if name == names::ROPE_DIVISORS {
                rope_divisors = Some(stored);
                continue;
            }
            let own = form
                .checkpoint_name(name)
                .with_context(|| format!("tensor {name:?} is none of a {} model's", form.name))?;
            tensors.insert(own, stored);
        }
        let file = Self {
            version: header.version,
            architecture,
            form,
            metadata,
            tensors,
            rope_divisors,
        };
        if let Some(parts) = file.size("split.count")?.filter(|&parts| parts > 1) {
            bail!(
                "split.count is {parts}: the file is one part of a model; merge the parts into one file"
            );
        }
        Ok(file)
    }

    /// Version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What kind of model it is.
    pub fn architecture(&self) -> &'static Architecture {
        self.architecture
    }

    /// Keys and values, by key.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &Value<'a>)> {
        self.metadata.iter().map(|(key, value)| (*key, value))
    }

    /// The parameters by their names in a checkpoint.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Stored<'a>)> {
        self.tensors
            .iter()
            .map(|(name, stored)| (name.as_str(), stored))
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        // No two tensors share a byte, so the sum is of the file's order.
        self.tensors.values().map(Stored::len).sum()
    }

    /// How many tensors there are of each number format.
    pub fn kind_counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for stored in self.tensors.values().chain(&self.rope_divisors) {
            *counts.entry(stored.kind).or_default() += 1;
        }
        counts
    }

    /// The template that lays out a conversation, where the file has one.
    pub fn chat_template(&self) -> Result<Option<&'a str>> {
        self.text("tokenizer.chat_template")
    }

    /// A key of the architecture's own, such as `llama.block_count`.
    pub(in crate::model) fn own(&self, key: &str) -> String {
        format!("{}.{key}", self.form.name)
    }

    fn typed<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.metadata.get(key) else {
            return Ok(None);
        };
        let read = read(value).with_context(|| format!("{key} is {value}, not {what}"))?;
        Ok(Some(read))
    }

    /// A count or a size.
    pub(in crate::model) fn size(&self, key: &str) -> Result<Option<usize>> {
        let size = self.typed(key, "a size", Value::unsigned)?;
        let Some(size) = size else {
            return Ok(None);
        };
        ensure!(
            size <= LARGEST_SIZE,
            "{key} is {size}: no model is that large"
        );
        Ok(Some(size as usize))
    }

    pub(in crate::model) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = self.typed(key, "a number", Value::number)?;
        if let Some(number) = number {
            ensure!(number.is_finite(), "{key} is {number}");
        }
        Ok(number)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a flag", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.typed(key, "a text", |value| match value {
            Value::Text(text) => Some(*text),
            _ => None,
        })
    }

    fn list(&self, key: &str) -> Result<Option<Array<'a>>> {
        self.typed(key, "an array", |value| match value {
            Value::Array(array) => Some(*array),
            _ => None,
        })
    }
}
