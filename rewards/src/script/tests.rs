//! Expressions: what they see, what they give, and what they may not do.

use proptest::prelude::*;

use super::*;
use crate::testing::item;

fn build(table: &str) -> Result<Script, RewardError> {
    let parameters = toml::from_str(table).expect("the test's own TOML is valid");
    Script::new(&parameters)
}

fn script(expr: &str) -> Script {
    let parameters = Parameters {
        expr: expr.to_owned(),
        correct: None,
    };
    Script::new(&parameters).unwrap_or_else(|error| panic!("{expr}: {error}"))
}

fn refused(expr: &str) -> String {
    let parameters = Parameters {
        expr: expr.to_owned(),
        correct: None,
    };
    match Script::new(&parameters) {
        Ok(_) => panic!("{expr} was compiled"),
        Err(error) => error.to_string(),
    }
}

fn value(expr: &str, item: Scored<'_>) -> Option<f64> {
    let scores = script(expr).score(&[item]);
    let scores = scores.unwrap_or_else(|error| panic!("{expr}: {error}"));
    scores.each[0].value
}

fn failure(expr: &str, item: Scored<'_>) -> String {
    let error = script(expr).score(&[item]).expect_err(expr);
    error.to_string()
}

/// A right answer in 12 tokens.
fn right() -> Scored<'static> {
    Scored {
        task: "alphabet",
        prompt: "A+1=B",
        completion_tokens: 12,
        reasoning_tokens: 7,
        human_cost: Some(7.25),
        ..item("<think> A 1 B </think> true", "true")
    }
}

#[test]
fn the_worked_example() {
    let expr = "if correct { 1.0 - 0.001 * tokens } else { 0.0 }";
    let wrong = Scored {
        completion: "false",
        ..right()
    };
    let scores = script(expr).score(&[right(), wrong]).expect("scores");
    assert_eq!(scores.each, [Score::new(0.988), Score::new(0.0)]);
}

#[test]
fn every_variable_is_what_the_completion_has() {
    let columns = serde_json::json!({
        "level": 3, "tags": ["a", "b"], "source": {"year": 2025}, "none": null, "ok": true
    });
    let item = Scored {
        columns: columns.as_object(),
        truncated: true,
        ..right()
    };
    for expr in [
        "correct",
        "formatted",
        "tokens == 12 && reasoning_tokens == 7.0",
        "max_tokens == 64",
        "truncated",
        r#"prompt == "A+1=B" && completion.len == 27 && completion.contains("</think>")"#,
        r#"reasoning == " A 1 B " && answer == "true" && expected == "true""#,
        r#"task == "alphabet" && problem == "test/1""#,
        "human_cost == 7.25",
        "columns.level == 3 && columns.tags[1] == \"b\" && columns.source.year == 2025",
        "columns.none == () && columns.ok",
        r#""level" in columns && !("depth" in columns)"#,
    ] {
        assert_eq!(value(expr, item), Some(1.0), "{expr}");
    }
    let bare = Scored {
        expected: None,
        human_cost: None,
        ..right()
    };
    for expr in ["correct", "expected", "human_cost"] {
        assert_eq!(value(expr, bare), None, "{expr}");
    }
    assert_eq!(value("columns.is_empty()", bare), Some(1.0));
    for (name, variable) in Variable::ALL {
        assert_eq!(variable.name(), name);
        assert_eq!(script(name).used, [variable]);
    }
}

