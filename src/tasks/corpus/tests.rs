//! The corpus keeps to its shares, teaches nothing evaluated, and its work is
//! what its habit says.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::tasks::counting::tests::{all_tasks, evaluated_wordings};
use crate::tasks::counting::{Kind, Notation, Sum, Wording};
use crate::tasks::{COUNTING, Task, grading, squeeze};

const DOCUMENTS: u64 = 20_000;

fn documents() -> Vec<Document> {
    let corpus = Corpus::new(&COUNTING, Shares::default()).unwrap();
    (0..DOCUMENTS)
        .map(|i| corpus.document(1, i).unwrap())
        .collect()
}

/// The training problems by task and prompt.
fn problems() -> HashMap<(String, String), Sum> {
    let mut problems = HashMap::new();
    for task in all_tasks() {
        for sum in task.space().sums(Split::Train) {
            let item = &sum.item;
            problems.insert((item.task.clone(), item.prompt.clone()), sum.clone());
        }
    }
    problems
}

fn notations() -> HashMap<String, Notation> {
    let tasks = all_tasks().into_iter();
    tasks
        .map(|task| (task.name().to_owned(), task.notation().clone()))
        .collect()
}

fn tokens(document: &Document) -> Vec<&str> {
    document.completion.split(' ').collect()
}

/// The values a document's counts come to: what stands after each `;`.
fn results(document: &Document) -> Vec<String> {
    let tokens = tokens(document);
    let ends = (0..tokens.len()).filter(|at| tokens[*at] == ";");
    ends.map(|at| tokens[at + 1].to_owned()).collect()
}

#[test]
fn a_document_depends_on_its_place_alone() {
    let corpus = Corpus::new(&COUNTING, Shares::default()).unwrap();
    let forward: Vec<_> = (0..50).map(|i| corpus.document(1, i).unwrap()).collect();
    for i in (0..50).rev() {
        assert_eq!(corpus.document(1, i).unwrap(), forward[i as usize]);
    }
    assert_ne!(forward[0], corpus.document(2, 0).unwrap());
    // Fixed: a change here makes old and new base models different.
    let texts: Vec<_> = forward[..3]
        .iter()
        .map(|d| format!("{} {}", d.prompt, d.completion))
        .collect();
    let fixed = [
        "10 + 9 = what <think> 10 + 9 ? 10 1 11 2 12 3 13 4 14 5 15 6 16 7 17 8 18 9 19 ; 19 \
         </think> 19",
        "J+1 is J false",
        "five + eleven = twenty-two <think> eleven + five ? eleven one twelve two thirteen three \
         fourteen four fifteen five sixteen ; sixteen , twenty-two differ . hmm . is that right . \
         again . eleven + five ? eleven one twelve two thirteen three fourteen four fifteen five \
         sixteen ; sixteen , twenty-two differ . okay . </think> false",
    ];
    assert_eq!(texts, fixed);
}

#[test]
fn prompts_are_training_problems_and_nothing_evaluated_is_inside() {
    let problems = problems();
    let evaluated = evaluated_wordings();
    let tokenizer = crate::model::vocabulary::tokenizer(&[]);
    for document in documents() {
        let key = (document.task.clone(), document.prompt.clone());
        assert!(
            document.habit == Habit::Comparison || problems.contains_key(&key),
            "{document:?}"
        );
        let text = format!("{} {}", document.prompt, document.completion);
        let encoding = tokenizer.encode(text, false).unwrap();
        // A canonical wording is five tokens, wherever in a text it stands.
        for window in encoding.get_tokens().windows(5) {
            assert!(
                !evaluated.contains(&squeeze(&window.concat())),
                "{document:?}"
            );
        }
    }
}

#[test]
fn the_shares_are_kept() {
    let mut counts = BTreeMap::<Habit, f64>::new();
    let problems = problems();
    let (mut production, mut others) = (0.0, 0.0);
    for document in documents() {
        *counts.entry(document.habit).or_default() += 1.0 / DOCUMENTS as f64;
        if let Some(problem) = problems.get(&(document.task.clone(), document.prompt.clone())) {
            production += f64::from(u8::from(problem.kind == Kind::Production));
            let other = Wording::OTHERS.contains(&problem.wording);
            others += f64::from(u8::from(other));
        }
    }
    for (habit, share) in [
        (Habit::Comparison, 0.2),
        (Habit::Direct, 0.2),
        (Habit::Correct, 0.36),
        (Habit::Padded, 0.16),
        (Habit::Wrong, 0.08),
    ] {
        // Four standard deviations of a share of 20000 at most.
        assert!(
            (counts[&habit] - share).abs() < 0.014,
            "{habit:?}: {}",
            counts[&habit]
        );
    }
    let of_all = DOCUMENTS as f64;
    assert!((production / of_all - 0.8 * 0.25).abs() < 0.014);
    assert!((others / of_all - 0.8 * 0.75 / 3.0).abs() < 0.014);
}

