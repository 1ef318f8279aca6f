//! What a training tells of itself: its metrics are documented, the
//! event file says the same, and completions are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Bench, TINY, files_below, finished, text};

const DOCUMENTED: &str = include_str!("../docs/metrics.md");

/// The lines of a log by update.
pub(crate) fn logged(folder: &Path) -> Vec<serde_json::Map<String, Value>> {
    text(&folder.join("metrics.jsonl"))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Names in backticks in the first column of the tables of metrics.
fn documented() -> Vec<Vec<&'static str>> {
    let metrics = DOCUMENTED.split("\n# Completions").next().unwrap();
    let rows = metrics.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(|name| name.split('/').collect())
        .collect()
}

pub(crate) fn is_documented(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    documented().iter().any(|known| {
        let same = |(known, part): (&&str, &&str)| {
            ["NAME", "PART", "METRIC"].contains(known) && !part.is_empty() || known == part
        };
        known.len() == parts.len() && known.iter().zip(&parts).all(same)
    })
}

/// Arms that learn from demonstrations, a teacher's judgement and own samples.
const BETWEEN: &str = r#"
[arm.gkd]
algorithm.gkd = { prompts_per_generation = 4 }
training = { steps = 4 }

[arm.sdft]
algorithm.sdft = { prompts_per_generation = 4, teacher_prompt_template = "{demonstration} {prompt}" }
training = { steps = 3 }

[arm.chord]
reward.correct = 1.0
training = { steps = 3 }
algorithm.chord = { mu = 0.5, batch_size = 4, grpo = { prompts_per_generation = 4, num_generations = 4 } }

[arm.luffy]
reward.correct = 1.0
training = { steps = 3 }
algorithm.luffy = { grpo = { prompts_per_generation = 4, num_generations = 3 } }

[arm.mix]
reward.correct = 1.0
training = { steps = 4 }
algorithm.mix = { imitate.sft = { batch_size = 4 }, reinforce.rloo = { prompts_per_generation = 4, beta = 0.0 } }
"#;

/// The tiny experiment with an arm for every kind of algorithm and loss.
fn every_algorithm() -> String {
    let arms = TINY.find("[arm.sft]").unwrap();
    let sampled = "prompts_per_generation = 4, num_generations = 4";
    let algorithms = [
        ("bonus", "grpo", "beta = 0.1, entropy_coef = 0.01"),
        (
            "reused",
            "grpo",
            "steps_per_generation = 2, num_iterations = 2",
        ),
        ("cispo", "grpo", "loss_type = \"cispo\", epsilon_high = 5.0"),
        ("sapo", "grpo", "loss_type = \"sapo\""),
        ("rloo", "rloo", "beta = 0.1"),
        ("whitened", "reinforce++", "beta = 0.1"),
        ("rft", "rft", "reward_above = -1.0"),
        (
            "luspo",
            "grpo",
            "loss_type = \"luspo\", importance_sampling_level = \"sequence\"",
        ),
        (
            "vespo",
            "grpo",
            "loss_type = \"vespo\", off_policy_mask_threshold = 0.1",
        ),
        (
            "trust",
            "grpo",
            "loss_type = \"dppo_tv\", scale_rewards = \"mean\"",
        ),
        ("binary", "grpo", "loss_type = \"dppo_kl\", epsilon = 0.05"),
        (
            "gmpo",
            "grpo",
            "loss_type = \"geo_mean\", num_iterations = 2",
        ),
        (
            "adaptive",
            "grpo",
            "use_adaptive_entropy = true, entropy_target = 9.0, entropy_coef_delta = 0.01",
        ),
    ];
    let mut parts = vec![
        TINY[..arms].replace("seeds = [1, 2]", "seeds = [1]"),
        "[arm.sft]\nalgorithm.sft = { batch_size = 8 }\ntraining = { steps = 2 }\n".to_owned(),
        BETWEEN.to_owned(),
    ];
    parts.extend(algorithms.map(|(name, algorithm, settings)| {
        format!(
            "[arm.{name}]\nalgorithm.\"{algorithm}\" = {{ {sampled}, {settings} }}\n\
             reward = {{ correct = 1.0, format = 0.1, length_cost = 0.1 }}\ntraining = {{ steps = 4 }}\n"
        )
    }));
    parts.concat()
}

