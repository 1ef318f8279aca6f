//! A hand-made comparison for the tests of the tables, figures and report: two
//! tasks, four arms, an alignment that is undefined, notes with characters that
//! formats must escape. The figures are chosen to be told apart, not computed.

use std::collections::BTreeMap;

mod fair;
mod further;
mod items;
mod on_the_way;

use crate::comparison::question::{Expected, Question, When};
use crate::comparison::{
    Among, Answer, ArmFigures, Asked, Comparison, Components, ConstantAnswer, Contrast, Curve,
    Estimate, ItemPoint, Measure, Scope, TaskFigures, Verdict,
};
use crate::manifest::{Budget, EvaluationCard, Role};

pub(crate) use items::items;
pub(crate) use on_the_way::on_the_way;

fn e(value: f64, low: f64, high: f64, n: usize) -> Estimate {
    Estimate {
        value: Some(value),
        low: Some(low),
        high: Some(high),
        se: Some((high - low) / 4.2),
        df: Some(11.3),
        n,
        why_undefined: None,
    }
}

fn undefined(why: &str, n: usize) -> Estimate {
    Estimate::undefined(why, n)
}

/// Of 1, 2 and 4 samples; an accuracy below .6 has no recorded answers.
fn among(accuracy: f64, items: usize) -> Vec<Among> {
    let at = |(k, more): (usize, f64)| Among {
        k,
        pass: e(
            accuracy + more,
            accuracy + more - 0.031,
            accuracy + more + 0.027,
            items,
        ),
        majority: if accuracy < 0.6 {
            undefined("a right sample has no recorded answer", items)
        } else {
            e(
                accuracy + 0.4 * more,
                accuracy + 0.4 * more - 0.036,
                accuracy + 0.4 * more + 0.029,
                items,
            )
        },
    };
    [(1, -0.008), (2, 0.043), (4, 0.081)].map(at).to_vec()
}

/// `shift` tells the arms apart; `slope` 0 is an arm whose thinking never varies.
fn task(name: &str, items: usize, shift: f64, slope: f64, ceiling: Option<f64>) -> TaskFigures {
    let points = (0..items)
        .map(|i| {
            let x = i as f64 / items as f64;
            let model_cost = 2.0 + shift + slope * (x + 0.3 * (7.0 * x).sin());
            ItemPoint {
                item_id: format!("{name}-{i}"),
                human_cost: Some(6.8 + x),
                model_cost,
                tokens: model_cost.exp() - 1.0,
                accuracy: Some(0.5 + 0.5 * x),
            }
        })
        .collect();
    let flat = slope == 0.0;
    let alignment = |r: f64| {
        if flat {
            undefined("no variance in model cost", items)
        } else {
            e(r, r - 0.081, r + 0.062, items)
        }
    };
    let accuracy = 0.58 + shift / 4.0;
    TaskFigures {
        task: name.to_owned(),
        items,
        timed: items,
        accuracy: e(accuracy, accuracy - 0.034, accuracy + 0.031, 4 * items),
        balanced_accuracy: e(
            accuracy - 0.02,
            accuracy - 0.055,
            accuracy + 0.012,
            4 * items,
        ),
        accuracy_truncated_wrong: e(
            accuracy - 0.01,
            accuracy - 0.043,
            accuracy + 0.022,
            4 * items,
        ),
        tokens: e(
            8.1 + 9.0 * shift,
            7.4 + 9.0 * shift,
            8.9 + 9.0 * shift,
            items,
        ),
        cut_off: e(0.012, 0.004, 0.021, 4 * items),
        among: among(accuracy, items),
        elasticity: e(0.5 * slope, 0.5 * slope - 0.11, 0.5 * slope + 0.12, items),
        alignment_unlimited: alignment(0.36 + 0.4 * slope),
        reliability: alignment(0.72),
        curve: if flat {
            Vec::new()
        } else {
            [
                (1, 0.6),
                (2, 0.74),
                (4, 0.85),
                (8, 0.91),
                (16, 0.95),
                (64, 0.99),
            ]
            .map(|(k, share)| (k, share * (0.36 + 0.4 * slope)))
            .to_vec()
        },
        alignment: alignment(0.3 + 0.4 * slope),
        spearman: alignment(0.28 + 0.4 * slope),
        partial: alignment(0.25 + 0.4 * slope),
        ceiling,
        points,
    }
}

