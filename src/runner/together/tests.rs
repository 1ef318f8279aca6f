//! Runs of one definition that had teachers of their own.

use std::path::Path;

use experiments::alignment::cost::{Counting, CutOff};
use experiments::comparison::Scope;
use experiments::manifest::{ArmCard, EvaluationCard};
use experiments::norms::{NormItem, Norms};
use experiments::record::Trace;
use experiments::record::recording::Recording;
use serde_json::json;

use super::*;

/// A run of one seed whose student learned from a teacher of its own, as a job of a sweep leaves it.
fn job(seed: u64, teacher: u64, weights: &str) -> Loaded {
    let run = |arm: &str, seed: u64, teacher: Option<u64>, weights: &str| ArmRun {
        arm: arm.into(),
        seed,
        teacher,
        folder: arm.into(),
        init: None,
        initial_weights: "w0".into(),
        final_weights: weights.into(),
        problem_order: None,
        trained_on: Vec::new(),
        budget: None,
        pretraining_seconds: None,
        evaluation_seconds: None,
    };
    let card = |name: &str, role, base: Option<&str>, teacher: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: base.map(Into::into),
        init: None,
        teacher: teacher.map(Into::into),
    };
    let traces = [
        ("base", Some(seed), 2),
        ("teacher", None, 5),
        ("sft", Some(seed), 7),
    ];
    let traces = traces.iter().flat_map(|(model, of, tokens)| {
        (0..3).map(move |item| Trace {
            model: (*model).into(),
            seed: *of,
            teacher: None,
            task: "t".into(),
            item_id: format!("item {item}"),
            sample: 0,
            prompt_tokens: 3,
            reasoning_tokens: tokens + item * (1 + teacher as u32 % 2),
            completion_tokens: 20,
            correct: Some(true),
            truncated: false,
            answer: None,
            completion: None,
        })
    });
    let traces: Vec<Trace> = traces.collect();
    let mut recording = Recording::default();
    recording.extend(Path::new("made up"), &traces).unwrap();
    let items = (0..3).map(|item| NormItem {
        task: "t".into(),
        item_id: format!("item {item}"),
        ..NormItem::default()
    });
    Loaded {
        manifest: Manifest {
            format: 1,
            name: "job".into(),
            title: "job".into(),
            hypothesis: String::new(),
            seeds: vec![seed],
            tasks: vec!["t".into()],
            arms: vec![
                card("base", Role::Base, None, None),
                card("teacher", Role::Teacher, None, None),
                card("sft", Role::Student, Some("base"), Some("teacher")),
            ],
            arm_runs: vec![
                run("base", seed, None, "w0"),
                run("teacher", teacher, None, weights),
                run("sft", seed, Some(teacher), &format!("sft {seed}")),
            ],
            evaluation: EvaluationCard {
                samples: 1,
                temperature: 1.0,
                max_new_tokens: 20,
                items: "items".into(),
                norms: "nobody".into(),
            },
            definition: json!({
                "experiment": {"seeds": [seed]},
                "teacher": {"seeds": [teacher], "steps": 3},
            }),
            only_correct: false,
            cut_off: CutOff::Cap,
            questions: Vec::new(),
            notes: Vec::new(),
            environment: BTreeMap::new(),
            files: BTreeMap::new(),
        },
        norms: Norms::new(items.collect(), "nobody".into()),
        recording,
        curves: Vec::new(),
        training: Vec::new(),
        on_the_way: Vec::new(),
        recipes: Vec::new(),
        flaws: Vec::new(),
        inputs: BTreeMap::new(),
    }
}

fn joined(jobs: Vec<Loaded>) -> Loaded {
    let mut jobs = jobs.into_iter();
    let mut all = jobs.next().unwrap();
    for job in jobs {
        assert!(is_of_one_definition(&all, &job));
        all.join(job).unwrap();
    }
    all
}

#[test]
fn teachers_with_other_seeds_are_joined_like_seeds() {
    let all = joined(vec![
        job(1, 100, "t100"),
        job(2, 100, "t100"),
        job(3, 101, "t101"),
        job(4, 101, "t101"),
    ]);
    let items = all
        .recording
        .items(&["teacher", "sft"], &["t".to_owned()], Counting::default());
    let of = |name: &str| -> Vec<(Option<u64>, Option<u64>)> {
        let models = items.models[name].iter();
        models.map(|model| (model.seed, model.teacher)).collect()
    };
    assert_eq!(of("teacher"), [(Some(100), None), (Some(101), None)]);
    let students = [(1, 100), (2, 100), (3, 101), (4, 101)];
    assert_eq!(
        of("sft"),
        students.map(|(seed, its)| (Some(seed), Some(its)))
    );
    assert_eq!(teachers(&all.manifest).len(), 2);
    let comparison = all.compare().unwrap();
    let collapse = comparison.contrasts.iter();
    let collapse = collapse.filter(|c| (c.arm.as_str(), c.against.as_str()) == ("sft", "teacher"));
    for contrast in collapse.filter(|c| c.difference.value.is_some()) {
        assert_eq!((contrast.scope, contrast.trainings), (Scope::Teachers, 2));
    }
}

#[test]
fn an_only_teacher_stays_without_a_seed() {
    let all = joined(vec![job(1, 100, "t100"), job(2, 100, "t100")]);
    let items = all
        .recording
        .items(&["teacher", "sft"], &["t".to_owned()], Counting::default());
    assert_eq!(items.models["teacher"].len(), 1);
    assert_eq!(items.models["teacher"][0].seed, None);
    assert_eq!(items.models["sft"][1].teacher, None);
}

#[test]
fn a_teacher_of_one_seed_has_one_content() {
    let first = job(1, 100, "t100");
    assert!(!is_of_one_definition(&first, &job(2, 100, "other")));
    assert!(!is_of_one_definition(&first, &job(1, 101, "t101")));
    let mut longer = job(2, 101, "t101");
    longer.manifest.definition["teacher"]["steps"] = json!(4);
    assert!(!is_of_one_definition(&first, &longer));
}
