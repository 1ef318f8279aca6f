//! Answers: where a completion announces its answer, and whether two answers say
//! the same.
//!
//! The evaluation's grade and the reward [`crate::correct`] both ask here, so that
//! no arm is paid for what it is then graded wrong for. Neither passes through
//! the other. An item names its [`Judge`]; what follows is the rule of [`Judge::Same`],
//! and where the answer is, that of all.
//!
//! # Where the answer is
//!
//! Reasoning is taken off first, see [`Extraction`]. Of what follows, the answer is
//! what the last mark announces; without a mark, all of it. The marks:
//!
//! - `\boxed{...}` or `\fbox{...}`: what its braces enclose. Of nested boxes the
//!   inner counts where only prose stands around it, `\{` and `\}` are no braces, and a box that is never closed is
//!   no mark. What changes a box is read with it: `-\boxed{5}`, `\boxed{3}^2`,
//!   `not \boxed{7}`, `\boxed{7} or \boxed{8}`. Beside any other sign, macro, digit
//!   or word that scales, bounds or denies it, a box announces nothing readable.
//! - `<answer>...</answer>`, in any case: what the tags enclose. An inner pair
//!   counts before an outer one, and another mark between the tags before them; a
//!   pair that is never closed is no mark.
//! - `Answer:`, a word of its own in any case: what follows, to the end of the line,
//!   or the next line that says something. `Final answer:`, `The answer is`, `The
//!   answer is:`, a heading (`## Answer`, `**Final answer**`) and a last key of JSON
//!   (`{"answer": 7}`) are the same mark. A list that follows is one answer.
//!   "The answer is" is none where its clause denies or doubts it (`I do not think
//!   the answer is 7`), and `wrong answer:` is none.
//! - `####` at the beginning of the last line that is not blank: what follows.
//!   It is how solutions of GSM8K end; further up it is a heading, and no mark.
//!
//! Emphasis, quotes, code, tags of emphasis in HTML, LaTeX's `\text{}`, room and
//! zero-width signs may stand within a mark, before its colon and after, around
//! the mark alone, the answer alone, or both: `**Answer:** 7`, `**Answer: 7**`,
//! `**Answer**: 7`, `_Answer_ : "7"`, `\text{Answer: } 7`. Letters, digits and
//! colons may be of full width. An [announcement](Announced::mark) begins with
//! the signs and the words (`So the final`) before its mark, so that what is
//! counted as reasoning before it does not depend on its style. A closing phrase
//! after the answer (`I hope this helps!`) is no part of it.
//!
//! # Which answer is right
//!
//! The first rule of all is that a wrong answer is never right: what is
//! announced is compared as a whole, and what can be read in two ways is compared
//! as text. The rules of [`Expected::is`] stand at the head of [`crate::correct`].
//! Where nothing is announced and a number is expected, the number that
//! the last sentence states is an answer too (`She makes 9 * 2 = $18 a day.`), where
//! it states one only and says nothing that denies, bounds or scales it.
//!
//! Deliberately not done: marks in other languages, `Answer - 7` (it may be -7),
//! a mark inside the reasoning. All of it takes linear time.

mod around;
mod boxes;
mod choice;
mod conclusions;
mod direction;
mod expression;
mod extraction;
mod judge;
mod marks;
pub(crate) mod normal;
pub(crate) mod number;
mod prose;
mod puzzle;
mod scaling;
pub(crate) mod value;
mod words;

use std::borrow::Cow;
use std::cell::OnceCell;

pub use direction::{NOWHERE, direction};
pub use expression::{Expression, Fraction};
pub use extraction::{Extraction, Thinking};
pub use judge::Judge;
pub use marks::{Announced, announced};
pub(crate) use marks::{CLOSE, OPEN};
use normal::normal;
use value::Value;

/// An expected answer, read once for all that are compared with it.
///
/// # Example
///
/// ```
/// use rewards::answers::{Expected, announced};
///
/// let half = Expected::new("0.5").unwrap();
/// assert!(half.is(&announced(r"So it is \boxed{\frac{1}{2}}."), 0.0));
/// assert!(half.is(&announced("**Answer:** 50%"), 0.0));
/// assert!(!half.is(&announced("**Answer:** 0.5 or 0.6"), 0.0));
/// // What is not announced may be stated by a sentence.
/// let eggs = Expected::new("6 * 3 = 18\n#### 18").unwrap();
/// assert!(eggs.is(&announced("That makes 18."), 0.0));
/// assert!(!eggs.is(&announced("That makes 17 or 18."), 0.0));
/// ```
#[derive(Debug)]
pub struct Expected<'a> {
    /// As it is written.
    written: &'a str,
    /// In normal form.
    text: Cow<'a, str>,
    /// What it says; read when the text alone does not decide.
    value: OnceCell<Option<Value>>,
}

impl<'a> Expected<'a> {
    /// Reads an expected answer; of one with `####` in it, as in GSM8K, what
    /// follows the last of them. `None` where nothing is left to compare.
    pub fn new(expected: &'a str) -> Option<Self> {
        let answer = match expected.rsplit_once(marks::HASHES) {
            Some((_, answer)) => answer.trim(),
            None => expected,
        };
        let text = normal(answer);
        (!text.is_empty()).then_some(Self {
            written: answer,
            text,
            value: OnceCell::new(),
        })
    }

    /// Whether `given` is this answer, numbers being at most `tolerance` apart.
    pub fn is(&self, given: &Announced<'_>, tolerance: f64) -> bool {
        !unlike_prefixes(self.written, given.answer)
            && (self.is_normal(&normal(given.answer), tolerance)
                || (given.mark.is_none() && self.is_stated(given.answer, tolerance)))
    }

    /// The normal form of the answer.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a normal form is this answer.
    fn is_normal(&self, answer: &str, tolerance: f64) -> bool {
        answer == self.text
            || self.value().is_some_and(|wanted| {
                Value::read(answer).is_some_and(|answer| answer.same(wanted, tolerance))
            })
    }

    /// Whether the last sentence of `text` states this number.
    fn is_stated(&self, text: &str, tolerance: f64) -> bool {
        let Some(wanted @ (Value::Number(_) | Value::Quantity(..))) = self.value() else {
            return false;
        };
        // What is measured must be said with its unit.
        prose::stated(text).is_some_and(|stated| {
            let bare = matches!((&stated, wanted), (Value::Number(_), Value::Quantity(..)));
            !bare && stated.same(wanted, tolerance)
        })
    }

    fn value(&self) -> Option<&Value> {
        self.value.get_or_init(|| Value::read(&self.text)).as_ref()
    }
}

/// Whether two answers have units whose prefixes differ in case: `MW` and `mW`.
fn unlike_prefixes(a: &str, b: &str) -> bool {
    const UNITS: [&str; 14] = [
        "mw", "mwh", "mhz", "mv", "mj", "mpa", "ma", "mg", "mn", "mm", "ml", "ms", "pw", "pj",
    ];
    let prefixes = |text: &str| -> Vec<char> {
        text.split(|c: char| !c.is_alphabetic())
            .filter(|word| UNITS.contains(&word.to_ascii_lowercase().as_str()))
            .filter_map(|word| word.chars().next())
            .collect()
    };
    let (a, b) = (prefixes(a), prefixes(b));
    !a.is_empty() && !b.is_empty() && a != b
}

/// `answer` without what is written around it: quotes, emphasis, a full stop.
///
/// ```
/// assert_eq!(rewards::answers::bare("**“True”**."), "True");
/// ```
pub fn bare(answer: &str) -> &str {
    normal::bare(answer)
}
