//! From examples to scores: rows cut into micro-batches by a token budget, laid
//! end to end without padding, and only their completions' tokens sent through
//! the head.

use std::cmp::Ordering;

use algorithms::{Example, TokenBatch, TokenScores};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::generation::Precision;
use crate::model::Decoder;
use crate::network::{Network, Packed, Scored, tokens_of};

/// Cuts examples into micro-batches that read at most `budget` tokens each; a
/// single longer example makes a micro-batch of its own. A prompt that
/// neighbours share counts once, and so do its tokens.
pub fn micro_batches(examples: &[Example], budget: usize) -> Vec<Vec<&Example>> {
    let mut batches: Vec<Vec<&Example>> = Vec::new();
    let mut tokens = 0;
    for example in examples {
        if let Some(batch) = batches.last_mut() {
            let more = tokens_of(example, batch.last().copied());
            if tokens + more <= budget {
                tokens += more;
                batch.push(example);
                continue;
            }
        }
        tokens = tokens_of(example, None);
        batches.push(vec![example]);
    }
    batches
}

/// The rank's share of the examples: neighbours, cut where the tokens that are
/// read are parted most evenly without parting those of one prompt, which is
/// read once. With fewer prompts than ranks some have nothing.
pub fn share(examples: &[Example], rank: usize, world: usize) -> &[Example] {
    if world < 2 {
        return examples;
    }
    let groups = || examples.chunk_by(|a, b| a.prompt == b.prompt);
    let total: u64 = groups().map(read_tokens).sum();
    let (mut before, mut first, mut count) = (0, 0, 0);
    for group in groups() {
        let tokens = read_tokens(group);
        // Whose part of the tokens holds the middle of the group.
        let owner = ((2 * before + tokens) * world as u64 / (2 * total).max(1)) as usize;
        before += tokens;
        match owner.min(world - 1).cmp(&rank) {
            Ordering::Less => first += group.len(),
            Ordering::Equal => count += group.len(),
            Ordering::Greater => break,
        }
    }
    examples.get(first..first + count).unwrap_or_default()
}

/// Tokens that are read for the examples in one micro-batch: a prompt that
/// neighbours share once, and of completions all but the last.
pub fn read_tokens(examples: &[Example]) -> u64 {
    let before = std::iter::once(None).chain(examples.iter().map(Some));
    let tokens = examples.iter().zip(before);
    tokens
        .map(|(row, before)| tokens_of(row, before) as u64)
        .sum()
}

/// What a loss reads of one micro-batch: the scores, which carry gradient so
/// far as to be differentiated by, and what the rows say of their tokens.
pub fn token_batch(rows: &[&Example], scored: &Scored, entropies: bool) -> TokenBatch {
    let device = scored.logprobs_N.device();
    let tensor = |values: &[f32]| Tensor::from_slice(values).to_device(device);
    let weights: Vec<f32> = rows.iter().flat_map(|row| &row.weights).copied().collect();
    // What some rows have; where others have not, what leaves them as they are.
    let of_some = |of: fn(&Example) -> Option<&Vec<f32>>, others_N: &dyn Fn() -> Tensor| {
        rows.iter().any(|row| of(row).is_some()).then(|| {
            let all = rows.iter().all(|row| of(row).is_some());
            let row = |row: &&Example| {
                let none = || vec![f32::NAN; row.completion.len()];
                of(row).cloned().unwrap_or_else(none)
            };
            let values_N = tensor(&rows.iter().flat_map(row).collect::<Vec<_>>());
            if all {
                return values_N;
            }
            values_N.where_self(&values_N.isnan().logical_not(), &others_N())
        })
    };
    let own_N = || scored.logprobs_N.detach();
    let zeros_N = || scored.logprobs_N.zeros_like();
    let leaf = |values_N: &Tensor| values_N.detach().set_requires_grad(true);
    TokenBatch {
        logprobs_N: leaf(&scored.logprobs_N),
        weights_N: tensor(&weights),
        lengths: rows.iter().map(|row| row.completion.len() as i64).collect(),
        sampled_logprobs_N: of_some(|row| row.sampled_logprobs.as_ref(), &own_N),
        reference_logprobs_N: of_some(|row| row.reference_logprobs.as_ref(), &own_N),
        entropies_N: entropies.then(|| leaf(&scored.entropies_N)),
        entropy_weights_N: of_some(|row| row.entropy_weights.as_ref(), &zeros_N),
        divergences_N: scored.divergences_N.as_ref().map(leaf),
        demonstrated: rows.iter().map(|row| row.demonstrated).collect(),
    }
}

