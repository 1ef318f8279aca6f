//! What the algorithms that learn from their own samples do, in one order. Each says in
//! [`Reinforcement`] what its own part of it is:
//!
//! 1. sample a group of completions of each problem;
//! 2. have a model read them, where what they are worth depends on it;
//! 3. give each token its weight, [`Reinforcement::credit`];
//! 4. leave out what carries no gradient;
//! 5. compute old and reference log-probabilities, and correct for an external sampler;
//! 6. cut the phase into updates.

use std::borrow::Cow;

use tch::Tensor;

use crate::correction::Mismatch;
use crate::divergence::Divergence;
use crate::entropy::{self, EntropyBonus};
use crate::lab::scores;
use crate::phase::{Group, OldLogprobs, Phase};
use crate::policy_loss::LossError;
use crate::{
    Algorithm, Batch, Collected, Correction, Example, Lab, LabError, Metrics, ReferenceSync,
    Rollout, Scorer, TokenBatch, TokenScores,
};

/// A rollout that takes part in the loss.
pub(crate) struct Sample {
    /// Its place among all rollouts of the phase.
    pub(crate) place: usize,
    pub(crate) example: Example,
    /// At each token, the old log-probability less that under [`Reinforcement::judge`]'s
    /// model; empty where no model judges.
    pub(crate) divergences: Vec<f64>,
    /// What the policy says of it, where it was asked.
    policy: Option<TokenScores>,
}

/// What tokens are worth.
pub(crate) enum Credit {
    /// One number a rollout, that of each of its tokens, in the order of the groups.
    Rollouts(Vec<f64>),
    /// One number a token of each sample that takes part, in their order.
    Tokens(Vec<Vec<f64>>),
}

impl Credit {
    /// Every token of every sample counts alike.
    pub(crate) fn alike(samples: &[Sample]) -> Self {
        let ones = |sample: &Sample| vec![1.0; sample.example.completion.len()];
        Self::Tokens(samples.iter().map(ones).collect())
    }
}

/// What an update's terms may be divided by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Its rollouts.
    pub(crate) rollouts: usize,
    /// Tokens of those that take part.
    pub(crate) tokens: usize,
    /// Tokens of those that have weight.
    pub(crate) weighed: usize,
    /// Tokens of the longest completion there may be.
    pub(crate) cap: Option<usize>,
}

/// An algorithm that learns from its own samples: what it says of each part of a phase.
/// The order of the parts, and so [`Algorithm::collect`], is the same for all.
pub(crate) trait Reinforcement: Send {
    /// Name as in a definition.
    fn title(&self) -> &'static str;

    /// The sizes of a phase.
    fn phase(&self) -> Phase;

    /// What contradicts itself in the settings, as one sentence that names the key.
    fn check_settings(&self) -> Result<(), String>;

    /// Rounds in which zero-variance groups are replaced.
    fn refills(&self) -> usize {
        0
    }

    /// Whether a completion that is not empty takes part.
    fn takes_part(&self, rollout: &Rollout) -> bool {
        let _ = rollout;
        true
    }

    /// What the ratio and divergences are taken against; `None` where the loss has no ratio.
    fn old_logprobs(&self) -> Option<OldLogprobs>;

    /// The model whose log-probabilities credit is made of, and the metric that tells the
    /// mean divergence from it.
    fn judge(&self) -> Option<(Scorer, &'static str)> {
        None
    }

    /// Whether the loss holds the policy to a reference.
    fn holds_to_reference(&self) -> bool {
        false
    }

    /// What of the entropy is rewarded.
    fn entropy_bonus(&self) -> Option<EntropyBonus> {
        None
    }

    /// Whether rewards decide what is learned.
    fn learns_from_reward(&self) -> bool {
        true
    }

    /// The divergence that the loss is made of.
    fn divergence(&self) -> Option<Divergence> {
        None
    }

    /// The prompt before which the model that judges reads completions, with `{prompt}` and
    /// `{demonstration}` in it, where it is not the plain one.
    fn demonstration_template(&self) -> Option<&str> {
        None
    }

