//! How much of a completion repeats what it has said before.
//!
//! Formula: -(1 - d / m), with m the word sequences of length `ngram_size` in
//! the completion, each starting one word after the other, and d how many of
//! them differ. A completion of fewer words has no such sequence and is worth 0.
//! Range: \]-1, 0\]: 0 where nothing is said twice.
//!
//! Words stand between white space, in lower case, with the punctuation that
//! clings to them; tags are words too. A character of a script that puts no
//! spaces between words (Han, kana, Thai, Lao, Burmese, Khmer) is a word of its
//! own. For sequences of two, `a b a b` has `a b`, `b a`, `a b`: -(1 - 2 / 3).
//!
//! Source: the n-gram penalty of Yeo et al. 2025 (arXiv 2502.03373) in the form
//! of open-r1's `repetition_penalty` reward: one number for a completion, where
//! the paper's falls on each repeated token. Departures: their largest penalty
//! is the weight here, and scripts without spaces need no setting.
//!
//! What it deliberately does not do: count tokens, whose number depends on the
//! tokenizer and which not every completion comes with; or tell idle repetition
//! from useful. Work that is checked by doing it again repeats itself, and short
//! sequences recur in any long text: raise `ngram_size` for long completions.

use std::collections::HashMap;
use std::hash::Hash;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Reward, RewardError, Score, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "repetition";

/// Parameters of [`Repetition`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Words in a sequence, at least 1; default 3, which is open-r1's.
    pub ngram_size: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { ngram_size: 3 }
    }
}

/// A punishment for repetition, between -1 and 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Repetition {
    size: usize,
}

impl Repetition {
    /// A punishment with these parameters.
    pub fn new(parameters: &Parameters) -> Result<Self, RewardError> {
        if parameters.ngram_size == 0 {
            return Err(RewardError::Parameters {
                reward: NAME.to_owned(),
                message: "`ngram_size` is 0: give at least 1".to_owned(),
            });
        }
        Ok(Self {
            size: parameters.ngram_size,
        })
    }
}

impl Reward for Repetition {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let value = |item: &Scored<'_>| 0.0 - repeated(item.completion, self.size);
        Ok(batch.iter().map(|item| Score::new(value(item))).collect())
    }

    fn independent(&self) -> bool {
        true
    }
}

/// The share of sequences of `size` words that occurred before; `size` is at
/// least 1.
///
/// A sequence is named by the names of two shorter ones that cover it, which
/// double in length from pass to pass, so that the time grows with the logarithm
/// of `size` and no hash stands for words that it may not tell apart.
fn repeated(text: &str, size: usize) -> f64 {
    let text = text.to_lowercase();
    let (mut names, mut distinct) = named(words(&text));
    let mut width = 1;
    while width < size && !names.is_empty() {
        let step = width.min(size - width);
        let later = names.get(step..).unwrap_or_default();
        (names, distinct) = named(names.iter().zip(later));
        width += step;
    }
    if names.is_empty() {
        return 0.0;
    }
    1.0 - distinct as f64 / names.len() as f64
}

/// Numbers for things, the same for the same, and how many there are.
fn named<T: Eq + Hash>(things: impl Iterator<Item = T>) -> (Vec<usize>, usize) {
    let mut known = HashMap::new();
    let names = things
        .map(|thing| {
            let next = known.len();
            *known.entry(thing).or_insert(next)
        })
        .collect();
    (names, known.len())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|run| {
        // A piece ends with a character that is a word of its own, if any.
        run.split_inclusive(spaceless).flat_map(|piece| {
            let before = piece.trim_end_matches(spaceless);
            [before, &piece[before.len()..]]
                .into_iter()
                .filter(|word| !word.is_empty())
        })
    })
}

/// Whether a character's script puts no spaces between words.
fn spaceless(c: char) -> bool {
    matches!(c,
        // Thai and Lao, Burmese, Khmer
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        // Kana, Han with its first extension, Han for compatibility
        | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        // Half-width kana, the planes of rarer Han
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFD}')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{item, score};

    fn value(size: usize, completion: &str) -> f64 {
        let reward = Repetition::new(&Parameters { ngram_size: size }).expect("1 or more");
        let score = score(&reward, item(completion, "")).expect("any text can be judged");
        score.value.expect("applies to any completion")
    }

    #[test]
    fn the_formula_at_hand_computed_points() {
        for (size, completion, expected) in [
            (2, "a b a b", -1.0 / 3.0),
            (1, "a b a b", -0.5),
            (1, "A a\n\ta", -2.0 / 3.0),
            (3, "a a a a a", -2.0 / 3.0),
            (3, "a b c d e", 0.0),
            // a b c, b c a, c a b, a b c
            (3, "a b c a b c", -0.25),
            (5, "a b c d a b c d a", -0.2),
            (3, "", 0.0),
            (3, "a a", 0.0),
            (usize::MAX, "a a a", 0.0),
            (1, "a a. a", -1.0 / 3.0),
            (2, "\u{4F60}\u{597D}\u{4F60}\u{597D}", -1.0 / 3.0),
            (1, "ok\u{4F60}ok \u{4F60}", -0.5),
            (2, "\u{0E01}\u{0E02}\u{0E01}\u{0E02}", -1.0 / 3.0),
        ] {
            let got = value(size, completion);
            assert!((got - expected).abs() < 1e-12, "{size} {completion}: {got}");
        }
        assert!(value(3, "").is_sign_positive());
    }

    #[test]
    fn sequences_of_no_words_are_refused() {
        let error = Repetition::new(&Parameters { ngram_size: 0 }).expect_err("0 words");
        assert!(error.to_string().contains("`ngram_size` is 0"), "{error}");
    }

    #[test]
    fn a_megabyte_is_judged_whatever_the_size() {
        let words = "a ".repeat(500_000);
        assert!((value(5, &words) + 1.0 - 1.0 / 499_996.0).abs() < 1e-12);
        let size = 40_000;
        let sequences = (50_000 - size + 1) as f64;
        assert!((value(size, &words[..100_000]) + 1.0 - 1.0 / sequences).abs() < 1e-12);
        assert!(value(1, &"\u{4E00}".repeat(100_000)) < -0.99);
        assert!(value(1, &"x".repeat(1_000_000)).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn it_is_the_count_of_distinct_windows(
            words in proptest::collection::vec("[ab]|c\u{0301}", 0..40),
            size in 1_usize..12,
        ) {
            let windows: Vec<&[String]> = words.windows(size).collect();
            let distinct: HashSet<_> = windows.iter().collect();
            let expected = match windows.len() {
                0 => 0.0,
                all => distinct.len() as f64 / all as f64 - 1.0,
            };
            prop_assert!((value(size, &words.join(" ")) - expected).abs() < 1e-12);
        }

        #[test]
        fn any_text_is_in_range(text in ".*", size in 1_usize..5) {
            let value = value(size, &text);
            prop_assert!(value > -1.0 && value <= 0.0);
        }

        #[test]
        fn saying_it_all_again_is_never_better(text in "[a-d ]{0,40}", size in 1_usize..4) {
            let twice = format!("{text} {text}");
            prop_assert!(value(size, &twice) <= value(size, &text) + 1e-12);
        }
    }
}
