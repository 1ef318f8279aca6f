//! Demonstrations in groups, and what their tokens gain by hand.

use tch::Kind;

use super::*;
use crate::testing::{Rows, Scripted, counts, rollout, values};
use crate::{AdvantageScale, Algorithm, LossType};

fn luffy() -> Luffy {
    Luffy {
        grpo: Grpo {
            prompts_per_generation: 2,
            num_generations: 2,
            loss_type: LossType::DrGrpo,
            scale_rewards: AdvantageScale::None,
            ..Grpo::default()
        },
        ..Luffy::default()
    }
}

#[test]
fn a_demonstration_stands_in_each_group_and_is_compared_with_it() {
    let mut lab = Scripted {
        cap: Some(10),
        ..Scripted::of(
            [0.0, 1.0, 0.0, 0.0]
                .map(|reward| rollout(3, reward))
                .to_vec(),
        )
    };
    let collected = luffy().collect(0, &mut lab).unwrap();
    let batch = &collected.batches[0];
    let told = |weight: f64| move |w: &f32| (f64::from(*w) - weight).abs() < 1e-6;
    // Rewards of the groups: 0, 1 and a demonstration's 1; 0, 0 and 1.
    let expected = [
        -2.0 / 3.0,
        1.0 / 3.0,
        1.0 / 3.0,
        -1.0 / 3.0,
        -1.0 / 3.0,
        2.0 / 3.0,
    ];
    assert_eq!(batch.examples.len(), 6);
    for (example, expected) in batch.examples.iter().zip(expected) {
        assert!(example.weights.iter().all(told(expected)), "{expected}");
    }
    let shown: Vec<usize> = (0..6)
        .filter(|&row| batch.examples[row].demonstrated)
        .collect();
    assert_eq!(shown, [2, 5]);
    // Six completions in all, of at most ten tokens.
    assert!((batch.normaliser - 60.0).abs() < 1e-12);
    assert!((collected.metrics["luffy/demonstration_reward"] - 1.0).abs() < 1e-12);
    // The mean reward is that of own samples.
    assert!((collected.metrics["reward"] - 0.25).abs() < 1e-12);
}

#[test]
fn a_demonstrations_token_gains_by_its_shaped_probability() {
    let rows = Rows::made_up(3);
    let (mut tokens, leaf) = rows.cut(0, 3, Kind::Double);
    tokens.demonstrated = vec![false, false, true];
    let first = (rows.lengths[0] + rows.lengths[1]) as usize;
    let (loss, _) = luffy().loss(&tokens, &counts(5.0, 9)).unwrap();
    let gradient = values(&Tensor::run_backward(&[loss], &[leaf], false, false)[0]);
    for (place, got) in gradient.iter().enumerate().skip(first) {
        let p = rows.logprobs[place].exp();
        // d/dlog p of p / (p + 0.1).
        let slope = 0.1 * p / (p + 0.1).powi(2);
        assert!((got + slope * rows.weights[place] / 5.0).abs() < 1e-12);
    }
    assert!(gradient[..first].iter().any(|&g| g != 0.0));
}

#[test]
fn contradictory_settings_are_named() {
    let held = Grpo {
        beta: 0.1,
        ..Luffy::default().grpo
    };
    for (luffy, key) in [
        (
            Luffy {
                off_policy: 0,
                ..Luffy::default()
            },
            "off_policy",
        ),
        (
            Luffy {
                shaping_gamma: 0.0,
                ..Luffy::default()
            },
            "shaping_gamma",
        ),
        (
            Luffy {
                grpo: held,
                ..Luffy::default()
            },
            "grpo.beta",
        ),
    ] {
        assert!(luffy.check().unwrap_err().starts_with(key), "{key}");
    }
    Luffy::default().check().unwrap();
}
