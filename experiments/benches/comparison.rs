//! How long two comparisons take: the paper's table (14 models, 425 items, 3
//! samples an item), and ten runs of four arms and five seeds side by side (500
//! items, 4 samples), with their tables.
//!
//! `cargo bench -p experiments` prints seconds and, on Linux, the peak of the
//! resident memory. The traces are made up from a seed: the paper's have its
//! design (two teachers, five bases, five students, two trained by
//! reinforcement), and no figure says anything. It asserts nothing about time.

use std::collections::BTreeMap;
use std::time::Instant;

use experiments::alignment::cost::Counting;
use experiments::comparison::{Input, compare};
use experiments::manifest::{ArmCard, EvaluationCard, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::Trace;
use experiments::statistics::draws;
use experiments::tables;

/// Items of each task, as many as people were timed on in the lab's four sets.
const PAPER: &[(&str, usize)] = &[
    ("addition_digit", 120),
    ("addition_word", 121),
    ("alphabet_arithmetic", 120),
    ("spatial_relations", 64),
];

/// Four tasks of 500 items together.
const RUNS: &[(&str, usize)] = &[("a", 125), ("b", 125), ("c", 125), ("d", 125)];

/// One comparison to time.
struct Design {
    name: &'static str,
    cards: Vec<ArmCard>,
    tasks: &'static [(&'static str, usize)],
    seeds: Vec<u64>,
    samples: u32,
}

fn card(name: String, role: Role, base: Option<String>, teacher: Option<String>) -> ArmCard {
    ArmCard {
        name,
        role,
        base,
        init: None,
        teacher,
    }
}

/// The arms of ten runs, as a comparison of several names them.
fn ten_runs() -> Vec<ArmCard> {
    let of_run = |run: usize| {
        let name = |arm: &str| format!("run-{run}/{arm}");
        let base = || Some(name("base"));
        [
            card(name("base"), Role::Base, None, None),
            card(name("teacher"), Role::Teacher, None, None),
            card(name("sft"), Role::Student, base(), Some(name("teacher"))),
            card(name("grpo"), Role::Rl, base(), None),
        ]
    };
    (0..10).flat_map(of_run).collect()
}

/// The paper's models.
fn cards() -> Vec<ArmCard> {
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
            Some(teacher.into()),
        ));
    }
    for i in 1..=2 {
        let base = Some(format!("base-{i}"));
        cards.push(card(format!("rl-{i}"), Role::Rl, base, None));
    }
    cards
}

fn norms(tasks: &[(&str, usize)]) -> Norms {
    let mut items = Vec::new();
    for &(task, count) in tasks {
        for i in 0..count {
            items.push(NormItem {
                task: task.into(),
                item_id: format!("item {i}"),
                answer: if i % 2 == 0 { "true" } else { "false" }.into(),
                mean_log_rt: Some(7.0 + (i * 37 % count) as f64 / count as f64),
                ..NormItem::default()
            });
        }
    }
    Norms::new(items, "made up".into())
}

fn traces(design: &Design, norms: &Norms) -> Vec<Trace> {
    let mut traces = Vec::new();
    let trainings = design.seeds.len().max(1);
    for at in 0..design.cards.len() * trainings {
        let card = &design.cards[at / trainings];
        let seed = design.seeds.get(at % trainings).copied();
        let mut rng = draws::stream(1, "traces", at as u64);
        let mut uniform = || f64::from(draws::below(&mut rng, 1 << 20)) / f64::from(1 << 20) - 0.5;
        for item in design.tasks.iter().flat_map(|(task, _)| norms.items(task)) {
            let human = item.mean_log_rt.unwrap_or_default() - 7.5;
            let own = uniform();
            for sample in 0..design.samples {
                let cost: f64 = 4.0 + 0.5 * human + 1.5 * own + 0.3 * uniform();
                let tokens = cost.exp().round() as u32;
                traces.push(Trace {
                    model: card.name.clone(),
                    seed,
                    teacher: None,
                    task: item.task.clone(),
                    item_id: item.item_id.clone(),
                    sample,
                    prompt_tokens: 20 + item.item_id.len() as u32,
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

fn time(design: &Design) {
    let norms = norms(design.tasks);
    let traces = traces(design, &norms);
    let tasks: Vec<String> = design
        .tasks
        .iter()
        .map(|(task, _)| (*task).into())
        .collect();
    let started = Instant::now();
    let found = compare(Input {
        title: design.name.into(),
        hypothesis: String::new(),
        arms: &design.cards,
        seeds: &design.seeds,
        tasks: &tasks,
        norms: &norms,
        traces: &traces,
        evaluation: EvaluationCard {
            samples: design.samples,
            temperature: 1.0,
            max_new_tokens: 1 << 16,
            items: String::new(),
            norms: String::new(),
        },
        arm_runs: &[],
        curves: Vec::new(),
        on_the_way: &[],
        training: &[],
        environment: BTreeMap::new(),
        seed: 0,
        counting: Counting::default(),
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
        questions: Vec::new(),
    });
    let seconds = started.elapsed().as_secs_f64();
    match found {
        Ok(found) => {
            println!(
                "{}: {} arms, {} contrasts, {} records: {seconds:.2} s",
                design.name,
                found.arms.len(),
                found.contrasts.len(),
                traces.len()
            );
            let started = Instant::now();
            let bytes = tables::markdown::render(&found).len() + tables::csv::render(&found).len();
            println!(
                "  tables of {bytes} bytes: {:.2} s",
                started.elapsed().as_secs_f64()
            );
        }
        Err(error) => println!("{}: refused: {error}", design.name),
    }
    if let Some(peak) = peak_mib() {
        println!("  peak resident memory so far: {peak:.0} MiB");
    }
}

fn main() {
    time(&Design {
        name: "ten runs",
        cards: ten_runs(),
        tasks: RUNS,
        seeds: (1..=5).collect(),
        samples: 4,
    });
    time(&Design {
        name: "the paper's table",
        cards: cards(),
        tasks: PAPER,
        seeds: Vec::new(),
        samples: 3,
    });
}
