//! One update is one update, however it is cut into micro-batches: for every
//! loss, over rows of unlike lengths.

use algorithms::{
    Algorithm, AlgorithmSettings, Chord, Demonstration, Example, Gkd, Grpo,
    ImportanceSamplingLevel, Lab, LabError, LossType, Luffy, Mix, OldLogprobs, Opd, Prompt,
    ReinforcePlusPlus, Rft, Rloo, Rollout, Scorer, Sdft, Sft, SftLoss, TokenScores,
};
use qinglan::generation::{Precision, PrecisionChoice};
use qinglan::model::{Decoder, ModelShape, Weights};
use qinglan::training::optimizer::State;
use qinglan::training::{Learner, Training, TrainingSettings, forward};
use tch::{Device, Tensor};

/// Largest difference of a weight after the update, and of a derivative as the
/// optimizer saw it, clipped to norm 1.
pub(crate) const SAME: f64 = 1e-6;

/// AdamW's first step is as long as this wherever there is a gradient well above [`EPSILON`].
const RATE: f64 = 1e-4;

/// With PyTorch's 1e-8 a gradient that is nothing but rounding would be a whole step, or a
/// part of one that is rounding too: how large differs from processor to processor. So much
/// beside it, a weight differs by at most what its gradient does.
const EPSILON: f64 = 1e-4;

const PROMPTS: usize = 4;
const GROUP: usize = 4;

pub(crate) fn decoder(seed: u64) -> Decoder {
    let shape = ModelShape {
        width: 16,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        feed_forward: 32,
        context: 64,
    };
    let config = shape.config(20, 1, 2, 0);
    Decoder::new(config.clone(), Weights::random(&config, seed, Device::Cpu))
}

/// Tokens that look like chance and are always the same.
fn tokens(row: usize, length: usize) -> Vec<i64> {
    (0..length)
        .map(|place| 3 + ((row * 7 + place * place * 5 + place * 3) % 17) as i64)
        .collect()
}

/// Samples of unlike lengths and rewards; what sampled them, the reference and
/// the teacher are other models than the policy, so that every ratio counts.
pub(crate) struct Made {
    pub(crate) policy: Decoder,
}

impl Made {
    fn of(prompt: &Prompt, sample: usize) -> Vec<i64> {
        let row = prompt.problem as usize * GROUP + sample;
        tokens(row, 1 + (row * 5) % 13)
    }
}

fn logprobs(decoder: &Decoder, prompt: &[i64], completion: &[i64]) -> Vec<f32> {
    let example = Example {
        prompt: prompt.to_vec(),
        completion: completion.to_vec(),
        weights: vec![1.0; completion.len()],
        ..Example::default()
    };
    forward::scores(decoder, Precision::Float32, &[example], 1.0, 1 << 12)
        .remove(0)
        .logprobs
}

impl Lab for Made {
    fn prompts(&mut self, _: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        Ok((0..count as u64)
            .map(|problem| Prompt {
                problem,
                tokens: tokens(problem as usize + 40, 2 + problem as usize * 3),
            })
            .collect())
    }

    fn rollouts(
        &mut self,
        _: u64,
        prompts: &[Prompt],
        group: usize,
    ) -> Result<Vec<Rollout>, LabError> {
        let sampler = decoder(6);
        let rollout = |prompt: &Prompt, sample: usize| {
            let completion = Self::of(prompt, sample);
            // Half way between the policy and another model: some ratios are clipped.
            let own = logprobs(&self.policy, &prompt.tokens, &completion);
            let other = logprobs(&sampler, &prompt.tokens, &completion);
            let logprobs = own.iter().zip(other).map(|(a, b)| (a + b) / 2.0).collect();
            Rollout {
                logprobs,
                truncated: (prompt.problem as usize + sample).is_multiple_of(5),
                reward: Some(((prompt.problem as usize * 3 + sample * sample) % 4) as f64),
                completion,
                ..Rollout::default()
            }
        };
        Ok(prompts
            .iter()
            .flat_map(|prompt| {
                (0..group)
                    .map(|sample| rollout(prompt, sample))
                    .collect::<Vec<_>>()
            })
            .collect())
    }

