//! What training did to the length of thinking: an arm's tokens against its
//! base's, item by item, a figure for each arm.
//!
//! The slope is the comparison's: within tasks, by split halves of the base, so that noise in the
//! base's means does not flatten it. It has a line a task, through the task's mean. The constant
//! multiplier is the ratio of the means of the points drawn: what the arm would spend if it
//! thought longer by the same factor everywhere.

use std::collections::HashMap;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Area, Axis, Drawn, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED, Palette};
use super::{Figure, stem, ticks};
use crate::comparison::further::Inflation;
use crate::comparison::{ArmFigures, Comparison};
use crate::tables::format::{self, Quantity};

const SIZE: (u32, u32) = (360, 330);
const TOP: i32 = 66;

/// How to read the figures.
pub const EXPLANATION: &str = "Each point is an item: an arm's mean reasoning tokens against its base's. The solid lines, one a task \
     through the task's mean, have the slope within tasks, with its 95 % interval over trainings and items; the base's \
     even and odd samples are instruments for each other, so that a copy of the base gives 1 however noisy it is. The \
     dashed line goes through 0 with the ratio of the two means over the points, a constant multiplier; on the dotted \
     one the arm spends what its base spends. A constant multiplier alone leaves alignment as it was.";

/// A figure for each arm that has a base and items with it, in the order of the comparison.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    let colors = Palette::of(comparison);
    let of = |name: &str| comparison.arms.iter().find(|arm| arm.name == name);
    let inflation = comparison.further.inflation.iter();
    inflation
        .filter_map(|found| {
            let points = points(of(&found.arm)?, of(&found.against)?);
            if points.is_empty() {
                return None;
            }
            Some(figure(found, &points, colors.color(&found.arm)))
        })
        .collect()
}

/// An item that both arms answered.
struct Point<'c> {
    task: &'c str,
    item_id: &'c str,
    base: f64,
    arm: f64,
}

fn points<'c>(arm: &'c ArmFigures, base: &'c ArmFigures) -> Vec<Point<'c>> {
    let of_base: HashMap<(&str, &str), f64> = base
        .tasks
        .iter()
        .flat_map(|task| {
            let key = |id: &'c str| (task.task.as_str(), id);
            task.points.iter().map(move |p| (key(&p.item_id), p.tokens))
        })
        .collect();
    let of_arm = arm.tasks.iter();
    let items = of_arm.flat_map(|task| task.points.iter().map(move |p| (task.task.as_str(), p)));
    items
        .filter_map(|(task, p)| {
            let base = *of_base.get(&(task, p.item_id.as_str()))?;
            let point = Point {
                task,
                item_id: &p.item_id,
                base,
                arm: p.tokens,
            };
            (base.is_finite() && p.tokens.is_finite()).then_some(point)
        })
        .collect()
}

