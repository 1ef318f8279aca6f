//! Both parts of an update, their weights, and gradients by hand.

use tch::Kind;

use super::*;
use crate::Demonstration;
use crate::testing::{Rows, Scripted, rollout, values};

fn chord() -> Chord {
    Chord {
        grpo: Grpo {
            prompts_per_generation: 1,
            num_generations: 2,
            ..Grpo::default()
        },
        ..Chord::default()
    }
}

#[test]
fn an_update_holds_rollouts_and_demonstrations_with_normalisers_of_their_own() {
    let demonstration = Demonstration {
        prompt: vec![1],
        completion: vec![4, 2],
        weights: vec![1.0, 0.5],
    };
    let mut lab = Scripted {
        demonstrations: vec![demonstration],
        ..Scripted::of(vec![rollout(2, 0.0), rollout(3, 1.0)])
    };
    let batch = chord().collect(0, &mut lab).unwrap().batches.remove(0);
    let shown: Vec<bool> = batch.examples.iter().map(|e| e.demonstrated).collect();
    assert_eq!(shown, [false, false, true]);
    assert!((batch.normaliser - 5.0).abs() < 1e-12);
    let imitation = batch.imitation.unwrap();
    assert!((imitation.normaliser - 1.5).abs() < 1e-12);
    assert!((imitation.weight - 0.1).abs() < 1e-12);
}

/// Loss and gradient of four rows, of which the last two are demonstrations.
fn of(chord: &Chord, weight: f64) -> (f64, Vec<f64>) {
    let (mut tokens, leaf) = Rows::made_up(4).cut(0, 4, Kind::Double);
    tokens.demonstrated = vec![false, false, true, true];
    let batch = Batch {
        imitation: Some(Imitation {
            weight,
            normaliser: 3.0,
        }),
        ..crate::testing::counts(7.0, 7)
    };
    let (loss, _) = chord.loss(&tokens, &batch).unwrap();
    let value = loss.double_value(&[]);
    (
        value,
        values(&Tensor::run_backward(&[loss], &[leaf], false, false)[0]),
    )
}

#[test]
fn the_weight_leads_from_reinforcement_to_imitation() {
    let chord = chord();
    let (low, high, half) = (of(&chord, 0.0), of(&chord, 1.0), of(&chord, 0.5));
    assert!((half.0 - f64::midpoint(low.0, high.0)).abs() < 1e-12);
    let rows = Rows::made_up(4);
    let first = (rows.lengths[0] + rows.lengths[1]) as usize;
    assert!(low.1[first..].iter().all(|&g| g == 0.0) && low.1[..first].iter().any(|&g| g != 0.0));
    assert!(high.1[..first].iter().all(|&g| g == 0.0));
    // A demonstration's token counts by p (1 - p) of its own.
    for (place, gradient) in high.1.iter().enumerate().skip(first) {
        let p = rows.logprobs[place].exp();
        let expected = -p * (1.0 - p) * rows.weights[place] / 3.0;
        assert!((gradient - expected).abs() < 1e-12);
    }
}

#[test]
fn contradictory_settings_are_named() {
    let grpo = Grpo {
        num_generations: 1,
        ..Grpo::default()
    };
    for (chord, key) in [
        (
            Chord {
                mu: 1.1,
                ..Chord::default()
            },
            "mu",
        ),
        (
            Chord {
                mu_final: Some(-1.0),
                mu_steps: 3,
                ..Chord::default()
            },
            "mu_final",
        ),
        (
            Chord {
                mu_final: Some(0.5),
                ..Chord::default()
            },
            "mu_steps",
        ),
        (
            Chord {
                grpo,
                ..Chord::default()
            },
            "grpo.num_generations",
        ),
    ] {
        assert!(chord.check().unwrap_err().starts_with(key), "{key}");
    }
    Chord::default().check().unwrap();
}
