//! Made-up models whose differences are known.

use super::*;
use crate::alignment::cost::{items, tests::trace};
use crate::norms::NormItem;
use crate::record::Trace;
use crate::statistics::draws::{below, stream};

const PLAN: Resampling = Resampling {
    draws: 400,
    seed: 7,
};

/// Sixty items; "near" follows people closely, "far" with much noise.
fn sample(seeds: &[Option<u64>]) -> (Vec<Trace>, Norms) {
    let mut rng = stream(1, "test", 0);
    let mut uniform = move || f64::from(below(&mut rng, 1_000_000)) / 1e6 - 0.5;
    let (mut traces, mut norm) = (Vec::new(), Vec::new());
    for i in 0..60 {
        let h = f64::from(i % 12) / 4.0;
        let id = format!("item {i}");
        for &seed in seeds {
            for (model, noise, right) in [("near", 0.5, 0.4), ("far", 6.0, 0.0)] {
                let cost = 3.0 + 0.5 * h + noise * uniform();
                let tokens = cost.exp().round() as u32;
                traces.push(Trace {
                    seed,
                    ..trace(model, &id, 0, tokens, Some(uniform() < right))
                });
            }
        }
        norm.push(NormItem {
            task: "t".into(),
            item_id: id,
            answer: if i % 2 == 0 { "true" } else { "false" }.into(),
            mean_log_rt: Some(7.0 + h),
            ..NormItem::default()
        });
    }
    (traces, Norms::new(norm, String::new()))
}

fn compare(traces: &[Trace], norms: &Norms, arm: &str, against: &str) -> [Difference; 4] {
    let found = items(traces, false);
    let found = differences(
        &found.models[arm],
        &found.models[against],
        &["t".into()],
        norms,
        PLAN,
    )
    .expect("paired");
    // There is one task, which is all that is over tasks.
    assert_eq!(found.tasks, [found.overall]);
    found.overall
}

#[test]
fn a_collapse_is_found_and_is_antisymmetric() {
    let (traces, norms) = sample(&[None]);
    let down = compare(&traces, &norms, "far", "near");
    let up = compare(&traces, &norms, "near", "far");
    let (low, high) = down[0].interval.expect("defined");
    assert!(low < high && high < 0.0, "{down:?}");
    assert_eq!(verdict(direction(down[0].interval)), "yes");
    assert_eq!(verdict(direction(up[0].interval)), "no");
    assert!(down[0].p.expect("defined") < 0.01);
    assert!((down[0].value.expect("defined") + up[0].value.expect("defined")).abs() < 1e-12);
    // The draws are joint, so the intervals mirror each other exactly.
    let mirrored = up[0].interval.expect("defined");
    assert!((mirrored.0 + high).abs() < 1e-12 && (mirrored.1 + low).abs() < 1e-12);
}

#[test]
fn a_model_against_itself_differs_by_nothing() {
    let (traces, norms) = sample(&[None]);
    let same = compare(&traces, &norms, "near", "near");
    assert_eq!(
        (same[0].value, same[0].interval),
        (Some(0.0), Some((0.0, 0.0)))
    );
    assert_eq!(same[0].p, Some(1.0));
    assert_eq!(verdict(direction(same[0].interval)), "inconclusive");
}

#[test]
fn seeds_are_paired() {
    let (one, norms) = sample(&[None]);
    let (two, _) = sample(&[Some(1), Some(2)]);
    let (one, two) = (items(&one, false).models, items(&two, false).models);
    assert_eq!(
        pair_seeds(&one["near"], &two["far"]),
        Ok(vec![(0, 0), (0, 1)])
    );
    assert_eq!(
        pair_seeds(&two["near"], &two["far"]),
        Ok(vec![(0, 0), (1, 1)])
    );
    let mut shifted = two["far"].clone();
    shifted.remove(0);
    shifted.push(ModelItems {
        seed: Some(3),
        ..ModelItems::default()
    });
    assert_eq!(pair_seeds(&two["near"], &shifted), Ok(vec![(1, 0)]));
    assert!(pair_seeds(&two["near"], &[]).is_err());
    let found =
        differences(&one["near"], &two["far"], &["t".into()], &norms, PLAN).expect("paired");
    assert!(found.overall[0].interval.is_some());
}

#[test]
fn a_side_without_alignment_leaves_the_other_measures() {
    let (mut traces, norms) = sample(&[None]);
    traces
        .iter_mut()
        .filter(|t| t.model == "far")
        .for_each(|t| t.reasoning_tokens = 0);
    let found = compare(&traces, &norms, "near", "far");
    assert_eq!(found[0], Difference::default());
    assert_eq!(direction(found[0].interval), Direction::Undefined);
    assert!(found[1].interval.is_some() && found[3].p.is_some());
}

#[test]
fn effect_sizes_by_hand() {
    let close = |found: Option<f64>, expected: f64| {
        assert!(
            (found.expect("defined") - expected).abs() < 1e-9,
            "{found:?}"
        );
    };
    let shares = [Measure::Accuracy, Measure::BalancedAccuracy];
    for measure in shares {
        // phi(0.9) = 2.498091545, phi(0.5) = pi / 2.
        close(effect(measure, &[Some(0.9)], &[Some(0.5)]), 0.927_295_218);
    }
    // Over two tasks: the mean of ln 2 and ln 8.
    let (first, second) = ([Some(20.0), Some(80.0)], [Some(10.0), Some(10.0)]);
    close(effect(Measure::Tokens, &first, &second), 1.386_294_361);
    // atanh 0.5 - atanh 0; a task that one side lacks is in no mean of its.
    let alone = [Some(0.5), None];
    close(
        effect(Measure::Alignment, &alone, &[Some(0.0), Some(0.0)]),
        0.549_306_144,
    );
    assert_eq!(effect(Measure::Tokens, &[Some(0.0)], &[Some(1.0)]), None);
    assert_eq!(effect(Measure::Alignment, &[Some(1.0)], &[Some(0.0)]), None);
    assert_eq!(effect(Measure::Accuracy, &[None], &[Some(0.5)]), None);
}
