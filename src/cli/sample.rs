//! `qinglan sample`: completions of prompts or of a task's problems, one JSON
//! object a line.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;
use crate::error::{UserError, as_user_error};
use crate::formats;
use crate::generation::{Engine, Finish, Key, PrecisionChoice, Prompt, Sampling};
use crate::hub;
use crate::messages::say;
use crate::model::Stored;
use crate::tasks::{self, Item, Mix, Proportions, Split, Wording};

/// Prompts that are sampled together; bounds what is lost when one stops early.
const PROMPTS_AT_ONCE: usize = 256;

/// Completions of one call, at most.
const MOST_COMPLETIONS: u64 = 10_000_000;

/// Arguments of `qinglan sample`.
#[derive(Args)]
pub(super) struct Sample {
    /// A Hugging Face folder, a GGUF file, or the name of a model in the cache.
    #[arg(long, value_name = "DIR|GGUF|NAME")]
    model: String,
    /// A LoRA adapter in PEFT's format, trained beside the model.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// A prompt; may be repeated.
    #[arg(long = "prompt", value_name = "TEXT")]
    prompts: Vec<String>,
    /// Prompts from a file, JSONL with "prompt" or one text a line; - is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Problems of this task.
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// How many problems of the task: its evaluation items where absent.
    #[arg(long, value_name = "N", requires = "task")]
    problems: Option<u64>,
    /// How a problem is asked, {problem} standing for it.
    #[arg(long, value_name = "TEXT", requires = "task")]
    instruction: Option<String>,
    /// Samples of each prompt.
    #[arg(long, default_value_t = 1)]
    samples: u64,
    /// Token cap of a completion.
    #[arg(long, default_value_t = 256)]
    max_new_tokens: usize,
    /// No end token is drawn before that many tokens.
    #[arg(long, default_value_t = 0)]
    min_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Draw from the so many likeliest tokens only; 0 is all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draw from the likeliest tokens that make up this mass only.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Draw from tokens at least this fraction as likely as the likeliest only.
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
    /// Makes tokens that were there already less likely; 1 does not.
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// A string that ends a completion; may be repeated.
    #[arg(long = "stop", value_name = "TEXT")]
    stop: Vec<String>,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Read the prompts as they stand, without the model's chat template.
    #[arg(long)]
    raw: bool,
    /// Number format.
    #[arg(long, value_enum, default_value_t)]
    dtype: PrecisionChoice,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Where to write; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// One line of the output.
#[derive(Serialize)]
struct Sampled<'a> {
    prompt: &'a str,
    sample: u64,
    completion: String,
    tokens: usize,
    reasoning_tokens: usize,
    finish: Finish,
    /// Sum over the completion's tokens, at the sampling's temperature.
    logprob: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
}

/// What a completion is asked for.
struct Asked {
    prompt: String,
    /// The problem of a task; nothing where the prompt is the user's own.
    item: Option<Item>,
}

impl Sample {
    pub(super) fn execute(self) -> Result<()> {
        let sampling = Sampling {
            max_new_tokens: self.max_new_tokens,
            min_new_tokens: self.min_new_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            stop: self.stop.clone(),
            dtype: self.dtype,
        };
        sampling
            .check()
            .map_err(|error| UserError(format!("sampling: {error}")))?;
        let asked = as_user_error(self.asked())?;
        let device = as_user_error(self.device.resolve())?;
        let path = as_user_error(hub::model(&self.model))?;
        let mut stored = as_user_error(Stored::open(&path))?;
        if let Some(adapter) = &self.adapter {
            stored = as_user_error(stored.with_adapter(adapter))?;
        }
        if self.raw {
            stored.text.chat = None;
        }
        stored.warn();
        let prompts = as_user_error(self.prompts_of(&asked, &stored))?;
        let rows = formats::generation_rows(prompts.len() * self.samples as usize);
        let engine = formats::Engine::Generation;
        let dtype = formats::settle(self.dtype, engine, &stored.config, rows, device);
        let precision = dtype.resolve(device);
        say!(
            "sampling {} completions in {precision} on {device:?}",
            prompts.len() as u64 * self.samples
        );
        let mut engine = stored.source(|source| {
            Engine::new(&stored.config, &stored.text, source, device, precision)
        })?;
        as_user_error(engine.check(&prompts).map_err(anyhow::Error::from))?;
        let mut out = as_user_error(self.writer())?;
        for (chunk, asked) in prompts
            .chunks(PROMPTS_AT_ONCE)
            .zip(asked.chunks(PROMPTS_AT_ONCE))
        {
            let completions = engine.generate(chunk, &sampling)?;
            for (index, completion) in completions.iter().enumerate() {
                let asked = &asked[index / self.samples as usize];
                let text = stored.text.decode(&completion.tokens)?;
                let line = Sampled {
                    prompt: &asked.prompt,
                    sample: index as u64 % self.samples,
                    tokens: completion.tokens.len(),
                    reasoning_tokens: stored.text.reasoning_tokens(&completion.tokens),
                    finish: completion.finish,
                    logprob: completion.logprobs.iter().copied().map(f64::from).sum(),
                    task: asked.item.as_ref().map(|item| item.task.as_str()),
                    item_id: asked.item.as_ref().map(|item| item.item_id.as_str()),
                    correct: match &asked.item {
                        Some(item) => item.grade(&text)?,
                        None => None,
                    },
                    completion: text,
                };
                writeln!(out, "{}", serde_json::to_string(&line)?).with_context(|| self.place())?;
            }
        }
        out.flush().with_context(|| self.place())
    }

