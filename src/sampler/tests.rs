//! How a server is told and asked, by one that answers from a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::generation::Finish;
use crate::model::{Decoder, ModelShape, Text, Weights, stored::Companions};

type Rule = fn(path: &str, body: &Value, time: usize) -> (u16, Value);

/// What a server was asked: path and body.
type Log = Arc<Mutex<Vec<(String, Value)>>>;

fn start(rule: Rule) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let log = Log::default();
    let of_server = Arc::clone(&log);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that gave up breaks its connection; that is no failure here.
            let _ = serve(stream, rule, &of_server);
        }
    });
    (url, log)
}

fn serve(mut stream: TcpStream, rule: Rule, log: &Log) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let time = {
        let mut log = log.lock().unwrap();
        log.push((path.to_owned(), body.clone()));
        log.iter().filter(|(of, _)| of == path).count()
    };
    let (status, reply) = rule(path, &body, time);
    if status == 0 {
        return Ok(());
    }
    let reply = reply.to_string();
    let length = reply.len();
    let head =
        format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{head}{reply}").as_bytes())
}

/// A server that does all it is told: the completion of a prompt is its last
/// token and the end.
fn obliging(path: &str, body: &Value, _: usize) -> (u16, Value) {
    let end = 1;
    match path {
        "/v1/models" => (200, json!({"data": [{"id": "policy"}, {"id": "other"}]})),
        "/v1/completions" => {
            let last = body["prompt"].as_array().unwrap().last().unwrap();
            let choice = |index| {
                json!({"index": index, "finish_reason": "stop", "token_ids": [last, end],
                "logprobs": {"token_logprobs": [-1.0, -0.25]}})
            };
            let count = body["n"].as_u64().unwrap();
            (
                200,
                json!({"choices": (0..count).map(choice).collect::<Vec<_>>()}),
            )
        }
        "/generate" => {
            let last = body["input_ids"].as_array().unwrap().last().unwrap();
            let drawn = json!([[-1.0, last, null], [-0.25, end, null]]);
            let one = json!({"meta_info": {"finish_reason": {"type": "stop"}, "output_token_logprobs": drawn}});
            (200, one)
        }
        _ => (200, json!({"success": true})),
    }
}

fn settings(url: &str, more: &str) -> SamplerSettings {
    toml::from_str(&format!(
        "endpoint = \"{url}\"\nmodel = \"policy\"\ntries = 1\n{more}"
    ))
    .unwrap()
}

fn connect(settings: &SamplerSettings, folder: &Path) -> Result<Sampler> {
    Sampler::connect(settings, folder, &Arc::default())
}

/// A model of the lab's own vocabulary.
fn model() -> Model {
    let text = Text::lab(&[]).unwrap();
    let words = text.tokenizer.get_vocab_size(true) as i64;
    let config = ModelShape::tiny().config(words, 0, text.end, 0);
    let weights = Weights::random(&config, 5, tch::Device::Cpu);
    Model {
        decoder: Decoder::new(config, weights),
        text: Text {
            ends: vec![1],
            ..text
        },
        companions: Companions::default(),
    }
}

fn sample(sampler: &mut Sampler, step: u64, group: u64) -> Result<Vec<Completion>> {
    let prompts = [vec![3, 4], vec![3, 5, 6], vec![7]];
    let keys = |index: usize| {
        let key = |sample| Key {
            seed: 1,
            purpose: "rollout",
            indices: vec![step, index as u64, sample],
        };
        (0..group).map(key).collect()
    };
    let sampling = Sampling {
        max_new_tokens: 6,
        temperature: 0.5,
        ..Sampling::default()
    };
    let mut told = vec![0; prompts.len() * group as usize];
    let completions = sampler.sample(
        &model(),
        step,
        &prompts,
        &sampling,
        keys,
        &mut |place, _| {
            told[place] += 1;
            Ok(())
        },
    )?;
    assert!(told.iter().all(|&times| times == 1));
    Ok(completions)
}

fn asked(log: &Log, path: &str) -> Vec<Value> {
    let log = log.lock().unwrap();
    let of_path = log.iter().filter(|(of, _)| of == path);
    of_path.map(|(_, body)| body.clone()).collect()
}

fn paths(log: &Log) -> Vec<String> {
    log.lock()
        .unwrap()
        .iter()
        .map(|(path, _)| path.clone())
        .collect()
}

