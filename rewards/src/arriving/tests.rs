//! Whatever the order and the chunks in which completions arrive, the scores
//! are the same.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::Reward;
use crate::testing::{Noise, item};

/// The length of a completion, and of which batches it was asked.
struct Length {
    independent: bool,
    shown: Mutex<Vec<usize>>,
}

impl Reward for &Length {
    fn name(&self) -> &'static str {
        "length"
    }
    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        self.shown.lock().unwrap().push(batch.len());
        let value = |item: &Scored<'_>| match item.completion {
            "bad" => Score::new(f64::NAN),
            text => Score::new(text.len() as f64 / 3.0).with_part("letters", text.len() as f64),
        };
        let scores: Scores = batch.iter().map(value).collect();
        Ok(if self.independent {
            scores
        } else {
            scores.with_metric("batch", batch.len() as f64)
        })
    }
    fn independent(&self) -> bool {
        self.independent
    }
}

fn length(independent: bool) -> &'static Length {
    Box::leak(Box::new(Length {
        independent,
        shown: Mutex::new(Vec::new()),
    }))
}

fn rewards(all: &[&'static Length]) -> WeightedRewards {
    let weighted = all.iter().enumerate().map(|(index, reward)| Weighted {
        name: format!("r{index}"),
        reward: Box::new(*reward),
        weight: 0.1 + index as f64,
    });
    WeightedRewards::new(weighted.collect()).expect("names differ")
}

/// Sends places of `texts` in the given order while they are judged.
fn arrive(
    rewards: &WeightedRewards,
    texts: &[String],
    send: impl FnOnce(&dyn Fn(usize)) + Send,
) -> Result<Early, RewardError> {
    let (sender, arriving) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A judge that has failed listens no longer.
            let tell = |sender: &Sender<_>, place: usize| {
                let _ = sender.send((place, texts[place].clone()));
            };
            send(&|place| tell(&sender, place));
        });
        rewards.score_arriving(&arriving, |text| item(text, ""))
    })
}

#[test]
fn scores_are_the_same_bits_whatever_the_order_and_the_chunks() {
    let mut noise = Noise(3);
    for _ in 0..50 {
        let texts: Vec<String> = (0..noise.below(40))
            .map(|_| noise.text(&["a", "bc"], 9))
            .collect();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, noise.below(place + 1));
        }
        let pauses: Vec<bool> = order.iter().map(|_| noise.below(4) == 0).collect();
        let (early, late) = (length(true), length(false));
        let rewards = rewards(&[early, late, length(true)]);
        assert!(rewards.judges_early());
        let batch: Vec<Scored<'_>> = texts.iter().map(|text| item(text, "")).collect();
        let whole = rewards.score(&batch).expect("finite");
        early.shown.lock().unwrap().clear();
        late.shown.lock().unwrap().clear();
        let known = arrive(&rewards, &texts, |tell| {
            for (place, pause) in order.iter().zip(pauses) {
                tell(*place);
                if pause {
                    std::thread::yield_now();
                }
            }
        });
        let known = known.expect("finite");
        assert!(late.shown.lock().unwrap().is_empty());
        assert_eq!(rewards.score_rest(&batch, known).expect("finite"), whole);
        assert_eq!(*late.shown.lock().unwrap(), [batch.len()]);
        // Nothing was judged twice, and nothing was left out.
        let shown = early.shown.lock().unwrap();
        assert_eq!(shown.iter().sum::<usize>(), batch.len(), "{shown:?}");
    }
}

#[test]
fn a_reward_that_missed_a_completion_is_shown_the_whole_batch() {
    let early = length(true);
    let rewards = rewards(&[early]);
    let texts: Vec<String> = ["a", "bb", "ccc"].map(str::to_owned).into();
    let batch: Vec<Scored<'_>> = texts.iter().map(|text| item(text, "")).collect();
    let whole = rewards.score(&batch).expect("finite");
    for missing in 0..3 {
        let known = arrive(&rewards, &texts, |tell| {
            (0..3).filter(|place| *place != missing).for_each(tell);
        });
        let scores = rewards.score_rest(&batch, known.expect("finite"));
        assert_eq!(scores.expect("finite"), whole);
    }
    let none = rewards.score_rest(&batch, Early::default());
    assert_eq!(none.expect("finite"), whole);
}

#[test]
fn an_error_names_the_place_in_the_whole_batch() {
    let texts: Vec<String> = ["a", "bb", "bad"].map(str::to_owned).into();
    let known = arrive(&rewards(&[length(true)]), &texts, |tell| {
        [2, 0, 1].into_iter().for_each(tell);
    });
    let message = known.expect_err("not finite").to_string();
    assert!(
        message.contains("`r0`: the value of completion 2 "),
        "{message}"
    );
}

/// Judges each completion by itself and counts those that are empty.
struct Empty;

impl Reward for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }
    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let scores: Scores = batch.iter().map(|_| Score::new(0.0)).collect();
        let empty = batch
            .iter()
            .filter(|item| item.completion.is_empty())
            .count();
        let share = empty as f64 / batch.len() as f64;
        Ok(scores.with_metric("share", share).with_metric("one", 1.0))
    }
    fn independent(&self) -> bool {
        true
    }
}

#[test]
fn metrics_of_parts_are_joined_by_their_completions() {
    let empty = Weighted {
        name: "empty".to_owned(),
        reward: Box::new(Empty),
        weight: 1.0,
    };
    let rewards = WeightedRewards::new(vec![empty]).expect("one");
    let texts: Vec<String> = ["", "a", "", "b", "c", "", "d"].map(str::to_owned).into();
    let batch: Vec<Scored<'_>> = texts.iter().map(|text| item(text, "")).collect();
    let known = arrive(&rewards, &texts, |tell| {
        for place in 0..texts.len() {
            tell(place);
            std::thread::yield_now();
        }
    });
    let scores = rewards
        .score_rest(&batch, known.expect("finite"))
        .expect("finite");
    let metrics = &scores.columns[0].metrics;
    let of = |name: &str| {
        metrics
            .iter()
            .find(|(known, _)| known == name)
            .expect("given")
            .1[0]
    };
    assert!((of("share") - 3.0 / 7.0).abs() < 1e-12, "{metrics:?}");
    assert_eq!(of("one").to_bits(), 1.0_f64.to_bits());
}

#[test]
fn parts_of_unequal_size_weigh_by_it() {
    assert_eq!(joined(&[]), None);
    assert_eq!(joined(&[(0.1, 3), (0.1, 4)]), Some(0.1));
    let mean = joined(&[(1.0, 1), (0.5, 2), (0.0, 5)]).expect("parts");
    assert!((mean - 0.25).abs() < 1e-15);
}
