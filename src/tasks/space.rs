//! All problems of a task, written out: a split is a filter over the list and
//! a draw an index into it, so what can occur in training can be enumerated,
//! and a test does.
//!
//! Which problems are listed is each task's own matter. This file decides only
//! the split of a wording, and how a draw is balanced.

use rand::{Rng, RngExt};

use super::problem::{Kind, Problem, Split, Terms, Wording, squeeze};

/// One wording in this many is a validation problem.
const VALIDATION_ONE_IN: u64 = 10;

/// Which problems a draw is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// Production.
    Production,
    /// Verification in canonical wording of a true or a false result.
    Canonical(bool),
    /// Verification in another wording of a true or a false result.
    Other(bool),
}

impl Pool {
    const ALL: [Self; 5] = [
        Self::Production,
        Self::Canonical(true),
        Self::Canonical(false),
        Self::Other(true),
        Self::Other(false),
    ];

    fn of(problem: &Problem) -> Self {
        match (problem.terms.truth(), problem.wording) {
            (None, _) => Self::Production,
            (Some(truth), Wording::Canonical) => Self::Canonical(truth),
            (Some(truth), _) => Self::Other(truth),
        }
    }
}

/// The problems of one task, by split and pool.
#[derive(Clone, Debug)]
pub struct Space {
    /// `pools[split][pool]`, in the orders of `Split` and of [`Pool::ALL`].
    pools: [[Vec<Problem>; 5]; 2],
}

impl Space {
    /// Sorts `problems` into splits and pools.
    pub(super) fn new(problems: impl IntoIterator<Item = Problem>) -> Self {
        let mut pools: [[Vec<Problem>; 5]; 2] = Default::default();
        for problem in problems {
            let split = split_of(problem.task, &problem.prompt);
            let pool = Pool::of(&problem);
            pools[split as usize][place(pool)].push(problem);
        }
        for pool in pools.iter().flatten() {
            assert!(!pool.is_empty(), "a task lists problems of every pool");
        }
        Self { pools }
    }

    /// Every problem of `split`, each once.
    pub fn problems(&self, split: Split) -> impl Iterator<Item = &Problem> {
        self.pools[split as usize].iter().flatten()
    }

    /// One problem of a pool, all being equally likely.
    pub(super) fn draw(&self, split: Split, pool: Pool, rng: &mut impl Rng) -> &Problem {
        let pool = &self.pools[split as usize][place(pool)];
        &pool[rng.random_range(0..pool.len() as u64) as usize]
    }
}

fn place(pool: Pool) -> usize {
    // `ALL` names every pool, so the search cannot fail.
    Pool::ALL.iter().position(|p| *p == pool).unwrap_or(0)
}

/// The split of a wording. It depends on neither the seed nor the rest of the
/// space, so what is validation once is validation in every run.
pub(super) fn split_of(task: &str, prompt: &str) -> Split {
    let name = format!("{task}\n{}", squeeze(prompt));
    let hash = blake3::hash(name.as_bytes());
    let head = hash.as_bytes()[..8].iter();
    let number = head.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    if number % VALIDATION_ONE_IN == 0 {
        Split::Validation
    } else {
        Split::Train
    }
}

/// A problem of `task` about `terms` in `wording`.
///
/// `expression` is the sum as the task writes it (`A+3`), `equals` its equals
/// sign with its own spaces (`=` or ` = `), `result` writes a result.
pub(super) fn problem(
    task: &'static str,
    wording: Wording,
    terms: Terms,
    expression: &str,
    equals: &str,
    result: impl Fn(u32) -> String,
) -> Problem {
    let shown = terms.presented.map_or_else(String::new, &result);
    let prompt = match wording {
        Wording::Canonical => format!("{expression}{equals}{shown}"),
        Wording::ResultFirst => format!("{shown} = {expression}"),
        Wording::Is => format!("{expression} is {shown}"),
        Wording::Question => format!("{expression}{} what", equals.trim_end()),
    };
    Problem {
        task,
        id: squeeze(&prompt),
        answer: match terms.truth() {
            Some(truth) => truth.to_string(),
            None => result(terms.sum()),
        },
        prompt,
        kind: match terms.presented {
            Some(_) => Kind::Verification,
            None => Kind::Production,
        },
        wording,
        terms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_ignores_white_space_and_is_fixed() {
        for prompt in ["D = A+3", "D=A+3", " D =  A + 3 "] {
            assert_eq!(
                split_of("alphabet_arithmetic", prompt),
                split_of("alphabet_arithmetic", "D = A+3")
            );
        }
        // Fixed for good: a wording that changed sides would have been trained
        // on by the checkpoints there are.
        let held_out: Vec<String> = (0..26)
            .map(|i| format!("{}+1= what", char::from(b'A' + i)))
            .filter(|prompt| split_of("alphabet_arithmetic", prompt) == Split::Validation)
            .collect();
        assert_eq!(held_out, ["I+1= what"]);
    }
}
