//! What the observed correlation would be with more samples an item or fewer, a line an arm:
//! how much of a difference between arms is noise.
//!
//! The curve is the comparison's; here it is the mean over the tasks, as r itself is.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::marks::{self, Legend};
use super::palette::Palette;
use super::{Figure, ticks};
use crate::comparison::{ArmFigures, Comparison};
use crate::tables::format::{self, Quantity};

const SIZE: (u32, u32) = (360, 280);
const TITLE: i32 = 33;
/// How far right of the last number of samples stands what unlimited ones give, in doublings.
const BEYOND: f64 = 1.3;

const DEFINITION: &str = "Mean over tasks of the Pearson correlation between ln(1 + reasoning tokens) and human mean ln(RT) over items, as \
     it would be observed with k samples an item, on a logarithmic axis, mean over trainings; right, with unlimited ones. The \
     mark is what was observed with the samples that there are. Arms that are alike at the right and differ at the left \
     differ in noise alone.";

/// One arm's line.
struct Line<'c> {
    arm: &'c ArmFigures,
    /// Samples an item, r.
    points: Vec<(u32, f64)>,
}

/// The figure; none where no arm has a curve.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let lines: Vec<Line<'_>> = comparison.arms.iter().filter_map(line).collect();
    let most = f64::from(lines.iter().flat_map(|l| &l.points).map(|p| p.0).max()?).log2();
    let own = comparison.evaluation.samples;
    let title = "Observed r by samples an item";
    let mut definition = DEFINITION.to_owned();
    let missing: Vec<&str> = (comparison.arms.iter())
        .filter(|arm| line(arm).is_none())
        .map(|arm| arm.name.as_str())
        .collect();
    if !missing.is_empty() {
        definition += " Not drawn, being undefined on a task: ";
        definition += &missing.join(", ");
        definition.push('.');
    }
    let said: Vec<String> = lines.iter().map(|line| in_words(line, own)).collect();
    let label = Label {
        title,
        description: &format!("{definition} {}.", said.join("; ")),
    };
    let unlimited = |arm: &ArmFigures| arm.alignment_unlimited.value.filter(|r| r.is_finite());
    let values = lines.iter().flat_map(|line| {
        let curve = line.points.iter().map(|(_, r)| *r);
        curve
            .chain(unlimited(line.arm))
            .chain(line.arm.alignment.value)
    });
    let y_range = canvas::range(values.chain([0.0]), 0.06);
    let end = most + BEYOND;
    let mut at: Vec<ticks::Tick> = (0..=most as u32)
        .map(|doubling| (f64::from(doubling), (1_u32 << doubling).to_string()))
        .collect();
    at.push((end, "\u{221e}".to_owned()));
    let x = Axis {
        range: (-0.3, end + 0.3),
        ticks: at,
        name: "samples an item".to_owned(),
    };
    let y = Axis {
        range: y_range,
        ticks: ticks::linear(y_range.0, y_range.1, 5),
        name: "r".to_owned(),
    };
    let colors = Palette::of(comparison);
    let names: Vec<&str> = lines.iter().map(|line| line.arm.name.as_str()).collect();
    let legend = Legend::new(&names, SIZE.0 as i32);
    let svg = canvas::svg(SIZE, &label, |area| {
        canvas::text(area, title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        legend.draw(area, TITLE, &colors)?;
        let margins = Margins(TITLE + legend.height(), 14, 38, 52);
        let mut chart = canvas::chart(area, &margins, &x, &y)?;
        for line in &lines {
            let color = colors.color(&line.arm.name);
            let thick = color.stroke_width(7 * SCALE as u32 / 4);
            let place = |(k, r): &(u32, f64)| (f64::from(*k).log2(), *r);
            chart.draw_series(LineSeries::new(line.points.iter().map(place), thick))?;
            if let (Some(last), Some(r)) = (line.points.last(), unlimited(line.arm)) {
                let ends = [place(last), (end, r)];
                let dashes = DashedLineSeries::new(ends, 3 * SCALE, 3 * SCALE, thick);
                chart.draw_series(dashes)?;
                let dot = Circle::new((end, r), 5 * SCALE / 2, color.filled());
                chart.draw_series([dot])?;
            }
            if let Some(r) = line.arm.alignment.value.filter(|_| own > 0) {
                let at = chart.backend_coord(&(f64::from(own).log2().min(end), r));
                marks::draw(area, colors.shape(&line.arm.name), at, 5.0, color)?;
            }
        }
        Ok(())
    });
    Some(Figure {
        stem: "r-by-samples".to_owned(),
        title: title.to_owned(),
        definition,
        svg,
        csv: table(&lines),
    })
}

/// The mean over the tasks on which the arm has an r; none where one of them has no curve.
fn line(arm: &ArmFigures) -> Option<Line<'_>> {
    let tasks = arm
        .tasks
        .iter()
        .filter(|task| task.alignment.value.is_some());
    let curves: Vec<_> = tasks.map(|task| &task.curve).collect();
    let first = *curves.first()?;
    let at = |k: u32| -> Option<(u32, f64)> {
        let of = |curve: &&Vec<(u32, f64)>| curve.iter().find(|point| point.0 == k).map(|p| p.1);
        let values: Vec<f64> = curves.iter().map(of).collect::<Option<_>>()?;
        Some((k, values.iter().sum::<f64>() / values.len() as f64))
    };
    let points: Vec<(u32, f64)> = first.iter().filter_map(|(k, _)| at(*k)).collect();
    (!points.is_empty()).then_some(Line { arm, points })
}

fn in_words(line: &Line<'_>, own: u32) -> String {
    let shown = |r: Option<f64>| format::number(r, Quantity::Signed);
    format!(
        "{} from {} with 1 to {} with unlimited ones, {} observed with {own}",
        line.arm.name,
        shown(line.points.first().map(|point| point.1)),
        shown(line.arm.alignment_unlimited.value),
        shown(line.arm.alignment.value),
    )
}

fn table(lines: &[Line<'_>]) -> String {
    let mut table = Data::new("arm,samples,r");
    for line in lines {
        for (k, r) in &line.points {
            table.row(&[&line.arm.name, k, &data::number(Some(*r))]);
        }
        let unlimited = data::number(line.arm.alignment_unlimited.value);
        table.row(&[&line.arm.name, &"unlimited", &unlimited]);
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_line_is_the_mean_over_tasks_and_the_undefined_is_named() {
        let comparison = fixture::comparison();
        let found = figure(&comparison).unwrap();
        let rows = data::parse(&found.csv);
        // Three arms of six numbers of samples and unlimited ones.
        assert_eq!(rows.len(), 1 + 3 * 7);
        let tasks = &comparison.arms[2].tasks;
        let mean = f64::midpoint(tasks[0].curve[2].1, tasks[1].curve[2].1);
        let row = rows.iter().find(|row| row[0] == "sft" && row[1] == "4");
        let r: f64 = row.unwrap()[2].parse().unwrap();
        assert!((r - mean).abs() < 1e-12);
        assert!(found.definition.ends_with("undefined on a task: base."));
        assert!(!found.svg.contains("#878787"));
    }

    #[test]
    fn a_task_without_a_curve_leaves_its_arm_out() {
        let mut comparison = fixture::comparison();
        comparison.arms[2].tasks[1].curve.clear();
        let rows = data::parse(&figure(&comparison).unwrap().csv);
        assert!(rows.iter().all(|row| row[0] != "sft"));
        comparison.arms.truncate(1);
        assert!(figure(&comparison).is_none());
    }
}
