//! Records as JSONL: one object a line. Keys that are no field are passed over,
//! empty lines too. Keys are looked at in the first line alone: one that is a
//! field but for its case would be passed over as well.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};

use super::{FIELDS, RecordError, Trace, io_error};
use crate::text::{self, misnamed};

/// The fields that are counts, refused below 0 by name.
const COUNTS: [&str; 6] = [
    "seed",
    "teacher",
    "sample",
    "prompt_tokens",
    "reasoning_tokens",
    "completion_tokens",
];

/// Hands every line over, with its number from 1 and what is wrong with it.
pub(super) fn each(
    path: &Path,
    row: &mut dyn FnMut(usize, Result<Trace, String>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let mut first = true;
    for line in text::lines(path).map_err(io_error(path))? {
        let (number, line) = line.map_err(io_error(path))?;
        let trace = match std::str::from_utf8(&line) {
            Ok(line) => serde_json::from_str(line).map_err(|error| explain(line, &error)),
            Err(error) => Err(format!("not text: {error}")),
        };
        if std::mem::take(&mut first)
            && let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(&line)
            && let Some(detail) = misnamed(&fields.keys().collect::<Vec<_>>(), &FIELDS)
        {
            return Err(RecordError::Column {
                path: path.into(),
                detail: format!("line {number}: {detail}"),
            });
        }
        row(number, trace)?;
    }
    Ok(())
}

/// The parser knows the place but not the field; a count that is none is named here.
fn explain(line: &str, error: &serde_json::Error) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return format!("not a JSON object ({error})");
    };
    let is_no_count = |name: &&str| {
        let is_seed = matches!(*name, "seed" | "teacher");
        fields.get(*name).is_some_and(|v| {
            !(v.as_u64()
                .is_some_and(|v| is_seed || u32::try_from(v).is_ok())
                || is_seed && v.is_null())
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
