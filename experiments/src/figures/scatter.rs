//! What each item costs the model against what it costs people, a panel for
//! each arm and task.
//!
//! Panels of one task share their axes, so that they can be compared by eye.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED, Palette};
use super::{Figure, stem, ticks};
use crate::comparison::{ArmFigures, Comparison, ItemPoint, TaskFigures};
use crate::tables::format::{self, Quantity};
use crate::tables::layout;

const SIZE: (u32, u32) = (276, 264);

/// How to read the panels, for the text beside them.
pub const EXPLANATION: &str = "Each point is an item: the mean human time against the mean number of reasoning tokens, \
    both on logarithmic axes (mean ln ms, mean ln(1 + tokens)). r is their Pearson correlation as observed, with its 95 % interval over \
    trainings and items, mean over trainings; its reliability is the share of the spread of the arm's points that is no \
    sampling noise; the line is the least-squares fit, left out where r is undefined. The noise ceiling is the highest r that the spread \
    between people allows, unknown where their single trials are not at hand. Panels of one task share their axes.";

/// The panels of one task.
#[derive(Debug, Clone)]
pub struct TaskPanels {
    /// Task name.
    pub task: String,
    /// One panel an arm, in the order of the comparison.
    pub panels: Vec<Figure>,
}

/// All panels, by task; none of a task that people have no times for.
pub fn figures(comparison: &Comparison) -> Vec<TaskPanels> {
    let colors = Palette::of(comparison);
    layout::task_names(comparison)
        .into_iter()
        .filter(|name| comparison.is_timed(name))
        .map(|name| {
            let arms: Vec<(&ArmFigures, &TaskFigures)> = comparison
                .arms
                .iter()
                .filter_map(|arm| Some((arm, arm.tasks.iter().find(|t| t.task == name)?)))
                .collect();
            let all = arms.iter().flat_map(|(_, task)| &task.points);
            let (human, model): (Vec<f64>, Vec<f64>) = all.filter_map(ItemPoint::costs).unzip();
            let x = canvas::range(human.into_iter(), 0.06);
            let y = canvas::range(model.into_iter(), 0.08);
            let panels = arms
                .iter()
                .map(|(arm, task)| panel(arm, task, (x, y), colors.color(&arm.name)))
                .collect();
            TaskPanels {
                task: name.to_owned(),
                panels,
            }
        })
        .collect()
}

type Ranges = ((f64, f64), (f64, f64));

fn panel(arm: &ArmFigures, task: &TaskFigures, (x, y): Ranges, color: RGBColor) -> Figure {
    let points: Vec<(f64, f64)> = task.points.iter().filter_map(ItemPoint::costs).collect();
    let r = match task.alignment.value {
        Some(_) => format!(
            "r = {}, n = {}",
            format::estimate(&task.alignment, Quantity::Signed),
            format::count(task.alignment.n as u64)
        ),
        None => "r undefined".to_owned(),
    };
    let why = task.alignment.why_undefined.as_deref().unwrap_or_default();
    let title = format!("{} on {}: {r}", arm.name, task.task);
    let stem = stem(&["scatter", &task.task, &arm.name]);
    let reason = if why.is_empty() {
        String::new()
    } else {
        format!(" r: {why}.")
    };
    let ceiling = match task.reliability.value {
        Some(_) => format!(
            "reliability {}, {}",
            format::number(task.reliability.value, Quantity::Share),
            ceiling(task)
        ),
        None => ceiling(task),
    };
    let definition = format!(
        "{} items. {EXPLANATION}{reason} Here: {ceiling}.",
        points.len()
    );
    let label = Label {
        title: &title,
        description: &definition,
    };
    let x_axis = Axis {
        ticks: ticks::logarithmic(x.0, x.1, 0.0, 4),
        range: x,
        name: "human time, ms".to_owned(),
    };
    let y_axis = Axis {
        // Below 0 on this axis there are no token counts, only room around the points.
        ticks: ticks::logarithmic(y.0.max(0.0), y.1, 1.0, 6),
        range: y,
        name: "reasoning tokens".to_owned(),
    };
    let fit = task.alignment.value.and_then(|_| least_squares(&points));
    let svg = canvas::svg(SIZE, &label, |area| {
        let heading = canvas::shorten(&arm.name, 34);
        canvas::text(area, &heading, &canvas::bold(13.0), (46, 13), HPos::Left)?;
        let shown = if why.is_empty() {
            r.clone()
        } else {
            format!("{r}: {why}")
        };
        let style = canvas::font(11.5, if why.is_empty() { INK } else { MUTED });
        canvas::text(
            area,
            &canvas::shorten(&shown, 38),
            &style,
            (46, 30),
            HPos::Left,
        )?;
        let style = canvas::font(11.5, MUTED);
        canvas::text(area, &ceiling, &style, (46, 46), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(58, 10, 38, 46), &x_axis, &y_axis)?;
        let dot = color.mix(0.62).filled();
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new(*point, 5 * SCALE / 2, dot)),
        )?;
        if let Some((slope, intercept)) = fit {
            let (left, right) = canvas::range(points.iter().map(|p| p.0), 0.0);
            let ends = [left, right].map(|at| (at, intercept + slope * at));
            let line = INK.stroke_width(3 * SCALE as u32 / 2);
            chart.draw_series(LineSeries::new(ends, line))?;
        }
        Ok(())
    });
    Figure {
        stem,
        title,
        definition,
        svg,
        csv: table(arm, task),
    }
}

