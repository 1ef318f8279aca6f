//! The prompts before which samples are judged, and what the teacher is.

use super::*;
use crate::Algorithm;
use crate::testing::{Scripted, rollout};

#[test]
fn every_sample_is_judged_behind_the_prompt_of_its_own_problem() {
    let sdft = Sdft {
        prompts_per_generation: 2,
        num_generations: 2,
        ..Sdft::default()
    };
    let rollouts = vec![
        rollout(1, 0.0),
        rollout(0, 0.0),
        rollout(3, 0.0),
        rollout(2, 0.0),
    ];
    let mut lab = Scripted::of(rollouts);
    let batch = sdft.collect(0, &mut lab).unwrap().batches.remove(0);
    let template = sdft.teacher_prompt_template.len() as i64;
    let judged: Vec<_> = batch
        .examples
        .iter()
        .map(|e| e.judged_prompt.clone())
        .collect();
    let of = |problem: i64| Some(vec![problem, template]);
    assert_eq!(judged, [of(0), of(1), of(1)]);
    assert_eq!(batch.examples[0].prompt, [0]);
    assert!((batch.normaliser - 6.0).abs() < 1e-12);
    assert!(batch.examples.iter().all(|e| e.sampled_logprobs.is_none()));
}

#[test]
fn the_teacher_is_the_reference_and_follows_unless_it_stays_the_base() {
    let sdft = Sdft::default();
    assert!(sdft.needs_reference() && !sdft.needs_teacher() && sdft.meets_demonstrated());
    assert!((sdft.reference_sync().unwrap().mixup_alpha - 0.05).abs() < 1e-12);
    let base = Sdft {
        teacher_update_rate: 0.0,
        ..sdft
    };
    assert_eq!(base.reference_sync(), None);
}

#[test]
fn contradictory_settings_are_named() {
    let template = |text: &str| Sdft {
        teacher_prompt_template: text.to_owned(),
        ..Sdft::default()
    };
    for (sdft, key) in [
        (template("{prompt}"), "teacher_prompt_template"),
        (template("{demonstration}"), "teacher_prompt_template"),
        (
            Sdft {
                teacher_update_rate: 2.0,
                ..Sdft::default()
            },
            "teacher_update_rate",
        ),
        (
            Sdft {
                teacher_sync_steps: 0,
                ..Sdft::default()
            },
            "teacher_sync_steps",
        ),
        (
            Sdft {
                beta: f64::NAN,
                ..Sdft::default()
            },
            "beta",
        ),
    ] {
        assert!(sdft.check().unwrap_err().starts_with(key), "{key}");
    }
    Sdft::default().check().unwrap();
}
