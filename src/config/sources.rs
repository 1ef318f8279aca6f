//! Which file and line wrote each key of a definition that several files make
//! together, for messages and for the comments of a dry run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// A key with the tables above it, `["arm", "sft", "training"]`. An element of an
/// array stands under its number.
pub(super) type KeyPath = Vec<String>;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// On that line of that file, the first line being 1.
    File(PathBuf, usize),
    /// By that `key=value` of `--set`.
    Override(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Override(entry) => write!(f, "--set {entry}"),
        }
    }
}

/// Where the keys of a definition were written.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<KeyPath, Source>);

impl Sources {
    /// Of one file with that text.
    pub(super) fn of_file(text: &str, path: &Path) -> Self {
        let source = |start: usize| {
            let line = 1 + text[..start].matches('\n').count();
            Source::File(path.to_owned(), line)
        };
        let keys = keys(text).into_iter();
        Self(keys.map(|key| (key.path, source(key.start))).collect())
    }

    /// Forgets a key and all below it.
    pub(super) fn remove(&mut self, path: &[String]) {
        self.0.retain(|known, _| !known.starts_with(path));
    }

    /// Takes over what another file, or an override, wrote.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// An override's source, of its key and of the tables above that nothing else wrote.
    pub(super) fn set(&mut self, path: &[String], source: &Source) {
        self.remove(path);
        for length in 1..=path.len() {
            let known = self.0.entry(path[..length].to_vec());
            known.or_insert_with(|| source.clone());
        }
    }

    /// The source of a key, or of the nearest table above it that has one.
    pub(super) fn of(&self, path: &[String]) -> Option<&Source> {
        (1..=path.len())
            .rev()
            .find_map(|length| self.0.get(&path[..length]))
    }

    /// The files that wrote the keys right below a table, each once.
    pub(super) fn files_below(&self, table: &[String]) -> Vec<&Path> {
        let mut files: Vec<&Path> = Vec::new();
        for (path, source) in &self.0 {
            if let Source::File(file, _) = source
                && path.len() == table.len() + 1
                && path.starts_with(table)
                && !files.contains(&file.as_path())
            {
                files.push(file);
            }
        }
        files
    }
}

/// A key in a text: byte offsets of where it begins and where its value ends.
struct Key {
    path: KeyPath,
    start: usize,
    end: usize,
    is_leaf: bool,
}

/// The keys of a text, those of tables first; none where it is no TOML.
fn keys(text: &str) -> Vec<Key> {
    let mut found = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        keys_of(table.get_ref(), &mut Vec::new(), &mut found);
    }
    found
}

fn keys_of(table: &DeTable<'_>, above: &mut KeyPath, found: &mut Vec<Key>) {
    for (key, value) in table {
        above.push(key.get_ref().to_string());
        // The value of a table with a header is its header.
        let start = key.span().start.min(value.span().start);
        let place = found.len();
        found.push(Key {
            path: above.clone(),
            start,
            end: value.span().end,
            is_leaf: !matches!(value.get_ref(), DeValue::Table(_)),
        });
        match value.get_ref() {
            DeValue::Table(table) => keys_of(table, above, found),
            DeValue::Array(elements) => {
                for (number, element) in elements.iter().enumerate() {
                    let DeValue::Table(table) = element.get_ref() else {
                        continue;
                    };
                    found[place].is_leaf = false;
                    above.push(number.to_string());
                    found.push(Key {
                        path: above.clone(),
                        start: element.span().start,
                        end: element.span().end,
                        is_leaf: false,
                    });
                    keys_of(table, above, found);
                    above.pop();
                }
            }
            _ => {}
        }
        above.pop();
    }
}

/// The key that an error of TOML at that byte is about.
pub(super) fn key_at(text: &str, position: usize) -> Option<KeyPath> {
    let keys = keys(text).into_iter();
    let before = keys.filter(|key| key.start <= position);
    let nearest = before.max_by_key(|key| (key.start, key.path.len()));
    nearest.map(|key| key.path)
}

