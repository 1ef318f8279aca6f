//! Differences between arms with their intervals, a figure for each measure that has any: what
//! lies on one side of 0, what lies within the smallest effect of interest, and what neither.
//!
//! What was asked as a question comes first, in bold, with its answer; all else is exploratory.
//! A difference without an interval has no mark, and its place says so.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{GRID, INK, MUTED};
use super::{Figure, stem, ticks};
use crate::alignment::training::MEASURES;
use crate::comparison::{Comparison, Contrast, Measure};
use crate::tables::format::{self, Quantity};
use crate::tables::layout;

const WIDTH: u32 = 360;
const TOP: i32 = 30;
const ROW: i32 = 30;
const BOTTOM: i32 = 26;
/// Room for the verdict in words, right of the plot.
const VERDICT: i32 = 104;
/// Letters of a contrast's name, and of a verdict, that have room.
const NAME: usize = 18;
const SAID: usize = 18;

/// A row of a figure.
struct Shown<'c> {
    contrast: &'c Contrast,
    /// The name of the question, where it is one.
    question: Option<&'c str>,
    /// The verdict, of a question by its corrected test.
    said: String,
}

/// One figure a measure, elasticity first; none of what has no place.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    let of = |measure: Measure| {
        if !comparison.shows(measure) {
            return None;
        }
        let rows = rows(comparison, measure);
        (!rows.is_empty()).then(|| figure(measure, &rows))
    };
    MEASURES.into_iter().filter_map(of).collect()
}

fn rows(comparison: &Comparison, measure: Measure) -> Vec<Shown<'_>> {
    let asked = comparison.answers.iter().map(|answer| Shown {
        contrast: &answer.contrast,
        question: Some(&answer.asked.question.name),
        said: answer.word().to_owned(),
    });
    let contrasts = comparison.contrasts.iter();
    let others = contrasts.filter(|contrast| !layout::is_asked(comparison, contrast));
    let others = others.map(|contrast| Shown {
        contrast,
        question: None,
        said: layout::verdict_word(contrast).to_owned(),
    });
    let all = asked.chain(others);
    all.filter(|row| row.contrast.measure == measure).collect()
}

