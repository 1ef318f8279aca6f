//! Computes the figures beside the table, with their intervals.

use super::{
    Further, FurtherArm, Inflation, LineFigures, PairedAnswers, SimilarityTable, Surface, TaskIndex,
};
use crate::alignment::contrast::pair_seeds;
use crate::alignment::cost::{Items, ModelItems, pooled};
use crate::alignment::inflation::Points;
use crate::alignment::layout::{Columns, Layout};
use crate::alignment::{accuracy, allocation, cross_task, effort, fingerprint, iei, inflation};
use crate::comparison::Estimate;
use crate::comparison::arms::estimate;
use crate::comparison::build::{Input, base_of, planned};
use crate::manifest::Role;
use crate::statistics::Undefined;
use crate::statistics::bootstrap::{Resample, bootstrap};
use crate::statistics::correlation::{Z95, fisher_interval};
use crate::statistics::interval::central_95;
use crate::statistics::regression::{Line, weighted_ols};

/// Everything beside the table.
pub(in crate::comparison) fn further(input: &Input<'_>, items: &Items) -> Further {
    let models: Vec<(&str, ModelItems)> = input
        .arms
        .iter()
        .map(|arm| (arm.name.as_str(), pooled(&items.models[&arm.name])))
        .collect();
    let of = |name: &str| {
        models
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, model)| model)
    };
    let trained = input
        .arms
        .iter()
        .filter(|arm| matches!(arm.role, Role::Student | Role::Rl));
    let from_base = trained.filter_map(|arm| {
        let base = base_of(arm, input.arms)?;
        Some(inflation_of(
            input,
            (&arm.name, of(&arm.name)?),
            (base, of(base)?),
        ))
    });
    let students = input.arms.iter().filter(|arm| arm.role == Role::Student);
    let from_teacher = students.filter_map(|arm| {
        let teacher = arm.teacher.as_deref()?;
        Some(surface(
            input,
            (&arm.name, of(&arm.name)?),
            (teacher, of(teacher)?),
        ))
    });
    let named: Vec<(&str, &ModelItems)> =
        models.iter().map(|(name, model)| (*name, model)).collect();
    Further {
        arms: named
            .iter()
            .map(|(name, model)| of_arm(input, name, model))
            .collect(),
        inflation: from_base.collect(),
        surface: from_teacher.collect(),
        paired: planned(input.arms)
            .iter()
            .map(|(arm, against, _)| paired(input, items, arm, against))
            .collect(),
        similarity: similarity(input, &named),
    }
}

fn words(value: Result<f64, Undefined>) -> Result<f64, String> {
    value.map_err(|why| why.to_string())
}

/// Draws of a statistic of items by task, resampled jointly.
fn draws<T: Send>(
    input: &Input<'_>,
    sizes: &[usize],
    of: impl Fn(&Resample) -> T + Sync,
) -> Vec<T> {
    bootstrap(input.draws, input.seed, "bootstrap", 1, sizes, of)
}

/// Inverse efficiency index of a task under a draw.
fn drawn_iei(layout: &Layout, columns: &Columns, draw: &Resample, task: usize) -> Option<f64> {
    let [_, accuracy, _, tokens] =
        layout.measures(task, |i| draw.items[task][i], |i| &columns[task][i]);
    accuracy
        .filter(|share| *share > 0.0)
        .and_then(|share| Some(tokens? / share))
}

fn of_arm(input: &Input<'_>, name: &str, model: &ModelItems) -> FurtherArm {
    let found = cross_task::cross_task(model, input.tasks, input.norms, input.seed);
    let tasks = input
        .tasks
        .iter()
        .filter(|task| !model.task(task).is_empty())
        .count();
    let cross_task = match &found {
        Ok(c) => estimate(Ok(c.mean), Some((c.low, c.high)), c.tasks),
        Err(why) => estimate(Err(why.to_string()), None, tasks),
    };
    let layout = Layout::new(input.tasks, input.norms, &[model]);
    let (columns, sizes) = (layout.columns(model), layout.sizes());
    let indices = draws(input, &sizes, |draw| -> Vec<Option<f64>> {
        (0..sizes.len())
            .map(|task| drawn_iei(&layout, &columns, draw, task))
            .collect()
    });
    let index = |(at, task): (usize, &String)| TaskIndex {
        task: task.clone(),
        value: estimate(
            words(iei::iei(model.task(task))),
            central_95(indices.iter().map(|d| d[at])),
            sizes[at],
        ),
    };
    FurtherArm {
        name: name.into(),
        cross_task,
        demonstrative: found.map_or(tasks, |c| c.tasks) < cross_task::FEWEST_TASKS,
        allocation: allocation_of(input, model),
        iei: input.tasks.iter().enumerate().map(index).collect(),
    }
}

