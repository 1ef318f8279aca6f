//! Event files: the metrics as `TensorBoard` reads them.
//!
//! A file is a sequence of `TFRecord`s, each the length of its content (u64,
//! little-endian), a checksum of these eight bytes, the content, and a checksum
//! of the content. A checksum is the CRC-32C, rotated right by 15 bits and with
//! a constant added, so that the checksum of data that holds checksums is still
//! worth something. The content is an `Event` of protocol buffers
//! (TensorFlow's `event.proto` and `summary.proto`); of its fields, the few
//! that scalars need are written here by hand:
//!
//! ```text
//! Event    1 wall_time: double     2 step: int64     3 file_version: string
//!          5 summary: Summary      7 session_log: SessionLog
//! Summary  1 value: repeated {1 tag: string, 2 simple_value: float}
//! SessionLog  1 status: enum (START = 1)
//! ```
//!
//! A folder has one such file with content. It is written anew, under a later
//! name, from the lines that `metrics.jsonl` keeps when a training is opened,
//! and its predecessor is emptied: whoever reads the folder afterwards sees
//! every update once, whatever the reader makes of restarts. A `TensorBoard`
//! that is open meanwhile follows too: the file begins with the start of a
//! session at step 0, which tells it to forget what it has of the folder.
//! Emptied and not removed, because `TensorBoard`'s slower loader never goes on
//! from a file that has gone; the next opening removes it.
//!
//! Values are float32, as the format has them; `metrics.jsonl` has them in
//! full. The file holds times of the clock, so it is in no manifest and no
//! comparison of runs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::files;

/// What every event file's name holds, which is how `TensorBoard` finds it.
const MARK: &str = ".tfevents.";

/// Scalars of one update, and when it was made.
///
/// Worked example: `{wall_time: 1.79e9, step: 3, values: [("loss", 0.25)]}`.
pub(super) struct Event<'a> {
    /// Seconds since 1970.
    pub(super) wall_time: f64,
    /// Optimizer updates made.
    pub(super) step: u64,
    /// Values by name; those that float32 cannot hold are left out.
    pub(super) values: Vec<(&'a str, f64)>,
}

/// The open event file of a folder.
#[derive(Debug)]
pub(super) struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// Begins the folder's event file with events that there are already, and
    /// empties the one before it.
    pub(super) fn begin(folder: &Path, events: &[Event<'_>]) -> Result<Self> {
        let older = event_files(folder)?;
        let mut bytes = record(&version());
        bytes.extend(record(&session_start()));
        for event in events {
            bytes.extend(record(&scalars(event)));
        }
        // Readers go through files in the order of their names, and a clock may
        // have been set back since the last one.
        let latest = older.iter().filter_map(|path| time_of(path)).max();
        let now = seconds_since_1970() as u64;
        let name = latest.map_or(now, |latest| now.max(latest.saturating_add(1)));
        let path = folder.join(format!("events.out{MARK}{name:010}.qinglan"));
        files::write_whole(&path, &bytes)?;
        for path in older {
            retire(&path).with_context(|| format!("emptying {}", path.display()))?;
        }
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { file, path })
    }

    /// Appends the scalars of one update.
    pub(super) fn write(&mut self, event: &Event<'_>) -> Result<()> {
        self.file
            .write_all(&record(&scalars(event)))
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

/// The second that an event file's name tells of.
fn time_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let (_, after) = name.split_once(MARK)?;
    after.split('.').next()?.parse().ok()
}

/// Empties an event file, and removes one that is empty or was not finished.
fn retire(path: &Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') || path.metadata()?.len() == 0 {
        return std::fs::remove_file(path);
    }
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// The time, in seconds; 0 on a clock set before 1970.
pub(super) fn seconds_since_1970() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// The event files of a folder, in the order of their names; first those that
/// a crash left unfinished, whose names begin with a dot.
fn event_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || format!("reading {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(read)? {
        let entry = entry.with_context(read)?;
        if entry.file_name().to_string_lossy().contains(MARK) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// One `TFRecord`.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked_checksum(&length).to_le_bytes());
    bytes.extend(content);
    bytes.extend(masked_checksum(content).to_le_bytes());
    bytes
}

fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// The event that every file begins with.
fn version() -> Vec<u8> {
    let mut event = stamp(seconds_since_1970(), 0);
    put_bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// The event that makes a reader forget what it has of the folder.
fn session_start() -> Vec<u8> {
    let mut session = Vec::new();
    put_key(&mut session, 1, WireType::Varint);
    put_varint(&mut session, 1);
    let mut event = stamp(seconds_since_1970(), 0);
    put_bytes(&mut event, 7, &session);
    event
}

fn scalars(event: &Event<'_>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, value) in &event.values {
        let value = *value as f32;
        if !value.is_finite() {
            continue;
        }
        let mut scalar = Vec::new();
        put_bytes(&mut scalar, 1, name.as_bytes());
        put_key(&mut scalar, 2, WireType::Four);
        scalar.extend(value.to_le_bytes());
        put_bytes(&mut summary, 1, &scalar);
    }
    let mut bytes = stamp(event.wall_time, event.step);
    put_bytes(&mut bytes, 5, &summary);
    bytes
}

/// Time and step, with which every event begins.
fn stamp(wall_time: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, 1, WireType::Eight);
    event.extend(wall_time.to_le_bytes());
    put_key(&mut event, 2, WireType::Varint);
    put_varint(&mut event, step);
    event
}

/// How long a field's value is.
#[derive(Clone, Copy)]
enum WireType {
    Varint = 0,
    Eight = 1,
    Counted = 2,
    Four = 5,
}

fn put_key(bytes: &mut Vec<u8>, field: u64, kind: WireType) {
    put_varint(bytes, field << 3 | kind as u64);
}

fn put_bytes(bytes: &mut Vec<u8>, field: u64, content: &[u8]) {
    put_key(bytes, field, WireType::Counted);
    put_varint(bytes, content.len() as u64);
    bytes.extend(content);
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros, and of the numbers from 0.
        let counting: Vec<u8> = (0..32).collect();
        for (bytes, crc) in [(vec![0; 32], 0x8a91_36aa_u32), (counting, 0x46dd_794e)] {
            let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
            assert_eq!(masked_checksum(&bytes), masked);
        }
    }

    #[test]
    fn an_event_is_the_bytes_that_the_format_names() {
        let event = Event {
            wall_time: 1.5,
            step: 300,
            values: vec![("loss", 0.25), ("kl", f64::INFINITY)],
        };
        let expected = [
            &[0x09][..],
            &1.5_f64.to_le_bytes(),
            &[0x10, 0xac, 0x02],
            &[0x2a, 13, 0x0a, 11, 0x0a, 4],
            b"loss",
            &[0x15, 0, 0, 0x80, 0x3e],
        ];
        assert_eq!(scalars(&event), expected.concat());
    }

    #[test]
    fn only_the_newest_file_of_a_folder_holds_anything() {
        let folder = tempfile::tempdir().unwrap();
        let first = EventFile::begin(folder.path(), &[]).unwrap();
        let unfinished = format!(".events.out{MARK}1.qinglan.9.partial");
        std::fs::write(folder.path().join(unfinished), "half").unwrap();
        let second = EventFile::begin(folder.path(), &[]).unwrap();
        let found = event_files(folder.path()).unwrap();
        assert_eq!(found, [first.path.clone(), second.path.clone()]);
        assert_eq!(first.path.metadata().unwrap().len(), 0);
        let third = EventFile::begin(folder.path(), &[]).unwrap();
        let found = event_files(folder.path()).unwrap();
        assert_eq!(found, [second.path, third.path.clone()]);
        assert!(third.path.metadata().unwrap().len() > 0);
    }

    #[test]
    fn a_file_from_the_future_is_followed_by_a_later_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = |second: u64| {
            folder
                .path()
                .join(format!("events.out{MARK}{second}.qinglan"))
        };
        // A name that tells of no second is nobody's clock.
        let foreign = folder.path().join(format!("events.out{MARK}zzz.host"));
        for path in [name(9_000_000_000), name(1_000_000_000), foreign] {
            std::fs::write(path, "old").unwrap();
        }
        let first = EventFile::begin(folder.path(), &[]).unwrap();
        assert_eq!(first.path, name(9_000_000_001));
        let second = EventFile::begin(folder.path(), &[]).unwrap();
        assert_eq!(second.path, name(9_000_000_002));
    }
}
