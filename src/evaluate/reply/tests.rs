//! Replies as servers of many kinds write them.

use serde_json::{Value, json};

use super::*;
use crate::model::vocabulary;

/// What the question is: 64 tokens at most, and no tokenizer.
const ASKED: Asked<'static> = Asked {
    prompt: "?",
    cap: Some(64),
    tokenizer: None,
};

fn body(message: &Value, finish: &Value, usage: &Value) -> String {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage})
        .to_string()
}

/// An answer that ended by itself.
fn ended(message: &Value, usage: &Value) -> Result<Reply, NoAnswer> {
    read(&body(message, &json!("stop"), usage), &ASKED)
}

/// The same with the lab's own tokenizer, in which a word is a token.
fn with_tokenizer(message: &Value, usage: &Value) -> Result<Reply, NoAnswer> {
    let tokenizer = vocabulary::tokenizer(&[]);
    let asked = Asked {
        tokenizer: Some(&tokenizer),
        ..ASKED
    };
    read(&body(message, &json!("stop"), usage), &asked)
}

/// Completion and reasoning tokens, and who counted the latter.
fn counts(reply: Result<Reply, NoAnswer>) -> (u32, u32, Counted) {
    let reply = reply.unwrap();
    (
        reply.completion_tokens,
        reply.reasoning_tokens,
        reply.counted,
    )
}

fn unfit(reply: Result<Reply, NoAnswer>) -> String {
    match reply {
        Err(NoAnswer::Reply(NoReply::Unfit(what))) => what,
        other => panic!("{other:?}"),
    }
}

/// A usage in `OpenAI`'s words.
fn usage(completion: u32, reasoning: u32, total: u32) -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": completion, "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": reasoning}})
}

#[test]
fn the_servers_counts_are_taken_where_it_gives_them() {
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}});
    for field in ["reasoning_content", "reasoning", "thinking"] {
        let reply = ended(&json!({"content": "7", field: "3 and 4"}), &usage).unwrap();
        assert_eq!(reply.text, "<think>3 and 4</think>7");
        assert_eq!((reply.prompt_tokens, reply.truncated), (12, false));
        assert_eq!(counts(Ok(reply)), (9, 6, Counted::Server));
    }
}

#[test]
fn think_tags_are_counted_by_the_given_tokenizer_or_not_at_all() {
    let usage = usage(9, 0, 19);
    let message = json!({"content": "<think> A 1 B </think> true"});
    let uncounted = Err(NoAnswer::Uncounted("reasoning tokens"));
    assert_eq!(ended(&message, &usage), uncounted);
    let counted = counts(with_tokenizer(&message, &usage));
    assert_eq!(counted, (9, 3, Counted::Tokenizer));
}

