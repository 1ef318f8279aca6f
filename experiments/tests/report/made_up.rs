//! Made-up comparisons: several runs of four arms, of any number of seeds,
//! items and samples. Their figures say nothing.

use std::collections::BTreeMap;

use experiments::alignment::cost::Counting;
use experiments::comparison::items::item_completions;
use experiments::comparison::question::Expected;
use experiments::comparison::{
    Asked, Comparison, Curve, Input, ItemCompletions, Measure, Question, When, compare,
};
use experiments::manifest::{ArmCard, ArmRun, Budget, EvaluationCard, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::Trace;
use experiments::statistics::draws;

/// How much there is of everything.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) runs: usize,
    pub(crate) seeds: u64,
    /// In each of the four tasks.
    pub(crate) items: usize,
    pub(crate) samples: u32,
    /// Whether people have times.
    pub(crate) timed: bool,
    /// Metrics that are logged, and updates of each training.
    pub(crate) metrics: usize,
    pub(crate) updates: u64,
}

pub(crate) const TASKS: [&str; 4] = ["addition_digit", "addition_word", "alphabet", "relations"];

/// Texts that a page must show as they are: markup, other directions, other scripts.
pub(crate) const HARD: [&str; 4] = [
    "<script>window.ran = true</script><img src=x onerror=\"window.ran = true\">",
    "</script></pre><!-- \u{2028} &amp; ${1}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} 3 + 4 = 7 \u{5e0}\u{5db}\u{5d5}\u{5df}",
    "\u{4e09}\u{52a0}\u{56db}\u{7b49}\u{4e8e}\u{4e03}\u{ff0c}\u{5bf9}\u{3002}\u{1f600}",
];

/// A comparison and its completions.
pub(crate) fn made_up(size: Size) -> (Comparison, Vec<ItemCompletions>) {
    let arms = cards(size);
    let norms = norms(size);
    let traces = traces(&arms, &norms, size);
    // What is compared need not be all of it: the page is as long either way.
    let compared: Vec<Trace> = (traces.iter())
        .filter(|t| t.sample == 0 || size.runs == 1)
        .cloned()
        .collect();
    let tasks = TASKS.map(str::to_owned);
    let seeds: Vec<u64> = (1..=size.seeds).collect();
    let curves = arms.iter().flat_map(|arm| curves(&arm.name, size));
    let runs: Vec<ArmRun> = arms
        .iter()
        .flat_map(|arm| seeds.iter().map(|seed| run(arm, *seed)))
        .collect();
    let found = compare(Input {
        title: "Made up: <nothing> & all".into(),
        hypothesis: "That a page can show it.".into(),
        arms: &arms,
        seeds: &seeds,
        tasks: &tasks,
        norms: &norms,
        traces: &compared,
        evaluation: EvaluationCard {
            samples: size.samples,
            temperature: 1.0,
            max_new_tokens: 64,
            items: "0".into(),
            norms: "made up".into(),
        },
        arm_runs: &runs,
        curves: curves.collect(),
        on_the_way: &[],
        training: &[],
        environment: BTreeMap::from([("processor".to_owned(), "made up".to_owned())]),
        seed: 0,
        counting: Counting::default(),
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
        questions: questions(),
    });
    (found.unwrap(), item_completions(&traces, &norms, &tasks))
}

/// Asked of a single run's arms, one before it and one after.
fn questions() -> Vec<Asked> {
    let ask = |name: &str, contrast: &str, measure, when| Asked {
        question: Question {
            name: name.to_owned(),
            contrast: contrast.to_owned(),
            measure,
            direction: Expected::Below,
            smallest_effect: 0.1,
            family: "main".to_owned(),
        },
        when,
    };
    vec![
        ask(
            "negative transfer",
            "sft - base",
            Measure::Elasticity,
            When::Before,
        ),
        ask(
            "fewer tokens <b>",
            "grpo - sft",
            Measure::Tokens,
            When::After,
        ),
    ]
}

fn cards(size: Size) -> Vec<ArmCard> {
    let mut cards = Vec::new();
    for run in 1..=size.runs {
        let name = |arm: &str| match size.runs {
            1 => arm.to_owned(),
            _ => format!("run-{run}/{arm}"),
        };
        for (arm, role) in [
            ("base", Role::Base),
            ("teacher", Role::Teacher),
            ("sft", Role::Student),
            ("grpo", Role::Rl),
        ] {
            cards.push(ArmCard {
                name: name(arm),
                role,
                base: matches!(role, Role::Student | Role::Rl).then(|| name("base")),
                init: None,
                teacher: (role == Role::Student).then(|| name("teacher")),
            });
        }
    }
    cards
}

