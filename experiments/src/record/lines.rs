//! Records as JSONL: one object a line. Keys that are no field are passed over,
//! empty lines too.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde_json::Value;

use super::{RecordError, Trace, io_error, refuse_duplicates};

/// The fields that are counts, refused below 0 by name.
const COUNTS: [&str; 5] = [
    "seed",
    "sample",
    "prompt_tokens",
    "reasoning_tokens",
    "completion_tokens",
];

pub(super) fn read(path: &Path) -> Result<Vec<Trace>, RecordError> {
    let file = BufReader::new(File::open(path).map_err(io_error(path))?);
    let mut traces = Vec::new();
    for (at, line) in file.lines().enumerate() {
        let bad = |detail: String| RecordError::BadRow {
            path: path.into(),
            row: format!("line {}", at + 1),
            detail,
        };
        let line = line.map_err(|error| bad(format!("not text: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let trace = serde_json::from_str(&line).map_err(|error| bad(explain(&line, &error)))?;
        traces.push((at + 1, trace));
    }
    refuse_duplicates(path, "line", &traces)?;
    Ok(traces.into_iter().map(|(_, trace)| trace).collect())
}

/// The parser knows the place but not the field; a count that is none is named here.
fn explain(line: &str, error: &serde_json::Error) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return format!("not a JSON object ({error})");
    };
    let is_no_count = |name: &&str| {
        fields.get(*name).is_some_and(|v| {
            !(v.as_u64()
                .is_some_and(|v| *name == "seed" || u32::try_from(v).is_ok())
                || *name == "seed" && v.is_null())
        })
    };
    match COUNTS.iter().find(|name| is_no_count(name)) {
        Some(name) => format!("`{name}` is {}, not a count of 0 or more", fields[*name]),
        None => error.to_string(),
    }
}

pub(super) fn write(
    path: &Path,
    file: &mut impl Write,
    traces: &[Trace],
) -> Result<(), RecordError> {
    for trace in traces {
        serde_json::to_writer(&mut *file, trace).map_err(|error| io_error(path)(error.into()))?;
        file.write_all(b"\n").map_err(io_error(path))?;
    }
    Ok(())
}
