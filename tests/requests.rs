//! What `qinglan evaluate` sends to a server: every setting of sampling, under
//! the names that the server takes.

use serde_json::{Value, json};

use crate::played::{Reply, Server, evaluate, norms};
use crate::support::{Bench, TINY, json as read_json};

#[test]
fn every_setting_of_sampling_is_sent_and_recorded() {
    let bench = Bench::new(TINY);
    norms(&bench, 3);
    let server = Server::start(|prompt, _| Reply::answer(prompt));
    evaluate(
        &bench,
        &server,
        &["--temperature", "0.6", "--max-new-tokens", "64"],
    )
    .done();
    let log = server.log.lock().unwrap();
    let mut seeds = Vec::new();
    for (_, question) in log.iter() {
        let mut question = question.as_object().unwrap().clone();
        question.remove("messages").unwrap();
        seeds.push(question.remove("seed").unwrap().as_u64().unwrap());
        let expected = json!({
            "model": "served", "temperature": 0.6, "top_p": 1.0, "top_k": -1, "min_p": 0.0,
            "repetition_penalty": 1.0, "max_tokens": 64, "stop": null,
        });
        assert_eq!(Value::Object(question), expected);
    }
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 3);
    for path in ["out/evaluation.json", "out/manifest.json"] {
        let record = read_json(&bench.path(path));
        let record = record.get("definition").unwrap_or(&record);
        let request = &record["source"]["request"];
        assert_eq!(request["sampling"]["repetition_penalty"], 1.0, "{path}");
        assert_eq!(request["renamed"], json!({}), "{path}");
    }
}

/// What a server complains of that takes `OpenAI`'s own fields alone, one thing at a
/// time.
fn complaint(question: &Value) -> Option<Reply> {
    let refuse = |what: String| {
        let error = json!({"error": {"message": what, "type": "invalid_request_error"}});
        Some(Reply::new("400 Bad Request", error.to_string()))
    };
    if question.get("max_tokens").is_some() {
        return refuse(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.".to_owned(),
        );
    }
    let unknown = ["top_k", "min_p", "repetition_penalty"];
    let unknown: Vec<&str> = unknown
        .into_iter()
        .filter(|field| question.get(*field).is_some())
        .collect();
    if !unknown.is_empty() {
        return refuse(format!(
            "Unrecognized request arguments supplied: {}",
            unknown.join(", ")
        ));
    }
    if question.get("temperature").is_some() {
        return refuse("Unsupported value: 'temperature' does not support 0.6 with this model. Only the default (1) value is supported.".to_owned());
    }
    None
}

#[test]
fn a_server_that_refuses_fields_is_asked_as_its_errors_advise() {
    let bench = Bench::new(TINY);
    norms(&bench, 3);
    let server = Server::strict(|question, prompt| {
        complaint(question).unwrap_or_else(|| Reply::answer(prompt))
    });
    let mut given: Option<String> = None;
    let ended = loop {
        let mut more = vec!["--temperature", "0.6", "--concurrency", "1"];
        more.extend(
            given
                .iter()
                .flat_map(|given| ["--request-fields", given.as_str()]),
        );
        let ended = evaluate(&bench, &server, &more);
        let Some((_, advice)) = ended.stderr.split_once("pass --request-fields ") else {
            break ended;
        };
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let advice = advice.trim().to_owned();
        assert_ne!(given.as_ref(), Some(&advice), "it says the same again");
        given = Some(advice);
    };
    let ended = ended.done();
    let expected =
        "max_tokens=max_completion_tokens,min_p=,repetition_penalty=,temperature=,top_k=";
    assert_eq!(given.as_deref(), Some(expected));
    let said = ended.joined();
    for part in [
        "the server's own settings held: min_p, repetition_penalty, temperature, top_k.",
        "Sent under another name: max_tokens as max_completion_tokens.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let renamed = json!({"max_tokens": "max_completion_tokens", "min_p": null, "repetition_penalty": null, "temperature": null, "top_k": null});
    for path in ["out/evaluation.json", "out/manifest.json"] {
        let record = read_json(&bench.path(path));
        let record = record.get("definition").unwrap_or(&record);
        assert_eq!(record["source"]["request"]["renamed"], renamed, "{path}");
    }
    // Answers to other questions are another evaluation.
    let other = evaluate(&bench, &server, &["--resume", "--temperature", "0.6"]);
    assert!(
        other.stderr.contains("it differs in source"),
        "{}",
        other.stderr
    );
    let unknown = evaluate(&bench, &server, &["--request-fields", "effort=high"]);
    assert_eq!(unknown.code, Some(2));
    let says = "effort is none of the fields";
    assert!(unknown.stderr.contains(says), "{}", unknown.stderr);
}
