//! A rollout phase: problems, their samples, and the updates they serve; what
//! the algorithms that learn from their own samples have in common.
//!
//! What it deliberately does not do: say what a rollout is worth.

use serde::{Deserialize, Serialize};

use crate::advantages::{known, some_differ, standard_deviation};
use crate::lab::scores;
use crate::{Batch, Collected, Example, Lab, LabError, Metrics, Prompt, Rollout, Scorer};

/// Refills of a phase ask for the problems of a phase so much later that no
/// run reaches it: what other phases see does not depend on refills.
const REFILLS_FROM: u64 = 1 << 32;

/// Whose log-probabilities an importance ratio is taken against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OldLogprobs {
    /// The sampler's, as it drew the tokens: what the tokens were really drawn
    /// with, in the sampler's precision.
    Sampled,
    /// The policy's, computed again by the trainer before the phase's first
    /// update (TRL). With one update a phase they are the policy's at that
    /// update, and the ratio is exactly 1.
    Recomputed,
}

/// One problem and its samples.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) prompt: Prompt,
    pub(crate) rollouts: Vec<Rollout>,
}

impl Group {
    fn rewards(&self) -> impl Iterator<Item = Option<f64>> {
        self.rollouts.iter().map(|rollout| rollout.reward)
    }

    /// Whether the rewards that are known are all alike.
    fn is_alike(&self) -> bool {
        !some_differ(&known(&self.rewards().collect::<Vec<_>>()))
    }

    /// A rollout as an example that pushes each token by `weight`.
    pub(crate) fn example(&self, rollout: &Rollout, weight: f64) -> Example {
        Example {
            prompt: self.prompt.tokens.clone(),
            completion: rollout.completion.clone(),
            weights: vec![weight as f32; rollout.completion.len()],
            sampled_logprobs: Some(rollout.logprobs.clone()),
            ..Example::default()
        }
    }
}

/// The rewards of groups, one group after the other.
pub(crate) fn rewards_of(groups: &[Group]) -> Vec<Option<f64>> {
    groups.iter().flat_map(Group::rewards).collect()
}

/// How many problems, samples and updates a phase has.
///
/// Worked example: 8 problems, 4 samples of each, 2 updates, 3 iterations:
/// 32 rollouts, the first 16 of them in updates 0, 2 and 4 of the phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) prompts: usize,
    pub(crate) group: usize,
    pub(crate) updates: usize,
    pub(crate) iterations: usize,
}

impl Plan {
    /// What contradicts itself, as one sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.updates == 0 || self.prompts == 0 || !self.prompts.is_multiple_of(self.updates) {
            return Err(format!(
                "prompts_per_generation = {} does not divide into steps_per_generation = {} equal parts",
                self.prompts, self.updates
            ));
        }
        if self.group == 0 {
            return Err("num_generations = 0: a problem needs at least one completion".to_owned());
        }
        if self.iterations == 0 {
            return Err(
                "num_iterations = 0: a rollout phase is gone through at least once".to_owned(),
            );
        }
        Ok(())
    }

    /// How many problems the first `updates` updates meet, refills not counted.
    pub(crate) fn problems_met(&self, updates: u64) -> u64 {
        updates.div_ceil(self.updates_a_phase()) * self.prompts as u64
    }

    fn updates_a_phase(&self) -> u64 {
        (self.updates * self.iterations).max(1) as u64
    }

    /// Whether the policy is still the one that sampled at every update.
    pub(crate) fn is_on_policy(&self) -> bool {
        self.updates_a_phase() == 1
    }

    /// The phase that begins at the update `step`, sampled. Up to `refills`
    /// times, groups that are all alike are set aside and as many new problems
    /// sampled; what is still missing then is made up by those set aside.
    pub(crate) fn sample(
        &self,
        step: u64,
        lab: &mut dyn Lab,
        refills: usize,
    ) -> Result<(Vec<Group>, Metrics), LabError> {
        let phase = step / self.updates_a_phase();
        let mut prompts = lab.prompts(phase, self.prompts)?;
        let wanted = prompts.len();
        let mut sampled: Vec<Group> = Vec::with_capacity(wanted);
        for refill in 0..=refills as u64 {
            if refill > 0 {
                let missing = wanted - sampled.iter().filter(|group| !group.is_alike()).count();
                if missing == 0 {
                    break;
                }
                prompts = lab.prompts(phase + refill * REFILLS_FROM, self.prompts)?;
                prompts.truncate(missing);
            }
            let rollouts = lab.rollouts(step, &prompts, self.group)?;
            let expected = prompts.len() * self.group;
            if rollouts.len() != expected {
                return Err(LabError::Count {
                    what: "rollouts",
                    expected,
                    got: rollouts.len(),
                });
            }
            let mut rollouts = rollouts.into_iter();
            sampled.extend(prompts.drain(..).map(|prompt| Group {
                prompt,
                rollouts: rollouts.by_ref().take(self.group).collect(),
            }));
        }
        let metrics = metrics(&sampled);
        if sampled.len() > wanted {
            let (alike, telling): (Vec<_>, Vec<_>) = sampled.into_iter().partition(Group::is_alike);
            sampled = telling.into_iter().chain(alike).take(wanted).collect();
        }
        Ok((sampled, metrics))
    }

    /// The groups of each update of the phase.
    pub(crate) fn updates_of<'a>(&self, groups: &'a [Group]) -> impl Iterator<Item = &'a [Group]> {
        groups.chunks((groups.len() / self.updates.max(1)).max(1))
    }

    /// The rollouts that take part, as examples of weight 1, beside the place of
    /// each among all rollouts.
    pub(crate) fn examples(groups: &[Group], mask_truncated: bool) -> Vec<(usize, Example)> {
        groups
            .iter()
            .flat_map(|group| group.rollouts.iter().map(move |rollout| (group, rollout)))
            .enumerate()
            .filter(|(_, (_, rollout))| {
                !(rollout.completion.is_empty() || (mask_truncated && rollout.truncated))
            })
            .map(|(place, (group, rollout))| (place, group.example(rollout, 1.0)))
            .collect()
    }

    /// Cuts the examples of a phase of `rollouts` rollouts into its updates.
    /// `normaliser` is told an update's rollouts and the tokens of those that
    /// take part; examples without any weight are left out after counting.
    pub(crate) fn cut(
        &self,
        rollouts: usize,
        examples: Vec<(usize, Example)>,
        normaliser: impl Fn(usize, usize) -> f64,
    ) -> Vec<Batch> {
        let rows = (rollouts / self.updates.max(1)).max(1);
        let mut parts: Vec<Vec<Example>> = vec![Vec::new(); self.updates];
        for (place, example) in examples {
            if let Some(part) = parts.get_mut(place / rows) {
                part.push(example);
            }
        }
        parts
            .into_iter()
            .map(|mut examples| {
                let tokens = token_count(&examples);
                examples.retain(carries_gradient);
                Batch {
                    examples,
                    normaliser: normaliser(rows, tokens).max(1.0),
                    tokens,
                }
            })
            .collect()
    }

    /// The batches of one iteration, as often as the phase is gone through.
    pub(crate) fn collected(&self, batches: &[Batch], metrics: Metrics) -> Collected {
        let updates = batches.len() * self.iterations;
        Collected {
            batches: batches.iter().cycle().take(updates).cloned().collect(),
            metrics,
        }
    }
}