#[test]
fn vllm_is_told_to_load_the_policy_and_asked_by_token_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (url, log) = start(obliging);
    let mut sampler = connect(&settings(&url, "parallel = 1"), &folder.path().join("p")).unwrap();
    let completions = sample(&mut sampler, 4, 2).unwrap();
    let lasts: Vec<i64> = completions.iter().map(|c| c.tokens[0]).collect();
    assert_eq!(lasts, [4, 4, 6, 6, 7, 7]);
    assert_eq!(completions[0].logprobs, [-1.0, -0.25]);
    assert_eq!(completions[0].finish, Finish::End);
    let order = [
        "/v1/models",
        "/collective_rpc",
        "/reset_prefix_cache",
        "/v1/completions",
    ];
    assert_eq!(paths(&log)[..4], order);
    let at = folder.path().join("p/step-000004");
    let told =
        json!({"method": "reload_weights", "kwargs": {"weights_path": at.to_str().unwrap()}});
    assert_eq!(asked(&log, "/collective_rpc"), [told]);
    assert!(at.join("model.safetensors").exists() && at.join("config.json").exists());
    let question = &asked(&log, "/v1/completions")[1];
    assert_eq!(question["prompt"], json!([3, 5, 6]));
    assert_eq!(
        (&question["n"], &question["temperature"]),
        (&json!(2), &json!(0.5))
    );
    assert_eq!(
        (&question["max_tokens"], &question["top_k"]),
        (&json!(6), &json!(-1))
    );
    assert_eq!(question["return_token_ids"], json!(true));
    let seeds: Vec<Value> = asked(&log, "/v1/completions")
        .iter()
        .map(|q| q["seed"].clone())
        .collect();
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2]);
    let metrics = sampler.take_metrics();
    assert!((metrics["sampling/weights_step"] - 4.0).abs() < 1e-12);
    drop(sampler);
    assert!(!folder.path().join("p").exists());
}

#[test]
fn sglang_is_told_and_asked_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let (url, log) = start(obliging);
    let settings = settings(&url, "parallel = 1\nserver = \"sglang\"");
    let at = folder.path().join("p");
    let mut sampler = connect(&settings, &at).unwrap();
    let completions = sample(&mut sampler, 0, 1).unwrap();
    assert_eq!(completions[1].tokens, [6, 1]);
    let told = json!({"model_path": at.join("step-000000").to_str().unwrap(), "flush_cache": true});
    assert_eq!(asked(&log, "/update_weights_from_disk"), [told]);
    let question = &asked(&log, "/generate")[0];
    assert_eq!(question["input_ids"], json!([3, 4]));
    assert_eq!(question["return_logprob"], json!(true));
    assert_eq!(question["sampling_params"]["max_new_tokens"], json!(6));
}

#[test]
fn a_policy_is_loaded_once_a_step_and_again_where_another_came_between() {
    let folder = tempfile::tempdir().unwrap();
    let (url, log) = start(obliging);
    let settings = settings(&url, "");
    let mut first = connect(&settings, &folder.path().join("first")).unwrap();
    let mut second = connect(&settings, &folder.path().join("second")).unwrap();
    let mut loads = Vec::new();
    for (own, step) in [
        (true, 0),
        (true, 0),
        (true, 1),
        (false, 1),
        (true, 1),
        (true, 1),
    ] {
        let sampler = if own { &mut first } else { &mut second };
        sample(sampler, step, 1).unwrap();
        loads.push(asked(&log, "/collective_rpc").len());
    }
    assert_eq!(loads, [1, 1, 2, 3, 4, 4]);
    // No folder but the one that was loaded last.
    let left = folder.path().join("first").read_dir().unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["step-000001"]);
}

#[test]
fn another_address_may_load_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (url, log) = start(obliging);
    let root = url.strip_suffix("/v1").unwrap();
    let more = format!("reload = \"{root}/elsewhere\"");
    let mut sampler = connect(&settings(&url, &more), &folder.path().join("p")).unwrap();
    sample(&mut sampler, 0, 1).unwrap();
    assert_eq!(asked(&log, "/elsewhere").len(), 1);
    assert!(asked(&log, "/collective_rpc").is_empty());
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let (url, log) = start(|path, body, time| match (path, time) {
        ("/collective_rpc", 1) => (500, json!({"error": "busy"})),
        ("/v1/completions", 1) => (200, json!({"choices": []})),
        _ => obliging(path, body, time),
    });
    let settings = SamplerSettings {
        tries: 2,
        ..settings(&url, "")
    };
    let mut sampler = connect(&settings, &folder.path().join("p")).unwrap();
    assert_eq!(sample(&mut sampler, 0, 1).unwrap().len(), 3);
    assert_eq!(asked(&log, "/v1/completions").len(), 4);
}

#[test]
fn a_server_that_ended_in_between_is_given_the_policy_again() {
    let folder = tempfile::tempdir().unwrap();
    // Status 0: the connection breaks.
    let (url, log) = start(|path, body, time| match (path, time) {
        ("/v1/completions", 2) => (0, Value::Null),
        _ => obliging(path, body, time),
    });
    let settings = SamplerSettings {
        tries: 2,
        ..settings(&url, "parallel = 1")
    };
    let mut sampler = connect(&settings, &folder.path().join("p")).unwrap();
    let completions = sample(&mut sampler, 0, 2).unwrap();
    let lasts: Vec<i64> = completions.iter().map(|c| c.tokens[0]).collect();
    assert_eq!(lasts, [4, 4, 6, 6, 7, 7]);
    assert_eq!(asked(&log, "/collective_rpc").len(), 2);
    // What had come before is not asked for again.
    assert_eq!(asked(&log, "/v1/completions").len(), 4);
}