    fn demonstrations(&mut self, _: u64, count: usize) -> Result<Vec<Demonstration>, LabError> {
        Ok((0..count)
            .map(|row| {
                let completion = tokens(row, 1 + (row * 5) % 13);
                Demonstration {
                    prompt: tokens(row + 60, 1 + row % 6),
                    weights: (0..completion.len())
                        .map(|place| (place % 3) as f32)
                        .collect(),
                    completion,
                }
            })
            .filter(|demonstration| demonstration.completion.len() > 1)
            .collect())
    }

    fn scores(
        &mut self,
        scorer: Scorer,
        examples: &[Example],
    ) -> Result<Vec<TokenScores>, LabError> {
        let other;
        let decoder = match scorer {
            Scorer::Policy => &self.policy,
            Scorer::Reference | Scorer::Teacher => {
                other = decoder(8);
                &other
            }
        };
        Ok(forward::scores(
            decoder,
            Precision::Float32,
            examples,
            1.0,
            1 << 12,
        ))
    }

    fn demonstrated(&mut self, prompts: &[Prompt], count: usize) -> Result<Vec<Rollout>, LabError> {
        let of = |prompt: &Prompt, sample: usize| {
            let completion = tokens(prompt.problem as usize + 70 + sample, 5 + 2 * sample);
            Rollout {
                logprobs: vec![0.0; completion.len()],
                reward: Some(3.0),
                completion,
                ..Rollout::default()
            }
        };
        let each = prompts
            .iter()
            .flat_map(|prompt| (0..count).map(move |sample| of(prompt, sample)));
        Ok(each.collect())
    }

    fn prompt_with_demonstration(
        &mut self,
        prompt: &Prompt,
        template: &str,
    ) -> Result<Vec<i64>, LabError> {
        let length = template.len() % 7 + prompt.problem as usize;
        Ok([tokens(90, length), prompt.tokens.clone()].concat())
    }

    fn max_completion_length(&self) -> Option<usize> {
        Some(13)
    }
}

pub(crate) fn training(micro_batch_tokens: usize) -> Training {
    TrainingSettings {
        steps: Some(10),
        learning_rate: Some(RATE),
        adam_epsilon: Some(EPSILON),
        weight_decay: Some(0.01),
        micro_batch_tokens: Some(micro_batch_tokens),
        dtype: Some(PrecisionChoice::Float32),
        ..TrainingSettings::default()
    }
    .resolve(&TrainingSettings::default(), "training")
    .unwrap()
}

pub(crate) fn algorithms() -> Vec<(String, Box<dyn Algorithm>)> {
    let mut all: Vec<(String, Box<dyn Algorithm>)> = Vec::new();
    let losses = [
        LossType::Grpo,
        LossType::DrGrpo,
        LossType::Dapo,
        LossType::Bnpo,
        LossType::Cispo,
        LossType::Sapo,
        LossType::Luspo,
        LossType::Vespo,
        LossType::DppoTv,
        LossType::DppoKl,
        LossType::GeoMean,
    ];
    for loss_type in losses {
        for level in [
            ImportanceSamplingLevel::Token,
            ImportanceSamplingLevel::Sequence,
        ] {
            for beta in [0.0, 0.1] {
                let grpo = Grpo {
                    prompts_per_generation: PROMPTS,
                    num_generations: GROUP,
                    loss_type,
                    importance_sampling_level: level,
                    epsilon_high: (loss_type == LossType::Cispo).then_some(1.2),
                    off_policy_mask_threshold: (beta > 0.0).then_some(0.05),
                    beta,
                    mask_truncated_completions: beta > 0.0,
                    ..Grpo::default()
                };
                all.push((format!("{loss_type:?} {level:?} {beta}"), Box::new(grpo)));
            }
        }
    }
    let entropy = Grpo {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        entropy_coef: 0.1,
        top_entropy_quantile: 0.6,
        ..Grpo::default()
    };
    all.push(("entropy".to_owned(), Box::new(entropy)));
    for loss_type in [SftLoss::Nll, SftLoss::Dft, SftLoss::Phi] {
        let sft = Sft {
            batch_size: 16,
            loss_type,
        };
        all.push((format!("sft {loss_type:?}"), Box::new(sft)));
    }
    let rloo = Rloo {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        old_logprobs: OldLogprobs::Sampled,
        ..Rloo::default()
    };
    all.push(("rloo".to_owned(), Box::new(rloo)));
    let reinforce = ReinforcePlusPlus {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        old_logprobs: OldLogprobs::Sampled,
        ..ReinforcePlusPlus::default()
    };
    all.push(("reinforce++".to_owned(), Box::new(reinforce)));
    let rft = Rft {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        ..Rft::default()
    };
    all.push(("rft".to_owned(), Box::new(rft)));
    between(&mut all);
    for (name, algorithm) in &all {
        assert_eq!(algorithm.check(), Ok(()), "{name}");
    }
    all
}

