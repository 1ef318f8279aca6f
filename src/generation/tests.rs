//! What sampling promises, on a tiny random model.

use tch::{Device, Tensor};

use super::network::{self, Cached, Paged, Room, RowId, Slots};
use super::*;
use crate::model::architecture::ALL;
use crate::model::{Decoder, ModelShape, Text, Weights, rope::RopeScaling};
use crate::network::logits;

fn decoder_of(architecture: &str) -> Decoder {
    let config = ModelShape::tiny().config(12, 1, 2, 0);
    let own = serde_json::json!({
        "mlp_bias": true, "sliding_window": 5, "sliding_window_pattern": 2,
        "no_rope_layer_interval": 2, "final_logit_softcapping": 3.0,
        "tie_word_embeddings": true,
    });
    let config = config.like(architecture, &own);
    let weights = Weights::random(&config, 5, Device::Cpu);
    // Larger embeddings make the random model's distribution uneven.
    tch::no_grad(|| {
        let _ = weights.flat().narrow(0, 0, 12 * 16).g_mul_scalar_(15.0);
    });
    Decoder::new(config, weights)
}

fn decoder() -> Decoder {
    decoder_of("qwen2")
}

fn key(problem: u64, sample: u64) -> Key {
    Key {
        seed: 9,
        purpose: "test",
        indices: vec![problem, sample],
    }
}

fn prompts(texts: &[&[i64]], samples: u64) -> Vec<Prompt> {
    texts
        .iter()
        .zip(0..)
        .map(|(tokens, problem)| Prompt {
            tokens: tokens.to_vec(),
            keys: (0..samples).map(|sample| key(problem, sample)).collect(),
            max_new_tokens: None,
        })
        .collect()
}

fn sampling() -> Sampling {
    Sampling {
        max_new_tokens: 10,
        dtype: PrecisionChoice::Float32,
        ..Sampling::default()
    }
}

fn sample(decoder: &Decoder, prompts: &[Prompt], sampling: &Sampling) -> Vec<Completion> {
    let text = Text::lab(&[]).unwrap();
    let source = |name: &str| Ok(decoder.merged(name));
    let precision = sampling.dtype.resolve(Device::Cpu);
    Engine::new(decoder.config(), &text, &source, Device::Cpu, precision)
        .unwrap()
        .generate(prompts, sampling)
        .unwrap()
}

const TEXTS: [&[i64]; 3] = [&[3, 4, 5], &[6], &[7, 8, 9, 10, 11]];

#[test]
fn a_completion_does_not_depend_on_its_company() {
    let decoder = decoder();
    for dtype in [PrecisionChoice::Float32, PrecisionChoice::Bfloat16] {
        let sampling = Sampling {
            dtype,
            ..sampling()
        };
        let all = prompts(&TEXTS, 4);
        let together = sample(&decoder, &all, &sampling);
        for (place, completion) in together.iter().enumerate() {
            let prompt = &all[place / 4];
            let alone = Prompt {
                keys: vec![prompt.keys[place % 4].clone()],
                ..prompt.clone()
            };
            assert_eq!(sample(&decoder, &[alone], &sampling)[0], *completion);
        }
        let distinct: std::collections::BTreeSet<_> =
            together.iter().map(|c| c.tokens.clone()).collect();
        assert!(distinct.len() > 3, "samples of one prompt must differ");
    }
}

#[test]
fn more_completions_than_rows_all_come_back_in_order() {
    let decoder = decoder();
    let texts: Vec<Vec<i64>> = (0..40).map(|index| vec![3 + index % 9, 4]).collect();
    let texts: Vec<&[i64]> = texts.iter().map(Vec::as_slice).collect();
    let many = prompts(&texts, 9);
    let together = sample(&decoder, &many, &sampling());
    assert_eq!(together.len(), 360);
    for place in [0, 100, 255, 256, 300, 359] {
        let prompt = &many[place / 9];
        let alone = Prompt {
            keys: vec![prompt.keys[place % 9].clone()],
            ..prompt.clone()
        };
        assert_eq!(sample(&decoder, &[alone], &sampling())[0], together[place]);
    }
}

