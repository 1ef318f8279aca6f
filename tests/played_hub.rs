//! A hub that threads of the test's own process play, with large files on an address of
//! their own, as Hugging Face's hub has them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files of this size and more lie elsewhere.
const LARGE: usize = 2000;

/// The token that it accepts.
pub(crate) const TOKEN: &str = "hf_good";

/// How the address of the large files behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Storage {
    /// As it should.
    #[default]
    Sound,
    /// It breaks the connection after so many bytes.
    Cuts(usize),
    /// It sends all of a file whatever range is asked for.
    Rangeless,
    /// It sends another byte at the end.
    Wrong,
    /// It is too busy the first so many times.
    Busy(usize),
}

/// What the hub has and was asked.
#[derive(Default)]
struct State {
    /// Files by commit, `ORG/NAME` and path.
    files: BTreeMap<(String, String, String), Vec<u8>>,
    /// Commits by repository and revision.
    commits: BTreeMap<(String, String), String>,
    gated: Vec<String>,
    storage: Storage,
    /// The first line of each question, with what range and token it had.
    log: Vec<Asked>,
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    /// The first byte of the range.
    pub(crate) from: Option<u64>,
    /// Whether it came with a token.
    pub(crate) has_token: bool,
    /// Whether it came to the address of the large files.
    pub(crate) is_storage: bool,
}

/// A hub on the loopback.
pub(crate) struct PlayedHub {
    /// Its address.
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

/// A commit by its number.
pub(crate) fn commit(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

/// Hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The name of a content in the cache.
pub(crate) fn etag(bytes: &[u8]) -> String {
    if bytes.len() >= LARGE {
        return digits(&Sha256::digest(bytes));
    }
    let head = format!("blob {}\0", bytes.len());
    digits(&Sha1::new_with_prefix(head).chain_update(bytes).finalize())
}

impl PlayedHub {
    /// One without repositories.
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let storage = listen(&state, |stream, state| {
            store(stream, state);
        });
        let url = listen(&state, move |stream, state| {
            serve(stream, state, &storage);
        });
        Self { url, state }
    }

    /// Adds a commit with the files of a folder, and lets `main` be that.
    pub(crate) fn push(&self, repo: &str, commit: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            self.push_file(repo, commit, &name, &std::fs::read(path).unwrap());
        }
    }

    /// Adds one file.
    pub(crate) fn push_file(&self, repo: &str, commit: &str, file: &str, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let key = (commit.to_owned(), repo.to_owned(), file.to_owned());
        state.files.insert(key, bytes.to_owned());
        for revision in ["main", commit] {
            let key = (repo.to_owned(), revision.to_owned());
            state.commits.insert(key, commit.to_owned());
        }
    }

    /// Opens a repository only to those who have the token.
    pub(crate) fn gate(&self, repo: &str) {
        self.state.lock().unwrap().gated.push(repo.to_owned());
    }

    /// Lets the address of the large files behave so from now on.
    pub(crate) fn storage(&self, storage: Storage) {
        self.state.lock().unwrap().storage = storage;
    }

    /// What it was asked since the last look.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

/// Plays an address; gives it.
fn listen(
    state: &Arc<Mutex<State>>,
    play: impl Fn(TcpStream, &Mutex<State>) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (state, play) = (Arc::clone(state), Arc::new(play));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, play) = (Arc::clone(&state), Arc::clone(&play));
            std::thread::spawn(move || play(stream, &state));
        }
    });
    url
}

/// The head of a question, noted.
fn head(stream: &TcpStream, state: &Mutex<State>, is_storage: bool) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let header = |name: &str| {
        let rest = lower.split(&format!("\r\n{name}: ")).nth(1)?;
        rest.split("\r\n").next().map(str::to_owned)
    };
    let from = header("range").map(|range| range[6..].trim_end_matches('-').parse().unwrap());
    let line = head.lines().next()?.trim_end_matches(" HTTP/1.1");
    let asked = Asked {
        line: line.to_owned(),
        from,
        has_token: header("authorization") == Some(format!("bearer {TOKEN}")),
        is_storage,
    };
    state.lock().unwrap().log.push(asked.clone());
    Some(asked)
}

fn reply(mut stream: TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n",
        body.len()
    );
    // A client that was killed breaks its connection; that is no failure here.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
}

