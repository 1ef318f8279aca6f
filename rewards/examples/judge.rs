//! Judges answers, one JSON object a line on standard input, one word a line on
//! standard output: `true`, `false`, or `null` where nothing is expected.
//!
//! ```text
//! {"expected": "1/2", "completion": "Answer: 0.5"}
//! {"judge": "expression", "expected": "24 from 1 1 4 6", "completion": "1 * 1 * 4 * 6"}
//! ```
//!
//! `columns` may hold an item's further columns. `scripts/compare-math-verify.py`
//! asks here what the lab says of its pairs.

use std::error::Error;
use std::io::{BufRead, Write};

use rewards::Judge;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    judge: Judge,
    expected: String,
    completion: String,
    #[serde(default)]
    columns: Map<String, Value>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for (place, line) in std::io::stdin().lock().lines().enumerate() {
        let at = |error: &dyn std::fmt::Display| format!("line {}: {error}", place + 1);
        let line: Line = serde_json::from_str(&line?).map_err(|error| at(&error))?;
        let judged = (line.judge)
            .judge(&line.expected, Some(&line.columns), &line.completion)
            .map_err(|error| at(&error))?;
        writeln!(out, "{}", serde_json::to_string(&judged)?)?;
    }
    Ok(())
}