#[test]
fn reported_log_probabilities_are_those_of_a_plain_forward_pass() {
    for architecture in ALL.map(|architecture| architecture.model_type) {
        let decoder = decoder_of(architecture);
        for completion in sample(&decoder, &prompts(&[&[3, 4, 5]], 6), &sampling()) {
            let mut ids = vec![3i64, 4, 5];
            ids.extend(&completion.tokens);
            let logprobs = logits(&decoder, &ids).log_softmax(-1, tch::Kind::Float);
            for (row, (&token, &reported)) in
                (2i64..).zip(completion.tokens.iter().zip(&completion.logprobs))
            {
                let plain = logprobs.double_value(&[row, token]);
                assert!((plain - f64::from(reported)).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn a_completion_ends_at_an_end_token_a_stop_string_or_the_cap() {
    let decoder = decoder();
    let mut seen = [false; 2];
    for completion in sample(&decoder, &prompts(&TEXTS, 20), &sampling()) {
        let ended = completion.tokens.last() == Some(&2);
        assert_eq!(completion.finish == Finish::End, ended);
        assert_eq!(
            completion.truncated(),
            completion.tokens.len() == 10 && !ended
        );
        assert_eq!(completion.tokens.len(), completion.logprobs.len());
        seen[usize::from(ended)] = true;
    }
    assert_eq!(seen, [true, true], "both endings must occur");
    let never = Sampling {
        min_new_tokens: 10,
        ..sampling()
    };
    for completion in sample(&decoder, &prompts(&TEXTS, 4), &never) {
        assert_eq!(completion.tokens.len(), 10);
    }
    // Token 6 is the sign "+".
    let text = Text::lab(&[]).unwrap();
    let stopped = Sampling {
        stop: vec![text.decode(&[6]).unwrap()],
        ..sampling()
    };
    let completions = sample(&decoder, &prompts(&TEXTS, 20), &stopped);
    assert!(completions.iter().any(|c| c.finish == Finish::Stop));
    for completion in completions {
        let first = completion.tokens.iter().position(|&token| token == 6);
        let last = completion.tokens.len() - 1;
        assert_eq!(completion.finish == Finish::Stop, first == Some(last));
    }
}

#[test]
fn a_prompt_s_own_cap_holds_for_it_alone() {
    let decoder = decoder();
    let mut two = prompts(&TEXTS[..2], 3);
    two[0].max_new_tokens = Some(2);
    let long = Sampling {
        min_new_tokens: 10,
        ..sampling()
    };
    let lengths: Vec<usize> = sample(&decoder, &two, &long)
        .iter()
        .map(|completion| completion.tokens.len())
        .collect();
    assert_eq!(lengths, [2, 2, 2, 10, 10, 10]);
}

#[test]
fn a_prompt_that_cannot_be_continued_is_refused_by_number() {
    let decoder = decoder();
    let text = Text::lab(&[]).unwrap();
    let source = |name: &str| Ok(decoder.merged(name));
    let mut engine = Engine::new(
        decoder.config(),
        &text,
        &source,
        Device::Cpu,
        Precision::Float32,
    )
    .unwrap();
    let long = vec![3i64; 32];
    for (wrong, word) in [(&long[..], "32 tokens"), (&[], "empty"), (&[3, 12], "12")] {
        let given = prompts(&[&[3], wrong], 1);
        let error = engine
            .generate(&given, &sampling())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("prompt 1") && error.contains(word),
            "{error}"
        );
    }
    // The context's last position can still be filled.
    let longest = vec![3i64; 31];
    let given = prompts(&[&longest], 1);
    let completions = engine.generate(&given, &sampling()).unwrap();
    assert_eq!(completions[0].tokens.len(), 1);
}

/// The largest difference between two networks over a prompt, a fork and steps.
fn largest_difference(one: &mut dyn Cached, other: &mut dyn Cached, prompts: &[&[i64]]) -> f64 {
    let room = Room {
        rows: 4,
        length: 60,
        prompts: 3,
    };
    let mut largest = 0.0f64;
    let ids: Vec<(RowId, &[i64])> = prompts
        .iter()
        .enumerate()
        .map(|(index, prompt)| (RowId(4 + index), *prompt))
        .collect();
    one.make_room(room);
    other.make_room(room);
    let mut compare = |a: Tensor, b: Tensor| {
        assert_eq!(a.size(), b.size());
        largest = largest.max((a - b).abs().max().double_value(&[]));
    };
    compare(one.read(&ids).unwrap(), other.read(&ids).unwrap());
    for (prompt, row) in [(4, 0), (5, 1), (4, 2)] {
        one.fork(RowId(prompt), RowId(row)).unwrap();
        other.fork(RowId(prompt), RowId(row)).unwrap();
    }
    for step in 0..20 {
        let rows: Vec<(RowId, i64)> = [2, 0, 1]
            .iter()
            .filter(|row| **row != 1 || step < 8)
            .map(|&row| (RowId(row), (3 + row as i64 + step) % 12))
            .collect();
        compare(one.step(&rows).unwrap(), other.step(&rows).unwrap());
        if step == 8 {
            one.leave(RowId(1));
            other.leave(RowId(1));
        }
    }
    largest
}

#[test]
fn pages_and_slots_hold_the_same_cache() {
    for architecture in ALL.map(|architecture| architecture.model_type) {
        let decoder = decoder_of(architecture);
        for scaling in [RopeScaling::None, RopeScaling::Dynamic { factor: 4.0 }] {
            let mut config = decoder.config().clone();
            config.ropes[0].scaling = scaling;
            let source = |name: &str| Ok(decoder.merged(name));
            let exact = Precision::Float32;
            let mut paged = Paged::new(&config, &source, exact).unwrap();
            let mut slots = Slots::new(
                &config,
                &source,
                Device::Cpu,
                exact,
                network::Switches::default(),
            )
            .unwrap();
            // 36 tokens outgrow the context of 32 under dynamic scaling.
            let long: Vec<i64> = (0..36).map(|index| 3 + index % 9).collect();
            let texts = [TEXTS[0], TEXTS[2], &long];
            let difference = largest_difference(&mut paged, &mut slots, &texts);
            assert!(difference < 1e-4, "{architecture:?}: {difference}");
        }
    }
}

#[test]
fn each_completion_is_told_of_once_when_it_has_ended_and_may_end_it_all() {
    let decoder = decoder();
    let text = Text::lab(&[]).unwrap();
    let source = |name: &str| Ok(decoder.merged(name));
    let given = prompts(&TEXTS, 4);
    let mut engine = Engine::new(
        decoder.config(),
        &text,
        &source,
        Device::Cpu,
        Precision::Float32,
    )
    .unwrap();
    let mut told: Vec<(usize, Completion)> = Vec::new();
    let completions = engine
        .generate_telling(&given, &sampling(), &mut |place, completion| {
            told.push((place, completion.clone()));
            Ok(())
        })
        .unwrap();
    told.sort_by_key(|(place, _)| *place);
    let expected: Vec<(usize, Completion)> = completions.into_iter().enumerate().collect();
    assert_eq!(told, expected);
    let mut heard = 0;
    let refused = engine.generate_telling(&given, &sampling(), &mut |_, _| {
        heard += 1;
        anyhow::bail!("enough")
    });
    assert_eq!(refused.unwrap_err().to_string(), "enough");
    assert_eq!(heard, 1);
}