#[test]
fn every_metric_that_a_training_writes_is_documented() {
    let bench = Bench::new(&every_algorithm());
    bench.with_cache_of(finished());
    bench.run("run", &[]).done();
    let mut seen = BTreeMap::new();
    for name in files_below(&bench.path("run")) {
        if name.ends_with("metrics.jsonl") {
            for line in logged(bench.path("run").join(&name).parent().unwrap()) {
                for metric in line.keys() {
                    seen.insert(metric.clone(), name.clone());
                }
            }
        }
    }
    for name in [
        "kl",
        "policy_loss",
        "cispo_clip_ratio",
        "clip_ratio/high_max",
        "rewarded_entropy",
        "dppo_mask_ratio",
        "off_policy_mask_ratio",
        "chord/sft_loss",
        "luffy/demonstration_reward",
        "mix/reinforced",
    ] {
        assert!(seen.contains_key(name), "{name}: {seen:?}");
    }
    for (metric, at) in seen {
        assert!(is_documented(&metric), "{metric} of {}", at.display());
    }
    assert!(!is_documented("rewards/correct/block/median") && !is_documented("completions/x"));
}

/// An event as its bytes say: step and values.
type Event = (u64, BTreeMap<String, f32>);

/// CRC-32C, bit by bit, masked as `TFRecord`s have it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc = crc >> 1 ^ carry;
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a message of protocol buffers, by number, as they come.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let content = match key & 7 {
            0 => number(&mut bytes).to_le_bytes().to_vec(),
            1 => take(&mut bytes, 8).to_vec(),
            2 => {
                let length = number(&mut bytes) as usize;
                take(&mut bytes, length).to_vec()
            }
            5 => take(&mut bytes, 4).to_vec(),
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, content));
    }
    found
}

fn event_file(folder: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = files_below(folder)
        .into_iter()
        .filter(|name| name.to_string_lossy().contains(".tfevents."))
        .filter(|name| folder.join(name).metadata().unwrap().len() > 0)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    folder.join(found.remove(0))
}

/// The scalars of a folder's event file, every checksum held to.
pub(crate) fn events(folder: &Path) -> Vec<Event> {
    let content = std::fs::read(event_file(folder)).unwrap();
    let mut bytes = content.as_slice();
    let mut found = Vec::new();
    let mut times = Vec::new();
    while !bytes.is_empty() {
        let length = take(&mut bytes, 8);
        let sum = u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap());
        assert_eq!(sum, checksum(length));
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let record = take(&mut bytes, length);
        let sum = u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap());
        assert_eq!(sum, checksum(record));
        let event: BTreeMap<u64, Vec<u8>> = fields(record).into_iter().collect();
        times.push(f64::from_le_bytes(event[&1][..].try_into().unwrap()));
        let step = u64::from_le_bytes(event[&2][..].try_into().unwrap());
        let Some(summary) = event.get(&5) else {
            continue;
        };
        let values = fields(summary).into_iter().map(|(_, value)| {
            let value: BTreeMap<u64, Vec<u8>> = fields(&value).into_iter().collect();
            let name = String::from_utf8(value[&1].clone()).unwrap();
            (name, f32::from_le_bytes(value[&2][..].try_into().unwrap()))
        });
        found.push((step, values.collect()));
    }
    assert!(times.iter().all(|time| *time > 1.7e9), "{times:?}");
    found
}

/// Whether the event file of a training says what its log says, once.
pub(crate) fn assert_events_are_the_log(folder: &Path) {
    let expected: Vec<Event> = logged(folder)
        .iter()
        .map(|line| {
            let values = line.iter().filter(|(name, _)| *name != "step");
            let values = values.map(|(name, value)| (name.clone(), value.as_f64().unwrap() as f32));
            (line["step"].as_u64().unwrap(), values.collect())
        })
        .collect();
    assert_eq!(events(folder), expected, "{}", folder.display());
}

#[test]
fn tensorboard_is_shown_what_the_log_says() {
    let run = &finished().run;
    for at in ["arms/sft/seed-1", "arms/grpo/seed-2", "teacher"] {
        assert_events_are_the_log(&run.join(at));
    }
}

#[test]
fn completions_of_every_phase_are_kept_unless_they_are_not_wanted() {
    let run = &finished().run;
    let kept: Vec<String> = files_below(&run.join("arms/grpo/seed-1/completions"))
        .into_iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    // 40 updates in phases of two.
    let expected: Vec<String> = (0..20)
        .map(|phase| format!("step-{:06}.parquet", 2 * phase + 1))
        .collect();
    assert_eq!(kept, expected);
    assert!(run.join("teacher/completions").exists());
    assert!(!run.join("arms/sft/seed-1/completions").exists());
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    let more = ["--seeds", "1", "--set", "experiment.log_completions=false"];
    bench.run("run", &more).done();
    assert!(!bench.path("run/arms/grpo/seed-1/completions").exists());
}

#[test]
fn a_loss_near_zero_is_explained_once_before_it_is_seen() {
    let told = &finished().ended.stderr;
    assert_eq!(told.matches("near 0 by construction").count(), 1, "{told}");
    assert_eq!(
        told.matches("tensorboard --logdir run").count(),
        1,
        "{told}"
    );
}
