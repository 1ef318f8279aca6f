//! Whether the answer is the expected one.
//!
//! Formula: 1 if the answer equals the expected answer, else 0. Range: {0, 1}.
//! It does not apply to a problem without an expected answer. The answer is
//! what the last mark of the completion announces (`Answer:`, `\boxed{}`, `<answer>`,
//! "the answer is", `####`, see [`crate::answers`]), or all that follows the
//! reasoning; an empty one is worth 0. Of an expected answer with `####` in it, as
//! in GSM8K, what follows the last of them counts. The first rule of all is that a
//! wrong answer is never right: what is announced is compared as a whole, and
//! what can be read in two ways is compared as text.
//!
//! How an answer is judged is the item's own to say ([`Judge`]); the rest is about items
//! of the judge `same`, as most are. For all others, whether it is right is what
//! [`Judge::judge`] says, and `choices` and `tolerance` have no meaning.
//!
//! With `choices`, both must be the same choice. An answer is the choice that it
//! equals, or the longest that it begins with, after `(` or `[` or nothing and
//! before `)`, `]`, `.` or `:` and white space or the end (`B) Paris`). Without,
//! the answer equals the expected one if
//!
//! 1. their normal forms are the same text: white space, case, closing
//!    punctuation, quotes, emphasis, `$`, `\text{}`, `\boxed{}`, brackets around a
//!    single thing, the width of signs and the script of digits make no
//!    difference; or
//! 2. they say the same. What an answer says is a number, a number with a unit,
//!    a list, a set, or a formula:
//!    - numbers at most `tolerance` apart, compared exactly, so that with the
//!      default of 0 `0.50` equals `0.5`, and 2^53 + 1 does not equal 2^53. They
//!      are decimal, with a power of ten if any (`3 \times 10^{5}`, `3e5`), with
//!      commas, `{,}`, `\,` or spaces by thousands; fractions (`3/4`,
//!      `\frac{3}{4}`, `1 1/2`, `¾`); or English number words;
//!    - a percent sign is a hundredth: `50%` equals `0.5`, and not `50`;
//!    - units of the list in `answers/value/unit.rs` must agree, or one is missing: `5 km`
//!      equals `5000 m` and `5`. A unit that may be a variable (`m`, `g`, `s`,
//!      `l`, `h`, `mg`, `ml`, `ms`) may be missing only if it stands in `\text{}`
//!      or is written out. So may a plural of things: `5 apples` equals `5`, and
//!      not `5 pears`;
//!    - `x = 5` and `x \in A` equal the side that is not the variable, a single
//!      letter; two different variables differ;
//!    - lists in the same brackets, element by element and in order: `[0, 1)` is
//!      not `(0, 1]`. Within brackets every comma separates, so `(1,234)` has
//!      two elements. Sets in braces, in any order;
//!    - formulas (roots, powers, products, sums, relations, names) of the same
//!      structure, in LaTeX, Unicode or plain spelling: `2\sqrt{3}` is `2√3`.
//!      Numbers in formulas are equal, with no tolerance; or
//! 3. nothing is announced, and the one number that the last sentence states is the
//!    expected one: `She makes 9 * 2 = $18 a day.` A sentence with two numbers
//!    or with a word that denies, bounds or scales (`not`, `or`, `at least`, `million`)
//!    states none.
//!
//! Source: the accuracy reward of DeepSeek-R1 (arXiv 2501.12948) in the form of
//! TRL's `accuracy_reward`. Departure: no computer algebra.
//!
//! What it deliberately does not do: evaluate or transform (`3 + 4` is not 7,
//! `x + 1` is not `1 + x`, `\sqrt{8}` is not `2\sqrt{2}`; `9**9**9` costs
//! nothing), read matrices or decimal commas, search prose for something that
//! fits, or look at length: a truncated completion is judged by the text it has.
//! It also takes no account of the task's own grade.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::answers::normal::normal;
use crate::answers::{self, Expected, Judge};
use crate::{Extraction, Reward, RewardError, Score, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "correct";

/// Parameters of [`Correct`].
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The largest distance between numbers that are taken for equal, in the
    /// expected answer's unit, finite and at least 0; default 0. For items of the
    /// judge `same`.
    pub tolerance: f64,
    /// The answers there are to choose from, if the task has such; default
    /// none: any text may be an answer. For items of the judge `same`.
    pub choices: Vec<String>,
}

