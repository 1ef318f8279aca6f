//! What servers answer, and what `qinglan evaluate` makes of it: counts, ends
//! and forms of many kinds, each at its first try. `src/evaluator/reply/tests.rs` has the dialects one by one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::played::{Reply, Server, arguments, evaluate, norms};
use crate::support::{Bench, Ended, TINY, json as read_json, text};

/// What came of asking a server about cases by name.
struct Asked {
    bench: Bench,
    ended: Ended,
    /// Questions that came to the server.
    times: usize,
    /// The record of each case that was answered.
    records: BTreeMap<String, Value>,
    /// Why each other case is missing.
    missing: BTreeMap<String, String>,
}

impl Asked {
    /// Standard output, its lines joined.
    fn said(&self) -> String {
        self.ended.joined()
    }
}

/// Asks for at most 64 tokens an answer; each case's name is its prompt, and its
/// body what the server gives.
fn ask(table: Vec<(&'static str, String)>, more: &[&str]) -> Asked {
    let bench = Bench::new(TINY);
    let item = |(name, _): &(&str, String)| json!({"id": name, "prompt": name, "answer": "7"});
    let items: Vec<String> = table.iter().map(|case| item(case).to_string()).collect();
    bench.write("cases.jsonl", &items.join("\n"));
    let vocabulary = qinglan::model::vocabulary::tokenizer(&[]);
    vocabulary
        .save(bench.path("tokenizer.json"), false)
        .unwrap();
    let table: BTreeMap<&str, String> = table.into_iter().collect();
    let server = Server::start(move |prompt, _| Reply::new("200 OK", table[prompt].clone()));
    let mut arguments = vec!["evaluate", "--endpoint", &server.url, "--served-model", "m"];
    arguments.extend([
        "--norms",
        "cases.jsonl",
        "--max-new-tokens",
        "64",
        "--out",
        "out",
    ]);
    arguments.extend(more);
    let ended = bench.qinglan(&arguments);
    let by_item = |name: &str| -> BTreeMap<String, Value> {
        let lines = std::fs::read_to_string(bench.path("out").join(name)).unwrap_or_default();
        let lines = lines.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["item_id"].as_str().unwrap().to_owned(), line)
        });
        lines.collect()
    };
    let why = |(item, line): (String, Value)| (item, line["why"].as_str().unwrap().to_owned());
    Asked {
        records: by_item("traces.jsonl"),
        missing: by_item("missing.jsonl").into_iter().map(why).collect(),
        times: server.times(),
        ended,
        bench,
    }
}

fn body(message: &Value, finish: &Value, usage: &Value) -> String {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage})
        .to_string()
}

/// A usage in `OpenAI`'s words, with 10 tokens of prompt.
fn usage(completion: u32, reasoning: u32, total: u32) -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": completion, "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": reasoning}})
}