    /// What the flags ask.
    fn asked(&self) -> Result<Vec<Asked>> {
        let mut asked: Vec<Asked> = self.prompts.iter().cloned().map(Asked::bare).collect();
        if let Some(file) = &self.file {
            asked.extend(read_prompts(file)?.into_iter().map(Asked::bare));
        }
        if let Some(task) = &self.task {
            asked.extend(self.of_task(task)?);
        }
        if asked.is_empty() {
            bail!("nothing to sample: give --prompt, a --file that is not empty, or --task");
        }
        if self.samples == 0 {
            bail!("--samples 0: ask for at least one of each prompt");
        }
        let total = (asked.len() as u64).saturating_mul(self.samples);
        if total > MOST_COMPLETIONS {
            bail!(
                "{total} completions are asked for, at most {MOST_COMPLETIONS} are sampled at a time"
            );
        }
        Ok(asked)
    }

    fn of_task(&self, name: &str) -> Result<Vec<Asked>> {
        let instructions = self.instruction.iter();
        let wording = Wording {
            instructions: instructions
                .map(|instruction| (name.to_owned(), instruction.clone()))
                .collect(),
            ..Wording::default()
        };
        if let Some(instruction) = &self.instruction
            && !instruction.contains(tasks::PROBLEM)
        {
            bail!("--instruction does not hold {}", tasks::PROBLEM);
        }
        if self.problems.is_some_and(|count| count > MOST_COMPLETIONS) {
            bail!("--problems: at most {MOST_COMPLETIONS} are sampled at a time");
        }
        let mix = Mix::new(&[name], Proportions::default())?.asking(wording);
        let items = if let Some(count) = self.problems {
            let mix = mix.learned_from(None)?;
            let items = (0..count).map(|index| mix.item(self.seed, Split::Validation, index));
            items.collect::<Result<Vec<_>>>()?
        } else {
            let items = tasks::items(&[name.to_owned()], &[], None)?.0;
            let asked = items.into_iter().map(|item| mix.wording().asked(item));
            asked.collect()
        };
        let asked = items.into_iter().map(|item| Asked {
            prompt: item.prompt.clone(),
            item: Some(item),
        });
        Ok(asked.collect())
    }

    fn prompts_of(&self, asked: &[Asked], stored: &Stored) -> Result<Vec<Prompt>> {
        asked
            .iter()
            .zip(0u64..)
            .map(|(asked, index)| {
                let key = |sample| Key {
                    seed: self.seed,
                    purpose: "sample",
                    indices: vec![index, sample],
                };
                Ok(Prompt {
                    tokens: stored
                        .text
                        .encode_prompt(&asked.prompt)
                        .with_context(|| format!("prompt {index}"))?,
                    keys: (0..self.samples).map(key).collect(),
                    max_new_tokens: None,
                })
            })
            .collect()
    }

    /// Where the output goes, for a failure to write it.
    fn place(&self) -> String {
        match &self.out {
            None => "writing to standard output".to_owned(),
            Some(path) => format!(
                "writing {}: it holds a part of the completions",
                path.display()
            ),
        }
    }

    fn writer(&self) -> Result<Box<dyn Write>> {
        Ok(match &self.out {
            None => Box::new(io::stdout().lock()),
            Some(path) => {
                let file = std::fs::File::create(path)
                    .with_context(|| format!("creating {}", path.display()))?;
                Box::new(io::BufWriter::new(file))
            }
        })
    }
}

impl Asked {
    fn bare(prompt: String) -> Self {
        Self { prompt, item: None }
    }
}

/// A line of a prompts file.
#[derive(Deserialize)]
struct Line {
    prompt: String,
}

/// Prompts of a file: JSON objects where the first line is one, else texts.
fn read_prompts(path: &Path) -> Result<Vec<String>> {
    let mut lines: Vec<String> = if path == Path::new("-") {
        io::stdin().lock().lines().collect::<io::Result<_>>()
    } else {
        experiments::text::string(path).map(|text| text.lines().map(str::to_owned).collect())
    }
    .with_context(|| format!("reading {}", path.display()))?;
    if let Some(first) = lines.first_mut() {
        // A byte order mark, which standard input may begin with as well.
        *first = first.trim_start_matches('\u{feff}').to_owned();
    }
    let objects = lines.first().is_some_and(|line| line.starts_with('{'));
    lines
        .into_iter()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            if !objects {
                return Ok(line);
            }
            let line: Line = serde_json::from_str(&line).with_context(|| {
                format!(
                    "{}, line {}: a JSON object with \"prompt\" is wanted",
                    path.display(),
                    index + 1
                )
            })?;
            Ok(line.prompt)
        })
        .collect()
}
