//! `--set key=value`: changes to the text of a definition, so that an override
//! is read and checked exactly as if it stood in the file.

use anyhow::{Context, Result};

/// Writes each `key.path=value` into the text. A value that is not TOML is
/// taken as a string.
pub(super) fn apply_overrides(text: &str, overrides: &[String]) -> Result<String> {
    if overrides.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document: toml_edit::DocumentMut = text.parse()?;
    for entry in overrides {
        let (path, value) = entry.split_once('=').with_context(|| {
            format!("--set {entry}: write key=value, such as --set arm.sft.training.steps=10")
        })?;
        let value: toml_edit::Value = value
            .trim()
            .parse()
            .unwrap_or_else(|_| toml_edit::Value::from(value.trim()));
        let keys: Vec<&str> = path.trim().split('.').collect();
        let (last, tables) = keys
            .split_last()
            .with_context(|| format!("--set {entry}: the key is empty"))?;
        let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
        for key in tables {
            table = table
                .entry(key)
                .or_insert_with(|| toml_edit::Item::Table(toml_edit::Table::new()))
                .as_table_like_mut()
                .with_context(|| format!("--set {entry}: {key} is a value, not a table"))?;
        }
        table.insert(last, toml_edit::Item::Value(value));
    }
    Ok(document.to_string())
}