    /// How the reference follows the policy.
    fn sync(&self) -> Option<ReferenceSync> {
        None
    }

    /// Whether the loss is near 0 by construction while a phase serves one update.
    fn is_near_zero(&self) -> bool {
        false
    }

    /// What joins the groups after sampling.
    fn join(&self, groups: &mut [Group], lab: &mut dyn Lab) -> Result<(), LabError> {
        let _ = (groups, lab);
        Ok(())
    }

    /// What tokens are worth, and metrics of it.
    fn credit(
        &self,
        groups: &[Group],
        samples: &[Sample],
        metrics: &mut Metrics,
    ) -> Result<Credit, LabError>;

    /// What the terms of an update are divided by: its tokens, where it says nothing else.
    fn normaliser(&self, counts: Counts) -> Result<f64, LabError> {
        Ok(counts.tokens as f64)
    }

    /// The loss of a micro-batch, as [`Algorithm::loss`].
    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError>;

    /// Whether [`Reinforcement::join`] brings demonstrations.
    fn joins_demonstrations(&self) -> bool {
        false
    }
}

impl<T: Reinforcement> Algorithm for T {
    fn name(&self) -> &'static str {
        self.title()
    }

    fn check(&self) -> Result<(), String> {
        self.check_settings()
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        collect(self, step, lab)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        self.policy_loss(tokens, batch)
    }

    fn samples(&self) -> Option<Phase> {
        Some(self.phase())
    }

    fn meets_demonstrated(&self) -> bool {
        self.joins_demonstrations() || self.demonstration_template().is_some()
    }

    fn imitates(&self) -> bool {
        self.meets_demonstrated()
    }

    fn learns_from_reward(&self) -> bool {
        Reinforcement::learns_from_reward(self)
    }

    fn divergence(&self) -> Option<Divergence> {
        Reinforcement::divergence(self)
    }

    fn needs_reference(&self) -> bool {
        let judges = self.judge().map(|(by, _)| by);
        let judges = judges.or(Reinforcement::divergence(self).map(|d| d.judge));
        self.holds_to_reference() || judges == Some(Scorer::Reference)
    }

    fn needs_teacher(&self) -> bool {
        self.judge().is_some_and(|(by, _)| by == Scorer::Teacher)
    }

    fn entropy(&self) -> Option<EntropyBonus> {
        self.entropy_bonus()
    }

    fn reference_sync(&self) -> Option<ReferenceSync> {
        self.sync()
    }

    fn loss_is_near_zero(&self) -> bool {
        self.is_near_zero()
    }
}

