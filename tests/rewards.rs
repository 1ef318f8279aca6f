//! Rewards as users meet them: `qinglan rewards`, and what a training says of
//! its rewards.

use experiments::completions::{self, LoggedCompletion};
use experiments::dataset;
use qinglan::tasks::{Mix, Proportions, Split};
use serde_json::{Value, json};

use crate::metrics::logged;
use crate::support::{Bench, Ended, TINY, finished, text};

/// `qinglan rewards check` of the tiny definition on a file of its bench.
fn check(bench: &Bench, more: &[&str]) -> Ended {
    let mut arguments = vec!["rewards", "check", "tiny.toml", "--completions"];
    arguments.extend_from_slice(more);
    bench.qinglan(&arguments)
}

fn found(ended: Ended) -> Vec<Value> {
    serde_json::from_str(&ended.done().stdout).unwrap()
}

/// The figures of a reward, part or sum.
fn scores<'a>(findings: &'a Value, name: &str) -> &'a Value {
    let mut all = findings["scores"].as_array().unwrap().iter();
    all.find(|one| one["name"] == name).unwrap()
}

#[test]
fn every_reward_is_listed_and_describes_its_parameters() {
    let bench = Bench::new(TINY);
    let listed = bench.qinglan(&["rewards", "list"]).done().stdout;
    let registry = rewards::Registry::builtin();
    for name in registry.names() {
        assert!(listed.contains(&format!("\n{name} ")), "{name}: {listed}");
        let told = bench.qinglan(&["rewards", "describe", name]).done().stdout;
        let described = registry.describe(name).unwrap();
        assert!(told.contains(described.text.trim()), "{told}");
        for parameter in &described.parameters {
            assert!(told.contains(&format!("\n{} ", parameter.key)), "{told}");
        }
    }
    let wrong = bench.qinglan(&["rewards", "describe", "corect"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("did you mean `correct`?"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn check_says_of_kept_completions_what_the_training_said() {
    let bench = finished().copy();
    let kept = "run/arms/grpo/seed-1/completions";
    let all = found(check(&bench, &[kept, "--arm", "grpo", "--json"]));
    assert_eq!(all.len(), 1);
    let mut said = std::collections::BTreeMap::<String, Vec<f64>>::new();
    let columns = [
        "rewards/correct",
        "rewards/format",
        "rewards/length_cost",
        "rewards/length_cost/spent",
        "reward",
    ];
    let mut files = 0;
    for entry in bench.path(kept).read_dir().unwrap() {
        files += 1;
        for row in dataset::read(&entry.unwrap().path(), &columns)
            .unwrap()
            .rows
        {
            for (name, value) in row {
                let name = name.strip_prefix("rewards/").unwrap_or("weighted sum");
                said.entry(name.to_owned())
                    .or_default()
                    .extend(value.as_f64());
            }
        }
    }
    assert_eq!(said.len(), columns.len());
    assert_eq!(all[0]["batches"], json!(files));
    assert_eq!(all[0]["verdicts"], all[0]["completions"]);
    for (name, values) in said {
        let scores = scores(&all[0], &name);
        assert_eq!(scores["n"], json!(values.len()), "{name}");
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!(
            (scores["mean"].as_f64().unwrap() - mean).abs() < 1e-9,
            "{name}"
        );
    }
    let recorded = all[0]["recorded"].as_array().unwrap();
    assert_eq!(recorded.len(), 4, "{recorded:?}");
    for one in recorded {
        assert_eq!(one["differ"], 0, "{one}");
        assert_eq!(one["n"], all[0]["completions"], "{one}");
    }
    // Without a name, the teacher's rewards are tried as well.
    let arms = found(check(&bench, &[kept, "--json"]));
    let arms: Vec<&Value> = arms.iter().map(|found| &found["arm"]).collect();
    assert_eq!(arms, ["grpo", "teacher"]);
}

#[test]
fn what_is_shown_fits_a_terminal_and_commands_none() {
    let bench = finished().copy();
    bench.write(
        "given.jsonl",
        "{\"prompt\": \"2 + 2 = ?\", \"completion\": \"\\u001b[31m4\", \"answer\": 4, \"tokens\": 1, \"level\": [1]}\n\n\
         {\"prompt\": \"2 + 3 = ?\", \"completion\": \"<think> a b c </think> 6\", \"answer\": \"5\", \"tokens\": 9}\n\
         {\"prompt\": \"a word that no terminal is wide enough for\", \"completion\": \"5\", \"answer\": null}\n",
    );
    for given in ["run/teacher/completions", "given.jsonl"] {
        let told = check(&bench, &[given]).done().stdout;
        for part in ["arm grpo", "arm teacher", "correct"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        // What a model wrote may all be worth the same.
        for part in ["Pearson", "rewards disagree"] {
            assert!(
                given != "given.jsonl" || told.contains(part),
                "{part}: {told}"
            );
        }
        let wide = told.lines().filter(|line| line.chars().count() > 80);
        assert_eq!(wide.count(), 0, "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
    let told = check(&bench, &["given.jsonl", "--arm", "grpo"])
        .done()
        .stdout;
    let words: Vec<&str> = told.split_whitespace().collect();
    let told = words.join(" ");
    for said in [
        "1 of 3 completions have no `completion_tokens`",
        "3 of 3 completions have no `reasoning_tokens`",
    ] {
        assert!(told.contains(said), "{told}");
    }
    assert!(told.contains("(2 of 3 are judged)"), "{told}");
}

#[test]
fn a_reward_that_pays_the_right_for_being_long_is_warned_of() {
    let definition = TINY.replace(
        "reward = { correct = 1.0, format = 0.1, length_cost = 0.1 }\ntraining = { steps = 40 }",
        "reward = { correct = 1.0, short = { is = \"format\", weight = 0.0 } }\ntraining = { steps = 40 }",
    );
    let bench = Bench::new(&definition);
    // Right answers have the form, and among the wrong the long ones have it.
    let lines: Vec<String> = (0..60)
        .map(|index| {
            let (right, long) = (index % 2 == 0, index % 3 == 0);
            let completion = match (right, long) {
                (true, _) => "<think> a </think> 4",
                (false, true) => "<think> a </think> 5",
                (false, false) => "5",
            };
            let tokens = if long { 30 + index } else { 5 + index % 4 };
            json!({"prompt": "?", "completion": completion, "answer": "4", "tokens": tokens, "reasoning_tokens": 1}).to_string()
        })
        .collect();
    bench.write("given.jsonl", &lines.join("\n"));
    let told = check(&bench, &["given.jsonl", "--arm", "grpo"])
        .done()
        .stdout;
    assert_eq!(told.matches("warning: ").count(), 1, "{told}");
    assert!(
        told.contains("warning: short pays for more than being right"),
        "{told}"
    );
    // Openly paid for it is no secret.
    let told = check(&bench, &["given.jsonl", "--arm", "teacher"])
        .done()
        .stdout;
    assert!(!told.contains("warning: length_cost"), "{told}");
    assert!(!told.contains("warning: weighted sum"), "{told}");
}

/// The tiny definition with this table of its first arm's rewards.
fn tried(table: &str) -> String {
    let old = "reward = { correct = 1.0, format = 0.1, length_cost = 0.1 }\ntraining";
    let arm = TINY.find("[arm.grpo]").unwrap();
    let (before, after) = TINY.split_at(arm);
    let new = after.replace(old, &format!("reward = {table}\ntraining"));
    assert_ne!(new, after);
    format!("{before}{new}")
}

#[test]
fn a_reward_that_cannot_judge_a_row_is_named_with_it_and_the_others_go_on() {
    let table =
        "{ format = 1.0, mine = { is = \"script\", expr = \"if correct { 1.0 } else { 0.0 }\" } }";
    let bench = Bench::new(&tried(table));
    bench.write(
        "given.jsonl",
        "{\"prompt\": \"1 + 1 = ?\", \"completion\": \"2\", \"solution\": 2}\n\
         {\"prompt\": \"1 + 2 = ?\", \"completion\": \"3\"}\n",
    );
    let ended = check(&bench, &["given.jsonl", "--arm", "grpo"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("mine of arm grpo"),
        "{}",
        ended.stderr
    );
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    let told = words.join(" ");
    for said in [
        "mine could not judge: given.jsonl, line 2: ",
        "`correct` is (): no expected answer is known",
        "format 1 2 ",
        "(1 of 2 are judged)",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

/// Says whether there is a Python; a test that needs one is left out without.
fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("-V").output();
    if found.is_err() {
        println!("skipped: there is no python3");
    }
    found.is_ok()
}

/// A function that counts the tokens it is shown, in a table of rewards.
const COUNT: &str =
    "def count(completion_ids, **_):\n    return [float(len(ids)) for ids in completion_ids]\n";
const COUNTING: &str = "{ is = \"python\", file = \"count.py\", function = \"count\" }";

#[test]
fn functions_see_sampled_tokens_that_a_text_does_not_tell() {
    if !has_python() {
        return;
    }
    let bench = Bench::new(&tried(&format!("{{ count = {COUNTING} }}")));
    bench.write("count.py", COUNT);
    // Padding that a policy has come to write, and a text in other pieces.
    let row = |sample: u32, ids: &[i64]| LoggedCompletion {
        step: 1,
        task: "sums".to_owned(),
        problem: "sums/1".to_owned(),
        sample,
        prompt: "2 + 2 = ?".to_owned(),
        completion: "4".to_owned(),
        completion_ids: ids.to_vec(),
        reward: None,
        rewards: Vec::new(),
        advantage: None,
        completion_tokens: ids.len() as u32,
        reasoning_tokens: 0,
        truncated: false,
    };
    let rows = [
        row(0, &[0, 0, 44, 0, 0, 0, 2]),
        row(1, &[44, 2]),
        row(2, &[3]),
    ];
    std::fs::create_dir(bench.path("kept")).unwrap();
    completions::write(&bench.path("kept/step-000001.parquet"), &rows).unwrap();
    let all = found(check(&bench, &["kept", "--arm", "grpo", "--json"]));
    let said = scores(&all[0], "count");
    assert_eq!((&said["n"], &said["mean"]), (&json!(3), &json!(10.0 / 3.0)));
    let told = check(&bench, &["kept", "--arm", "grpo"]).done().stdout;
    assert!(!told.contains("completion_ids"), "{told}");
}

#[test]
fn functions_see_the_tokens_of_a_runs_own_completions() {
    if !has_python() {
        return;
    }
    let bench = finished().copy();
    bench.write("count.py", COUNT);
    let function = COUNTING;
    let kept = "run/arms/grpo/seed-1/completions";
    // A reward of another formula under a name that the training had.
    bench.write(
        "tiny.toml",
        &tried(&format!("{{ length_cost = {function} }}")),
    );
    let all = found(check(&bench, &[kept, "--arm", "grpo", "--json"]));
    let mut tokens = Vec::new();
    for entry in bench.path(kept).read_dir().unwrap() {
        let read = dataset::read(&entry.unwrap().path(), &["completion_tokens"]);
        let rows = read.unwrap().rows.into_iter();
        tokens.extend(rows.map(|row| row["completion_tokens"].as_f64().unwrap()));
    }
    let mean = tokens.iter().sum::<f64>() / tokens.len() as f64;
    let said = scores(&all[0], "length_cost")["mean"].as_f64().unwrap();
    assert!((said - mean).abs() < 1e-9, "{said} {mean}");
    let recorded = all[0]["recorded"].as_array().unwrap();
    assert_eq!(recorded.len(), 1, "the sum is of other rewards");
    assert_eq!(recorded[0]["differ"], all[0]["completions"]);
    bench.write(
        "given.jsonl",
        "{\"prompt\": \"1 + 2 = ?\", \"completion\": \"3\"}\n",
    );
    let told = check(&bench, &["given.jsonl", "--arm", "grpo"])
        .done()
        .stdout;
    assert!(
        told.contains("1 of 1 completions come without `completion_ids`: functions see []"),
        "{told}"
    );
}

#[test]
fn rows_that_make_no_sense_are_named_by_file_line_and_key() {
    let bench = Bench::new(TINY);
    let good = "{\"prompt\": \"?\", \"completion\": \"4\"}";
    for (line, says) in [
        (
            "{\"prompt\": \"?\"}",
            "given.jsonl, line 3: it has no `completion`",
        ),
        ("{\"completion\": \"4\"}", "line 3: it has no `prompt`"),
        (
            "{\"prompt\": [1], \"completion\": \"4\"}",
            "line 3: `prompt` is [1]: write text",
        ),
        (
            "{\"prompt\": \"?\", \"completion\": \"4\", \"tokens\": -1}",
            "line 3: `tokens` is -1",
        ),
        (
            "{\"prompt\": \"?\", \"completion\": \"4\", \"truncated\": 1}",
            "line 3: `truncated` is 1",
        ),
        (
            "{\"prompt\": \"?\", \"completion\": \"4\", \"answer\": {}}",
            "line 3: `answer` is {}",
        ),
        (
            "{\"prompt\": \"?\", \"completion\": \"4\", \"completion_ids\": [\"a\"]}",
            "`completion_ids`",
        ),
        (
            "[\"?\", \"4\"]",
            "given.jsonl, line 3: a completion is a JSON object",
        ),
        ("{\"prompt\": \"?\", ", "line 3"),
        ("\u{1}", "line 3"),
    ] {
        bench.write("given.jsonl", &format!("{good}\n\n{line}\n"));
        let refused = check(&bench, &["given.jsonl"]);
        assert_eq!(refused.code, Some(2), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{line}: {}", refused.stderr);
        assert!(refused.stdout.is_empty());
    }
    bench.write("given.jsonl", "\n");
    for (more, says) in [
        (vec!["given.jsonl"], "given.jsonl holds no completions"),
        (vec!["absent.jsonl"], "absent.jsonl"),
        (vec!["."], "holds no Parquet file"),
        (
            vec!["given.jsonl", "--arm", "sft"],
            "there is no arm sft with rewards; there are grpo, teacher",
        ),
    ] {
        let refused = check(&bench, &more);
        assert_eq!(refused.code, Some(2), "{more:?}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(says),
            "{more:?}: {}",
            refused.stderr
        );
    }
}

/// The tiny experiment without its teacher and with this reward table.
fn rewarded(table: &str) -> Bench {
    let teacher = TINY.find("[teacher]").unwrap();
    let rollout = TINY.find("[rollout]").unwrap();
    let sft = TINY.find("[arm.sft]").unwrap();
    let arm = TINY.find("[arm.grpo]").unwrap();
    let parts = [&TINY[..teacher], &TINY[rollout..sft], &TINY[arm..]].concat();
    let old = "reward = { correct = 1.0, format = 0.1, length_cost = 0.1 }";
    let new = parts.replace(old, table).replace("steps = 40", "steps = 4");
    let bench = Bench::new(&new.replace("seeds = [1, 2]", "seeds = [1]"));
    bench.with_cache_of(finished());
    bench
}

#[test]
fn a_weight_of_0_measures_and_pays_nothing() {
    let bench = rewarded("reward = { correct = 1.0, form = { is = \"format\", weight = 0.0 } }");
    bench.run("run", &[]).done();
    let folder = bench.path("run/arms/grpo/seed-1");
    let lines = logged(&folder);
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains_key("reward"))
        .collect();
    assert_eq!(told.len(), 4);
    for line in told {
        assert_eq!(line["reward"], line["rewards/correct/mean"]);
        assert!(line.contains_key("rewards/form/mean"), "{line:?}");
        assert!(line.contains_key("rewards/form/block/mean"), "{line:?}");
    }
    let file = folder.join("completions/step-000001.parquet");
    let columns = [
        "reward",
        "rewards/correct",
        "rewards/form",
        "rewards/form/block",
    ];
    for row in dataset::read(&file, &columns).unwrap().rows {
        assert_eq!(row["reward"], row["rewards/correct"]);
        assert!(row["rewards/form"].is_f64() && row["rewards/form/block"].is_f64());
    }
    let page = text(&bench.path("run/report.html"));
    for part in ["Rewards of grpo", "form: block"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_reward_that_fails_while_others_are_sampled_ends_the_training_with_its_reason() {
    // Of its problems the first alone is asked about before a training begins.
    let mix = Mix::new(&["alphabet_arithmetic"], Proportions::default()).unwrap();
    let prompt = |index| mix.item(1, Split::Train, index).unwrap().prompt;
    assert_ne!(prompt(0), prompt(1));
    let expr = format!(
        "if prompt == \"{}\" {{ 1.0 }} else {{ nearness(tokens) }}",
        prompt(0)
    );
    let bench = rewarded(&format!(
        "reward = {{ correct = 1.0, near = {{ is = \"script\", expr = '{expr}' }} }}"
    ));
    let ended = bench.run("run", &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("reward `near` cannot judge completion"),
        "{}",
        ended.stderr
    );
    assert!(
        !ended.stderr.contains("the rewards have failed"),
        "{}",
        ended.stderr
    );
}