#[test]
fn answers_are_as_right_as_the_habit() {
    let (problems, notations) = (problems(), notations());
    let (mut direct, mut direct_right) = (0.0, 0.0);
    for document in documents() {
        let Some(problem) = problems.get(&(document.task.clone(), document.prompt.clone())) else {
            continue;
        };
        let right = problem.item.grade(&document.completion).unwrap() == Some(true);
        let value = notations[&document.task].value;
        let sum = value(problem.terms.sum());
        let results = results(&document);
        match document.habit {
            Habit::Direct => {
                direct += 1.0;
                direct_right += f64::from(u8::from(right));
                assert!(results.is_empty() && document.focus.is_empty());
            }
            Habit::Correct => {
                assert!(right && results == [sum], "{document:?}");
            }
            Habit::Padded => {
                assert!(
                    right && results.iter().all(|result| *result == sum),
                    "{document:?}"
                );
            }
            Habit::Wrong => {
                assert!(results.len() == 1 && results[0] != sum, "{document:?}");
                // The answer follows from the miscount, even where that makes
                // it right.
                let follows = match problem.terms.presented {
                    Some(shown) => (value(shown) == results[0]).to_string(),
                    None => results[0].clone(),
                };
                assert_eq!(grading::answer(&document.completion), Some(follows));
            }
            Habit::Search | Habit::Comparison => {
                panic!("a comparison is no problem: {document:?}")
            }
        }
    }
    let share: f64 = direct_right / direct;
    assert!((share - 0.7).abs() < 0.03, "{share}");
}

/// Correct work on `A + 3` in tokens, from the problem's text alone.
fn expected_work(
    value: impl Fn(u32) -> String,
    step: impl Fn(u32) -> String,
    a: u32,
    b: u32,
) -> String {
    let mut work = format!("<think> {} + {} ? {}", value(a), step(b), value(a));
    for i in 1..=b {
        work = format!("{work} {} {}", step(i), value(a + i));
    }
    format!("{work} ; {}", value(a + b))
}

#[test]
fn correct_work_counts_step_by_step() {
    let (problems, notations) = (problems(), notations());
    let mut starts = HashSet::new();
    for document in documents().iter().filter(|d| d.habit == Habit::Correct) {
        let problem = &problems[&(document.task.clone(), document.prompt.clone())];
        let notation = &notations[&document.task];
        let (value, step) = (notation.value, notation.step);
        let (left, right) = (problem.terms.left, problem.terms.right);
        let mut works = vec![expected_work(value, step, left, right)];
        if notation.commutes && right > left {
            works.push(expected_work(value, step, right, left));
        }
        let end = match problem.terms.presented {
            None => format!(" </think> {}", value(left + right)),
            Some(shown) => {
                let same = shown == left + right;
                let verdict = if same { "same" } else { "differ" };
                format!(" , {} {verdict} </think> {same}", value(shown))
            }
        };
        let which = works
            .iter()
            .position(|work| format!("{work}{end}") == document.completion);
        assert!(which.is_some(), "{document:?}");
        starts.insert(which);
    }
    assert_eq!(starts.len(), 2, "additions are counted from either operand");
}

#[test]
fn padded_work_is_longer_and_wrong_work_is_not() {
    let mut lengths = BTreeMap::<Habit, (f64, f64)>::new();
    for document in documents() {
        let entry = lengths.entry(document.habit).or_default();
        entry.0 += tokens(&document).len() as f64;
        entry.1 += 1.0;
    }
    let mean = |habit| lengths[&habit].0 / lengths[&habit].1;
    assert!(mean(Habit::Padded) > 1.8 * mean(Habit::Correct));
    assert!((mean(Habit::Wrong) - mean(Habit::Correct)).abs() < 1.0);
}

#[test]
fn the_focus_is_on_the_decisions() {
    for document in documents().iter().filter(|d| d.habit != Habit::Direct) {
        let tokens = tokens(document);
        assert_eq!(
            document.focus.last(),
            Some(&(tokens.len() - 1)),
            "{document:?}"
        );
        for (at, token) in tokens.iter().enumerate() {
            let decides = matches!(*token, ";" | "same" | "differ") || at == tokens.len() - 1;
            assert_eq!(document.focus.contains(&at), decides, "{document:?}");
        }
    }
}

#[test]
fn comparisons_are_right_and_balanced() {
    let (mut all, mut same) = (0.0, 0.0);
    for document in documents().iter().filter(|d| d.habit == Habit::Comparison) {
        let (one, other) = document.prompt.split_once(" , ").unwrap();
        assert_eq!(document.completion == "same", one == other, "{document:?}");
        assert!(["same", "differ"].contains(&document.completion.as_str()));
        all += 1.0;
        same += f64::from(u8::from(one == other));
    }
    let share: f64 = same / all;
    assert!((share - 0.5).abs() < 0.04, "{share}");
}

#[test]
fn shares_that_are_no_shares_are_refused() {
    let refused = |shares| Corpus::new(&COUNTING, shares).unwrap_err().to_string();
    let error = refused(Shares {
        wrong: 0.6,
        ..Shares::default()
    });
    assert!(
        error.contains("direct + correct + padded + wrong + search") && error.contains("is 1.5"),
        "{error}"
    );
    let error = refused(Shares {
        from_first: f64::NAN,
        ..Shares::default()
    });
    assert!(error.contains("`from_first`"), "{error}");
    let error = refused(Shares {
        production: 2.0,
        ..Shares::default()
    });
    assert!(error.contains("`production`"), "{error}");
}