#[test]
fn numbers_mix_and_quotients_are_exact() {
    for (expr, expected) in [
        ("1 - 0.001 * tokens", 0.988),
        ("1 / 2", 0.5),
        ("tokens / max_tokens", 0.1875),
        ("completion.len / 2", 13.5),
        ("let x = 1; x = x / 4; x", 0.25),
        ("min(tokens, 10) + max(1, 2)", 12.0),
        ("(1.0 - tokens).abs()", 11.0),
        ("ln(exp(2.0)) + sqrt(tokens + 4) + floor(1.5)", 7.0),
        ("2 ** 3 + 2.0 ** 0.5 * 0", 8.0),
        ("switch task { \"alphabet\" => 2, _ => 0 }", 2.0),
        ("completion.split().filter(|word| word == \"A\").len", 1.0),
        ("fn half(x) { x / 2 } half(tokens)", 6.0),
        ("let f = |x| x * tokens; f.call(2)", 24.0),
        ("true", 1.0),
        ("tokens > 20", 0.0),
        ("-1", -1.0),
    ] {
        let got = value(expr, right()).expect(expr);
        assert!((got - expected).abs() < 1e-12, "{expr}: {got}");
    }
    assert_eq!(value("()", right()), None);
    assert_eq!(value("if truncated { 1 }", right()), None);
    assert!(failure("let x = 3; x /= 2; x", right()).contains("x = x / y"));
}