/// A phase from its problems to its batches, in the order that the module says.
fn collect<T: Reinforcement + ?Sized>(
    algorithm: &T,
    step: u64,
    lab: &mut dyn Lab,
) -> Result<Collected, LabError> {
    let phase = algorithm.phase();
    let (mut groups, mut metrics) = phase.sample(step, lab, algorithm.refills())?;
    algorithm.join(&mut groups, lab)?;
    let mut samples = taking_part(algorithm, &groups);
    if let Some(template) = algorithm.demonstration_template() {
        show_judge(&mut samples, &groups, template, lab)?;
    }
    let correction = lab.correction();
    let recomputes =
        correction.is_some() || algorithm.old_logprobs() == Some(OldLogprobs::Recomputed);
    if let Some((by, name)) = algorithm.judge() {
        if recomputes {
            ask_policy(&mut samples, lab)?;
        }
        take_divergences(&mut samples, lab, by, (name, &mut metrics))?;
    }
    let credit = algorithm.credit(&groups, &samples, &mut metrics)?;
    weigh(&mut samples, &groups, credit, lab);
    let rollouts: usize = groups.iter().map(|group| group.rollouts.len()).sum();
    let rows = (rollouts / phase.updates.max(1)).max(1);
    let tokens = tokens_by_update(&samples, rows, phase.updates);
    let bonus = algorithm.entropy_bonus();
    if !algorithm.holds_to_reference() && bonus.is_none() {
        samples.retain(|sample| has_weight(&sample.example));
    }
    let selects = bonus.is_some_and(|bonus| bonus.quantile < 1.0);
    if correction.is_some() || selects || (recomputes && !phase.is_on_policy()) {
        ask_policy(&mut samples, lab)?;
    }
    if let Some(correction) = correction {
        metrics.extend(correct(&mut samples, correction)?);
    }
    let is_current = recomputes && phase.is_on_policy();
    for sample in &mut samples {
        if is_current || algorithm.old_logprobs().is_none() {
            sample.example.sampled_logprobs = None;
        } else if let (true, Some(policy)) = (recomputes, &sample.policy) {
            sample.example.sampled_logprobs = Some(policy.logprobs.clone());
        }
    }
    if algorithm.holds_to_reference() && !samples.is_empty() {
        let read = scores(lab, Scorer::Reference, &examples(&samples))?;
        for (sample, scores) in samples.iter_mut().zip(read) {
            sample.example.reference_logprobs = Some(scores.logprobs);
        }
    }
    let cap = lab.max_completion_length();
    let mut batches = Vec::with_capacity(phase.updates);
    let mut rest = samples.into_iter().peekable();
    for (update, tokens) in (1..).zip(tokens) {
        let mut own = Vec::new();
        while let Some(sample) = rest.next_if(|sample| sample.place < update * rows) {
            own.push(sample);
        }
        batches.push(batch(algorithm, own, (rows, tokens, cap))?);
    }
    let count = batches.len() * phase.iterations;
    Ok(Collected {
        batches: batches.iter().cycle().take(count).cloned().collect(),
        metrics,
    })
}

/// One update of `rows` rollouts, of which those that take part have `tokens` tokens.
fn batch<T: Reinforcement + ?Sized>(
    algorithm: &T,
    samples: Vec<Sample>,
    (rows, tokens, cap): (usize, usize, Option<usize>),
) -> Result<Batch, LabError> {
    let (policy, mut examples): (Vec<_>, Vec<_>) =
        samples.into_iter().map(|s| (s.policy, s.example)).unzip();
    let bonus = algorithm.entropy_bonus();
    if let Some(bonus) = bonus {
        entropy::weigh(&mut examples, &policy, bonus);
    }
    examples.retain(carries_gradient);
    let weighed = examples.iter().map(|example| example.completion.len());
    let counts = Counts {
        rollouts: rows,
        tokens,
        weighed: weighed.sum(),
        cap,
    };
    Ok(Batch {
        normaliser: algorithm.normaliser(counts)?.max(1.0),
        examples,
        tokens,
        entropy_coef: bonus.map_or(0.0, |bonus| bonus.coef),
        imitation: None,
    })
}

/// Weighs what an external sampler drew.
fn correct(samples: &mut [Sample], correction: Correction) -> Result<Metrics, LabError> {
    let mut mismatch = Mismatch::default();
    for sample in samples.iter_mut().filter(|s| !s.example.demonstrated) {
        if let Some(policy) = &sample.policy {
            correction.weigh_example(&mut sample.example, &policy.logprobs, &mut mismatch)?;
        }
    }
    Ok(mismatch.metrics())
}

/// The rollouts that take part in the loss, as examples.
fn taking_part<T: Reinforcement + ?Sized>(algorithm: &T, groups: &[Group]) -> Vec<Sample> {
    groups
        .iter()
        .flat_map(|group| group.rollouts.iter().map(move |rollout| (group, rollout)))
        .enumerate()
        .filter(|(_, (_, rollout))| !rollout.completion.is_empty() && algorithm.takes_part(rollout))
        .map(|(place, (group, rollout))| Sample {
            place,
            example: Example {
                prompt: group.prompt.tokens.clone(),
                completion: rollout.completion.clone(),
                weights: vec![1.0; rollout.completion.len()],
                sampled_logprobs: Some(rollout.logprobs.clone()),
                demonstrated: rollout.demonstrated,
                ..Example::default()
            },
            divergences: Vec::new(),
            policy: None,
        })
        .collect()
}

