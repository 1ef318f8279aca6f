//! External samplers from outside: a server of this process that holds the
//! weights it is told to load and draws, by the lab's own engine, what the lab
//! itself would have drawn. Whatever then differs is the sampler's doing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use qinglan::generation::{self, Key, PrecisionChoice, Sampling};
use qinglan::model::Stored;
use qinglan::random::stream;
use rand::RngExt;
use serde_json::{Value, json};
use tch::Device;

use crate::metrics::is_documented;
use crate::support::{Bench, TINY, final_weights, finished, json as read_json, text};

const SEED: u64 = 1;
const PROMPTS: usize = 4;
const GROUP: usize = 4;
const STEPS: u64 = 6;
const LORA: &str = "lora = { r = 4, alpha = 8, target_modules = [\"q_proj\", \"v_proj\"] }";

/// What the server is made to do wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// After so many collections it is away.
    AwayAfter(usize),
    /// It answers as servers do that know nothing of token ids.
    TextOnly,
    /// It has no address to load weights at.
    NoReload,
}

#[derive(Default)]
struct Collection {
    /// Problem, prompt and group of the requests that have come.
    came: Vec<(u64, u64, Vec<i64>)>,
    /// The answers, once all have come, by problem.
    answers: Vec<(u64, Value)>,
    /// How many answers have been fetched.
    fetched: usize,
}

struct Shared {
    fault: Mutex<Fault>,
    weights: Mutex<Option<PathBuf>>,
    reloads: Mutex<Vec<PathBuf>>,
    collections: AtomicUsize,
    collection: Mutex<Collection>,
    ready: Condvar,
}

/// The server, with how it is asked for in a definition.
struct Server {
    shared: Arc<Shared>,
    url: String,
}

impl Server {
    fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            fault: Mutex::new(fault),
            weights: Mutex::default(),
            reloads: Mutex::default(),
            collections: AtomicUsize::new(0),
            collection: Mutex::default(),
            ready: Condvar::new(),
        });
        let of_server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_server);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { shared, url }
    }

    fn reloads(&self) -> usize {
        self.shared.reloads.lock().unwrap().len()
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let path = head.split_whitespace().nth(1)?.to_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split_whitespace().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, reply) = reply(&path, &body, shared);
    let reply = reply.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reply.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(reply.as_bytes()).ok()
}

fn reply(path: &str, body: &Value, shared: &Shared) -> (&'static str, Value) {
    let fault = *shared.fault.lock().unwrap();
    let collections = shared.collections.load(Ordering::SeqCst);
    match path {
        "/v1/models" => ("200 OK", json!({"data": [{"id": "policy"}]})),
        "/collective_rpc" if fault == Fault::NoReload => {
            ("404 Not Found", json!({"detail": "Not Found"}))
        }
        "/collective_rpc" => {
            assert_eq!(body["method"], "reload_weights");
            let at = PathBuf::from(body["kwargs"]["weights_path"].as_str().unwrap());
            assert!(at.is_absolute());
            shared.reloads.lock().unwrap().push(at.clone());
            *shared.weights.lock().unwrap() = Some(at);
            ("200 OK", json!({"results": [null]}))
        }
        "/reset_prefix_cache" => ("200 OK", Value::Null),
        "/v1/completions" if matches!(fault, Fault::AwayAfter(n) if collections >= n) => {
            ("503 Service Unavailable", json!({"error": "gone"}))
        }
        "/v1/completions" if fault == Fault::TextOnly => {
            let choice = |index| {
                json!({"index": index, "text": "true", "finish_reason": "stop",
                "logprobs": {"tokens": ["true"], "token_logprobs": [-0.1]}})
            };
            let choices: Vec<Value> = (0..GROUP).map(choice).collect();
            ("200 OK", json!({"choices": choices}))
        }
        "/v1/completions" => ("200 OK", completions(body, shared)),
        _ => ("404 Not Found", json!({"detail": path})),
    }
}

/// The update and the problem that a request is for, told by its seed.
fn named(seed: u64) -> (u64, u64) {
    let problems = PROMPTS as u64 * STEPS;
    (0..STEPS)
        .flat_map(|step| (0..problems).map(move |problem| (step, problem)))
        .find(|&(step, problem)| {
            let mut stream = stream(SEED, "external sampler", &[step, problem, 0]);
            u64::from(stream.random_range(0..1u32 << 31)) == seed
        })
        .expect("a seed that the lab makes")
}

/// Waits until a whole collection has come and draws it as one batch, as the
/// lab does: rows of another batch would differ by floating-point noise.
fn completions(body: &Value, shared: &Shared) -> Value {
    assert_eq!(body["n"], json!(GROUP));
    assert_eq!(body["model"], "policy");
    let (step, problem) = named(body["seed"].as_u64().unwrap());
    let prompt = body["prompt"].as_array().unwrap();
    let prompt = prompt.iter().map(|id| id.as_i64().unwrap()).collect();
    let mut collection = shared.collection.lock().unwrap();
    collection.came.push((problem, step, prompt));
    if collection.came.len() == PROMPTS {
        collection.came.sort();
        let at = shared.weights.lock().unwrap().clone().unwrap();
        collection.answers = drawn(&collection.came, &at);
        shared.collections.fetch_add(1, Ordering::SeqCst);
        shared.ready.notify_all();
    }
    let mut collection = shared
        .ready
        .wait_while(collection, |collection| collection.answers.is_empty())
        .unwrap();
    let place = collection.answers.iter().position(|(of, _)| *of == problem);
    let answer = collection.answers[place.unwrap()].1.clone();
    collection.fetched += 1;
    if collection.fetched == PROMPTS {
        *collection = Collection::default();
    }
    answer
}

