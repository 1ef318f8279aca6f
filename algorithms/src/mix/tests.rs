//! The share of either algorithm, and whose loss an update has.

use super::*;
use crate::testing::{Scripted, rollout};
use crate::{Demonstration, Gkd, Grpo, Opd};

fn mix(share: f64) -> Mix {
    let grpo = Grpo {
        prompts_per_generation: 2,
        num_generations: 2,
        steps_per_generation: 2,
        ..Grpo::default()
    };
    Mix {
        share,
        reinforce: Box::new(AlgorithmSettings::Grpo(Box::new(grpo))),
        ..Mix::default()
    }
}

fn lab() -> Scripted {
    let rollouts = || {
        [0.0, 1.0, 0.0, 1.0]
            .map(|reward| rollout(2, reward))
            .to_vec()
    };
    Scripted {
        demonstrations: vec![Demonstration {
            prompt: vec![1],
            completion: vec![4, 2],
            weights: vec![1.0, 1.0],
        }],
        rollouts: std::iter::repeat_with(rollouts).take(50).collect(),
        ..Scripted::default()
    }
}

#[test]
fn each_goes_on_where_it_left_off_and_the_share_is_kept_to() {
    for (share, reinforced) in [(0.0, 0), (0.25, 10), (0.5, 20), (1.0, 40)] {
        let (mix, mut lab) = (mix(share), lab());
        let (mut step, mut seen) = (0, 0);
        while step < 40 {
            let collected = mix.collect(step, &mut lab).unwrap();
            let shown = collected.batches[0].examples.iter().all(|e| e.demonstrated);
            assert!((collected.metrics["mix/reinforced"] > 0.5) != shown);
            step += collected.batches.len() as u64;
            seen += if shown { 0 } else { collected.batches.len() };
        }
        assert!(seen.abs_diff(reinforced) <= 1, "{share}: {seen}");
        let phases: Vec<u64> = (0..lab.phases.len() as u64).collect();
        assert_eq!(lab.phases, phases, "{share}");
    }
}

#[test]
fn an_update_has_the_loss_of_whom_it_is() {
    let rows = crate::testing::Rows::made_up(3);
    let (mut tokens, _) = rows.cut(0, 3, tch::Kind::Double);
    let batch = crate::testing::counts(4.0, 9);
    let mix = mix(0.5);
    let of = |tokens: &TokenBatch| mix.loss(tokens, &batch).unwrap().0.double_value(&[]);
    let alone = |algorithm: &dyn Algorithm, tokens: &TokenBatch| {
        algorithm.loss(tokens, &batch).unwrap().0.double_value(&[])
    };
    assert!((of(&tokens) - alone(mix.reinforce.algorithm(), &tokens)).abs() < 1e-12);
    tokens.demonstrated = vec![true; 3];
    assert!((of(&tokens) - alone(mix.imitate.algorithm(), &tokens)).abs() < 1e-12);
    assert!((of(&tokens) - alone(mix.reinforce.algorithm(), &tokens)).abs() > 1e-3);
}

#[test]
fn what_a_reinforcing_algorithm_needs_it_needs_too() {
    let with = |reinforce| Mix {
        reinforce: Box::new(reinforce),
        ..Mix::default()
    };
    let opd = with(AlgorithmSettings::Opd(Opd::default()));
    assert!(opd.needs_teacher() && !opd.learns_from_reward() && opd.check().is_ok());
    let held = AlgorithmSettings::Grpo(Box::new(Grpo {
        beta: 0.1,
        ..Grpo::default()
    }));
    assert!(with(held).needs_reference() && !mix(0.5).needs_reference());
}

#[test]
fn contradictory_settings_are_named() {
    let sft = || Box::new(AlgorithmSettings::Sft(Sft::default()));
    let gkd = || Box::new(AlgorithmSettings::Gkd(Gkd::default()));
    let grpo = Grpo {
        epsilon: 2.0,
        ..Grpo::default()
    };
    let broken = Box::new(AlgorithmSettings::Grpo(Box::new(grpo)));
    for (mix, key) in [
        (
            Mix {
                share: -0.1,
                ..Mix::default()
            },
            "share",
        ),
        (
            Mix {
                share_final: Some(2.0),
                share_steps: 3,
                ..Mix::default()
            },
            "share_final",
        ),
        (
            Mix {
                share_steps: 3,
                ..Mix::default()
            },
            "share_steps",
        ),
        (
            Mix {
                imitate: gkd(),
                ..Mix::default()
            },
            "imitate.gkd",
        ),
        (
            Mix {
                reinforce: sft(),
                ..Mix::default()
            },
            "reinforce.sft",
        ),
        (
            Mix {
                reinforce: gkd(),
                ..Mix::default()
            },
            "reinforce.gkd",
        ),
        (
            Mix {
                reinforce: broken,
                ..Mix::default()
            },
            "reinforce.grpo.epsilon",
        ),
    ] {
        assert!(mix.check().unwrap_err().starts_with(key), "{key}");
    }
    Mix::default().check().unwrap();
}
