//! Replies as servers write them, whole and otherwise.

use serde_json::json;

use super::*;

const ASKED: Asked<'static> = Asked {
    prompt: &[1, 5],
    completions: 2,
    cap: 3,
    ends: &[2],
    vocabulary: 10,
};

/// A reply of vLLM with one choice changed.
fn vllm_with(change: impl FnOnce(&mut Value)) -> Result<Vec<Completion>, NoReply> {
    let choice = |index: usize, ids: &[i64], finish: &str| {
        let logprobs: Vec<f64> = ids.iter().map(|id| -0.5 * *id as f64).collect();
        let tokens: Vec<String> = ids.iter().map(|id| format!("token_id:{id}")).collect();
        json!({
            "index": index, "text": "?", "finish_reason": finish,
            "token_ids": ids, "prompt_token_ids": [1, 5],
            "logprobs": {"tokens": tokens, "token_logprobs": logprobs, "text_offset": []},
        })
    };
    let mut body =
        json!({"choices": [choice(1, &[7, 8, 9], "length"), choice(0, &[4, 2], "stop")]});
    change(&mut body);
    vllm(&body.to_string(), &ASKED)
}

fn sglang_with(change: impl FnOnce(&mut Value)) -> Result<Vec<Completion>, NoReply> {
    let one = |drawn: Value, finish: Value| json!({"text": "?", "meta_info": {"finish_reason": finish, "prompt_tokens": 2, "output_token_logprobs": drawn}});
    let mut body = json!([
        one(
            json!([[-2.0, 4, null], [-1.0, 2, null]]),
            json!({"type": "stop", "matched": 2})
        ),
        one(
            json!([[-3.5, 7, "a"], [-4.0, 8, "b"], [-4.5, 9, "c"]]),
            json!({"type": "length", "length": 3})
        ),
    ]);
    change(&mut body);
    sglang(&body.to_string(), &ASKED)
}

fn expected() -> Vec<Completion> {
    vec![
        Completion {
            tokens: vec![4, 2],
            logprobs: vec![-2.0, -1.0],
            finish: Finish::End,
        },
        Completion {
            tokens: vec![7, 8, 9],
            logprobs: vec![-3.5, -4.0, -4.5],
            finish: Finish::Length,
        },
    ]
}

fn refused(reply: Result<Vec<Completion>, NoReply>, says: &str) {
    match reply {
        Err(NoReply::Unfit(what)) => assert!(what.contains(says), "{what}"),
        other => panic!("{says}: {other:?}"),
    }
}

fn broken(reply: Result<Vec<Completion>, NoReply>, says: &str) {
    match reply {
        Err(NoReply::Broken(what)) => assert!(what.contains(says), "{what}"),
        other => panic!("{says}: {other:?}"),
    }
}

#[test]
fn ids_and_log_probabilities_are_read_in_the_order_of_the_samples() {
    assert_eq!(vllm_with(|_| {}), Ok(expected()));
    assert_eq!(sglang_with(|_| {}), Ok(expected()));
}

#[test]
fn ids_may_stand_in_the_names_of_tokens() {
    let without = vllm_with(|body| {
        for choice in 0..2 {
            body["choices"][choice]["token_ids"] = Value::Null;
        }
    });
    assert_eq!(without, Ok(expected()));
}

#[test]
fn text_without_ids_is_refused_and_never_tokenised_again() {
    let as_text = vllm_with(|body| {
        body["choices"][0]["token_ids"] = Value::Null;
        body["choices"][0]["logprobs"]["tokens"] = json!(["a", " b", " c"]);
    });
    refused(as_text, "no token ids");
    refused(
        vllm_with(|body| {
            body["choices"][1] = json!({"index": 0, "text": "four", "finish_reason": "stop"});
        }),
        "no token ids",
    );
    refused(
        sglang_with(|body| body[0]["meta_info"]["output_token_logprobs"] = Value::Null),
        "output_token_logprobs",
    );
}

