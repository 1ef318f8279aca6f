//! A model held to its `expected.json`, computed by transformers in float32.
//!
//! What is compared: the rendered chat and its token ids, losses, the
//! log-probability of each next token, the entropy at each position, the last
//! logits, the gradient norm of every parameter, and greedy continuations by
//! the generation engine. Beside them, the engine is held to itself: a sequence
//! read at once and the same one token by token.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Map;
use tch::{Device, Kind, Tensor};

use crate::generation::network::{self, Room, RowId, Switches};
use crate::generation::{Engine, Key, Precision, Prompt, Sampling};
use crate::model::chat::Message;
use crate::model::text::encode;
use crate::model::{Decoder, Model, Stored};
use crate::network::{Keep, Network, Packed, Workspace};

/// What an `expected.json` holds.
#[derive(Debug, Deserialize)]
struct Expected {
    rendered_chat: Option<String>,
    rendered_prompt: Option<String>,
    rows: Vec<ExpectedRow>,
}

/// One sequence and what transformers says of it.
#[derive(Debug, Deserialize)]
struct ExpectedRow {
    input_ids: Vec<i64>,
    loss: f64,
    logits_last: Vec<f64>,
    next_token_logprobs: Vec<f64>,
    entropy: Vec<f64>,
    grad_norms: BTreeMap<String, f64>,
    greedy_24: Vec<i64>,
}

/// One kind of comparison over all rows of a model.
///
/// Worked example: `{what: "logits", compared: 1086, largest: 2.1e-6,
/// tolerance: 1e-4, first: None}`; a text or an id that differs counts as 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was compared.
    pub what: &'static str,
    /// How many numbers or texts.
    pub compared: usize,
    /// Largest deviation.
    pub largest: f64,
    /// Largest deviation that is allowed.
    pub tolerance: f64,
    /// Where the first deviation beyond the tolerance is.
    pub first: Option<String>,
}

impl Comparison {
    /// Whether nothing deviates more than is allowed; NaN does.
    pub fn holds(&self) -> bool {
        self.largest <= self.tolerance
    }
}

/// The chat that the references render.
fn chat() -> [Message; 2] {
    [
        Message {
            role: "user".to_owned(),
            content: "What is 17 + 25?".to_owned(),
        },
        Message {
            role: "assistant".to_owned(),
            content: "<think>17, 27, 37, 42</think> 42".to_owned(),
        },
    ]
}

struct Comparisons(Vec<Comparison>);

impl Comparisons {
    fn add(
        &mut self,
        what: &'static str,
        tolerance: f64,
        deviation: f64,
        place: impl FnOnce() -> String,
    ) {
        let known = self.0.iter().position(|known| known.what == what);
        let index = known.unwrap_or_else(|| {
            self.0.push(Comparison {
                what,
                compared: 0,
                largest: 0.0,
                tolerance,
                first: None,
            });
            self.0.len() - 1
        });
        let known = &mut self.0[index];
        known.compared += 1;
        // A comparison with NaN is false: it must count as the largest.
        if deviation.is_nan() || deviation > known.largest {
            known.largest = deviation;
        }
        let beyond = deviation.is_nan() || deviation > tolerance;
        if beyond && known.first.is_none() {
            known.first = Some(place());
        }
    }

    fn same<T: PartialEq>(
        &mut self,
        what: &'static str,
        ours: &T,
        theirs: &T,
        place: impl FnOnce() -> String,
    ) {
        self.add(what, 0.0, f64::from(u8::from(ours != theirs)), place);
    }
}

const ABSOLUTE: f64 = 1e-4;
const GRADIENTS: f64 = 1e-3;
const CACHED_FLOAT32: f64 = 1e-5;
const CACHED_BFLOAT16: f64 = 1e-3;

/// A model beside what is expected of it.
pub struct Reference {
    model: Model,
    expected: Expected,
}