/// Puts a demonstration of its problem into the prompt before which each is judged.
fn show_judge(
    samples: &mut [Sample],
    groups: &[Group],
    template: &str,
    lab: &mut dyn Lab,
) -> Result<(), LabError> {
    let mut rest = samples.iter_mut().peekable();
    let mut end = 0;
    for group in groups {
        end += group.rollouts.len();
        let shown = lab.prompt_with_demonstration(&group.prompt, template)?;
        while let Some(sample) = rest.next_if(|sample| sample.place < end) {
            sample.example.judged_prompt = Some(shown.clone());
        }
    }
    Ok(())
}

fn examples(samples: &[Sample]) -> Vec<Example> {
    samples
        .iter()
        .map(|sample| sample.example.clone())
        .collect()
}

/// Asks what the policy says of each sample, once.
fn ask_policy(samples: &mut [Sample], lab: &mut dyn Lab) -> Result<(), LabError> {
    if samples.iter().all(|sample| sample.policy.is_some()) {
        return Ok(());
    }
    let read = scores(lab, Scorer::Policy, &examples(samples))?;
    for (sample, scores) in samples.iter_mut().zip(read) {
        sample.policy = Some(scores);
    }
    Ok(())
}

/// Old log-probability of each token less that under the model that judges, and the mean
/// over all tokens as the metric `name`.
fn take_divergences(
    samples: &mut [Sample],
    lab: &mut dyn Lab,
    by: Scorer,
    (name, metrics): (&str, &mut Metrics),
) -> Result<(), LabError> {
    if samples.is_empty() {
        return Ok(());
    }
    let read = scores(lab, by, &examples(samples))?;
    for (sample, judged) in samples.iter_mut().zip(read) {
        let old = match &sample.policy {
            Some(policy) => Cow::Borrowed(&policy.logprobs),
            None => Cow::Owned(sample.example.sampled_logprobs.clone().unwrap_or_default()),
        };
        let apart = old.iter().zip(judged.logprobs);
        sample.divergences = apart
            .map(|(&old, judged)| f64::from(old) - f64::from(judged))
            .collect();
    }
    let all = || samples.iter().flat_map(|sample| &sample.divergences);
    metrics.insert(
        name.to_owned(),
        all().sum::<f64>() / all().count().max(1) as f64,
    );
    Ok(())
}

/// Gives tokens their weights, and tells the lab what rollouts were worth.
fn weigh(samples: &mut [Sample], groups: &[Group], credit: Credit, lab: &mut dyn Lab) {
    match credit {
        Credit::Rollouts(advantages) => {
            let mut rest = advantages.as_slice();
            for group in groups {
                let (own, others) = rest.split_at(group.rollouts.len().min(rest.len()));
                // Those of demonstrations that joined the group are nobody's samples.
                let sampled = group.rollouts.iter().filter(|r| !r.demonstrated).count();
                lab.advantages(&group.prompt, own.get(..sampled).unwrap_or(own));
                rest = others;
            }
            for sample in samples {
                let advantage = advantages.get(sample.place).copied().unwrap_or(0.0);
                sample.example.weights.fill(advantage as f32);
            }
        }
        Credit::Tokens(rows) => {
            for (sample, row) in samples.iter_mut().zip(rows) {
                sample.example.weights = row.into_iter().map(|weight| weight as f32).collect();
            }
        }
    }
}

/// Tokens that take part in each update.
fn tokens_by_update(samples: &[Sample], rows: usize, updates: usize) -> Vec<usize> {
    let mut tokens = vec![0; updates];
    for sample in samples {
        if let Some(tokens) = tokens.get_mut(sample.place / rows) {
            *tokens += sample.example.completion.len();
        }
    }
    tokens
}

fn has_weight(example: &Example) -> bool {
    example.weights.iter().any(|&weight| weight != 0.0)
}

/// Whether any token is pushed, held to the reference, or rewarded for its entropy.
fn carries_gradient(example: &Example) -> bool {
    example.reference_logprobs.is_some() || example.entropy_weights.is_some() || has_weight(example)
}
