//! Columns of pictures and sound, which no model here sees or hears.

use serde_json::{Map, Value};

/// Names that data sets have for them.
const MEDIA: [&str; 13] = [
    "image",
    "images",
    "video",
    "videos",
    "audio",
    "audios",
    "picture",
    "pictures",
    "pixel_values",
    "pixel_values_videos",
    "image_grid_thw",
    "input_features",
    "input_audio",
];

/// What a column of that name or a part of a message of that kind holds, where
/// it is no text; case does not count.
///
/// Worked example: `image_url` holds pictures, `Audio` holds sound.
pub fn media(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let name = name.trim();
    let known = MEDIA.contains(&name);
    let part = ["_url", "_file"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .is_some_and(|kind| MEDIA.contains(&kind));
    (known || part).then(|| match name {
        _ if name.contains("video") => "moving pictures",
        _ if name.contains("audio") || name == "input_features" => "sound",
        _ => "pictures",
    })
}

/// The first of a row's columns with pictures or sound in it, in a sentence.
pub fn media_in(row: &Map<String, Value>) -> Option<String> {
    let mut columns = row.iter();
    columns.find_map(|(name, value)| {
        let what = media(name).filter(|_| !is_nothing(value))?;
        Some(refusal(name, what))
    })
}

pub(super) fn refusal(column: &str, what: &str) -> String {
    format!(
        "the column {column:?} holds {what}, which no model here is shown; remove it, and the \
         rows that make no sense without"
    )
}

/// Null, or nothing in it: Parquet gives every row every column.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
