//! Differences between arms with their intervals, a figure for each measure
//! that has contrasts: what lies on one side of 0 and what lies across it.
//!
//! The figures themselves stand in the table; here a difference without an
//! interval has no mark, and its place says so.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED};
use super::{Figure, stem, ticks};
use crate::comparison::{Comparison, Contrast, Measure};
use crate::tables::format::{self, Quantity};
use crate::tables::layout;

const WIDTH: u32 = 360;
const TOP: i32 = 30;
const ROW: i32 = 26;
const BOTTOM: i32 = 26;
const RIGHT: i32 = 16;
/// Letters of a contrast's name that have room.
const NAME: usize = 22;

/// One figure a measure, in the order in which the contrasts name them.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    let mut measures: Vec<Measure> = Vec::new();
    for contrast in &comparison.contrasts {
        if !measures.contains(&contrast.measure) {
            measures.push(contrast.measure);
        }
    }
    measures
        .into_iter()
        .map(|measure| {
            let contrasts = comparison.contrasts.iter();
            let of_measure: Vec<&Contrast> = contrasts.filter(|c| c.measure == measure).collect();
            figure(measure, &of_measure)
        })
        .collect()
}

fn figure(measure: Measure, contrasts: &[&Contrast]) -> Figure {
    let name = layout::measure_name(measure);
    let title = format!("Differences in {name}");
    let definition = format!(
        "Paired differences in {name}, first arm minus second, each with its 95 % interval. An interval that holds 0 \
         leaves the direction open."
    );
    let quantity = Quantity::of_difference(measure);
    let values: Vec<String> = contrasts
        .iter()
        .map(|c| {
            let shown = format::estimate(&c.difference, quantity);
            format!("{} - {}: {shown}", c.arm, c.against)
        })
        .collect();
    let stem = stem(&["differences", &name.replace(' ', "_")]);
    let label = Label {
        title: &title,
        description: &format!("{definition} {}.", values.join("; ")),
    };
    let ends = contrasts.iter().flat_map(|c| {
        let d = &c.difference;
        [d.low, d.value, d.high].into_iter().flatten()
    });
    let range = canvas::range(ends.chain([0.0]), 0.08);
    let rows = contrasts.len() as f64;
    let y = Axis {
        range: (rows, 0.0),
        ticks: Vec::new(),
        name: String::new(),
    };
    let names: Vec<String> = contrasts
        .iter()
        .map(|c| canvas::shorten(&format!("{} - {}", c.arm, c.against), NAME))
        .collect();
    let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let left = (14 + 6 * longest as i32).max(44);
    // A label needs some 45 pixels.
    let most = ((WIDTH as i32 - RIGHT - left) / 45).clamp(2, 5) as usize;
    let x = Axis {
        range,
        ticks: ticks::linear(range.0, range.1, most),
        name: String::new(),
    };
    let height = (TOP + ROW * contrasts.len() as i32 + BOTTOM) as u32;
    let svg = canvas::svg((WIDTH, height), &label, |area| {
        canvas::text(area, &title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(TOP, RIGHT, BOTTOM, left), &x, &y)?;
        let zero = [(0.0, 0.0), (0.0, rows)];
        chart.draw_series(LineSeries::new(zero, MUTED.stroke_width(SCALE as u32)))?;
        for (i, (contrast, name)) in contrasts.iter().zip(&names).enumerate() {
            let place = TOP + ROW * i as i32 + ROW / 2;
            let middle = i as f64 + 0.5;
            canvas::text(
                area,
                name,
                &canvas::font(12.0, INK),
                (left - 6, place),
                HPos::Right,
            )?;
            let Some((low, high)) = format::interval(&contrast.difference) else {
                let (word, style) = (format::UNDEFINED, canvas::font(11.0, MUTED));
                let at = (left + 8, place);
                canvas::text(area, word, &style, at, HPos::Left)?;
                continue;
            };
            let line = vec![(low, middle), (high, middle)];
            let ink = INK.stroke_width(2 * SCALE as u32);
            chart.draw_series([PathElement::new(line, ink)])?;
            if let Some(value) = contrast.difference.value.filter(|v| v.is_finite()) {
                let dot = Circle::new((value, middle), 4 * SCALE, INK.filled());
                chart.draw_series([dot])?;
            }
        }
        Ok(())
    });
    Figure {
        stem,
        title,
        definition,
        svg,
        csv: table(name, contrasts),
    }
}

fn table(measure: &str, contrasts: &[&Contrast]) -> String {
    let mut table = Data::new(
        "measure,arm,against,difference,low,high,n,p,p_equivalence,verdict,why_undefined",
    );
    for contrast in contrasts {
        let [difference, low, high, why] = data::estimate(&contrast.difference);
        table.row(&[
            &measure,
            &contrast.arm,
            &contrast.against,
            &difference,
            &low,
            &high,
            &contrast.difference.n,
            &data::number(contrast.p),
            &data::number(contrast.p_equivalence),
            &layout::verdict(contrast),
            &why,
        ]);
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_dot_for_each_difference_that_has_an_interval() {
        let figures = figures(&fixture::comparison());
        let stems: Vec<&str> = figures.iter().map(|f| f.stem.as_str()).collect();
        assert_eq!(
            stems,
            [
                "differences-accuracy",
                "differences-alignment",
                "differences-reasoning_tokens"
            ]
        );
        // Of three contrasts in alignment one is undefined.
        let alignment = &figures[1].svg;
        assert_eq!(alignment.matches("<circle").count(), 2);
        assert!(alignment.contains("undefined"));
        assert!(alignment.contains("sft \u{2212} teacher"));
    }
}
