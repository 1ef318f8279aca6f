//! Puzzles can be solved and belong to one split; every trace is replayed by a
//! checker that shares nothing with the writer.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::tasks::corpus::{Corpus, Document};
use crate::tasks::{Mix, Proportions};

const SIGNS: &str = "+-*";

fn task(settings: &str) -> Result<Countdown> {
    Countdown::open(&toml::from_str(settings).unwrap())
}

fn place(index: u64) -> Place {
    Place {
        seed: 1,
        index,
        proportions: Proportions::default(),
    }
}

/// What a sign makes of two numbers; `None` where it leaves the whole numbers to 99.
fn apply(a: u32, sign: &str, b: u32) -> Option<u32> {
    let made = match sign {
        "+" => a + b,
        "-" => a.checked_sub(b)?,
        "*" => a * b,
        "/" => (b != 0 && a.is_multiple_of(b)).then(|| a / b)?,
        other => panic!("`{other}` is no sign"),
    };
    (made <= 99).then_some(made)
}

/// Whether the numbers can make the target, by brute force.
fn reaches(board: &[u32], target: u32, signs: &str) -> bool {
    if let [last] = board {
        return *last == target;
    }
    (0..board.len()).any(|i| {
        (0..board.len()).filter(|j| *j != i).any(|j| {
            signs.chars().any(|sign| {
                let Some(made) = apply(board[i], &sign.to_string(), board[j]) else {
                    return false;
                };
                let mut rest = vec![made];
                rest.extend(
                    (0..board.len())
                        .filter(|k| *k != i && *k != j)
                        .map(|k| board[k]),
                );
                reaches(&rest, target, signs)
            })
        })
    })
}

/// The numbers and the target of a prompt.
fn parts(prompt: &str) -> (Vec<u32>, u32) {
    let (numbers, target) = prompt.split_once(" make ").unwrap();
    let numbers = numbers.strip_prefix("countdown ").unwrap().split(' ');
    let numbers = numbers.map(|number| number.parse().unwrap()).collect();
    (numbers, target.parse().unwrap())
}

#[test]
fn every_drawn_puzzle_has_a_solution_and_its_own_split() {
    for (settings, signs) in [
        ("", SIGNS),
        ("numbers = 4\nlargest = 13\noperations = \"/*+-\"", "+-*/"),
    ] {
        let task = task(settings).unwrap();
        let mut seen: BTreeMap<String, Split> = BTreeMap::new();
        for split in [Split::Train, Split::Validation] {
            for index in 0..300 {
                let mut random = stream(1, "problem", &[split as u64, index]);
                let item = task.draw(split, place(index), &mut random).unwrap();
                let (numbers, target) = parts(&item.prompt);
                assert!(
                    numbers.is_sorted() && reaches(&numbers, target, signs),
                    "{item:?}"
                );
                assert_eq!(task.find(&item.item_id).unwrap().as_ref(), Some(&item));
                assert_eq!(item.split, split);
                assert_eq!(*seen.entry(item.prompt).or_insert(split), split);
            }
        }
        for item in task.evaluation_items().unwrap() {
            let (numbers, target) = parts(&item.prompt);
            assert!(reaches(&numbers, target, signs), "{item:?}");
            assert_eq!(seen.get(&item.prompt), None, "{item:?}");
        }
    }
}

