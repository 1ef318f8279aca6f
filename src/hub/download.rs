//! Downloading one file: resumed where it stopped, verified, and under its name only when
//! it is whole.
//!
//! Content that is still coming lies in `blobs/ETAG.incomplete`. Whoever adds to it holds
//! the lock that Hugging Face's own programs take for that content.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::Response;

use super::cache::Folder;
use super::client::{Client, FileFacts, Refusal, Trouble};
use crate::files;
use crate::messages::say;

/// Tries in a row that bring nothing.
const TRIES: u32 = 5;

/// Wait after the first of them; it doubles from try to try.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Time between two looks at a lock, or at whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 17;

/// Why a file is not there.
pub(super) enum Failed {
    /// The user wants to stop.
    Stopped,
    /// The hub refuses it.
    Refused(Refusal),
    /// Anything else.
    Error(anyhow::Error),
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing(what, _) => Self::Error(anyhow::anyhow!(what)),
            Trouble::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Asks until there is an answer that stands.
pub(super) fn patiently<T>(
    stop: &AtomicBool,
    mut ask: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, Failed> {
    let mut tries = 1;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(Trouble::Refused(refusal)) => return Err(Failed::Refused(refusal)),
            Err(Trouble::Passing(what, wait)) => {
                pause(stop, tries, &what, wait)?;
                tries += 1;
            }
        }
    }
}

/// Waits after a try that failed, unless it was the last.
fn pause(stop: &AtomicBool, tries: u32, what: &str, wait: Option<Duration>) -> Result<(), Failed> {
    if tries >= TRIES {
        return Err(anyhow::anyhow!("{what}, {TRIES} times in a row").into());
    }
    let wait = wait.unwrap_or(FIRST_WAIT * 2u32.pow(tries - 1));
    let until = Instant::now() + wait;
    while !stop.load(Ordering::SeqCst) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK));
    }
    Err(Failed::Stopped)
}

/// Brings a content into the cache, from an address that the hub gave these facts of.
pub(super) fn content(
    client: &Client,
    folder: &Folder,
    (url, file): (&str, &str),
    facts: &FileFacts,
    stop: &AtomicBool,
) -> Result<(), Failed> {
    let blob = folder.blob(&facts.etag);
    let is_there = || {
        let found = std::fs::metadata(&blob);
        found.is_ok_and(|found| facts.size.is_none_or(|size| found.len() == size))
    };
    if is_there() {
        return Ok(());
    }
    let _lock = alone(folder, file, &facts.etag, stop)?;
    if is_there() {
        return Ok(());
    }
    let aside = folder.blob(&format!("{}.incomplete", facts.etag));
    let mut part = Part::open(&aside)?;
    let bar = bar(file, facts.size);
    // What another process left may be of something else.
    let mut may_be_wrong = part.length > 0;
    loop {
        part.fill(client, url, facts, &bar, stop)?;
        let Some(wrong) = part.wrong(facts)? else {
            break;
        };
        part.empty()?;
        if !may_be_wrong {
            let _ = std::fs::remove_file(&aside);
            let error = anyhow::anyhow!(
                "{url}: what came has another {wrong} than the server announced ({}), and none of it was kept; \
                 give the same command again, and if it fails again tell whoever keeps the server",
                facts.etag
            );
            return Err(error.into());
        }
        may_be_wrong = false;
    }
    bar.finish_and_clear();
    let moved = part
        .file
        .sync_all()
        .and_then(|()| std::fs::rename(&aside, &blob))
        .and_then(|()| blob.parent().map_or(Ok(()), files::sync_folder));
    moved.with_context(|| format!("writing {}", blob.display()))?;
    Ok(())
}

/// The lock of a content, waited for where another process is downloading it.
fn alone(folder: &Folder, file: &str, etag: &str, stop: &AtomicBool) -> Result<File, Failed> {
    let (lock, path) = folder.lock(etag)?;
    let mut told = false;
    loop {
        match lock.try_lock() {
            // Some file systems know no locks; there nobody is kept out.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(lock),
            Err(TryLockError::WouldBlock) if stop.load(Ordering::SeqCst) => {
                return Err(Failed::Stopped);
            }
            Err(TryLockError::WouldBlock) => {
                if !told {
                    say!(
                        "{file}: another process is downloading it and holds {}; it is waited for",
                        path.display()
                    );
                }
                told = true;
                std::thread::sleep(LOOK);
            }
        }
    }
}

/// What has come of a content.
struct Part<'a> {
    path: &'a Path,
    file: File,
    length: u64,
}

