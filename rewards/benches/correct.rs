//! How many completions `correct` judges in a second, on one core.
//!
//! `cargo bench -p rewards` prints the time for completions of reasoning and an
//! answer, and for ten and a hundred times as much reasoning: the time for a
//! byte should not grow. Where Linux says how long the process was on a core,
//! that is printed beside the time that passed, because others may have been on
//! it too. It deliberately asserts nothing: times are the machine's.

use std::path::Path;
use std::time::Instant;

use rewards::{Registry, Scored};

/// Bytes of reasoning, and completions.
const SIZES: [(usize, usize); 3] = [(170, 1_000_000), (1_700, 1_000_000), (17_000, 100_000)];
/// As large as a step of training has them.
const BATCH: usize = 1_000;

/// Expected answers with given ones, as tasks have them: most are the same
/// text, some another spelling, some wrong.
const ANSWERS: [(&str, &str); 16] = [
    ("true", "true"),
    ("true", "false"),
    ("true", "Answer: True."),
    ("42", "42"),
    ("42", "so \\boxed{42}."),
    ("42", "Answer: 41"),
    ("seven", "7"),
    ("1024", "**Answer:** 1,024"),
    ("\\frac{3}{4}", "thus \\boxed{\\frac{3}{4}}"),
    ("\\frac{3}{4}", "thus \\boxed{0.75}"),
    ("2\\sqrt{3}", "\\boxed{2 \\cdot \\sqrt{3}}"),
    ("(1, 2)", "\\boxed{\\left(1, 2\\right)}"),
    ("B", "Answer: (B)"),
    ("5 km", "<answer>5000 m</answer>"),
    ("Paris", "Answer: Paris"),
    ("x = 5", "Hence <answer>5</answer>"),
];

fn main() {
    let correct = Registry::builtin()
        .build("correct", &toml::Table::new(), Path::new("."))
        .expect("no parameters are needed");
    for (reasoning, completions) in SIZES {
        let thought = "First I take 3 and add 4, which makes 7. ".repeat(reasoning / 41 + 1);
        let texts =
            ANSWERS.map(|(_, answer)| format!("<think>{}</think> {answer}", &thought[..reasoning]));
        let batch: Vec<Scored<'_>> = (0..BATCH)
            .map(|i| {
                let which = i % ANSWERS.len();
                Scored {
                    prompt: "What is it?",
                    completion: &texts[which],
                    expected: Some(ANSWERS[which].0),
                    ..Scored::default()
                }
            })
            .collect();
        let bytes: usize = batch.iter().map(|item| item.completion.len()).sum();
        let (start, core) = (Instant::now(), on_core());
        let mut right = 0.0;
        for _ in 0..completions / BATCH {
            let scores = correct.score(&batch).expect("every answer can be judged");
            right += scores
                .each
                .iter()
                .filter_map(|score| score.value)
                .sum::<f64>();
        }
        let passed = start.elapsed().as_secs_f64();
        let seconds = match (core, on_core()) {
            (Some(before), Some(after)) => after - before,
            _ => passed,
        };
        let each = seconds / completions as f64 * 1e9;
        let length = bytes as f64 / BATCH as f64;
        println!(
            "{completions} completions of {length:.0} bytes: {seconds:.2} s on the core \
             ({passed:.2} s passed), {:.0} a second, {each:.0} ns each, {:.2} ns a byte; \
             {right:.0} right",
            completions as f64 / seconds,
            each / length,
        );
    }
}

/// Seconds that this process has been on a core, where the system says.
fn on_core() -> Option<f64> {
    let times = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: f64 = times.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
