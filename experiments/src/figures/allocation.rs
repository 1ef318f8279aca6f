//! Whether an arm thinks longer before its wrong answers than before its right
//! ones to the same items, an arm a row, and people a row each task.
//!
//! Draws what the comparison holds, the effect size and its interval; mean
//! tokens of wrong and of right answers are deliberately not set side by side,
//! since they are over different items.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED, Palette};
use super::{Figure, marks, ticks};
use crate::comparison::{Comparison, Estimate};
use crate::tables::format::{self, Quantity};

const WIDTH: u32 = 360;
const TOP: i32 = 48;
const ROW: i32 = 28;
const BOTTOM: i32 = 26;
/// Room for the value in words, right of the plot.
const VALUES: i32 = 130;
/// Letters of an arm's name that have room.
const NAME: usize = 16;

const DEFINITION: &str = "Cohen's d of ln(1 + reasoning tokens), wrong minus right samples within an item, over the items that \
     have both, with its 95 % interval over trainings and items; of people the same of ln(RT) over trials, on each task \
     whose trials are at hand. Right of 0 they take longer before wrong answers. Undefined below three such items.";

/// The figure; none where the comparison holds no allocation.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let arms = rows(comparison);
    if arms.is_empty() {
        return None;
    }
    let arms = arms.as_slice();
    let colors = Palette::of(comparison);
    let title = "Tokens on wrong against right answers";
    let said: Vec<String> = arms.iter().map(in_words).collect();
    let label = Label {
        title,
        description: &format!("{DEFINITION} {}.", said.join("; ")),
    };
    let ends = arms.iter().flat_map(|arm| {
        let d = arm.d;
        [d.low, d.value, d.high].into_iter().flatten()
    });
    let range = canvas::range(ends.chain([-0.1, 0.1]), 0.08);
    let count = arms.len() as f64;
    let longest = arms.iter().map(|a| a.name.chars().count()).max();
    let left = (14 + 7 * longest.unwrap_or(0).min(NAME) as i32).max(44);
    let most = ((WIDTH as i32 - VALUES - left) / 45).clamp(2, 5) as usize;
    let x = Axis {
        range,
        ticks: ticks::linear(range.0, range.1, most),
        name: String::new(),
    };
    let y = Axis {
        range: (count, 0.0),
        ticks: Vec::new(),
        name: String::new(),
    };
    let height = (TOP + ROW * arms.len() as i32 + BOTTOM) as u32;
    let svg = canvas::svg((WIDTH, height), &label, |area| {
        canvas::text(area, title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(TOP, VALUES, BOTTOM, left), &x, &y)?;
        let zero = chart.backend_coord(&(0.0, 0.0)).0 / SCALE;
        let style = canvas::font(11.0, MUTED);
        canvas::text(
            area,
            "more on right",
            &style,
            (zero - 6, TOP - 10),
            HPos::Right,
        )?;
        canvas::text(
            area,
            "more on wrong",
            &style,
            (zero + 6, TOP - 10),
            HPos::Left,
        )?;
        let line = [(0.0, 0.0), (0.0, count)];
        chart.draw_series(LineSeries::new(line, MUTED.stroke_width(SCALE as u32)))?;
        for (i, arm) in arms.iter().enumerate() {
            let place = TOP + ROW * i as i32 + ROW / 2;
            let middle = i as f64 + 0.5;
            let name = canvas::shorten(&arm.name, NAME);
            let style = canvas::font(12.0, INK);
            canvas::text(area, &name, &style, (left - 6, place), HPos::Right)?;
            let shown = format::estimate(arm.d, Quantity::Signed);
            let at = (WIDTH as i32 - VALUES + 10, place);
            canvas::text(area, &shown, &canvas::font(11.0, INK), at, HPos::Left)?;
            if let Some((low, high)) = format::interval(arm.d) {
                let ends = vec![(low, middle), (high, middle)];
                let ink = INK.stroke_width(3 * SCALE as u32 / 2);
                chart.draw_series([PathElement::new(ends, ink)])?;
            }
            if let Some(d) = arm.d.value.filter(|d| d.is_finite()) {
                let at = chart.backend_coord(&(d, middle));
                let (shape, color) = if arm.people {
                    (marks::Shape::Bar, INK)
                } else {
                    (colors.shape(&arm.name), colors.color(&arm.name))
                };
                marks::draw(area, shape, at, 4.5, color)?;
            }
        }
        Ok(())
    });
    Some(Figure {
        stem: "allocation".to_owned(),
        title: title.to_owned(),
        definition: DEFINITION.to_owned(),
        svg,
        csv: table(arms),
    })
}

/// A row of the figure.
struct Shown<'c> {
    name: String,
    people: bool,
    d: &'c Estimate,
}

/// The arms, then people on each task.
fn rows(comparison: &Comparison) -> Vec<Shown<'_>> {
    let arms = comparison.further.arms.iter().map(|arm| Shown {
        name: arm.name.clone(),
        people: false,
        d: &arm.allocation,
    });
    let people = comparison.further.people.iter().map(|found| Shown {
        name: format!("people, {}", found.task),
        people: true,
        d: &found.value,
    });
    arms.chain(people).collect()
}

fn in_words(arm: &Shown<'_>) -> String {
    let shown = format::estimate(arm.d, Quantity::Signed);
    match &arm.d.why_undefined {
        Some(why) => format!("{} {shown}: {why}", arm.name),
        None => format!("{} {shown}", arm.name),
    }
}

fn table(arms: &[Shown<'_>]) -> String {
    let mut table = Data::new("arm_or_people,cohens_d,low,high,items_with_both,why_undefined");
    for arm in arms {
        let [value, low, high, why] = data::estimate(arm.d);
        table.row(&[&arm.name, &value, &low, &high, &arm.d.n, &why]);
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_undefined_effect_has_a_word_and_no_mark() {
        let comparison = fixture::comparison();
        let found = figure(&comparison).unwrap();
        // The base is undefined: grey would be its mark.
        assert!(!found.svg.contains("#878787"));
        assert!(found.svg.contains("undefined"));
        let rows = data::parse(&found.csv);
        assert_eq!(rows[1][..5], ["base", "", "", "", "0"]);
        let sft = comparison.further.arms[2].allocation.value.unwrap();
        assert_eq!(rows[3][1], sft.to_string());
        assert_eq!(rows[5][..2], ["people, alphabet_arithmetic", "0.44"]);
    }

    #[test]
    fn nothing_is_drawn_of_a_comparison_without_it() {
        let mut comparison = fixture::comparison();
        comparison.further.arms.clear();
        comparison.further.people.clear();
        assert!(figure(&comparison).is_none());
    }
}
