//! Elasticity, r at unlimited samples, accuracy and balanced accuracy by arm, with
//! interval whiskers.
//!
//! The bars lie, so that arm names can be read at any width. An undefined
//! value has no bar: the word stands in its place. What is had without any model
//! is a line through all bars: what constant answers score, and how far
//! people's times follow from what an item looks like.

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
const TOP: i32 = 30;
const ROW: i32 = 30;
const BOTTOM: i32 = 26;
/// Room for the value in words, right of the plot.
const VALUES: i32 = 130;
/// Height of a line of the legend.
const LINE: i32 = 16;
/// Dashes and gaps that tell the lines apart, in pixels of the page; the last is as good as whole.
const DASHES: [canvas::Dash; 3] = [(7, 4), (2, 3), (400, 1)];

/// One figure a measure; none where there are no arms, and none of what has no place.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    if comparison.arms.is_empty() {
        return Vec::new();
    }
    let measures = [
        Measure::Elasticity,
        Measure::AlignmentUnlimited,
        Measure::Accuracy,
        Measure::BalancedAccuracy,
    ];
    let shown = measures
        .into_iter()
        .filter(|measure| comparison.shows(*measure));
    shown.map(|measure| figure(comparison, measure)).collect()
}

fn figure(comparison: &Comparison, measure: Measure) -> Figure {
    let colors = Palette::of(comparison);
    let arms = &comparison.arms;
    let name = layout::measure_name(measure);
    let references = references(comparison, measure);
    let definition = definition(measure, &references);
    let stem = stem(&["bars", &name.replace(' ', "_")]);
    let values: Vec<String> = arms
        .iter()
        .map(|arm| {
            let shown = format::estimate(estimate(arm, measure), Quantity::of(measure));
            format!("{} {shown}", arm.name)
        })
        .collect();
    let title = heading(name);
    let description = format!("{definition} {}.", values.join("; "));
    let label = Label {
        title: &format!("{title} by arm"),
        description: &description,
    };
    let rows = arms.len() as f64;
    let (low, high) = ends(arms, measure, &references);
    let x = Axis {
        range: (low, high),
        ticks: ticks::linear(low, high, 5),
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
    // A legend of its own line each, under the title.
    let top = TOP + LINE * references.len() as i32;
    let height = (top + ROW * arms.len() as i32 + BOTTOM) as u32;
    let svg = canvas::svg((WIDTH, height), &label, |area| {
        canvas::text(area, &title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(top, VALUES, BOTTOM, left), &x, &y)?;
        for ((name, at), (dash, y)) in references.iter().zip(DASHES.into_iter().zip(0..)) {
            let y = TOP + 3 + LINE * y;
            let style = MUTED.stroke_width(3 * SCALE as u32 / 2);
            canvas::dashes(area, (2, y), style, Some(dash))?;
            let shown = format::number(Some(*at), Quantity::of(measure));
            let text = canvas::shorten(&format!("{name} {shown}"), 48);
            canvas::text(area, &text, &canvas::font(11.0, MUTED), (30, y), HPos::Left)?;
        }
        for (i, arm) in arms.iter().enumerate() {
            let value = estimate(arm, measure);
            let middle = i as f64 + 0.5;
            let place = (left, top + ROW * i as i32 + ROW / 2);
            row_text(area, arm, value, Quantity::of(measure), place)?;
            if let Some(v) = value.value.filter(|v| v.is_finite()) {
                let corners = [(0.0, middle - 0.3), (v, middle + 0.3)];
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
        if low < 0.0 {
            let zero = [(0.0, 0.0), (0.0, rows)];
            chart.draw_series(LineSeries::new(zero, MUTED.stroke_width(SCALE as u32)))?;
        }
        for ((_, at), (dash, gap)) in references.iter().zip(DASHES) {
            let line = MUTED.stroke_width(3 * SCALE as u32 / 2);
            let ends = [(*at, 0.0), (*at, rows)];
            chart.draw_series(DashedLineSeries::new(ends, dash * SCALE, gap * SCALE, line))?;
        }
        Ok(())
    });
    Figure {
        stem,
        title: format!("{title} by arm"),
        definition,
        svg,
        csv: table(arms, measure, &references),
    }
}

/// What is had without any model: its name and value.
type Reference = (String, f64);

/// What arms are read against, as many as there are dashes.
fn references(comparison: &Comparison, measure: Measure) -> Vec<Reference> {
    let mut found = match measure {
        Measure::AlignmentUnlimited => layout::predictor_means(comparison),
        _ => layout::best_constant(comparison, measure)
            .map(|at| ("best constant answer".to_owned(), at))
            .into_iter()
            .collect(),
    };
    // Of many covariates the last stand for all: prompt length, and all of them fitted.
    let more = found.len().saturating_sub(DASHES.len());
    found.drain(..more);
    found
}

/// The ends of the axis: 0 and 1, and further where a value lies beyond.
fn ends(arms: &[ArmFigures], measure: Measure, references: &[Reference]) -> (f64, f64) {
    let of_arms = arms.iter().flat_map(|arm| {
        let found = estimate(arm, measure);
        [found.low, found.value, found.high].into_iter().flatten()
    });
    let all: Vec<f64> = of_arms
        .chain(references.iter().map(|(_, at)| *at))
        .filter(|v| v.is_finite())
        .collect();
    let quarter = |v: f64| (v * 4.0).round() / 4.0;
    let low = all.iter().copied().fold(0.0, f64::min);
    let high = all.iter().copied().fold(0.0, f64::max);
    match measure {
        Measure::Accuracy | Measure::BalancedAccuracy => (0.0, 1.0),
        _ => (
            quarter(low - 0.124).min(0.0),
            quarter(high + 0.124).max(0.25),
        ),
    }
}

fn table(arms: &[ArmFigures], measure: Measure, references: &[Reference]) -> String {
    let name = layout::measure_name(measure);
    let mut table = Data::new("measure,kind,name,value,low,high,n,why_undefined");
    for arm in arms {
        let estimate = estimate(arm, measure);
        let [value, low, high, why] = data::estimate(estimate);
        table.row(&[
            &name,
            &"arm",
            &arm.name,
            &value,
            &low,
            &high,
            &estimate.n,
            &why,
        ]);
    }
    for (of, at) in references {
        let at = data::number(Some(*at));
        table.row(&[&name, &"without a model", of, &at, &"", &"", &"", &""]);
    }
    table.csv()
}

fn row_text(
    area: &Area<'_>,
    arm: &ArmFigures,
    value: &Estimate,
    quantity: Quantity,
    (left, y): (i32, i32),
) -> Drawn {
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

fn definition(measure: Measure, references: &[Reference]) -> String {
    let mut text = match measure {
        Measure::Accuracy => "Share of right samples among those that came to an end, mean over tasks.",
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
            "Mean over tasks of the Pearson correlation between ln(1 + reasoning tokens) and human mean ln(RT) over items, \
             as observed."
        }
        Measure::Tokens => "Mean reasoning tokens, mean over tasks.",
    }
    .to_owned();
    text.push_str(" Whiskers are 95 % intervals over trainings and items.");
    if references.is_empty() {
        return text;
    }
    text.push_str(match measure {
        Measure::AlignmentUnlimited => {
            " Lines through the bars are what follows people's times without any model, mean over tasks: covariates that every task \
             has, the length of the prompt, and all covariates fitted to these items. An arm that does not lie above \
             prompt length has shown nothing that length does not."
        }
        _ => " The dashed line is what the best constant answer of each task scores without any model, mean over tasks.",
    });
    text
}

/// A measure's name at the beginning of a title; r is never a capital.
fn heading(name: &str) -> String {
    if name.starts_with("r ") {
        name.to_owned()
    } else {
        layout::capitalized(name)
    }
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
    fn a_negative_elasticity_has_a_bar_left_of_zero() {
        let mut comparison = fixture::comparison();
        for (arm, value) in [(2, 0.4), (3, -0.2)] {
            comparison.arms[arm].elasticity = Estimate {
                value: Some(value),
                low: Some(value - 0.1),
                high: Some(value + 0.1),
                n: 18,
                ..Estimate::default()
            };
        }
        let svg = figure(&comparison, Measure::Elasticity).svg;
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
        let rows = data::parse(&figure(&comparison, Measure::AlignmentUnlimited).csv);
        // One predictor is defined on both tasks.
        assert_eq!(rows.len(), 1 + comparison.arms.len() + 1);
        assert_eq!(rows[1][2..7], ["base", "", "", "", "18"]);
        assert_eq!(rows[1][7], "no task has a defined alignment");
        let grpo: f64 = rows[4][3].parse().unwrap();
        assert_eq!(Some(grpo), comparison.arms[3].alignment_unlimited.value);
        assert_eq!(rows[5][1..3], ["without a model", "all covariates, fitted"]);
    }

    #[test]
    fn an_undefined_value_has_a_word_and_no_bar() {
        let svg = figure(&fixture::comparison(), Measure::AlignmentUnlimited).svg;
        assert!(bar_widths(&svg, "#878787").is_empty());
        assert!(svg.contains("undefined"));
    }

    #[test]
    fn a_predictor_is_a_dashed_line_with_its_name() {
        let mut comparison = fixture::comparison();
        let svg = |comparison: &Comparison| figure(comparison, Measure::AlignmentUnlimited).svg;
        assert!(svg(&comparison).contains("all covariates, fitted +0.60"));
        comparison.further.trivial.clear();
        assert!(!svg(&comparison).contains("fitted"));
        assert!(
            !figure(&comparison, Measure::AlignmentUnlimited)
                .definition
                .contains("Lines through")
        );
    }
}
