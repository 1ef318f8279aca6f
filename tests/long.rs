//! `qinglan compare --format long`: the tables that it writes, and the script
//! beside them, run by R with lme4 where they are there.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::{Bench, Ended, TINY, text};

/// Items, and how many per cent tokens rise where people take one per cent longer.
const ITEMS: usize = 24;
const SLOPES: [(&str, f64); 2] = [("base", 0.2), ("sft, late", 0.8)];

/// A number between -1 and 1 that follows from its arguments.
fn noise(of: [usize; 4]) -> f64 {
    let mixed = of.iter().fold(7_u64, |sum, part| {
        (sum ^ *part as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    });
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// What people's mean ln(ms) of an item is.
fn human_cost(item: usize) -> f64 {
    6.5 + 1.5 * (item * 7 % ITEMS) as f64 / ITEMS as f64
}

/// An evaluation of two made-up arms as `run`, people's times with trials as `norms`.
fn evaluated() -> Bench {
    let bench = Bench::new(TINY);
    let mut items = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy,\
                     cluster,x_size\n"
        .to_owned();
    let mut trials = "task,item_id,subject,rt_ms,correct,repeat\n".to_owned();
    let mut traces = String::new();
    for item in 0..ITEMS {
        let h = human_cost(item);
        let name = format!("\"{item}, it is\"");
        let size = item * 5 % 9;
        writeln!(
            items,
            "sums,{name},{item},{item},c,6,,{h},1,pair {},{size}",
            item / 2
        )
        .unwrap();
        for subject in 0..6 {
            let own = 0.1 * subject as f64 + 0.2 * noise([item, subject, 0, 9]);
            let rt = (h + own).exp();
            let right = u8::from((item + subject) % 11 > 0);
            writeln!(trials, "sums,{name},p{subject},{rt},{right},0").unwrap();
        }
        for (arm, (model, slope)) in SLOPES.iter().enumerate() {
            for seed in 1..=3 {
                for sample in 0..4 {
                    let own = 0.15 * noise([arm, seed, item, sample]);
                    let tokens = (5.0 + slope * (h - 7.25) + own).exp().round();
                    let correct = ["true", "false", "null"][(item + sample) % 3];
                    writeln!(
                        traces,
                        "{{\"model\":\"{model}\",\"seed\":{seed},\"task\":\"sums\",\
                         \"item_id\":\"{item}, it is\",\"sample\":{sample},\"prompt_tokens\":9,\
                         \"reasoning_tokens\":{tokens},\"completion_tokens\":{},\
                         \"correct\":{correct},\"truncated\":false}}",
                        tokens + 2.0
                    )
                    .unwrap();
                }
            }
        }
    }
    bench.write("norms/items.csv", &items);
    bench.write("norms/trials.csv", &trials);
    bench.write("traces.jsonl", &traces);
    bench.write(
        "models.json",
        r#"[{"name":"base","role":"base"},{"name":"sft, late","role":"student","base":"base"}]"#,
    );
    let evaluate = ["evaluate", "--traces", "traces.jsonl", "--out", "run"];
    let with = ["--models", "models.json", "--norms", "norms"];
    bench.qinglan(&[&evaluate[..], &with[..]].concat()).done();
    bench
}

fn long(bench: &Bench, more: &[&str]) -> Ended {
    let long = ["compare", "run", "--format", "long"];
    bench.qinglan(&[&long[..], more].concat())
}

/// Whether R and lme4 are there; says so where they are not.
fn lme4_is_there() -> bool {
    let asked = Command::new("Rscript")
        .args(["-e", "library(lme4)"])
        .output();
    let there = asked.is_ok_and(|asked| asked.status.success());
    if !there {
        println!("skipped: there is no Rscript with lme4 to run the script");
    }
    there
}

#[test]
fn every_record_and_trial_is_written_and_lme4_finds_the_slopes_that_made_them() {
    let bench = evaluated();
    let told = long(&bench, &["--out", "a table", "--norms", "norms"]).done();
    let samples = text(&bench.path("a table/samples.csv"));
    let mut lines = samples.lines();
    assert_eq!(
        lines.next(),
        Some(
            "arm,role,seed,base,teacher,teacher_seed,task,item,cluster,h,x_size,sample,prompt_tokens,tokens,log_tokens,cut_off,right"
        )
    );
    assert_eq!(lines.count(), 2 * 3 * 4 * ITEMS);
    let start = format!(
        "\"sft, late\",student,2,base,,,sums,\"5, it is\",pair 2,{},7,1,9,",
        human_cost(5)
    );
    let row = samples.lines().find(|line| line.starts_with(&start));
    assert!(row.is_some_and(|row| row.ends_with(",0,1")), "{row:?}");
    assert_eq!(
        text(&bench.path("a table/trials.csv")).lines().count(),
        1 + 6 * ITEMS
    );
    assert!(
        told.joined().contains("576 records") && told.joined().contains("144 trials"),
        "{}",
        told.stdout
    );
    if !lme4_is_there() {
        return;
    }
    let ran = Command::new("Rscript")
        .arg(bench.path("a table/analysis.R"))
        .current_dir("/")
        .output()
        .unwrap();
    let ran = Ended::of(ran).done();
    assert!(ran.stdout.contains("sft, late - base"), "{}", ran.stdout);
    let found = text(&bench.path("a table/lme4.csv"));
    // The estimates of a model and a pair of arms, one of each fit.
    let estimates = |model: &str, arm: &str, against: &str| -> Vec<f64> {
        let start = format!("\"{model}\",\"{arm}\",\"{against}\",");
        let rows = found.lines().filter_map(|line| line.strip_prefix(&start));
        rows.map(|row| row.split(',').next().unwrap().parse().unwrap())
            .collect()
    };
    for (arm, slope) in SLOPES {
        let slopes = estimates("tokens", arm, "");
        assert_eq!(slopes.len(), 2, "{found}");
        assert!(
            slopes.iter().all(|s| (s - slope).abs() < 0.05),
            "{slopes:?}"
        );
        assert_eq!(estimates("times", arm, "").len(), 1, "{found}");
    }
    let difference = estimates("tokens", "sft, late", "base");
    assert!(
        difference.iter().all(|d| (d - 0.6).abs() < 0.05),
        "{difference:?}"
    );
    // People's ln(ms) of an item is h, of which this arm's tokens rise by the slope.
    let times = estimates("times", "sft, late", "")[0];
    assert!((times - 1.0 / 0.8).abs() < 0.25, "{times}");
}

#[test]
fn without_trials_the_second_model_is_left_out_and_said_to_be() {
    let bench = evaluated();
    let told = long(&bench, &["--out", "table"]).done();
    assert!(told.stdout.contains("--norms DIR"), "{}", told.stdout);
    assert!(!bench.path("table/trials.csv").exists());
    if !lme4_is_there() {
        return;
    }
    let ran = Command::new("Rscript")
        .arg(bench.path("table/analysis.R"))
        .output()
        .unwrap();
    let ran = Ended::of(ran).done();
    assert!(ran.joined().contains("no trials.csv"), "{}", ran.stdout);
    assert!(!text(&bench.path("table/lme4.csv")).contains("\"times\""));
}

#[test]
fn options_that_do_not_go_with_long_are_refused() {
    let bench = evaluated();
    bench.write("full/notes.txt", "something");
    bench.write(
        "others/items.csv",
        &text(&bench.path("norms/items.csv")).replace("it is", "it was"),
    );
    bench.write(
        "others/trials.csv",
        &text(&bench.path("norms/trials.csv")).replace("it is", "it was"),
    );
    for (more, word) in [
        (&[][..], "--out DIR"),
        (&["--out", "full"], "not empty"),
        (&["--out", "t", "--sort", "tokens"], "one row a record"),
        (&["--out", "t", "--norms", "others"], "no trial on an item"),
    ] {
        let refused = long(&bench, more);
        assert_eq!(refused.code, Some(2), "{more:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
        assert!(!bench.path("t").exists(), "{more:?}");
    }
    for option in ["--out", "--norms"] {
        let refused = bench.qinglan(&["compare", "run", option, "table"]);
        assert_eq!(refused.code, Some(2));
        assert!(
            refused.stderr.contains("--format long"),
            "{}",
            refused.stderr
        );
    }
}