/// Whether any token is pushed, or held to the reference.
pub(crate) fn carries_gradient(example: &Example) -> bool {
    example.reference_logprobs.is_some() || example.weights.iter().any(|&weight| weight != 0.0)
}

/// Tokens of the examples' completions.
pub(crate) fn token_count(examples: &[Example]) -> usize {
    examples
        .iter()
        .map(|example| example.completion.len())
        .sum()
}

/// Puts the policy's own log-probabilities in the place of the sampler's.
pub(crate) fn recompute_old_logprobs(
    examples: &mut [Example],
    lab: &mut dyn Lab,
) -> Result<(), LabError> {
    if examples.is_empty() {
        return Ok(());
    }
    let scores = scores(lab, Scorer::Policy, examples)?;
    for (example, scores) in examples.iter_mut().zip(scores) {
        example.sampled_logprobs = Some(scores.logprobs);
    }
    Ok(())
}

/// Log-probability of each token when it was sampled less that under another
/// model, and the mean over all tokens as the metric `name`.
pub(crate) fn divergences(
    examples: &[Example],
    lab: &mut dyn Lab,
    from: Scorer,
    (name, metrics): (&str, &mut Metrics),
) -> Result<Vec<Vec<f64>>, LabError> {
    if examples.is_empty() {
        return Ok(Vec::new());
    }
    let reference = scores(lab, from, examples)?;
    let divergences: Vec<Vec<f64>> = examples
        .iter()
        .zip(reference)
        .map(|(example, reference)| {
            let sampled = example.sampled_logprobs.iter().flatten();
            sampled
                .zip(reference.logprobs)
                .map(|(&sampled, reference)| f64::from(sampled) - f64::from(reference))
                .collect()
        })
        .collect();
    let sum: f64 = divergences.iter().flatten().sum();
    let count = token_count(examples).max(1) as f64;
    metrics.insert(name.to_owned(), sum / count);
    Ok(divergences)
}

/// Leaves the ratio to be 1, as it is while the policy has not moved.
pub(crate) fn forget_old_logprobs(examples: &mut [Example]) {
    for example in examples {
        example.sampled_logprobs = None;
    }
}

/// Tells the lab what the rollouts were worth against the others, one number a
/// rollout in the order of the groups.
pub(crate) fn tell_advantages(groups: &[Group], advantages: &[f64], lab: &mut dyn Lab) {
    let mut rest = advantages;
    for group in groups {
        let (own, others) = rest.split_at(group.rollouts.len().min(rest.len()));
        lab.advantages(&group.prompt, own);
        rest = others;
    }
}

/// Metrics of a rollout phase under TRL's names. What has no value is left out.
fn metrics(groups: &[Group]) -> Metrics {
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
        let alike = compared().filter(|group| group.is_alike()).count();
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