/// The dotted key that a message begins with, `arm.sft.training.steps = 0: …`; empty
/// where it begins with none.
pub(super) fn leading_key(message: &str) -> KeyPath {
    let mut in_quotes = false;
    let end = message.find(|c: char| {
        in_quotes ^= c == '"';
        !(in_quotes || c == '"' || c == '.' || c == '-' || c == '_' || c.is_alphanumeric())
    });
    let key = message[..end.unwrap_or(message.len())].trim_end_matches('.');
    let keys = toml_edit::Key::parse(key).unwrap_or_default();
    keys.iter().map(|key| key.get().to_owned()).collect()
}

/// The text with a comment behind each value that `told` has something to say of.
pub(super) fn commented(text: &str, told: impl Fn(&[String]) -> Option<String>) -> String {
    let mut comments: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for key in keys(text).into_iter().filter(|key| key.is_leaf) {
        if let Some(comment) = told(&key.path) {
            let line_end = text[key.end..].find(['\r', '\n']);
            let line_end = line_end.map_or(text.len(), |length| key.end + length);
            let comments = comments.entry(line_end).or_default();
            if !comments.contains(&comment) {
                comments.push(comment);
            }
        }
    }
    let mut whole = text.to_owned();
    for (line_end, comments) in comments.into_iter().rev() {
        whole.insert_str(line_end, &format!("  # {}", comments.join("; ")));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a.b = 1\n\n[c.d]\ne = { f = 2, g = [\n  3,\n] }\n\n[[h]]\ni = 4\n";

    fn path(words: &[&str]) -> KeyPath {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn each_key_has_its_line_and_unknown_ones_that_of_the_table_above() {
        let sources = Sources::of_file(TEXT, Path::new("x.toml"));
        for (key, line) in [
            (&["a", "b"][..], 1),
            (&["c", "d"], 3),
            (&["c", "d", "unknown", "too"], 3),
            (&["c", "d", "e", "g"], 4),
            (&["h", "0"], 8),
            (&["h", "0", "i"], 9),
        ] {
            let expected = Source::File("x.toml".into(), line);
            assert_eq!(sources.of(&path(key)), Some(&expected), "{key:?}");
        }
        assert_eq!(sources.of(&path(&["b"])), None);
    }

    #[test]
    fn an_error_is_about_the_last_key_before_it() {
        let at = |part: &str| key_at(TEXT, TEXT.find(part).unwrap()).unwrap();
        assert_eq!(at("1"), path(&["a", "b"]));
        assert_eq!(at("[c.d]"), path(&["c", "d"]));
        assert_eq!(at("{ f"), path(&["c", "d", "e"]));
        assert_eq!(at("2"), path(&["c", "d", "e", "f"]));
        assert_eq!(at("[[h]]"), path(&["h", "0"]));
        assert_eq!(at("4"), path(&["h", "0", "i"]));
    }

    #[test]
    fn a_message_begins_with_a_key_or_it_does_not() {
        let is = |message: &str, key: &[&str]| assert_eq!(leading_key(message), path(key));
        is(
            "arm.x.training.steps = 0: none",
            &["arm", "x", "training", "steps"],
        );
        is("tasks.names: no task", &["tasks", "names"]);
        is("tasks.settings.\"a:b\": no", &["tasks", "settings", "a:b"]);
        is("there is no arm", &["there"]);
        is("\"unclosed", &[]);
        is("", &[]);
    }

    #[test]
    fn comments_stand_at_the_end_of_the_values_line() {
        let told = |path: &[String]| (path[0] == "c").then(|| path.concat());
        let expected = "a.b = 1\n\n[c.d]\ne = { f = 2, g = [  # cdef\n  3,\n] }  # cdeg\n";
        assert!(commented(TEXT, told).starts_with(expected));
        let same = commented("x = { a = 1, b = 2 }", |_| Some("y".to_owned()));
        assert_eq!(same, "x = { a = 1, b = 2 }  # y");
    }
}