fn figure(measure: Measure, contrasts: &[Shown<'_>]) -> Figure {
    let name = layout::measure_name(measure);
    let title = format!("Differences in {name}");
    let definition = format!(
        "Differences in {name}, first arm minus second: the thin line is the 95 % interval over trainings and items, the \
         thick one the 90 % interval. The shaded band is the smallest effect of interest: a difference whose 90 % interval \
         lies within it is equivalent. Questions are in bold with their answers, which are corrected for their number; \
         all else is exploratory and corrected for nothing."
    );
    let quantity = Quantity::of_difference(measure);
    let values: Vec<String> = contrasts
        .iter()
        .map(|row| {
            let c = row.contrast;
            let shown = format::estimate(&c.difference, quantity);
            format!("{} - {}: {shown}, {}", c.arm, c.against, row.said)
        })
        .collect();
    let stem = stem(&["differences", &name.replace(' ', "_")]);
    let label = Label {
        title: &title,
        description: &format!("{definition} {}.", values.join("; ")),
    };
    let ends = contrasts.iter().flat_map(|row| {
        let (d, most) = (&row.contrast.difference, row.contrast.smallest_effect);
        let margin = [most, most.map(|most| -most)];
        [d.low, d.value, d.high].into_iter().chain(margin).flatten()
    });
    let range = canvas::range(ends.chain([0.0]), 0.06);
    let count = contrasts.len() as f64;
    let y = Axis {
        range: (count, 0.0),
        ticks: Vec::new(),
        name: String::new(),
    };
    let names: Vec<String> = contrasts
        .iter()
        .map(|row| format!("{} - {}", row.contrast.arm, row.contrast.against))
        .map(|name| canvas::shorten(&name, NAME))
        .collect();
    let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let left = (16 + 13 * longest as i32 / 2).max(44);
    // A label needs some 45 pixels.
    let most = ((WIDTH as i32 - VERDICT - left) / 45).clamp(2, 5) as usize;
    let x = Axis {
        range,
        ticks: ticks::linear(range.0, range.1, most),
        name: String::new(),
    };
    let height = (TOP + ROW * contrasts.len() as i32 + BOTTOM) as u32;
    let svg = canvas::svg((WIDTH, height), &label, |area| {
        canvas::text(area, &title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(TOP, VERDICT, BOTTOM, left), &x, &y)?;
        let bands = contrasts.iter().zip(0..).filter_map(|(row, i)| {
            let most = row
                .contrast
                .smallest_effect
                .filter(|most| most.is_finite())?;
            let corners = [(-most, f64::from(i)), (most, f64::from(i + 1))];
            Some(Rectangle::new(corners, GRID.filled()))
        });
        chart.draw_series(bands)?;
        let zero = [(0.0, 0.0), (0.0, count)];
        chart.draw_series(LineSeries::new(zero, MUTED.stroke_width(SCALE as u32)))?;
        for ((row, name), i) in contrasts.iter().zip(&names).zip(0..) {
            let place = TOP + ROW * i + ROW / 2;
            let middle = f64::from(i) + 0.5;
            let (named, plain) = (canvas::bold(12.0), canvas::font(12.0, INK));
            let style = if row.question.is_some() { named } else { plain };
            canvas::text(area, name, &style, (left - 6, place), HPos::Right)?;
            said(area, row, place)?;
            let Some((low, high)) = format::interval(&row.contrast.difference) else {
                continue;
            };
            let thin = INK.stroke_width(SCALE as u32);
            chart.draw_series([PathElement::new(vec![(low, middle), (high, middle)], thin)])?;
            if let (Some(low), Some(high)) = (row.contrast.low90, row.contrast.high90) {
                let thick = INK.stroke_width(3 * SCALE as u32);
                let line = vec![(low, middle), (high, middle)];
                chart.draw_series([PathElement::new(line, thick)])?;
            }
            if let Some(value) = row.contrast.difference.value.filter(|v| v.is_finite()) {
                let dot = Circle::new((value, middle), 9 * SCALE / 2, INK.filled());
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

/// The verdict beside a row, and under it what it can be said of.
fn said(area: &canvas::Area<'_>, row: &Shown<'_>, place: i32) -> canvas::Drawn {
    let at = WIDTH as i32 - VERDICT + 8;
    let scope = layout::scope(row.contrast);
    let scope = scope.filter(|_| row.contrast.difference.value.is_some());
    let up = if scope.is_some() { 6 } else { 0 };
    let word = canvas::shorten(&row.said, SAID);
    let style = if row.question.is_some() {
        canvas::bold(11.0)
    } else {
        canvas::font(11.0, INK)
    };
    canvas::text(area, &word, &style, (at, place - up), HPos::Left)?;
    if let Some(scope) = scope {
        let scope = canvas::shorten(scope.trim_start_matches("for "), SAID + 2);
        let style = canvas::font(10.0, MUTED);
        canvas::text(area, &scope, &style, (at, place + 7), HPos::Left)?;
    }
    Ok(())
}

fn table(measure: &str, contrasts: &[Shown<'_>]) -> String {
    let mut table = Data::new(
        "measure,arm,against,question,difference,low,high,low90,high90,smallest_effect,n,p,p_equivalence,verdict,\
         why_undefined",
    );
    for row in contrasts {
        let c = row.contrast;
        let [difference, low, high, why] = data::estimate(&c.difference);
        table.row(&[
            &measure,
            &c.arm,
            &c.against,
            &row.question.unwrap_or_default(),
            &difference,
            &low,
            &high,
            &data::number(c.low90),
            &data::number(c.high90),
            &data::number(c.smallest_effect),
            &c.difference.n,
            &data::number(c.p),
            &data::number(c.p_equivalence),
            &row.said,
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
    fn the_primary_outcome_comes_first_and_what_has_an_interval_has_a_dot() {
        let figures = figures(&fixture::comparison());
        let stems: Vec<&str> = figures.iter().map(|f| f.stem.as_str()).collect();
        assert_eq!(
            stems,
            [
                "differences-elasticity",
                "differences-observed_r",
                "differences-accuracy",
                "differences-reasoning_tokens"
            ]
        );
        let elasticity = &figures[0].svg;
        assert_eq!(elasticity.matches("<circle").count(), 2);
        assert!(elasticity.contains("sft \u{2212} teacher"));
        assert!(figures[1].svg.contains("undefined"));
        assert_eq!(figures[1].svg.matches("<circle").count(), 0);
    }

    #[test]
    fn a_question_stands_first_with_its_answer_and_the_rest_with_its_verdict() {
        let comparison = fixture::comparison();
        let accuracy = &figures(&comparison)[2];
        let rows = data::parse(&accuracy.csv);
        assert_eq!(rows[1][1..4], ["grpo", "sft", "like accuracy"]);
        assert_eq!(rows[1][13], "yes");
        assert_eq!(rows[2][1..4], ["grpo", "base", ""]);
        assert_eq!(rows[2][13], "above 0");
        assert!(accuracy.svg.contains("above 0"));
        let elasticity = &figures(&comparison)[0].svg;
        assert!(elasticity.contains("no (opposite)") && elasticity.contains("this teacher alone"));
    }

    #[test]
    fn the_smallest_effect_is_a_band_around_zero() {
        let mut comparison = fixture::comparison();
        let bands = |comparison: &Comparison| {
            let svg = figures(comparison)[0].svg.clone();
            let filled = |l: &&str| l.starts_with("<rect") && l.contains("fill=\"#E3E3E3\"");
            svg.lines().filter(filled).count()
        };
        assert_eq!(bands(&comparison), 2);
        comparison.answers[0].contrast.smallest_effect = None;
        assert_eq!(bands(&comparison), 1);
    }
}
