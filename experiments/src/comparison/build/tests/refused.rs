//! What is noted, left undefined or refused.

use super::*;

#[test]
fn unfairness_is_noted() {
    let mut made = made();
    made.runs
        .iter_mut()
        .filter(|r| r.arm == "sft" && r.seed == 1)
        .for_each(|r| r.initial_weights = "w9".into());
    made.runs
        .iter_mut()
        .filter(|r| r.arm == "grpo" && r.seed == 2)
        .for_each(|r| {
            r.problem_order = Some("another".into());
            r.final_weights = "w0".into();
        });
    made.traces
        .iter_mut()
        .filter(|t| t.model == "base" && t.item_id.ends_with('0'))
        .for_each(|t| t.truncated = true);
    made.traces
        .iter_mut()
        .filter(|t| t.model == "base" && t.item_id.ends_with('1'))
        .for_each(|t| t.truncated = true);
    made.traces
        .retain(|t| !(t.model == "grpo" && t.seed == Some(2)));
    let again = made.traces[0].clone();
    made.traces.push(again);
    made.traces.push(Trace {
        model: "stranger".into(),
        ..made.traces[0].clone()
    });
    made.traces.push(Trace {
        item_id: "no norm".into(),
        ..made.traces[0].clone()
    });
    let notes = compare(input(&made)).expect("compared").notes;
    for expected in [
        "the arms sft, grpo of seed 1 started from different weights",
        "the arms of seed 2 that train on problems met them in different orders",
        "grpo of seed 2 ended with the weights it started from",
        "20 % of base's samples hit the token cap",
        "grpo has no record of seed 2",
        "Contrasts of arms that do not have the same ones mix in the items",
        "grpo - base (1)",
        "1 record(s) repeat",
        "not compared are left out: stranger",
        "1 evaluated item(s) have no human time and are in no alignment: a/no norm",
        "Items with another number of samples than the 2 of the evaluation: 1 of base.",
        "2 task(s): a figure across tasks is demonstrative below 4",
        "No noise ceiling for a, b: it is not computable without trials.",
    ] {
        assert!(
            notes.iter().any(|note| note.contains(expected)),
            "{expected}: {notes:#?}"
        );
    }
}

#[test]
fn trainings_that_taught_nothing_are_named_and_sound_ones_are_not() {
    let made = made();
    let sound = |arm: &str, seed| TrainingLog {
        arm: arm.into(),
        seed,
        updates: 15,
        moved: 14,
        skipped: 0,
        empty: 1,
        truncated: Some(0.1),
        alike: Some(0.5),
        ..TrainingLog::default()
    };
    let notes = |training: &[TrainingLog]| {
        let input = Input {
            training,
            ..input(&made)
        };
        compare(input).expect("compared").notes
    };
    let fine = notes(&[sound("grpo", 1), sound("grpo", 2)]);
    assert_eq!(fine, compare(input(&made)).expect("compared").notes);
    let training = [
        TrainingLog {
            skipped: 2,
            empty: 6,
            truncated: Some(0.9),
            ..sound("grpo", 1)
        },
        TrainingLog {
            moved: 0,
            alike: Some(1.0),
            ..sound("grpo", 2)
        },
    ];
    let told = notes(&training);
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    for expected in [
        "Not one of the 15 updates of grpo of seed 2 moved a weight: it learned nothing.",
        "2 of grpo's 30 updates were skipped because loss or gradient was not finite (seed 1: 2).",
        "7 of grpo's 30 updates had nothing to train (seed 1: 6, seed 2: 1): no completion of theirs differed from its \
         group, or all were masked.",
        "The token cap cut off 50 % of the completions that grpo sampled in training (seed 1: 90 %, seed 2: 10 %): what \
         would have followed was never rewarded.",
        "In 75 % of the groups that grpo sampled in training all completions earned the same (seed 1: 50 %, seed 2: 100 \
         %): comparing them teaches nothing.",
    ] {
        assert!(told.contains(&expected), "{expected}: {told:#?}");
    }
    assert_eq!(told.len(), fine.len() + 5);
}

