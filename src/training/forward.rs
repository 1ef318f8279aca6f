//! From examples to log-probabilities: rows sorted by length, cut into
//! micro-batches by a token budget, and only the trained positions sent
//! through the head.

use algorithms::{Example, TokenBatch, TokenScores};
use tch::{Device, Kind, Tensor};

use crate::model::Decoder;

/// Cuts examples into micro-batches of at most `budget` tokens, padding
/// included; a single longer example makes a micro-batch of its own. Rows of
/// like length go together, so little is padded.
pub fn micro_batches(examples: &[Example], budget: usize) -> Vec<Vec<&Example>> {
    let length = |example: &Example| example.prompt.len() + example.completion.len();
    let mut sorted: Vec<&Example> = examples.iter().collect();
    // Stable, so equal lengths keep their order and a rerun sums in the same order.
    sorted.sort_by_key(|example| std::cmp::Reverse(length(example)));
    let mut batches: Vec<Vec<&Example>> = Vec::new();
    let mut longest = 0;
    for example in sorted {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * longest <= budget => batch.push(example),
            _ => {
                longest = length(example);
                batches.push(vec![example]);
            }
        }
    }
    batches
}

/// Log-probabilities of the completion tokens of one micro-batch, laid end to
/// end, and their mean entropy in nats. `temperature` divides the logits as it
/// did when rollouts were sampled. With `entropies`, the entropy of each token's
/// distribution is in the batch, with gradient.
pub fn score(
    decoder: &Decoder,
    rows: &[&Example],
    temperature: f64,
    entropies: bool,
) -> (TokenBatch, f64) {
    let device = decoder.device();
    let pad = decoder.config().filler();
    // The last completion token is predicted, never read.
    let width = |row: &Example| row.prompt.len() + row.completion.len() - 1;
    let time = rows.iter().map(|row| width(row)).max().unwrap_or(0);
    let mut ids = Vec::with_capacity(rows.len() * time);
    let mut positions = Vec::new();
    let mut targets = Vec::new();
    let mut weights = Vec::new();
    let mut sampled: Vec<f32> = Vec::new();
    let mut reference: Vec<f32> = Vec::new();
    let mut entropy_weights: Vec<f32> = Vec::new();
    for (row_index, row) in rows.iter().enumerate() {
        let first = row_index * time + row.prompt.len() - 1;
        positions.extend((first..first + row.completion.len()).map(|p| p as i64));
        targets.extend_from_slice(&row.completion);
        weights.extend_from_slice(&row.weights);
        sampled.extend(row.sampled_logprobs.iter().flatten());
        reference.extend(row.reference_logprobs.iter().flatten());
        entropy_weights.extend(row.entropy_weights.iter().flatten());
        ids.extend_from_slice(&row.prompt);
        ids.extend_from_slice(&row.completion[..row.completion.len() - 1]);
        ids.resize((row_index + 1) * time, pad);
    }
    let ids_BT = Tensor::from_slice(&ids)
        .view([rows.len() as i64, time as i64])
        .to_device(device);
    let positions_N = Tensor::from_slice(&positions).to_device(device);
    let targets_N1 = Tensor::from_slice(&targets).unsqueeze(1).to_device(device);
    let raw_NV = decoder.logits_at(&ids_BT, &positions_N);
    let logits_NV = if (temperature - 1.0).abs() > f64::EPSILON && temperature > 0.0 {
        raw_NV / temperature
    } else {
        raw_NV
    };
    let logprobs_NV = logits_NV.log_softmax(-1, Kind::Float);
    let entropies_N = entropies.then(|| entropy_of(&logprobs_NV));
    let entropy = tch::no_grad(|| {
        entropy_of(&logprobs_NV.detach())
            .mean(Kind::Double)
            .double_value(&[])
    });
    let of_all = |values: &[f32]| {
        (values.len() == targets.len()).then(|| Tensor::from_slice(values).to_device(device))
    };
    let tokens = TokenBatch {
        logprobs_N: logprobs_NV.gather(1, &targets_N1, false).squeeze_dim(1),
        weights_N: Tensor::from_slice(&weights).to_device(device),
        lengths: rows.iter().map(|row| row.completion.len() as i64).collect(),
        sampled_logprobs_N: of_all(&sampled),
        reference_logprobs_N: of_all(&reference),
        entropies_N,
        entropy_weights_N: of_all(&entropy_weights),
    };
    (tokens, entropy)
}

