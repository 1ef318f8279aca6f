//! What more samples of an item are worth: pass@k and majority@k of each arm by the number of
//! samples, mean over tasks.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::marks::{self, Legend};
use super::palette::{MUTED, Palette};
use super::{Figure, ticks};
use crate::comparison::{Among, ArmFigures, Comparison, Estimate};
use crate::tables::format::{self, Quantity};

const SIZE: (u32, u32) = (360, 300);
const KEY: i32 = 33;
const LEGEND: i32 = 52;
const DASHES: canvas::Dash = (4, 3);

const DEFINITION: &str = "Of k samples of an item, drawn from those there are: pass@k, solid, the chance that one at least is right; \
     majority@k, dashed, the chance that their most frequent answer is. Means over tasks, with 95 % intervals over trainings \
     and items, k on a logarithmic axis. Where the lines part, an arm knows more than it says most often.";

/// A figure's name, the figure, and whether its line is dashed.
type Line = (&'static str, fn(&Among) -> &Estimate, bool);

/// The two figures.
const LINES: [Line; 2] = [
    ("pass@k", |of| &of.pass, false),
    ("majority@k", |of| &of.majority, true),
];

/// The figure; none where no item has two samples, or nothing is defined.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let arms: Vec<&ArmFigures> = (comparison.arms.iter())
        .filter(|arm| arm.among.iter().any(|of| of.pass.value.is_some()))
        .collect();
    let sizes = arms.iter().flat_map(|arm| &arm.among).map(|of| of.k);
    let most = sizes.max().filter(|most| *most > 1)?;
    let title = "Right among k samples";
    let mut definition = DEFINITION.to_owned();
    let missing = comparison.arms.iter().flat_map(|arm| {
        let undefined = LINES.iter().filter(|(_, of, _)| {
            let mut all = arm.among.iter();
            all.any(|among| of(among).value.is_none())
        });
        undefined.map(move |(name, ..)| format!("{name} of {}", arm.name))
    });
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        definition += " Not drawn where it is undefined: ";
        definition += &missing.join(", ");
        definition.push('.');
    }
    let said: Vec<String> = arms.iter().map(|arm| in_words(arm)).collect();
    let label = Label {
        title,
        description: &format!("{definition} {}.", said.join("; ")),
    };
    let end = (most as f64).log2();
    let sizes: Vec<usize> = arms.iter().flat_map(|a| &a.among).map(|of| of.k).collect();
    let mut at: Vec<ticks::Tick> = (sizes.into_iter())
        .map(|k| ((k as f64).log2(), k.to_string()))
        .collect();
    at.sort_by(|a, b| a.0.total_cmp(&b.0));
    at.dedup_by(|a, b| a.1 == b.1);
    let x = Axis {
        range: (-0.15 - end / 40.0, end + 0.15 + end / 40.0),
        ticks: at,
        name: "samples, k".to_owned(),
    };
    let y = Axis {
        range: (0.0, 1.0),
        ticks: ticks::linear(0.0, 1.0, 5),
        name: "share of items".to_owned(),
    };
    let colors = Palette::of(comparison);
    let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
    let legend = Legend::new(&names, SIZE.0 as i32);
    let svg = canvas::svg(SIZE, &label, |area| {
        canvas::text(area, title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        for ((name, _, dashed), left) in LINES.into_iter().zip([2, 110]) {
            let style = MUTED.stroke_width(3 * SCALE as u32 / 2);
            canvas::dashes(area, (left, KEY), style, dashed.then_some(DASHES))?;
            let place = (left + 28, KEY);
            canvas::text(area, name, &canvas::font(11.0, MUTED), place, HPos::Left)?;
        }
        legend.draw(area, LEGEND, &colors)?;
        let margins = Margins(LEGEND + legend.height(), 14, 38, 52);
        let mut chart = canvas::chart(area, &margins, &x, &y)?;
        for (place, arm) in arms.iter().enumerate() {
            let color = colors.color(&arm.name);
            // Whiskers of several arms do not cover each other.
            let aside = (place as f64 - (arms.len() - 1) as f64 / 2.0) * 0.02 * end.max(1.0);
            let x = |of: &Among| (of.k as f64).log2() + aside.clamp(-0.15, 0.15);
            for (_, figure, dashed) in LINES {
                let whiskers = arm.among.iter().filter_map(|of| {
                    let (low, high) = format::interval(figure(of))?;
                    let thin = color.mix(0.5).stroke_width(SCALE as u32);
                    Some(PathElement::new(vec![(x(of), low), (x(of), high)], thin))
                });
                chart.draw_series(whiskers)?;
                let points = arm.among.iter();
                let points = points.filter_map(|of| Some((x(of), figure(of).value?)));
                let points: Vec<(f64, f64)> = points.collect();
                let thick = color.stroke_width(7 * SCALE as u32 / 4);
                if dashed {
                    let (dash, gap) = DASHES;
                    let line = DashedLineSeries::new(points, dash * SCALE, gap * SCALE, thick);
                    chart.draw_series(line)?;
                    continue;
                }
                chart.draw_series(LineSeries::new(points.iter().copied(), thick))?;
                for point in points {
                    let at = chart.backend_coord(&point);
                    marks::draw(area, colors.shape(&arm.name), at, 4.0, color)?;
                }
            }
        }
        Ok(())
    });
    Some(Figure {
        stem: "among-samples".to_owned(),
        title: title.to_owned(),
        definition,
        svg,
        csv: table(&arms),
    })
}

fn in_words(arm: &ArmFigures) -> String {
    let of_k = |of: &Among| {
        format!(
            "pass@{} {}, majority@{} {}",
            of.k,
            format::number(of.pass.value, Quantity::Share),
            of.k,
            format::number(of.majority.value, Quantity::Share)
        )
    };
    let all: Vec<String> = arm.among.iter().map(of_k).collect();
    format!("{}: {}", arm.name, all.join(", "))
}

fn table(arms: &[&ArmFigures]) -> String {
    let mut table = Data::new("arm,measure,k,value,low,high,n,why_undefined");
    for arm in arms {
        for (name, figure, _) in LINES {
            for of in &arm.among {
                let estimate = figure(of);
                let [value, low, high, why] = data::estimate(estimate);
                table.row(&[
                    &arm.name,
                    &name,
                    &of.k,
                    &value,
                    &low,
                    &high,
                    &estimate.n,
                    &why,
                ]);
            }
        }
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_arm_has_a_line_of_each_and_the_undefined_is_named() {
        let comparison = fixture::comparison();
        let found = figure(&comparison).unwrap();
        let rows = data::parse(&found.csv);
        assert_eq!(rows.len(), 1 + 4 * 2 * 3);
        let pass = comparison.arms[3].among[2].pass.value.unwrap();
        let row = (rows.iter()).find(|row| row[..3] == ["grpo", "pass@k", "4"]);
        assert_eq!(row.unwrap()[3], pass.to_string());
        assert!(found.definition.ends_with("undefined: majority@k of base."));
    }

    #[test]
    fn one_sample_an_item_has_no_figure() {
        let mut comparison = fixture::comparison();
        for arm in &mut comparison.arms {
            arm.among.truncate(1);
        }
        assert!(figure(&comparison).is_none());
        comparison.arms.clear();
        assert!(figure(&comparison).is_none());
    }
}
