//! Whose turn an update is, and what it holds.

use super::*;
use crate::Demonstration;
use crate::testing::{Scripted, rollout};

fn lab() -> Scripted {
    Scripted {
        demonstrations: vec![Demonstration {
            prompt: vec![1],
            completion: vec![4, 5, 2],
            weights: vec![1.0, 0.0, 1.0],
        }],
        ..Scripted::of(vec![rollout(2, 0.0), rollout(5, 1.0)])
    }
}

#[test]
fn a_share_of_the_updates_learns_from_own_samples_and_the_others_from_demonstrations() {
    let gkd = Gkd {
        prompts_per_generation: 2,
        ..Gkd::default()
    };
    let mut lab = lab();
    let shown = gkd.collect(0, &mut lab).unwrap().batches.remove(0);
    assert_eq!(shown.examples[0].weights, [1.0, 0.0, 1.0]);
    assert!((shown.normaliser - 2.0).abs() < 1e-12);
    assert!(lab.phases.is_empty());
    let own = gkd.collect(1, &mut lab).unwrap().batches.remove(0);
    // The first phase of problems, though it is the second update.
    assert_eq!(lab.phases, [0]);
    let weights: Vec<Vec<f32>> = own.examples.iter().map(|e| e.weights.clone()).collect();
    assert_eq!(weights, [vec![1.0; 2], vec![1.0; 5]]);
    assert!((own.normaliser - 7.0).abs() < 1e-12);
    assert!(
        lab.scored.is_empty(),
        "the divergence is taken where the policy learns"
    );
}

#[test]
fn at_the_poles_it_needs_only_what_it_learns_from() {
    let of = |lmbda| Gkd {
        lmbda,
        ..Gkd::default()
    };
    assert!(of(0.0).samples().is_none() && of(0.0).imitates());
    assert!(of(1.0).samples().is_some() && !of(1.0).imitates());
    assert!(of(0.5).samples().is_some() && of(0.5).imitates());
    assert!(of(0.5).needs_teacher() && !of(0.5).learns_from_reward());
}

#[test]
fn contradictory_settings_are_named() {
    for (gkd, key) in [
        (
            Gkd {
                lmbda: 1.5,
                ..Gkd::default()
            },
            "lmbda",
        ),
        (
            Gkd {
                beta: -0.1,
                ..Gkd::default()
            },
            "beta",
        ),
        (
            Gkd {
                temperature: 0.0,
                ..Gkd::default()
            },
            "temperature",
        ),
        (
            Gkd {
                num_generations: 0,
                ..Gkd::default()
            },
            "num_generations",
        ),
    ] {
        assert!(gkd.check().unwrap_err().starts_with(key), "{key}");
    }
    Gkd::default().check().unwrap();
}

#[test]
fn a_batch_without_divergences_is_refused() {
    let (tokens, _) = crate::testing::Rows::made_up(2).cut(0, 2, tch::Kind::Double);
    let loss = Gkd::default().loss(&tokens, &crate::testing::counts(1.0, 1));
    assert_eq!(loss.unwrap_err(), LossError::NoDivergences);
}
