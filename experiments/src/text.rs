//! Text files as programs leave them.
//!
//! A byte order mark, which Excel, Notepad and PowerShell write, is passed over:
//! at the beginning of a file, and in JSONL at the beginning of a line, where
//! files were joined. UTF-16 is refused by its name. JSONL comes line by line
//! and is never held as a whole.

mod unique;

pub use unique::Unique;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a text file, without a byte order mark.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    refuse_utf16(&bytes)?;
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    Ok(bytes)
}

/// A text file, without a byte order mark.
pub fn string(path: &Path) -> io::Result<String> {
    String::from_utf8(bytes(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, no_utf8(error.utf8_error())))
}

/// A line without a byte order mark.
pub fn unmarked(line: &[u8]) -> &[u8] {
    line.strip_prefix(MARK).unwrap_or(line)
}

fn no_utf8(error: std::str::Utf8Error) -> String {
    format!("it is not UTF-8: {error}")
}

/// Text is no UTF-8 where it begins with the other byte order marks, or where
/// one of its first two bytes is 0, as in UTF-16 without a mark.
fn refuse_utf16(beginning: &[u8]) -> io::Result<()> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] = beginning {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is UTF-16 and no UTF-8; save it as UTF-8",
        ));
    }
    Ok(())
}

/// The lines of a file that hold something, each with its number from 1.
pub struct Lines {
    file: BufReader<File>,
    number: usize,
    /// Where the last line began, and where it ended.
    began: u64,
    ended: u64,
}

impl Lines {
    /// The byte at which the line that came last begins.
    pub fn offset(&self) -> u64 {
        self.began
    }
}

/// Opens a file to be read line by line.
pub fn lines(path: &Path) -> io::Result<Lines> {
    let mut file = BufReader::new(File::open(path)?);
    refuse_utf16(file.fill_buf()?)?;
    Ok(Lines {
        file,
        number: 0,
        began: 0,
        ended: 0,
    })
}

impl Iterator for Lines {
    type Item = io::Result<(usize, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            match self.file.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(read) => {
                    self.began = self.ended;
                    self.ended += read as u64;
                }
                Err(error) => return Some(Err(error)),
            }
            self.number += 1;
            let text = unmarked(&line).trim_ascii();
            if !text.is_empty() {
                return Some(Ok((self.number, text.to_vec())));
            }
        }
    }
}

/// The object of a line of JSONL; a key that stands twice is refused, as one of
/// the two would be lost.
pub fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    let line = std::str::from_utf8(line).map_err(no_utf8)?;
    match serde_json::from_str(line).map_err(|error| error.to_string())? {
        Unique(Value::Object(object)) => Ok(object),
        Unique(other) => Err(format!("expected a JSON object, not {other}")),
    }
}

/// What is wrong with the names of columns, in a sentence: one stands twice, or
/// is one of the `known` but for its case, so that it would be passed over.
pub fn misnamed(columns: &[impl AsRef<str>], known: &[&str]) -> Option<String> {
    let mut seen = BTreeSet::new();
    for column in columns.iter().map(AsRef::as_ref) {
        if !column.is_empty() && !seen.insert(column) {
            return Some(format!(
                "two columns are called `{column}`; rename or remove one of them"
            ));
        }
        if let Some(meant) = like(column, known) {
            return Some(format!(
                "the column `{column}` would be passed over: write it as `{meant}`, or rename it"
            ));
        }
    }
    None
}

/// The one of the `known` names that differs from a name by its case alone.
pub fn like<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if known.contains(&name) {
        return None;
    }
    let alike = |known: &&&str| known.to_lowercase() == name.trim().to_lowercase();
    known.iter().find(alike).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_mark_is_passed_over_and_every_other_byte_kept() {
        let (_folder, path) = file("\u{feff}a\u{feff}\r\n\n \u{feff}\n\u{feff}{}".as_bytes());
        assert_eq!(
            string(&path).unwrap(),
            "a\u{feff}\r\n\n \u{feff}\n\u{feff}{}"
        );
        let lines: Vec<(usize, Vec<u8>)> = lines(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(lines[0], (1, "a\u{feff}".as_bytes().to_vec()));
        assert_eq!(lines.last(), Some(&(4, b"{}".to_vec())));
        let (_folder, path) = file(b"");
        assert_eq!(string(&path).unwrap(), "");
    }

    #[test]
    fn utf_16_is_refused_by_its_name() {
        let text = "{}\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            little.clone(),
            big.clone(),
            [&b"\xff\xfe"[..], &little].concat(),
            [&b"\xfe\xff"[..], &big].concat(),
        ] {
            let (_folder, path) = file(&bytes);
            assert!(string(&path).unwrap_err().to_string().contains("UTF-16"));
            assert!(lines(&path).err().unwrap().to_string().contains("UTF-16"));
        }
        let (_folder, path) = file(b"{\"a\": \"\xff\"}");
        assert!(string(&path).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        let error = object(br#"{"a": 1, "b": {"a": 2}, "a": 3}"#).unwrap_err();
        assert!(error.contains("\"a\" stands twice"), "{error}");
        let within = object(br#"{"b": [{"a": 1, "a": 2}]}"#).unwrap_err();
        assert!(within.contains("\"a\" stands twice"), "{within}");
        assert_eq!(object(br#"{"a": 1, "b": {"a": 2}}"#).unwrap().len(), 2);
        assert!(object(b"[1]").unwrap_err().contains("a JSON object"));
    }

    #[test]
    fn names_that_would_be_passed_over_are_named() {
        let known = ["id", "answer"];
        assert_eq!(misnamed(&["id", "answer", "Topic"], &known), None);
        assert_eq!(misnamed(&["", "", "id"], &known), None);
        let case = misnamed(&["id", " ANSWER"], &known).unwrap();
        assert!(case.contains("` ANSWER`") && case.contains("`answer`"));
        let twice = misnamed(&["topic", "id", "topic"], &known).unwrap();
        assert!(twice.contains("two columns are called `topic`"), "{twice}");
    }
}