fn allocation_of(input: &Input<'_>, model: &ModelItems) -> Estimate {
    let by_task = allocation::differences(model, input.tasks);
    let all = by_task.concat();
    let value = allocation::cohens_d(&all);
    let sizes: Vec<usize> = by_task.iter().map(Vec::len).collect();
    let interval = value.as_ref().ok().and_then(|_| {
        central_95(draws(input, &sizes, |draw| {
            let repeated = all
                .iter()
                .zip(draw.items.concat())
                .flat_map(|(d, w)| std::iter::repeat_n(*d, w as usize));
            allocation::cohens_d(&repeated.collect::<Vec<_>>()).ok()
        }))
    });
    estimate(words(value), interval, all.len())
}

fn line_figures(line: &Result<Line, Undefined>, draws: &[Option<Line>], n: usize) -> LineFigures {
    let figure = |of: fn(&Line) -> f64| {
        let value = line.as_ref().map(of).map_err(ToString::to_string);
        estimate(
            value,
            central_95(draws.iter().map(|d| d.as_ref().map(of))),
            n,
        )
    };
    LineFigures {
        slope: figure(|l| l.slope),
        intercept: figure(|l| l.intercept),
        r2: figure(|l| l.r2),
    }
}

fn over_items(input: &Input<'_>, points: &Points) -> LineFigures {
    let drawn = draws(input, &points.by_task, |draw| {
        weighted_ols(&points.x, &points.y, &draw.items.concat())
    });
    line_figures(&points.line(), &drawn, points.x.len())
}

fn inflation_of(
    input: &Input<'_>,
    arm: (&str, &ModelItems),
    base: (&str, &ModelItems),
) -> Inflation {
    let layout = Layout::new(input.tasks, input.norms, &[arm.1, base.1]);
    let (of_arm, of_base) = (layout.columns(arm.1), layout.columns(base.1));
    let index = iei::inflation(arm.1, base.1, input.tasks);
    // The tasks of the sample's own line: a draw that lacks one of them has no line.
    let defined = |task: &&usize| {
        iei::iei(arm.1.task(&input.tasks[**task])).is_ok()
            && iei::iei(base.1.task(&input.tasks[**task])).is_ok()
    };
    let all: Vec<usize> = (0..input.tasks.len()).collect();
    let tasks: Vec<usize> = all.iter().filter(defined).copied().collect();
    let drawn = draws(input, &layout.sizes(), |draw| {
        let side = |columns: &Columns| -> Option<Vec<f64>> {
            tasks
                .iter()
                .map(|&task| drawn_iei(&layout, columns, draw, task))
                .collect()
        };
        weighted_ols(&side(&of_base)?, &side(&of_arm)?, &vec![1.0; tasks.len()])
    });
    Inflation {
        arm: arm.0.into(),
        against: base.0.into(),
        tokens: over_items(input, &inflation::tokens(arm.1, base.1, input.tasks)),
        iei: line_figures(&index.line(), &drawn, index.x.len()),
        heterogeneity: over_items(
            input,
            &inflation::heterogeneity(arm.1, base.1, input.tasks, input.norms),
        ),
    }
}

/// Relative efforts and their multiplicities under a draw, the teacher's means drawn with them.
fn drawn_efforts(model: &Columns, teacher: &Columns, draw: &Resample) -> (Vec<f64>, Vec<f64>) {
    let (mut efforts, mut weights) = (Vec::new(), Vec::new());
    for ((cells, of_teacher), drawn) in model.iter().zip(teacher).zip(&draw.items) {
        let total = |of: fn(&crate::alignment::layout::Cell) -> f64| -> f64 {
            of_teacher
                .iter()
                .zip(drawn)
                .map(|(c, w)| w * c.present * of(c))
                .sum()
        };
        let reference = total(|c| c.tokens) / total(|_| 1.0);
        if reference > 0.0 {
            for (cell, &w) in cells
                .iter()
                .zip(drawn)
                .filter(|(c, w)| **w > 0.0 && c.tokens > 0.0)
            {
                efforts.push(cell.tokens / reference);
                weights.push(w);
            }
        }
    }
    (efforts, weights)
}

