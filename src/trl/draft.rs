//! A definition in the making: its tables in their order, and what is still to be filled in.

use std::fmt::Write as _;

use indexmap::IndexMap;
use toml::Value;

use super::Trainer;

/// The word that marks what TRL's settings do not say.
pub(super) const TO_FILL_IN: &str = "TO FILL IN";

/// A line of a table.
#[derive(Debug)]
struct Line {
    value: Value,
    note: Option<String>,
}

/// A table of the definition.
#[derive(Debug, Default)]
struct Table {
    lines: IndexMap<String, Line>,
    missing: Vec<String>,
}

/// The definition.
#[derive(Debug)]
pub(super) struct Draft {
    trainer: Trainer,
    tables: IndexMap<String, Table>,
}

impl Draft {
    /// One with the tables that every definition has.
    pub(super) fn new(trainer: Trainer) -> Self {
        let algorithm = format!("arm.trl.algorithm.{}", trainer.name());
        let names = [
            "experiment",
            "tasks",
            "base",
            "rollout",
            "evaluation",
            "training",
            &algorithm,
        ];
        let table = |name: &str| (name.to_owned(), Table::default());
        Self {
            trainer,
            tables: names.into_iter().map(table).collect(),
        }
    }

    /// The table and key of a path such as `algorithm.beta`.
    fn place(&mut self, path: &str) -> (&mut Table, String) {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        let table = match table {
            "algorithm" => format!("arm.trl.algorithm.{}", self.trainer.name()),
            "lora" | "demonstrations" | "reward" => format!("arm.trl.{table}"),
            _ => table.to_owned(),
        };
        (self.tables.entry(table).or_default(), key.to_owned())
    }

    /// States a setting.
    pub(super) fn set(&mut self, path: &str, value: impl Into<Value>) {
        self.put(path, value.into(), None);
    }

    /// States a setting that TRL's file does not, unless it is stated, and marks it.
    pub(super) fn stub(&mut self, path: &str, value: impl Into<Value>, note: &str) {
        let (table, key) = self.place(path);
        if !table.lines.contains_key(&key) {
            self.put(path, value.into(), Some(format!("{TO_FILL_IN}: {note}")));
        }
    }

    /// States a setting with a remark.
    pub(super) fn noted(&mut self, path: &str, value: impl Into<Value>, note: &str) {
        self.put(path, value.into(), Some(note.to_owned()));
    }

    fn put(&mut self, path: &str, value: Value, note: Option<String>) {
        let (table, key) = self.place(path);
        table.lines.insert(key, Line { value, note });
    }

    /// Marks a setting that has to be there and that nothing can be said of.
    pub(super) fn missing(&mut self, path: &str, note: &str) {
        let (table, key) = self.place(path);
        table
            .missing
            .push(format!("{TO_FILL_IN}: {key} = …, {note}"));
    }

    /// Whether a setting is stated.
    pub(super) fn has(&mut self, path: &str) -> bool {
        let (table, key) = self.place(path);
        table.lines.contains_key(&key)
    }

    /// What is to be filled in, each with its table.
    pub(super) fn to_fill_in(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, table) in &self.tables {
            for (key, line) in &table.lines {
                let note = line.note.as_deref();
                if let Some(note) = note.and_then(|note| note.strip_prefix(TO_FILL_IN)) {
                    found.push(format!("{name}.{key}{note}"));
                }
            }
            let missing = table.missing.iter();
            found.extend(missing.filter_map(|note| {
                let note = note.strip_prefix(TO_FILL_IN)?.strip_prefix(": ")?;
                Some(format!("{name}.{note}"))
            }));
        }
        found
    }

    /// The definition's text under a head of comments.
    pub(super) fn text(&self, head: &[String]) -> String {
        let mut text = String::new();
        for line in head {
            let _ = writeln!(text, "# {line}");
        }
        for (name, table) in &self.tables {
            let _ = writeln!(text, "\n[{name}]");
            for missing in &table.missing {
                let _ = writeln!(text, "# {missing}");
            }
            for (key, line) in &table.lines {
                let _ = match &line.note {
                    Some(note) => writeln!(text, "{key} = {}  # {note}", line.value),
                    None => writeln!(text, "{key} = {}", line.value),
                };
            }
        }
        text
    }
}