#[test]
fn the_evaluation_has_every_difficulty() {
    let items = task("").unwrap().evaluation_items().unwrap();
    assert_eq!(items.len(), 200);
    assert_eq!(items, task("").unwrap().evaluation_items().unwrap());
    let mut strata = BTreeMap::<u32, usize>::new();
    for item in &items {
        let reading = task("").unwrap().read(&item.item_id).unwrap();
        let ("search", met) = reading.covariates[2] else {
            panic!("{reading:?}")
        };
        *strata.entry((met as u32).ilog2()).or_default() += 1;
    }
    // A search of three numbers and three signs meets 3 to 49 boards.
    assert_eq!(strata.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(strata.values().all(|count| *count >= 10), "{strata:?}");
}

#[test]
fn an_expression_of_other_signs_or_numbers_is_wrong() {
    let item = task("").unwrap().find("3 5 7 make 22").unwrap().unwrap();
    assert_eq!(item.prompt, "countdown 3 5 7 make 22");
    for (answer, right) in [
        ("3 * 5 + 7", true),
        ("<think> 3 5 7 ; </think> 7 + (5 * 3)", true),
        ("3 * 5 + 7 = 22", true),
        ("22", false),
        ("3 * 5 + 5 + 2", false),
        ("7 * 3 + 5 / 5", false),
    ] {
        assert_eq!(item.grade(answer).unwrap(), Some(right), "{answer}");
    }
    assert_eq!(task("").unwrap().find("1 1 1 make 22").unwrap(), None);
    assert_eq!(task("").unwrap().find("3 5 make 15").unwrap(), None);
    let divided = task("operations = \"+/\"\ntarget = [2, 40]").unwrap();
    let item = divided.find("2 6 9 make 12").unwrap().unwrap();
    assert_eq!(item.grade("9 + 6 / 2").unwrap(), Some(true));
    assert_eq!(item.grade("9 + 6 - 3").unwrap(), Some(false));
}

#[test]
fn settings_out_of_bounds_are_named() {
    for (settings, told) in [
        ("numbers = 6", "numbers = 6"),
        ("numbers = 1", "numbers = 1"),
        ("largest = 0", "largest = 0"),
        ("target = [0, 4]", "target = [0, 4]"),
        ("target = [9, 4]", "target = [9, 4]"),
        ("target = [9, 1000]", "target = [9, 1000]"),
        ("operations = \"\"", "operations = \"\""),
        ("operations = \"++\"", "each once"),
        ("operations = \"+^\"", "each once"),
        ("operators = \"+\"", "unknown field `operators`"),
        (
            "largest = 1\ntarget = [50, 60]",
            "allow more targets or operations",
        ),
    ] {
        let error = task(settings).unwrap_err().to_string();
        assert!(error.contains(told), "{settings}: {error}");
    }
}

#[test]
fn a_puzzle_is_read() {
    let covariates = |text| {
        let reading = task("").unwrap().read(text);
        reading.map(|reading| reading.covariates)
    };
    // 3 5 7, then 7 8 (3 + 5), then 15 (7 + 8), then 56 (7 * 8).
    let found = covariates("countdown 3 5 7 make 56").unwrap();
    assert_eq!(found[0], ("largest", 7.0));
    assert_eq!(found[1..], [("solutions", 1.0), ("search", 4.0)]);
    for text in ["", "3 5 7", "3 5 7 make", "3 5 x make 9", "1 1 1 make 30"] {
        assert_eq!(covariates(text), None, "{text}");
    }
}

/// The tokens of a trace, read one after the other.
struct Reader<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    document: &'a Document,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> &'a str {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token.unwrap_or_else(|| panic!("it ends too early: {:?}", self.document))
    }

    fn expect(&mut self, words: &str) {
        for word in words.split(' ') {
            assert_eq!(self.next(), word, "at {}: {:?}", self.at, self.document);
        }
    }

    /// The numbers until the next word, which is returned as well.
    fn board(&mut self) -> (Vec<u32>, &'a str) {
        let mut board = Vec::new();
        loop {
            let token = self.next();
            match token.parse() {
                Ok(number) => board.push(number),
                Err(_) => return (board, token),
            }
        }
    }

    /// A step from a board, which must be right, and the board that it leaves.
    fn step(&mut self, board: &[u32]) -> Vec<u32> {
        let a: u32 = self.next().parse().unwrap();
        let sign = self.next();
        let b: u32 = self.next().parse().unwrap();
        self.expect("=");
        let made: u32 = self.next().parse().unwrap();
        assert_eq!(apply(a, sign, b), Some(made), "{:?}", self.document);
        assert!(SIGNS.contains(sign), "{:?}", self.document);
        let mut rest = board.to_vec();
        for used in [a, b] {
            let at = rest.iter().position(|number| *number == used);
            rest.remove(at.unwrap_or_else(|| panic!("{used} is used up: {:?}", self.document)));
        }
        rest.push(made);
        rest
    }
}

