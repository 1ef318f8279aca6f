//! The samples of an item without their texts: what the explorer draws a strip of.
//!
//! A sample is one number, 6 x reasoning tokens + grade, the grade 0 wrong, 1 right, 2 not
//! graded, and 3 more where the cap cut it off. Samples of one seed whose numbers follow each
//! other stand in one run.

use serde::Serialize;

use crate::comparison::ShownCompletion;

/// `[seed, number of the first sample, samples]`.
///
/// Worked example: of seed 2 the samples 0 and 1, 12 tokens and right, 14 tokens and cut off
/// without a grade: `[2, 0, [73, 89]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Run(Option<u64>, u32, Vec<u64>);

/// 0 wrong, 1 right, 2 not graded, and 3 more where the cap cut it off.
pub(super) fn grade(shown: &ShownCompletion) -> u8 {
    shown.correct.map_or(2, u8::from) + if shown.truncated { 3 } else { 0 }
}

/// The samples of one arm on one item.
pub(super) fn runs(samples: &[ShownCompletion]) -> Vec<Run> {
    let mut sorted: Vec<&ShownCompletion> = samples.iter().collect();
    sorted.sort_by_key(|shown| (shown.seed, shown.sample));
    let mut runs: Vec<Run> = Vec::new();
    for shown in sorted {
        let number = 6 * u64::from(shown.reasoning_tokens) + u64::from(grade(shown));
        let follows = |run: &&mut Run| {
            run.0 == shown.seed && u64::from(run.1) + run.2.len() as u64 == u64::from(shown.sample)
        };
        match runs.last_mut().filter(follows) {
            Some(run) => run.2.push(number),
            None => runs.push(Run(shown.seed, shown.sample, vec![number])),
        }
    }
    runs
}

/// Bytes of runs in the page, at most about.
pub(super) fn bytes(runs: &[Run]) -> usize {
    let digits = |number: u64| 1 + number.checked_ilog10().unwrap_or(0) as usize;
    let of = |run: &Run| {
        let numbers = run.2.iter().map(|number| digits(*number) + 1);
        digits(run.0.unwrap_or(1000)) + digits(u64::from(run.1)) + 6 + numbers.sum::<usize>()
    };
    runs.iter().map(of).sum::<usize>() + 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn samples_stand_by_seed_in_runs_of_numbers_that_follow_each_other() {
        let one = fixture::items()[0].arms["grpo"][0].clone();
        let of = |seed, sample, tokens, correct, truncated| ShownCompletion {
            seed,
            sample,
            reasoning_tokens: tokens,
            correct,
            truncated,
            ..one.clone()
        };
        let all = [
            of(Some(2), 1, 14, None, true),
            of(Some(2), 0, 12, Some(true), false),
            of(Some(1), 0, 0, Some(false), false),
            of(Some(1), 7, 3, Some(false), true),
        ];
        let found = runs(&all);
        let expected = "[[1,0,[0]],[1,7,[21]],[2,0,[73,89]]]";
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(text, expected);
        assert!((text.len()..text.len() + 10).contains(&bytes(&found)));
        assert!(runs(&[]).is_empty());
    }
}
