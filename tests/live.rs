//! `qinglan watch` without a terminal and `qinglan serve` over loopback, on
//! made-up runs. How the view is drawn is tested where it is drawn.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use experiments::completions::{self, LoggedCompletion};

use crate::support::{Bench, files_below};

const DEFINITION: &str = "[experiment]\nname = 'made-up'\ntitle = 'A <made-up> run'\nseeds = [1]\n\
    [training]\nsteps = 8\n[arm.grpo]\nalgorithm.grpo = {}\n";

const EVIL: &str = "<script>alert('晴')</script>\x1b[2J \u{5e9}\u{5dc}\u{5d5}\u{5dd}";

/// A run in `run` with an arm at its third update.
fn made_up(bench: &Bench) {
    let folder = bench.path("run/arms/grpo/seed-1/completions");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |step: u32| format!("{{\"step\":{step},\"reward\":0.25,\"loss\":0.5}}\n");
    let log = (1..=3).map(line).collect::<String>();
    bench.write("run/arms/grpo/seed-1/metrics.jsonl", &log);
    let row = LoggedCompletion {
        step: 3,
        task: "addition_digit".to_owned(),
        problem: "addition_digit/train/1".to_owned(),
        sample: 0,
        prompt: "3 + 4 = ?".to_owned(),
        completion: EVIL.to_owned(),
        completion_ids: Vec::new(),
        reward: Some(0.25),
        rewards: Vec::new(),
        advantage: None,
        completion_tokens: 9,
        reasoning_tokens: 3,
        truncated: false,
    };
    completions::write(&folder.join("step-000003.parquet"), &[row]).unwrap();
    // Last, as a run begins with it: who looks finds the rest.
    bench.write("run/definition.toml", DEFINITION);
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and a test that fails tells of that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn of(bench: &Bench, run: &str) -> Self {
        let mut command: Command = bench.command(&["serve", run, "--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        Self {
            child,
            address: address.to_owned(),
        }
    }

    /// The whole answer, head and body, to a request as it stands.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let host = &self.address;
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path)
    }

    /// The live page once it holds `text`: the server looks at a run at most
    /// twice a second.
    fn page_with(&self, text: &str) -> String {
        for _ in 0..600 {
            let page = self.get("/");
            if page.contains(text) {
                return page;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("`{text}` never appeared");
    }
}

/// Every file below a folder, with what it holds.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let held = |path: PathBuf| (path.clone(), std::fs::read(folder.join(path)).unwrap());
    files_below(folder).into_iter().map(held).collect()
}

#[test]
fn what_a_model_wrote_is_shown_and_never_run() {
    let bench = Bench::new("");
    made_up(&bench);
    let before = files(&bench.path("run"));
    let server = Server::of(&bench, "run");
    assert!(
        server.address.starts_with("127.0.0.1:"),
        "{}",
        server.address
    );
    let page = server.get("/");
    assert!(
        page.contains("&lt;script&gt;alert(&#39;晴&#39;)&lt;/script&gt;"),
        "{page}"
    );
    assert!(page.contains("A &lt;made-up&gt; run"), "{page}");
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(
        page.contains("script-src 'self'") && page.contains("<svg"),
        "{page}"
    );
    assert!(
        !page.to_lowercase().contains("access-control-allow-origin"),
        "{page}"
    );
    let state = server.get("/state.json");
    let (_, body) = state.split_once("\r\n\r\n").unwrap();
    let state: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(state["parts"][1]["updates"], 3, "{state}");
    assert_eq!(state["parts"][1]["reward"], 0.25, "{state}");
    assert_eq!(files(&bench.path("run")), before);
}

#[test]
fn nothing_but_a_question_from_here_is_answered() {
    let bench = Bench::new("");
    made_up(&bench);
    let server = Server::of(&bench, "run");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.ask(method, "/");
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
    let rebound = server.raw("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    assert!(!rebound.contains("made-up"), "{rebound}");
}

#[test]
fn only_what_the_report_links_to_is_handed_out() {
    let bench = Bench::new("");
    made_up(&bench);
    bench.write("secret.json", "secret");
    bench.write("run/side/a.json", "linked");
    bench.write("run/side/b.json", "not linked");
    bench.write("run/side/page.html", "<script>");
    std::os::unix::fs::symlink(bench.path("secret.json"), bench.path("run/out.json")).unwrap();
    let report = "<a href=\"side/a.json\"> <a href=\"out.json\"> <a href=\"side/page.html\"> \
        <a href=\"../secret.json\"> <a href=\"side/gone.json\">";
    bench.write("run/report.html", report);
    let server = Server::of(&bench, "run");
    // Until the run is finished its report is that of another time.
    assert!(server.get("/side/a.json").starts_with("HTTP/1.1 404"));
    bench.write("run/manifest.json", "{}");
    let page = server.page_with("side/a.json");
    assert!(page.ends_with(report), "{page}");
    assert!(server.get("/side/a.json").ends_with("\r\n\r\nlinked"));
    for path in [
        "/side/b.json",
        "/side/gone.json",
        "/side/page.html",
        "/out.json",
        "/../secret.json",
        "/..%2fsecret.json",
        "/%2e%2e/secret.json",
        "//etc/passwd",
        "/definition.toml",
        "/side%00/a.json",
    ] {
        let answer = server.get(path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.ends_with("secret"), "{path}: {answer}");
    }
}

#[test]
fn a_run_that_begins_later_appears() {
    let bench = Bench::new("");
    let server = Server::of(&bench, "run");
    assert!(server.get("/").contains("No run yet"));
    made_up(&bench);
    let held = File::create(bench.path("run/.lock")).unwrap();
    held.lock().unwrap();
    let page = server.page_with("3 of 8");
    assert!(page.contains("going on"), "{page}");
    bench.write(
        "run/arms/grpo/seed-1/metrics.jsonl",
        "{\"step\":1}\nnonsense\n{\"step\":4}\n",
    );
    let page = server.page_with("4 of 8");
    assert!(page.contains("metrics.jsonl: line 2 is damaged"), "{page}");
}

#[test]
fn without_a_terminal_a_snapshot_is_printed_and_what_is_no_run_is_refused() {
    let bench = Bench::new("");
    made_up(&bench);
    for more in [&["watch", "run"][..], &["watch", "run", "--once"]] {
        let printed = bench.qinglan(more).done().stdout;
        assert!(
            printed.contains("A <made-up> run\nstopped, 0 of 2 parts done"),
            "{printed}"
        );
        assert!(
            printed.contains("3/8") && printed.contains("0.250"),
            "{printed}"
        );
        assert!(
            printed.contains("<script>alert('晴')</script>␛[2J"),
            "{printed}"
        );
        assert!(!printed.contains('\x1b'), "{printed}");
    }
    bench.write("other/notes.txt", "no run");
    for verb in ["watch", "serve"] {
        let refused = bench.qinglan(&[verb, "other"]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("holds no run"),
            "{}",
            refused.stderr
        );
    }
}
