//! What sampling promises, on a tiny random model.

use tch::Device;

use super::*;
use crate::model::Weights;
use crate::model::config::ModelShape;

fn decoder() -> Decoder {
    let config = ModelShape::tiny().config(12, 1, 2, 0);
    let weights = Weights::random(&config, 5, Device::Cpu);
    // Larger embeddings make the random model's distribution uneven.
    tch::no_grad(|| {
        let _ = weights.flat().narrow(0, 0, 12 * 16).g_mul_scalar_(15.0);
    });
    Decoder::new(config, weights)
}

fn key(problem: u64, sample: u64) -> Key {
    Key {
        seed: 9,
        purpose: "test",
        indices: vec![problem, sample],
    }
}

const SAMPLING: Sampling = Sampling {
    max_new_tokens: 10,
    temperature: 1.0,
};

#[test]
fn a_completion_does_not_depend_on_its_company() {
    let decoder = decoder();
    let prompts = vec![vec![3i64, 4, 5], vec![6], vec![7, 8, 9, 10, 11]];
    let keys: Vec<Key> = (0..3)
        .flat_map(|p| (0..4).map(move |s| key(p, s)))
        .collect();
    let together = generate(&decoder, &prompts, 4, SAMPLING, &keys).unwrap();
    for (index, prompt) in prompts.iter().enumerate() {
        for sample in 0..4usize {
            let alone = generate(
                &decoder,
                std::slice::from_ref(prompt),
                1,
                SAMPLING,
                &[key(index as u64, sample as u64)],
            )
            .unwrap();
            assert_eq!(alone[0].tokens, together[index * 4 + sample].tokens);
        }
    }
    let distinct: std::collections::BTreeSet<_> =
        together.iter().map(|c| c.tokens.clone()).collect();
    assert!(distinct.len() > 3, "samples of one prompt must differ");
}

#[test]
fn reported_log_probabilities_are_those_of_a_plain_forward_pass() {
    let decoder = decoder();
    let prompt = vec![3i64, 4, 5];
    let keys: Vec<Key> = (0..4).map(|s| key(0, s)).collect();
    for completion in generate(&decoder, std::slice::from_ref(&prompt), 4, SAMPLING, &keys).unwrap()
    {
        let mut ids = prompt.clone();
        ids.extend(&completion.tokens);
        let positions: Vec<i64> = (2..2 + completion.tokens.len() as i64).collect();
        let logits = tch::no_grad(|| {
            decoder.logits_at(
                &Tensor::from_slice(&ids).unsqueeze(0),
                &Tensor::from_slice(&positions),
            )
        });
        let logprobs = logits.log_softmax(-1, Kind::Float);
        for (i, (&token, &reported)) in completion
            .tokens
            .iter()
            .zip(&completion.logprobs)
            .enumerate()
        {
            let plain = logprobs.double_value(&[i as i64, token]);
            assert!((plain - f64::from(reported)).abs() < 1e-5);
        }
    }
}

#[test]
fn the_cap_and_the_context_truncate_and_the_end_token_ends() {
    let decoder = decoder();
    let keys: Vec<Key> = (0..64).map(|s| key(1, s)).collect();
    let completions = generate(&decoder, &[vec![3, 4]], 64, SAMPLING, &keys).unwrap();
    assert!(completions.iter().any(|c| !c.truncated));
    for completion in &completions {
        let ended = completion.tokens.last() == Some(&2);
        assert_eq!(completion.truncated, !ended);
        assert!(completion.tokens.len() <= 10);
        let inner = &completion.tokens[..completion.tokens.len() - 1];
        assert!(!inner.contains(&2));
    }
    let long = Sampling {
        max_new_tokens: 1000,
        temperature: 1.0,
    };
    for completion in generate(&decoder, &[vec![3, 4]], 64, long, &keys).unwrap() {
        assert!(completion.tokens.len() + 2 <= 32 + 1);
    }
}

#[test]
fn prompts_that_leave_no_room_are_refused() {
    let decoder = decoder();
    let refused = generate(&decoder, &[vec![3; 32]], 1, SAMPLING, &[key(0, 0)]);
    assert!(matches!(
        refused,
        Err(GenerationError::PromptTooLong { .. })
    ));
    let refused = generate(&decoder, &[vec![]], 1, SAMPLING, &[key(0, 0)]);
    assert!(matches!(refused, Err(GenerationError::EmptyPrompt { .. })));
}
