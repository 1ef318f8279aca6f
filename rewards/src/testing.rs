//! What the unit tests share: an item to vary, and reproducible noise.

use crate::{Reward, RewardError, Score, Scored};

/// A completion of an ordinary problem, to be changed by struct update.
pub(crate) fn item<'a>(completion: &'a str, expected: &'a str) -> Scored<'a> {
    Scored {
        task: "test",
        problem: "test/1",
        prompt: "?",
        completion,
        expected: Some(expected),
        reasoning_tokens: 0,
        completion_tokens: 0,
        max_new_tokens: 64,
        ..Scored::default()
    }
}

/// The one score of a batch of one.
pub(crate) fn score(reward: &dyn Reward, item: Scored<'_>) -> Result<Score, RewardError> {
    reward.score(&[item]).map(|mut scores| {
        assert_eq!(scores.each.len(), 1);
        scores.each.remove(0)
    })
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, seeded, good enough for tests.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// A string of up to `length` pieces.
    pub(crate) fn text(&mut self, pieces: &[&str], length: usize) -> String {
        let length = self.below(length + 1);
        (0..length)
            .map(|_| pieces[self.below(pieces.len())])
            .collect()
    }
}
