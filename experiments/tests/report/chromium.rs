//! A headless Chromium, driven through two pipes in the browser's own protocol:
//! JSON messages, each ended by a NUL. Needs no port and no library.
//!
//! Nothing here asserts; what does not come within a minute panics, naming it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before the test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page, ended with the test.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// What the browser told unasked, in order.
    pub(crate) events: Vec<Value>,
    asked: u64,
    session: Option<String>,
    folder: TempDir,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself, and a test that fails tells of that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, where there is one.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

impl Chromium {
    /// Starts one; `None` where none is installed.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let errors = std::fs::File::create(folder.path().join("errors")).unwrap();
        // The protocol is read from descriptor 3 and written to 4, which only a shell hands over.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"])
            .arg(program)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run"])
            // As root it has no sandbox, and it opens nothing but what this test wrote.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .arg("--hide-scrollbars")
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            events: Vec::new(),
            asked: 0,
            session: None,
            folder,
        };
        browser.begin();
        Some(browser)
    }

    fn begin(&mut self) {
        let made = self.call("Target.createTarget", &json!({"url": "about:blank"}));
        let to = json!({"targetId": made["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", &to);
        self.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        let downloads = json!({
            "behavior": "allow",
            "downloadPath": self.downloads(),
            "eventsEnabled": true,
        });
        self.call("Browser.setDownloadBehavior", &downloads);
    }

    fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    /// The next message; `what` is waited for.
    fn message(&mut self, until: Instant, what: &str) -> Value {
        let left = until.saturating_duration_since(Instant::now());
        self.from.recv_timeout(left).unwrap_or_else(|_| {
            let errors = std::fs::read_to_string(self.folder.path().join("errors"));
            panic!(
                "chromium never answered {what}; it said: {}",
                errors.unwrap_or_default()
            )
        })
    }

    /// Asks for something and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        self.to.write_all(question.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        self.to.flush().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.message(until, method);
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Waits for an event that fits, one that came already or one to come.
    pub(crate) fn wait(&mut self, method: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let wanted = |event: &Value| event["method"] == method && fits(&event["params"]);
        if let Some(event) = self.events.iter().find(|event| wanted(event)) {
            return event["params"].clone();
        }
        loop {
            let message = self.message(until, method);
            self.events.push(message.clone());
            if wanted(&message) {
                return message["params"].clone();
            }
        }
    }

    /// Opens a file and waits until it has loaded.
    pub(crate) fn open(&mut self, page: &Path) {
        self.events.clear();
        let url = format!("file://{}", page.display());
        self.call("Page.navigate", &json!({"url": url}));
        self.wait("Page.loadEventFired", |_| true);
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let question =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &question);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Presses a key and lets it go.
    pub(crate) fn key(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Size of the window, and what the reader has asked of colours and medium.
    pub(crate) fn look(&mut self, width: u32, scheme: &str) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &media);
    }

    /// Does in the page what saves a file, and gives what the file holds.
    pub(crate) fn saved(&mut self, by: &str) -> (String, String) {
        self.events.clear();
        let question = json!({"expression": by, "userGesture": true});
        self.call("Runtime.evaluate", &question);
        let begun = self.wait("Browser.downloadWillBegin", |_| true);
        self.wait("Browser.downloadProgress", |now| {
            now["state"] == "completed"
        });
        let name = begun["suggestedFilename"].as_str().unwrap().to_owned();
        let path = self.downloads().join(&name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        (name, text)
    }

    /// What is seen of the page from `top` on, as a PNG.
    pub(crate) fn picture(&mut self, top: u32, (width, height): (u32, u32), to: &Path) {
        let clip = json!({"x": 0, "y": top, "width": width, "height": height, "scale": 1});
        let question = json!({"clip": clip, "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", &question);
        std::fs::write(to, base64(answer["data"].as_str().unwrap())).unwrap();
    }
}

/// The bytes behind base64.
fn base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let mut out = Vec::with_capacity(letters.len());
    for four in letters.chunks(4) {
        let bits = four
            .iter()
            .fold(0_u32, |bits, l| bits << 6 | u32::from(value(*l)));
        let bits = bits << (6 * (4 - four.len()));
        out.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}