fn table(arm: &ArmFigures, task: &TaskFigures) -> String {
    let mut table = Data::new("task,arm,item_id,human_cost,model_cost,tokens,accuracy");
    for point in &task.points {
        table.row(&[
            &task.task,
            &arm.name,
            &point.item_id,
            &data::number(point.human_cost),
            &data::number(Some(point.model_cost)),
            &data::number(Some(point.tokens)),
            &data::number(point.accuracy),
        ]);
    }
    table.csv()
}

/// The noise ceiling in words.
fn ceiling(task: &TaskFigures) -> String {
    match task.ceiling.filter(|c| c.is_finite()) {
        Some(at) => format!(
            "noise ceiling {}",
            format::number(Some(at), Quantity::Share)
        ),
        None => "noise ceiling unknown".to_owned(),
    }
}

/// Slope and intercept of model cost on human cost.
fn least_squares(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let mx = points.iter().map(|p| p.0).sum::<f64>() / n;
    let my = points.iter().map(|p| p.1).sum::<f64>() / n;
    let deviations = || points.iter().map(|p| (p.0 - mx, p.1 - my));
    let sxx: f64 = deviations().map(|(dx, _)| dx * dx).sum();
    let sxy: f64 = deviations().map(|(dx, dy)| dx * dy).sum();
    let slope = sxy / sxx;
    slope.is_finite().then_some((slope, my - slope * mx))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_point_an_item_and_a_fit_only_where_r_is_defined() {
        let comparison = fixture::comparison();
        let tasks = figures(&comparison);
        assert_eq!(tasks.len(), 2);
        for (panel, arm) in tasks[0].panels.iter().zip(&comparison.arms) {
            let circles = panel.svg.matches("<circle").count();
            assert_eq!(circles, arm.tasks[0].points.len());
            let rows = data::parse(&panel.csv);
            assert_eq!(rows.len(), 1 + circles);
            let cost = arm.tasks[0].points[0].model_cost;
            assert_eq!(rows[1][4], cost.to_string());
            let line = panel.svg.contains("stroke=\"#1A1A1A\"");
            assert_eq!(line, arm.tasks[0].alignment.value.is_some(), "{}", arm.name);
        }
        assert!(
            tasks[0].panels[3]
                .svg
                .contains("reliability 0.72, noise ceiling 0.93")
        );
        assert!(tasks[1].panels[3].svg.contains("noise ceiling unknown"));
        assert!(tasks[0].panels[0].svg.contains("r undefined: no variance"));
        assert!(tasks[0].panels[3].svg.contains("r = +0.78 [0.70, 0.84]"));
    }

    #[test]
    fn least_squares_recovers_a_line() {
        let points = [1.0, 2.0, 4.0].map(|x| (x, 0.5 + 2.0 * x));
        let (slope, intercept) = least_squares(&points).unwrap();
        assert!((slope - 2.0).abs() < 1e-12 && (intercept - 0.5).abs() < 1e-12);
        assert!(least_squares(&[points[0], points[0]]).is_none());
    }

    #[test]
    fn a_task_without_times_has_no_panels() {
        let mut comparison = fixture::comparison();
        for arm in &mut comparison.arms {
            arm.tasks[0].timed = 0;
        }
        let tasks: Vec<String> = figures(&comparison).into_iter().map(|t| t.task).collect();
        assert_eq!(tasks, ["mental_addition"]);
    }

    #[test]
    fn an_arm_without_points_still_has_a_panel() {
        let mut comparison = fixture::comparison();
        comparison.arms.truncate(1);
        comparison.arms[0].tasks[0].points.clear();
        assert_eq!(figures(&comparison)[0].panels.len(), 1);
    }
}
