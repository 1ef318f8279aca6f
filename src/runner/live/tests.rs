//! Logs that grow, are replaced, and are damaged.

use std::fs::OpenOptions;
use std::io::Write;

use experiments::completions::{LoggedCompletion, write};

use super::*;

const DEFINITION: &str =
    "[experiment]\nname = 'small'\nseeds = [1]\n[training]\nsteps = 100\n[arm.grpo]\n";

struct Run(tempfile::TempDir);

impl Run {
    fn new() -> Self {
        let run = Self(tempfile::tempdir().expect("a temporary folder"));
        std::fs::create_dir_all(run.at("arms/grpo/seed-1/completions")).expect("a folder");
        std::fs::write(run.at("definition.toml"), DEFINITION).expect("a file");
        run
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.at("arms/grpo/seed-1/metrics.jsonl")
    }

    fn append(&self, text: &str) {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log());
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("a log");
    }
}

/// The one arm of the run.
fn arm(live: &Live) -> &Part {
    let mut parts = live.survey().parts.iter();
    parts
        .find(|part| part.arm == "grpo")
        .expect("the definition names it")
}

fn line(step: u64) -> String {
    format!(
        "{{\"step\":{step},\"loss\":0.5,\"num_tokens\":{}.0,\"seconds\":{}.0}}\n",
        300 * step,
        2 * step
    )
}

#[test]
fn what_is_appended_is_taken_in_and_a_line_counts_once_it_is_whole() {
    let run = Run::new();
    let mut live = Live::of(run.0.path()).expect("a run");
    assert_eq!(
        (arm(&live).updates, live.word(arm(&live))),
        (None, "not begun")
    );
    run.append(&line(1));
    let whole = line(2);
    let (before, after) = whole.split_at(20);
    run.append(before);
    live.look().expect("still a run");
    assert_eq!(arm(&live).updates, Some(1));
    run.append(after);
    live.look().expect("still a run");
    assert_eq!(arm(&live).updates, Some(2));
    assert_eq!(live.series(arm(&live), "loss"), [(1.0, 0.5), (2.0, 0.5)]);
    assert!(live.faults().is_empty());
}

#[test]
fn a_log_in_the_place_of_another_is_read_from_its_beginning() {
    let run = Run::new();
    run.append(&(1..=5).map(line).collect::<String>());
    let mut live = Live::of(run.0.path()).expect("a run");
    assert_eq!(arm(&live).updates, Some(5));
    // As a run that is taken up again writes it: aside, then renamed.
    let aside = run.at("aside");
    std::fs::write(&aside, (1..=6).map(line).collect::<String>()).expect("a file");
    std::fs::rename(&aside, run.log()).expect("one file system");
    live.look().expect("still a run");
    assert_eq!(live.series(arm(&live), "loss").len(), 6);
    std::fs::remove_file(run.log()).expect("there");
    live.look().expect("still a run");
    assert_eq!(arm(&live).updates, None);
}

#[test]
fn damaged_lines_are_named_and_passed_over() {
    let run = Run::new();
    let long = "x".repeat(3 * LONGEST);
    run.append(&format!("{}{long}\n{{\"loss\":1.0}}\n{}", line(1), line(2)));
    run.append("{\"step\":3,\"lo");
    let live = Live::of(run.0.path()).expect("a run");
    assert_eq!(arm(&live).updates, Some(2));
    let told = "arms/grpo/seed-1/metrics.jsonl: 2 lines are damaged, the first is line 2";
    assert_eq!(live.faults(), [told]);
    std::fs::remove_file(run.log()).expect("there");
    std::fs::create_dir(run.log()).expect("a folder");
    let mut live = live;
    live.look().expect("still a run");
    let faults = live.faults();
    assert!(
        faults.iter().any(|fault| fault.contains("cannot be read")),
        "{faults:?}"
    );
}

#[test]
fn speed_and_time_left_come_from_the_last_updates() {
    let run = Run::new();
    // The first update bears what later ones do not.
    run.append("{\"step\":1,\"num_tokens\":0.0,\"seconds\":1000.0}\n");
    for step in 2..=60 {
        let (tokens, seconds) = (300 * step, 1000 + 2 * step);
        run.append(&format!(
            "{{\"step\":{step},\"num_tokens\":{tokens}.0,\"seconds\":{seconds}.0}}\n"
        ));
    }
    let live = Live::of(run.0.path()).expect("a run");
    assert_eq!(live.last(arm(&live), SPEED), Some(150.0));
    // Nobody is at work on it.
    assert_eq!(live.left(arm(&live)), None);
    let held = crate::files::lock(run.0.path()).expect("a file system with locks");
    assert!(held.is_some());
    let live = Live::of(run.0.path()).expect("a run");
    assert_eq!(live.left(arm(&live)), Some(80.0));
    assert_eq!(live.word(arm(&live)), "going on");
}

#[test]
fn the_last_phase_is_read_and_a_damaged_one_is_refused_by_name() {
    let run = Run::new();
    let phase = |step: u64| {
        run.at(&format!(
            "arms/grpo/seed-1/completions/step-{step:06}.parquet"
        ))
    };
    let row = |sample: u32, prompt: &str| LoggedCompletion {
        step: 10,
        task: "addition_digit".to_owned(),
        problem: "p".to_owned(),
        sample,
        prompt: prompt.to_owned(),
        completion: "<think> 3 4 </think> 7".to_owned(),
        completion_ids: Vec::new(),
        reward: (sample == 0).then_some(1.1),
        rewards: Vec::new(),
        advantage: None,
        completion_tokens: 8,
        reasoning_tokens: 3,
        truncated: sample == 1,
    };
    write(&phase(9), &[row(0, "older")]).expect("a file");
    write(&phase(10), &[row(0, "a"), row(1, "a"), row(0, "b")]).expect("a file");
    std::fs::write(
        run.at("arms/grpo/seed-1/completions/.step-000011.parquet"),
        "x",
    )
    .expect("a file");
    let live = Live::of(run.0.path()).expect("a run");
    let newest = newest_phase(arm(&live)).expect("there are two");
    assert_eq!(newest, phase(10));
    let read = samples(&newest).expect("whole");
    assert_eq!(read.len(), 3);
    assert_eq!(
        (read[0].reward, read[0].tokens, read[1].truncated),
        (Some(1.1), Some(8), true)
    );
    let prompts: Vec<&str> = one_a_prompt(&read)
        .map(|sample| sample.prompt.as_str())
        .collect();
    assert_eq!(prompts, ["a", "b"]);
    std::fs::write(phase(11), "PAR1 and nothing more").expect("a file");
    let newest = newest_phase(arm(&live)).expect("there are three");
    let refused = samples(&newest).expect_err("damaged").to_string();
    assert!(refused.contains("step-000011.parquet"), "{refused}");
}