/// Replays correct work or a search, and returns how many tries failed and how many
/// steps the longest of them went.
fn replay(document: &Document, breadth: u32, depth: usize) -> (usize, usize) {
    let (numbers, target) = parts(&document.prompt);
    let tokens: Vec<&str> = document.completion.split(' ').collect();
    let mut reader = Reader {
        tokens,
        at: 0,
        document,
    };
    // The boards from the puzzle on, each with the tries that failed there.
    let mut way = vec![(numbers.clone(), 0)];
    let (mut failures, mut longest) = (0, 0);
    reader.expect("<think>");
    assert_eq!(reader.board(), (numbers.clone(), ";"), "{document:?}");
    loop {
        let board = way.last().unwrap().0.clone();
        let left = reader.step(&board);
        let mut verdict = reader.next();
        if verdict == "," {
            let (shown, word) = reader.board();
            assert_eq!(shown, left, "{document:?}");
            verdict = word;
        } else {
            assert_eq!((verdict, left.len()), ("?", 1), "{document:?}");
            assert_eq!(reader.next(), target.to_string(), "{document:?}");
            verdict = reader.next();
        }
        way.push((left.clone(), 0));
        match verdict {
            ";" => assert!(left.len() > 1, "{document:?}"),
            "yes" => {
                assert_eq!(left, [target], "{document:?}");
                break;
            }
            "no" => {
                assert_ne!(left, [target], "{document:?}");
                reader.expect(". back .");
                let (shown, word) = reader.board();
                assert_eq!(word, ";", "{document:?}");
                let back = way.iter().position(|(board, _)| *board == shown);
                let back = back.unwrap_or_else(|| panic!("{shown:?} is new: {document:?}"));
                let steps = way.len() - 1 - back;
                assert!(steps <= depth, "{document:?}");
                longest = longest.max(steps);
                // What is given up leads nowhere, and a try failed at every place.
                for (board, failed) in &mut way[back..] {
                    *failed += 1;
                    assert!(*failed <= breadth || board.len() == 1, "{document:?}");
                }
                for (board, _) in &way[back + 1..] {
                    assert!(!reaches(board, target, SIGNS), "{board:?} in {document:?}");
                }
                failures += 1;
                way.truncate(back + 1);
            }
            other => panic!("`{other}` in {document:?}"),
        }
    }
    reader.expect(". </think>");
    (failures, longest)
}

fn documents(shares: Shares, count: u64) -> Vec<Document> {
    let corpus = Corpus::new(&[NAME], shares).unwrap();
    (0..count).map(|i| corpus.document(1, i).unwrap()).collect()
}

fn all_habits() -> Shares {
    Shares {
        direct: 0.2,
        correct: 0.2,
        padded: 0.1,
        wrong: 0.2,
        search: 0.3,
        comparisons: 0.1,
        ..Shares::default()
    }
}

fn is_right(document: &Document) -> bool {
    let item = task("")
        .unwrap()
        .find(document.prompt.strip_prefix("countdown ").unwrap());
    item.unwrap().unwrap().grade(&document.completion).unwrap() == Some(true)
}

#[test]
fn every_trace_is_what_its_habit_says() {
    let mut counts = BTreeMap::<Habit, f64>::new();
    let (mut right, mut depths) = (0.0, BTreeSet::new());
    let count = 4000;
    for document in documents(all_habits(), count) {
        *counts.entry(document.habit).or_default() += 1.0;
        if document.habit == Habit::Comparison {
            let words: Vec<&str> = document.prompt.split(' ').collect();
            let expected = match words[..] {
                [made, "?", target] => Some(if made == target { "yes" } else { "no" }.to_owned()),
                [a, sign, b, "="] => {
                    let made = apply(a.parse().unwrap(), sign, b.parse().unwrap());
                    made.map(|made| made.to_string())
                }
                _ => None,
            };
            assert_eq!(
                Some(&document.completion),
                expected.as_ref(),
                "{document:?}"
            );
            continue;
        }
        let is_right = is_right(&document);
        match document.habit {
            Habit::Direct => right += f64::from(u8::from(is_right)),
            Habit::Correct => assert_eq!(replay(&document, 0, 0), (0, 0)),
            Habit::Search => {
                let (failures, longest) = replay(&document, 2, 2);
                assert!(failures > 0 || longest == 0, "{document:?}");
                depths.insert(longest);
            }
            Habit::Padded => assert!(document.completion.contains(" yes .")),
            Habit::Wrong => assert_eq!(slips(&document), 1, "{document:?}"),
            Habit::Comparison => {}
        }
        assert!(
            document.habit == Habit::Direct || is_right == (document.habit != Habit::Wrong),
            "{document:?}"
        );
        assert!(!document.completion.contains("make"));
    }
    // Two steps use up three numbers.
    assert_eq!(depths.into_iter().collect::<Vec<_>>(), [1, 2]);
    let problems = count as f64 * 0.9;
    for (habit, share) in [
        (Habit::Direct, 0.2),
        (Habit::Correct, 0.2),
        (Habit::Padded, 0.1),
        (Habit::Wrong, 0.2),
        (Habit::Search, 0.3),
    ] {
        assert!(
            (counts[&habit] / problems - share).abs() < 0.035,
            "{habit:?}"
        );
    }
    assert!((right / counts[&Habit::Direct] - 0.7).abs() < 0.07);
}