fn drawn(came: &[(u64, u64, Vec<i64>)], weights: &Path) -> Vec<(u64, Value)> {
    // As many threads as the lab trains with: sums depend on it.
    tch::set_num_threads(1);
    let model = Stored::open(weights).unwrap().load(Device::Cpu).unwrap();
    let prompts: Vec<Vec<i64>> = came.iter().map(|(_, _, prompt)| prompt.clone()).collect();
    let keys = |index: usize| {
        let (problem, step, _) = came[index];
        let key = |sample| Key {
            seed: SEED,
            purpose: "rollout",
            indices: vec![step, problem, sample],
        };
        (0..GROUP as u64).map(key).collect()
    };
    let sampling = Sampling {
        max_new_tokens: 40,
        dtype: PrecisionChoice::Float32,
        ..Sampling::default()
    };
    let completions = generation::generate(&model, &prompts, &sampling, keys).unwrap();
    let choice = |(index, completion): (usize, &generation::Completion)| {
        json!({
            "index": index,
            "finish_reason": if completion.truncated() { "length" } else { "stop" },
            "token_ids": completion.tokens,
            "logprobs": {"token_logprobs": completion.logprobs},
        })
    };
    came.iter()
        .zip(completions.chunks(GROUP))
        .map(|((problem, _, prompt), group)| {
            let mut choices: Vec<Value> = group.iter().enumerate().map(choice).collect();
            choices[0]["prompt_token_ids"] = json!(prompt);
            // Servers promise no order.
            choices.reverse();
            (*problem, json!({"choices": choices}))
        })
        .collect()
}

/// One seed of the tiny experiment, with these arms in place of its own.
fn definition(arms: &str) -> String {
    let (before, rest) = TINY.split_once("[teacher]").unwrap();
    let (_, rest) = rest.split_once("[rollout]").unwrap();
    let (shared, _) = rest.split_once("[arm.sft]").unwrap();
    let before = before.replace("seeds = [1, 2]", "seeds = [1]");
    // In its one number format, engine and trainer differ by rounding alone.
    let shared = shared.replace("save_steps = 5", "save_steps = 2");
    format!("{before}[rollout]{shared}{arms}")
}

fn arm(name: &str, sampler: &str) -> String {
    format!(
        "[arm.{name}]
algorithm.grpo = {{ prompts_per_generation = {PROMPTS}, num_generations = {GROUP}, steps_per_generation = 2 }}
reward = {{ correct = 1.0, format = 0.1, length_cost = 0.1 }}
training = {{ steps = {STEPS} }}
{sampler}
"
    )
}

fn sampler(url: &str, more: &str) -> String {
    format!("sampler = {{ endpoint = \"{url}\", model = \"policy\", tries = 1{more} }}")
}

fn bench(arms: &str) -> Bench {
    let bench = Bench::new(&definition(arms));
    bench.with_cache_of(finished());
    bench
}

/// The hash of what an arm ended with.
fn ended_with(run: &Path, arm: &str) -> String {
    let all = final_weights(run);
    all.into_iter().find(|(of, ..)| of == arm).unwrap().2
}