impl Reference {
    /// Reads a model and an `expected.json`.
    pub fn open(model: &Path, expected: &Path, device: Device) -> Result<Self> {
        let text = experiments::text::string(expected)
            .with_context(|| format!("reading {}", expected.display()))?;
        let path = expected;
        let expected: Expected = serde_json::from_str(&text)
            .with_context(|| format!("{} is no expected.json", path.display()))?;
        let model = Stored::open(model)?.load(device)?;
        let vocabulary = model.decoder.config().vocab_size;
        ensure!(
            !expected.rows.is_empty(),
            "{} has no rows: nothing would be compared",
            path.display()
        );
        let context = model.decoder.config().context();
        for (index, row) in expected.rows.iter().enumerate() {
            let length = row.input_ids.len();
            ensure!(
                length < context
                    && row.next_token_logprobs.len() + 1 == length
                    && row.entropy.len() == length
                    && row.logits_last.len() as i64 == vocabulary,
                "{}: row {index} has {length} ids, {} log-probabilities, {} entropies and {} logits; \
                 one log-probability fewer than ids, an entropy for each and a logit for each of {vocabulary} tokens are wanted, \
                 of fewer ids than the context of {context}",
                path.display(),
                row.next_token_logprobs.len(),
                row.entropy.len(),
                row.logits_last.len()
            );
            let names = model.decoder.weights().entries();
            for entry in names {
                ensure!(
                    row.grad_norms.contains_key(&entry.name),
                    "{}: row {index} has no gradient norm of {}",
                    path.display(),
                    entry.name
                );
            }
            ensure!(
                row.grad_norms.len() == names.len(),
                "{}: row {index} has gradient norms of {} tensors, the model has {}",
                path.display(),
                row.grad_norms.len(),
                names.len()
            );
            let known = |id: &i64| (0..vocabulary).contains(id);
            ensure!(
                row.input_ids.len() > 2 && row.input_ids.iter().all(known),
                "{}: row {index} needs at least three token ids below {vocabulary}",
                path.display()
            );
        }
        Ok(Self { model, expected })
    }

    /// Compares everything.
    pub fn compare(self) -> Result<Vec<Comparison>> {
        compare(self.model, &self.expected)
    }
}

fn compare(mut model: Model, expected: &Expected) -> Result<Vec<Comparison>> {
    let mut all = Comparisons(Vec::new());
    texts(&model, expected, &mut all)?;
    // The references are asked not to stop at an end token.
    model.text.ends.clear();
    for (index, row) in expected.rows.iter().enumerate() {
        forward(&model.decoder, row, index, &mut all)?;
        greedy(&model, row, index, &mut all)?;
        // Under dynamic scaling a sequence beyond the training's context is
        // rotated otherwise when it is read at once: transformers does so too.
        if model.decoder.config().outgrown(row.input_ids.len()) {
            continue;
        }
        for (what, tolerance, precision) in [
            (
                "cached against whole, float32",
                CACHED_FLOAT32,
                Precision::Float32,
            ),
            (
                "cached against whole, bfloat16",
                CACHED_BFLOAT16,
                Precision::Bfloat16,
            ),
        ] {
            let deviation = cached(&model.decoder, &row.input_ids, precision)?;
            all.add(what, tolerance, deviation, || format!("row {index}"));
        }
    }
    Ok(all.0)
}

/// Tokenizer and chat template.
fn texts(model: &Model, expected: &Expected, all: &mut Comparisons) -> Result<()> {
    let chat = chat();
    for (what, wanted, messages, prompt) in [
        ("rendered chat", &expected.rendered_chat, &chat[..], false),
        (
            "rendered prompt",
            &expected.rendered_prompt,
            &chat[..1],
            true,
        ),
    ] {
        let (Some(wanted), Some(template)) = (wanted, &model.text.chat) else {
            continue;
        };
        let ours = template.render(messages, prompt, &Map::new())?;
        all.same(what, &ours, wanted, || format!("{ours:?}"));
    }
    for (index, row) in expected.rows.iter().enumerate() {
        let tokenizer = &model.text.tokenizer;
        let ids: Vec<u32> = row.input_ids.iter().map(|&id| id as u32).collect();
        let text = match (&expected.rendered_chat, index) {
            (Some(chat), 0) => chat.clone(),
            _ => tokenizer
                .decode(&ids, true)
                .map_err(|error| anyhow::anyhow!("decoding row {index}: {error}"))?,
        };
        let ours = encode(tokenizer, &text, true)?;
        all.same("token ids", &ours, &row.input_ids, || {
            format!("row {index}: {ours:?}")
        });
    }
    Ok(())
}

