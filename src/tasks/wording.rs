//! How problems are asked: by an instruction of their task, after examples.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::ExampleTable;
use super::item::{Item, Split};
use super::{Place, Proportions, Task};
use crate::model::chat::Message;
use crate::random::stream;

/// Stands for the problem in an instruction.
pub const PROBLEM: &str = "{problem}";

/// A problem with its answer, shown before another problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The bare problem.
    pub problem: String,
    /// What is answered.
    pub answer: String,
}

impl From<&ExampleTable> for Example {
    fn from(table: &ExampleTable) -> Self {
        Self {
            problem: table.problem.clone(),
            answer: table.answer.clone(),
        }
    }
}

impl Example {
    /// The first `count` training problems of seed 0, each with its worked solution, or
    /// else its answer.
    pub fn of_training(task: &dyn Task, count: u32, proportions: Proportions) -> Result<Vec<Self>> {
        ensure!(
            task.trains(),
            "{} has no training problems to show; give the examples as a list of problem and answer",
            task.name()
        );
        let example = |index: u64| {
            let mut random = stream(0, "problem", &[Split::Train as u64, index]);
            let place = Place {
                seed: 0,
                index,
                proportions,
            };
            let item = task.draw(Split::Train, place, &mut random)?;
            let answer = task.solution(&item)?.unwrap_or_else(|| item.answer.clone());
            ensure!(
                !answer.is_empty(),
                "the training problem {} of {} has no answer to show; give the examples as a list of problem and answer",
                item.item_id,
                task.name()
            );
            Ok(Self {
                problem: item.prompt,
                answer,
            })
        };
        (0..u64::from(count)).map(example).collect()
    }
}

/// How the problems of each task are asked.
///
/// Worked example: with the instruction `What is {problem}?` and the example `2 + 2`,
/// `4`, the problem `3 + 5` is asked as `What is 3 + 5?` after a turn of the user's,
/// `What is 2 + 2?`, and one of the assistant's, `4`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wording {
    /// By task, a text that holds [`PROBLEM`].
    pub instructions: BTreeMap<String, String>,
    /// By task, what is shown before a problem.
    pub examples: BTreeMap<String, Vec<Example>>,
}

impl Wording {
    /// An item of a task as a model is asked it: examples, but for itself, follow the system prompt,
    /// where the item has one, and come before what else is said.
    pub fn asked(&self, bare: Item) -> Item {
        let mut before = bare.before;
        let examples = self.examples.get(&bare.task).into_iter().flatten();
        // A problem does not come after its own answer.
        let examples = examples.filter(|example| example.problem != bare.prompt);
        let turns = examples.flat_map(|example| {
            let turn = |role: &str, content: String| Message {
                role: role.to_owned(),
                content,
            };
            [
                turn("user", self.ask(&bare.task, &example.problem)),
                turn("assistant", example.answer.clone()),
            ]
        });
        let first = before.iter().position(|message| message.role != "system");
        let first = first.unwrap_or(before.len());
        before.splice(first..first, turns);
        Item {
            prompt: self.ask(&bare.task, &bare.prompt),
            before,
            ..bare
        }
    }

    /// A problem's text as a model is asked it.
    fn ask(&self, task: &str, problem: &str) -> String {
        match self.instructions.get(task) {
            Some(instruction) => instruction.replace(PROBLEM, problem),
            None => problem.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::by_name;

    #[test]
    fn examples_follow_the_system_prompt_in_the_words_of_the_task() {
        let turn = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let example = Example {
            problem: "2 + 2".to_owned(),
            answer: "4".to_owned(),
        };
        let wording = Wording {
            instructions: [("sums".to_owned(), "What is {problem}?".to_owned())].into(),
            examples: [("sums".to_owned(), vec![example])].into(),
        };
        let bare = Item {
            task: "sums".to_owned(),
            prompt: "3 + 5".to_owned(),
            before: vec![turn("system", "Be brief."), turn("user", "Hello")],
            ..Item::default()
        };
        let asked = wording.asked(bare.clone());
        assert_eq!(asked.prompt, "What is 3 + 5?");
        let expected = [
            turn("system", "Be brief."),
            turn("user", "What is 2 + 2?"),
            turn("assistant", "4"),
            turn("user", "Hello"),
        ];
        assert_eq!(asked.before, expected);
        let itself = Item {
            prompt: "2 + 2".to_owned(),
            before: Vec::new(),
            ..bare.clone()
        };
        assert_eq!(wording.asked(itself).before, []);
        let other = Item {
            task: "others".to_owned(),
            ..bare
        };
        assert_eq!(wording.asked(other.clone()), other);
    }

    #[test]
    fn training_problems_are_shown_with_their_worked_solutions() {
        let task = by_name("addition_digit").unwrap();
        let shown = Example::of_training(&*task, 3, Proportions::default()).unwrap();
        assert_eq!(shown.len(), 3);
        assert!(
            shown.iter().all(|one| one.answer.contains("<think>")),
            "{shown:?}"
        );
        let again = Example::of_training(&*task, 2, Proportions::default()).unwrap();
        assert_eq!(shown[..2], again);
        let only_evaluated = by_name("sternberg").unwrap();
        if !only_evaluated.trains() {
            let refused = Example::of_training(&*only_evaluated, 1, Proportions::default());
            assert!(
                refused
                    .unwrap_err()
                    .to_string()
                    .contains("no training problems")
            );
        }
    }
}