/// Entropy `[N]` in nats of distributions given as log-probabilities `[N, V]`.
fn entropy_of(logprobs_NV: &Tensor) -> Tensor {
    -(logprobs_NV.exp() * logprobs_NV).sum_dim_intlist(-1, false, Kind::Float)
}

/// What a decoder says of the examples' completions, in their order, without
/// gradient; `budget` as for [`micro_batches`].
pub fn scores(
    decoder: &Decoder,
    examples: &[Example],
    temperature: f64,
    budget: usize,
) -> Vec<TokenScores> {
    let _guard = tch::no_grad_guard();
    let mut scores: Vec<Option<TokenScores>> = vec![None; examples.len()];
    // Micro-batches are sorted; where an example stands in memory tells its place.
    let place = |example: &Example| {
        examples
            .iter()
            .position(|known| std::ptr::eq(known, example))
    };
    for rows in micro_batches(examples, budget) {
        let (tokens, _) = score(decoder, &rows, temperature, true);
        let logprobs = floats(&tokens.logprobs_N);
        let entropies = tokens.entropies_N.as_ref().map(floats).unwrap_or_default();
        let mut first = 0;
        for row in rows {
            let range = first..first + row.completion.len();
            first = range.end;
            if let Some(place) = place(row) {
                scores[place] = Some(TokenScores {
                    logprobs: logprobs[range.clone()].to_vec(),
                    entropies: entropies[range].to_vec(),
                });
            }
        }
    }
    scores.into_iter().flatten().collect()
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

    #[test]
    fn a_budget_bounds_every_micro_batch_and_loses_nothing() {
        let examples: Vec<Example> = (1..12).map(|n| example(3, n)).collect();
        let batches = micro_batches(&examples, 30);
        assert!(batches.len() > 1);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), examples.len());
        for batch in &batches {
            let longest = batch.iter().map(|e| e.completion.len() + 3).max().unwrap();
            assert!(batch.len() == 1 || batch.len() * longest <= 30);
        }
    }

    #[test]
    fn packing_rows_together_changes_no_log_probability() {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        let decoder = Decoder::new(config.clone(), Weights::random(&config, 5, Device::Cpu));
        let (short, long) = (example(2, 3), example(4, 9));
        let _guard = tch::no_grad_guard();
        let (together, _) = score(&decoder, &[&long, &short], 1.0, false);
        let (alone, _) = score(&decoder, &[&short], 1.0, false);
        let tail = together.logprobs_N.narrow(0, 9, 3);
        let difference = (tail - alone.logprobs_N).abs().max().double_value(&[]);
        assert!(difference < 1e-5);
        assert_eq!(together.weights_N.size(), [12]);
    }

    #[test]
    fn scores_come_back_in_the_order_of_the_examples() {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        let decoder = Decoder::new(config.clone(), Weights::random(&config, 5, Device::Cpu));
        let examples = [example(2, 3), example(4, 9), example(3, 1), example(2, 3)];
        let together = scores(&decoder, &examples, 0.7, 20);
        assert_eq!(together.len(), examples.len());
        for (example, scores) in examples.iter().zip(&together) {
            let _guard = tch::no_grad_guard();
            let (tokens, entropy) = score(&decoder, &[example], 0.7, false);
            let alone = floats(&tokens.logprobs_N);
            for (a, b) in scores.logprobs.iter().zip(&alone) {
                assert!((a - b).abs() < 1e-5);
            }
            let mean = scores.entropies.iter().sum::<f32>() / scores.entropies.len() as f32;
            assert!((f64::from(mean) - entropy).abs() < 1e-5);
            assert_eq!(scores.logprobs.len(), example.completion.len());
        }
    }
}