/// The ratio of the means; `None` where the base spends nothing.
fn multiplier(points: &[Point<'_>]) -> Option<f64> {
    let base: f64 = points.iter().map(|p| p.base).sum();
    let arm: f64 = points.iter().map(|p| p.arm).sum();
    (base > 0.0).then(|| arm / base)
}

fn figure(found: &Inflation, points: &[Point<'_>], color: RGBColor) -> Figure {
    let title = format!("Tokens of {} against {}", found.arm, found.against);
    let slope = found.slope.value.filter(|slope| slope.is_finite());
    let shown = match slope {
        Some(_) => format!(
            "slope within tasks {}",
            format::estimate(&found.slope, Quantity::Ratio)
        ),
        None => format!(
            "no slope: {}",
            found
                .slope
                .why_undefined
                .as_deref()
                .unwrap_or(format::UNDEFINED)
        ),
    };
    let times = multiplier(points);
    let constant = match times {
        Some(times) => format!(
            "constant multiplier \u{d7}{}",
            format::number(Some(times), Quantity::Ratio)
        ),
        None => "no multiplier: the base spends nothing".to_owned(),
    };
    let definition = format!(
        "{} items. {EXPLANATION}",
        format::count(points.len() as u64)
    );
    let label = Label {
        title: &title,
        description: &format!("{definition} Solid: {shown}. Dashed: {constant}."),
    };
    let high = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::max) * 1.05;
    let x = high(&mut points.iter().map(|p| p.base));
    let y = high(&mut points.iter().map(|p| p.arm));
    let axis = |high: f64, most: usize, name: &str| Axis {
        range: (0.0, high),
        ticks: ticks::linear(0.0, high, most),
        name: format!("reasoning tokens, {}", canvas::shorten(name, 20)),
    };
    let svg = canvas::svg(SIZE, &label, |area| {
        let heading = canvas::shorten(&title, 46);
        canvas::text(area, &heading, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let strong = INK.stroke_width(2 * SCALE as u32);
        let faint = MUTED.stroke_width(3 * SCALE as u32 / 2);
        key(area, (2, 33), strong, None, &shown)?;
        key(area, (2, 51), strong, Some(DASHED), &constant)?;
        key(area, (206, 51), faint, Some(DOTTED), "as many as the base")?;
        let (x_axis, y_axis) = (axis(x, 6, &found.against), axis(y, 5, &found.arm));
        let mut chart = canvas::chart(area, &Margins(TOP, 10, 38, 52), &x_axis, &y_axis)?;
        let dot = color.mix(0.55).filled();
        let dots = points
            .iter()
            .map(|p| Circle::new((p.base, p.arm), 5 * SCALE / 2, dot));
        chart.draw_series(dots)?;
        if let Some(ends) = within(1.0, 0.0, x, y) {
            chart.draw_series(dashed(ends, DOTTED, faint))?;
        }
        if let Some(ends) = times.and_then(|times| within(times, 0.0, x, y)) {
            chart.draw_series(dashed(ends, DASHED, strong))?;
        }
        let lines = slope.into_iter().flat_map(|slope| lines(points, slope));
        for ends in lines {
            chart.draw_series(LineSeries::new(ends, strong))?;
        }
        Ok(())
    });
    Figure {
        stem: stem(&["inflation", &found.arm]),
        title,
        definition,
        svg,
        csv: table(found, points),
    }
}

type Ends = [(f64, f64); 2];
const DASHED: canvas::Dash = (7, 4);
const DOTTED: canvas::Dash = (2, 3);

fn dashed(
    ends: Ends,
    (dash, gap): canvas::Dash,
    style: ShapeStyle,
) -> DashedLineSeries<std::array::IntoIter<(f64, f64), 2>, i32> {
    DashedLineSeries::new(ends, dash * SCALE, gap * SCALE, style)
}

/// A sample of a line with what it is.
fn key(
    area: &Area<'_>,
    (x, y): (i32, i32),
    style: ShapeStyle,
    dash: Option<canvas::Dash>,
    text: &str,
) -> Drawn {
    canvas::dashes(area, (x, y), style, dash)?;
    canvas::text(
        area,
        text,
        &canvas::font(11.0, INK),
        (x + 28, y),
        HPos::Left,
    )
}

/// A line of a slope for each task, through the task's mean from its least base to its most, as far
/// as the arm's tokens are not below 0.
fn lines(points: &[Point<'_>], slope: f64) -> Vec<Ends> {
    let mut tasks: Vec<&str> = points.iter().map(|p| p.task).collect();
    tasks.dedup();
    let of_task = |task: &str| {
        let here: Vec<&Point<'_>> = points.iter().filter(|p| p.task == task).collect();
        let n = here.len() as f64;
        let x = here.iter().map(|p| p.base).sum::<f64>() / n;
        let y = here.iter().map(|p| p.arm).sum::<f64>() / n;
        let (least, most) = canvas::range(here.iter().map(|p| p.base), 0.0);
        let top = here.iter().map(|p| p.arm).fold(0.0, f64::max);
        within(slope, y - slope * x, most, top).map(|[from, to]| {
            let kept = |(at, _): (f64, f64)| at.clamp(least, most);
            [kept(from), kept(to)].map(|at| (at, y + slope * (at - x)))
        })
    };
    tasks.into_iter().filter_map(of_task).collect()
}

/// The part of a line that lies in the plot from (0, 0) to (`right`, `top`).
fn within(slope: f64, at_zero: f64, right: f64, top: f64) -> Option<Ends> {
    let mut span = (0.0, right);
    if slope == 0.0 {
        if !(0.0..=top).contains(&at_zero) {
            return None;
        }
    } else {
        let (a, b) = (-at_zero / slope, (top - at_zero) / slope);
        span = (f64::max(0.0, a.min(b)), f64::min(right, a.max(b)));
    }
    let ends = [span.0, span.1].map(|x| (x, at_zero + slope * x));
    let finite = ends.iter().all(|(x, y)| x.is_finite() && y.is_finite());
    (finite && span.0 < span.1).then_some(ends)
}

fn table(found: &Inflation, points: &[Point<'_>]) -> String {
    let mut table = Data::new("arm,against,task,item_id,tokens_against,tokens");
    for p in points {
        let (base, arm) = (data::number(Some(p.base)), data::number(Some(p.arm)));
        table.row(&[&found.arm, &found.against, &p.task, &p.item_id, &base, &arm]);
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_shared_item_is_a_point_and_the_line_is_the_comparisons() {
        let comparison = fixture::comparison();
        let found = figures(&comparison);
        assert_eq!(found.len(), 2);
        assert!(
            found[0]
                .svg
                .contains("slope within tasks 2.55 [2.20, 2.90]")
        );
        assert!(!found[0].svg.contains("2.40"));
        let rows = data::parse(&found[0].csv);
        assert_eq!(rows.len(), 1 + 18);
        let of = |arm: usize| comparison.arms[arm].tasks[0].points[3].tokens.to_string();
        assert_eq!(rows[4][4..], [of(0), of(2)]);
    }

    #[test]
    fn a_line_that_is_not_there_is_said_and_not_drawn() {
        let mut comparison = fixture::comparison();
        let slope = &mut comparison.further.inflation[0].slope;
        slope.value = None;
        slope.why_undefined = Some("no variance in base tokens".to_owned());
        let svg = &figures(&comparison)[0].svg;
        assert!(svg.contains("no slope: no variance in base tokens"));
    }

    #[test]
    fn each_task_has_a_line_of_the_slope_through_its_mean() {
        let point = |task, base, arm| Point {
            task,
            item_id: "a",
            base,
            arm,
        };
        let points = [
            point("t", 1.0, 3.0),
            point("t", 3.0, 7.0),
            point("u", 2.0, 10.0),
            point("u", 4.0, 12.0),
        ];
        let found = lines(&points, 2.0);
        assert_eq!(found[0], [(1.0, 3.0), (3.0, 7.0)]);
        // The second is cut at its highest point.
        assert_eq!(found[1], [(2.0, 9.0), (3.5, 12.0)]);
    }

    #[test]
    fn lines_are_cut_at_the_edges_of_the_plot() {
        assert_eq!(within(1.0, 0.0, 10.0, 5.0), Some([(0.0, 0.0), (5.0, 5.0)]));
        assert_eq!(within(2.0, -2.0, 4.0, 9.0), Some([(1.0, 0.0), (4.0, 6.0)]));
        assert_eq!(within(-1.0, 3.0, 9.0, 9.0), Some([(0.0, 3.0), (3.0, 0.0)]));
        assert_eq!(within(1.0, 20.0, 10.0, 5.0), None);
        assert_eq!(within(0.0, 3.0, 10.0, 5.0), Some([(0.0, 3.0), (10.0, 3.0)]));
        assert_eq!(within(f64::NAN, 0.0, 10.0, 5.0), None);
    }

    #[test]
    fn a_base_that_spends_nothing_has_no_multiplier() {
        let point = Point {
            task: "t",
            item_id: "a",
            base: 0.0,
            arm: 3.0,
        };
        assert_eq!(multiplier(&[point]), None);
    }
}