fn run(arm: &ArmCard, seed: u64) -> ArmRun {
    let trained = matches!(arm.role, Role::Student | Role::Rl);
    ArmRun {
        arm: arm.name.clone(),
        seed,
        teacher: None,
        folder: String::new(),
        init: None,
        initial_weights: format!("{seed}"),
        final_weights: format!("{} {seed}", arm.name),
        problem_order: None,
        trained_on: Vec::new(),
        budget: trained.then_some(Budget {
            optimizer_steps: 100,
            trained_tokens: 200_000,
            generated_tokens: 300_000,
            flops: 6e11,
            seconds: 15.0,
            peak_memory: Some(4e8),
        }),
        pretraining_seconds: None,
        evaluation_seconds: None,
    }
}

fn norms(size: Size) -> Norms {
    let item = |task: &&str, at: usize| NormItem {
        task: (*task).into(),
        item_id: format!("{task}/{at}"),
        prompt: match at {
            0 => HARD[2].to_owned(),
            _ => format!("{at} + {} = {} ?", at * 7 % 13, at + at * 7 % 13),
        },
        answer: if at.is_multiple_of(2) {
            "true"
        } else {
            "false"
        }
        .into(),
        mean_rt_ms: size.timed.then_some(900.0 + (at * 37 % 101) as f64),
        cluster: task.starts_with("addition").then(|| format!("sum {at}")),
        covariates: match *task {
            "relations" => BTreeMap::new(),
            _ => BTreeMap::from([
                ("size".to_owned(), (at + at * 7 % 13) as f64),
                ("tie".to_owned(), f64::from(u8::from(at.is_multiple_of(5)))),
            ]),
        },
        ..NormItem::default()
    };
    let all = TASKS
        .iter()
        .flat_map(|task| (0..size.items).map(move |at| item(task, at)));
    Norms::new(all.collect(), "made up".into())
}

fn traces(cards: &[ArmCard], norms: &Norms, size: Size) -> Vec<Trace> {
    let mut traces = Vec::new();
    for (at, card) in cards.iter().enumerate() {
        let mut rng = draws::stream(1, "traces", at as u64);
        let mut below = |n: u32| draws::below(&mut rng, n);
        for item in TASKS.iter().flat_map(|task| norms.items(task)) {
            let easy = below(4);
            for seed in 1..=size.seeds {
                for sample in 0..size.samples {
                    let tokens = 4 + below(30);
                    let right = below(5) > easy;
                    let hard = HARD.get(traces.len() % 97).filter(|_| traces.len() < 9700);
                    let steps: Vec<String> =
                        (0..tokens.min(14)).map(|_| below(20).to_string()).collect();
                    let text = format!("<think> {} </think> {right}", steps.join(" ; "));
                    traces.push(Trace {
                        model: card.name.clone(),
                        seed: Some(seed),
                        teacher: None,
                        task: item.task.clone(),
                        item_id: item.item_id.clone(),
                        sample,
                        prompt_tokens: 8,
                        reasoning_tokens: tokens,
                        completion_tokens: tokens + 3,
                        correct: Some(right),
                        truncated: below(200) == 0,
                        answer: Some(right.to_string()),
                        completion: Some(hard.map_or(text, |hard| (*hard).to_owned())),
                    });
                }
            }
        }
    }
    traces
}

fn curves(arm: &str, size: Size) -> Vec<Curve> {
    let mut rng = draws::stream(2, arm, 0);
    let mut all = Vec::new();
    for metric in 0..size.metrics {
        let metric = match metric {
            0 => "reward".to_owned(),
            1 => "loss".to_owned(),
            2 => "rewards/correct/mean".to_owned(),
            n => format!("metric-{n}"),
        };
        for seed in 1..=size.seeds {
            let mut value =
                |step: u64| f64::from(draws::below(&mut rng, 1000)) / 1000.0 + step as f64 / 100.0;
            all.push(Curve {
                arm: arm.to_owned(),
                seed,
                metric: metric.clone(),
                points: (1..=size.updates).map(|step| (step, value(step))).collect(),
            });
        }
    }
    all
}
