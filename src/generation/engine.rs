//! The schedule: which prompts are read, which rows grow, who takes the place
//! of a row that has ended.

use std::collections::VecDeque;

use anyhow::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::network::{self, Cached, Room, RowId, Source, Switches};
use super::sampling::{self, Row as SampledRow, Sampling};
use super::stops::Stops;
use super::{Completion, Finish, GenerationError, Key, Prompt};
use crate::model::{Decoder, Model, ModelConfig, Text};
use crate::network::Precision;
use crate::random::stream;

/// Rows that grow at the same time, at most: beyond this many the products
/// are as fast as they get.
const MOST_ROWS: usize = 256;

/// Bytes of cache, at most, of the rows that grow at the same time; the prompts
/// that are held for them take up to as much again.
fn cache_bytes(device: Device) -> usize {
    match device {
        Device::Cpu => 512 << 20,
        _ => 8 << 30,
    }
}

/// Is told of completions as they end.
pub type Ended<'a> = &'a mut dyn FnMut(usize, &Completion) -> Result<()>;

/// A model ready to be sampled from.
pub struct Engine<'a> {
    config: &'a ModelConfig,
    text: &'a Text,
    device: Device,
    precision: Precision,
    network: Box<dyn Cached>,
}

/// A completion that grows.
struct Growing {
    /// Place among all completions.
    index: usize,
    /// Place of its prompt.
    prompt: usize,
    row: RowId,
    stream: ChaCha8Rng,
    /// The last token, not yet in the cache.
    last: i64,
}

/// A prompt whose cache is held for those of its group that still wait.
struct Held {
    row: RowId,
    prompt: usize,
    logits_1V: Tensor,
    /// Samples not yet begun.
    waiting: std::ops::Range<usize>,
}

impl<'a> Engine<'a> {
    /// An engine over parameters by name.
    pub fn new(
        config: &'a ModelConfig,
        text: &'a Text,
        source: Source<'_>,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::switched(config, text, source, device, precision, Switches::default())
    }

    /// The same with parts of the CUDA path switched off.
    pub fn switched(
        config: &'a ModelConfig,
        text: &'a Text,
        source: Source<'_>,
        device: Device,
        precision: Precision,
        switches: Switches,
    ) -> Result<Self> {
        Ok(Self {
            config,
            text,
            device,
            precision,
            network: network::build(config, source, device, precision, switches)?,
        })
    }

    /// Samples completions of each prompt, prompt by prompt, one for each key.
    pub fn generate(&mut self, prompts: &[Prompt], sampling: &Sampling) -> Result<Vec<Completion>> {
        self.generate_telling(prompts, sampling, &mut |_, _| Ok(()))
    }

    /// The same; `ended` is told of each completion as soon as it has ended,
    /// with its place among all. Where `ended` fails, so does the sampling.
    pub fn generate_telling(
        &mut self,
        prompts: &[Prompt],
        sampling: &Sampling,
        ended: Ended<'_>,
    ) -> Result<Vec<Completion>> {
        self.check(prompts)?;
        let total: usize = prompts.iter().map(|prompt| prompt.keys.len()).sum();
        if total == 0 {
            return Ok(Vec::new());
        }
        let _guard = tch::no_grad_guard();
        let room = self.room(prompts, sampling, total);
        self.network.make_room(room);
        let stops = Stops::new(self.text, &sampling.stop);
        let caps = prompts.iter().map(|prompt| self.cap(prompt, sampling));
        Schedule {
            caps: caps.collect(),
            network: self.network.as_mut(),
            ends: &self.text.ends,
            prompts,
            sampling,
            stops,
            // Low rows first: what runs all slots up to the highest runs few.
            free: (0..room.rows).rev().map(RowId).collect(),
            free_prompts: (room.rows..room.rows + room.prompts)
                .rev()
                .map(RowId)
                .collect(),
            unread: (0..prompts.len()).collect(),
            held: VecDeque::new(),
            growing: Vec::new(),
            completions: vec![None; total],
            ended,
            firsts: prompts
                .iter()
                .scan(0, |next, prompt| {
                    let first = *next;
                    *next += prompt.keys.len();
                    Some(first)
                })
                .collect(),
        }
        .run()
    }

