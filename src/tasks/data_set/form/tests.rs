//! Rows of every form, whole and broken.

use serde_json::json;

use super::*;

fn row(value: &Value) -> Row {
    value.as_object().expect("an object").clone()
}

fn read_as(first: &Value, value: &Value) -> Result<Read, String> {
    let form = Form::of(&row(first)).map_err(|error| format!("{error:#}"))?;
    form.read(&row(value)).map_err(|error| format!("{error:#}"))
}

fn read(value: &Value) -> (String, Read) {
    let form = Form::of(&row(value)).unwrap();
    (form.name().to_owned(), read_as(value, value).unwrap())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rows")]
fn the_columns_of_the_first_row_say_the_form() {
    let options = json!(["Rome", "Paris"]);
    for (value, form, prompt, answer) in [
        (json!({"prompt": "2 + 2?"}), "prompt-only", "2 + 2?", ""),
        (
            json!({"prompt": "2 + 2?", "answer": 4}),
            "prompt-only",
            "2 + 2?",
            "4",
        ),
        (
            json!({"prompt": "p", "ground_truth": " x ", "level": 3}),
            "prompt-only",
            "p",
            "x",
        ),
        (
            json!({"prompt": "p", "solution": r"so \boxed{7}"}),
            "prompt-only",
            "p",
            "7",
        ),
        (
            json!({"question": "q", "answer": "Two.\n#### 1,042"}),
            "GSM8K",
            "q",
            "1,042",
        ),
        (
            json!({"question": "q", "answer": "yes"}),
            "prompt-only",
            "q",
            "yes",
        ),
        (
            json!({"problem": "p", "solution": r"\boxed{1} or $\boxed{\frac{1}{2}}$."}),
            "MATH",
            "p",
            r"\frac{1}{2}",
        ),
        (
            json!({"problem": "p", "solution": r"$\boxed 2$."}),
            "MATH",
            "p",
            "2",
        ),
        (
            json!({"problem": "p", "solution": r"\fbox{\{1, 2\}}"}),
            "MATH",
            "p",
            r"\{1, 2\}",
        ),
        (
            json!({"problem": "p", "solution": "work", "answer": "3"}),
            "prompt-only",
            "p",
            "3",
        ),
        (
            json!({"data_source": "d", "prompt": [{"role": "user", "content": "q"}],
                "reward_model": {"style": "rule", "ground_truth": "72"}, "extra_info": {"index": 1}}),
            "verl",
            "q",
            "72",
        ),
        (
            json!({"question": "Capital?", "choices": options, "answer": 1}),
            "multiple choice",
            "Capital?\nA) Rome\nB) Paris",
            "B",
        ),
        (
            json!({"question": "Capital?", "choices": options, "answer": "b"}),
            "multiple choice",
            "Capital?\nA) Rome\nB) Paris",
            "B",
        ),
        (
            json!({"question": "Capital?", "choices": options, "answer": "Rome"}),
            "multiple choice",
            "Capital?\nA) Rome\nB) Paris",
            "A",
        ),
        (
            json!({"question": "Capital?", "choices": {"text": ["Rome", "Paris"], "label": ["1", "2"]},
                "answerKey": "2"}),
            "multiple choice",
            "Capital?\nA) Rome\nB) Paris",
            "B",
        ),
    ] {
        let (name, read) = read(&value);
        assert_eq!(
            (name.as_str(), read.prompt.as_str(), read.answer.as_str()),
            (form, prompt, answer),
            "{value}"
        );
        let judge = if form == "multiple choice" {
            Judge::Choice
        } else {
            Judge::Same
        };
        assert_eq!((read.judge, read.before.len()), (judge, 0));
    }
}

#[test]
fn a_conversation_is_what_comes_before_its_last_message_and_that() {
    let value = json!({"prompt": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?"},
    ], "id": 7});
    let (_, read) = read(&value);
    assert_eq!(
        (read.prompt.as_str(), read.id.as_deref()),
        ("2 + 2?", Some("7"))
    );
    assert_eq!(read.before[0].content, "Be brief.");
}

