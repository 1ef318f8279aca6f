//! The work on a list: a comparison with every digit of it.

use anyhow::{Context, Result};
use rand::RngExt;

use super::{NAME, Search, Sternberg};
use crate::random::Stream;
use crate::tasks::Item;
use crate::tasks::corpus::{Habit, Shares, Worked, Written};
use crate::tasks::grading::{END_THINK, THINK};

/// Two digits are the same.
const SAME: &str = "same";
/// Two digits are not the same.
const DIFFER: &str = "differ";

impl Worked for Sternberg {
    fn solution(&self, item: &Item) -> Result<Written> {
        let mut work = Work::on(item)?;
        let found = work.scan(None);
        Ok(work.answer(found))
    }

    fn work(
        &self,
        item: &Item,
        habit: Habit,
        shares: &Shares,
        random: &mut Stream,
    ) -> Result<Written> {
        let mut work = Work::on(item)?;
        Ok(match habit {
            Habit::Direct => {
                let right = random.random_bool(shares.direct_right);
                Written {
                    completion: (work.search.is_there() == right).to_string(),
                    focus: Vec::new(),
                }
            }
            Habit::Padded => {
                work.say("hmm . let me see .");
                work.scan(None);
                let checks = [". let me check .", ". wait . check that again ."];
                work.say(checks[usize::from(random.random_bool(0.5))]);
                let found = work.scan(None);
                work.answer(found)
            }
            Habit::Wrong => {
                let size = work.search.list.len() as u64;
                let found = work.scan(Some(random.random_range(0..size) as usize));
                work.answer(found)
            }
            // A scan is a search already, and no try of it fails.
            Habit::Correct | Habit::Search | Habit::Comparison => {
                let found = work.scan(None);
                work.answer(found)
            }
        })
    }

    /// Two digits, the same or not.
    fn exercise(&self, random: &mut Stream) -> Option<(String, Written)> {
        let one = random.random_range(0..10_u32);
        let other = if random.random_bool(0.5) {
            one
        } else {
            (one + random.random_range(1..10_u32)) % 10
        };
        let written = Written {
            completion: (if one == other { SAME } else { DIFFER }).to_owned(),
            focus: vec![0],
        };
        Some((format!("{one} , {other}"), written))
    }
}

/// The work on one problem, as far as it is written.
struct Work {
    search: Search,
    tokens: Vec<String>,
    focus: Vec<usize>,
}

impl Work {
    fn on(item: &Item) -> Result<Self> {
        let read = Search::read(&item.prompt).or_else(|| Search::read(&item.item_id));
        let search = read.with_context(|| format!("{} is no problem of {NAME}", item.prompt))?;
        Ok(Self {
            search,
            tokens: vec![THINK.to_owned()],
            focus: Vec::new(),
        })
    }

    /// Compares the digit with every one of the list, mistaken at one place where
    /// told so, and says whether it was found.
    fn scan(&mut self, mistaken: Option<usize>) -> bool {
        let Search { list, digit } = self.search.clone();
        self.say(&format!("{digit} ?"));
        let mut found = false;
        for (place, other) in list.iter().enumerate() {
            let same = (*other == digit) != (mistaken == Some(place));
            found |= same;
            self.say(&other.to_string());
            self.decide(if same { SAME } else { DIFFER });
        }
        found
    }

    /// Closes the work and answers.
    fn answer(mut self, found: bool) -> Written {
        self.say(END_THINK);
        self.decide(&found.to_string());
        Written {
            completion: self.tokens.join(" "),
            focus: self.focus,
        }
    }

    /// Writes a token on which the outcome hangs.
    fn decide(&mut self, token: &str) {
        self.focus.push(self.tokens.len());
        self.say(token);
    }

    fn say(&mut self, text: &str) {
        self.tokens.extend(text.split(' ').map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vocabulary;
    use crate::tasks::Task;
    use crate::tasks::corpus::{Corpus, Document};

    fn documents(shares: Shares, count: u64) -> Vec<Document> {
        let corpus = Corpus::new(&[NAME], shares).unwrap();
        (0..count).map(|i| corpus.document(1, i).unwrap()).collect()
    }

    #[test]
    fn the_work_scans_the_whole_list() {
        let shares = Shares {
            search: 0.1,
            wrong: 0.0,
            ..Shares::default()
        };
        for document in documents(shares, 500) {
            let Some(search) = Search::read(&document.prompt) else {
                assert_eq!(document.habit, Habit::Comparison);
                continue;
            };
            let scan = search.list.iter().map(|other| {
                let verdict = if *other == search.digit { SAME } else { DIFFER };
                format!(" {other} {verdict}")
            });
            let scan = format!("{} ?{}", search.digit, scan.collect::<String>());
            let end = format!(" </think> {}", search.is_there());
            match document.habit {
                Habit::Direct => assert!(["true", "false"].contains(&&*document.completion)),
                Habit::Padded => {
                    assert_eq!(document.completion.matches(&scan).count(), 2);
                    assert!(document.completion.ends_with(&end), "{document:?}");
                }
                _ => assert_eq!(document.completion, format!("<think> {scan}{end}")),
            }
        }
    }

    #[test]
    fn a_mistake_is_one_verdict_and_what_follows_from_it() {
        let shares = Shares {
            direct: 0.0,
            correct: 0.0,
            padded: 0.0,
            wrong: 1.0,
            comparisons: 0.0,
            ..Shares::default()
        };
        for document in documents(shares, 300) {
            let search = Search::read(&document.prompt).unwrap();
            let tokens: Vec<&str> = document.completion.split(' ').collect();
            let verdicts = &tokens[3..tokens.len() - 2];
            let mistakes = verdicts
                .chunks(2)
                .filter(|pair| (pair[0] == search.digit.to_string()) != (pair[1] == SAME));
            assert_eq!(mistakes.count(), 1, "{document:?}");
            let answer = verdicts.contains(&SAME).to_string();
            assert_eq!(tokens.last(), Some(&&*answer), "{document:?}");
        }
    }

    #[test]
    fn every_word_is_in_the_vocabulary() {
        let tokenizer = vocabulary::tokenizer(&Sternberg::new().words());
        let known = |text: &str| vocabulary::unknown(&tokenizer, text).unwrap().is_empty();
        for document in documents(Shares::default(), 500) {
            assert!(
                known(&document.prompt) && known(&document.completion),
                "{document:?}"
            );
            let tokens = document.completion.split(' ').count();
            assert!(document.focus.iter().all(|at| *at < tokens));
        }
        for item in Sternberg::new().evaluation_items().unwrap() {
            assert!(known(&item.prompt), "{item:?}");
        }
    }
}