/// What a decoder says of the examples' completions, in their order; `budget`
/// as for [`micro_batches`].
pub fn scores(
    decoder: &Decoder,
    precision: Precision,
    examples: &[Example],
    temperature: f64,
    budget: usize,
) -> Vec<TokenScores> {
    let network = Network::reading(decoder, precision);
    let mut scores = Vec::with_capacity(examples.len());
    for rows in micro_batches(examples, budget) {
        let packed = Packed::new(&rows, decoder.device());
        let scored = network.score(&network.read(&packed), temperature, None);
        let logprobs = floats(&scored.logprobs_N);
        let entropies = floats(&scored.entropies_N);
        let mut first = 0;
        for row in rows {
            let range = first..first + row.completion.len();
            first = range.end;
            scores.push(TokenScores {
                logprobs: logprobs[range.clone()].to_vec(),
                entropies: entropies[range].to_vec(),
            });
        }
    }
    scores
}

/// How well a decoder foretells the examples' completions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foretold {
    /// Mean negative log-probability of a token, in nats.
    pub loss: f64,
    /// Share of tokens that are the likeliest where they stand.
    pub accuracy: f64,
}

/// What a decoder foretells, summed over tokens that have weight.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Foretelling {
    negative_logprobs: f64,
    right: f64,
    count: f64,
}

impl Foretelling {
    /// That of further examples added.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            negative_logprobs: self.negative_logprobs + other.negative_logprobs,
            right: self.right + other.right,
            count: self.count + other.count,
        }
    }

    /// The means over tokens; `None` where no token has weight.
    pub fn mean(self) -> Option<Foretold> {
        (self.count > 0.0).then_some(Foretold {
            loss: self.negative_logprobs / self.count,
            accuracy: self.right / self.count,
        })
    }
}

