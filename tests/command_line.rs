//! The verbs and their options, as far as they need no bad input.

use serde_json::{Value, json};

use crate::support::{ARMS, Bench, TINY, files_below, finished, json as read_json, text};

#[test]
fn doctor_tells_what_the_machine_offers() {
    let bench = Bench::new(TINY);
    let told = bench.qinglan(&["doctor"]).done().stdout;
    let lines: Vec<(&str, &str)> = told
        .lines()
        .filter_map(|line| line.trim_start().split_once("  "))
        .collect();
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let expected = [
        "qinglan",
        "libtorch",
        "processor",
        "instructions",
        "threads",
        "kernels",
        "training",
        "generation",
        "cuda",
        "memory",
        "disk",
        "cache",
    ];
    assert_eq!(names, expected, "{told}");
    assert_eq!(lines[0].1, env!("CARGO_PKG_VERSION"));
    let cache = bench.path("cache/qinglan");
    assert_eq!(lines[11].1, cache.to_string_lossy());
    for (name, told) in &lines[6..8] {
        assert!(
            told.contains("bfloat16 ") && told.contains("GFLOP/s"),
            "{name}: {told}"
        );
    }
    let no_cuda = lines[8].1.strip_prefix("none: ");
    assert!(no_cuda.is_none_or(|why| why.len() > 10), "{told}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let bench = Bench::new(TINY);
    let help = bench.qinglan(&["--help"]).done();
    for verb in ["run", "compare", "report", "doctor"] {
        assert!(help.stdout.contains(verb), "{}", help.stdout);
    }
    let version = bench.qinglan(&["--version"]).done().stdout;
    assert_eq!(
        version.trim_end(),
        concat!("qinglan ", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(bench.qinglan(&[]).code, Some(2));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let bench = Bench::new(TINY);
    let before = files_below(&bench.path(""));
    let told = bench.run("run", &["--dry-run"]).done().stdout;
    for part in [
        "A tiny experiment",
        "into run",
        "seeds [1, 2]",
        "tasks: alphabet_arithmetic",
        "base: ",
        "teacher: ",
        "arm sft: sft, 20 updates",
        "arm grpo: grpo, 40 updates",
        "evaluation: 1 samples",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let changed = bench.run(
        "run",
        &[
            "--dry-run",
            "--seeds",
            "5,6",
            "--set",
            "arm.sft.training.steps=7",
        ],
    );
    let changed = changed.done().stdout;
    assert!(changed.contains("seeds [5, 6]"), "{changed}");
    assert!(changed.contains("arm sft: sft, 7 updates"), "{changed}");
    assert_eq!(before, files_below(&bench.path("")));
    assert!(!bench.path("run").exists() && !bench.path("cache").exists());
}

#[test]
fn seeds_and_settings_from_the_command_line_reach_the_manifest() {
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    let options = [
        "--seeds",
        "2",
        "--set",
        "arm.sft.training.steps=3",
        "--set",
        "experiment.title=Another title",
        "--set",
        "arm.grpo.reward={ correct = 2.0 }",
    ];
    let ended = bench.run("run", &options).done();
    assert!(ended.stdout.contains("Another title"), "{}", ended.stdout);
    let manifest = read_json(&bench.path("run/manifest.json"));
    assert_eq!(manifest["seeds"], json!([2]));
    assert_eq!(manifest["title"], "Another title");
    let arms = &manifest["definition"]["arm"];
    assert_eq!(arms["sft"]["training"]["steps"], 3);
    assert_eq!(arms["grpo"]["reward"], json!({"correct": 2.0}));
    for run in manifest["arm_runs"].as_array().unwrap() {
        let steps = match run["arm"].as_str().unwrap() {
            "base" => continue,
            "sft" => 3,
            "grpo" => 40,
            _ => 10,
        };
        assert_eq!(run["budget"]["optimizer_steps"], steps, "{run}");
    }
    let stored = text(&bench.path("run/definition.toml"));
    assert!(
        stored.contains("steps = 3") && stored.contains("seeds = [2]"),
        "{stored}"
    );
    // The run can be told from its folder alone: the stored definition is
    // the whole one, and going on with it changes nothing.
    bench.write("tiny.toml", &stored);
    let again = bench.run("run", &["--resume"]).done();
    assert_eq!(again.stdout, ended.stdout);
}

#[test]
fn every_format_of_compare_can_be_read() {
    let finished = finished();
    let print = |format| {
        finished
            .qinglan(&["compare", "run", "--format", format])
            .done()
            .stdout
    };
    let parsed: Value = serde_json::from_str(&print("json")).unwrap();
    let names: Vec<&str> = parsed["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| arm["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ARMS);
    let csv = print("csv");
    let mut lines = csv.lines();
    let header = lines.next().unwrap();
    assert!(
        header.starts_with("kind,arm,against,task,measure,value,low,high,se,df,n,p,p_equivalence")
    );
    for arm in ARMS {
        let row = format!("arm,{arm},,,accuracy,");
        assert!(lines.clone().any(|line| line.starts_with(&row)), "{arm}");
    }
    let markdown = print("md");
    assert!(markdown.starts_with("# A tiny experiment\n"));
    let latex = print("latex");
    assert_eq!(
        latex.matches("\\begin{").count(),
        latex.matches("\\end{").count()
    );
    assert!(latex.contains("\\begin{tabular"));
    for text in [&markdown, &latex, &print("terminal")] {
        assert!(ARMS.iter().all(|arm| text.contains(arm)));
    }
}

#[test]
fn runs_with_the_same_evaluation_are_compared_side_by_side() {
    let bench = finished().copy();
    std::fs::rename(bench.path("run"), bench.path("first")).unwrap();
    let second = finished().copy();
    std::fs::rename(second.path("run"), bench.path("second")).unwrap();
    let ended = bench.qinglan(&["compare", "first", "second", "--format", "json"]);
    let parsed: Value = serde_json::from_str(&ended.done().stdout).unwrap();
    let arms = parsed["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 2 * ARMS.len());
    assert!(arms.iter().any(|arm| arm["name"] == "first/sft"));
    assert!(arms.iter().any(|arm| arm["name"] == "second/grpo"));
}

#[test]
fn settings_of_trl_become_a_definition_that_is_not_written_over() {
    let bench = Bench::new("");
    bench.write(
        "trl.yaml",
        "num_generations: 4\nper_device_train_batch_size: 8\nmax_steps: 3\nlearning_rate: 2.0e-6\nuse_vllm: true\n",
    );
    let arguments = [
        "config",
        "from-trl",
        "trl.yaml",
        "--algorithm",
        "grpo",
        "--out",
        "mine.toml",
    ];
    let ended = bench.qinglan(&arguments).done();
    for said in [
        "max_steps",
        "training.steps",
        "use_vllm = true: not supported",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let definition = text(&bench.path("mine.toml"));
    for part in [
        "prompts_per_generation = 2",
        "steps = 3",
        "old_logprobs = \"recomputed\"",
    ] {
        assert!(definition.contains(part), "{part}: {definition}");
    }
    let again = bench.qinglan(&arguments);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert_eq!(text(&bench.path("mine.toml")), definition);
    // It reads as it is, up to the model that TRL's file does not name.
    let dry = bench.qinglan(&["run", "mine.toml", "--dry-run", "--out", "run"]);
    assert!(dry.stderr.contains("base.model"), "{}", dry.stderr);
    bench.write("odd.yaml", "num_generatons: 4\n");
    let odd = bench.qinglan(&["config", "from-trl", "odd.yaml"]);
    assert_eq!(odd.code, Some(2));
    for said in ["odd.yaml", "num_generatons", "num_generations"] {
        assert!(odd.stderr.contains(said), "{said}: {}", odd.stderr);
    }
}