fn refuse(stream: TcpStream, status: &str, code: &str) {
    reply(stream, status, &format!("X-Error-Code: {code}\r\n"), b"no");
}

/// The hub itself.
fn serve(stream: TcpStream, state: &Mutex<State>, storage: &str) -> Option<()> {
    let asked = head(&stream, state, false)?;
    let (method, path) = asked.line.split_once(' ')?;
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let state = state.lock().unwrap();
    let listing = parts.first() == Some(&"api");
    let (["api", "models" | "datasets", parts @ ..] | ["datasets", parts @ ..] | parts) =
        parts.as_slice();
    let [organisation, name, _, revision, file @ ..] = parts else {
        return None;
    };
    let repo = format!("{organisation}/{name}");
    if let Some(now) = repo.strip_prefix("old/") {
        let to = path.replace("old/", "org/");
        assert!(!now.is_empty());
        reply(
            stream,
            "307 Temporary Redirect",
            &format!("Location: {to}\r\n"),
            b"",
        );
        return Some(());
    }
    if !state.commits.keys().any(|(known, _)| *known == repo) {
        // It does not tell what is private from what is not there.
        refuse(stream, "401 Unauthorized", "RepoNotFound");
        return Some(());
    }
    if state.gated.contains(&repo) && !asked.has_token {
        refuse(stream, "401 Unauthorized", "GatedRepo");
        return Some(());
    }
    let key = (repo.clone(), revision.replace("%2F", "/"));
    let Some(commit) = state.commits.get(&key) else {
        refuse(stream, "404 Not Found", "RevisionNotFound");
        return Some(());
    };
    if listing {
        let files = state
            .files
            .keys()
            .filter(|(at, of, _)| at == commit && *of == repo);
        let files: Vec<_> = files.map(|(.., file)| json!({"rfilename": file})).collect();
        let body = json!({"sha": commit, "siblings": files}).to_string();
        reply(stream, "200 OK", "", body.as_bytes());
        return Some(());
    }
    let Some(bytes) = state.files.get(&(commit.clone(), repo, file.join("/"))) else {
        refuse(stream, "404 Not Found", "EntryNotFound");
        return Some(());
    };
    let facts = format!("X-Repo-Commit: {commit}\r\n");
    let tag = etag(bytes);
    if bytes.len() >= LARGE {
        let headers = format!(
            "{facts}X-Linked-Etag: \"{tag}\"\r\nX-Linked-Size: {}\r\nETag: \"other\"\r\nLocation: {storage}/{tag}?signed\r\n",
            bytes.len()
        );
        reply(stream, "302 Found", &headers, b"");
    } else {
        let headers = format!("{facts}ETag: \"{tag}\"\r\n");
        if method == "HEAD" {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n",
                bytes.len()
            );
            let mut stream = stream;
            let _ = stream.write_all(head.as_bytes());
        } else {
            reply(stream, "200 OK", &headers, bytes);
        }
    }
    Some(())
}

/// The address of the large files.
fn store(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let asked = head(&stream, state, true)?;
    let tag = asked.line.strip_prefix("GET /")?.strip_suffix("?signed")?;
    let (mut bytes, storage) = {
        let mut state = state.lock().unwrap();
        let storage = state.storage;
        if let Storage::Busy(times) = storage {
            state.storage = times.checked_sub(1).map_or(Storage::Sound, Storage::Busy);
        }
        let mut files = state.files.values();
        (files.find(|bytes| etag(bytes) == tag)?.clone(), storage)
    };
    if matches!(storage, Storage::Busy(times) if times > 0) {
        reply(stream, "503 Service Unavailable", "Retry-After: 0\r\n", b"");
        return Some(());
    }
    if storage == Storage::Wrong {
        *bytes.last_mut()? ^= 1;
    }
    let from = asked.from.filter(|_| storage != Storage::Rangeless);
    let total = bytes.len();
    let (status, range) = match from {
        Some(from) if from >= total as u64 => {
            reply(stream, "416 Range Not Satisfiable", "", b"");
            return Some(());
        }
        Some(from) => (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1),
        ),
        None => ("200 OK", String::new()),
    };
    let sent = &bytes[from.unwrap_or(0) as usize..];
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}Connection: close\r\n\r\n",
        sent.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let whole = match storage {
        Storage::Cuts(after) => &sent[..after.min(sent.len())],
        _ => sent,
    };
    let _ = stream.write_all(whole);
    Some(())
}
