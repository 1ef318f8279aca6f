//! Evaluation on the way: at points of a training the policy answers the evaluation, and
//! how far it is from its base is measured.
//!
//! It comes between two updates, draws by names of its own and writes nothing that an
//! update reads, so it changes no bit of the training; its time is in no budget. A training
//! keeps what came of it in `evaluations.jsonl`, a line a point, and the records in
//! `evaluations/`. Both are made of what [`Progress`] says: what a killed run had evaluated
//! beyond its last checkpoint is dropped, as its updates are, and done again.

use std::path::Path;

use algorithms::Example;
use anyhow::{Context, Result, ensure};
use experiments::manifest::{Budget, EvaluationPoint};
use experiments::record::{self, Trace};
use serde::{Deserialize, Serialize};

use super::checkpoint::Progress;
use super::distance::{self, Divergence};
use super::trainer::Job;
use crate::evaluator::{self, EvaluationSettings, Points, Unit, UpdatePoint};
use crate::files::{self, Hashes};
use crate::model::{Decoder, Model};
use crate::tasks::Item;

/// Name of the lines in a training's folder.
const LINES: &str = "evaluations.jsonl";

/// Name of the folder of records beside it.
const TRACES: &str = "evaluations";

/// What is evaluated on the way of a training, and how.
pub struct OnTheWay<'a> {
    /// The policy that is trained, with its tokenizer.
    pub model: &'a Model,
    /// What the policy's distance is measured from: the seed's base, also where a chain
    /// started from another arm.
    pub base: &'a Decoder,
    /// What it is asked.
    pub items: &'a [Item],
    /// Points, samples, and the rest of the evaluation.
    pub settings: &'a EvaluationSettings,
    /// The records' `model`.
    pub name: &'a str,
    /// The records' `seed`.
    pub seed: Option<u64>,
    /// The records' `teacher`.
    pub teacher: Option<u64>,
    /// Names the draws, as for the evaluation of the finished training.
    pub key_seed: u64,
}

/// What a training has evaluated on its way: what a checkpoint keeps of it, so that the
/// files which a training goes on with are those that it wrote.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluated {
    lines: Vec<EvaluationPoint>,
    /// Hashes of the records.
    files: Hashes,
}

impl Evaluated {
    fn has(&self, point: &Point) -> bool {
        self.lines.iter().any(|line| line.point == point.name)
    }
}

/// A point of the definition.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    name: String,
    reached: Reached,
}

/// When a point is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reached {
    /// After so many updates.
    Made(u64),
    /// After the last update.
    Last,
    /// After the first update at which so much is spent.
    Spent(Unit, f64),
}

/// What is spent of a budget.
fn spent(budget: &Budget, unit: Unit) -> f64 {
    match unit {
        Unit::Flops => budget.flops,
        Unit::Tokens => (budget.trained_tokens + budget.generated_tokens) as f64,
        Unit::Seconds => budget.seconds,
    }
}

impl Point {
    fn all(points: &Points) -> Vec<Self> {
        match points {
            Points::Updates(updates) => updates
                .iter()
                .map(|update| Self {
                    name: update.name(),
                    reached: match update {
                        UpdatePoint::Made(count) => Reached::Made(*count),
                        UpdatePoint::Last(_) => Reached::Last,
                    },
                })
                .collect(),
            Points::Shares(shares) => {
                let budget = shares.budget();
                let point = |share: &f64| {
                    budget.map(|(unit, total)| Self {
                        name: format!("{share} of {}", unit.name()),
                        reached: Reached::Spent(unit, share * total),
                    })
                };
                shares.shares.iter().filter_map(point).collect()
            }
        }
    }

    fn is_reached(&self, at: &Progress, steps: u64) -> bool {
        match self.reached {
            Reached::Made(count) => at.step == count,
            Reached::Last => at.step == steps,
            Reached::Spent(unit, amount) => spent(&at.budget, unit) >= amount,
        }
    }
}