    /// Refuses prompts that cannot be continued.
    pub fn check(&self, prompts: &[Prompt]) -> Result<(), GenerationError> {
        let context = self.config.context();
        for (index, prompt) in prompts.iter().enumerate() {
            if prompt.tokens.is_empty() {
                return Err(GenerationError::EmptyPrompt { index });
            }
            if prompt.tokens.len() >= context {
                return Err(GenerationError::PromptTooLong {
                    index,
                    tokens: prompt.tokens.len(),
                    context,
                });
            }
            let vocabulary = self.config.vocab_size;
            if let Some(&token) = prompt
                .tokens
                .iter()
                .find(|id| !(0..vocabulary).contains(id))
            {
                return Err(GenerationError::UnknownToken {
                    index,
                    token,
                    vocabulary,
                });
            }
        }
        Ok(())
    }

    fn cap(&self, prompt: &Prompt, sampling: &Sampling) -> usize {
        let cap = prompt.max_new_tokens.unwrap_or(sampling.max_new_tokens);
        cap.min(self.config.context() - prompt.tokens.len())
    }

    fn room(&self, prompts: &[Prompt], sampling: &Sampling, total: usize) -> Room {
        let length = prompts
            .iter()
            .map(|prompt| prompt.tokens.len() + self.cap(prompt, sampling))
            .max()
            .unwrap_or(1);
        let config = self.config;
        let token = 2
            * config.num_hidden_layers
            * (config.num_key_value_heads * config.head_dim) as usize
            * self.precision.kind().elt_size_in_bytes();
        let rows = (cache_bytes(self.device) / (token * length))
            .clamp(1, MOST_ROWS)
            .min(total);
        Room {
            rows,
            length,
            prompts: rows.min(prompts.len()),
        }
    }
}

/// One call of [`Engine::generate`].
struct Schedule<'a> {
    network: &'a mut dyn Cached,
    ends: &'a [i64],
    /// Tokens that each prompt's completions may have.
    caps: Vec<usize>,
    prompts: &'a [Prompt],
    sampling: &'a Sampling,
    stops: Stops<'a>,
    free: Vec<RowId>,
    free_prompts: Vec<RowId>,
    unread: VecDeque<usize>,
    held: VecDeque<Held>,
    growing: Vec<Growing>,
    completions: Vec<Option<Completion>>,
    ended: Ended<'a>,
    /// Place of each prompt's first completion.
    firsts: Vec<usize>,
}

