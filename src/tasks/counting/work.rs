//! Work written out: counting on from one operand as many steps as the other
//! says, comparing, answering. Right, padded, or with a miscount.
//!
//! Which of these a document gets is decided elsewhere.

use rand::RngExt;

use super::{Notation, Sum};
use crate::random::Stream;
use crate::tasks::corpus::Written;
use crate::tasks::grading::{END_THINK, THINK};

/// Two compared values are equal.
pub(super) const SAME: &str = "same";
/// Two compared values are not equal.
pub(super) const DIFFER: &str = "differ";

/// Ends a count. One token for all values, so that knowing when to stop is
/// learned once and not for each value.
const STOP: &str = ";";

/// Counting from the first operand takes more steps than this only where it is
/// the larger, lest the few longest texts set the length of a batch.
const MOST_STEPS_FROM_FIRST: u32 = 9;

const OPENINGS: [&str; 4] = [
    "hmm .",
    "okay . let me see .",
    "so let me count .",
    "well . this is to count .",
];
const RESTARTS: [&str; 3] = [
    "wait . start again .",
    "no . let me start again .",
    "hmm . wait . again .",
];
const CHECKS: [&str; 4] = [
    ". let me check .",
    ". check that again .",
    ". hmm . is that right . again .",
    ". wait . let me count again .",
];
const CLOSINGS: [&str; 3] = [". okay .", ". so that is it .", ". now i am sure ."];

/// How a count goes wrong.
#[derive(Clone, Copy)]
enum Slip {
    /// One step too few.
    Early,
    /// One step too many.
    Late,
    /// At this step, a value is passed over.
    Skip(u32),
    /// At this step, a value is said again.
    Repeat(u32),
}

/// The work on one problem, as far as it is written.
pub(super) struct Work<'a> {
    sum: &'a Sum,
    notation: &'a Notation,
    start: u32,
    steps: u32,
    tokens: Vec<String>,
    focus: Vec<usize>,
}

impl<'a> Work<'a> {
    /// Work that has just begun. Where operands may change places, counting
    /// starts from the larger, or with `from_first` from the first.
    pub(super) fn new(sum: &'a Sum, notation: &'a Notation, from_first: bool) -> Self {
        let (left, right) = (sum.terms.left, sum.terms.right);
        let stay = from_first && right <= MOST_STEPS_FROM_FIRST;
        let (start, steps) = if notation.commutes && right > left && !stay {
            (right, left)
        } else {
            (left, right)
        };
        Self {
            sum,
            notation,
            start,
            steps,
            tokens: vec![THINK.to_owned()],
            focus: Vec::new(),
        }
    }

    /// Correct work and its answer.
    pub(super) fn solve(&mut self) {
        let result = self.count(None);
        self.conclude(result);
        self.answer(result);
    }

    /// Correct work and its answer, with at least one false start or repeated
    /// verification, and with fillers.
    pub(super) fn pad(&mut self, random: &mut Stream) {
        // 1: a false start, 2: a repeated verification, 3: both.
        let padding = random.random_range(1..=3_u32);
        if random.random_bool(0.5) {
            self.say(pick(&OPENINGS, random));
        }
        if padding & 1 != 0 {
            self.count_to(random.random_range(0..self.steps), None);
            self.say(pick(&RESTARTS, random));
        }
        let mut result = self.count(None);
        self.conclude(result);
        if padding & 2 != 0 {
            self.say(pick(&CHECKS, random));
            result = self.count(None);
            self.conclude(result);
        }
        if random.random_bool(0.3) {
            self.say(pick(&CLOSINGS, random));
        }
        self.answer(result);
    }

    /// A miscount, and the answer that follows from it.
    pub(super) fn miscount(&mut self, random: &mut Stream) {
        let step = random.random_range(1..=self.steps);
        let mut slips = vec![Slip::Repeat(step)];
        if self.steps > 1 {
            slips.push(Slip::Early);
        }
        if self
            .notation
            .values
            .contains(&(self.start + self.steps + 1))
        {
            slips.extend([Slip::Late, Slip::Skip(step)]);
        }
        let slip = slips[random.random_range(0..slips.len() as u64) as usize];
        let result = self.count(Some(slip));
        self.conclude(result);
        self.answer(result);
    }

    /// The completion and the focus in its tokens.
    pub(super) fn finish(self) -> Written {
        Written {
            completion: self.tokens.join(" "),
            focus: self.focus,
        }
    }

    /// Writes a whole count and returns the value it comes to.
    fn count(&mut self, slip: Option<Slip>) -> u32 {
        let steps = match slip {
            Some(Slip::Early) => self.steps - 1,
            Some(Slip::Late) => self.steps + 1,
            _ => self.steps,
        };
        self.count_to(steps, slip)
    }

    fn count_to(&mut self, steps: u32, slip: Option<Slip>) -> u32 {
        let (value, step) = (self.notation.value, self.notation.step);
        self.say(&format!("{} + {} ?", value(self.start), step(self.steps)));
        let mut at = self.start;
        self.say(&value(at));
        for i in 1..=steps {
            at += match slip {
                Some(Slip::Skip(step)) if step == i => 2,
                Some(Slip::Repeat(step)) if step == i => 0,
                _ => 1,
            };
            self.say(&step(i));
            self.say(&value(at));
        }
        at
    }

    /// Ends a count with its result and, in verification, the comparison.
    fn conclude(&mut self, result: u32) {
        let value = self.notation.value;
        self.decide(STOP);
        self.say(&value(result));
        if let Some(presented) = self.sum.terms.presented {
            self.say(&format!(", {}", value(presented)));
            self.decide(if presented == result { SAME } else { DIFFER });
        }
    }

    /// Closes the work and answers what follows from `result`.
    fn answer(&mut self, result: u32) {
        self.say(END_THINK);
        match self.sum.terms.presented {
            Some(presented) => self.decide(&(presented == result).to_string()),
            None => self.decide(&(self.notation.value)(result)),
        }
    }

    /// Writes a token on which the outcome hangs.
    fn decide(&mut self, token: &str) {
        self.focus.push(self.tokens.len());
        self.tokens.push(token.to_owned());
    }

    fn say(&mut self, text: &str) {
        self.tokens.extend(text.split(' ').map(str::to_owned));
    }
}

fn pick(phrases: &[&'static str], random: &mut Stream) -> &'static str {
    phrases[random.random_range(0..phrases.len() as u64) as usize]
}
