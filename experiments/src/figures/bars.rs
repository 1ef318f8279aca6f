//! Accuracy, balanced accuracy and alignment by arm, with interval whiskers.
//!
//! The bars lie, so that arm names can be read at any width. An undefined
//! value has no bar: the word stands in its place.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Area, Axis, Drawn, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED, Palette};
use super::{Figure, stem, ticks};
use crate::comparison::{ArmFigures, Comparison, Estimate, Measure};
use crate::tables::format::{self, Quantity};
use crate::tables::layout;

const WIDTH: u32 = 360;
const TOP: i32 = 44;
const ROW: i32 = 30;
const BOTTOM: i32 = 26;
/// Room for the value in words, right of the plot.
const VALUES: i32 = 118;

/// One figure a measure; none where there are no arms.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    if comparison.arms.is_empty() {
        return Vec::new();
    }
    [
        Measure::Accuracy,
        Measure::BalancedAccuracy,
        Measure::Alignment,
    ]
    .map(|measure| figure(comparison, measure))
    .into()
}

fn figure(comparison: &Comparison, measure: Measure) -> Figure {
    let colors = Palette::of(comparison);
    let arms = &comparison.arms;
    let name = layout::measure_name(measure);
    let reference = layout::best_constant(comparison, measure);
    let definition = definition(measure, reference.is_some());
    let stem = stem(&["bars", &name.replace(' ', "_")]);
    let values: Vec<String> = arms
        .iter()
        .map(|arm| {
            let shown = format::estimate(estimate(arm, measure), Quantity::of(measure));
            format!("{} {shown}", arm.name)
        })
        .collect();
    let title = capitalized(name);
    let description = format!("{definition} {}.", values.join("; "));
    let label = Label {
        title: &format!("{title} by arm"),
        description: &description,
    };
    let lows = arms
        .iter()
        .filter_map(|arm| estimate(arm, measure).low.or(estimate(arm, measure).value));
    let low = match measure {
        Measure::Alignment => (lows.fold(0.0, f64::min) * 4.0).floor() / 4.0,
        _ => 0.0,
    };
    let rows = arms.len() as f64;
    let x = Axis {
        range: (low, 1.0),
        ticks: ticks::linear(low, 1.0, 5),
        name: String::new(),
    };
    let y = Axis {
        range: (rows, 0.0),
        ticks: Vec::new(),
        name: String::new(),
    };
    let longest = arms
        .iter()
        .map(|a| a.name.chars().count())
        .max()
        .unwrap_or(0);
    let left = (14 + 7 * longest.min(16) as i32).max(44);
    let height = (TOP + ROW * arms.len() as i32 + BOTTOM) as u32;
    let svg = canvas::svg((WIDTH, height), &label, |area| {
        canvas::text(area, &title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(TOP, VALUES, BOTTOM, left), &x, &y)?;
        if let Some(at) = reference {
            let text = format!(
                "best constant answer {}",
                format::number(Some(at), Quantity::Share)
            );
            let place = chart.backend_coord(&(at, 0.0)).0 / SCALE;
            let style = canvas::font(11.0, MUTED);
            canvas::text(area, &text, &style, (place.max(72), TOP - 10), HPos::Center)?;
        }
        for (i, arm) in arms.iter().enumerate() {
            let value = estimate(arm, measure);
            let middle = i as f64 + 0.5;
            row_text(area, arm, value, Quantity::of(measure), (i as i32, left))?;
            if let Some(v) = value.value.filter(|v| v.is_finite()) {
                let corners = [(low.max(0.0), middle - 0.3), (v, middle + 0.3)];
                let bar = Rectangle::new(corners, colors.color(&arm.name).filled());
                chart.draw_series([bar])?;
            }
            if let Some((from, to)) = format::interval(value) {
                let ink = INK.stroke_width(3 * SCALE as u32 / 2);
                let cap = |at: f64| vec![(at, middle - 0.13), (at, middle + 0.13)];
                chart.draw_series(
                    [vec![(from, middle), (to, middle)], cap(from), cap(to)]
                        .map(|path| PathElement::new(path, ink)),
                )?;
            }
        }
        if let Some(at) = reference {
            let line = MUTED.stroke_width(SCALE as u32);
            let ends = [(at, 0.0), (at, rows)];
            chart.draw_series(DashedLineSeries::new(ends, 4 * SCALE, 3 * SCALE, line))?;
        }
        Ok(())
    });
    Figure {
        stem,
        title: format!("{title} by arm"),
        definition,
        svg,
        csv: table(arms, measure, reference),
    }
}

fn table(arms: &[ArmFigures], measure: Measure, reference: Option<f64>) -> String {
    let name = layout::measure_name(measure);
    let mut table = Data::new("measure,arm,value,low,high,n,best_constant_answer,why_undefined");
    for arm in arms {
        let estimate = estimate(arm, measure);
        let [value, low, high, why] = data::estimate(estimate);
        let constant = data::number(reference);
        table.row(&[
            &name,
            &arm.name,
            &value,
            &low,
            &high,
            &estimate.n,
            &constant,
            &why,
        ]);
    }
    table.csv()
}

