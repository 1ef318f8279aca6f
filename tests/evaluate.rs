//! `qinglan evaluate` from outside: recordings, a server that stumbles, and one
//! that is left in the middle. What servers answer is `servers`' business.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::played::{HEADER, Reply, Server, arguments, evaluate, norms};
use crate::support::{Bench, Ended, TINY, json as read_json, text};

/// (item, sample) of every line of a JSONL file, sorted.
fn places(path: &Path) -> Vec<(String, u64)> {
    let mut places: Vec<(String, u64)> = text(path)
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let item = line["item_id"].as_str().unwrap().to_owned();
            (item, line["sample"].as_u64().unwrap())
        })
        .collect();
    places.sort();
    places
}

#[test]
fn what_a_server_does_wrong_is_tried_again_counted_and_named() {
    let bench = Bench::new(TINY);
    norms(&bench, 8);
    let server = Server::start(|prompt, time| {
        let busy = Reply {
            header: "Retry-After: 0\r\n",
            ..Reply::new("429 Too Many Requests", "wait")
        };
        let half = Reply::answer(prompt).body[..40].to_owned();
        match (prompt.split(' ').next().unwrap(), time) {
            ("1", 1 | 2) => busy,
            ("2", 1) => Reply::new("500 Internal Server Error", "{}"),
            ("3", 1) => Reply::new("200 OK", "<html>a gateway</html>"),
            ("4", 1) => Reply::new("200 OK", half),
            ("6", 1) => Reply {
                slow: Duration::from_secs(3),
                ..Reply::answer(prompt)
            },
            _ => Reply::answer(prompt),
        }
    });
    let ended = evaluate(&bench, &server, &["--concurrency", "8", "--timeout", "2"]).done();
    for part in [
        "429 (2)",
        "500 (1)",
        "HTML in place of JSON (1)",
        "a body that is no whole JSON",
        "no reply in time (1)",
        "by the server",
    ] {
        let said = ended.joined();
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(server.times(), 8 + 6);
    let expected: Vec<(String, u64)> = (0..8).map(|i| (format!("i{i}"), 0)).collect();
    assert_eq!(places(&bench.path("out/traces.jsonl")), expected);
    let shown = read_json(&bench.path("out/comparison.json"));
    let arm = &shown["arms"][0];
    assert_eq!(arm["name"], "served");
    // One of the eight was cut off, and is in no figure.
    assert_eq!(
        (arm["truncated"].as_u64(), arm["samples"].as_u64()),
        (Some(1), Some(8))
    );
    assert_eq!(arm["accuracy"]["value"], 1.0);
    assert!(arm["alignment"]["value"].as_f64().unwrap() > 0.9);
    // Later tables are made from what lies there, notes included.
    let again = bench.qinglan(&["compare", "out"]).done();
    assert_eq!(again.stdout, ended.stdout);
}

/// What a model writes of a sum, and whether it answers 13.
const WRITTEN: [(&str, bool); 20] = [
    ("Answer: 13", true),
    ("**Answer**: 13", true),
    ("**Answer: 13.**", true),
    ("_Answer_ : \u{201E}13\u{201C}", true),
    ("## Answer\n\n13", true),
    (
        "\u{FF21}\u{FF4E}\u{FF53}\u{FF57}\u{FF45}\u{FF52}\u{FF1A}\u{FF11}\u{FF13}",
        true,
    ),
    ("\\text{Answer: } $13$", true),
    ("The answer is \\(\\boxed{13}\\).", true),
    ("<answer>\\frac{26}{2}</answer>", true),
    ("#### $13.00", true),
    ("That makes 4 + 9 = 13 of them.", true),
    ("**Answer**: not 13", false),
    ("Answer: $-13", false),
    ("Answer: 1 013", false),
    ("\\boxed{\\frac{1}{13}}", false),
    ("\\boxed{x \\leq 13}", false),
    ("Answer: (4, 9, 13)", false),
    ("Answer: 4:13", false),
    ("-\\boxed{13}", false),
    ("That makes 13, or it is less than that", false),
];

#[test]
fn answers_are_graded_alike_in_every_style_and_no_wrong_one_is_right() {
    let bench = Bench::new(TINY);
    let row = |i: usize| format!("sums,i{i},{i} is written,13,c,10,{},,0.9", 900 + 10 * i);
    let rows: Vec<String> = (0..WRITTEN.len()).map(row).collect();
    bench.write("norms/items.csv", &format!("{HEADER}{}", rows.join("\n")));
    let server = Server::start(|prompt, _| {
        let number: usize = prompt.split(' ').next().unwrap().parse().unwrap();
        let body = json!({
            "choices": [{
                "message": {"content": format!("I add the two.\n\n{}", WRITTEN[number].0)},
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 7,
                "completion_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
        });
        Reply::new("200 OK", body.to_string())
    });
    let ended = evaluate(&bench, &server, &[]).done();
    let mut graded = 0;
    for line in text(&bench.path("out/traces.jsonl")).lines() {
        let trace: Value = serde_json::from_str(line).unwrap();
        let number: usize = trace["item_id"].as_str().unwrap()[1..].parse().unwrap();
        assert_eq!(trace["correct"], WRITTEN[number].1, "{trace}");
        graded += 1;
    }
    assert_eq!(graded, WRITTEN.len());
    // The two that announce nothing are counted.
    let said: Vec<&str> = ended.stdout.split_whitespace().collect();
    let said = said.join(" ");
    assert!(
        said.contains("In 2 of 20 answers no mark of the answer was found"),
        "{said}"
    );
}

#[test]
fn what_is_given_up_is_missing_and_never_a_zero() {
    let bench = Bench::new(TINY);
    norms(&bench, 6);
    let server = Server::start(|prompt, time| match prompt.split(' ').next().unwrap() {
        // One that answers when it is asked again, in another session.
        "2" if time == 1 => Reply::new("503 Service Unavailable", ""),
        _ => Reply::answer(prompt),
    });
    let ended = evaluate(&bench, &server, &["--tries", "1"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("1 answers are missing"),
        "{}",
        ended.stderr
    );
    let said = ended.joined();
    assert!(said.contains("1 of 6 answers are missing"), "{said}");
    assert!(said.contains("sums/i2 (0)"), "{said}");
    assert_eq!(
        places(&bench.path("out/missing.jsonl")),
        [("i2".to_owned(), 0)]
    );
    let shown = read_json(&bench.path("out/comparison.json"));
    assert_eq!(shown["arms"][0]["samples"], 5);
    evaluate(&bench, &server, &["--tries", "1", "--resume"]).done();
    assert_eq!(server.times(), 7);
    assert!(!bench.path("out/missing.jsonl").exists());
    assert_eq!(places(&bench.path("out/traces.jsonl")).len(), 6);
}

#[test]
fn a_killed_evaluation_goes_on_with_nothing_lost_or_doubled() {
    let bench = Bench::new(TINY);
    norms(&bench, 12);
    let server = Server::start(|prompt, _| Reply {
        slow: Duration::from_millis(40),
        ..Reply::answer(prompt)
    });
    let more = ["--samples", "2", "--concurrency", "2"];
    let journal = bench.path("out/traces.jsonl");
    let mut killed = bench
        .command(&arguments(&server.url, &more))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let answered =
        || std::fs::read_to_string(&journal).map_or(0, |text| text.matches('\n').count());
    while answered() < 5 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = answered();
    assert!(before < 24, "it was killed too late");
    // As if the last line had not come to its end.
    let mut half = std::fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .unwrap();
    half.write_all(b"{\"model\":\"served\",\"ta").unwrap();
    let refused = evaluate(&bench, &server, &more);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
    let mut resumed = more.to_vec();
    resumed.push("--resume");
    evaluate(&bench, &server, &resumed).done();
    let expected: Vec<(String, u64)> = {
        let all = (0..12).flat_map(|i| [(format!("i{i}"), 0), (format!("i{i}"), 1)]);
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    };
    assert_eq!(places(&journal), expected);
    // What was in flight when the process was killed, and no more, was asked twice.
    assert!(server.times() <= 24 + 2, "{}", server.times());
    let mut other = resumed.clone();
    other.extend(["--temperature", "0"]);
    let refused = evaluate(&bench, &server, &other);
    assert!(
        refused.stderr.contains("it differs in temperature"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_key_is_sent_and_told_to_nobody() {
    let bench = Bench::new(TINY);
    norms(&bench, 3);
    let server = Server::start(|_, _| {
        Reply::new(
            "401 Unauthorized",
            "{\"error\": \"no such key: sk-secret\"}",
        )
    });
    let ended = Ended::of(
        bench
            .command(&arguments(&server.url, &["--api-key-env", "A_KEY"]))
            .env("A_KEY", "sk-secret")
            .env("QINGLAN_LOG", "trace")
            .output()
            .unwrap(),
    );
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("HTTP 401"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("sk-secret"), "{}", ended.stderr);
    let log = server.log.lock().unwrap();
    assert!(
        log.iter()
            .all(|(head, _)| head.contains("Bearer sk-secret"))
    );
    for file in crate::support::files_below(&bench.path("out")) {
        let bytes = std::fs::read(bench.path("out").join(file)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("sk-secret"));
    }
}

#[test]
fn reasoning_that_nobody_can_count_ends_the_evaluation_with_what_to_do() {
    let bench = Bench::new(TINY);
    norms(&bench, 4);
    let server = Server::start(|prompt, _| {
        let body = json!({
            "choices": [{"text": format!("<think> A 1 B </think> {}", prompt.len()), "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 4, "completion_tokens": 9},
        });
        Reply::new("200 OK", body.to_string())
    });
    let more = ["--api", "completions"];
    let refused = evaluate(&bench, &server, &more);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("no count of reasoning tokens; give the model's tokenizer with --tokenizer"),
        "{}",
        refused.stderr
    );
    let vocabulary = qinglan::model::vocabulary::tokenizer(&[]);
    vocabulary
        .save(bench.path("tokenizer.json"), false)
        .unwrap();
    let resumed = [
        "--api",
        "completions",
        "--tokenizer",
        "tokenizer.json",
        "--resume",
    ];
    let ended = evaluate(&bench, &server, &resumed).done();
    let said = ended.joined();
    assert!(
        said.contains("by the given tokenizer for 4 answers"),
        "{said}"
    );
    for line in text(&bench.path("out/traces.jsonl")).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["reasoning_tokens"], &line["counted"]),
            (&json!(3), &json!("tokenizer"))
        );
    }
}

/// Lines of a recording of `model`, on the items of [`norms`].
fn recorded(model: &str, count: usize, tokens: fn(usize) -> i64) -> Vec<Value> {
    (0..count)
        .map(|i| {
            json!({"model": model, "task": "sums", "item_id": format!("i{i}"), "sample": 0, "prompt_tokens": 4,
                "reasoning_tokens": tokens(i), "completion_tokens": 90, "correct": i % 3 != 0, "truncated": false})
        })
        .collect()
}

#[test]
fn recordings_are_compared_by_their_cards_and_their_faults_are_named() {
    let bench = Bench::new(TINY);
    norms(&bench, 10);
    let mut lines = recorded("base", 9, |i| 10 + (i as i64 * 7) % 5);
    lines.extend(recorded("student", 9, |i| 20 + 3 * i as i64));
    lines.extend(recorded("constant", 9, |_| 40));
    let mut cut = recorded("cut", 9, |_| 64);
    for line in &mut cut {
        line["truncated"] = json!(true);
    }
    lines.extend(cut);
    // A repeat, a negative count, an absent one, an item without norms, a task of one item.
    lines.push(lines[3].clone());
    let mut bad = lines[4].clone();
    bad["reasoning_tokens"] = json!(-1);
    lines.push(bad.clone());
    bad.as_object_mut().unwrap().remove("reasoning_tokens");
    lines.push(bad);
    for (key, value) in [("item_id", "unknown"), ("task", "lonely")] {
        let mut other = lines[0].clone();
        other[key] = json!(value);
        lines.push(other);
    }
    let jsonl: Vec<String> = lines.iter().map(Value::to_string).collect();
    bench.write("traces.jsonl", &jsonl.join("\n"));
    bench.write(
        "cards.toml",
        "title = \"Made up\"\n[[model]]\nname = \"base\"\nrole = \"base\"\n[[model]]\nname = \"student\"\nrole = \"student\"\n\
         base = \"base\"\nteacher = \"absent\"\n[[model]]\nname = \"constant\"\nrole = \"other\"\n",
    );
    let ended = bench
        .qinglan(&[
            "evaluate",
            "--traces",
            "traces.jsonl",
            "--models",
            "cards.toml",
            "--norms",
            "norms",
            "--out",
            "out",
        ])
        .done();
    let said = ended.joined();
    for part in [
        "Made up",
        "2 of 41 rows of traces.jsonl are no records and are left out: line 38: `reasoning_tokens` is -1",
        "repeat the model, seed, task, item and sample of an earlier one",
        "The first record that repeats another: base, sums/i3, sample 0.",
        "Models without a card stand for themselves, in no contrast: cut.",
        "student's teacher absent has no record",
        "100 % of cut's samples hit the token cap",
        "lonely has 1 item(s)",
        "constant on sums",
        "1 evaluated item(s) have no human time and are in no alignment: sums/unknown.",
        "1 item(s) of sums with a human time were not evaluated: i9.",
        "No human times for lonely",
        "Negative transfer: no (opposite). student lies above base in elasticity",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for name in [
        "report.html",
        "comparison.csv",
        "manifest.json",
        "traces.parquet",
    ] {
        assert!(bench.path("out").join(name).exists(), "{name}");
    }
    let again = bench.qinglan(&["compare", "out"]).done();
    assert_eq!(again.stdout, ended.stdout);
    let constant = read_json(&bench.path("out/comparison.json"));
    let constant = constant["arms"].as_array().unwrap();
    let constant = constant
        .iter()
        .find(|arm| arm["name"] == "constant")
        .unwrap();
    assert_eq!(constant["alignment"]["value"], Value::Null);
}

#[test]
fn an_evaluation_that_came_to_nothing_does_not_stand_in_the_way_of_the_next() {
    let bench = Bench::new(TINY);
    norms(&bench, 4);
    let record = |item: usize| {
        json!({"model": "m", "task": "sums", "item_id": format!("i{item}"), "sample": 0, "prompt_tokens": 4,
            "reasoning_tokens": 9 + 5 * item, "completion_tokens": 90, "correct": true, "truncated": false})
        .to_string()
    };
    let records: Vec<String> = (0..4).map(record).collect();
    bench.write("good.jsonl", &records.join("\n"));
    bench.write("bad.jsonl", "{\"model\": 1}\n");
    let recorded = |files: &[&str], more: &[&str]| {
        let mut arguments = vec!["evaluate", "--norms", "norms", "--out", "out"];
        arguments.extend(files.iter().flat_map(|file| ["--traces", file]));
        arguments.extend(more);
        bench.qinglan(&arguments)
    };
    for _ in 0..2 {
        let refused = recorded(&["good.jsonl", "bad.jsonl"], &[]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains("bad.jsonl"), "{}", refused.stderr);
        assert!(!bench.path("out/traces.parquet").exists());
    }
    // Another that failed in the same folder, before it had an answer.
    let server = Server::start(|_, _| Reply::new("401 Unauthorized", ""));
    assert_eq!(evaluate(&bench, &server, &[]).code, Some(2));
    let listed = bench.qinglan(&["runs", "list", "."]).done().joined();
    assert!(listed.contains("./out stopped evaluation"), "{listed}");
    assert!(listed.contains("Evaluation of served"), "{listed}");
    recorded(&["good.jsonl"], &[]).done();
    for left in ["out/traces.jsonl", "out/troubles.jsonl"] {
        assert!(!bench.path(left).exists(), "{left}");
    }
    let listed = bench.qinglan(&["runs", "list", "."]).done().joined();
    assert!(listed.contains("./out finished evaluation"), "{listed}");
    assert!(listed.contains("Evaluation of m"), "{listed}");
    // What did come to something is kept.
    let refused = recorded(&["good.jsonl"], &[]);
    assert!(refused.stderr.contains("--resume"), "{}", refused.stderr);
    recorded(&["good.jsonl"], &["--resume"]).done();
}

#[test]
fn a_source_is_needed_and_only_one() {
    let bench = Bench::new(TINY);
    for arguments in [
        vec!["evaluate"],
        vec!["evaluate", "--model", "a", "--traces", "b.jsonl"],
        vec!["evaluate", "--endpoint", "http://localhost:1/v1"],
        vec!["evaluate", "--traces", "absent.jsonl"],
        vec!["evaluate", "--endpoint", "localhost", "--served-model", "m"],
        vec![
            "evaluate",
            "--endpoint",
            "http://a:b@localhost/v1",
            "--served-model",
            "m",
        ],
    ] {
        let ended = bench.qinglan(&arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(!bench.path("runs").exists(), "{arguments:?}");
    }
}