#[test]
fn correct_takes_parameters() {
    let near = Scored {
        completion: "3.1",
        expected: Some("3"),
        ..right()
    };
    assert_eq!(value("correct", near), Some(0.0));
    let tolerant = build("expr = 'correct'\ncorrect = { tolerance = 0.2 }").expect("valid");
    assert_eq!(tolerant.score(&[near]).unwrap().each, [Score::new(1.0)]);
    for (table, says) in [
        (
            "expr = '1'\ncorrect = { tolerance = 0.2 }",
            "does not ask for it",
        ),
        (
            "expr = 'correct'\ncorrect = { tolerance = -1.0 }",
            "reward `script`: `tolerance`",
        ),
    ] {
        let message = build(table).err().expect(table).to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn what_cannot_be_compiled_is_refused_with_its_place() {
    for (expr, says) in [
        ("1 +", "line 1, column 4"),
        ("if correct {\n  1.0 -* 2\n}", "line 2, column 8"),
        ("", "`expr` is empty"),
        (" \n", "`expr` is empty"),
        ("\"open", "line 1"),
        (
            "tokns * 2",
            "(line 1, column 1): there is no variable `tokns`; the variables are `correct`",
        ),
        (
            "1 +\n toks",
            "(line 2, column 2): there is no variable `toks`",
        ),
        ("eval(\"1\")", "eval"),
        ("print(1)", "print"),
        ("debug(1)", "debug"),
        ("import \"x\" as y; 1", "import"),
    ] {
        let message = refused(expr);
        assert!(
            message.starts_with("reward `script`: ") && message.contains(says),
            "{message}"
        );
    }
    assert_eq!(
        value(&format!("0{}", " + 1".repeat(50)), right()),
        Some(50.0)
    );
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(
        refused(&deep).contains("maximum complexity"),
        "{}",
        refused(&deep)
    );
    let long = format!("1{}", " + 1".repeat(100_000));
    assert!(
        refused(&long).contains("maximum complexity"),
        "{}",
        refused(&long)
    );
}

#[test]
fn what_fails_names_the_completion_and_the_place() {
    let reward = script("if truncated { sleep(9) } else { 1 }");
    let cut = Scored {
        truncated: true,
        ..right()
    };
    let message = reward
        .score(&[right(), cut])
        .expect_err("no sleep")
        .to_string();
    assert!(
        message.contains("completion 1") && message.contains("line 1, column 16"),
        "{message}"
    );
    assert!(message.contains("sleep"), "{message}");
    for (expr, says) in [
        ("\"x\"", "gave a string"),
        ("[1]", "gave a array"),
        ("tokens = 1; 2", "tokens"),
        ("columns.level", "level"),
        ("if expected { 1 } else { 0 }", "bool"),
        ("9223372036854775807 + 1", "overflow"),
        ("throw \"no\"", "no"),
        ("fn f() { tokens } f()", "tokens"),
        ("timestamp()", "timestamp"),
        ("rand()", "rand"),
        ("parse_json(\"{}\")", "parse_json"),
        ("Fn(\"sleep\").call(9)", "sleep"),
        ("Fn(\"eval\").call(\"1\")", "eval"),
    ] {
        let message = failure(expr, right());
        assert!(message.contains(says), "{expr}: {message}");
    }
}

#[test]
fn what_uses_too_much_is_an_error() {
    for expr in [
        "loop { }",
        "let x = 0; while true { x += 1; } x",
        "for i in 0..9000000000 { } 1",
        "let x = \"ab\"; loop { x += x; }",
        "let x = [0]; loop { x += x; }",
        "let x = []; x.pad(9000000000, 1); 1",
        "let x = \"\"; x.pad(9000000000, \"ab\"); 1",
        "let x = #{}; let i = 0; loop { x[i.to_string()] = x; i += 1; }",
        "fn f(x) { f(x + 1) } f(0)",
        "9 ** 9 ** 9 ** 9",
    ] {
        let message = failure(expr, right());
        assert!(
            message.contains("the expression failed"),
            "{expr}: {message}"
        );
    }
}

#[test]
fn a_value_that_is_not_finite_is_the_weighted_sums_error() {
    for expr in ["0.0 / 0.0", "1 / 0", "ln(0.0)"] {
        let weighted = crate::weighted::Weighted {
            name: "script".to_owned(),
            reward: Box::new(script(expr)),
            weight: 1.0,
        };
        let rewards = crate::WeightedRewards::new(vec![weighted]).expect("one reward");
        let error = rewards.score(&[right()]).expect_err(expr);
        assert!(
            matches!(error, RewardError::NotFinite { .. }),
            "{expr}: {error}"
        );
    }
}

#[test]
fn long_and_odd_texts_are_texts_like_any_other() {
    assert!(
        script("correct")
            .score(&[])
            .expect("no items")
            .each
            .is_empty()
    );
    let long = "\u{1F600} ".repeat(200_000);
    let item = Scored {
        completion: &long,
        ..right()
    };
    assert_eq!(value("completion.len", item), Some(400_000.0));
    assert_eq!(value("answer.contains(\"\u{1F600}\")", item), Some(1.0));
    assert!(failure("completion.split().len", item).contains("too large"));
    // Text is data: nothing in it is evaluated.
    let hostile = Scored {
        completion: "\"; loop {} //${tokens}",
        ..right()
    };
    assert_eq!(value("completion.len", hostile), Some(22.0));
}

proptest! {
    // Each case makes an engine of its own.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_expression_panics(text in ".{0,60}") {
        let parameters = Parameters { expr: text, correct: None };
        if let Ok(script) = Script::new(&parameters) {
            let _ = script.score(&[right()]);
        }
    }

    #[test]
    fn no_expression_of_the_languages_own_words_panics(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "if", "else", "{", "}", "(", ")", "correct", "tokens", "1", "0.5", "+", "-", "*",
                "/", "%", "**", "==", "&&", "!", "let", "x", "=", ";", "completion", "[", "]", ".",
                "len", "()", "|x|", "fn", "in", "\"a\"", "#{", ":", ",", "..", "loop", "switch",
            ]),
            0..14,
        ),
    ) {
        let parameters = Parameters { expr: words.join(" "), correct: None };
        if let Ok(script) = Script::new(&parameters) {
            let _ = script.score(&[right()]);
        }
    }

    #[test]
    fn an_expression_is_the_same_formula_in_rust(
        tokens in 0_usize..10_000,
        max in 1_usize..10_000,
        weight in -2.0_f64..2.0,
    ) {
        let item = Scored { completion_tokens: tokens, max_new_tokens: max, ..right() };
        let expr = format!("if tokens <= max_tokens {{ 1 - {weight:?} * tokens / max_tokens }}");
        let expected = (tokens <= max).then(|| 1.0 - weight * tokens as f64 / max as f64);
        prop_assert_eq!(value(&expr, item), expected);
    }
}
