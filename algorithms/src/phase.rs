//! A rollout phase: problems, their samples, and the updates they serve.

use serde::{Deserialize, Serialize};

use crate::advantages::{known, some_differ};
use crate::{Lab, LabError, Metrics, Prompt, Rollout, metrics};

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
    pub(crate) fn rewards(&self) -> impl Iterator<Item = Option<f64>> {
        self.rollouts.iter().map(|rollout| rollout.reward)
    }

    /// Whether the known rewards do not differ.
    pub(crate) fn has_zero_variance(&self) -> bool {
        !some_differ(&known(&self.rewards().collect::<Vec<_>>()))
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
pub struct Phase {
    pub(crate) prompts: usize,
    pub(crate) group: usize,
    pub(crate) updates: usize,
    pub(crate) iterations: usize,
}

impl Phase {
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

    /// Problems of a phase.
    pub fn prompts(&self) -> usize {
        self.prompts
    }

    /// Completions of each.
    pub fn group(&self) -> usize {
        self.group
    }

    /// How many problems the first `updates` updates meet, refills not counted.
    pub fn problems_met(&self, updates: u64) -> u64 {
        updates.div_ceil(self.updates_a_phase()) * self.prompts as u64
    }

    pub(crate) fn updates_a_phase(&self) -> u64 {
        (self.updates * self.iterations).max(1) as u64
    }

    /// Whether the policy is still the one that sampled at every update.
    pub(crate) fn is_on_policy(&self) -> bool {
        self.updates_a_phase() == 1
    }

    /// The phase that begins at the update `step`, sampled. Up to `refills`
    /// times, zero-variance groups are set aside and as many new problems
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
                let varied = sampled.iter().filter(|group| !group.has_zero_variance());
                let missing = wanted - varied.count();
                if missing == 0 {
                    break;
                }
                prompts = lab.prompts(phase + refill * REFILLS_FROM, self.prompts)?;
                prompts.truncate(missing);
            }
            let rollouts = lab.rollouts(step, &prompts, self.group)?;
            counted("rollouts", prompts.len() * self.group, rollouts.len())?;
            let mut rollouts = rollouts.into_iter();
            sampled.extend(prompts.drain(..).map(|prompt| Group {
                prompt,
                rollouts: rollouts.by_ref().take(self.group).collect(),
            }));
        }
        let metrics = metrics::of_groups(&sampled);
        if sampled.len() > wanted {
            let (alike, varied): (Vec<_>, Vec<_>) =
                sampled.into_iter().partition(Group::has_zero_variance);
            sampled = varied.into_iter().chain(alike).take(wanted).collect();
        }
        Ok((sampled, metrics))
    }
}

/// The lab gave as many things as it was asked for.
pub(crate) fn counted(what: &'static str, expected: usize, got: usize) -> Result<(), LabError> {
    if expected == got {
        return Ok(());
    }
    Err(LabError::Count {
        what,
        expected,
        got,
    })
}
