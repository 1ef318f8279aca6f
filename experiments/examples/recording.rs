//! Reads a table of very many trace records as `qinglan evaluate --traces` does,
//! and says how long it took and how much memory it needed at most.
//!
//! ```text
//! cargo run --release -p experiments --example recording -- make big.parquet 50000000
//! cargo run --release -p experiments --example recording -- read big.parquet
//! ```
//!
//! The records are made up from a fixed seed: 14 models, 4 tasks, 2,000 items a
//! task, as many samples as it takes, in the order in which a server's answers
//! would come in: by model, then sample by sample. Timing is told, not tested.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use experiments::alignment::cost::Counting;
use experiments::record::recording::Recording;
use experiments::record::{Trace, Writer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MODELS: u64 = 14;
const TASKS: u64 = 4;
const ITEMS: u64 = 2000;
/// Rows of a group, as polars writes them where nobody says otherwise.
const GROUP: usize = 1 << 18;

fn make(path: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut writer = Writer::new(path, GROUP)?;
    let cells = TASKS * ITEMS;
    let of_model = rows.div_ceil(MODELS);
    for row in 0..rows {
        let (model, within) = (row / of_model, row % of_model);
        let (sample, cell) = (within / cells, within % cells);
        let tokens = 20 + (cell % ITEMS) as u32 / 4 + rng.random_range(0..200u32);
        writer.push(Trace {
            model: format!("model-{model}"),
            seed: None,
            teacher: None,
            task: format!("task-{}", cell / ITEMS),
            item_id: format!("item {} of task {}", cell % ITEMS, cell / ITEMS),
            sample: sample as u32,
            prompt_tokens: 40,
            reasoning_tokens: tokens,
            completion_tokens: tokens + 5,
            correct: Some(rng.random_range(0..4) > 0),
            truncated: rng.random_range(0..50) == 0,
            answer: None,
            completion: None,
        })?;
    }
    writer.finish()?;
    Ok(())
}

fn read(path: &Path) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut recording = Recording::default();
    recording.read(path, |_| Ok(()))?;
    println!(
        "{} records read: {:.1} s, {}",
        recording.len(),
        begun.elapsed().as_secs_f64(),
        peak()
    );
    let models: Vec<String> = recording.models().to_vec();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let items = recording.items(&models, recording.tasks(), Counting::default());
    let cells: usize = items
        .models
        .values()
        .flatten()
        .flat_map(|model| model.tasks.values())
        .map(std::collections::BTreeMap::len)
        .sum();
    println!(
        "{cells} item means: {:.1} s, {}",
        begun.elapsed().as_secs_f64(),
        peak()
    );
    Ok(())
}

/// The most memory that the process has held, as Linux tells it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.map_or("peak memory unknown".to_owned(), |line| {
        format!("at most {}", line["VmHWM:".len()..].trim())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", path, rows] => make(Path::new(path), rows.parse()?),
        ["read", path] => read(Path::new(path)),
        _ => Err("usage: recording make FILE ROWS, or recording read FILE".into()),
    }
}
