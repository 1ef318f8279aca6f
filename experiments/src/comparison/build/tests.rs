//! A small made-up experiment, each note of unfairness, and the reference records.

mod chains;
mod fairness;
mod made;
mod reference;
mod refused;

use super::*;
use crate::comparison::{Contrast, Direction, Measure};
use crate::manifest::Role;
use made::{input, made};

fn contrast<'a>(found: &'a Comparison, arm: &str, against: &str, measure: Measure) -> &'a Contrast {
    let of = |c: &&Contrast| c.arm == arm && c.against == against && c.measure == measure;
    found.contrasts.iter().find(of).expect("planned")
}

#[test]
fn answers_that_are_all_alike_have_no_interval_from_draws() {
    let mut made = made();
    for trace in &mut made.traces {
        if trace.model == "teacher" {
            trace.correct = Some(true);
        }
    }
    let found = compare(input(&made)).expect("compared");
    let teacher = &found.arms[1];
    let task = &teacher.tasks[0];
    for share in [
        &teacher.accuracy,
        &teacher.balanced_accuracy,
        &task.balanced_accuracy,
    ] {
        assert_eq!((share.value, share.low), (Some(1.0), None));
        let why = share.why_undefined.as_deref();
        assert_eq!(why, Some("no interval: all answers graded alike"));
    }
    // Wilson's needs no draws.
    let (low, high) = (task.accuracy.low.expect("defined"), task.accuracy.high);
    assert!(0.9 < low && low < 1.0 && high > Some(0.999));
}

#[test]
fn the_known_structure_is_found() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    let pairs: Vec<(&str, &str)> = found
        .contrasts
        .iter()
        .step_by(4)
        .map(|c| (c.arm.as_str(), c.against.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("grpo", "base"),
            ("sft", "base"),
            ("sft", "teacher"),
            ("grpo", "sft")
        ]
    );
    let collapse = contrast(&found, "sft", "teacher", Measure::Alignment);
    assert_eq!(
        collapse.question.as_deref(),
        Some("functional alignment collapse")
    );
    assert_eq!(
        (collapse.verdict.as_deref(), collapse.direction),
        (Some("yes"), Direction::Below)
    );
    assert!(collapse.p.expect("defined") < 0.02 && collapse.difference.n == 80);
    let transfer = contrast(&found, "sft", "base", Measure::Alignment);
    assert_eq!(transfer.question.as_deref(), Some("negative transfer"));
    let accuracy = contrast(&found, "sft", "base", Measure::Accuracy);
    assert_eq!(
        (accuracy.question.as_deref(), accuracy.verdict.as_deref()),
        (None, None)
    );
    assert_eq!(accuracy.direction, Direction::Above);
    assert_eq!(
        contrast(&found, "grpo", "base", Measure::Alignment).direction,
        Direction::Above
    );
    // A quarter of the answers are "true".
    let constants: Vec<(&str, f64, f64)> = found
        .constant_answers
        .iter()
        .map(|c| (c.answer.as_str(), c.accuracy, c.balanced_accuracy))
        .collect();
    assert_eq!(
        constants,
        [
            ("false", 0.75, 0.5),
            ("true", 0.25, 0.5),
            ("false", 0.75, 0.5),
            ("true", 0.25, 0.5)
        ]
    );
    let sft = &found.arms[2];
    assert_eq!(
        (sft.seeds.as_slice(), sft.samples, sft.truncated),
        (&[1, 2][..], 320, 0)
    );
    assert_eq!(sft.budget.as_ref().map(|b| b.optimizer_steps), Some(15));
    assert_eq!(
        (
            sft.tasks[0].items,
            sft.tasks[0].points.len(),
            sft.tasks[0].accuracy.n
        ),
        (40, 40, 160)
    );
    // Only the number of tasks and the absent trials are to be told.
    assert_eq!(found.notes.len(), 2, "{:#?}", found.notes);
}

#[test]
fn every_point_lies_in_its_interval_and_contrasts_are_differences_of_the_table() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    for arm in &found.arms {
        let of_tasks = arm.tasks.iter().flat_map(|t| {
            [
                &t.accuracy,
                &t.balanced_accuracy,
                &t.tokens,
                &t.alignment,
                &t.spearman,
                &t.partial,
                &t.accuracy_truncated_wrong,
            ]
        });
        let all = [
            &arm.accuracy,
            &arm.balanced_accuracy,
            &arm.tokens,
            &arm.alignment,
            &arm.alignment_fisher,
        ];
        for e in all.into_iter().chain(of_tasks) {
            let (value, low, high) = (
                e.value.expect("a value"),
                e.low.expect("a low"),
                e.high.expect("a high"),
            );
            assert!(low < value && value < high, "{} {e:?}", arm.name);
        }
    }
    let value = |name: &str, of: fn(&super::super::ArmFigures) -> &super::super::Estimate| {
        found
            .arms
            .iter()
            .find(|a| a.name == name)
            .and_then(|a| of(a).value)
            .expect("a value")
    };
    for contrast in &found.contrasts {
        let of: fn(&super::super::ArmFigures) -> &super::super::Estimate = match contrast.measure {
            Measure::Alignment => |a| &a.alignment,
            Measure::Accuracy => |a| &a.accuracy,
            Measure::BalancedAccuracy => |a| &a.balanced_accuracy,
            Measure::Tokens => |a| &a.tokens,
        };
        let expected = value(&contrast.arm, of) - value(&contrast.against, of);
        assert!(
            (contrast.difference.value.expect("a value") - expected).abs() < 1e-9,
            "{contrast:?}"
        );
    }
}

#[test]
fn the_same_input_gives_the_same_bits_on_any_number_of_threads() {
    let made = made();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a small pool");
        pool.install(|| compare(input(&made)).expect("compared"))
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(
        serde_json::to_string(&one).expect("JSON"),
        serde_json::to_string(&three).expect("JSON")
    );
}

#[test]
fn the_contrasts_of_a_measure_are_one_family_and_each_says_what_it_could_have_shown() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    for measure in crate::alignment::layout::MEASURES {
        let family: Vec<&Contrast> = found
            .contrasts
            .iter()
            .filter(|c| c.measure == measure)
            .collect();
        let smallest = family
            .iter()
            .filter_map(|c| Some((c.p?, c.p_holm?)))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (p, corrected) = smallest.expect("defined");
        assert!((corrected - (family.len() as f64 * p).min(1.0)).abs() < 1e-12);
        for contrast in family {
            let difference = &contrast.difference;
            let (Some(low), Some(high)) = (difference.low, difference.high) else {
                continue;
            };
            // 2.80 standard errors beside an interval of about twice 1.96.
            let effect = contrast.smallest.expect("an interval has a standard error");
            let ratio = effect / (high - low);
            assert!(high <= low || (0.5..0.9).contains(&ratio), "{contrast:?}");
        }
    }
}