fn arm(name: &str, role: Role, shift: f64, slope: f64) -> ArmFigures {
    let accuracy = 0.58 + shift / 4.0;
    let r = 0.3 + 0.4 * slope;
    let trained = matches!(role, Role::Student | Role::Rl);
    ArmFigures {
        name: name.to_owned(),
        role,
        seeds: if trained { vec![1, 2] } else { vec![1] },
        teachers: Vec::new(),
        accuracy: e(accuracy, accuracy - 0.024, accuracy + 0.021, 72),
        balanced_accuracy: e(accuracy - 0.02, accuracy - 0.045, accuracy + 0.002, 72),
        tokens: e(8.1 + 9.0 * shift, 7.7 + 9.0 * shift, 8.6 + 9.0 * shift, 18),
        cut_off: e(0.012, 0.006, 0.019, 1440),
        among: among(accuracy, 18),
        elasticity: e(0.5 * slope, 0.5 * slope - 0.07, 0.5 * slope + 0.08, 18),
        alignment_unlimited: if slope == 0.0 {
            undefined("no task has a defined alignment", 18)
        } else {
            e(r + 0.064, r - 0.011, r + 0.143, 18)
        },
        reliability: if slope == 0.0 {
            undefined("no task has a defined alignment", 18)
        } else {
            e(0.713, 0.622, 0.794, 18)
        },
        alignment: if slope == 0.0 {
            undefined("no task has a defined alignment", 18)
        } else {
            e(r, r - 0.052, r + 0.048, 18)
        },
        alignment_fisher: if slope == 0.0 {
            undefined("no task has a defined alignment", 18)
        } else {
            e(r + 0.014, r - 0.041, r + 0.063, 18)
        },
        truncated: if trained { 17 } else { 0 },
        samples: 1440,
        tasks: vec![
            task("alphabet_arithmetic", 10, shift, slope, Some(0.93)),
            task("mental_addition", 8, shift, slope / 2.0, None),
        ],
        trained_on: Vec::new(),
        budget: trained.then(|| Budget {
            optimizer_steps: 240,
            trained_tokens: 1_204_331,
            generated_tokens: if role == Role::Rl { 988_120 } else { 0 },
            flops: if role == Role::Rl { 5.2e12 } else { 4.1e12 },
            seconds: 71.46,
            peak_memory: (role == Role::Rl).then_some(1.5e9),
        }),
    }
}

fn contrast(arm: &str, against: &str, measure: Measure, difference: Estimate) -> Contrast {
    let verdict = match (difference.low, difference.high) {
        (Some(_), Some(high)) if high < 0.0 => Verdict::Below,
        (Some(low), Some(_)) if low > 0.0 => Verdict::Above,
        (Some(low), Some(high)) if high - low < 0.09 => Verdict::Equivalent,
        (Some(_), Some(_)) => Verdict::Unresolved,
        _ => Verdict::Undefined,
    };
    let decided = matches!(verdict, Verdict::Below | Verdict::Above);
    let inner = |end: f64| difference.value.map(|d| d + 0.8 * (end - d));
    Contrast {
        arm: arm.to_owned(),
        against: against.to_owned(),
        measure,
        question: None,
        low90: difference.low.and_then(inner),
        high90: difference.high.and_then(inner),
        components: difference.value.map(|_| Components {
            training: 0.0004,
            training_against: 0.0,
            items: 0.0007,
            interaction: 0.0002,
        }),
        p: difference
            .value
            .map(|_| if decided { 0.0002 } else { 0.2134 }),
        p_equivalence: (difference.value).map(|_| {
            if verdict == Verdict::Equivalent {
                0.0112
            } else {
                0.4021
            }
        }),
        smallest_effect: Some(measure.smallest_effect()),
        effect: difference.value.map(|d| d * 1.25),
        verdict,
        trainings: 5,
        scope: if against == "teacher" {
            Scope::ThisAgainst
        } else {
            Scope::Trainings
        },
        difference,
    }
}

fn answer(name: &str, direction: Expected, contrast: &Contrast, p_holm: Option<f64>) -> Answer {
    let question = Question {
        name: name.to_owned(),
        contrast: format!("{} - {}", contrast.arm, contrast.against),
        measure: contrast.measure,
        direction,
        smallest_effect: contrast.measure.smallest_effect(),
        family: "main".to_owned(),
    };
    Answer {
        asked: Asked {
            question,
            when: When::Before,
        },
        contrast: contrast.clone(),
        p_holm,
        p_equivalence_holm: contrast.p_equivalence.map(|p| (2.0 * p).min(1.0)),
        family: 3,
        verdict: contrast.verdict,
    }
}