fn row_text(
    area: &Area<'_>,
    arm: &ArmFigures,
    value: &Estimate,
    quantity: Quantity,
    (row, left): (i32, i32),
) -> Drawn {
    let y = TOP + ROW * row + ROW / 2;
    let name = canvas::shorten(&arm.name, 16);
    canvas::text(
        area,
        &name,
        &canvas::font(12.0, INK),
        (left - 6, y),
        HPos::Right,
    )?;
    let shown = format::estimate(value, quantity);
    let at = (WIDTH as i32 - VALUES + 10, y);
    canvas::text(area, &shown, &canvas::font(11.0, INK), at, HPos::Left)
}

fn estimate(arm: &ArmFigures, measure: Measure) -> &Estimate {
    match measure {
        Measure::Accuracy => &arm.accuracy,
        Measure::BalancedAccuracy => &arm.balanced_accuracy,
        Measure::Elasticity => &arm.elasticity,
        Measure::AlignmentUnlimited => &arm.alignment_unlimited,
        Measure::Alignment => &arm.alignment,
        Measure::Tokens => &arm.tokens,
    }
}

fn definition(measure: Measure, reference: bool) -> String {
    let mut text = match measure {
        Measure::Accuracy => "Share of right samples, mean over tasks, samples that were cut off left out.",
        Measure::BalancedAccuracy => {
            "Mean over the expected answers of the accuracy on each, mean over tasks."
        }
        Measure::Elasticity => {
            "By how many per cent spending rises where people take one per cent longer: the covariance of ln(1 + \
             reasoning tokens) and human mean ln(RT) over the variance of the latter, mean over tasks."
        }
        Measure::AlignmentUnlimited => {
            "r over the square root of its reliability, which is what it would be with unlimited samples; mean over tasks."
        }
        Measure::Alignment => {
            "Mean over tasks of the Pearson correlation between ln(1 + reasoning tokens) and human mean ln(RT) over items."
        }
        Measure::Tokens => "Mean reasoning tokens, mean over tasks.",
    }
    .to_owned();
    text.push_str(" Whiskers are 95 % intervals.");
    if reference {
        text.push_str(
            " The dashed line is what the best constant answer of each task scores without any model, mean over tasks.",
        );
    }
    text
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// Widths of the bars of a colour.
    fn bar_widths(svg: &str, hex: &str) -> Vec<f64> {
        svg.lines()
            .filter(|l| l.starts_with("<rect") && l.contains(&format!("fill=\"{hex}\"")))
            .map(|l| {
                let rest = l.split_once("width=\"").unwrap().1;
                rest.split_once('"').unwrap().0.parse().unwrap()
            })
            .collect()
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let comparison = fixture::comparison();
        let svg = figure(&comparison, Measure::Accuracy).svg;
        let base = bar_widths(&svg, "#878787")[0];
        let grpo = bar_widths(&svg, "#0072B2")[0];
        let expected =
            comparison.arms[3].accuracy.value.unwrap() / comparison.arms[0].accuracy.value.unwrap();
        assert!((grpo / base - expected).abs() < 0.01, "{grpo} / {base}");
    }

    #[test]
    fn a_negative_alignment_has_a_bar_left_of_zero() {
        let mut comparison = fixture::comparison();
        for (arm, value) in [(2, 0.4), (3, -0.2)] {
            comparison.arms[arm].alignment = Estimate {
                value: Some(value),
                low: Some(value - 0.1),
                high: Some(value + 0.1),
                n: 18,
                ..Estimate::default()
            };
        }
        let svg = figure(&comparison, Measure::Alignment).svg;
        let positive = bar_widths(&svg, "#D55E00")[0];
        let negative = bar_widths(&svg, "#0072B2")[0];
        assert!(
            (positive / negative - 2.0).abs() < 0.02,
            "{positive} / {negative}"
        );
    }

    #[test]
    fn the_data_are_the_estimates_unrounded() {
        let comparison = fixture::comparison();
        let rows = data::parse(&figure(&comparison, Measure::Alignment).csv);
        assert_eq!(rows.len(), 1 + comparison.arms.len());
        assert_eq!(rows[1][1..6], ["base", "", "", "", "18"]);
        assert_eq!(rows[1][7], "no task has a defined alignment");
        let grpo: f64 = rows[4][2].parse().unwrap();
        assert_eq!(Some(grpo), comparison.arms[3].alignment.value);
    }

    #[test]
    fn an_undefined_value_has_a_word_and_no_bar() {
        let svg = figure(&fixture::comparison(), Measure::Alignment).svg;
        assert!(bar_widths(&svg, "#878787").is_empty());
        assert!(svg.contains("undefined"));
    }
}