#[test]
fn what_a_server_cannot_do_is_an_error_that_says_what_to_do() {
    let error = |rule: Rule, more: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (url, _) = start(rule);
        let done = connect(&settings(&url, more), &folder.path().join("p"))
            .and_then(|mut sampler| sample(&mut sampler, 0, 2));
        format!("{:#}", done.unwrap_err())
    };
    let says = |error: String, words: &[&str]| {
        for words in words {
            assert!(error.contains(words), "{words}: {error}");
        }
    };
    says(
        error(|_, _, _| (200, json!({"data": [{"id": "qwen"}]})), ""),
        &["has no model \"policy\", but qwen"],
    );
    says(
        error(
            |path, body, time| match path {
                "/update_weights_from_disk" => {
                    (200, json!({"success": false, "message": "no such file"}))
                }
                _ => obliging(path, body, time),
            },
            "server = \"sglang\"",
        ),
        &[
            "did not load the policy in",
            "sampler.weights",
            "no such file",
        ],
    );
    says(
        error(
            |path, body, time| match path {
                "/v1/completions" => (
                    200,
                    json!({"choices": [{"token_ids": [3, 1], "logprobs": {"token_logprobs": [-1, -1]}, "finish_reason": "stop"}]}),
                ),
                _ => obliging(path, body, time),
            },
            "",
        ),
        &[
            "another number of completions than was asked for",
            "in 1 tries",
            "--resume",
        ],
    );
    says(
        error(
            |path, body, time| match path {
                "/v1/completions" => (400, json!({"error": "max_tokens is too large"})),
                _ => obliging(path, body, time),
            },
            "",
        ),
        &[
            "/v1/completions answers HTTP 400",
            "max_tokens is too large",
        ],
    );
    says(
        error(obliging, "api_key_env = \"QINGLAN_TEST_NO_SUCH_KEY\""),
        &["QINGLAN_TEST_NO_SUCH_KEY", "is not set"],
    );
    // A port that nobody listens at any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = settings(&format!("http://{gone}/v1"), "");
    let error = connect(&settings, Path::new("unused")).err().unwrap();
    says(
        format!("{error:#}"),
        &[&gone.to_string(), "connection refused", "--resume"],
    );
}

#[test]
fn whoever_waits_for_a_server_can_be_stopped() {
    let (url, _) = start(|_, _, _| (503, Value::Null));
    let stop = Arc::new(AtomicBool::new(false));
    let settings = SamplerSettings {
        tries: 1000,
        ..settings(&url, "")
    };
    let stopper = Arc::clone(&stop);
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        stopper.store(true, Ordering::SeqCst);
    });
    let error = Sampler::connect(&settings, Path::new("unused"), &stop);
    let error = format!("{:#}", error.err().unwrap());
    assert!(error.contains("stopped while"), "{error}");
}

#[test]
fn a_server_that_is_far_from_the_policy_is_spoken_of_once() {
    let (url, _) = start(obliging);
    let mut sampler = connect(&settings(&url, ""), Path::new("unused")).unwrap();
    let scored = |logprob: f32| {
        let example = Example {
            sampled_logprobs: Some(vec![-1.0, -1.0]),
            ..Example::default()
        };
        let scores = TokenScores {
            logprobs: vec![-1.0, logprob],
            entropies: vec![0.0, 0.0],
        };
        (example, scores)
    };
    for (logprob, warned) in [(-1.1, false), (-1.5, true), (-1.0, true)] {
        let (example, scores) = scored(logprob);
        sampler.compare(&[example], &[scores]);
        assert_eq!(sampler.warned, warned);
    }
    sampler.warned = false;
    sampler.compare(&[], &[]);
    assert!(!sampler.warned);
}

#[test]
fn settings_that_contradict_themselves_are_named() {
    let refused = |more: &str| {
        let url = "http://127.0.0.1:8000/v1";
        settings(url, more).check().unwrap_err()
    };
    for (more, says) in [
        ("timeout = 0", "timeout = 0"),
        ("parallel = 0", "parallel = 0"),
        ("parallel = 99999999", "parallel = 99999999"),
        (
            "importance_sampling_clip_max = 0.5",
            "importance_sampling_clip_max = 0.5",
        ),
        (
            "importance_sampling_clip_max = nan",
            "importance_sampling_clip_max = NaN",
        ),
        (
            "reload = \"localhost\"",
            "reload: an address begins with http://",
        ),
        (
            "reload = \"http://a:key@host/x\"",
            "reload: an address holds no key",
        ),
    ] {
        let error = refused(more);
        assert!(error.starts_with(says), "{error}");
    }
    assert!(settings("http://h/v1", "").check().is_ok());
}
