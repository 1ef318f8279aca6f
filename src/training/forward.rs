//! From examples to log-probabilities: rows sorted by length, cut into
//! micro-batches by a token budget, and only the trained positions sent
//! through the head.

use algorithms::{Example, TokenBatch};
use tch::{Kind, Tensor};

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
/// did when rollouts were sampled.
pub fn score(decoder: &Decoder, rows: &[&Example], temperature: f64) -> (TokenBatch, f64) {
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
    for (row_index, row) in rows.iter().enumerate() {
        let first = row_index * time + row.prompt.len() - 1;
        positions.extend((first..first + row.completion.len()).map(|p| p as i64));
        targets.extend_from_slice(&row.completion);
        weights.extend_from_slice(&row.weights);
        sampled.extend(row.sampled_logprobs.iter().flatten());
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
    let entropy = tch::no_grad(|| {
        let detached = logprobs_NV.detach();
        -(detached.exp() * &detached)
            .sum_dim_intlist(-1, false, Kind::Float)
            .mean(Kind::Double)
            .double_value(&[])
    });
    let tokens = TokenBatch {
        logprobs_N: logprobs_NV.gather(1, &targets_N1, false).squeeze_dim(1),
        weights_N: Tensor::from_slice(&weights).to_device(device),
        sampled_logprobs_N: (sampled.len() == targets.len())
            .then(|| Tensor::from_slice(&sampled).to_device(device)),
    };
    (tokens, entropy)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::ModelShape;
    use crate::model::Weights;

    fn example(prompt: usize, completion: usize) -> Example {
        Example {
            prompt: (0..prompt as i64).map(|i| 3 + i % 9).collect(),
            completion: (0..completion as i64).map(|i| 4 + i % 7).collect(),
            weights: vec![1.0; completion],
            sampled_logprobs: None,
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
        let (together, _) = score(&decoder, &[&long, &short], 1.0);
        let (alone, _) = score(&decoder, &[&short], 1.0);
        let tail = together.logprobs_N.narrow(0, 9, 3);
        let difference = (tail - alone.logprobs_N).abs().max().double_value(&[]);
        assert!(difference < 1e-5);
        assert_eq!(together.weights_N.size(), [12]);
    }
}