fn surface(input: &Input<'_>, arm: (&str, &ModelItems), teacher: (&str, &ModelItems)) -> Surface {
    let efforts = |model| effort::relative_efforts(model, teacher.1, input.tasks).concat();
    let (of_arm, of_teacher) = (efforts(arm.1), efforts(teacher.1));
    let layout = Layout::new(input.tasks, input.norms, &[arm.1, teacher.1]);
    let (student, reference) = (layout.columns(arm.1), layout.columns(teacher.1));
    let drawn = draws(input, &layout.sizes(), |draw| {
        let (a, wa) = drawn_efforts(&student, &reference, draw);
        let (b, wb) = drawn_efforts(&reference, &reference, draw);
        let total: f64 = wa.iter().sum();
        let mean =
            (total > 0.0).then(|| a.iter().zip(&wa).map(|(e, w)| e * w).sum::<f64>() / total);
        (mean, effort::weighted_divergence((&a, &wa), (&b, &wb)).ok())
    });
    let n = of_arm.len();
    Surface {
        arm: arm.0.into(),
        against: teacher.0.into(),
        relative_effort: estimate(
            words(effort::mean_effort(&of_arm)),
            central_95(drawn.iter().map(|d| d.0)),
            n,
        ),
        divergence: estimate(
            words(effort::divergence(&of_arm, &of_teacher)),
            central_95(drawn.iter().map(|d| d.1)),
            n,
        ),
    }
}

fn paired(input: &Input<'_>, items: &Items, arm: &str, against: &str) -> PairedAnswers {
    let (first, second) = (&items.models[arm], &items.models[against]);
    // Answers are paired within a seed; the clustered difference is over items, seeds together.
    let pairs = pair_seeds(first, second).unwrap_or_default();
    let seeds = pairs.iter().flat_map(|&(a, b)| {
        input
            .tasks
            .iter()
            .map(move |task| (first[a].task(task), second[b].task(task)))
    });
    let answers = accuracy::paired(seeds);
    let of = |at: &dyn Fn(&(usize, usize)) -> ModelItems| {
        pooled(&pairs.iter().map(at).collect::<Vec<_>>())
    };
    let (a, b) = (of(&|p| first[p.0].clone()), of(&|p| second[p.1].clone()));
    let over_items = accuracy::paired(input.tasks.iter().map(|task| (a.task(task), b.task(task))));
    let shared = |task: &String| {
        a.task(task)
            .iter()
            .filter(|(id, item)| {
                item.graded > 0 && b.task(task).get(*id).is_some_and(|o| o.graded > 0)
            })
            .count()
    };
    let clustered = over_items.clustered.map(|(difference, error)| {
        (
            difference,
            (difference - Z95 * error, difference + Z95 * error),
        )
    });
    PairedAnswers {
        arm: arm.into(),
        against: against.into(),
        only_arm: answers.only_first,
        only_against: answers.only_second,
        pairs: answers.pairs,
        mcnemar_p: (answers.pairs > 0).then_some(answers.p),
        clustered: estimate(
            clustered
                .map(|c| c.0)
                .ok_or_else(|| "fewer than 2 shared graded items".into()),
            clustered.map(|c| c.1),
            input.tasks.iter().map(shared).sum(),
        ),
    }
}

fn similarity(input: &Input<'_>, models: &[(&str, &ModelItems)]) -> SimilarityTable {
    let found = fingerprint::similarity(models, input.tasks, input.norms);
    let items = found.items;
    let cell = |r: Result<f64, Undefined>| {
        let interval = r.as_ref().ok().and_then(|&r| fisher_interval(r, items));
        Estimate {
            why_undefined: r.as_ref().err().map(ToString::to_string),
            ..estimate(words(r), interval, items)
        }
    };
    SimilarityTable {
        names: found.names,
        items,
        matrix: found
            .matrix
            .into_iter()
            .map(|row| row.into_iter().map(cell).collect())
            .collect(),
    }
}
