//! What templates render to, and what is refused.

use std::fs;

use serde_json::json;

use super::*;

fn message(role: &str, content: &str) -> Message {
    Message {
        role: role.to_owned(),
        content: content.to_owned(),
    }
}

/// A question and its answer.
fn talk() -> Vec<Message> {
    vec![message("user", "2+2?"), message("assistant", " four é\n")]
}

fn special() -> SpecialTokens {
    SpecialTokens {
        bos: Some("<s>".to_owned()),
        eos: Some("</s>".to_owned()),
        ..SpecialTokens::default()
    }
}

fn with(source: &str, extra: &Json) -> Result<String> {
    let extra = extra.as_object().cloned().unwrap_or_default();
    ChatTemplate::new(source, special())?.render(&talk(), false, &extra)
}

#[track_caller]
fn assert_renders(source: &str, expected: &str) {
    assert_eq!(with(source, &json!({})).unwrap(), expected, "{source}");
}

#[track_caller]
fn assert_refuses(source: &str, parts: &[&str]) {
    let text = format!("{:#}", with(source, &json!({})).expect_err(source));
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn a_conversation_becomes_text_with_its_special_tokens() {
    let source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] | trim }}{{ eos_token }}\
                  {% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}{{ pad_token }}";
    let template = ChatTemplate::new(source, special()).unwrap();
    let extra = Map::new();
    let text = template.render(&talk(), false, &extra).unwrap();
    assert_eq!(text, "<s>[user]2+2?</s>[assistant]four é</s>");
    let text = template.render(&talk()[..1], true, &extra).unwrap();
    assert_eq!(text, "<s>[user]2+2?</s>[assistant]");
    assert!(template.render(&[], true, &extra).is_err());
}

#[test]
fn what_else_the_template_reads_is_given_by_name() {
    let source = "{% if enable_thinking is defined and not enable_thinking %}no {% endif %}\
                  {{ tools is none }} {{ tools is defined }} {{ documents is none }} {{ bos_token }}";
    assert_renders(source, "True True True <s>");
    let extra = json!({"enable_thinking": false, "tools": [1], "bos_token": "B"});
    assert_eq!(with(source, &extra).unwrap(), "no False True True B");
    let own = json!({"messages": [], "add_generation_prompt": true});
    let text = with("{{ messages | length }}{{ add_generation_prompt }}", &own);
    assert_eq!(text.unwrap(), "2False");
}

#[test]
fn white_space_around_blocks_is_trimmed_as_transformers_trims_it() {
    assert_renders("a\n  {% if true %}\n b\n  {% endif %}\nc\n", "a\n b\nc");
    assert_renders("a  {%- if true -%}  b  {%- endif %} c", "ab c");
    assert_renders("  {%+ if true %}b{% endif %}", "  b");
    assert_renders("x\n  {# a remark #}\ny", "x\ny");
    assert_renders("a\r\nb\rc", "a\nb\nc");
}

#[test]
fn loops_can_be_left_and_names_kept() {
    assert_renders(
        "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}\
         {% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "023",
    );
    assert_renders(
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
        "2",
    );
    assert_renders(
        "{% for m in messages[::-1] if m.role != 'x' %}{{ loop.index0 }}{{ loop.last }}{{ m.role[0] }};{% endfor %}",
        "0Falsea;1Trueu;",
    );
}

#[test]
fn values_are_written_as_python_writes_them() {
    assert_renders(
        "{{ none }} {{ true }} {{ 1.0 }} {{ ['a', \"it's\", none] }} {{ {'k': false} }} {{ nothing }}",
        "None True 1.0 ['a', \"it's\", None] {'k': False} ",
    );
}

#[test]
fn methods_of_python_are_there() {
    for (expression, expected) in [
        ("'a</t>b</t>c'.split('</t>')[-1]", "c"),
        ("'  a  b '.split()", "['a', 'b']"),
        (
            "'\\x1f a \\x1c\\n'.strip() ~ '|' ~ ('\\x1d b ' | trim)",
            "a|b",
        ),
        ("'\\x1f a '.lstrip() ~ '|' ~ ' b\\x1e'.rstrip()", "a | b"),
        (
            "'\\n a\\n'.lstrip('\\n') ~ '|' ~ ('xax' | trim('x'))",
            " a\n|a",
        ),
        (
            "'abc'.startswith('ab') and 'abc'.endswith(('x', 'c'))",
            "True",
        ),
        ("'a-b-c'.rsplit('-', 1)", "['a-b', 'c']"),
        ("'a-b-c'.rsplit('-')", "['a', 'b', 'c']"),
        (
            "'abc'.removeprefix('a').removesuffix('c').removesuffix('x')",
            "b",
        ),
        ("'a=b=c'.partition('=')", "('a', '=', 'b=c')"),
        (
            "'a=b=c'.rpartition('=') ~ 'a'.rpartition('=')",
            "('a=b', '=', 'c')('', '', 'a')",
        ),
        (
            "{'a': 1}.get('b', 2) ~ {'a': 1}.items() | list",
            "2[('a', 1)]",
        ),
        ("'{}-{}'.format(1, 'x')", "1-x"),
        ("'ab'.replace('a', 'c').upper()", "CB"),
    ] {
        assert_renders(&format!("{{{{ {expression} }}}}"), expected);
    }
}

