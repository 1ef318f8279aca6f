//! Advantages by hand.

use super::*;

const TRL: Deviation = Deviation {
    ddof: 1,
    epsilon: 1e-4,
};

fn near(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-12, "{got} for {expected}");
    }
}

#[test]
fn advantages_follow_trl() {
    let rewards = [Some(1.0), Some(0.0), Some(0.0), Some(1.0)];
    let scaled = group_advantages(&rewards, 4, AdvantageScale::Group, TRL);
    // std with ddof 1 of [1, 0, 0, 1] is sqrt(1/3).
    let expected = 0.5 / ((1.0f64 / 3.0).sqrt() + 1e-4);
    near(&scaled, &[expected, -expected, -expected, expected]);
    let centred = group_advantages(&rewards, 2, AdvantageScale::None, TRL);
    assert_eq!(centred, [0.5, -0.5, -0.5, 0.5]);
}

#[test]
fn the_deviation_has_the_ddof_and_the_epsilon_it_is_told() {
    let rewards = [Some(1.0), Some(0.0), Some(0.0), Some(1.0)];
    let population = Deviation {
        ddof: 0,
        epsilon: 0.5,
    };
    let scaled = group_advantages(&rewards, 4, AdvantageScale::Group, population);
    near(&scaled, &[0.5, -0.5, -0.5, 0.5]);
}

#[test]
fn the_scale_of_the_batch_is_over_all_groups() {
    let rewards = [Some(1.0), Some(0.0), Some(5.0), Some(5.0)];
    let scaled = group_advantages(&rewards, 2, AdvantageScale::Batch, TRL);
    // Mean 2.75, squares 3.0625 + 7.5625 + 2 x 5.0625.
    let divisor = (20.75f64 / 3.0).sqrt() + 1e-4;
    near(&scaled, &[0.5 / divisor, -0.5 / divisor, 0.0, 0.0]);
}

#[test]
fn an_inapplicable_reward_takes_no_part() {
    let rewards = [Some(1.0), None, Some(0.0)];
    let unscaled = Deviation {
        epsilon: 0.0,
        ..TRL
    };
    let advantages = group_advantages(&rewards, 3, AdvantageScale::None, unscaled);
    assert_eq!(advantages, [0.5, 0.0, -0.5]);
    let nothing = group_advantages(&[None, None], 2, AdvantageScale::Group, TRL);
    assert_eq!(nothing, [0.0, 0.0]);
    assert_eq!(leave_one_out_advantages(&rewards, 3), [1.0, 0.0, -1.0]);
    assert_eq!(leave_one_out_advantages(&[Some(1.0), None], 2), [0.0, 0.0]);
}

#[test]
fn groups_that_are_alike_have_no_advantage_whatever_the_rounding() {
    // The mean of three tenths is not a tenth in floating point.
    let alike = [Some(0.1); 3];
    let exact = |advantages: Vec<f64>| assert_eq!(advantages, [0.0; 3]);
    for scale in [
        AdvantageScale::Group,
        AdvantageScale::Batch,
        AdvantageScale::None,
    ] {
        exact(group_advantages(&alike, 3, scale, TRL));
    }
    exact(leave_one_out_advantages(&alike, 3));
    exact(normalised(&alike, TRL));
    let part = [RewardPart {
        weight: 0.3,
        value: Some(0.1),
    }];
    exact(decoupled_advantages(&[Some(part.as_slice()); 3], 3, TRL));
}

#[test]
fn the_baseline_of_leaving_one_out_by_hand() {
    let rewards = [
        Some(1.0),
        Some(0.0),
        Some(0.5),
        Some(2.0),
        Some(4.0),
        Some(0.0),
    ];
    let advantages = leave_one_out_advantages(&rewards, 3);
    // Others: (0 + 0.5) / 2, (1 + 0.5) / 2, (1 + 0) / 2; (4 + 0) / 2, (2 + 0) / 2, (2 + 4) / 2.
    near(&advantages, &[0.75, -0.75, 0.0, 0.0, 3.0, -3.0]);
}

#[test]
fn rewards_normalised_one_by_one_count_alike() {
    // The second reward is a hundred times as large; both say the same.
    let row = |a: f64, b: f64| {
        [
            RewardPart {
                weight: 1.0,
                value: Some(a),
            },
            RewardPart {
                weight: 1.0,
                value: Some(b),
            },
        ]
    };
    let rows = [
        row(1.0, 0.0),
        row(0.0, 100.0),
        row(1.0, 100.0),
        row(0.0, 0.0),
    ];
    let parts: Vec<Option<&[RewardPart]>> = rows.iter().map(|row| Some(row.as_slice())).collect();
    let unpadded = Deviation {
        epsilon: 0.0,
        ..TRL
    };
    // Each part is ±0.5 / sqrt(1/3) after normalising; the sums are 0, 0, s, -s
    // and their deviation is s * sqrt(2/3).
    let expected = 1.0 / (2.0f64 / 3.0).sqrt();
    near(
        &decoupled_advantages(&parts, 4, unpadded),
        &[0.0, 0.0, expected, -expected],
    );
    // Where no reward applied there is no advantage.
    let mut without = parts;
    without[0] = None;
    assert!(decoupled_advantages(&without, 4, TRL)[0].abs() == 0.0);
}

#[test]
fn a_group_can_be_divided_by_its_mean() {
    let of = |rewards: &[f64]| {
        let rewards: Vec<Option<f64>> = rewards.iter().copied().map(Some).collect();
        group_advantages(&rewards, 4, AdvantageScale::Mean, Deviation::UNUSED)
    };
    // Solved once in four: (1 - 1/4) / (1/4), and -1 where not.
    assert_eq!(of(&[1.0, 0.0, 0.0, 0.0]), [3.0, -1.0, -1.0, -1.0]);
    assert_eq!(of(&[1.0, 1.0, 1.0, 1.0]), [0.0; 4]);
    // Nothing is divided by a mean of 0.
    assert_eq!(of(&[1.0, -1.0, 0.0, 0.0]), [0.0; 4]);
}
