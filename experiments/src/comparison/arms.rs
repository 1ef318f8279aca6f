//! One arm's figures over its seeds and tasks, each with its interval.
//!
//! Task values are means over seeds of each seed's own figure: a seed is a model
//! of its own. Intervals come from the bootstrap over seeds and items, but for
//! the accuracies of one task, which carry Wilson's (it takes samples as
//! independent; the contrasts between arms do not). The bootstrap's are widened
//! for the number of items ([`half_width`]); nothing widens them for few seeds.

mod draws;

use crate::alignment::accuracy::{self, Share};
use crate::alignment::contrast::Resampling;
use crate::alignment::cost::{ModelItems, task_tokens};
use crate::alignment::layout::Layout;
use crate::alignment::within_task::{self, WithinTask};
use crate::manifest::{ArmCard, ArmRun, Budget};
use crate::norms::Norms;
use crate::statistics::bootstrap::Drawn;
use crate::statistics::interval::{half_width, wilson};
use crate::statistics::{Undefined, mean};

use draws::{
    ACCURACY, ALIGNMENT, Arm, BALANCED, Draw, PARAMETERS, PARTIAL, SPEARMAN, TOKENS, draws,
};

use super::{ArmFigures, Estimate, ItemPoint, TaskFigures, chains};

/// A value with its interval; the reason where either is missing.
pub(super) fn estimate(
    value: Result<f64, String>,
    interval: Option<(f64, f64)>,
    n: usize,
) -> Estimate {
    let (value, why) = match value {
        Ok(value) => (
            Some(value),
            interval
                .is_none()
                .then(|| "no interval: undefined in too many draws".into()),
        ),
        Err(why) => (None, Some(why)),
    };
    let interval = interval.filter(|_| value.is_some());
    Estimate {
        value,
        low: interval.map(|i| i.0),
        high: interval.map(|i| i.1),
        n,
        why_undefined: why,
    }
}

/// Mean over seeds of what is defined, else the first reason.
fn mean_defined(values: &[Result<f64, Undefined>]) -> Result<f64, String> {
    let defined: Vec<f64> = values
        .iter()
        .filter_map(|v| v.as_ref().ok().copied())
        .collect();
    mean(&defined).ok_or_else(|| match values.iter().find_map(|v| v.as_ref().err()) {
        Some(why) => why.to_string(),
        None => "no record".into(),
    })
}

/// Mean over seeds of shares, with all their samples.
fn mean_share(shares: &[Option<Share>]) -> (Result<f64, String>, usize) {
    let known: Vec<Share> = shares.iter().copied().flatten().collect();
    let values: Vec<f64> = known.iter().map(|s| s.value).collect();
    (
        mean(&values).ok_or_else(|| "no graded sample".into()),
        known.iter().map(|s| s.n).sum(),
    )
}

fn points(
    layout: &Layout,
    at: usize,
    name: &str,
    models: &[ModelItems],
    norms: &Norms,
) -> Vec<ItemPoint> {
    let point = |id: &String| {
        let of: Vec<_> = models.iter().filter_map(|m| m.task(name).get(id)).collect();
        let means = |value: &dyn Fn(usize) -> Option<f64>| {
            mean(&(0..of.len()).filter_map(value).collect::<Vec<_>>())
        };
        let graded: usize = of.iter().map(|i| i.graded).sum();
        let right: usize = of.iter().map(|i| i.right).sum();
        Some(ItemPoint {
            item_id: id.clone(),
            human_cost: norms.human_cost(name, id)?,
            model_cost: means(&|i| of[i].cost)?,
            tokens: means(&|i| of[i].tokens)?,
            accuracy: (graded > 0).then(|| right as f64 / graded as f64),
        })
    };
    layout.ids(at).iter().filter_map(point).collect()
}

/// Mean budget over the arm's seeds, of those that were measured (of memory the
/// most); what an arm started from is counted with it.
fn mean_budget(name: &str, runs: &[ArmRun]) -> Option<Budget> {
    let spent: Vec<Budget> = runs
        .iter()
        .filter(|r| r.arm == name)
        .filter_map(|r| chains::spent(r, runs))
        .collect();
    let of = |value: fn(&Budget) -> f64| mean(&spent.iter().map(value).collect::<Vec<_>>());
    Some(Budget {
        optimizer_steps: of(|b| b.optimizer_steps as f64)?.round() as u64,
        trained_tokens: of(|b| b.trained_tokens as f64)?.round() as u64,
        generated_tokens: of(|b| b.generated_tokens as f64)?.round() as u64,
        flops: of(|b| b.flops)?,
        seconds: of(|b| b.seconds)?,
        peak_memory: spent.iter().filter_map(|b| b.peak_memory).reduce(f64::max),
    })
}

/// The estimate of a figure. Draws of answers that are all alike are all alike too:
/// a share of such has no interval from them, rather than one without width.
fn drawn(
    figure: usize,
    value: Result<f64, String>,
    interval: Option<(f64, f64)>,
    n: usize,
) -> Estimate {
    let is_share = matches!(figure, ACCURACY | BALANCED);
    let alike = is_share && interval.is_some_and(|(low, high)| low >= high);
    let mut estimate = estimate(value, interval.filter(|_| !alike), n);
    if alike {
        estimate.why_undefined = Some("no interval: all answers graded alike".into());
    }
    estimate
}

