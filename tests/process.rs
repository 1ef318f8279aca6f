//! The reward for work, over the work that the lab teaches: it has to read what
//! the corpus writes, in every notation, wording and habit.

use std::collections::BTreeMap;

use qinglan::tasks::corpus::{Corpus, Habit, Shares};
use qinglan::tasks::{self, Mix, PROBLEM, Proportions, Split, Wording};
use rewards::{Reward, Scored};

#[test]
fn the_corpus_is_worth_what_its_habits_say() {
    let corpus = Corpus::new(&tasks::COUNTING, Shares::default()).unwrap();
    let mut seen: BTreeMap<(String, Habit), u32> = BTreeMap::new();
    for index in 0..4000 {
        let document = corpus.document(1, index).unwrap();
        let item = Scored {
            prompt: &document.prompt,
            completion: &document.completion,
            ..Scored::default()
        };
        let scores = rewards::process::Process.score(&[item]).unwrap();
        let value = scores.each[0].value;
        let text = format!("{} {}: {value:?}", document.prompt, document.completion);
        match document.habit {
            Habit::Correct | Habit::Padded => assert_eq!(value, Some(1.0), "{text}"),
            Habit::Wrong => {
                let value = value.expect(&text);
                assert!((0.0..1.0).contains(&value), "{text}");
            }
            Habit::Direct => assert_eq!(value, Some(0.0), "{text}"),
            Habit::Comparison => assert_eq!(value, None, "{text}"),
            Habit::Search => panic!("nobody searches in a count: {text}"),
        }
        *seen.entry((document.task, document.habit)).or_default() += 1;
    }
    // Every task with every habit: 4000 documents hold hundreds of most.
    assert_eq!(seen.len(), tasks::COUNTING.len() * 5, "{seen:?}");
}

#[test]
fn every_wording_of_a_problem_is_read_within_an_instruction() {
    for name in tasks::COUNTING {
        let instruction = format!("Is this true? {PROBLEM}\nAnswer true or false.\n");
        let mix = Mix::new(&[name], Proportions::default()).unwrap();
        let mix = mix.asking(Wording {
            instructions: [(name.to_owned(), instruction)].into(),
            ..Wording::default()
        });
        for index in 0..500 {
            let (item, solution) = mix.solved(1, Split::Validation, index).unwrap();
            let (prompt, completion) = (item.prompt, solution.unwrap());
            let item = Scored {
                prompt: &prompt,
                completion: &completion,
                ..Scored::default()
            };
            let scores = rewards::process::Process.score(&[item]).unwrap();
            assert_eq!(scores.each[0].value, Some(1.0), "{prompt}{completion}");
        }
    }
}
