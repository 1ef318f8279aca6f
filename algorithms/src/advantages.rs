//! What a rollout's reward says against the others'.
//!
//! A reward of `None` takes no part: it is in no mean and no deviation, and its
//! advantage is 0. Rewards that are all alike give exactly 0, not what rounding
//! leaves of it.

use serde::{Deserialize, Serialize};

use crate::RewardPart;

/// What the centred rewards of a group are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdvantageScale {
    /// The group's standard deviation.
    Group,
    /// The standard deviation over all groups of the rollout.
    Batch,
    /// The group's mean (`MaxRL`); advantages are 0 where it is 0.
    Mean,
    /// Nothing (Dr. GRPO).
    None,
}

/// A standard deviation as a divisor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Subtracted from the number of values: 1 in TRL and verl, 0 elsewhere.
    pub ddof: usize,
    /// Added to the deviation: 1e-4 in TRL, 1e-6 in verl.
    pub epsilon: f64,
}

impl Deviation {
    /// For advantages that are divided by nothing.
    pub(crate) const UNUSED: Self = Self {
        ddof: 1,
        epsilon: 0.0,
    };

    /// What values are divided by.
    fn divisor(self, values: &[f64]) -> f64 {
        standard_deviation(values, self.ddof) + self.epsilon
    }
}

/// Standard deviation; 0 where there are not more values than `ddof`, or fewer than two.
pub(crate) fn standard_deviation(values: &[f64], ddof: usize) -> f64 {
    if values.len() < 2 || values.len() <= ddof {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - ddof) as f64).sqrt()
}

/// The rewards that are known.
pub(crate) fn known(rewards: &[Option<f64>]) -> Vec<f64> {
    rewards.iter().copied().flatten().collect()
}

/// Whether some of the values differ.
pub(crate) fn some_differ(values: &[f64]) -> bool {
    values
        .first()
        .is_some_and(|first| values.iter().any(|value| (value - first).abs() > 0.0))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Advantages of groups of `group` rewards: each reward minus its group's mean,
/// divided as `scale` says.
///
/// Worked example: rewards `[1, 0, 0, 1]`, one group, scale `None`:
/// `[0.5, -0.5, -0.5, 0.5]`.
pub fn group_advantages(
    rewards: &[Option<f64>],
    group: usize,
    scale: AdvantageScale,
    deviation: Deviation,
) -> Vec<f64> {
    let over_batch = deviation.divisor(&known(rewards));
    rewards
        .chunks(group.max(1))
        .flat_map(|chunk| {
            let known = known(chunk);
            let mean = mean(&known);
            let divisor = match scale {
                AdvantageScale::Group => deviation.divisor(&known),
                AdvantageScale::Batch => over_batch,
                AdvantageScale::Mean => mean,
                AdvantageScale::None => 1.0,
            };
            let some_differ = some_differ(&known) && divisor != 0.0;
            chunk
                .iter()
                .map(move |reward| match reward {
                    Some(reward) if some_differ => (reward - mean) / divisor,
                    _ => 0.0,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Advantages where every reward function is normalised within the group by
/// itself, then summed with its weight, then normalised over the batch (GDPO,
/// arXiv 2601.05242): no function drowns another by its scale.
///
/// `parts` has one row a rollout, `None` where no reward applied to it.
pub fn decoupled_advantages(
    parts: &[Option<&[RewardPart]>],
    group: usize,
    deviation: Deviation,
) -> Vec<f64> {
    let sums: Vec<Option<f64>> = parts
        .chunks(group.max(1))
        .flat_map(|chunk| decoupled_sums(chunk, deviation))
        .collect();
    let known = known(&sums);
    let (mean, divisor) = (mean(&known), deviation.divisor(&known));
    sums.iter()
        .map(|sum| match sum {
            // A group without a difference has exactly 0 here and is not moved by the mean.
            Some(sum) if sum.abs() > 0.0 => (sum - mean) / divisor,
            _ => 0.0,
        })
        .collect()
}

/// The weighted sum of the normalised rewards of one group.
fn decoupled_sums(group: &[Option<&[RewardPart]>], deviation: Deviation) -> Vec<Option<f64>> {
    let functions = group.iter().flatten().map(|parts| parts.len()).max();
    let mut sums: Vec<Option<f64>> = group.iter().map(|parts| parts.map(|_| 0.0)).collect();
    for function in 0..functions.unwrap_or(0) {
        let part = |row: Option<&[RewardPart]>| row?.get(function).copied();
        let values: Vec<Option<f64>> = group.iter().map(|row| part(*row)?.value).collect();
        let known = known(&values);
        if !some_differ(&known) {
            continue;
        }
        let (mean, divisor) = (mean(&known), deviation.divisor(&known));
        for (sum, row) in sums.iter_mut().zip(group) {
            if let (Some(sum), Some(part)) = (sum, part(*row))
                && let Some(value) = part.value
            {
                *sum += part.weight * ((value - mean) / divisor);
            }
        }
    }
    sums
}

/// Advantages against the mean of the others of the group (RLOO).
///
/// Worked example: rewards `[1, 0, 0.5]`: the others of the first have the mean
/// 0.25, so `[0.75, -0.75, 0]`.
pub fn leave_one_out_advantages(rewards: &[Option<f64>], group: usize) -> Vec<f64> {
    rewards
        .chunks(group.max(1))
        .flat_map(|chunk| {
            let known = known(chunk);
            let sum = known.iter().sum::<f64>();
            let others = known.len() as f64 - 1.0;
            let some_differ = some_differ(&known);
            chunk
                .iter()
                .map(move |reward| match reward {
                    Some(reward) if some_differ => reward - (sum - reward) / others,
                    _ => 0.0,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// All values less their mean, over their deviation.
pub(crate) fn normalised(values: &[Option<f64>], deviation: Deviation) -> Vec<f64> {
    let known = known(values);
    let (mean, divisor) = (mean(&known), deviation.divisor(&known));
    let some_differ = some_differ(&known);
    values
        .iter()
        .map(|value| match value {
            Some(value) if some_differ => (value - mean) / divisor,
            _ => 0.0,
        })
        .collect()
}

/// What is still to come at each token: the outcome less the penalties from
/// there on.
///
/// Worked example: outcome 1, penalties `[0.1, 0.2]`: `[0.7, 0.8]`.
pub(crate) fn returns(outcome: f64, penalties: &[f64]) -> Vec<f64> {
    let mut returns: Vec<f64> = penalties
        .iter()
        .rev()
        .scan(outcome, |to_come, penalty| {
            *to_come -= penalty;
            Some(*to_come)
        })
        .collect();
    returns.reverse();
    returns
}

/// The smallest deviation that returns are divided by (`OpenRLHF`'s).
const SMALLEST_DEVIATION: f64 = 1e-4;

/// Brings all tokens' returns to mean 0 and deviation 1; returns that do not
/// differ become 0.
pub(crate) fn whiten(returns: &mut [Vec<f64>]) {
    let all: Vec<f64> = returns.iter().flatten().copied().collect();
    let count = all.len().max(1) as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let divisor = variance.sqrt().max(SMALLEST_DEVIATION);
    let differ = some_differ(&all);
    for value in returns.iter_mut().flatten() {
        *value = if differ {
            (*value - mean) / divisor
        } else {
            0.0
        };
    }
}

#[cfg(test)]
mod tests;
