//! How long the paper's table takes: 14 models, 425 items, 3 samples an item,
//! and every contrast with 10,000 bootstrap and 10,000 permutation draws.
//!
//! `cargo bench -p experiments` prints seconds and, on Linux, the peak of the
//! resident memory. The traces are made up from a seed: their design is that of
//! the paper (two teachers, five bases, five students, two trained by
//! reinforcement), their figures say nothing. It asserts nothing about time.

use std::collections::BTreeMap;
use std::time::Instant;

use experiments::comparison::{Input, compare};
use experiments::manifest::{ArmCard, EvaluationCard, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::Trace;
use experiments::statistics::draws;

/// Items of each task, as many as people were timed on in the lab's four sets.
const TASKS: [(&str, usize); 4] = [
    ("addition_digit", 120),
    ("addition_word", 121),
    ("alphabet_arithmetic", 120),
    ("spatial_relations", 64),
];
const SAMPLES: u32 = 3;
const DRAWS: u32 = 10_000;

fn cards() -> Vec<ArmCard> {
    let card = |name: String, role, base: Option<String>, teacher: Option<&str>| ArmCard {
        name,
        role,
        base,
        init: None,
        teacher: teacher.map(Into::into),
    };
    let mut cards = vec![
        card("teacher-a".into(), Role::Teacher, None, None),
        card("teacher-b".into(), Role::Teacher, None, None),
    ];
    for i in 1..=5 {
        cards.push(card(format!("base-{i}"), Role::Base, None, None));
    }
    for i in 1..=5 {
        let teacher = if i % 2 == 0 { "teacher-a" } else { "teacher-b" };
        let base = Some(format!("base-{i}"));
        cards.push(card(
            format!("student-{i}"),
            Role::Student,
            base,
            Some(teacher),
        ));
    }
    for i in 1..=2 {
        let base = Some(format!("base-{i}"));
        cards.push(card(format!("rl-{i}"), Role::Rl, base, None));
    }
    cards
}

fn norms() -> Norms {
    let mut items = Vec::new();
    for (task, count) in TASKS {
        for i in 0..count {
            items.push(NormItem {
                task: task.into(),
                item_id: format!("item {i}"),
                prompt: String::new(),
                answer: if i % 2 == 0 { "true" } else { "false" }.into(),
                condition: None,
                n: None,
                mean_rt_ms: None,
                mean_log_rt: Some(7.0 + (i * 37 % count) as f64 / count as f64),
                accuracy: None,
            });
        }
    }
    Norms::new(items, "made up".into())
}

fn traces(cards: &[ArmCard], norms: &Norms) -> Vec<Trace> {
    let mut traces = Vec::new();
    for (at, card) in cards.iter().enumerate() {
        let mut rng = draws::stream(1, "traces", at as u64);
        let mut uniform = || f64::from(draws::below(&mut rng, 1 << 20)) / f64::from(1 << 20) - 0.5;
        for item in TASKS.iter().flat_map(|(task, _)| norms.items(task)) {
            let human = item.mean_log_rt.unwrap_or_default() - 7.5;
            let own = uniform();
            for sample in 0..SAMPLES {
                let cost: f64 = 4.0 + 0.5 * human + 1.5 * own + 0.3 * uniform();
                let tokens = cost.exp().round() as u32;
                traces.push(Trace {
                    model: card.name.clone(),
                    seed: None,
                    task: item.task.clone(),
                    item_id: item.item_id.clone(),
                    sample,
                    prompt_tokens: 20 + (item.item_id.len() as u32 + sample % 2),
                    reasoning_tokens: tokens,
                    completion_tokens: tokens + 5,
                    correct: Some(uniform() < 0.3),
                    truncated: uniform() > 0.49,
                    answer: None,
                    completion: None,
                });
            }
        }
    }
    traces
}

/// Largest resident memory of this process so far, in MiB; `None` where the system does not tell.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

fn main() {
    let (arms, norms) = (cards(), norms());
    let traces = traces(&arms, &norms);
    let tasks = TASKS.map(|(task, _)| task.to_owned());
    let started = Instant::now();
    let found = compare(Input {
        title: "bench".into(),
        hypothesis: String::new(),
        arms: &arms,
        seeds: &[],
        tasks: &tasks,
        norms: &norms,
        traces: &traces,
        evaluation: EvaluationCard {
            samples: SAMPLES,
            temperature: 1.0,
            max_new_tokens: 1 << 16,
            items: String::new(),
            norms: String::new(),
        },
        arm_runs: &[],
        curves: Vec::new(),
        training: &[],
        environment: BTreeMap::new(),
        draws: DRAWS,
        seed: 0,
        only_correct: false,
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
    });
    let seconds = started.elapsed().as_secs_f64();
    match found {
        Ok(found) => println!(
            "{} arms, {} contrasts, {} records, {DRAWS} draws: {seconds:.2} s",
            found.arms.len(),
            found.contrasts.len(),
            traces.len()
        ),
        Err(error) => println!("refused: {error}"),
    }
    if let Some(peak) = peak_mib() {
        println!("peak resident memory: {peak:.0} MiB");
    }
}