/// Puts the files of the evaluations in order as the checkpoint knows them.
pub(super) fn begin(job: &Job<'_>, at: &Progress) -> Result<()> {
    let Some(on_the_way) = &job.on_the_way else {
        return Ok(());
    };
    job.learner.ranks().lead(|| {
        files::check_hashes(job.folder, &at.evaluated.files).with_context(|| {
            format!(
                "an evaluation on the way was changed; put it back as it was, or remove {} to train again",
                job.folder.display()
            )
        })?;
        for point in on_the_way.points() {
            let Reached::Made(count) = point.reached else {
                continue;
            };
            ensure!(
                count >= at.step || at.evaluated.has(&point),
                "evaluation.at: update {count} of {} was made and not evaluated; remove that folder to train again",
                job.folder.display()
            );
        }
        remove_unnamed(job.folder, &at.evaluated.files)?;
        write_lines(job.folder, &at.evaluated.lines)
    })
}

/// Evaluates the policy where a point is reached that was not reached before, and after the
/// last update names the budgets that were not.
pub(super) fn evaluate(job: &Job<'_>, at: &mut Progress) -> Result<()> {
    let Some(on_the_way) = &job.on_the_way else {
        return Ok(());
    };
    let steps = job.learner.training.steps;
    // Rank 0's clock decides for all.
    let due: Vec<String> = job.learner.ranks().lead(|| {
        let is_due = |point: &Point| point.is_reached(at, steps) && !at.evaluated.has(point);
        let due = on_the_way.points().into_iter().filter(is_due);
        Ok(due.map(|point| point.name).collect())
    })?;
    if !due.is_empty() {
        job.progress.set_message("evaluation");
        at.evaluated = on_the_way.evaluate(job, at, &due)?;
    }
    if at.step == steps && job.learner.ranks().is_first() {
        on_the_way.warn_unreached(job.folder, at);
    }
    Ok(())
}

impl OnTheWay<'_> {
    fn points(&self) -> Vec<Point> {
        self.settings.at.as_ref().map_or_else(Vec::new, Point::all)
    }

    /// One evaluation, written for each of the points of these names; what is evaluated
    /// by then.
    fn evaluate(&self, job: &Job<'_>, at: &Progress, due: &[String]) -> Result<Evaluated> {
        let ranks = job.learner.ranks();
        let own = self.own_share(job);
        let (mut traces, mut prompts, mut samples) =
            (Vec::new(), Divergence::default(), Divergence::default());
        for (of_rank, of_prompts, of_samples) in ranks.gather(own)? {
            traces.extend(of_rank);
            prompts.add(of_prompts);
            samples.add(of_samples);
        }
        ranks.lead(|| {
            let name = format!("{TRACES}/{:06}.parquet", at.step);
            let path = job.folder.join(&name);
            files::create_folder(&job.folder.join(TRACES))?;
            record::write(&path, &traces)?;
            let apart = distance::weights(&self.model.decoder, self.base);
            let line = |point: &String| EvaluationPoint {
                step: at.step,
                budget: at.budget.clone(),
                point: point.clone(),
                traces: name.clone(),
                kl_prompts: prompts.mean(),
                kl_samples: samples.mean(),
                weight_distance: Some(apart.distance),
                relative_distance: apart.relative,
            };
            let mut evaluated = at.evaluated.clone();
            evaluated.lines.extend(due.iter().map(line));
            evaluated
                .files
                .insert(name.clone(), files::hash_file(&path)?);
            write_lines(job.folder, &evaluated.lines)?;
            Ok(evaluated)
        })
    }

    /// This rank's answers, and the divergences at its prompts and at its answers.
    fn own_share(&self, job: &Job<'_>) -> Result<(Vec<Trace>, Divergence, Divergence)> {
        let (ranks, settings) = (job.learner.ranks(), self.settings.on_the_way());
        let names = (self.name, self.seed);
        let answers = evaluator::evaluate_share(
            self.model,
            self.items,
            &settings,
            names,
            self.key_seed,
            ranks,
        )?;
        let items = self.items.get(ranks.share(self.items.len()));
        let prompts = items
            .unwrap_or_default()
            .iter()
            .map(|item| self.model.text.encode_item(item))
            .collect::<Result<Vec<_>>>()?;
        let every_position = prompts.iter().map(Vec::as_slice);
        let of_prompts: Vec<Example> = every_position
            .filter_map(distance::every_position)
            .collect();
        let mut traces = Vec::with_capacity(answers.len());
        let mut of_samples = Vec::with_capacity(answers.len());
        for (index, answer) in answers.into_iter().enumerate() {
            of_samples.push(Example {
                prompt: prompts[index / settings.samples as usize].clone(),
                completion: answer.tokens,
                ..Example::default()
            });
            traces.push(Trace {
                teacher: self.teacher,
                ..answer.trace
            });
        }
        let budget = job.learner.training.micro_batch_tokens;
        let divergence = |examples: &[Example]| {
            distance::divergence(&self.model.decoder, self.base, examples, budget)
        };
        Ok((traces, divergence(&of_prompts), divergence(&of_samples)))
    }

    /// Names the budgets that a training ended short of.
    fn warn_unreached(&self, folder: &Path, at: &Progress) {
        for point in self.points() {
            let Reached::Spent(unit, amount) = point.reached else {
                continue;
            };
            if !at.evaluated.has(&point) {
                tracing::warn!(
                    "{}: evaluation.at: the training never reached {}, which is {amount:.4}: it ended at {:.4}; \
                     a comparison at that budget is undefined for it",
                    folder.display(),
                    point.name,
                    spent(&at.budget, unit)
                );
            }
        }
    }
}