#[test]
fn a_model_that_thinks_in_the_open_spends_all_its_tokens_on_it() {
    let body = json!({"choices": [{"text": "four and nine is thirteen", "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5}});
    let reply = read(&body.to_string(), &ASKED).unwrap();
    assert!(reply.truncated);
    assert_eq!(counts(Ok(reply)), (5, 5, Counted::Server));
}

#[test]
fn reasoning_beside_the_completion_is_added_to_it() {
    let answer = json!({"content": "Answer: 7"});
    let bare = json!({"content": "7"});
    // More reasoning than completion cannot be within it, with or without a total.
    for (message, usage) in [
        (&answer, usage(5, 300, 315)),
        (&bare, usage(5, 300, 315)),
        (&answer, usage(5, 300, 0)),
        (&answer, usage(5, 300, 15)),
    ] {
        assert_eq!(counts(ended(message, &usage)), (305, 300, Counted::Server));
    }
    // Less may be, and then the total decides.
    assert_eq!(
        counts(ended(&answer, &usage(5, 3, 18))),
        (8, 3, Counted::Server)
    );
    assert_eq!(
        counts(ended(&answer, &usage(8, 3, 18))),
        (8, 3, Counted::Server)
    );
    // Cut off before the answer began.
    let none = body(&json!({"content": ""}), &json!("length"), &usage(0, 60, 70));
    let reply = read(&none, &ASKED).unwrap();
    assert!(reply.truncated);
    assert_eq!(counts(Ok(reply)), (60, 60, Counted::Server));
}

#[test]
fn reasoning_that_is_shown_does_not_lower_the_servers_count() {
    let words = "word ".repeat(300);
    for message in [
        json!({"content": "Answer: 7", "reasoning_content": words}),
        json!({"content": format!("<think>{words}</think>Answer: 7")}),
    ] {
        let counted = counts(ended(&message, &usage(5, 300, 315)));
        assert_eq!(counted, (305, 300, Counted::Server));
    }
}

#[test]
fn reasoning_is_counted_under_whatever_name_and_in_whatever_place() {
    for more in [
        json!({"completion_tokens_details": {"reasoning_tokens": 300}}),
        json!({"output_tokens_details": {"thinking_tokens": 300}}),
        json!({"reasoning_tokens": 300}),
        json!({"thoughts_token_count": "300"}),
        json!({"completion_tokens_details": null, "thoughtsTokenCount": 300.0}),
        json!({"completion_tokens_details": {"reasoning_tokens": 0}, "thinking_tokens": 300}),
    ] {
        let mut usage = json!({"prompt_tokens": 10, "completion_tokens": 5});
        usage
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let counted = counts(ended(&json!({"content": "Answer: 7"}), &usage));
        assert_eq!(counted, (305, 300, Counted::Server), "{usage}");
    }
}

#[test]
fn what_only_the_total_holds_was_generated_and_not_shown() {
    let answer = json!({"content": "Answer: 7"});
    let gemini = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 315});
    assert_eq!(
        counts(ended(&answer, &gemini)),
        (305, 300, Counted::Remainder)
    );
    // Nothing but the total says how much was generated.
    let open = json!({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 40});
    assert_eq!(
        counts(ended(&json!({"content": "7"}), &open)),
        (30, 30, Counted::Server)
    );
    // The parts of a prompt that Anthropic counts beside it are no reasoning.
    let cached = json!({"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 5, "total_tokens": 15});
    let reply = ended(&answer, &cached).unwrap();
    assert_eq!(reply.prompt_tokens, 10);
    assert_eq!(counts(Ok(reply)), (5, 0, Counted::Server));
}

#[test]
fn counts_that_contradict_each_other_are_refused() {
    let answer = json!({"content": "Answer: 7"});
    let says = |usage: &Value| unfit(ended(&answer, usage));
    assert!(says(&usage(5, 300, 400)).contains("contradict each other"));
    assert!(says(&usage(5, 3, 400)).contains("contradict each other"));
    let two = json!({"prompt_tokens": 10, "completion_tokens": 9, "reasoning_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 5}});
    assert!(says(&two).contains("3 and 5 reasoning tokens"));
}

#[test]
fn counts_may_be_floats_and_strings_and_what_is_no_count_is_named() {
    let answer = json!({"content": "Answer: 7"});
    for usage in [
        json!({"prompt_tokens": 10.0, "completion_tokens": 20.0}),
        json!({"prompt_tokens": "10", "completion_tokens": " 20 ", "total_tokens": "30.0"}),
        json!({"prompt_tokens": 10, "completion_tokens": 2e1, "completion_tokens_details": null}),
    ] {
        assert_eq!(counts(ended(&answer, &usage)), (20, 0, Counted::Server));
    }
    for (count, shown) in [
        (json!(-5), "-5"),
        (json!(2.5), "2.5"),
        (json!("twelve"), "twelve"),
        (json!("NaN"), "NaN"),
        (json!([20]), "[20]"),
        (json!(true), "true"),
        (json!(99_999_999_999_u64), "99999999999"),
    ] {
        let usage = json!({"prompt_tokens": 10, "completion_tokens": count});
        let says = unfit(ended(&answer, &usage));
        assert!(
            says.starts_with("completion_tokens of usage is") && says.contains(shown),
            "{says}"
        );
    }
    let says = unfit(ended(&answer, &json!([10, 20])));
    assert!(says.contains("usage is [10,20]"), "{says}");
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": -1}});
    let says = unfit(ended(&answer, &usage));
    assert!(says.contains("reasoning_tokens of usage is -1"), "{says}");
}

#[test]
fn zeros_beside_a_text_are_no_count() {
    let zeros = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    let answer = json!({"content": "<think> A 1 </think> true"});
    assert_eq!(
        ended(&answer, &zeros),
        Err(NoAnswer::Uncounted("prompt tokens"))
    );
    let counted = counts(with_tokenizer(&answer, &zeros));
    assert_eq!((counted.1, counted.2), (2, Counted::Tokenizer));
    assert!(counted.0 >= 3);
    // A prompt was counted, and the completion was not.
    let half = json!({"prompt_tokens": 10, "completion_tokens": 0});
    assert_eq!(
        ended(&answer, &half),
        Err(NoAnswer::Uncounted("completion tokens"))
    );
    // Reasoning was counted, and the answer beside it was not.
    let half = json!({"prompt_tokens": 10, "completion_tokens": 0, "reasoning_tokens": 300});
    let counted = counts(with_tokenizer(&json!({"content": "A 1"}), &half));
    assert_eq!(counted, (302, 300, Counted::Server));
    assert_eq!(
        ended(&json!({"content": "A 1"}), &half),
        Err(NoAnswer::Uncounted("completion tokens"))
    );
    assert_eq!(
        ended(&answer, &Value::Null),
        Err(NoAnswer::Uncounted("prompt tokens"))
    );
}

#[test]
fn a_completion_that_leaves_its_reasoning_out_is_counted_by_the_tokenizer() {
    let message = json!({"content": "true", "reasoning_content": "A 1 B 2 C 3"});
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2});
    let counted = counts(with_tokenizer(&message, &usage));
    assert_eq!(counted, (7, 6, Counted::Tokenizer));
    assert_eq!(
        ended(&message, &usage),
        Err(NoAnswer::Uncounted("reasoning tokens"))
    );
}

#[test]
fn tokens_that_nothing_shows_are_not_called_no_reasoning() {
    let answer = json!({"content": "Answer: 7"});
    let says = unfit(ended(&answer, &usage(305, 0, 315)));
    assert!(says.contains("305 tokens are counted"), "{says}");
    // A chat template's own marks are not shown either.
    assert_eq!(
        counts(ended(&answer, &usage(20, 0, 30))),
        (20, 0, Counted::Server)
    );
}

#[test]
fn an_answer_that_the_cap_cut_off_is_truncated_whatever_the_server_says() {
    let message = json!({"content": "I count 1 2 3 4 and so"});
    let truncated = |finish: Value, tokens: u32| {
        let body = body(&message, &finish, &usage(tokens, 0, 10 + tokens));
        read(&body, &ASKED).unwrap().truncated
    };
    for finish in ["length", "max_tokens", "MAX_TOKENS", "model_length"] {
        assert!(truncated(json!(finish), 64), "{finish}");
        // The context ended before the cap.
        assert!(truncated(json!(finish), 40), "{finish}");
    }
    for finish in [
        json!("tool_calls"),
        Value::Null,
        json!(""),
        json!("eos_sampled"),
        json!(2),
    ] {
        assert!(truncated(finish.clone(), 64), "{finish}");
    }
    for finish in [json!("stop"), json!("end_turn")] {
        assert!(!truncated(finish.clone(), 64), "{finish}");
    }
    // A server that never says it stops before the cap by ending.
    assert!(!truncated(Value::Null, 63));
}

#[test]
fn a_reason_that_is_not_known_is_refused_below_the_cap() {
    let body = body(
        &json!({"content": "7"}),
        &json!("pause_turn"),
        &usage(5, 0, 15),
    );
    let says = unfit(read(&body, &ASKED));
    assert!(says.contains("finish_reason is \"pause_turn\""), "{says}");
    // Without a cap no count says that it was reached.
    let uncapped = Asked { cap: None, ..ASKED };
    assert!(matches!(
        read(&body, &uncapped),
        Err(NoAnswer::Reply(NoReply::Unfit(_)))
    ));
}

#[test]
fn an_answer_that_a_filter_withheld_is_named() {
    let spent = usage(0, 0, 10);
    let says = |body: &str| {
        let what = unfit(read(body, &ASKED));
        assert!(what.starts_with("the answer was withheld: "), "{what}");
        what
    };
    for finish in ["content_filter", "SAFETY", "refusal"] {
        for content in [json!(""), Value::Null, json!("The first words of")] {
            let body = body(&json!({"content": content}), &json!(finish), &spent);
            assert!(says(&body).ends_with(finish));
        }
    }
    let refusal = json!({"content": null, "refusal": "I cannot help with that."});
    assert!(says(&body(&refusal, &json!("stop"), &spent)).contains("I cannot help"));
    let part = json!({"content": [{"type": "refusal", "refusal": "I cannot."}]});
    assert!(says(&body(&part, &json!("stop"), &spent)).contains("I cannot."));
    let azure = json!({"choices": [], "prompt_filter_results": [
        {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": true, "severity": "high"}}}]});
    assert!(says(&azure.to_string()).contains("the prompt was filtered"));
    let gemini = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}});
    assert!(says(&gemini.to_string()).contains("PROHIBITED_CONTENT"));
    // A verdict that nothing was filtered keeps nothing back.
    let passed = json!({"choices": [{"message": {"content": "7"}, "finish_reason": "stop",
        "content_filter_results": {"hate": {"filtered": false}}}], "usage": usage(2, 0, 12)});
    assert!(read(&passed.to_string(), &ASKED).is_ok());
}

#[test]
fn a_server_that_broke_off_is_asked_again() {
    for choice in [
        json!({"message": {"content": "The fir"}, "finish_reason": "abort"}),
        json!({"message": {"content": ""}, "finish_reason": "error"}),
        json!({"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}),
    ] {
        let body = json!({"choices": [choice], "usage": usage(2, 0, 12)}).to_string();
        match read(&body, &ASKED) {
            Err(NoAnswer::Reply(NoReply::Broken(_))) => {}
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn an_answer_may_be_a_list_of_parts() {
    let spent = usage(20, 9, 30);
    let text = |content: Value| ended(&json!({"content": content}), &spent).unwrap().text;
    let answer = json!({"type": "text", "text": "Answer: 7"});
    let thinking = |inside: Value| json!({"type": "thinking", "thinking": inside});
    assert_eq!(text(json!([answer])), "Answer: 7");
    assert_eq!(text(json!(["Answer:", " 7"])), "Answer: 7");
    assert_eq!(text(answer.clone()), "Answer: 7");
    for thought in [
        thinking(json!([{"type": "text", "text": "3 and 4"}])),
        thinking(json!("3 and 4")),
        json!({"type": "reasoning", "text": "3 and 4"}),
        json!({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "3 and 4"}]}),
    ] {
        let said = text(json!([thought, answer]));
        assert_eq!(said, "<think>3 and 4</think>Answer: 7", "{thought}");
    }
}

#[test]
fn a_form_that_is_not_read_is_named() {
    let spent = usage(20, 0, 30);
    let says = |message: Value| unfit(ended(&message, &spent));
    assert!(says(json!({"content": 7})).contains("content is a number"));
    let image = json!({"type": "image_url", "image_url": {"url": "data:"}});
    let said = says(json!({"content": [image]}));
    assert!(
        said.contains("content is a list") && said.contains("image_url"),
        "{said}"
    );
    assert!(says(json!({"content": [[]]})).contains("content is a list with a list"));
    assert!(says(json!("7")).contains("message is a text"));
    let call = json!({"content": null, "tool_calls": [{"function": {"name": "add"}}]});
    assert!(says(call).contains("a call of a tool"));
    assert!(says(json!({"role": "assistant"})).contains("a reply without text"));
    for (body, expected) in [
        (json!({"id": 1, "candidates": []}), "it has id, candidates"),
        (json!({"choices": []}), "a reply without choices"),
        (json!({"choices": {}}), "choices is no list"),
        (json!({"choices": ["7"]}), "a choice that is no object"),
        (json!({"choices": [{}]}), "a reply without text"),
        (json!([]), "it has nothing"),
    ] {
        let said = unfit(read(&body.to_string(), &ASKED));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn reasoning_apart_comes_in_many_fields() {
    let spent = usage(20, 9, 30);
    for message in [
        json!({"content": "7", "reasoning_content": "3 and 4"}),
        json!({"content": "7", "reasoning": "3 and 4", "reasoning_content": null}),
        json!({"content": "7", "thinking": [{"type": "text", "text": "3 and 4"}]}),
        json!({"content": "7", "thinking_blocks": [{"type": "thinking", "thinking": "3 and 4", "signature": "c2ln"}]}),
        json!({"content": "7", "reasoning_details": [{"type": "reasoning.text", "text": "3 and 4"}]}),
    ] {
        let reply = ended(&message, &spent).unwrap();
        assert_eq!(reply.text, "<think>3 and 4</think>7", "{message}");
    }
}

#[test]
fn a_summary_is_not_counted_as_the_reasoning() {
    for message in [
        json!({"content": "Answer: 7", "reasoning": "I add.", "reasoning_details": [{"type": "reasoning.summary", "summary": "I add."}]}),
        json!({"content": "Answer: 7", "reasoning_details": [{"type": "reasoning.encrypted", "data": "c2VjcmV0"}]}),
        json!({"content": [{"type": "redacted_thinking", "data": "c2VjcmV0"}, {"type": "text", "text": "Answer: 7"}]}),
        json!({"content": [{"type": "thinking", "thinking": "", "signature": "c2ln"}, {"type": "text", "text": "Answer: 7"}]}),
        json!({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "I add."}]}, {"type": "output_text", "text": "Answer: 7"}]}),
    ] {
        let says = unfit(with_tokenizer(&message, &usage(20, 0, 30)));
        assert!(
            says.contains("neither shown nor counted"),
            "{message}: {says}"
        );
        let counted = counts(ended(&message, &usage(20, 11, 30)));
        assert_eq!(counted, (20, 11, Counted::Server));
    }
}

#[test]
fn a_model_that_came_to_no_answer_is_recorded_and_one_that_said_nothing_is_not() {
    let reply = ended(
        &json!({"content": null, "reasoning_content": "3 and"}),
        &usage(20, 20, 30),
    )
    .unwrap();
    assert_eq!(reply.text, "<think>3 and</think>");
    assert_eq!(counts(Ok(reply)), (20, 20, Counted::Server));
    // It ended at once: one token, the end.
    assert_eq!(
        counts(ended(&json!({"content": ""}), &usage(1, 0, 11))).0,
        1
    );
    let says = unfit(ended(&json!({"content": ""}), &usage(0, 0, 10)));
    assert!(says.contains("an empty answer of 0 tokens"), "{says}");
}

#[test]
fn what_is_no_json_is_told_apart() {
    let broken = |body: &str| match read(body, &ASKED) {
        Err(NoAnswer::Reply(NoReply::Broken(what))) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(broken("<html>Bad gateway</html>"), "HTML in place of JSON");
    assert_eq!(
        broken("{\"choices\": [{\"mess"),
        "a body that is no whole JSON"
    );
    let good = body(&json!({"content": "7"}), &json!("stop"), &usage(2, 0, 12));
    assert!(read(&format!("\u{feff}{good}"), &ASKED).is_ok());
    let twice = good.replacen(
        "\"completion_tokens\":2",
        "\"completion_tokens\":2,\"completion_tokens\":9",
        1,
    );
    assert!(unfit(read(&twice, &ASKED)).contains("\"completion_tokens\" stands twice"));
    let nan = good.replacen("\"index\":0", "\"logprobs\":NaN", 1);
    assert!(unfit(read(&nan, &ASKED)).contains("NaN"));
}

#[test]
fn the_style_of_an_answer_changes_no_cost() {
    for style in [
        "Answer: true",
        "**Answer:** true",
        "**Answer**: true",
        "_Answer_ : true",
        "> **Answer: true**",
        "## Answer\n\ntrue",
        "So the final answer is **true**.",
        "Answer\u{FF1A}true",
        "\\text{Answer: } \\boxed{true}",
        "$\\boxed{\\text{true}}$",
        "<answer>true</answer>",
        "#### true",
    ] {
        let message = json!({"content": format!("A 1 B 2 C\n\n{style}")});
        let usage = json!({"prompt_tokens": 12, "completion_tokens": 25});
        let reply = with_tokenizer(&message, &usage).unwrap();
        assert_eq!(reply.reasoning_tokens, 5, "{style}");
    }
}

#[test]
fn reasoning_goes_from_the_first_tag_to_the_last() {
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 40});
    for message in [
        json!({"content": "<think>A</think> B <think>1 2</think> true"}),
        json!({"reasoning_content": "A </think> 1 2", "content": "true"}),
        json!({"reasoning_content": "A", "content": "<think>1 2</think> true"}),
    ] {
        let reply = with_tokenizer(&message, &usage).unwrap();
        assert!(reply.reasoning_tokens >= 4, "{message}: {reply:?}");
    }
}

#[test]
fn nobody_says_how_an_answer_ended_that_had_no_cap() {
    let asked = Asked { cap: None, ..ASKED };
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 4096});
    let message = json!({"content": "so far 1 2"});
    let unsaid = read(&body(&message, &Value::Null, &usage), &asked);
    assert!(unfit(unsaid).contains("it is not said why"));
    assert!(read(&body(&message, &json!("stop"), &usage), &asked).is_ok());
}

#[test]
fn a_refusal_in_any_form_and_a_call_beside_a_text_are_no_answers() {
    let usage = usage(20, 0, 30);
    let refusal = json!({"content": null, "refusal": {"reason": "no"}});
    assert!(unfit(ended(&refusal, &usage)).contains("withheld"));
    let call = json!({"content": "Let me calculate.", "tool_calls": [{"id": "a"}]});
    assert!(unfit(ended(&call, &usage)).contains("a call of a tool"));
}

#[test]
fn of_several_choices_the_one_asked_for_is_taken() {
    let choice = |index: u64, content: &str| json!({"index": index, "message": {"content": content}, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1}});
    let body = json!({"choices": [choice(1, "8"), choice(0, "7")], "usage": usage});
    assert_eq!(read(&body.to_string(), &ASKED).unwrap().text, "7");
}
