//! How many completions a second a trivial Python function judges out of
//! process: `cargo bench -p rewards --bench external`.
//!
//! The bar is 10,000 a second with batches of 64 on two cores. What it
//! deliberately does not do: assert; a time is a report.

use std::path::Path;
use std::time::Instant;

use rewards::{Registry, Reward, RewardError, Scored};

const COMPLETIONS: usize = 64 * 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let source = "def f(completions, answer, **kwargs):\n    \
                  return [float(a in c) for a, c in zip(answer, completions)]\n\n\
                  def compute_score(solution_str, ground_truth, **kwargs):\n    \
                  return float(ground_truth in solution_str)\n";
    std::fs::write(folder.path().join("rewards.py"), source)?;

    let completion = "<think> A 1 B 2 C </think> true ".repeat(8);
    let ids: Vec<i64> = (0..100).collect();
    let problems: Vec<String> = (0..COMPLETIONS / 8).map(|p| format!("test/{p}")).collect();
    let batch: Vec<Scored<'_>> = (0..COMPLETIONS)
        .map(|index| Scored {
            task: "test",
            problem: &problems[index / 8],
            prompt: "A + 2 = C ?",
            completion: &completion,
            completion_ids: &ids,
            expected: Some("true"),
            max_new_tokens: 128,
            ..Scored::default()
        })
        .collect();
    println!(
        "{COMPLETIONS} completions of {} bytes and {} ids",
        completion.len(),
        ids.len()
    );
    for count in [1, 2] {
        for calls in ["function = 'f'", "calls = 'verl'"] {
            let table = format!("file = 'rewards.py'\n{calls}\nworkers.count = {count}");
            let reward = build(folder.path(), &table)?;
            // Until every worker has started.
            reward.score(&batch)?;
            let begun = Instant::now();
            let scores = reward.score(&batch)?;
            let seconds = begun.elapsed().as_secs_f64();
            assert!(scores.each.iter().all(|score| score.value == Some(1.0)));
            let calls = (COMPLETIONS / 64) as f64;
            println!(
                "{count} workers, {calls_of:14}: {:8.0} completions/s, {:6.0} us for each 64",
                COMPLETIONS as f64 / seconds,
                1e6 * seconds / calls,
                calls_of = if table.contains("verl") {
                    "verl"
                } else {
                    "trl"
                },
            );
        }
    }
    let alone = build(folder.path(), "file = 'rewards.py'\nfunction = 'f'")?;
    alone.score(&batch)?;
    let begun = Instant::now();
    for piece in batch.chunks(64).take(128) {
        alone.score(piece)?;
    }
    let each = begun.elapsed().as_secs_f64() / 128.0;
    println!(
        "one batch of 64 at a time   : {:8.0} completions/s, {:6.0} us each",
        64.0 / each,
        1e6 * each
    );
    Ok(())
}

fn build(folder: &Path, table: &str) -> Result<Box<dyn Reward>, RewardError> {
    let table = toml::from_str(table).map_err(|error| RewardError::Failed {
        reward: "python".to_owned(),
        source: Box::new(error),
    })?;
    let reward = Registry::builtin().build("python", &table, folder)?;
    reward.start()?;
    Ok(reward)
}