fn write_lines(folder: &Path, evaluations: &[EvaluationPoint]) -> Result<()> {
    let mut text = String::new();
    for evaluation in evaluations {
        text += &serde_json::to_string(evaluation)?;
        text.push('\n');
    }
    files::write_whole(&folder.join(LINES), text.as_bytes())
}

/// Removes records that are not among the named files.
fn remove_unnamed(folder: &Path, named: &Hashes) -> Result<()> {
    for name in files::hash_all(folder, &[TRACES])?.keys() {
        if !named.contains_key(name) {
            let path = folder.join(name);
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluator::{BudgetShares, End};

    /// The names of the points that are reached at each of these steps and budgets, one
    /// after the other, of a training of 10 updates.
    fn reached(points: &Points, budgets: &[(u64, Budget)]) -> Vec<(u64, Vec<String>)> {
        let mut at = Progress::default();
        let mut all = Vec::new();
        for (step, budget) in budgets {
            (at.step, at.budget) = (*step, budget.clone());
            let points = Point::all(points).into_iter();
            let due = points.filter(|point| point.is_reached(&at, 10) && !at.evaluated.has(point));
            let names: Vec<String> = due.map(|point| point.name).collect();
            at.evaluated
                .lines
                .extend(names.iter().map(|name| EvaluationPoint {
                    step: *step,
                    budget: budget.clone(),
                    point: name.clone(),
                    traces: String::new(),
                    kl_prompts: None,
                    kl_samples: None,
                    weight_distance: Some(0.0),
                    relative_distance: None,
                }));
            all.push((*step, names));
        }
        all
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn updates_are_reached_when_they_were_made_and_the_end_once() {
        let points = Points::Updates(vec![
            UpdatePoint::Made(0),
            UpdatePoint::Made(4),
            UpdatePoint::Made(10),
            UpdatePoint::Last(End::End),
            UpdatePoint::Made(11),
        ]);
        let at = |step| (step, Budget::default());
        let found = reached(
            &points,
            &[at(0), at(0), at(3), at(4), at(5), at(10), at(10)],
        );
        let expected = [
            (0, named(&["0"])),
            (0, named(&[])),
            (3, named(&[])),
            (4, named(&["4"])),
            (5, named(&[])),
            (10, named(&["10", "end"])),
            (10, named(&[])),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_share_is_reached_after_the_first_update_at_or_beyond_it() {
        let points = |flops, tokens, seconds| {
            Points::Shares(BudgetShares {
                flops,
                tokens,
                seconds,
                shares: vec![0.0, 0.25, 0.5, 1.0],
            })
        };
        let spent = |step: u64, part: f64| {
            let budget = Budget {
                trained_tokens: (30.0 * part) as u64,
                generated_tokens: (10.0 * part) as u64,
                flops: 4e9 * part,
                seconds: part / 2.0,
                ..Budget::default()
            };
            (step, budget)
        };
        let course = [spent(0, 0.0), spent(1, 1.0), spent(2, 6.0), spent(3, 9.9)];
        for (points, unit) in [
            (points(Some(4e10), None, None), "flops"),
            (points(None, Some(400.0), None), "tokens"),
            (points(None, None, Some(5.0)), "seconds"),
        ] {
            let share = |share: &str| format!("{share} of {unit}");
            let expected = [
                (0, vec![share("0")]),
                (1, vec![]),
                (2, vec![share("0.25"), share("0.5")]),
                (3, vec![]),
            ];
            assert_eq!(reached(&points, &course), expected);
        }
    }
}