impl Schedule<'_> {
    fn run(mut self) -> Result<Vec<Completion>> {
        let rows = self.free.len();
        loop {
            // Reading a few prompts at a time costs a pass over the weights
            // each: rows are refilled once an eighth of them is free.
            if self.growing.is_empty() || self.free.len() * 8 >= rows {
                self.refill()?;
            }
            if self.growing.is_empty() {
                break;
            }
            let step: Vec<(RowId, i64)> = self
                .growing
                .iter()
                .map(|growing| (growing.row, growing.last))
                .collect();
            let logits_BV = self.network.step(&step)?;
            let grown = std::mem::take(&mut self.growing);
            self.draw(&logits_BV, grown)?;
        }
        Ok(self.completions.into_iter().flatten().collect())
    }

    /// Begins completions until no row is free or none waits.
    fn refill(&mut self) -> Result<()> {
        let waits = |schedule: &Self| !(schedule.held.is_empty() && schedule.unread.is_empty());
        while !self.free.is_empty() && waits(self) {
            self.read_prompts()?;
            let mut begun = Vec::new();
            let mut logits = Vec::new();
            while let (Some(held), false) = (self.held.front_mut(), self.free.is_empty()) {
                if let (Some(sample), Some(row)) = (held.waiting.next(), self.free.pop()) {
                    self.network.fork(held.row, row)?;
                    let key = &self.prompts[held.prompt].keys[sample];
                    begun.push(Growing {
                        index: self.firsts[held.prompt] + sample,
                        prompt: held.prompt,
                        row,
                        stream: stream(key.seed, key.purpose, &key.indices),
                        last: 0,
                    });
                    logits.push(held.logits_1V.shallow_clone());
                }
                if held.waiting.is_empty() {
                    let row = held.row;
                    self.network.leave(row);
                    self.free_prompts.push(row);
                    self.held.pop_front();
                }
            }
            for growing in &begun {
                let cap = self.caps[growing.prompt];
                self.completions[growing.index] = Some(Completion {
                    tokens: Vec::with_capacity(cap),
                    logprobs: Vec::with_capacity(cap),
                    finish: Finish::Length,
                });
            }
            if !begun.is_empty() {
                self.draw(&Tensor::cat(&logits, 0), begun)?;
            }
        }
        Ok(())
    }

    /// Reads as many prompts as have a place and are needed for the free rows.
    fn read_prompts(&mut self) -> Result<()> {
        let mut wanted = self.free.len();
        for held in &self.held {
            wanted = wanted.saturating_sub(held.waiting.len());
        }
        let mut now = Vec::new();
        while wanted > 0 && !self.free_prompts.is_empty() {
            let Some(prompt) = self.unread.pop_front() else {
                break;
            };
            let samples = self.prompts[prompt].keys.len();
            if samples == 0 {
                continue;
            }
            // The loop's condition has seen a free place.
            let Some(row) = self.free_prompts.pop() else {
                break;
            };
            wanted = wanted.saturating_sub(samples);
            now.push((row, prompt));
        }
        if now.is_empty() {
            return Ok(());
        }
        let texts: Vec<(RowId, &[i64])> = now
            .iter()
            .map(|&(row, prompt)| (row, self.prompts[prompt].tokens.as_slice()))
            .collect();
        let logits_PV = self.network.read(&texts)?;
        for (place, (row, prompt)) in now.into_iter().enumerate() {
            self.held.push_back(Held {
                row,
                prompt,
                logits_1V: logits_PV.narrow(0, place as i64, 1),
                waiting: 0..self.prompts[prompt].keys.len(),
            });
        }
        Ok(())
    }

    /// Draws a token for each of the rows; those that have not ended grow on.
    fn draw(&mut self, logits_BV: &Tensor, mut rows: Vec<Growing>) -> Result<()> {
        let sampled: Vec<SampledRow<'_>> = rows
            .iter_mut()
            .map(|growing| {
                let written = self.completions[growing.index]
                    .as_ref()
                    .map_or(&[][..], |completion| &completion.tokens);
                SampledRow {
                    uniform: growing.stream.random::<f64>(),
                    written,
                }
            })
            .collect();
        let prompts_of: Vec<usize> = rows.iter().map(|growing| growing.prompt).collect();
        let read = |row: usize| self.prompts[prompts_of[row]].tokens.as_slice();
        let drawn = sampling::draw(logits_BV, &sampled, &read, self.sampling, self.ends)?;
        for (mut growing, (token, logprob)) in rows.into_iter().zip(drawn) {
            // A growing row's completion was put there when it began.
            let Some(completion) = self.completions[growing.index].as_mut() else {
                continue;
            };
            completion.tokens.push(token);
            completion.logprobs.push(logprob);
            let full = completion.tokens.len() >= self.caps[growing.prompt];
            let finish = self
                .stops
                .after(&completion.tokens)?
                .or_else(|| full.then_some(Finish::Length));
            if let Some(finish) = finish {
                completion.finish = finish;
                (self.ended)(growing.index, completion)?;
                self.network.leave(growing.row);
                self.free.push(growing.row);
            } else {
                growing.last = token;
                self.growing.push(growing);
            }
        }
        Ok(())
    }
}

/// Samples completions of each prompt from a model in memory, prompt by prompt,
/// one for each of the keys that `keys` gives for the prompt's index.
pub fn generate(
    model: &Model,
    prompts: &[Vec<i64>],
    sampling: &Sampling,
    keys: impl Fn(usize) -> Vec<Key>,
) -> Result<Vec<Completion>> {
    generate_telling(model, prompts, sampling, keys, &mut |_, _| Ok(()))
}

/// The same, with somebody who is told of each completion as soon as it has
/// ended; see [`Engine::generate_telling`].
pub fn generate_telling(
    model: &Model,
    prompts: &[Vec<i64>],
    sampling: &Sampling,
    keys: impl Fn(usize) -> Vec<Key>,
    ended: Ended<'_>,
) -> Result<Vec<Completion>> {
    let prompts: Vec<Prompt> = prompts
        .iter()
        .enumerate()
        .map(|(index, tokens)| Prompt {
            tokens: tokens.clone(),
            keys: keys(index),
            max_new_tokens: None,
        })
        .collect();
    let decoder: &Decoder = &model.decoder;
    let source = |name: &str| Ok(decoder.merged(name));
    Engine::new(
        decoder.config(),
        &model.text,
        &source,
        decoder.device(),
        sampling.dtype.resolve(decoder.device()),
    )?
    .generate_telling(&prompts, sampling, ended)
}
