//! Number formats that a definition leaves open: measured once, written down,
//! and kept by whoever goes on.

use serde_json::{Value, json};

use crate::support::{Bench, TINY, answering, finished, json as read_json, text};

/// One seed of the tiny experiment, its formats left open.
fn open() -> Bench {
    let definition = TINY.replace("dtype = \"float32\"\n", "");
    assert_ne!(definition, TINY);
    let bench = Bench::new(&definition);
    bench.with_cache_of(finished());
    bench
}

/// What a choice is for, and where the definition of the manifest has it.
const CHOICES: [(&str, &str); 4] = [
    ("training", "/training/dtype"),
    ("the teacher's training", "/teacher/training/dtype"),
    ("rollouts", "/rollout/dtype"),
    ("evaluation", "/evaluation/dtype"),
];

fn other(format: &Value) -> Value {
    json!(if format == "float32" {
        "bfloat16"
    } else {
        "float32"
    })
}

/// A run's manifest is what its file of formats says.
fn assert_kept(bench: &Bench, stderr: &str) {
    let formats = read_json(&bench.path("run/formats.json"));
    let manifest = read_json(&bench.path("run/manifest.json"));
    for (name, place) in CHOICES {
        let format = &formats[name]["format"];
        let used = manifest["definition"].pointer(place).unwrap();
        assert_eq!(used, format, "{name}");
        let rates = &formats[name]["reason"]["measured"];
        for rate in ["float32", "bfloat16"] {
            assert!(rates[rate].as_f64().unwrap() > 0.0, "{name}: {rates}");
        }
        let starts = format!("{name} in {} (", format.as_str().unwrap());
        let lines = stderr.lines().filter(|line| line.starts_with(&starts));
        assert_eq!(lines.count(), 1, "{starts}: {stderr}");
        let told = &manifest["environment"][format!("number format of {name}")];
        assert!(told.as_str().unwrap().contains("GFLOP/s"), "{told}");
    }
}

#[test]
fn open_formats_are_measured_once_and_a_resumed_run_keeps_them() {
    let bench = open();
    let one = ["--seeds", "1"];
    let ended = bench.run("run", &one).done();
    assert_kept(&bench, &ended.stderr);
    assert!(text(&bench.path("run/report.html")).contains("number format of rollouts"));
    // As if another moment had measured otherwise when the run began.
    let mut formats = read_json(&bench.path("run/formats.json"));
    let evaluation = &mut formats["evaluation"]["format"];
    *evaluation = other(evaluation);
    bench.write("run/formats.json", &formats.to_string());
    for done in ["manifest.json", "arms/base/seed-1/outcome.json"] {
        std::fs::remove_file(bench.path("run").join(done)).unwrap();
    }
    let resume = ["--seeds", "1", "--resume"];
    let ended = bench.run("run", &resume).done();
    assert_kept(&bench, &ended.stderr);
    assert_eq!(read_json(&bench.path("run/formats.json")), formats);
    bench.write("run/formats.json", "{\"evaluation\":");
    let damaged = bench.run("run", &resume);
    assert_eq!(damaged.code, Some(2), "{}", damaged.stderr);
    let says = "formats.json is damaged";
    assert!(damaged.stderr.contains(says), "{}", damaged.stderr);
}

#[test]
fn a_format_that_is_said_is_not_measured() {
    let run = &finished().run;
    assert!(!run.join("formats.json").exists());
    let manifest = read_json(&run.join("manifest.json"));
    let mut facts = manifest["environment"].as_object().unwrap().keys();
    assert!(!facts.any(|name| name.starts_with("number format")));
    assert_eq!(manifest["definition"]["training"]["dtype"], "float32");
}

#[test]
fn jobs_of_a_sweep_compute_in_the_same_formats() {
    let bench = open();
    let arguments = [
        "sweep",
        "tiny.toml",
        "--out",
        "sweep",
        "--devices",
        "cpu",
        "--seeds",
        "1,2",
        "--jobs",
        "2",
    ];
    bench.qinglan(&arguments).done();
    let formats = |seed: u64| text(&bench.path(&format!("sweep/jobs/seed-{seed}/formats.json")));
    assert_eq!(formats(1), formats(2));
}

#[test]
fn an_evaluation_goes_on_in_the_format_that_it_began_with() {
    let bench = Bench::new(TINY);
    answering(&bench.path("model"), 0.0);
    let mut arguments = vec![
        "evaluate",
        "--model",
        "model",
        "--tasks",
        "alphabet_arithmetic",
        "--max-new-tokens",
        "8",
        "--out",
        "out",
        "--device",
        "cpu",
    ];
    let ended = bench.qinglan(&arguments).done();
    assert!(ended.stderr.contains("answers in "), "{}", ended.stderr);
    let manifest = read_json(&bench.path("out/manifest.json"));
    let told = &manifest["environment"]["number format of answers"];
    assert!(told.as_str().unwrap().contains("GFLOP/s"), "{told}");
    let mut identity = read_json(&bench.path("out/evaluation.json"));
    let format = &mut identity["source"]["dtype"];
    *format = other(format);
    let says = format!("answers in {} (as it was begun)", format.as_str().unwrap());
    bench.write("out/evaluation.json", &identity.to_string());
    arguments.push("--resume");
    let ended = bench.qinglan(&arguments).done();
    assert!(ended.stderr.contains(&says), "{says}: {}", ended.stderr);
}
