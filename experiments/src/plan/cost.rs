//! What a record costs, from what its pilot took.

use serde_json::Value;

use super::Size;
use crate::manifest::{ArmRun, Manifest, Role};
use crate::statistics::Undefined;

/// Seconds of trainings and answers on a machine like the pilot's.
///
/// Worked example: 50 s for a teacher, 40 s a seed, 0.1 ms an answer of the teacher and 0.3 ms
/// of the arms of a seed, two trainings side by side: 5 seeds, 376 items and 16 samples are
/// (50 + 5 * 40 + 376 * 16 * (0.0001 + 5 * 0.0003)) / 2 / 60 = 2.16 minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Trainings that are made once, whatever the number of seeds: a teacher's.
    pub once: f64,
    /// Trainings of one seed, its base's pre-training among them.
    pub per_seed: f64,
    /// One answer of all that is made once.
    pub answer_once: f64,
    /// One answer of all arms of one seed.
    pub answer_per_seed: f64,
    /// Trainings that go side by side.
    pub side_by_side: usize,
}

impl Cost {
    /// What the arms named cost in the pilot of this manifest, which answered `items` items.
    pub fn of(manifest: &Manifest, arms: &[&str], items: usize) -> Result<Self, Undefined> {
        let untimed = |what: String| Undefined::Because(format!("{what} not timed in this pilot"));
        let answers = items as f64 * f64::from(manifest.evaluation.samples);
        let mut cost = Self {
            once: 0.0,
            per_seed: 0.0,
            answer_once: 0.0,
            answer_per_seed: 0.0,
            side_by_side: side_by_side(manifest),
        };
        for card in manifest.arms.iter().filter(|c| arms.contains(&&*c.name)) {
            let of_arm = manifest.arm_runs.iter().filter(|run| run.arm == card.name);
            let runs: Vec<&ArmRun> = of_arm.collect();
            if runs.is_empty() {
                return Err(untimed(format!("{} is", card.name)));
            }
            let (trained, pretrained) = match card.role {
                Role::Base => (false, is_there(&manifest.definition, "/base/pretraining")),
                Role::Teacher => (
                    is_there(&manifest.definition, "/teacher/algorithm"),
                    is_there(&manifest.definition, "/teacher/base/pretraining"),
                ),
                _ => (true, false),
            };
            let (mut training, mut answering) = (0.0, 0.0);
            for run in &runs {
                let budget = run.budget.as_ref().map(|budget| budget.seconds);
                match (budget, trained) {
                    (Some(seconds), _) => training += seconds,
                    (None, false) => {}
                    (None, true) => {
                        return Err(untimed(format!("the training of {} is", card.name)));
                    }
                }
                match (run.pretraining_seconds, pretrained) {
                    (Some(seconds), _) => training += seconds,
                    (None, false) => {}
                    (None, true) => {
                        return Err(untimed(format!("the pre-training of {} is", card.name)));
                    }
                }
                let seconds = run.evaluation_seconds;
                answering += seconds.ok_or_else(|| untimed("evaluation is".into()))?;
            }
            let one = runs.len() as f64;
            let (to, answer) = if card.role == Role::Teacher {
                (&mut cost.once, &mut cost.answer_once)
            } else {
                (&mut cost.per_seed, &mut cost.answer_per_seed)
            };
            *to += training / one;
            *answer += answering / one / answers;
        }
        Ok(cost)
    }

    /// Minutes of wall clock, as if no training ever waited for another.
    pub fn minutes(&self, size: Size) -> f64 {
        let seeds = size.seeds as f64;
        let answers = size.items as f64 * f64::from(size.samples);
        let trained = self.once + seeds * self.per_seed;
        let answered = answers * (self.answer_once + seeds * self.answer_per_seed);
        (trained + answered) / self.side_by_side as f64 / 60.0
    }
}

fn is_there(definition: &Value, at: &str) -> bool {
    definition.pointer(at).is_some_and(|value| !value.is_null())
}

/// How many trainings a run of this environment has side by side: on a CPU one for every so many
/// cores as a training has threads.
fn side_by_side(manifest: &Manifest) -> usize {
    let fact = |name: &str| manifest.environment.get(name);
    let number = |name: &str| fact(name)?.parse::<usize>().ok();
    if fact("device").map(String::as_str) != Some("cpu") || fact("ranks").is_some() {
        return 1;
    }
    match (number("cores"), number("threads per training")) {
        (Some(cores), Some(threads)) if threads > 0 => (cores / threads).max(1),
        _ => 1,
    }
}