#[test]
fn what_has_items_is_told_from_what_has_none() {
    for (value, expected) in [
        ("none", "False False"),
        ("1", "False False"),
        ("'a'", "True True"),
        ("[]", "True True"),
        ("{}", "True True"),
        ("nothing", "True True"),
    ] {
        let source = format!("{{{{ {value} is iterable }}}} {{{{ {value} is sequence }}}}");
        assert_renders(&source, expected);
    }
}

#[test]
fn json_is_written_as_python_writes_it() {
    let extra = json!({"x": {
        "b": [1, 2.5, 1e-7, 1e20, true, null],
        "a": "é \"q\" \\ \n\t\u{8}\u{c}\u{1}<&'>\u{7f}😀",
        "n": 18_446_744_073_709_551_615u64,
        "e": [[], {}],
    }});
    for (settings, expected) in [
        (
            "",
            "{\"b\": [1, 2.5, 1e-07, 1e+20, true, null], \
             \"a\": \"é \\\"q\\\" \\\\ \\n\\t\\b\\f\\u0001<&'>\u{7f}😀\", \
             \"n\": 18446744073709551615, \"e\": [[], {}]}",
        ),
        (
            "(ensure_ascii=true, sort_keys=true, separators=(',', ':'))",
            "{\"a\":\"\\u00e9 \\\"q\\\" \\\\ \\n\\t\\b\\f\\u0001<&'>\\u007f\\ud83d\\ude00\",\
             \"b\":[1,2.5,1e-07,1e+20,true,null],\"e\":[[],{}],\"n\":18446744073709551615}",
        ),
        (
            "(indent=2)",
            "{\n  \"b\": [\n    1,\n    2.5,\n    1e-07,\n    1e+20,\n    true,\n    null\n  ],\n  \
             \"a\": \"é \\\"q\\\" \\\\ \\n\\t\\b\\f\\u0001<&'>\u{7f}😀\",\n  \
             \"n\": 18446744073709551615,\n  \"e\": [\n    [],\n    {}\n  ]\n}",
        ),
    ] {
        let source = format!("{{{{ x | tojson{settings} }}}}");
        assert_eq!(with(&source, &extra).unwrap(), expected, "{settings}");
    }
    assert_renders(
        "{{ {7: 2, none: 3, true: 4, 1.5: 5} | tojson(indent='-') }}",
        "{\n-\"7\": 2,\n-\"null\": 3,\n-\"true\": 4,\n-\"1.5\": 5\n}",
    );
    assert_refuses(
        "{{ nothing | tojson }}",
        &["undefined is not a value of JSON"],
    );
    assert_refuses("{{ 1 | tojson(indents=2) }}", &["indents"]);
    assert_refuses("{{ 1 | tojson(separators=[1]) }}", &["separators"]);
    assert_refuses("{{ 1 | tojson(indent='x' * 99) }}", &["too long"]);
}

#[test]
fn today_s_date_is_a_date() {
    let text = with("{{ strftime_now('%Y-%m-%d') }}", &json!({})).unwrap();
    assert!(text.len() == 10 && text.as_str() > "2024", "{text}");
    assert_refuses("\n{{ strftime_now('%Q') }}", &["line 2", "%Q"]);
}

#[test]
fn a_template_that_raises_is_one_error_with_its_line() {
    assert_refuses(
        "\n\n{{ raise_exception('Roles must alternate!') }}",
        &["chat template, line 3: Roles must alternate!"],
    );
}

