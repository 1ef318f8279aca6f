//! What holds of every task of the lab: draws are pure, nothing that is evaluated is
//! trained on or tuned on, nor what is tuned on trained on, and answers are right by
//! their own judge.

use std::collections::{BTreeMap, HashSet};

use crate::tasks::corpus::{Habit, Shares};
use crate::tasks::{Item, Mix, Proportions, Split, Task, by_name, names, squeeze};

const DRAWS: u64 = 2000;

/// An answer that the task itself takes to be right: its worked solution, or else
/// what the item expects.
fn answer(task: &dyn Task, item: &Item) -> String {
    match task.worked() {
        Some(worked) => worked.solution(item).unwrap().completion,
        None => item.answer.clone(),
    }
}

#[test]
fn splits_of_every_task_have_no_wording_in_common() {
    for name in names() {
        let task = by_name(name).unwrap();
        assert!(task.trains(), "{name}");
        let evaluated = task.evaluation_items().unwrap();
        assert!(!evaluated.is_empty(), "{name}");
        let ids: HashSet<&str> = evaluated.iter().map(|item| &*item.item_id).collect();
        assert_eq!(ids.len(), evaluated.len(), "{name}");
        let evaluated: HashSet<String> =
            evaluated.iter().map(|item| squeeze(&item.prompt)).collect();
        let mix = Mix::new(&[name], Proportions::default()).unwrap();
        let again = Mix::new(&[name], Proportions::default()).unwrap();
        let mut wordings: BTreeMap<Split, HashSet<String>> = BTreeMap::new();
        for split in [Split::Train, Split::Validation] {
            for index in 0..DRAWS {
                let item = mix.item(1, split, index).unwrap();
                if index % 20 == 0 {
                    assert_eq!(again.item(1, split, index).unwrap(), item);
                }
                assert_eq!((&*item.task, item.split), (name, split));
                let wording = squeeze(&item.prompt);
                assert!(!evaluated.contains(&wording), "{item:?}");
                item.judge.check(&item.answer, Some(&item.columns)).unwrap();
                let answer = answer(&*task, &item);
                assert_eq!(item.grade(&answer).unwrap(), Some(true), "{item:?}");
                wordings.entry(split).or_default().insert(wording);
            }
        }
        let common: Vec<_> = wordings[&Split::Train]
            .intersection(&wordings[&Split::Validation])
            .collect();
        assert!(common.is_empty(), "{name}: {common:?}");
        assert!(wordings[&Split::Train].len() > 500, "{name}");
    }
}

#[test]
fn an_item_of_the_evaluation_is_not_drawn() {
    for name in names() {
        let mix = Mix::new(&[name], Proportions::default()).unwrap();
        let error = mix.item(1, Split::Evaluation, 0).unwrap_err();
        assert!(format!("{error:#}").contains("listed, not drawn"), "{name}");
    }
}

#[test]
fn every_habit_of_every_worked_task_is_written_purely() {
    let shares = Shares::default();
    for name in names() {
        let task = by_name(name).unwrap();
        let Some(worked) = task.worked() else {
            continue;
        };
        let mix = Mix::new(&[name], Proportions::default()).unwrap();
        for habit in [
            Habit::Direct,
            Habit::Correct,
            Habit::Padded,
            Habit::Wrong,
            Habit::Search,
        ] {
            for index in 0..50 {
                let item = mix.item(1, Split::Train, index).unwrap();
                let written = || {
                    let mut random = crate::random::stream(1, "test", &[index]);
                    worked.work(&item, habit, &shares, &mut random).unwrap()
                };
                assert_eq!(written(), written());
                let right = item.grade(&written().completion).unwrap() == Some(true);
                let by_rule = matches!(habit, Habit::Correct | Habit::Padded | Habit::Search);
                assert!(right || !by_rule, "{name}, {habit:?}: {:?}", written());
            }
        }
    }
}