fn lines(run: &Path, arm: &str) -> Vec<Value> {
    let log = text(&run.join(format!("arms/{arm}/seed-1/metrics.jsonl")));
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[test]
fn a_server_that_draws_the_labs_own_samples_trains_the_labs_own_policy() {
    let server = Server::start(Fault::None);
    let arms = [
        arm("own", ""),
        arm(
            "plain",
            &sampler(&server.url, ", importance_sampling_correction = false"),
        ),
        arm("corrected", &sampler(&server.url, ", weights = \"shared\"")),
        arm("own-lora", LORA),
        arm(
            "plain-lora",
            &format!(
                "{LORA}\n{}",
                sampler(&server.url, ", importance_sampling_correction = false")
            ),
        ),
    ];
    let bench = bench(&arms.concat());
    bench.run("run", &[]).done();
    let run = bench.path("run");
    // Without the correction nothing differs, to the bit.
    assert_eq!(ended_with(&run, "plain"), ended_with(&run, "own"));
    assert_eq!(ended_with(&run, "plain-lora"), ended_with(&run, "own-lora"));
    assert_ne!(lines(&run, "own-lora")[6]["reward"], Value::Null);
    // With it the ratios are 1 but for rounding, and so is the first update's
    // gradient the same; later ones follow from weights that rounding has
    // touched, which an optimizer that normalises each gradient makes larger.
    let first = |arm: &str, name: &str| lines(&run, arm)[1][name].as_f64().unwrap();
    assert_eq!(
        first("own", "reward").to_bits(),
        first("corrected", "reward").to_bits()
    );
    for name in ["entropy", "grad_norm"] {
        let (own, corrected) = (first("own", name), first("corrected", name));
        assert!(own > 0.0, "{name}");
        assert!(
            (own / corrected - 1.0).abs() < 1e-6,
            "{name}: {own} {corrected}"
        );
    }
    // Each phase of each arm had its own weights, though the arms ran side by side.
    assert_eq!(server.reloads(), 3 * STEPS as usize / 2);
    let lines = lines(&run, "corrected");
    let of = |name: &str| -> Vec<f64> {
        let values = lines[1..].iter().map(|line| line[name].as_f64().unwrap());
        values.collect()
    };
    assert_eq!(of("sampling/weights_step"), [0.0, 0.0, 2.0, 2.0, 4.0, 4.0]);
    for ratio in of("sampling/importance_sampling_ratio/mean") {
        assert!((ratio - 1.0).abs() < 1e-5, "{ratio}");
    }
    assert!(
        of("sampling/importance_sampling_ratio/clipped")
            .iter()
            .sum::<f64>()
            == 0.0
    );
    let names = lines[1].as_object().unwrap().keys();
    let unknown: Vec<&String> = names.filter(|name| !is_documented(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(lines_lack(&run, "own", "sampling/"));
    // What was written for the server is gone, and the reader is told.
    assert_eq!(bench.path("shared").read_dir().unwrap().count(), 0);
    assert!(!run.join("arms/plain/seed-1/sampler").exists());
    let notes = read_json(&run.join("manifest.json"))["notes"].to_string();
    assert!(
        notes.contains("plain was sampled by another engine, vLLM"),
        "{notes}"
    );
    assert!(!notes.contains("own was sampled"), "{notes}");
    assert!(text(&run.join("comparison.md")).contains("sampled by another engine"));
}

/// Whether no line of an arm's log has a metric that begins so.
fn lines_lack(run: &Path, arm: &str, prefix: &str) -> bool {
    let lines = lines(run, arm);
    let mut names = lines
        .iter()
        .flat_map(|line| line.as_object().unwrap().keys());
    !names.any(|name| name.starts_with(prefix))
}

#[test]
fn a_server_that_went_away_ends_the_run_and_resumption_ends_as_without() {
    let undisturbed = Server::start(Fault::None);
    let arms = |url: &str| arm("served", &sampler(url, ""));
    let whole = bench(&arms(&undisturbed.url));
    whole.run("run", &[]).done();
    let server = Server::start(Fault::AwayAfter(2));
    let bench = bench(&arms(&server.url));
    let ended = bench.run("run", &[]);
    assert_ne!(ended.code, Some(0));
    let address = format!("{}/completions", server.url);
    for words in [
        address.as_str(),
        "HTTP 503: {\"error\":\"gone\"}",
        "--resume",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    *server.shared.fault.lock().unwrap() = Fault::None;
    bench.run("run", &["--resume"]).done();
    assert_eq!(
        ended_with(&bench.path("run"), "served"),
        ended_with(&whole.path("run"), "served")
    );
    // Two phases before it went, the third told twice: whoever comes back knows
    // nothing of what the server holds.
    assert_eq!(server.reloads(), 4);
}

#[test]
fn servers_that_cannot_serve_are_refused_in_one_sentence() {
    let refused = |fault, words: &[&str]| {
        let server = Server::start(fault);
        let bench = bench(&arm("served", &sampler(&server.url, "")));
        let ended = bench.run("run", &[]);
        assert_ne!(ended.code, Some(0));
        for words in words {
            assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        }
        assert!(!bench.path("run/arms/served/seed-1/sampler").exists());
    };
    refused(Fault::TextOnly, &["no token ids", "return_token_ids"]);
    refused(
        Fault::NoReload,
        &[
            "did not load the policy",
            "HTTP 404",
            "VLLM_SERVER_DEV_MODE=1",
        ],
    );
}

#[test]
fn a_server_of_another_model_is_refused_before_anything_is_sampled() {
    let server = Server::start(Fault::None);
    let table = sampler(&server.url, "").replace("\"policy\"", "\"qwen\"");
    let bench = bench(&arm("served", &table));
    let ended = bench.run("run", &[]);
    assert_eq!(ended.code, Some(2));
    let says = "has no model \"qwen\", but policy; mend sampler.model";
    assert!(ended.stderr.contains(says), "{}", ended.stderr);
    assert!(!bench.path("run").exists());
    assert_eq!(server.reloads(), 0);
}

#[test]
fn a_dry_run_tells_of_the_server_and_samples_nothing() {
    let server = Server::start(Fault::None);
    let bench = bench(&arm("served", &sampler(&server.url, "")));
    let ended = bench.run("run", &["--dry-run"]).done();
    for says in [
        format!("sampled at {}", server.url),
        format!("found: arm.served.sampler: {} has \"policy\"", server.url),
    ] {
        assert!(ended.stdout.contains(&says), "{}", ended.stdout);
    }
    assert_eq!(server.reloads(), 0);
}