fn constant_answers() -> Vec<ConstantAnswer> {
    vec![
        ConstantAnswer {
            task: "alphabet_arithmetic".to_owned(),
            answer: "false".to_owned(),
            accuracy: 0.62,
            balanced_accuracy: 0.5,
        },
        ConstantAnswer {
            task: "mental_addition".to_owned(),
            answer: "true".to_owned(),
            accuracy: 0.53,
            balanced_accuracy: 0.5,
        },
    ]
}

/// The comparison.
pub(crate) fn comparison() -> Comparison {
    let curve = |arm: &str, seed: u64, metric: &str, from: f64, to: f64| Curve {
        arm: arm.to_owned(),
        seed,
        metric: metric.to_owned(),
        points: (0..=6)
            .map(|i| (i * 40, from + (to - from) * (i as f64 / 6.0).sqrt()))
            .collect(),
    };
    let mut collapse = contrast(
        "sft",
        "teacher",
        Measure::Elasticity,
        e(-0.162, -0.231, -0.094, 18),
    );
    collapse.question = Some("functional alignment collapse".to_owned());
    let mut transfer = contrast(
        "sft",
        "base",
        Measure::Alignment,
        undefined("no task has a defined alignment", 18),
    );
    transfer.question = Some("negative transfer".to_owned());
    let mastery = contrast(
        "grpo",
        "sft",
        Measure::Elasticity,
        e(0.1184, 0.0391, 0.1942, 18),
    );
    let like = contrast(
        "grpo",
        "sft",
        Measure::Accuracy,
        e(0.021, -0.012, 0.054, 72),
    );
    let answers = vec![
        answer(
            "functional alignment collapse",
            Expected::Below,
            &collapse,
            Some(0.0006),
        ),
        answer(
            "mimicry above mastery",
            Expected::Below,
            &mastery,
            Some(0.0012),
        ),
        answer("like accuracy", Expected::Equivalent, &like, Some(0.2134)),
        answer("negative transfer", Expected::Below, &transfer, None),
    ];
    Comparison {
        title: "Imitation & reinforcement from one base".to_owned(),
        hypothesis: "Reinforcement keeps reasoning length in step with human effort; imitation copies its length only."
            .to_owned(),
        evaluation: EvaluationCard {
            samples: 4,
            temperature: 0.7,
            max_new_tokens: 1024,
            items: "b3:8c1f".to_owned(),
            norms: "synthetic times, for tests only".to_owned(),
        },
        arms: vec![
            arm("base", Role::Base, 0.0, 0.0),
            arm("teacher", Role::Teacher, 1.2, 1.3),
            arm("sft", Role::Student, 1.0, 0.9),
            arm("grpo", Role::Rl, 1.1, 1.2),
        ],
        contrasts: vec![
            contrast("grpo", "base", Measure::Accuracy, e(0.2678, 0.2412, 0.2949, 72)),
            like,
            mastery,
            contrast("sft", "base", Measure::Tokens, e(9.02, 8.31, 9.77, 18)),
            transfer,
            collapse,
        ],
        answers,
        task_contrasts: fair::task_contrasts(),
        fairness: fair::fairness(),
        matched: fair::matched(),
        recipes: fair::recipes(),
        constant_answers: constant_answers(),
        notes: vec![
            "Two tasks only: means over tasks are demonstrative.".to_owned(),
            "1.2 % of the samples of sft & grpo reached the cap | counted as <truncated>.".to_owned(),
        ],
        curves: vec![
            curve("sft", 1, "loss", 1.9, 0.4),
            curve("sft", 2, "loss", 1.8, 0.5),
            curve("grpo", 1, "loss", 0.02, 0.01),
            curve("grpo", 2, "loss", 0.03, 0.0),
            curve("grpo", 1, "reward", 0.2, 0.8),
            curve("grpo", 2, "reward", 0.3, 0.9),
        ],
        on_the_way: Vec::new(),
        further: further::further(),
        environment: BTreeMap::from([
            ("device".to_owned(), "cpu".to_owned()),
            ("threads".to_owned(), "2".to_owned()),
        ]),
    }
}
