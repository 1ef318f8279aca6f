//! Against every draw looked at one by one (`tests/data/make_among.py`), and what is undefined.

use super::*;
use crate::alignment::cost::tests::trace;
use crate::alignment::cost::{Counting, item_means};
use crate::record::Trace;

/// Samples by answer, and whether each was right.
fn item(samples: &[(Option<&str>, Option<bool>)]) -> ItemMeans {
    let of = |(at, (answer, right)): (usize, &(Option<&str>, Option<bool>))| Trace {
        answer: answer.map(str::to_owned),
        ..trace("m", "a", at as u32, 5, *right)
    };
    let traces: Vec<Trace> = samples.iter().enumerate().map(of).collect();
    let sampled: Vec<Sampled> = traces.iter().map(Sampled::from).collect();
    item_means(&sampled, Counting::default())
}

fn why(found: Result<f64, Undefined>) -> String {
    found.expect_err("undefined").to_string()
}

#[test]
fn every_draw_looked_at_one_by_one_gives_the_same() {
    let known: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/among.json")).expect("JSON");
    let known = known.as_object().expect("items by name");
    assert_eq!(known.len(), 10);
    for (name, known) in known {
        let samples = known["samples"].as_array().expect("samples");
        let samples: Vec<_> = (samples.iter())
            .map(|sample| (sample[0].as_str(), sample[1].as_bool()))
            .collect();
        let item = item(&samples);
        let figures = known["figures"].as_array().expect("figures");
        let ks: Vec<usize> = (figures.iter())
            .filter_map(|figure| Some(figure["k"].as_u64()? as usize))
            .collect();
        assert_eq!(ks, sizes(samples.len()));
        for (figure, k) in figures.iter().zip(ks) {
            let of = |name: &str| figure[name].as_f64().expect("a number");
            let pass = item.pass_at(k).expect("defined");
            assert!((pass - of("pass")).abs() < 1e-12, "{name}, {k}: {pass}");
            let majority = item.majority_at(k).expect("defined");
            assert!(
                (majority - of("majority")).abs() < 1e-12,
                "{name}, {k}: {majority}"
            );
        }
    }
}

#[test]
fn draws_come_near_what_counting_gives_and_are_the_same_each_time() {
    let group = |samples, right| Votes { samples, right };
    let votes = [group(14, 14), group(13, 0), group(9, 0), group(1, 1)];
    for k in [3, 16, 33] {
        let (counted, by_draws) = (exact(&votes, 40, k), drawn(&votes, 40, k));
        // Four standard errors of a share over 1,000 draws, at most.
        assert!(
            (counted - by_draws).abs() < 0.064,
            "{k}: {counted}, {by_draws}"
        );
        assert_eq!(by_draws.to_bits(), drawn(&votes, 40, k).to_bits());
    }
    // More samples than binomial coefficients hold.
    let many = ItemMeans {
        samples: 4000,
        graded: 4000,
        right: 1600,
        votes: vec![group(1600, 1600), group(1200, 0), group(1200, 0)],
        ..ItemMeans::default()
    };
    let found = many.majority_at(2048).expect("defined");
    assert!(found > 0.99, "{found}");
}

#[test]
fn sixty_four_samples_are_counted_however_they_fall() {
    let singles = vec![
        Votes {
            samples: 1,
            right: 0
        };
        64
    ];
    let pairs = vec![
        Votes {
            samples: 2,
            right: 2
        };
        32
    ];
    let halves = vec![
        Votes {
            samples: 32,
            right: 32,
        },
        Votes {
            samples: 32,
            right: 0,
        },
    ];
    for votes in [singles, pairs, halves] {
        assert!(
            sizes(64)
                .into_iter()
                .all(|k| effort(&votes, 64, k) <= EXACT)
        );
    }
}

#[test]
fn answers_are_told_apart_without_case_and_blanks() {
    let all = [(Some(" Paris"), Some(true)), (Some("paris\n"), Some(true))];
    let found = item(&[all[0], all[1], (Some("  "), Some(false))]);
    assert_eq!(
        found.votes,
        [Votes {
            samples: 2,
            right: 2
        }]
    );
    // A blank is no answer.
    assert_eq!(found.majority_at(3), Ok(1.0));
}

#[test]
fn what_cannot_be_told_is_undefined_with_its_reason() {
    let ungraded = item(&[(Some("7"), Some(true)), (Some("8"), None)]);
    assert_eq!(why(ungraded.pass_at(1)), "a sample has no grade");
    assert_eq!(why(ungraded.majority_at(2)), "a sample has no grade");
    assert_eq!(why(ungraded.pass_at(3)), "an item has fewer than 3 samples");
    let unrecorded = item(&[(None, Some(true)), (None, Some(false))]);
    assert_eq!(unrecorded.pass_at(1), Ok(0.5));
    assert_eq!(
        why(unrecorded.majority_at(1)),
        "a right sample has no recorded answer"
    );
    // All wrong needs no answers to be known.
    assert_eq!(item(&[(None, Some(false))]).majority_at(1), Ok(0.0));
}

#[test]
fn what_was_cut_off_is_wrong_and_has_no_vote() {
    let mut cut = trace("m", "a", 0, 64, Some(true));
    cut.truncated = true;
    cut.answer = Some("7".into());
    let whole = Trace {
        answer: Some("7".into()),
        ..trace("m", "a", 1, 9, Some(true))
    };
    let sampled = [&cut, &whole].map(Sampled::from);
    let found = item_means(&sampled, Counting::default());
    assert_eq!((found.pass_at(1), found.pass_at(2)), (Ok(0.5), Ok(1.0)));
    assert_eq!(found.majority_at(1), Ok(0.5));
}