/// How well a decoder foretells the tokens that the examples weigh.
pub fn foretell(
    decoder: &Decoder,
    precision: Precision,
    examples: &[Example],
    budget: usize,
) -> Foretelling {
    let network = Network::reading(decoder, precision);
    let mut sums = Foretelling::default();
    for rows in micro_batches(examples, budget) {
        let packed = Packed::new(&rows, decoder.device());
        let scored = network.score(&network.read(&packed), 1.0, None);
        let weights: Vec<f32> = rows.iter().flat_map(|row| &row.weights).copied().collect();
        let trained_N = Tensor::from_slice(&weights)
            .to_device(decoder.device())
            .ne(0.0);
        let total = |values_N: &Tensor| {
            let kept_N = values_N.masked_fill(&trained_N.logical_not(), 0.0);
            kept_N.sum(Kind::Double).double_value(&[])
        };
        sums.negative_logprobs -= total(&scored.logprobs_N);
        sums.right += total(&scored.best_N.to_kind(Kind::Float));
        sums.count += trained_N.sum(Kind::Double).double_value(&[]);
    }
    sums
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float);
    let mut values = vec![0.0f32; tensor.numel()];
    let count = values.len();
    tensor.copy_data(&mut values, count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelShape;
    use crate::model::Weights;

    fn example(prompt: usize, completion: usize) -> Example {
        Example {
            prompt: (0..prompt as i64).map(|i| 3 + i % 9).collect(),
            completion: (0..completion as i64).map(|i| 4 + i % 7).collect(),
            weights: vec![1.0; completion],
            ..Example::default()
        }
    }

    fn decoder() -> Decoder {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        Decoder::new(config.clone(), Weights::random(&config, 5, Device::Cpu))
    }

    #[test]
    fn a_budget_bounds_every_micro_batch_and_loses_nothing() {
        let examples: Vec<Example> = (1..12).map(|n| example(1 + n % 3, n)).collect();
        let batches = micro_batches(&examples, 30);
        assert!(batches.len() > 1);
        let together: Vec<&Example> = batches.iter().flatten().copied().collect();
        assert_eq!(together, examples.iter().collect::<Vec<_>>());
        for batch in &batches {
            assert!(batch.len() == 1 || Packed::new(batch, Device::Cpu).tokens() <= 30);
        }
        assert_eq!(micro_batches(&examples, 1).len(), examples.len());
    }

    #[test]
    fn a_shared_prompt_counts_once_in_each_micro_batch() {
        let examples = vec![example(10, 6); 8];
        let sizes: Vec<usize> = micro_batches(&examples, 25).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 2]);
        assert_eq!(read_tokens(&examples), 10 + 8 * 5);
    }

    #[test]
    fn shares_hold_whole_prompts_and_about_as_many_tokens() {
        // Groups of 4, 4, 8 and 2 rows, each of its own prompt.
        let mut examples = Vec::new();
        for (group, rows) in [(2, 4), (3, 4), (4, 8), (5, 2)] {
            examples.extend(vec![example(group, 6); rows]);
        }
        for world in 1..7 {
            let shares: Vec<&[Example]> = (0..world)
                .map(|rank| share(&examples, rank, world))
                .collect();
            assert_eq!(shares.concat(), examples);
            let prompts = |share: &[Example]| share.chunk_by(|a, b| a.prompt == b.prompt).count();
            let whole: usize = shares.iter().map(|share| prompts(share)).sum();
            assert_eq!(whole, 4, "{world} ranks part a group");
        }
        let sizes = [0, 1].map(|rank| share(&examples, rank, 2).len());
        assert_eq!(sizes, [8, 10]);
        assert!(share(&[], 1, 2).is_empty());
    }

    #[test]
    fn scores_do_not_depend_on_who_else_is_in_the_batch() {
        let decoder = decoder();
        let examples = [
            example(2, 3),
            example(6, 9),
            example(6, 1),
            example(6, 4),
            example(2, 3),
        ];
        let together = scores(&decoder, Precision::Float32, &examples, 0.7, 100);
        let apart = scores(&decoder, Precision::Float32, &examples, 0.7, 1);
        assert_eq!(together.len(), examples.len());
        for ((example, a), b) in examples.iter().zip(&together).zip(&apart) {
            assert_eq!(a.logprobs.len(), example.completion.len());
            for (a, b) in a.logprobs.iter().zip(&b.logprobs) {
                assert!((a - b).abs() < 1e-5);
            }
            for (a, b) in a.entropies.iter().zip(&b.entropies) {
                assert!((a - b).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_is_foretold_counts_the_tokens_that_have_weight() {
        let decoder = decoder();
        let mut row = example(4, 6);
        let scores = scores(
            &decoder,
            Precision::Float32,
            std::slice::from_ref(&row),
            1.0,
            99,
        );
        row.weights = vec![0.0, 1.0, 0.0, 2.0, 0.0, 0.0];
        let of = |rows: &[Example]| foretell(&decoder, Precision::Float32, rows, 99).mean();
        let expected = -f64::from(scores[0].logprobs[1] + scores[0].logprobs[3]) / 2.0;
        let foretold = of(std::slice::from_ref(&row)).unwrap();
        assert!((foretold.loss - expected).abs() < 1e-6);
        assert!([0.0, 0.5, 1.0].contains(&foretold.accuracy));
        row.weights = vec![0.0; 6];
        assert_eq!(of(&[row]), None);
    }
}
