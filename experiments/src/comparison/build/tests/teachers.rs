//! Several teachers: what is averaged, what is over them, and what is said of it.

use super::*;
use crate::alignment::cost::Counting;
use crate::comparison::{Condition, Estimate};
use crate::manifest::{ArmCard, ArmRun, EvaluationCard};
use crate::record::Trace;
use crate::statistics::draws::{below, stream};
use crate::tables::layout;

/// Two students of either teacher on three items: what a teacher's students have in common beyond
/// what their teacher, base and reinforced arm spend, by item.
const BEYOND: [[u32; 2]; 3] = [[1, 3], [2, 6], [6, 6]];

/// What the others spend, by teacher.
const LEVEL: [u32; 2] = [30, 50];

fn trace(model: &str, seed: u64, teacher: Option<u64>, item: usize, tokens: u32) -> Trace {
    Trace {
        model: model.into(),
        seed: Some(seed),
        teacher,
        task: "t".into(),
        item_id: format!("item {item}"),
        sample: 0,
        prompt_tokens: 3,
        reasoning_tokens: tokens,
        completion_tokens: tokens,
        correct: Some(true),
        truncated: false,
        answer: None,
        completion: None,
    }
}

fn cards() -> Vec<ArmCard> {
    let card = |name: &str, role, base: Option<&str>, teacher: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: base.map(Into::into),
        init: None,
        teacher: teacher.map(Into::into),
    };
    vec![
        card("base", Role::Base, None, None),
        card("teacher", Role::Teacher, None, None),
        card("sft", Role::Student, Some("base"), Some("teacher")),
        card("dft", Role::Student, Some("base"), Some("teacher")),
        card("grpo", Role::Rl, Some("base"), None),
    ]
}

/// Students 1, 2 of teacher 1 and 3, 4 of teacher 2: seeds that mean other things in other arms.
fn by_hand() -> Vec<Trace> {
    let mut traces = Vec::new();
    for (item, beyond) in BEYOND.iter().enumerate() {
        for (at, teacher) in [(0, 1), (1, 2)] {
            traces.push(trace("teacher", teacher, None, item, LEVEL[at]));
            for (seed, other) in [(2 * teacher - 1, 4), (2 * teacher, -4)] {
                let of_student = (LEVEL[at] + beyond[at]).saturating_add_signed(other);
                for (arm, tokens, teacher) in [
                    ("sft", of_student, Some(teacher)),
                    ("dft", LEVEL[at], Some(teacher)),
                    ("base", LEVEL[at], None),
                    ("grpo", LEVEL[at], None),
                ] {
                    traces.push(trace(arm, seed, teacher, item, tokens));
                }
            }
        }
    }
    traces
}

fn compared(cards: &[ArmCard], traces: &[Trace]) -> Comparison {
    let norms = Norms::new(Vec::new(), "nobody".into());
    let input = Input {
        title: "teachers".into(),
        hypothesis: String::new(),
        arms: cards,
        seeds: &[1, 2, 3, 4],
        tasks: &["t".to_owned()],
        norms: &norms,
        traces,
        evaluation: EvaluationCard {
            samples: 1,
            temperature: 1.0,
            max_new_tokens: 99,
            items: String::new(),
            norms: String::new(),
        },
        arm_runs: &[] as &[ArmRun],
        curves: Vec::new(),
        on_the_way: &[],
        training: &[],
        environment: BTreeMap::new(),
        counting: Counting::default(),
        seed: 0,
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
        questions: Vec::new(),
    };
    compare(input).expect("compared")
}

/// Of rows 1 3, 2 6, 6 6 over two teachers: `V_training` = Var(3, 5) / 2 = 1, `V_items` = Var(2, 4, 6)
/// / 3 = 4/3, `V_interaction` = 4 / (1 * 2 * 2 * 3) = 1/3.
fn holds_by_hand(found: &Estimate, value: f64, training: f64) {
    let total = training + 4.0 / 3.0 - 1.0 / 3.0;
    let uncertain = training.powi(2) + (4.0f64 / 3.0).powi(2) / 2.0 + (1.0f64 / 3.0).powi(2) / 2.0;
    let near = |got: Option<f64>, expected: f64| {
        assert!(
            (got.expect("defined") - expected).abs() < 1e-12,
            "{got:?} {expected}"
        );
    };
    near(found.value, value);
    near(found.se, total.sqrt());
    near(found.df, total * total / uncertain);
}

