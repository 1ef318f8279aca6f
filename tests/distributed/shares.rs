//! What ranks make together is what one process makes: real processes, this
//! test's own program started again, each with a share of one batch.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use algorithms::{Algorithm, Grpo, Lab, Metrics, OldLogprobs, Opd, Prompt, Rft, Sft};
use qinglan::distributed::{Ranks, join, launch};
use qinglan::generation::Sampling;
use qinglan::model::{Decoder, Model, ModelShape, Text, Weights, vocabulary};
use qinglan::tasks::{Mix, Proportions};
use qinglan::training::trainer::Source;
use qinglan::training::{ArmLab, Learner};
use rewards::{Registry, Reward, RewardError, Score, Scored, Scores, WeightedRewards, schemars};
use tch::Device;
use torch_ext::distributed::{Count, Traffic, is_built};

use super::free_port;
use crate::micro_batches::{Made, SAME, algorithms, decoder, training};

/// The test that a rank runs, and where it is told which and where to write.
const RANK: &str = "distributed::shares::a_rank_that_another_test_starts";
const WHAT: &str = "QINGLAN_TEST_OF_RANKS";
const FOLDER: &str = "QINGLAN_TEST_FOLDER";

/// Runs `what` in `world` processes that are given something; what each wrote.
fn in_ranks(world: usize, what: &str, given: &[u8]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(GIVEN), given).unwrap();
    let port = free_port().to_string();
    let children: Vec<_> = (0..world)
        .map(|rank| {
            Command::new(std::env::current_exe().unwrap())
                .args([RANK, "--exact", "--ignored", "--nocapture"])
                .env("RANK", rank.to_string())
                .env("WORLD_SIZE", world.to_string())
                .env("MASTER_ADDR", "127.0.0.1")
                .env("MASTER_PORT", &port)
                .env(WHAT, what)
                .env(FOLDER, folder.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (rank, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rank {rank} of {world}: {said}");
    }
    let read = |rank| std::fs::read(file_of(folder.path(), rank)).unwrap();
    (0..world).map(read).collect()
}

/// Name of the file that ranks are given.
const GIVEN: &str = "given";

fn file_of(folder: &Path, rank: usize) -> PathBuf {
    folder.join(format!("rank-{rank}"))
}

#[test]
#[ignore = "other tests start it, once for each rank"]
fn a_rank_that_another_test_starts() {
    // Ranks whose threads outnumber the cores would wait for each other's.
    tch::set_num_threads(1);
    let place = launch::place().unwrap().expect("a rank has a place");
    let ranks = join(&place, Duration::from_secs(60)).unwrap();
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let given = std::fs::read(folder.join(GIVEN)).unwrap();
    let wrote = match std::env::var(WHAT).unwrap().as_str() {
        "updates" => updates(&given, &ranks, false),
        "sharded updates" => updates(&given, &ranks, true),
        "collections" => rmp_serde::to_vec_named(&collections(&ranks)).unwrap(),
        "traffic" => {
            traffic(&ranks);
            Vec::new()
        }
        other => panic!("{other} is no test of ranks"),
    };
    std::fs::write(file_of(&folder, place.rank), wrote).unwrap();
}

fn floats(tensor: &tch::Tensor) -> Vec<f32> {
    tensor.flatten(0, -1).try_into().unwrap()
}

/// Weights after two updates by the batches, one of every algorithm, and loss
/// and norm of each update.
fn updates(batches: &[u8], ranks: &Ranks, shard_optimizer: bool) -> Vec<u8> {
    let batches: Vec<algorithms::Batch> = rmp_serde::from_slice(batches).unwrap();
    let mut numbers: Vec<f32> = Vec::new();
    for ((_, algorithm), batch) in algorithms().into_iter().zip(batches) {
        let policy = decoder(5);
        let training = training(64);
        let judge = decoder(8);
        let learner =
            Learner::new(&policy, algorithm.as_ref(), &training, 1.0).judged_by(Some(&judge));
        let learner = learner.among(ranks, shard_optimizer);
        let mut optimizer = learner.state();
        for step in 0..2 {
            let outcome = learner.update(&batch, &mut optimizer, step).unwrap();
            assert!(!outcome.skipped);
            numbers.extend(["loss", "grad_norm"].map(|name| outcome.metrics[name] as f32));
        }
        numbers.extend(floats(policy.weights().flat()));
    }
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn read_floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

#[test]
fn two_and_four_ranks_make_the_updates_of_one_process_in_every_algorithm() {
    if !is_built() {
        println!("skipped: this build has no distribution");
        return;
    }
    let mut lab = Made { policy: decoder(5) };
    let collected = algorithms()
        .into_iter()
        .map(|(_, algorithm)| algorithm.collect(0, &mut lab).unwrap().batches.remove(0));
    let batches = rmp_serde::to_vec_named(&collected.collect::<Vec<_>>()).unwrap();
    let alone = read_floats(&updates(&batches, Ranks::alone(), false));
    for (world, what) in [
        (2, "updates"),
        (4, "updates"),
        (3, "sharded updates"),
        (4, "sharded updates"),
    ] {
        let together = in_ranks(world, what, &batches);
        for (rank, bytes) in together.iter().enumerate() {
            assert!(
                *bytes == together[0],
                "rank {rank} of {world} has other bits than rank 0"
            );
        }
        let together = read_floats(&together[0]);
        assert_eq!(together.len(), alone.len());
        // Of a norm or loss above 1, as where sums are not averaged, a part of it: float32
        // has no more digits of a larger number. Weights are smaller than 1.
        let differences = alone
            .iter()
            .zip(&together)
            .map(|(a, b)| f64::from(a - b).abs() / f64::from(a.abs()).max(1.0));
        let largest = differences.fold(0.0, f64::max);
        println!("{world} ranks, {what}: {largest:.1e}");
        assert!(largest <= SAME, "{world} ranks, {what}: {largest:.1e}");
    }
}

/// Says of each completion how many characters it has; of the batch the most.
struct Length {
    independent: bool,
}

impl Reward for Length {
    fn name(&self) -> &'static str {
        "length"
    }
    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let lengths = batch.iter().map(|item| item.completion.len());
        let most = lengths.clone().max().unwrap_or(0).max(1);
        let of = if self.independent { 1 } else { most };
        Ok(lengths
            .map(|length| Score::new(length as f64 / of as f64))
            .collect())
    }
    fn independent(&self) -> bool {
        self.independent
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {}

/// Rewards by length, of each completion by itself and against the batch.
fn rewards_of(kinds: &[bool]) -> WeightedRewards {
    let mut registry = Registry::builtin();
    let mut table = toml::Table::new();
    for &independent in kinds {
        let name = format!("length_{independent}");
        let about = "Characters of a completion, of the longest.";
        let made = move |_: Parameters| Ok(Length { independent });
        registry.register(&name, about, made).unwrap();
        table.insert(name, toml::Value::Float(0.5));
    }
    WeightedRewards::from_table(&registry, &table, Path::new(".")).unwrap()
}

fn model(seed: u64) -> Model {
    let shape = ModelShape {
        width: 16,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        feed_forward: 32,
        context: 96,
    };
    let config = vocabulary::config(&shape, &[]).unwrap();
    Model {
        decoder: Decoder::new(config.clone(), Weights::random(&config, seed, Device::Cpu)),
        text: Text::lab(&[]).unwrap(),
        companions: vocabulary::companions(config.context(), &[]).unwrap(),
    }
}

fn sampling() -> Sampling {
    Sampling {
        max_new_tokens: 12,
        temperature: 1.0,
        ..Sampling::default()
    }
}

/// What algorithms collected, and what there was to log.
type Collections = Vec<(Vec<algorithms::Batch>, Metrics)>;

fn collections(ranks: &Ranks) -> Collections {
    let (policy, judge) = (model(3), model(4));
    let mix = Mix::new(&["alphabet_arithmetic"], Proportions::default()).unwrap();
    let grpo = Grpo {
        prompts_per_generation: 4,
        num_generations: 3,
        steps_per_generation: 2,
        old_logprobs: OldLogprobs::Recomputed,
        beta: 0.1,
        ..Grpo::default()
    };
    let opd = Opd {
        prompts_per_generation: 4,
        num_generations: 2,
        ..Opd::default()
    };
    let rft = Rft {
        prompts_per_generation: 4,
        num_generations: 3,
        ..Rft::default()
    };
    let algorithms: [Box<dyn Algorithm>; 3] = [Box::new(grpo), Box::new(opd), Box::new(rft)];
    let mut all = Vec::new();
    for algorithm in algorithms {
        for kinds in [&[true][..], &[true, false]] {
            let rewards = rewards_of(kinds);
            let mut lab = ArmLab::new(&policy, &mix, 1, sampling(), 5);
            lab.ranks = ranks;
            lab.rewards = Some(&rewards);
            lab.reference = Some(Decoder::new(
                judge.decoder.config().clone(),
                judge.decoder.weights().share(),
            ));
            lab.teacher = Some(Decoder::new(
                judge.decoder.config().clone(),
                judge.decoder.weights().share(),
            ));
            let collected = algorithm.collect(0, &mut lab).unwrap();
            let mut metrics = collected.metrics;
            metrics.extend(lab.take_metrics().unwrap());
            metrics.extend(lab.validate().unwrap());
            let (sampled, prefilled) = lab.take_generated();
            metrics.insert("sampled".to_owned(), sampled as f64);
            metrics.insert("prefilled".to_owned(), prefilled as f64);
            all.push((collected.batches, metrics));
        }
    }
    all
}

fn assert_close(a: impl IntoIterator<Item = f32>, b: impl IntoIterator<Item = f32>) {
    for (a, b) in a.into_iter().zip(b) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
}

#[test]
fn what_is_collected_and_said_of_it_does_not_depend_on_the_ranks() {
    if !is_built() {
        println!("skipped: this build has no distribution");
        return;
    }
    let alone = collections(Ranks::alone());
    assert!(
        alone
            .iter()
            .all(|(batches, _)| !batches[0].examples.is_empty())
    );
    for world in [2, 4] {
        let together = in_ranks(world, "collections", &[]);
        assert!(together.iter().all(|bytes| *bytes == together[0]));
        let together: Collections = rmp_serde::from_slice(&together[0]).unwrap();
        assert_eq!(together.len(), alone.len());
        for ((batches, metrics), (own_batches, own_metrics)) in together.iter().zip(&alone) {
            assert_eq!(batches.len(), own_batches.len());
            for (batch, own) in batches.iter().zip(own_batches) {
                assert_eq!(
                    (batch.tokens, batch.examples.len()),
                    (own.tokens, own.examples.len())
                );
                assert!((batch.normaliser - own.normaliser).abs() < 1e-9);
                for (example, own) in batch.examples.iter().zip(&own.examples) {
                    assert_eq!(
                        (&example.prompt, &example.completion),
                        (&own.prompt, &own.completion)
                    );
                    assert_close(example.weights.clone(), own.weights.clone());
                    let flat = |of: &Option<Vec<f32>>| of.clone().unwrap_or_default();
                    assert_close(flat(&example.sampled_logprobs), flat(&own.sampled_logprobs));
                    assert_close(
                        flat(&example.reference_logprobs),
                        flat(&own.reference_logprobs),
                    );
                }
            }
            let names = |metrics: &Metrics| metrics.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(metrics), names(own_metrics));
            for (name, value) in metrics {
                assert!((value - own_metrics[name]).abs() < 1e-4, "{name}");
            }
        }
    }
}

/// Bytes of a msgpack header of so many things.
fn header(count: usize) -> u64 {
    if count < 16 { 1 } else { 3 }
}

/// What a rank hands to collectives in one update, by `docs/SCALING.md`.
#[expect(clippy::too_many_lines, reason = "one update, step by step")]
fn traffic(ranks: &Ranks) {
    const GROUP: usize = 3;
    let model = model(3);
    let mix = Mix::new(&["alphabet_arithmetic"], Proportions::default()).unwrap();
    let rewards = rewards_of(&[true]);
    let mut lab = ArmLab::new(&model, &mix, 1, sampling(), 5);
    lab.ranks = ranks;
    lab.rewards = Some(&rewards);
    let world = ranks.world();
    let mut seen = Traffic::default();
    let mut expect =
        |what: &str, gathered: &[u64], all_reduced: &[u64], reduce_scattered: &[u64]| {
            let now = ranks.traffic().0;
            let since = |now: Count, then: Count| (now.calls - then.calls, now.bytes - then.bytes);
            let sum = |messages: &[u64]| (messages.len() as u64, messages.iter().sum::<u64>());
            assert_eq!(
                since(now.all_gather, seen.all_gather),
                sum(gathered),
                "{what}"
            );
            assert_eq!(
                since(now.all_reduce, seen.all_reduce),
                sum(all_reduced),
                "{what}"
            );
            assert_eq!(
                since(now.reduce_scatter, seen.reduce_scatter),
                sum(reduce_scattered),
                "{what}"
            );
            assert_eq!(now.broadcast, seen.broadcast, "{what}");
            seen = now;
        };
    expect("nothing yet", &[], &[], &[]);

    let prompts: Vec<Prompt> = lab.prompts(0, 4).unwrap();
    let rollouts = lab.rollouts(0, &prompts, GROUP).unwrap();
    let own = |rank: usize| rank * 4 / world * GROUP..(rank + 1) * 4 / world * GROUP;
    let longest = |of: &dyn Fn(usize) -> u64| (0..world).map(of).max().unwrap();
    let completions = longest(&|rank| {
        let own = &rollouts[own(rank)];
        own.iter()
            .map(|rollout| 5 + 8 * rollout.completion.len() as u64)
            .sum()
    });
    let scores = longest(&|rank| {
        let own = own(rank);
        let places = own.end;
        20 + header(places) + own.start as u64 + 23 * own.len() as u64
    });
    expect("rollouts", &[8, 1 + completions, 8, 1 + scores], &[], &[]);

    let sft = Sft {
        batch_size: 4,
        ..Sft::default()
    };
    let examples: Vec<algorithms::Example> = rollouts
        .iter()
        .zip(
            prompts
                .iter()
                .flat_map(|prompt| std::iter::repeat_n(prompt, GROUP)),
        )
        .map(|(rollout, prompt)| algorithms::Example {
            prompt: prompt.tokens.clone(),
            completion: rollout.completion.clone(),
            weights: vec![1.0; rollout.completion.len()],
            ..algorithms::Example::default()
        })
        .collect();
    lab.scores(algorithms::Scorer::Policy, &examples).unwrap();
    let share = |rank| qinglan::training::forward::share(&examples, rank, world);
    let scored = longest(&|rank| {
        let tokens = share(rank)
            .iter()
            .map(|example| example.completion.len() as u64);
        8 * tokens.sum::<u64>()
    });
    expect("scores", &[8, 1 + scored], &[], &[]);

    let batch = algorithms::Batch {
        normaliser: 10.0,
        tokens: 10,
        examples,
        ..algorithms::Batch::default()
    };
    let training = training(64);
    let parameters = model.decoder.weights().count() as u64;
    let part = parameters.div_ceil(world as u64);
    for shards in [false, true] {
        let learner = Learner::new(&model.decoder, &sft, &training, 1.0).among(ranks, shards);
        let outcome = learner.update(&batch, &mut learner.state(), 1).unwrap();
        // What the algorithm logs, which is what the lab's own names leave.
        let lab_s = [
            "entropy",
            "grad_norm",
            "learning_rate",
            "loss",
            "mean_token_accuracy",
        ];
        let names = outcome
            .metrics
            .keys()
            .filter(|name| !lab_s.contains(&name.as_str()));
        let (count, letters) = names.fold((0, 0), |(count, letters), name| {
            (count + 1, letters + name.len())
        });
        let sums = 105 + header(count) + 10 * count as u64 + letters as u64;
        if shards {
            expect(
                "a sharded update",
                &[8, 1 + sums, 4 * part],
                &[],
                &[4 * part * world as u64],
            );
        } else {
            expect("an update", &[8, 1 + sums], &[4 * parameters], &[]);
        }
    }
    assert!(!ranks.any(Ok(false)).unwrap());
    expect("the vote", &[8, 2], &[], &[]);
}

#[test]
fn what_is_sent_is_what_the_documentation_says_to_the_byte() {
    if !is_built() {
        println!("skipped: this build has no distribution");
        return;
    }
    for world in [2, 3, 4] {
        in_ranks(world, "traffic", &[]);
    }
}