/// The steps of a trace that make another number than is written.
fn slips(document: &Document) -> usize {
    let tokens: Vec<&str> = document.completion.split(' ').collect();
    let steps = tokens.windows(5).filter_map(|five| match five {
        [a, sign, b, "=", made] => {
            Some(apply(a.parse().ok()?, sign, b.parse().ok()?) != made.parse().ok())
        }
        _ => None,
    });
    steps.filter(|is_slip| *is_slip).count()
}

#[test]
fn padded_work_is_right_and_longer() {
    let shares = |correct, padded| Shares {
        direct: 0.0,
        wrong: 0.0,
        comparisons: 0.0,
        correct,
        padded,
        ..Shares::default()
    };
    let length = |documents: &[Document]| {
        let tokens = documents
            .iter()
            .map(|one| one.completion.split(' ').count());
        tokens.sum::<usize>()
    };
    let (correct, padded) = (
        documents(shares(1.0, 0.0), 300),
        documents(shares(0.0, 1.0), 300),
    );
    assert!(padded.iter().all(|document| slips(document) == 0));
    assert!(length(&padded) as f64 > 1.4 * length(&correct) as f64);
}

#[test]
fn breadth_and_depth_are_kept() {
    let mix = |breadth, depth| Shares {
        direct: 0.0,
        correct: 0.0,
        padded: 0.0,
        wrong: 0.0,
        search: 1.0,
        comparisons: 0.0,
        breadth,
        depth,
        ..Shares::default()
    };
    for (breadth, depth) in [(0, 2), (2, 0), (1, 1), (3, 1), (1, 2), (4, 2)] {
        let (mut most, mut longest) = (0, 0);
        for document in documents(mix(breadth, depth), 400) {
            let (failures, steps) = replay(&document, breadth, depth as usize);
            most = most.max(failures);
            longest = longest.max(steps);
        }
        let searches = breadth > 0 && depth > 0;
        assert_eq!(longest, if searches { depth as usize } else { 0 });
        assert_eq!(most > 0, searches);
    }
}

#[test]
fn four_numbers_are_worked_too() {
    let settings = toml::from_str("numbers = 4\noperations = \"+-*\"").unwrap();
    let opened: std::sync::Arc<dyn Task> = std::sync::Arc::new(Countdown::open(&settings).unwrap());
    let mix = Mix::of(vec![opened], Proportions::default()).unwrap();
    let shares = Shares {
        depth: 3,
        ..all_habits()
    };
    let corpus = Corpus::of(&mix, shares).unwrap();
    let documents = (0..600).map(|index| corpus.document(2, index).unwrap());
    let mut longest = 0;
    for document in documents.filter(|document| document.habit == Habit::Search) {
        longest = longest.max(replay(&document, 2, 3).1);
    }
    assert_eq!(longest, 3);
}

#[test]
fn every_word_is_in_the_vocabulary() {
    let task = task("").unwrap();
    let tokenizer = crate::model::vocabulary::tokenizer(&task.words());
    for document in documents(all_habits(), 2000) {
        for text in [&document.prompt, &document.completion] {
            let encoding = tokenizer.encode(text.as_str(), false).unwrap();
            assert_eq!(encoding.get_tokens(), text.split(' ').collect::<Vec<_>>());
            assert_eq!(tokenizer.decode(encoding.get_ids(), true).unwrap(), *text);
            assert!(
                crate::model::vocabulary::unknown(&tokenizer, text)
                    .unwrap()
                    .is_empty()
            );
        }
        let tokens = document.completion.split(' ').count();
        assert!(document.focus.iter().all(|at| *at < tokens), "{document:?}");
    }
    for item in task.evaluation_items().unwrap() {
        let unknown = crate::model::vocabulary::unknown(&tokenizer, &item.prompt).unwrap();
        assert!(unknown.is_empty(), "{item:?}");
    }
}