#[test]
fn the_teachers_are_what_varies() {
    let found = compared(&cards(), &by_hand());
    for (arm, against, value) in [
        ("sft", "base", 4.0),
        ("sft", "teacher", 4.0),
        ("grpo", "sft", -4.0),
        ("dft", "sft", -4.0),
    ] {
        let contrast = contrast(&found, arm, against, Measure::Tokens);
        assert_eq!((contrast.scope, contrast.trainings), (Scope::Teachers, 2));
        holds_by_hand(&contrast.difference, value, 1.0);
        assert_eq!(layout::scope(contrast).as_deref(), Some("over 2 teachers"));
    }
    // 33 and 55 tokens: Var(33, 55) / 2 = 121.
    holds_by_hand(&found.arms[2].tokens, 44.0, 121.0);
    assert_eq!(found.arms[2].teachers, [1, 2]);
    assert!(found.arms[0].teachers.is_empty());
    let grpo = contrast(&found, "grpo", "base", Measure::Tokens);
    assert_eq!((grpo.scope, grpo.trainings), (Scope::Trainings, 4));
    let teachers = found
        .fairness
        .iter()
        .find(|f| f.condition == Condition::Teachers);
    assert_eq!(teachers.expect("looked at").holds, Some(true));
    let said = found.notes.join("\n");
    for words in [
        "sft go back to 2 teachers (2 of each)",
        "Two teachers cannot decide",
        "sft - teacher is the mean over 2 teachers",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn with_one_teacher_it_is_that_teacher_alone() {
    let mut traces = by_hand();
    traces.retain(|trace| trace.model != "teacher" || trace.seed == Some(1));
    for trace in &mut traces {
        trace.teacher = trace.teacher.and(Some(1));
        if trace.model == "teacher" {
            trace.seed = None;
        }
    }
    let named = compared(&cards(), &traces);
    for trace in &mut traces {
        trace.teacher = None;
    }
    assert_eq!(named, compared(&cards(), &traces));
    let collapse = contrast(&named, "sft", "teacher", Measure::Tokens);
    assert_eq!(
        (collapse.scope, collapse.trainings),
        (Scope::ThisAgainst, 4)
    );
    assert!(
        named
            .fairness
            .iter()
            .all(|f| f.condition != Condition::Teachers)
    );
}

#[test]
fn what_does_not_pair_is_said_and_the_rest_is_used() {
    let mut traces = by_hand();
    traces.retain(|trace| trace.model != "teacher" || trace.seed == Some(1));
    for item in 0..3 {
        traces.push(trace("teacher", 9, None, item, 40 + item as u32));
    }
    let found = compared(&cards(), &traces);
    let teachers = found
        .fairness
        .iter()
        .find(|f| f.condition == Condition::Teachers);
    let teachers = teachers.expect("looked at");
    assert_eq!(teachers.holds, Some(false));
    for words in [
        "sft of seed 3, 4 learned from teacher of seed 2, of which there is no record",
        "teacher of seed 9 taught no training of sft",
    ] {
        assert!(teachers.found.contains(words), "{}", teachers.found);
    }
    assert!(teachers.parts(["sft", "teacher"]) && !teachers.parts(["sft", "base"]));
    // Students 1 and 2 are left, beside their one teacher: 1, 2 and 6 tokens beyond it.
    let collapse = contrast(&found, "sft", "teacher", Measure::Tokens);
    assert_eq!(
        (collapse.scope, collapse.trainings),
        (Scope::ThisAgainst, 2)
    );
    assert!((collapse.difference.value.expect("defined") - 3.0).abs() < 1e-12);
    let transfer = contrast(&found, "sft", "base", Measure::Tokens);
    assert_eq!(transfer.scope, Scope::Teachers);
}

#[test]
fn where_no_teacher_of_a_student_is_there_nothing_is_made_up() {
    let mut traces = by_hand();
    for trace in traces.iter_mut().filter(|trace| trace.model == "teacher") {
        trace.seed = trace.seed.map(|seed| seed + 70);
    }
    let found = compared(&cards(), &traces);
    let collapse = contrast(&found, "sft", "teacher", Measure::Tokens);
    assert_eq!((collapse.difference.value, collapse.trainings), (None, 0));
    let why = collapse.difference.why_undefined.as_deref();
    assert_eq!(
        why,
        Some("no training of the one arm belongs to one of the other")
    );
    assert_eq!(found.further.surface[0].divergence.value, None);
}

#[test]
fn what_goes_on_from_a_student_has_its_teacher() {
    let mut cards = cards();
    cards[4].init = Some("sft".into());
    let found = compared(&cards, &by_hand());
    assert_eq!(found.arms[4].teachers, [1, 2]);
    let mastery = contrast(&found, "grpo", "base", Measure::Tokens);
    assert_eq!((mastery.scope, mastery.trainings), (Scope::Teachers, 2));
}

#[test]
fn the_interval_over_teachers_is_wider_where_it_is_teachers_that_differ() {
    let mut rng = stream(7, "teachers", 0);
    let mut upto = move |most: u32| below(&mut rng, most);
    let mut traces = Vec::new();
    let seeds = [(1, 100), (2, 100), (3, 101), (4, 101), (5, 102), (6, 102)];
    for item in 0..24 {
        for (seed, teacher) in seeds {
            // Teachers differ by twelve tokens, their students by one.
            let common = 40 + 12 * (teacher as u32 - 100) + seed as u32 % 2;
            traces.push(trace("sft", seed, Some(teacher), item, common + upto(4)));
            traces.push(trace("base", seed, None, item, 20 + upto(4)));
        }
    }
    let cards: Vec<ArmCard> = cards()
        .into_iter()
        .filter(|card| ["base", "sft"].contains(&card.name.as_str()))
        .map(|card| ArmCard {
            teacher: None,
            ..card
        })
        .collect();
    let width = |traces: &[Trace]| {
        let found = compared(&cards, traces);
        let found = contrast(&found, "sft", "base", Measure::Tokens);
        let difference = found.difference.clone();
        (
            difference.value.expect("defined"),
            difference.high.expect("defined") - difference.low.expect("defined"),
        )
    };
    let over_teachers = width(&traces);
    for trace in &mut traces {
        trace.teacher = None;
    }
    let over_seeds = width(&traces);
    assert!((over_teachers.0 - over_seeds.0).abs() < 1e-9);
    assert!(
        over_teachers.1 > 1.5 * over_seeds.1,
        "{over_teachers:?} {over_seeds:?}"
    );
}