impl<'a> Part<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let length = file.metadata().map(|found| found.len());
        let length = length.with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { path, file, length })
    }

    /// Begins anew.
    fn empty(&mut self) -> Result<()> {
        self.length = 0;
        self.file
            .set_len(0)
            .with_context(|| format!("writing {}", self.path.display()))
    }

    /// Downloads what is missing, however often the connection breaks, as long as
    /// something comes.
    fn fill(
        &mut self,
        client: &Client,
        url: &str,
        facts: &FileFacts,
        bar: &ProgressBar,
        stop: &AtomicBool,
    ) -> Result<(), Failed> {
        let mut tries = 1;
        if facts.size.is_some_and(|size| self.length > size) {
            self.empty()?;
        }
        while facts.size.is_none_or(|size| self.length < size) || self.length == 0 {
            let before = self.length;
            let (what, wait) = match self.add(client, url, bar, stop) {
                Ok(()) if facts.size.is_some_and(|size| self.length < size) => {
                    ("it ended early".to_owned(), None)
                }
                Ok(()) => return Ok(()),
                Err(Broke::Off(what, wait)) => (what, wait),
                Err(Broke::Failed(Failed::Refused(Refusal::Other(what)))) if before > 0 => {
                    // It cannot go on from there, as of what is longer than the file.
                    self.empty()?;
                    (what, None)
                }
                Err(Broke::Failed(failed)) => return Err(failed),
            };
            if self.length > before {
                tries = 1;
            }
            let place = self.path.display();
            let what = format!("{url}: {what} (what came lies in {place} and is gone on with)");
            pause(stop, tries, &what, wait)?;
            tries += 1;
        }
        Ok(())
    }

    /// One connection.
    fn add(
        &mut self,
        client: &Client,
        url: &str,
        bar: &ProgressBar,
        stop: &AtomicBool,
    ) -> Result<(), Broke> {
        let mut response = match client.open(url, self.length) {
            Ok(response) => response,
            Err(Trouble::Refused(refusal)) => return Err(Broke::Failed(Failed::Refused(refusal))),
            Err(Trouble::Passing(what, wait)) => return Err(Broke::Off(what, wait)),
        };
        if self.length > 0 && !goes_on(&response, self.length) {
            self.empty()?;
        }
        let place = self.path.display().to_string();
        let writing = || format!("writing {place}");
        self.file
            .seek(SeekFrom::Start(self.length))
            .with_context(writing)?;
        let mut body = response.body_mut().as_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            bar.set_position(self.length);
            if stop.load(Ordering::SeqCst) {
                return Err(Broke::Failed(Failed::Stopped));
            }
            let count = match body.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broke::Off(error.to_string(), None)),
            };
            self.file.write_all(&chunk[..count]).with_context(writing)?;
            self.length += count as u64;
        }
    }

    /// What of it is not as the hub announced.
    fn wrong(&mut self, facts: &FileFacts) -> Result<Option<&'static str>> {
        if facts.size.is_some_and(|size| size != self.length) {
            return Ok(Some("length"));
        }
        let reading = || format!("reading {}", self.path.display());
        let digest = match facts.etag.len() {
            64 => hash(Sha256::new(), &mut self.file),
            40 => {
                // As Git names the content of a file.
                let head = format!("blob {}\0", self.length);
                hash(Sha1::new_with_prefix(head), &mut self.file)
            }
            // A mirror may give tags of its own, of which the length is all that is known.
            _ => return Ok(None),
        };
        let is_right = digest.with_context(reading)? == facts.etag.to_ascii_lowercase();
        Ok((!is_right).then_some("checksum"))
    }
}

/// Why a connection brought no more.
enum Broke {
    /// It broke off; another may be made, after so long where the hub says so.
    Off(String, Option<Duration>),
    /// No other would bring more.
    Failed(Failed),
}

impl From<anyhow::Error> for Broke {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(Failed::Error(error))
    }
}

/// Whether an answer begins at that byte.
fn goes_on(response: &Response<Body>, from: u64) -> bool {
    let range = response.headers().get("content-range");
    let range = range.and_then(|range| range.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    response.status().as_u16() == 206 && first.and_then(|first| first.parse().ok()) == Some(from)
}

/// The digest of a whole file, in hexadecimal digits.
fn hash<D: Digest>(mut digest: D, file: &mut File) -> io::Result<String> {
    use std::fmt::Write;
    file.seek(SeekFrom::Start(0))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        digest.update(&chunk[..count]);
    }
    let mut digits = String::new();
    for byte in digest.finalize().as_slice() {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}

fn bar(file: &str, size: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::new(size.unwrap_or(0));
    // The template is a constant; a mistake in it would show at once.
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix:>30} {bar:24} {bytes:>11}/{total_bytes:<11} {bytes_per_sec:>13} left {eta}",
    ) {
        bar.set_style(style);
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    bar.set_prefix(name.to_owned());
    bar
}

/// Refuses to go on where the user wants to stop.
pub(super) fn check_stop(stop: &AtomicBool) -> Result<(), Failed> {
    if stop.load(Ordering::SeqCst) {
        return Err(Failed::Stopped);
    }
    Ok(())
}
