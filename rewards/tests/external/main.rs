//! Rewards that other processes judge, from their tables to their scores.
//!
//! What needs python3 is skipped, in a line, where there is none.

mod command;
mod python;
mod reasoning_gym;

use std::path::Path;
use std::process::{Command, Stdio};

use rewards::{Registry, Reward, RewardError, Scored, Scores};

/// Whether there is a Python to test with; says so where there is none.
fn has_python() -> bool {
    let status = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let has = status.is_ok_and(|status| status.success());
    if !has {
        println!("skipped: there is no python3");
    }
    has
}

/// The reward `kind` of a table, with its paths in `folder`, started.
fn build(kind: &str, folder: &Path, table: &str) -> Result<Box<dyn Reward>, RewardError> {
    let table = toml::from_str(table).expect("the test's own TOML is valid");
    let reward = Registry::builtin().build(kind, &table, folder)?;
    reward.start()?;
    Ok(reward)
}

/// Why a table is refused.
fn refusal(kind: &str, folder: &Path, table: &str) -> String {
    match build(kind, folder, table) {
        Ok(_) => panic!("{table} was accepted"),
        Err(error) => error.to_string(),
    }
}

/// An error with its causes.
fn text(error: &RewardError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Completions of problems, `(problem, completion)`, with 7 expected.
fn batch<'a>(items: &[(&'a str, &'a str)]) -> Vec<Scored<'a>> {
    let item = |(problem, completion): &(&'a str, &'a str)| Scored {
        task: "sums",
        problem,
        prompt: "3 + 4?",
        completion,
        expected: Some("7"),
        max_new_tokens: 64,
        ..Scored::default()
    };
    items.iter().map(item).collect()
}

/// `count` completions of one problem each, which say their position.
fn numbered(names: &[String]) -> Vec<Scored<'_>> {
    let pairs: Vec<(&str, &str)> = (names.iter())
        .map(|name| (name.as_str(), name.as_str()))
        .collect();
    batch(&pairs)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| index.to_string()).collect()
}

fn values(scores: &Scores) -> Vec<Option<f64>> {
    scores.each.iter().map(|score| score.value).collect()
}

fn metric(scores: &Scores, name: &str) -> Option<f64> {
    let mut found = scores.metrics.iter().filter(|(known, _)| known == name);
    found.next().map(|(_, value)| *value)
}