/// Those that learn from more than own samples and rewards.
fn between(all: &mut Vec<(String, Box<dyn Algorithm>)>) {
    let opd = Opd {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        ..Opd::default()
    };
    all.push(("opd".to_owned(), Box::new(opd)));
    for (lmbda, beta) in [(0.0, 0.0), (1.0, 1.0), (1.0, 0.5)] {
        let gkd = Gkd {
            prompts_per_generation: PROMPTS,
            num_generations: GROUP,
            lmbda,
            beta,
            ..Gkd::default()
        };
        all.push((format!("gkd {lmbda} {beta}"), Box::new(gkd)));
    }
    let sdft = Sdft {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        ..Sdft::default()
    };
    all.push(("sdft".to_owned(), Box::new(sdft)));
    let grpo = |grpo: Grpo| Grpo {
        prompts_per_generation: PROMPTS,
        num_generations: GROUP,
        ..grpo
    };
    let chord = Chord {
        mu: 0.4,
        grpo: grpo(Grpo::default()),
        ..Chord::default()
    };
    all.push(("chord".to_owned(), Box::new(chord)));
    let luffy = Luffy {
        off_policy: 2,
        grpo: grpo(Luffy::default().grpo),
        ..Luffy::default()
    };
    all.push(("luffy".to_owned(), Box::new(luffy)));
    for share in [0.0, 1.0] {
        let mix = Mix {
            share,
            reinforce: Box::new(AlgorithmSettings::Grpo(Box::new(grpo(Grpo::default())))),
            ..Mix::default()
        };
        all.push((format!("mix {share}"), Box::new(mix)));
    }
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn an_update_is_the_same_in_one_two_four_or_eight_micro_batches() {
    for (name, algorithm) in algorithms() {
        let mut lab = Made { policy: decoder(5) };
        let batch = algorithm.collect(0, &mut lab).unwrap().batches.remove(0);
        let lengths: Vec<usize> = batch.examples.iter().map(|e| e.completion.len()).collect();
        assert!(lengths.iter().min() < lengths.iter().max(), "{name}");
        let before = decoder(5);
        let mut whole: Option<(Decoder, State)> = None;
        for count in [1, 2, 4, 8] {
            let budget = (1..1 << 12)
                .find(|&budget| forward::micro_batches(&batch.examples, budget).len() == count)
                .unwrap_or_else(|| panic!("{name}: no budget gives {count} micro-batches"));
            let policy = decoder(5);
            let training = training(budget);
            let judge = decoder(8);
            let learner =
                Learner::new(&policy, algorithm.as_ref(), &training, 1.0).judged_by(Some(&judge));
            let mut optimizer = State::new(policy.weights());
            let outcome = learner.update(&batch, &mut optimizer, 0).unwrap();
            assert!(!outcome.skipped, "{name}");
            let moved = largest_difference(policy.weights().flat(), before.weights().flat());
            assert!(moved > 0.5 * RATE, "{name}: {moved:.1e}");
            match &whole {
                None => whole = Some((policy, optimizer)),
                Some((other, memory)) => {
                    let weights =
                        largest_difference(policy.weights().flat(), other.weights().flat());
                    // The first moment is a tenth of the gradient.
                    let gradients = largest_difference(&optimizer.first_P, &memory.first_P) * 10.0;
                    println!("{name}, {count}: weights {weights:.1e}, gradients {gradients:.1e}");
                    assert!(weights <= SAME, "{name}, {count}: {weights:.1e}");
                    assert!(gradients <= SAME, "{name}, {count}: {gradients:.1e}");
                }
            }
        }
    }
}
