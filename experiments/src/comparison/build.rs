//! Building a comparison from trace records and norms.
//!
//! Which contrasts: each rl - its base, each student - its base ("negative
//! transfer"), each student - its teacher ("functional alignment collapse"), and
//! rl - student, rl - rl and student - student where both started from the same
//! base, and every arm - the baseline where one is named; each in every measure,
//! over tasks and by task.
//! It refuses what cannot be compared and says in the notes what a reader must know.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::error::ComparisonError;
use super::fairness::Flaw;
use super::on_the_way::OnTheWay;
use super::question::Asked;
use super::recipe::Recipe;
use super::trained::Trained;
use super::{
    Comparison, ConstantAnswer, Curve, TrainingLog, answer, arms, contrasts, fairness, further,
    matched, notes, on_the_way,
};
use crate::alignment::accuracy::{constant_answers, expected_answer};
use crate::alignment::cost::{self, Counting, Items};
use crate::alignment::design::Design;
use crate::manifest::{ArmCard, ArmRun, EvaluationCard};
use crate::norms::Norms;
use crate::record::Trace;

/// Constant answers shown a task, the most frequent first.
const CONSTANT_ANSWERS: usize = 3;

/// What a comparison is made from.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// Title for people.
    pub title: String,
    /// The hypothesis as written before the run.
    pub hypothesis: String,
    /// Arms in the order in which they are shown.
    pub arms: &'a [ArmCard],
    /// Training seeds of the definition; empty for recorded models without seeds.
    pub seeds: &'a [u64],
    /// Tasks in the order in which they are shown.
    pub tasks: &'a [String],
    /// Human times.
    pub norms: &'a Norms,
    /// Trace records of the evaluation items.
    pub traces: &'a [Trace],
    /// How the arms were evaluated.
    pub evaluation: EvaluationCard,
    /// Each arm of each seed as the run left it; empty for recorded models.
    pub arm_runs: &'a [ArmRun],
    /// Learning curves, handed through.
    pub curves: Vec<Curve>,
    /// Evaluations of the trainings on their way.
    pub on_the_way: &'a [OnTheWay],
    /// What the logs of the trainings say; empty for recorded models.
    pub training: &'a [TrainingLog],
    /// Environment of the run, handed through.
    pub environment: BTreeMap<String, String>,
    /// Which samples enter cost and tokens.
    pub counting: Counting,
    /// Seed of the draws of the figures that draw (the paper's figure across tasks).
    pub seed: u64,
    /// An arm that every other one is held against, beside the contrasts that
    /// the roles ask for.
    pub baseline: Option<&'a str>,
    /// What is known to be wrong with the pairing beyond what the records show.
    pub flaws: &'a [Flaw],
    /// How each arm was trained; empty for recorded models.
    pub recipes: Vec<Recipe>,
    /// What is asked of the arms, and when it was.
    pub questions: Vec<Asked>,
}

fn joined<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

fn once<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), ComparisonError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ComparisonError::Twice {
                what,
                name: name.clone(),
            });
        }
    }
    Ok(())
}

fn validate(input: &Input<'_>, items: &Items) -> Result<(), ComparisonError> {
    if input.arms.is_empty() {
        return Err(ComparisonError::Nothing("arms"));
    }
    if input.tasks.is_empty() {
        return Err(ComparisonError::Nothing("tasks"));
    }
    once("arm", input.arms.iter().map(|arm| &arm.name))?;
    once("task", input.tasks.iter())?;
    if let Some(name) = input.baseline
        && input.arms.iter().all(|arm| arm.name != name)
    {
        return Err(ComparisonError::UnknownBaseline {
            name: name.to_owned(),
            known: joined(input.arms.iter().map(|a| &a.name)),
        });
    }
    for arm in input.arms {
        for (relation, named) in [
            ("base", &arm.base),
            ("start", &arm.init),
            ("teacher", &arm.teacher),
        ] {
            if let Some(name) = named
                .as_ref()
                .filter(|name| input.arms.iter().all(|a| a.name != **name))
            {
                return Err(ComparisonError::UnknownArm {
                    arm: arm.name.clone(),
                    relation,
                    name: name.clone(),
                    known: joined(input.arms.iter().map(|a| &a.name)),
                });
            }
        }
        if !items.models.contains_key(&arm.name) {
            return Err(ComparisonError::NoTraces {
                arm: arm.name.clone(),
                tasks: joined(input.tasks),
                present: joined(
                    input
                        .traces
                        .iter()
                        .map(|t| &t.model)
                        .collect::<BTreeSet<_>>(),
                ),
            });
        }
    }
    Ok(())
}

/// Constant answers over the items that any arm was evaluated on.
fn constants(input: &Input<'_>, items: &Items) -> Vec<ConstantAnswer> {
    let mut all = Vec::new();
    for task in input.tasks {
        let models = items.models.values().flatten();
        let ids: BTreeSet<&String> = models.flat_map(|model| model.task(task).keys()).collect();
        let shares = constant_answers(
            ids.into_iter()
                .filter_map(|id| expected_answer(task, id, input.norms)),
        );
        let distinct = shares.len() as f64;
        all.extend(
            shares
                .into_iter()
                .take(CONSTANT_ANSWERS)
                .map(|(answer, accuracy)| ConstantAnswer {
                    task: task.clone(),
                    answer: answer.into(),
                    accuracy,
                    balanced_accuracy: distinct.recip(),
                }),
        );
    }
    all
}

/// Compares the arms.
///
/// The same input gives the same comparison, to the bit, on any number of threads.
pub fn compare(input: Input<'_>) -> Result<Comparison, ComparisonError> {
    let named = |trace: &&Trace| {
        input.tasks.contains(&trace.task) && input.arms.iter().any(|arm| arm.name == trace.model)
    };
    let items = cost::items(input.traces.iter().filter(named), input.counting);
    compare_items(input, &items)
}

/// The same from the item means of the arms and tasks, made while records were
/// read; the input's own traces are not looked at for any figure.
pub fn compare_items(input: Input<'_>, items: &Items) -> Result<Comparison, ComparisonError> {
    validate(&input, items)?;
    let named = input
        .arms
        .iter()
        .filter_map(|arm| items.models.get(&arm.name));
    let design = Design::new(input.tasks, input.norms, named.flatten());
    let trained = Trained::new(input.arms, &design, items);
    let figures = |card: &ArmCard| {
        let of_arm = trained.of(&card.name);
        arms::figures(card, &design, of_arm, input.norms, input.arm_runs)
    };
    let arms: Vec<_> = input.arms.par_iter().map(figures).collect();
    let (contrasts, task_contrasts) = contrasts::contrasts(&input, &design, &trained);
    let answers = answer::answers(&input, &design, &trained);
    let reached = on_the_way::reached(&input, &design, &trained);
    Ok(Comparison {
        answers,
        constant_answers: constants(&input, items),
        notes: notes::notes(&input, items, &arms, &trained),
        matched: matched::matched(&matched::Known {
            input: &input,
            design: &design,
            trained: &trained,
            arms: &arms,
            contrasts: &contrasts,
            reached: &reached,
        }),
        fairness: fairness::fairness(&input, items, &arms, &trained),
        further: further::further(&input, &design, &trained),
        recipes: input.recipes,
        title: input.title,
        hypothesis: input.hypothesis,
        evaluation: input.evaluation,
        arms,
        contrasts,
        task_contrasts,
        curves: input.curves,
        on_the_way: on_the_way::waypoints(&design, &reached),
        environment: input.environment,
    })
}

#[cfg(test)]
mod tests;