#[test]
fn work_before_an_answer_is_its_worked_solution() {
    let solution = |value: Value| Form::of(&row(&value)).unwrap().solution(&row(&value));
    let gsm8k = json!({"question": "q", "answer": "Two.\n#### 4"});
    assert_eq!(solution(gsm8k).as_deref(), Some("Two.\n#### 4"));
    let beside = json!({"problem": "p", "answer": "4", "solution": "Two and two."});
    assert_eq!(solution(beside).as_deref(), Some("Two and two."));
    assert_eq!(solution(json!({"prompt": "p", "answer": "4"})), None);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rows")]
fn what_a_row_lacks_is_named_with_the_way_out() {
    let gsm8k = json!({"question": "q", "answer": "#### 4"});
    let math = json!({"problem": "p", "solution": r"\boxed{4}"});
    let choice = json!({"question": "q", "choices": ["a", "b"], "answer": 0});
    let chat = json!({"prompt": [{"role": "user", "content": "q"}]});
    let verl = json!({"prompt": "p", "reward_model": {"ground_truth": "1"}});
    for (first, value, told) in [
        (
            &gsm8k,
            json!({"question": "q", "answer": "4"}),
            "`answer` has no result after `####`",
        ),
        (
            &gsm8k,
            json!({"question": "q", "answer": "so ####  "}),
            "no result after `####`",
        ),
        (&gsm8k, json!({"question": "q"}), "no result after `####`"),
        (
            &gsm8k,
            json!({"question": " ", "answer": "#### 4"}),
            "`question` is empty",
        ),
        (&gsm8k, json!({"answer": "#### 4"}), "it has no `question`"),
        (
            &gsm8k,
            json!({"question": "q", "answer": "#### ."}),
            "to compare",
        ),
        (
            &math,
            json!({"problem": "p", "solution": r"\boxed{4"}),
            "closes",
        ),
        (
            &math,
            json!({"problem": "p", "solution": "4"}),
            r"no `\boxed{...}` that closes",
        ),
        (
            &math,
            json!({"problem": "p", "solution": r"\boxed{}"}),
            "holds a result",
        ),
        (
            &json!({"problem": "p", "solution": "4"}),
            json!({"problem": "p", "solution": "4"}),
            "closes",
        ),
        (
            &choice,
            json!({"question": "q", "choices": ["a", "b"], "answer": 2}),
            "none of the 2 options",
        ),
        (
            &choice,
            json!({"question": "q", "choices": ["a", "b"], "answer": "c"}),
            "\"c\", which is none",
        ),
        (
            &choice,
            json!({"question": "q", "choices": ["a"], "answer": 0}),
            "1 options: give 2 to 26",
        ),
        (
            &choice,
            json!({"question": "q", "choices": "ab", "answer": 0}),
            "`choices` is no list",
        ),
        (
            &choice,
            json!({"question": "q", "choices": ["a", ""], "answer": 0}),
            "an option that is empty",
        ),
        (&chat, json!({"prompt": []}), "no messages"),
        (
            &chat,
            json!({"prompt": [{"role": "assistant", "content": "x"}]}),
            "its last message must be",
        ),
        (
            &chat,
            json!({"prompt": [{"role": "user"}]}),
            "message 1 of \"prompt\": it has no \"content\"",
        ),
        (
            &chat,
            json!({"prompt": {"a": 1}}),
            "neither a text nor a list",
        ),
        (
            &verl,
            json!({"prompt": "p", "reward_model": {"style": "rule"}}),
            "no `ground_truth`",
        ),
        (
            &verl,
            json!({"prompt": "p", "reward_model": {"ground_truth": {"target": 3}}}),
            "is no text",
        ),
        (
            &chat,
            json!({"prompt": "p", "id": [1]}),
            "`id` is neither a text nor a number",
        ),
        (
            &json!({"text": "t", "label": 1}),
            json!({}),
            "the columns are text, label; the forms that are read are `prompt`",
        ),
        (
            &json!({"question": "q", "choices": ["a", "b"]}),
            json!({}),
            "no `answer` and no `answerKey`",
        ),
    ] {
        let error = read_as(first, &value).unwrap_err();
        assert!(error.contains(told), "{value}: {error}");
    }
}