#[test]
fn reasoning_that_a_server_counts_beside_the_completion_is_in_the_record() {
    let stop = json!("stop");
    let words = "word ".repeat(300);
    let answer = json!({"content": "Answer: 7"});
    let beside = usage(5, 300, 315);
    let zeros = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    let gemini = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 315});
    let shown = json!({"content": "Answer: 7", "reasoning_content": words});
    let tags = json!({"content": format!("<think>{words}</think>Answer: 7")});
    let thought = json!({"content": "<think> A 1 B </think> true"});
    let table = vec![
        ("ordinary", body(&answer, &stop, &usage(305, 300, 315))),
        ("apart, marked", body(&answer, &stop, &beside)),
        (
            "apart, bare",
            body(&json!({"content": "7"}), &stop, &beside),
        ),
        ("apart, text given", body(&shown, &stop, &beside)),
        ("apart, between tags", body(&tags, &stop, &beside)),
        ("only in the total", body(&answer, &stop, &gemini)),
        (
            "nothing left",
            body(&json!({"content": ""}), &json!("length"), &usage(0, 60, 70)),
        ),
        ("zeros", body(&thought, &stop, &zeros)),
        ("contradiction", body(&answer, &stop, &usage(5, 300, 999))),
    ];
    let asked = ask(table, &["--tokenizer", "tokenizer.json"]);
    assert_eq!(asked.ended.code, Some(1), "{}", asked.ended.stderr);
    assert_eq!(asked.times, 9);
    let counts = |name: &str| {
        let record = &asked.records[name];
        let count = |key: &str| record[key].as_u64().unwrap();
        (
            count("completion_tokens"),
            count("reasoning_tokens"),
            record["counted"].clone(),
        )
    };
    for name in [
        "ordinary",
        "apart, marked",
        "apart, bare",
        "apart, text given",
        "apart, between tags",
    ] {
        assert_eq!(counts(name), (305, 300, json!("server")), "{name}");
    }
    assert_eq!(counts("only in the total"), (305, 300, json!("remainder")));
    assert_eq!(counts("nothing left"), (60, 60, json!("server")));
    assert_eq!(asked.records["nothing left"]["truncated"], true);
    assert_eq!(
        (counts("zeros").1, counts("zeros").2),
        (3, json!("tokenizer"))
    );
    let why = &asked.missing["contradiction"];
    assert!(why.contains("contradict each other"), "{why}");
    let said = asked.said();
    for part in [
        "by the server for 6",
        "by the given tokenizer for 1",
        "holds beyond prompt and completion for 1 answers",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn zeros_beside_a_text_end_the_evaluation_where_nobody_counts() {
    let zeros = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    let table = vec![(
        "zeros",
        body(&json!({"content": "Answer: 7"}), &json!("stop"), &zeros),
    )];
    let asked = ask(table, &[]);
    assert_eq!(asked.ended.code, Some(2), "{}", asked.ended.stderr);
    let said = &asked.ended.stderr;
    assert!(
        said.contains("no count of prompt tokens; give the model's tokenizer"),
        "{said}"
    );
    assert!(asked.records.is_empty());
}

#[test]
fn an_answer_that_the_cap_cut_off_is_truncated_and_a_withheld_one_is_missing() {
    let message = || json!({"content": "I count 1 2 3 4 and so"});
    let full = usage(64, 0, 74);
    let cut = [
        ("length", json!("length")),
        ("max_tokens", json!("max_tokens")),
        ("MAX_TOKENS", json!("MAX_TOKENS")),
        ("model_length", json!("model_length")),
        ("tool_calls", json!("tool_calls")),
        ("null", Value::Null),
        ("unknown", json!("eos_sampled")),
    ];
    let mut table: Vec<(&str, String)> = cut
        .iter()
        .map(|(name, finish)| (*name, body(&message(), finish, &full)))
        .collect();
    let absent = json!({"choices": [{"message": message()}], "usage": full});
    table.push(("absent", absent.to_string()));
    let native = json!({"choices": [{"message": message(), "finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}], "usage": usage(50, 0, 60)});
    table.push(("a bridge", native.to_string()));
    let ended = body(
        &json!({"content": "Answer: 7"}),
        &json!("stop"),
        &usage(9, 0, 19),
    );
    table.push(("ended", ended));
    let silent = usage(0, 0, 10);
    let filter = json!("content_filter");
    table.push(("filtered", body(&json!({"content": ""}), &filter, &silent)));
    table.push((
        "filtered midway",
        body(&message(), &filter, &usage(20, 0, 30)),
    ));
    let refusal = json!({"content": null, "refusal": "I cannot help."});
    table.push(("refused", body(&refusal, &json!("stop"), &silent)));
    let prompt = json!({"choices": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": true}}}]});
    table.push(("prompt filtered", prompt.to_string()));
    let asked = ask(table, &[]);
    assert_eq!(asked.ended.code, Some(1), "{}", asked.ended.stderr);
    assert_eq!((asked.records.len(), asked.times), (10, 14));
    for (name, record) in &asked.records {
        assert_eq!(record["truncated"], name != "ended", "{name}");
    }
    assert_eq!(asked.records["ended"]["correct"], true);
    let names: Vec<&str> = asked.missing.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["filtered", "filtered midway", "prompt filtered", "refused"]
    );
    for why in asked.missing.values() {
        assert!(why.starts_with("the answer was withheld: "), "{why}");
    }
    let said = asked.said();
    assert!(
        said.contains("the answer was withheld: content_filter (2)"),
        "{said}"
    );
    let shown = read_json(&asked.bench.path("out/comparison.json"));
    assert_eq!(
        (&shown["arms"][0]["samples"], &shown["arms"][0]["truncated"]),
        (&json!(10), &json!(9))
    );
}

#[test]
fn a_reply_in_another_form_is_read_or_refused_by_name_at_its_first_try() {
    let stop = json!("stop");
    let spent = usage(20, 6, 30);
    let text = json!({"type": "text", "text": "Answer: 7"});
    let thinking = json!({"type": "thinking", "thinking": [{"type": "text", "text": "3 and 4"}]});
    let floats = json!({"prompt_tokens": 10.0, "completion_tokens": 20.0});
    let strings = json!({"prompt_tokens": "10", "completion_tokens": "20"});
    let plain = body(&json!({"content": "Answer: 7"}), &stop, &spent);
    let image = json!({"type": "image_url", "image_url": {"url": "data:"}});
    let table = vec![
        (
            "text chunks",
            body(&json!({"content": [text]}), &stop, &spent),
        ),
        (
            "thinking chunks",
            body(&json!({"content": [thinking, text]}), &stop, &spent),
        ),
        (
            "floats",
            body(&json!({"content": "Answer: 7"}), &stop, &floats),
        ),
        (
            "strings",
            body(&json!({"content": "Answer: 7"}), &stop, &strings),
        ),
        ("mark", format!("\u{feff}{plain}")),
        ("image", body(&json!({"content": [image]}), &stop, &spent)),
        (
            "negative",
            body(
                &json!({"content": "Answer: 7"}),
                &stop,
                &json!({"prompt_tokens": 10, "completion_tokens": -3}),
            ),
        ),
        (
            "twice",
            plain.replacen("\"usage\":", "\"usage\":{},\"usage\":", 1),
        ),
        ("NaN", plain.replacen("\"index\":0", "\"logprobs\":NaN", 1)),
        ("stream", format!("data: {plain}\n\n")),
        (
            "native",
            json!({"candidates": [{"content": {"parts": [{"text": "7"}]}}]}).to_string(),
        ),
        (
            "error",
            json!({"error": {"message": "this model does not do sums"}}).to_string(),
        ),
    ];
    let asked = ask(table, &[]);
    assert_eq!(asked.ended.code, Some(1), "{}", asked.ended.stderr);
    assert_eq!((asked.records.len(), asked.times), (5, 12));
    for (name, record) in &asked.records {
        assert_eq!(
            (&record["completion_tokens"], &record["correct"]),
            (&json!(20), &json!(true)),
            "{name}"
        );
    }
    let thought = &asked.records["thinking chunks"];
    assert_eq!(thought["completion"], "<think>3 and 4</think>Answer: 7");
    assert_eq!(thought["reasoning_tokens"], 6);
    for (name, says) in [
        ("image", "content is a list with an object"),
        ("negative", "completion_tokens of usage is -3"),
        ("twice", "\"usage\" stands twice"),
        ("NaN", "NaN"),
        ("stream", "a stream of events"),
        ("native", "it has candidates"),
        ("error", "this model does not do sums"),
    ] {
        let why = &asked.missing[name];
        assert!(why.contains(says), "{name}: {why}");
    }
}

#[test]
fn an_error_in_a_reply_of_success_is_tried_again_where_it_may_pass() {
    let bench = Bench::new(TINY);
    norms(&bench, 4);
    let busy = json!({"error": {"message": "the model is overloaded", "code": 503}}).to_string();
    let server = Server::start(move |prompt, time| match (prompt.split(' ').next(), time) {
        (Some("1"), 1) => Reply::new("200 OK", busy.clone()),
        _ => Reply::answer(prompt),
    });
    let ended = evaluate(&bench, &server, &["--tries", "2"]).done();
    assert_eq!(server.times(), 5);
    let said = ended.joined();
    assert!(
        said.contains("an error in place of an answer: the model is overloaded (1)"),
        "{said}"
    );
    // One that no other question would change ends the evaluation, and the key is not said.
    let told =
        json!({"error": {"message": "the key sk-secret is not valid", "code": 401}}).to_string();
    let server = Server::start(move |_, _| Reply::new("200 OK", told.clone()));
    let bench = Bench::new(TINY);
    norms(&bench, 4);
    let mut command = bench.command(&arguments(&server.url, &["--concurrency", "1"]));
    let ended = Ended::of(command.env("OPENAI_API_KEY", "sk-secret").output().unwrap());
    assert_eq!(
        (ended.code, server.times()),
        (Some(2), 1),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("HTTP 401") && !ended.stderr.contains("sk-secret"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_question_that_a_filter_refuses_is_missing_and_the_others_are_asked() {
    let bench = Bench::new(TINY);
    norms(&bench, 4);
    let filtered = json!({"error": {"message": "The response was filtered, sk-secret.", "code": "content_filter", "status": 400}});
    let server = Server::start(move |prompt, _| match prompt.split(' ').next() {
        Some("2") => Reply::new("400 Bad Request", filtered.to_string()),
        _ => Reply::answer(prompt),
    });
    let mut command = bench.command(&arguments(&server.url, &[]));
    let ended = Ended::of(command.env("OPENAI_API_KEY", "sk-secret").output().unwrap());
    assert_eq!(
        (ended.code, server.times()),
        (Some(1), 4),
        "{}",
        ended.stderr
    );
    let missing = text(&bench.path("out/missing.jsonl"));
    assert!(
        missing.contains("\"item_id\":\"i2\"")
            && missing.contains("a filter withheld the answer: The response was filtered"),
        "{missing}"
    );
    assert!(!missing.contains("sk-secret"));
}