/// Of the 320 samples of base 20 become null, all of them wrong before; grpo has no grade on b.
#[test]
fn samples_without_a_grade_are_named_with_what_they_would_change() {
    let mut made = made();
    let whole = compare(input(&made)).expect("compared");
    let of = |t: &&mut Trace| t.model == "base" && t.correct == Some(false);
    made.traces
        .iter_mut()
        .filter(of)
        .take(20)
        .for_each(|t| t.correct = None);
    made.traces
        .iter_mut()
        .filter(|t| t.model == "grpo" && t.task == "b")
        .for_each(|t| t.correct = None);
    let found = compare(input(&made)).expect("compared");
    let note = |start: &str| {
        let mut fitting = found.notes.iter().filter(|note| note.starts_with(start));
        (fitting.next().expect("a note").as_str(), fitting.count())
    };
    let (graded, more) = note("Samples without a grade");
    assert_eq!(more, 0);
    let shown = |c: &Comparison| format!("{:.3}", c.arms[0].accuracy.value.expect("an accuracy"));
    assert_ne!(shown(&whole), shown(&found));
    let expected = format!(
        "(and without them): 20 of base, {} ({}).",
        shown(&whole),
        shown(&found)
    );
    assert!(graded.ends_with(&expected), "{graded}");
    assert_eq!(
        note("Nothing of").0,
        "Nothing of grpo was graded on b: the accuracy there is undefined."
    );
}

#[test]
fn an_arm_that_never_thinks_is_undefined_with_its_reason() {
    let mut made = made();
    made.traces
        .iter_mut()
        .filter(|t| t.model == "base")
        .for_each(|t| t.reasoning_tokens = 0);
    let found = compare(input(&made)).expect("compared");
    let base = &found.arms[0];
    assert_eq!(base.alignment.value, None);
    assert_eq!(
        base.tasks[0].alignment.why_undefined.as_deref(),
        Some("no variance in model cost")
    );
    let transfer = contrast(&found, "sft", "base", Measure::Alignment);
    assert_eq!(
        (transfer.difference.value, transfer.verdict),
        (None, Verdict::Undefined)
    );
    let why = transfer
        .difference
        .why_undefined
        .as_deref()
        .expect("a reason");
    assert_eq!(
        why,
        "seed 1, a: no variance in model cost, and so in 3 more"
    );
    // What is not spent cannot rise: the elasticity is 0 and comparable.
    let elasticity = contrast(&found, "sft", "base", Measure::Elasticity);
    assert!(elasticity.difference.value.is_some());
    assert_eq!(found.arms[0].elasticity.value, Some(0.0));
    assert!(
        contrast(&found, "sft", "base", Measure::Accuracy)
            .difference
            .value
            .is_some()
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let made = made();
    let refused = |change: &dyn Fn(&mut Input<'_>)| {
        let mut input = input(&made);
        change(&mut input);
        compare(input).expect_err("refused").to_string()
    };
    assert!(refused(&|i| i.tasks = &[]).contains("without tasks"));
    assert!(refused(&|i| i.arms = &[]).contains("without arms"));
    let message = refused(&|i| i.arms = &i.arms[2..]);
    assert!(
        message
            .contains("arm `sft` names `base` as its base, which is no arm (there are: sft, grpo)"),
        "{message}"
    );
    let mut unknown = made.arms.clone();
    unknown.push(ArmCard {
        name: "new".into(),
        role: Role::Other,
        base: None,
        init: None,
        teacher: None,
    });
    let mut with_unknown = input(&made);
    with_unknown.arms = &unknown;
    let message = compare(with_unknown).expect_err("refused").to_string();
    assert!(message.contains("no trace record of arm `new` on the tasks a, b (there are records of: base, grpo, sft, teacher)"), "{message}");
    unknown.push(unknown[0].clone());
    let mut twice = input(&made);
    twice.arms = &unknown;
    assert!(
        compare(twice)
            .expect_err("refused")
            .to_string()
            .contains("arm `base` is named twice")
    );
}