#[test]
fn log_probabilities_that_are_missing_or_none_are_refused() {
    let with = |value: Value| {
        vllm_with(|body| body["choices"][0]["logprobs"]["token_logprobs"][1] = value)
    };
    refused(with(Value::Null), "no log-probability of a token");
    refused(with(json!(0.7)), "a log-probability of 0.7");
    refused(with(json!(1e300)), "a log-probability of");
    refused(with(json!(-1e300)), "a log-probability of");
    refused(
        vllm_with(|body| body["choices"][0]["logprobs"]["token_logprobs"] = json!([-1.0])),
        "1 log-probabilities of 3 tokens",
    );
    refused(
        vllm_with(|body| body["choices"][0]["logprobs"] = Value::Null),
        "0 log-probabilities",
    );
    refused(
        sglang_with(|body| body[1]["meta_info"]["output_token_logprobs"][0][0] = Value::Null),
        "no log-probability of a token",
    );
}

#[test]
fn what_another_model_draws_is_refused() {
    let id = |id: i64| {
        vllm_with(|body| {
            body["choices"][0]["token_ids"][0] = json!(id);
        })
    };
    refused(id(10), "the token id 10");
    refused(id(-1), "the token id -1");
    refused(
        vllm_with(|body| body["choices"][1]["prompt_token_ids"] = json!([0, 1, 5])),
        "another prompt",
    );
    refused(
        sglang_with(|body| body[0]["meta_info"]["prompt_tokens"] = json!(3)),
        "another prompt",
    );
    refused(
        vllm_with(|body| {
            body["choices"][0]["token_ids"] = json!([7, 8, 9, 9]);
        }),
        "4 tokens, and at most 3",
    );
}

#[test]
fn a_completion_that_stopped_has_its_end_token() {
    refused(
        vllm_with(|body| body["choices"][0]["finish_reason"] = json!("stop")),
        "ended a completion with the token id 9",
    );
    // The cap may fall on the end token.
    let reply = vllm_with(|body| body["choices"][1]["finish_reason"] = json!("length"));
    assert_eq!(reply, Ok(expected()));
}

#[test]
fn what_another_try_may_mend_is_told_apart() {
    for reader in [vllm, sglang] {
        broken(reader("{\"choices\": [", &ASKED), "no whole JSON");
        broken(reader("<html>Bad gateway</html>", &ASKED), "HTML");
        let busy = "{\"error\": {\"message\": \"overloaded\", \"code\": 503}}";
        broken(reader(busy, &ASKED), "overloaded");
        refused(reader("{\"choices\": [], \"x\": NaN}", &ASKED), "NaN");
        refused(reader("{\"error\": {}}", &ASKED), "without completions");
        let unknown = "{\"error\": {\"message\": \"no such model\", \"code\": 404}}";
        let expected = NoReply::Refused(404, "no such model".to_owned());
        assert_eq!(reader(unknown, &ASKED), Err(expected));
    }
    let pop = |body: &mut Value| {
        body.as_array_mut().unwrap().pop();
    };
    broken(
        vllm_with(|body| pop(&mut body["choices"])),
        "another number of completions",
    );
    broken(sglang_with(pop), "another number of completions");
    broken(
        vllm_with(|body| body["choices"][0]["finish_reason"] = json!("abort")),
        "broken off",
    );
    broken(
        vllm_with(|body| {
            body["choices"][0]["token_ids"] = json!([]);
            body["choices"][0]["logprobs"]["token_logprobs"] = json!([]);
        }),
        "without tokens",
    );
}

#[test]
fn a_byte_order_mark_is_passed_over_and_a_repeated_key_is_refused() {
    let choice = |index: usize| json!({"index": index, "finish_reason": "stop", "token_ids": [4, 2], "logprobs": {"token_logprobs": [-2.0, -1.0]}});
    let body = json!({"choices": [choice(0), choice(1)]}).to_string();
    assert_eq!(vllm(&format!("\u{feff}{body}"), &ASKED).unwrap().len(), 2);
    let twice = body.replacen("\"index\":0", "\"index\":0,\"index\":1", 1);
    refused(vllm(&twice, &ASKED), "\"index\" stands twice");
}