#[test]
fn what_is_no_template_is_one_error_with_its_line() {
    assert_refuses("{{ 1 }}\n{% if %}", &["chat template, line 2"]);
    assert_refuses("a\n{% generation %}x", &["chat template, line 2"]);
    assert_refuses("a\n\n{% endgeneration %}", &["chat template, line 3"]);
    assert_refuses("\n{{ nothing.at.all }}", &["line 2", "nothing"]);
    assert_refuses("{{ 1 | no_such_filter }}", &["no_such_filter"]);
    assert_refuses("{{ 'a'.no_such_method() }}", &["no_such_method"]);
    assert_refuses("{% include 'other' %}", &["line 1"]);
    assert_refuses("{{ debug() }}", &["debug"]);
}

#[test]
fn a_template_without_end_is_an_error() {
    let loops = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
    assert_refuses(loops, &["does not end"]);
    let doubles = "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
    assert_refuses(doubles, &["makes more text"]);
    for expression in [
        "'a' * 10 ** 12",
        "('a' * 99999).replace('a', 'b' * 99999)",
        "('a' * 99999).join('a' * 99999)",
        "('a' * 9999999).rsplit('a')",
        "('a' * 9999999).split()",
        "'{:>9999999}'.format(1)",
    ] {
        assert_refuses(&format!("{{{{ {expression} }}}}"), &["line 1"]);
    }
    let shared = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}";
    assert_refuses(shared, &["does not end"]);
}

#[test]
fn a_template_that_nests_too_deep_is_an_error_and_no_end_of_the_process() {
    assert_refuses(&"{% if 1 %}".repeat(5000), &["recursion"]);
    assert_refuses(&format!("{{{{ {} }}}}", "(".repeat(60_000)), &["recursion"]);
    assert_refuses(
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        &["recursion"],
    );
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}";
    assert_refuses(
        &format!("{nested}{{{{ ns.x | tojson }}}}"),
        &["nested too deeply"],
    );
    assert_refuses(&" ".repeat(1 << 17), &["131072 bytes"]);
    // Long and deep, but with an end.
    assert_renders(nested, "");
    assert_renders(&format!("{{{{ 1{} }}}}", "+1".repeat(30_000)), "30001");
    assert_renders(&format!("{{{{ {}1 }}}}", "-".repeat(60_000)), "1");
}

#[test]
fn a_template_that_the_engine_cannot_run_is_an_error() {
    // The engine leaves the block without leaving its scope, and panics.
    let source = "{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}";
    assert_refuses(source, &["cannot run it"]);
}

/// Text and what of it the assistant wrote.
fn spans(source: &str, messages: &[Message]) -> (String, Vec<String>) {
    let template = ChatTemplate::new(source, special()).unwrap();
    let (text, spans) = template
        .render_with_spans(messages, false, &Map::new())
        .unwrap();
    assert_eq!(text, template.render(messages, false, &Map::new()).unwrap());
    let spans = spans
        .into_iter()
        .map(|span| text[span].to_owned())
        .collect();
    (text, spans)
}

#[test]
fn what_the_assistant_wrote_is_told_by_its_bytes() {
    let source = "{% for m in messages %}\n  {%- if m.role == 'assistant' %}\n    {%- generation %}\n\
                  <{{ m.content }}>{{ eos_token }}\n    {%- endgeneration %}\n  {%- else %}\n({{ m.content }})\n\
                  {%- endif %}\n{%- endfor %}";
    let messages = [talk(), talk()].concat();
    let (text, found) = spans(source, &messages);
    assert_eq!(text, "(2+2?)< four é\n></s>(2+2?)< four é\n></s>");
    assert_eq!(found, ["< four é\n></s>", "< four é\n></s>"]);
    assert_eq!(spans(source, &messages[..1]).1, [""; 0]);
}

#[test]
fn generation_blocks_keep_the_rules_of_blocks() {
    // Names set within stay within, except in a namespace.
    let source = "{% set q = 1 %}{% set ns = namespace(a=1) %}{% generation %}\n\
                  {% set q = 2 %}{% set ns.a = 2 %}{{ q }}{% endgeneration %}\n{{ q }}{{ ns.a }}";
    assert_eq!(
        spans(source, &talk()),
        ("212".to_owned(), vec!["2".to_owned()])
    );
    let nested = "{% generation %}a{% generation %}{% endgeneration %}b{% endgeneration %}";
    let (_, found) = spans(nested, &talk());
    assert_eq!(found, ["ab", ""]);
    let of_macro = "{% macro m(x) %}{%- generation -%} {{ x }} {%- endgeneration -%}{% endmacro %}{{ m('é') }},{{ m('z') }}";
    assert_eq!(spans(of_macro, &talk()).1, ["é", "z"]);
}

