//! Metrics of a rollout phase.

use crate::Metrics;
use crate::advantages::{known, standard_deviation};
use crate::phase::{Group, rewards_of};

/// Metrics of a rollout phase under TRL's names. What has no value is left out.
pub(crate) fn of_groups(groups: &[Group]) -> Metrics {
    let rewards = known(&rewards_of(groups));
    let mut metrics = Metrics::new();
    let mut insert = |name: &str, value: f64| metrics.insert(name.to_owned(), value);
    if !rewards.is_empty() {
        insert("reward", rewards.iter().sum::<f64>() / rewards.len() as f64);
    }
    if rewards.len() > 1 {
        insert("reward_std", standard_deviation(&rewards, 1));
    }
    // A completion by itself is like nothing.
    let compared = || groups.iter().filter(|group| group.rollouts.len() > 1);
    if !rewards.is_empty() && compared().count() > 0 {
        let alike = compared().filter(|group| group.has_zero_variance()).count();
        insert(
            "frac_reward_zero_std",
            alike as f64 / compared().count() as f64,
        );
    }
    let of = |terminated_only: bool| -> Vec<usize> {
        let rollouts = groups.iter().flat_map(|group| &group.rollouts);
        rollouts
            .filter(|rollout| !(terminated_only && rollout.truncated))
            .map(|rollout| rollout.completion.len())
            .collect()
    };
    let (all, terminated) = (of(false), of(true));
    for (lengths, kind) in [(&all, ""), (&terminated, "terminated_")] {
        if let (Some(&min), Some(&max)) = (lengths.iter().min(), lengths.iter().max()) {
            let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
            insert(&format!("completions/mean_{kind}length"), mean);
            insert(&format!("completions/min_{kind}length"), min as f64);
            insert(&format!("completions/max_{kind}length"), max as f64);
        }
    }
    let clipped = (all.len() - terminated.len()) as f64 / all.len().max(1) as f64;
    insert("completions/clipped_ratio", clipped);
    metrics
}