/// Everything the comparison says of one arm.
pub(super) fn figures(
    card: &ArmCard,
    models: &[ModelItems],
    tasks: &[String],
    norms: &Norms,
    runs: &[ArmRun],
    resampling: Resampling,
) -> ArmFigures {
    let arm = Arm::new(models, tasks, norms);
    let draws = draws(&arm, resampling);
    // A figure of one task, with the number of items that it is over.
    let of_task = |value: Result<f64, String>, at: usize, figure: usize, items: usize, n: usize| {
        let half = half_width(items, PARAMETERS[figure]);
        let interval = value
            .as_ref()
            .ok()
            .and_then(|&value| draws.interval(value, half, |d| d.tasks[at][figure]));
        drawn(figure, value, interval, n)
    };
    let mut table = Vec::new();
    for (at, name) in tasks.iter().enumerate() {
        let within: Vec<WithinTask> = models
            .iter()
            .map(|m| within_task::within_task(name, m.task(name), norms))
            .collect();
        let pick = |which: fn(&WithinTask) -> &Result<f64, Undefined>| {
            mean_defined(&within.iter().map(|w| which(w).clone()).collect::<Vec<_>>())
        };
        let shares = |of: &dyn Fn(&ModelItems) -> Option<Share>| {
            mean_share(&models.iter().map(of).collect::<Vec<_>>())
        };
        let with_wilson = |(value, n): (Result<f64, String>, usize)| {
            let interval = value.as_ref().ok().and_then(|&share| wilson(share, n));
            estimate(value, interval, n)
        };
        let points = points(&arm.layout, at, name, models, norms);
        let (balanced, balanced_n) = shares(&|m| accuracy::balanced(name, m.task(name), norms));
        let tokens: Vec<f64> = models
            .iter()
            .filter_map(|m| task_tokens(m.task(name)))
            .collect();
        let items = points.len();
        let evaluated = arm.layout.ids(at).len();
        table.push(TaskFigures {
            task: name.clone(),
            items,
            accuracy: with_wilson(shares(&|m| accuracy::plain(m.task(name)))),
            balanced_accuracy: of_task(balanced, at, BALANCED, evaluated, balanced_n),
            accuracy_truncated_wrong: with_wilson(shares(&|m| {
                accuracy::truncated_as_wrong(m.task(name))
            })),
            tokens: of_task(
                mean(&tokens).ok_or_else(|| "no sample".into()),
                at,
                TOKENS,
                evaluated,
                evaluated,
            ),
            alignment: of_task(pick(|w| &w.pearson), at, ALIGNMENT, items, items),
            spearman: of_task(pick(|w| &w.spearman), at, SPEARMAN, items, items),
            partial: of_task(pick(|w| &w.partial), at, PARTIAL, items, items),
            ceiling: norms.ceiling(name).map(|c| c.ceiling),
            points,
        });
    }
    let evaluated = arm.layout.sizes().iter().sum();
    overall(card, models, runs, table, &draws, evaluated)
}

/// The means over tasks, beside the table by task.
fn overall(
    card: &ArmCard,
    models: &[ModelItems],
    runs: &[ArmRun],
    tasks: Vec<TaskFigures>,
    draws: &Drawn<Draw>,
    evaluated: usize,
) -> ArmFigures {
    let aligned: usize = tasks.iter().map(|t| t.alignment.n).sum();
    let half = |figure: usize| {
        let items = if matches!(figure, ALIGNMENT) {
            aligned
        } else {
            evaluated
        };
        half_width(items, PARAMETERS[figure] * tasks.len())
    };
    let interval = |value: &Result<f64, String>, figure: usize| {
        let value = *value.as_ref().ok()?;
        draws.interval(value, half(figure), |d| d.overall[figure])
    };
    let over = |figure: usize, of: fn(&TaskFigures) -> &Estimate| {
        let defined: Vec<f64> = tasks.iter().filter_map(|t| of(t).value).collect();
        let why = || {
            tasks
                .iter()
                .find_map(|t| of(t).why_undefined.clone())
                .unwrap_or_else(|| "no task".into())
        };
        let value = mean(&defined).ok_or_else(why);
        let interval = interval(&value, figure);
        drawn(figure, value, interval, tasks.iter().map(|t| of(t).n).sum())
    };
    let alignments: Vec<Result<f64, Undefined>> = tasks
        .iter()
        .map(|t| {
            let why = || Undefined::Because(t.alignment.why_undefined.clone().unwrap_or_default());
            t.alignment.value.ok_or_else(why)
        })
        .collect();
    let (plain, fisher) = within_task::model_alignment(&alignments);
    let words = |r: Result<f64, Undefined>| r.map_err(|why| why.to_string());
    let (plain, fisher) = (words(plain), words(fisher));
    let of_plain = interval(&plain, ALIGNMENT);
    let of_fisher = fisher
        .as_ref()
        .ok()
        .and_then(|&value| draws.interval(value, half(ALIGNMENT), |d| d.fisher));
    let count = |of: fn(&crate::alignment::cost::ItemMeans) -> usize| -> usize {
        models
            .iter()
            .flat_map(|m| m.tasks.values())
            .flat_map(|t| t.values())
            .map(of)
            .sum()
    };
    ArmFigures {
        name: card.name.clone(),
        role: card.role,
        seeds: models.iter().filter_map(|m| m.seed).collect(),
        accuracy: over(ACCURACY, |t| &t.accuracy),
        balanced_accuracy: over(BALANCED, |t| &t.balanced_accuracy),
        tokens: over(TOKENS, |t| &t.tokens),
        alignment: estimate(plain, of_plain, aligned),
        alignment_fisher: estimate(fisher, of_fisher, aligned),
        truncated: count(|i| i.truncated),
        samples: count(|i| i.samples),
        budget: mean_budget(&card.name, runs),
        tasks,
    }
}
