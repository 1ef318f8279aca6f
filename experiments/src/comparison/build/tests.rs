//! A small made-up experiment, each note of unfairness, and the reference records.

mod chains;
mod fairness;
mod made;
mod on_the_way;
mod reference;
mod refused;
mod teachers;
mod untimed;

use super::*;
use crate::alignment::training::MEASURES;
use crate::comparison::question;
use crate::comparison::{Contrast, Measure, Scope, Verdict};
use crate::manifest::Role;
use crate::norms::NormItem;
use made::{input, made};

fn contrast<'a>(found: &'a Comparison, arm: &str, against: &str, measure: Measure) -> &'a Contrast {
    let of = |c: &&Contrast| c.arm == arm && c.against == against && c.measure == measure;
    found.contrasts.iter().find(of).expect("planned")
}

#[test]
fn answers_that_are_all_alike_have_no_interval() {
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
        &task.accuracy,
        &task.balanced_accuracy,
    ] {
        assert_eq!((share.value, share.low), (Some(1.0), None));
        let why = share.why_undefined.as_deref();
        assert_eq!(
            why,
            Some("no interval: nothing varies between items or trainings")
        );
    }
}

#[test]
fn items_that_are_all_one_cluster_have_figures_and_no_interval() {
    let mut made = made();
    let one = made
        .tasks
        .iter()
        .flat_map(|task| made.norms.items(task))
        .map(|item| NormItem {
            cluster: Some("all".into()),
            ..item.clone()
        });
    made.norms = Norms::new(one.collect(), "made up".into());
    let found = compare(input(&made)).expect("compared");
    for figure in [
        &found.arms[3].elasticity,
        &found.arms[3].tokens,
        &found.arms[3].tasks[0].accuracy,
    ] {
        assert!(figure.value.is_some() && figure.low.is_none());
        let why = figure.why_undefined.as_deref();
        assert_eq!(why, Some("no interval: all items are one cluster"));
    }
    let mastery = contrast(&found, "grpo", "base", Measure::Elasticity);
    assert_eq!((mastery.p, mastery.verdict), (None, Verdict::Undefined));
}

#[test]
fn the_known_structure_is_found() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    let pairs: Vec<(&str, &str)> = found
        .contrasts
        .iter()
        .step_by(MEASURES.len())
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
    let collapse = contrast(&found, "sft", "teacher", Measure::Elasticity);
    assert_eq!(
        collapse.question.as_deref(),
        Some("functional alignment collapse")
    );
    // The teacher was trained once, and with the students' seed: one pair.
    assert_eq!(
        (collapse.verdict, collapse.scope),
        (Verdict::Below, Scope::ThisTraining)
    );
    assert!(collapse.p.expect("defined") < 0.02 && collapse.difference.n == 80);
    let transfer = contrast(&found, "sft", "base", Measure::Alignment);
    assert_eq!(transfer.question.as_deref(), Some("negative transfer"));
    let accuracy = contrast(&found, "sft", "base", Measure::Accuracy);
    assert_eq!(
        (accuracy.question.as_deref(), accuracy.verdict),
        (None, Verdict::Above)
    );
    let mastery = contrast(&found, "grpo", "base", Measure::Elasticity);
    assert_eq!(
        (mastery.verdict, mastery.scope),
        (Verdict::Above, Scope::Trainings)
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
    // The teacher's one seed, two seeds, the number of tasks and the absent trials are to be told.
    assert_eq!(found.notes.len(), 4, "{:#?}", found.notes);
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
                &t.elasticity,
                &t.reliability,
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
            &arm.elasticity,
            &arm.reliability,
            &arm.alignment,
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
    // Against the teacher only the seed that it shares is taken.
    // The student's samples are too few for r at unlimited samples.
    let whole = |c: &&Contrast| c.against != "teacher" && c.measure != Measure::AlignmentUnlimited;
    for contrast in found.contrasts.iter().filter(whole) {
        let of: fn(&super::super::ArmFigures) -> &super::super::Estimate = match contrast.measure {
            Measure::Elasticity => |a| &a.elasticity,
            Measure::AlignmentUnlimited => |a| &a.alignment_unlimited,
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
fn no_p_contradicts_the_interval_or_the_verdict_beside_it() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    let by_task = found.task_contrasts.iter().map(|of| &of.contrast);
    let mut seen = 0;
    for c in found.contrasts.iter().chain(by_task) {
        let (Some(low), Some(high), Some(p)) = (c.difference.low, c.difference.high, c.p) else {
            continue;
        };
        let decided = low > 0.0 || high < 0.0;
        assert_eq!(decided, p < 0.05, "{c:?}");
        assert_eq!(
            decided,
            matches!(c.verdict, Verdict::Below | Verdict::Above),
            "{c:?}"
        );
        let (low, high) = (c.low90.expect("a low"), c.high90.expect("a high"));
        let d = c.smallest_effect.expect("an effect");
        assert_eq!(
            low > -d && high < d,
            c.p_equivalence.expect("a p") < 0.05,
            "{c:?}"
        );
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn questions_are_answered_with_their_family_and_their_smallest_effect() {
    let made = made();
    let question = |name: &str, contrast: &str, direction: &str, family: &str| {
        let text = format!(
            "name = \"{name}\"\ncontrast = \"{contrast}\"\ndirection = \"{direction}\"\nfamily = \"{family}\""
        );
        toml::from_str::<question::Question>(&text).expect("a question")
    };
    let asked = [
        question("mastery", "grpo - base", "above", "main"),
        question("opposite", "grpo - base", "below", "main"),
        question("alone", "grpo - sft", "above", "other"),
        question("elsewhere", "run/a - run/b", "above", "other"),
    ];
    let found = compare(Input {
        questions: question::all(&asked, question::When::Before),
        ..input(&made)
    });
    let answers = found.expect("compared").answers;
    let told: Vec<(&str, &str, usize)> = (answers.iter())
        .map(|a| (a.asked.question.name.as_str(), a.word(), a.family))
        .collect();
    assert_eq!(
        told,
        [
            ("mastery", "yes", 2),
            ("opposite", "no (opposite)", 2),
            ("alone", "yes", 1)
        ]
    );
    let (p, holm) = (
        answers[0].contrast.p.expect("a p"),
        answers[0].p_holm.expect("a p"),
    );
    assert!((holm - (2.0 * p).min(1.0)).abs() < 1e-15);
    assert_eq!(answers[2].p_holm, answers[2].contrast.p);
}
