//! Definitions that extend others: what a dry run prints of them, what a run keeps,
//! and how they are refused.

use crate::support::{Bench, TINY, text};

/// A bench of a definition that extends [`TINY`], which lies in a folder of its own.
fn bench(own: &str) -> Bench {
    let bench = Bench::new(&format!("{HEAD}{own}"));
    bench.write("lab/parent.toml", TINY);
    bench
}

const HEAD: &str = "extends = \"lab/parent.toml\"
experiment.name = \"child\"
experiment.title = \"A child\"
experiment.hypothesis = \"None.\"
";

fn line_of(text: &str, part: &str) -> usize {
    let before = &text[..text.find(part).unwrap()];
    before.matches('\n').count() + 1
}

#[test]
fn a_dry_run_prints_the_whole_and_where_it_comes_from() {
    let bench = bench("remove = [\"arm.grpo\"]\n[arm.sft]\ntraining.steps = 7\n");
    let options = ["--dry-run", "--seeds", "5", "--set", "evaluation.samples=2"];
    let told = bench.run("run", &options).done().stdout;
    for part in [
        "A child\n".to_owned(),
        "arm sft: sft, 7 updates".to_owned(),
        "\nseeds = [5]  # --set\n".to_owned(),
        "\nsamples = 2  # --set\n".to_owned(),
        "\nsteps = 7\n".to_owned(),
        format!(
            "\nbatch_size = 8  # lab/parent.toml, line {}\n",
            line_of(TINY, "algorithm.sft")
        ),
        format!(
            "\nvalidation_problems = 16  # lab/parent.toml, line {}\n",
            line_of(TINY, "validation_problems")
        ),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    for absent in ["extends", "remove", "arm.grpo"] {
        assert!(!told.contains(absent), "{absent}: {told}");
    }
    let own = Bench::new(TINY).run("run", &["--dry-run"]).done().stdout;
    assert!(own.ends_with(&format!("\n{TINY}")), "{own}");
}

#[test]
fn what_is_printed_reads_as_the_same_definition() {
    let bench = bench("arm.sft.training.steps = 7\n");
    let told = bench.run("run", &["--dry-run"]).done().stdout;
    let whole = &told[told.find("[experiment]").unwrap()..];
    bench.write("tiny.toml", whole);
    let again = bench.run("run", &["--dry-run"]).done().stdout;
    assert_eq!(again, told);
}

#[test]
fn a_run_of_a_definition_that_extends_another_keeps_the_whole() {
    let own = "remove = [\"teacher\", \"arm.grpo\"]
experiment.seeds = [1]
arm.sft.training.steps = 2
base.pretraining.training.steps = 12
teacher.traces = { worked = true, problems = 8 }
";
    let bench = bench(own);
    bench.run("run", &[]).done();
    let kept = text(&bench.path("run/definition.toml"));
    assert!(
        !kept.contains("extends") && kept.contains("[base.shape]"),
        "{kept}"
    );
    let told = bench.run("run", &["--resume"]).done().stdout;
    assert!(told.contains("A child"), "{told}");
    // What the run is of changes with what its definition extends.
    bench.write(
        "lab/parent.toml",
        &TINY.replace("focus_weight = 4.0", "focus_weight = 3.0"),
    );
    let refused = bench.run("run", &["--resume"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[test]
fn each_mistake_is_one_error_with_its_file_and_line() {
    let steps = line_of(TINY, "algorithm.sft") + 1;
    for (own, parent, words) in [
        (
            "remove = [\"arm.x\"]",
            TINY.to_owned(),
            &["tiny.toml, line 5: remove \"arm.x\""][..],
        ),
        (
            "arm.sft.training.step = 1",
            TINY.to_owned(),
            &["tiny.toml, line 5: arm.sft.training.step: unknown field `step`"],
        ),
        (
            "",
            TINY.replace("steps = 20 }", "step = 20 }"),
            &[&format!(
                "lab/parent.toml, line {steps}: arm.sft.training.step: unknown field `step`"
            )],
        ),
        (
            "",
            TINY.replace("validation_problems = 16", "validation_problems = 0"),
            &["lab/parent.toml, line 10: tasks.validation_problems = 0"],
        ),
        (
            "base.model = \"smollm2\"",
            TINY.to_owned(),
            &[
                "tiny.toml, line 5: base needs either",
                "lab/parent.toml",
                "remove = [\"base.KEY\"]",
            ],
        ),
        (
            "arm.grpo.algorithm.rloo.num_generations = 4",
            TINY.to_owned(),
            &[
                "tiny.toml, line 5: ",
                "remove = [\"arm.grpo.algorithm.KEY\"]",
            ],
        ),
        (
            "",
            "extends = \"../tiny.toml\"\n".to_owned() + &HEAD[HEAD.find('\n').unwrap() + 1..],
            &["lab/parent.toml, line 1: extends", "circle"],
        ),
        (
            "",
            "x = ".to_owned(),
            &[
                "tiny.toml, line 1: extends",
                "lab/parent.toml: TOML parse error at line 1",
            ],
        ),
    ] {
        let bench = bench(own);
        bench.write("lab/parent.toml", &parent);
        assert_refused(&bench, words);
    }
    for (from, to, words) in [
        (
            "\"lab/parent.toml\"",
            "3",
            &["tiny.toml, line 1: extends = 3"][..],
        ),
        (
            "lab/parent",
            "lab/absent",
            &[
                "tiny.toml, line 1: extends",
                "reading lab/absent.toml",
                "No such file",
            ],
        ),
        (
            "experiment.hypothesis = \"None.\"",
            "",
            &["tiny.toml, line 1: experiment.hypothesis is not inherited"],
        ),
    ] {
        let bench = bench("");
        bench.write("tiny.toml", &HEAD.replace(from, to));
        assert_refused(&bench, words);
    }
}

#[test]
fn a_check_names_the_line_of_its_key_without_extends_too() {
    let text = TINY.replace("samples = 1", "samples = 0");
    let line = line_of(&text, "samples = 0");
    let told = format!("tiny.toml, line {line}: evaluation.samples = 0");
    assert_refused(&Bench::new(&text), &[&told]);
}

fn assert_refused(bench: &Bench, words: &[&str]) {
    let ended = bench.run("run", &["--dry-run"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let errors = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}