/// 1 for the expected answer, 0 for another.
///
/// Part: `answered` (0 or 1): whether there is an answer at all, and with
/// `choices`, whether it is one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Correct {
    tolerance: f64,
    /// In normal form.
    choices: Vec<String>,
}

impl Correct {
    /// A judge with these parameters.
    pub fn new(parameters: &Parameters) -> Result<Self, RewardError> {
        let wrong = |message: String| {
            Err(RewardError::Parameters {
                reward: NAME.to_owned(),
                message,
            })
        };
        let tolerance = parameters.tolerance;
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return wrong(format!(
                "`tolerance` is {tolerance}: give a finite number, 0 or more"
            ));
        }
        let choices: Vec<String> = (parameters.choices.iter())
            .map(|choice| normal(choice).into_owned())
            .collect();
        for (i, choice) in choices.iter().enumerate() {
            let given = &parameters.choices[i];
            if choice.is_empty() {
                return wrong(format!(
                    "the choice {given:?} has no letter, digit or sign to compare: remove it"
                ));
            }
            if let Some(same) = choices[..i].iter().position(|other| other == choice) {
                return wrong(format!(
                    "the choices {:?} and {given:?} cannot be told apart: remove one",
                    parameters.choices[same]
                ));
            }
        }
        Ok(Self { tolerance, choices })
    }

    /// The score, or why the expected answer cannot be used.
    fn judge<'a>(
        &self,
        item: &Scored<'a>,
        known: &mut Option<Wanted<'a>>,
    ) -> Result<Score, String> {
        let Some(expected) = item.expected else {
            return Ok(Score::does_not_apply());
        };
        let read = Extraction::new(item.prompt, item.completion);
        if item.judge != Judge::Same {
            let right = (item.judge)
                .judge_read(expected, item.columns, &read)
                .map_err(|error| error.to_string())?;
            let Some(right) = right else {
                return Ok(Score::does_not_apply());
            };
            let answered = !answers::bare(read.answer()).is_empty();
            return Ok(Score::new(f64::from(u8::from(right)))
                .with_part("answered", f64::from(u8::from(answered))));
        }
        // Completions of one problem come one after the other.
        let wanted = match known {
            Some(wanted) if wanted.expected == expected => wanted,
            _ => known.insert(self.want(expected)?),
        };
        let given = read.announced();
        let (answered, correct) = if self.choices.is_empty() {
            let answered = !answers::bare(given.answer).is_empty();
            (answered, wanted.answer.is(&given, self.tolerance))
        } else {
            let chosen = self.choice(&normal(given.answer));
            (chosen.is_some(), chosen == wanted.choice)
        };
        let answered = f64::from(u8::from(answered));
        Ok(Score {
            value: Some(f64::from(u8::from(correct))),
            // Of exactly this size: there are many scores.
            parts: vec![(Cow::Borrowed("answered"), answered)],
        })
    }

    fn want<'a>(&self, expected: &'a str) -> Result<Wanted<'a>, String> {
        let Some(answer) = Expected::new(expected) else {
            return Err(format!(
                "its expected answer {expected:?} is empty: correct the problem, \
                 or leave the answer out"
            ));
        };
        let choice = self.choice(answer.text());
        if choice.is_none() && !self.choices.is_empty() {
            return Err(format!(
                "its expected answer {expected:?} is not one of `choices` ({}): \
                 correct one or the other",
                self.choices.join(", ")
            ));
        }
        Ok(Wanted {
            expected,
            answer,
            choice,
        })
    }

    /// The index of the choice that a normal form makes.
    fn choice(&self, answer: &str) -> Option<usize> {
        if let Some(equal) = self.choices.iter().position(|choice| choice == answer) {
            return Some(equal);
        }
        let unbracketed = answer.strip_prefix(['(', '[']).unwrap_or(answer);
        let begins = |choice: &str| {
            unbracketed.strip_prefix(choice).is_some_and(|rest| {
                let text = rest.trim_start_matches([')', ']', '.', ':']);
                text.len() < rest.len() && (text.is_empty() || text.starts_with(' '))
            })
        };
        let candidates = (0..self.choices.len()).filter(|i| begins(&self.choices[*i]));
        candidates.max_by_key(|i| self.choices[*i].len())
    }
}

/// An expected answer, read once for all completions of its problem.
struct Wanted<'a> {
    expected: &'a str,
    answer: Expected<'a>,
    choice: Option<usize>,
}