/// Losses, log-probabilities, entropies, last logits and gradients.
fn forward(
    decoder: &Decoder,
    row: &ExpectedRow,
    index: usize,
    all: &mut Comparisons,
) -> Result<()> {
    let length = row.input_ids.len() as i64;
    let network = Network::learning(
        decoder,
        Precision::Float32,
        Keep::Everything,
        Workspace::default(),
        decoder.trainable().count(),
    );
    let packed = Packed::sequence(&row.input_ids, decoder.device());
    let pass = network.read(&packed);
    let logits_TV = network.logits(&pass);
    let scored = network.score(&pass, 1.0, None);
    let chosen_T = &scored.logprobs_N;
    let loss = -chosen_T.mean(Kind::Float);
    let place = |what: &str| format!("row {index}, {what}");
    let deviation = (loss.double_value(&[]) - row.loss).abs();
    all.add("losses", ABSOLUTE, deviation, || place("loss"));
    // In 64 bits, as in the reference: over a quarter of a million tokens the rounding of 32 bits
    // is larger than what the logits differ by.
    let logprobs_TV = logits_TV.detach().log_softmax(-1, Kind::Double);
    let entropy_T = -(logprobs_TV.exp() * &logprobs_TV).sum_dim_intlist(-1, false, Kind::Double);
    for (what, ours, theirs) in [
        ("log-probabilities", chosen_T, &row.next_token_logprobs[..]),
        ("entropies", &entropy_T, &row.entropy[..]),
        (
            "entropies as scored",
            &scored.entropies_N,
            &row.entropy[..row.entropy.len() - 1],
        ),
        (
            "last logits",
            &logits_TV.select(0, length - 1),
            &row.logits_last[..],
        ),
    ] {
        let ours = doubles(ours);
        ensure!(
            ours.len() == theirs.len(),
            "row {index}: {} {what} are expected, the model gives {}",
            theirs.len(),
            ours.len()
        );
        for (position, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            all.add(what, ABSOLUTE, (ours - theirs).abs(), || {
                place(&format!("position {position}"))
            });
        }
    }
    let share = -1.0 / (length - 1) as f64;
    let to_logprobs_T = chosen_T.full_like(share);
    network.backward(pass, &scored, &to_logprobs_T, None, None, &mut |_| ());
    gradients(decoder, &network.into_gradient().0, row, index, all)
}

fn gradients(
    decoder: &Decoder,
    flat_P: &Tensor,
    row: &ExpectedRow,
    index: usize,
    all: &mut Comparisons,
) -> Result<()> {
    let weights = decoder.weights();
    for entry in weights.entries() {
        let theirs = row.grad_norms.get(&entry.name).with_context(|| {
            format!(
                "row {index}: no gradient norm is expected of {}",
                entry.name
            )
        })?;
        let ours = flat_P
            .narrow(0, entry.offset, entry.len())
            .to_kind(Kind::Double)
            .norm()
            .double_value(&[]);
        // Relative, but for gradients that are nothing but rounding.
        let deviation = (ours - theirs).abs() / theirs.max(1e-6);
        all.add("gradient norms (relative)", GRADIENTS, deviation, || {
            format!("row {index}, {}: {ours} for {theirs}", entry.name)
        });
    }
    Ok(())
}

fn greedy(model: &Model, row: &ExpectedRow, index: usize, all: &mut Comparisons) -> Result<()> {
    let decoder = &model.decoder;
    let source = |name: &str| Ok(decoder.merged(name).detach());
    let prompt = Prompt {
        tokens: row.input_ids.clone(),
        keys: vec![Key {
            seed: 0,
            purpose: "conformance",
            indices: vec![index as u64],
        }],
        max_new_tokens: Some(row.greedy_24.len()),
    };
    let sampling = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let completions = Engine::new(
        decoder.config(),
        &model.text,
        &source,
        decoder.device(),
        Precision::Float32,
    )?
    .generate(&[prompt], &sampling)?;
    let ours = &completions[0].tokens;
    let place = || format!("row {index}: {ours:?}");
    all.same("greedy continuations", ours, &row.greedy_24, place);
    Ok(())
}

/// The largest difference between the log-probabilities of a sequence's tokens
/// when it is read from the start for each of them, and when it grows token by
/// token in the cache.
fn cached(decoder: &Decoder, ids: &[i64], precision: Precision) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    let source = |name: &str| Ok(decoder.merged(name));
    let config = decoder.config();
    let mut network = network::build(
        config,
        &source,
        decoder.device(),
        precision,
        Switches::default(),
    )?;
    network.make_room(Room {
        rows: 1,
        length: ids.len() + 1,
        prompts: ids.len(),
    });
    let prefixes: Vec<(RowId, &[i64])> = (1..ids.len())
        .map(|length| (RowId(length), &ids[..length]))
        .collect();
    let whole_PV = network.read(&prefixes)?.log_softmax(-1, Kind::Float);
    network.fork(RowId(1), RowId(0))?;
    let mut largest = 0.0f64;
    for length in 2..ids.len() {
        let grown = network.step(&[(RowId(0), ids[length - 1])])?;
        let grown_1V = grown.log_softmax(-1, Kind::Float);
        let difference = grown_1V.double_value(&[0, ids[length]])
            - whole_PV.double_value(&[length as i64 - 1, ids[length]]);
        if difference.is_nan() {
            return Ok(f64::NAN);
        }
        largest = largest.max(difference.abs());
    }
    Ok(largest)
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double);
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.contiguous().copy_data(&mut values, count);
    values
}
