//! How many completions `correct` judges in a second, on one core.
//!
//! `cargo bench -p rewards` prints the time for a million completions of
//! reasoning and an answer, and the same with ten times as much reasoning: the
//! time for a byte should not grow. It deliberately asserts nothing, because
//! times are the machine's.

use std::path::Path;
use std::time::Instant;

use rewards::{Registry, Scored};

const COMPLETIONS: usize = 1_000_000;
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
    for reasoning in [170, 1_700] {
        let thought = "First I take 3 and add 4, which makes 7. ".repeat(reasoning / 41 + 1);
        let completions =
            ANSWERS.map(|(_, answer)| format!("<think>{}</think> {answer}", &thought[..reasoning]));
        let batch: Vec<Scored<'_>> = (0..BATCH)
            .map(|i| {
                let which = i % ANSWERS.len();
                Scored {
                    prompt: "What is it?",
                    completion: &completions[which],
                    expected: Some(ANSWERS[which].0),
                    ..Scored::default()
                }
            })
            .collect();
        let bytes: usize = batch.iter().map(|item| item.completion.len()).sum();
        let start = Instant::now();
        let mut right = 0.0;
        for _ in 0..COMPLETIONS / BATCH {
            let scores = correct.score(&batch).expect("every answer can be judged");
            right += scores
                .each
                .iter()
                .filter_map(|score| score.value)
                .sum::<f64>();
        }
        let seconds = start.elapsed().as_secs_f64();
        let each = seconds / COMPLETIONS as f64 * 1e9;
        let length = bytes as f64 / BATCH as f64;
        println!(
            "{COMPLETIONS} completions of {length:.0} bytes: {seconds:.2} s, \
             {:.0} a second, {each:.0} ns each, {:.2} ns a byte ({right:.0} right)",
            COMPLETIONS as f64 / seconds,
            each / length,
        );
    }
}