impl Reward for Correct {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let mut known = None;
        let judge = |(index, item)| {
            let item: &Scored<'_> = item;
            self.judge(item, &mut known)
                .map_err(|message| RewardError::Item {
                    reward: NAME.to_owned(),
                    index,
                    problem: item.problem.to_owned(),
                    message,
                })
        };
        batch.iter().enumerate().map(judge).collect()
    }

    fn independent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Noise, item, score};

    fn build(table: &str) -> Correct {
        let parameters = toml::from_str(table).expect("the test's own TOML is valid");
        Correct::new(&parameters).expect("valid parameters")
    }

    fn right(table: &str, completion: &str, expected: &str) -> bool {
        let score = score(&build(table), item(completion, expected)).expect("can be judged");
        score.value.expect("there is an expected answer") > 0.5
    }

    #[test]
    fn right_answers() {
        for (completion, expected) in [
            ("<think> A 1 B 2 C </think> true", "true"),
            ("<think> </think> TRUE", "true"),
            ("true", "True."),
            ("Answer: (B)", "b"),
            (r"so \boxed{\text{False}}", "false"),
            ("<think> 3 4 </think> seven", "7"),
            ("Answer: 7.0", "seven"),
            ("Answer: 1,024 ", "1024"),
            ("Answer: \u{2212}\u{0663}", "-3"),
            ("Answer: \u{FF14}\u{FF12}", "42"),
            ("Answer: the  red\u{00A0}square.", "The red square"),
            ("\u{00C9}T\u{00C9}", "\u{00E9}t\u{00E9}"),
            (
                "<think> 6 7 </think> <answer>42</answer>",
                "6 * 7 = 42\n#### 42",
            ),
            ("6 * 7 = 42\n#### 1,042", "1042"),
            (r"\boxed{\frac{3}{4}}", "75%"),
            (r"\fbox{$x = \dfrac{\sqrt 3}{2}$}", "√3/2"),
            ("Answer: $5,000", "5000 dollars"),
            (r"$$\boxed{\left[0, \infty\right)}$$", "[0, ∞)"),
            (r"\(\boxed{\{1, 2\}}\)", r"\{2, 1\}"),
            ("The answer is 7.", "seven"),
            ("That makes 3 + 4 = 7 dollars.", "7"),
        ] {
            assert!(right("", completion, expected), "{completion}");
        }
    }

    #[test]
    fn wrong_answers() {
        for (completion, expected) in [
            ("", "true"),
            ("<think> true", "true"),
            ("<think> true </think>", "true"),
            ("<think> true </think> false", "true"),
            ("not true", "true"),
            ("true true", "true"),
            ("true <think> </think> false", "true"),
            ("3 + 4", "7"),
            ("7 or 8", "7"),
            ("77", "7"),
            ("9**9**9", "387420489"),
            ("NaN", "7"),
            ("inf", "7"),
            ("Answer: 7\nAnswer: 8", "7"),
            ("9007199254740993", "9007199254740992"),
            ("7\u{00B2}", "72"),
            ("7.0000001", "7"),
            ("The answer is not 7", "7"),
            ("It is 7 or 8.", "7"),
            ("<answer>7", "7"),
            ("<answer>7</answer> <answer>8</answer>", "7"),
            ("#### Seven\n7, I think", "7"),
            ("6 * 7 = 42", "6 * 7 = 42\n#### 42"),
            (r"\boxed{\frac{3}{4}", "3/4"),
            ("~7", "7"),
            ("7 or so", "7"),
            (r"2^{10^{10}}", "2^{10^{11}}"),
        ] {
            assert!(!right("", completion, expected), "{completion}");
        }
    }

    #[test]
    fn the_tolerance_is_an_absolute_distance_and_includes_its_end() {
        let table = "tolerance = 0.1";
        assert!(right(table, "3.1", "3"));
        assert!(right(table, "2.9", "three"));
        assert!(!right(table, "3.1000001", "3"));
        assert!(!right("tolerance = 1000.0", "true", "false"));
        assert!(right(table, "1/2", "0.6"));
        assert!(right(table, r"\frac{13}{30}", "1/3"));
        assert!(!right(table, r"\frac{14}{30}", "1/3"));
    }

    #[test]
    fn the_tolerance_is_in_the_expected_unit_and_for_no_formula() {
        let table = "tolerance = 0.1";
        assert!(right(table, "3100 m", "3 km"));
        assert!(!right(table, "3101 m", "3 km"));
        assert!(!right(table, "3 km", "3001 m"));
        assert!(right(table, "(1.05, 2)", "(1, 2)"));
        assert!(right(table, "x = 1.05", "x = 1"));
        assert!(!right(table, r"2.05\sqrt{3}", r"2\sqrt{3}"));
        assert!(!right(table, "x^2.05", "x^2"));
    }

    #[test]
    fn completions_of_different_problems_are_judged_each_by_its_own() {
        let pairs = [
            ("1", "1"),
            ("1", "2"),
            ("2", "2"),
            ("0.5", "1/2"),
            ("1", "1"),
        ];
        let batch = pairs.map(|(completion, expected)| item(completion, expected));
        let scores = build("").score(&batch).expect("can be judged");
        let values: Vec<_> = scores.each.iter().map(|score| score.value).collect();
        assert_eq!(values, [1.0, 0.0, 1.0, 1.0, 1.0].map(Some));
    }

    #[test]
    fn a_choice_may_be_followed_by_its_text() {
        let table = r#"choices = ["A", "B", "C", "true", "3"]"#;
        for completion in [
            "B",
            "(b)",
            "Answer: B) Paris",
            "[B]. A town",
            "b: A, C",
            "B.",
        ] {
            assert!(right(table, completion, "B"), "{completion}");
        }
        for completion in [
            "", "A", "Bravo", "B, C", "B or C", "C. B", "option B", "3.5",
        ] {
            assert!(!right(table, completion, "B"), "{completion}");
        }
        assert!(!right(table, "3.5", "3"));
        let nested = r#"choices = ["a", "a. b"]"#;
        assert!(right(nested, "a. b: both", "a. b"));
    }

    #[test]
    fn parts_and_problems_without_an_answer() {
        let reward = build("");
        let none = Scored {
            expected: None,
            ..item("true", "")
        };
        let scores = reward
            .score(&[none, item("<think>", "true"), item("false", "true")])
            .expect("can be judged");
        assert_eq!(scores.each[0], Score::does_not_apply());
        assert_eq!(scores.each[1], Score::new(0.0).with_part("answered", 0.0));
        assert_eq!(scores.each[2], Score::new(0.0).with_part("answered", 1.0));
    }

    #[test]
    fn unusable_expected_answers_are_errors_that_name_the_problem() {
        let batch = [item("true", "true"), item("true", " . ")];
        assert!(build("").score(&[item("7", "7 #### ")]).is_err());
        let message = build("").score(&batch).expect_err("empty").to_string();
        assert!(
            message.contains("completion 1") && message.contains("`test/1`"),
            "{message}"
        );
        let choices = build(r#"choices = ["true", "false"]"#);
        let error = choices
            .score(&[item("true", "maybe")])
            .expect_err("not a choice");
        assert!(
            error.to_string().contains("\"maybe\" is not one of"),
            "{error}"
        );
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for table in [
            "tolerance = -0.1",
            "tolerance = nan",
            "tolerance = inf",
            "choices = ['a', ' . ']",
            "choices = ['a', '(A)']",
        ] {
            let parameters = toml::from_str(table).expect("valid TOML");
            let error = Correct::new(&parameters).expect_err(table);
            assert!(matches!(error, RewardError::Parameters { .. }), "{table}");
        }
    }

    #[test]
    fn random_text_is_scored_and_never_better_than_its_answer() {
        let pieces = [
            "<think>", "</think>", "Answer:", r"\boxed{", "}", "true", " ", "1", "\u{0661}",
        ];
        let (reward, mut noise, mut rights) = (build(""), Noise(11), 0);
        for _ in 0..20_000 {
            let text = noise.text(&pieces, 6);
            let score = score(&reward, item(&text, "true")).expect("can be judged");
            if score.value == Some(1.0) {
                rights += 1;
                assert!(
                    Extraction::new("?", &text).answer().contains("true"),
                    "{text}"
                );
            }
        }
        assert!(rights > 100, "{rights}");
    }

    #[test]
    fn megabytes_are_judged_in_linear_time() {
        for piece in [
            "true ",
            "(",
            "1",
            "1,",
            "seven-",
            "**",
            "\u{0661}",
            r"\frac{",
            r"\text{",
            "{",
            "\\",
            "<answer>",
            "</answer>",
            "####",
            "####\n",
            "x^",
            "1/",
            "½",
            "$",
            "\u{00B2}",
            "She makes 8. ",
            "7 ",
            "Answer: feel free to. ",
            "answer",
            "if answer is ",
        ] {
            let text = piece.repeat(1_000_000 / piece.len());
            assert!(!right("", &text, "7"));
            assert!(!right("choices = ['7']", &text, "7"));
        }
    }
}
