//! Figures of an arm beside another: inflation on its base, likeness to its teacher.

use super::{drawn, drawn_iei, draws};
use crate::alignment::cost::ModelItems;
use crate::alignment::inflation::Points;
use crate::alignment::layout::{Columns, Layout};
use crate::alignment::{effort, iei, inflation};
use crate::comparison::build::Input;
use crate::comparison::further::{Inflation, LineFigures, Surface};
use crate::statistics::Undefined;
use crate::statistics::bootstrap::{Drawn, Resample};
use crate::statistics::interval::half_width;
use crate::statistics::regression::{Line, weighted_ols};

fn line_figures(
    line: &Result<Line, Undefined>,
    draws: &Drawn<Option<Line>>,
    n: usize,
    half: f64,
) -> LineFigures {
    let figure = |of: fn(&Line) -> f64| {
        let value = line.as_ref().map(of).map_err(Clone::clone);
        drawn(value, draws, |d| d.as_ref().map(of), n, half)
    };
    LineFigures {
        slope: figure(|l| l.slope),
        intercept: figure(|l| l.intercept),
        r2: figure(|l| l.r2),
    }
}

fn over_items(input: &Input<'_>, points: &Points) -> LineFigures {
    let lines = draws(input, &points.by_task, |draw| {
        weighted_ols(&points.x, &points.y, &draw.items.concat())
    });
    let n = points.x.len();
    line_figures(&points.line(), &lines, n, half_width(n, 2))
}

/// An arm's tokens on its base's.
pub(super) fn inflation_of(
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
    let lines = draws(input, &layout.sizes(), |draw| {
        let side = |columns: &Columns| -> Option<Vec<f64>> {
            tasks
                .iter()
                .map(|&task| drawn_iei(&layout, columns, draw, task))
                .collect()
        };
        weighted_ols(&side(&of_base)?, &side(&of_arm)?, &vec![1.0; tasks.len()])
    });
    // The line is over tasks, but it is items that are resampled: two means a task.
    let items: usize = layout.sizes().iter().sum();
    let half = half_width(items, 2 * input.tasks.len());
    Inflation {
        arm: arm.0.into(),
        against: base.0.into(),
        tokens: over_items(input, &inflation::tokens(arm.1, base.1, input.tasks)),
        iei: line_figures(&index.line(), &lines, index.x.len(), half),
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

/// A student beside its teacher.
pub(super) fn surface(
    input: &Input<'_>,
    arm: (&str, &ModelItems),
    teacher: (&str, &ModelItems),
) -> Surface {
    let efforts = |model| effort::relative_efforts(model, teacher.1, input.tasks).concat();
    let (of_arm, of_teacher) = (efforts(arm.1), efforts(teacher.1));
    let layout = Layout::new(input.tasks, input.norms, &[arm.1, teacher.1]);
    let (student, reference) = (layout.columns(arm.1), layout.columns(teacher.1));
    let resampled = draws(input, &layout.sizes(), |draw| {
        let (a, wa) = drawn_efforts(&student, &reference, draw);
        let (b, wb) = drawn_efforts(&reference, &reference, draw);
        let total: f64 = wa.iter().sum();
        let mean =
            (total > 0.0).then(|| a.iter().zip(&wa).map(|(e, w)| e * w).sum::<f64>() / total);
        (mean, effort::weighted_divergence((&a, &wa), (&b, &wb)).ok())
    });
    let n = of_arm.len();
    let half = half_width(n, input.tasks.len());
    Surface {
        arm: arm.0.into(),
        against: teacher.0.into(),
        relative_effort: drawn(effort::mean_effort(&of_arm), &resampled, |d| d.0, n, half),
        divergence: drawn(
            effort::divergence(&of_arm, &of_teacher),
            &resampled,
            |d| d.1,
            n,
            half,
        ),
    }
}
