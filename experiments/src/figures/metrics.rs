//! What the logged metrics are, and which of them most readers want first.
//!
//! A metric that is not named here is drawn all the same, after the others.

/// How many of the known metrics, from the first, most readers want.
const MAIN: usize = 6;

/// Metrics shown first, with what they are; names as in `metrics.jsonl`.
const KNOWN: [(&str, &str); 13] = [
    (
        "loss",
        "The loss that was differentiated. Losses of different algorithms are not comparable, and the loss of on-policy \
         GRPO is near 0 by construction: it says nothing about learning.",
    ),
    ("reward", "Mean reward of the sampled completions."),
    ("accuracy", "Share of right answers."),
    (
        "validation/accuracy",
        "Share of right answers on the validation problems, which are not evaluated.",
    ),
    (
        "mean_token_accuracy",
        "Share of target tokens that the model ranks first.",
    ),
    (
        "completions/mean_length",
        "Mean tokens of the sampled completions.",
    ),
    (
        "completions/clipped_ratio",
        "Share of the sampled completions that the token cap cut off.",
    ),
    (
        "entropy",
        "Mean entropy of the next-token distribution, in nats.",
    ),
    (
        "kl",
        "Estimated divergence from the reference model, in nats a token.",
    ),
    (
        "reward_std",
        "Standard deviation of the reward over the sampled completions.",
    ),
    (
        "frac_reward_zero_std",
        "Share of groups whose completions all earn the same, so that comparing them teaches nothing.",
    ),
    ("grad_norm", "Norm of the gradient before clipping."),
    ("learning_rate", "Learning rate."),
];

/// Place in the order of display; unknown metrics share the last.
pub(super) fn rank(metric: &str) -> usize {
    KNOWN
        .iter()
        .position(|(name, _)| *name == metric)
        .unwrap_or(KNOWN.len())
}

/// Whether most readers want it: loss, rewards, accuracies and length.
pub(super) fn is_main(metric: &str) -> bool {
    rank(metric) < MAIN
}

/// Whether it says what a reward or a part of one came to.
pub(super) fn is_of_rewards(metric: &str) -> bool {
    metric.starts_with("rewards/")
}

/// What the metric is, in a sentence or two.
pub(super) fn definition(metric: &str) -> String {
    KNOWN.get(rank(metric)).map_or_else(
        || format!("{metric}, as logged in training."),
        |(_, text)| (*text).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_metrics_come_first_and_are_defined() {
        assert!(rank("loss") < rank("grad_norm"));
        assert!(rank("grad_norm") < rank("clip_ratio/high_mean"));
        assert!(is_main("reward") && !is_main("learning_rate") && !is_main("step_time"));
        assert!(definition("loss").contains("near 0 by construction"));
        assert_eq!(definition("step_time"), "step_time, as logged in training.");
    }

    #[test]
    fn metrics_of_rewards_are_told_from_the_reward_itself() {
        assert!(is_of_rewards("rewards/cost/work/mean") && !is_of_rewards("reward"));
    }
}
