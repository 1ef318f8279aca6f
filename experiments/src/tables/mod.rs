//! Comparison tables: for the terminal, Markdown, LaTeX, CSV, Parquet and JSON.
//!
//! [`layout`] decides what the tables say and [`mod@format`] how a number is
//! rounded; an exporter a file decides only how that looks. Nothing here
//! touches the file system: `report::write_all` does.

pub mod csv;
pub mod format;
pub mod json;
pub mod latex;
pub mod layout;
pub mod long;
pub mod markdown;
pub mod parquet;
pub mod plain;
pub mod terminal;
mod tidy;

#[cfg(test)]
mod snapshot;