#[test]
fn private_characters_of_a_conversation_are_no_marks() {
    let source =
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
    let content = "\u{e000}a\u{e001}\u{e000}";
    let (text, found) = spans(source, &[message("user", content)]);
    assert_eq!((&*text, &*found), (content, &[content.to_owned()][..]));
}

#[test]
fn only_tags_are_tags() {
    let source = "{# {% generation %} #}{{ '{% generation %}' }}{{ {'}}': {'a': 1}}['}}'].a }}\
                  {% raw %}{% generation %}{{{% endraw %}{% if '%}{% generation %}' %}x{% endif %}";
    let template = ChatTemplate::new(source, special()).unwrap();
    assert!(!template.marks_generation());
    assert_renders(source, "{% generation %}1{% generation %}{{x");
    let refused = template.render_with_spans(&talk(), false, &Map::new());
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("no {% generation %} blocks")
    );
}

#[test]
fn text_that_is_changed_after_it_was_marked_is_no_span() {
    let source =
        "{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x | length }}{{ x }}";
    let template = ChatTemplate::new(source, special()).unwrap();
    let error = template
        .render_with_spans(&talk(), false, &Map::new())
        .unwrap_err();
    assert!(
        error.to_string().contains("its place is not known"),
        "{error}"
    );
}

#[test]
fn a_folder_s_template_is_its_file_or_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let read = || ChatTemplate::from_folder(path);
    let text = || {
        read()
            .unwrap()
            .unwrap()
            .render(&talk(), false, &Map::new())
            .unwrap()
    };
    let config = |value: &Json| fs::write(path.join(tokenizer::CONFIG), value.to_string()).unwrap();
    assert!(read().unwrap().is_none());
    config(&json!({"chat_template": null}));
    assert!(read().unwrap().is_none());
    config(&json!({"chat_template": "one{{ bos_token }}", "bos_token": {"content": "<b>"}}));
    assert_eq!(text(), "one<b>");
    config(
        &json!({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}),
    );
    assert_eq!(text(), "d");
    fs::write(path.join("chat_template.jinja"), "file").unwrap();
    assert_eq!(text(), "file");
    fs::write(path.join("chat_template.jinja"), "\n{% if").unwrap();
    let broken = format!("{:#}", read().unwrap_err());
    assert!(
        broken.contains("chat_template.jinja") && broken.contains("line 2"),
        "{broken}"
    );
    fs::remove_file(path.join("chat_template.jinja")).unwrap();
    for (value, word) in [
        (json!(3), "list of named templates"),
        (json!([{"name": "a"}]), "no template"),
        (
            json!([{"name": "a", "template": ""}, {"name": "b", "template": ""}]),
            "a, b",
        ),
    ] {
        config(&json!({"chat_template": value}));
        let text = format!("{:#}", read().unwrap_err());
        assert!(
            text.contains(word) && text.contains(tokenizer::CONFIG),
            "{text}"
        );
    }
}

#[test]
fn the_reference_models_render_as_transformers_does() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/models");
    if !models.exists() {
        println!("skipped: ../shared/fixtures/models is not there");
        return;
    }
    let chat = [
        message("user", "What is 17 + 25?"),
        message("assistant", "<think>17, 27, 37, 42</think> 42"),
    ];
    for entry in fs::read_dir(models).unwrap() {
        let folder = entry.unwrap().path();
        let text = fs::read(folder.join("expected.json")).unwrap();
        let expected: Json = serde_json::from_slice(&text).unwrap();
        let template = ChatTemplate::from_folder(&folder).unwrap().unwrap();
        let render = |messages, prompt| template.render(messages, prompt, &Map::new()).unwrap();
        assert_eq!(render(&chat, false), expected["rendered_chat"]);
        assert_eq!(render(&chat[..1], true), expected["rendered_prompt"]);
    }
}

#[test]
fn a_template_is_told_what_it_reads_in_every_rendering() {
    let source = "{% if enable_thinking is defined and not enable_thinking %}no {% endif %}\
        {% set own = 1 %}{% for m in messages %}{{ m.content }}{% endfor %}";
    let plain = ChatTemplate::new(source, special()).unwrap();
    assert_eq!(plain.unread().unwrap(), Vec::<&str>::new());
    let told = json!({"enable_thinking": false, "enable_thoughts": true, "own": 2});
    let told = plain.telling(told.as_object().unwrap().clone());
    let text = told.render(&[message("user", "2+2?")], true, &Map::new());
    assert_eq!(text.unwrap(), "no 2+2?");
    assert_eq!(told.unread().unwrap(), ["enable_thoughts", "own"]);
}
