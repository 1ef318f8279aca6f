//! What accuracy costs: each arm's accuracy against its reasoning tokens, and
//! which arms no other betters in both.
//!
//! Who dominates whom is read off the point values; the intervals are drawn so
//! that a reader sees where that order is not sure.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED, Palette};
use super::{Figure, marks, ticks};
use crate::comparison::{ArmFigures, Comparison};
use crate::tables::format::{self, Quantity};

const SIZE: (i32, i32) = (360, 280);
const TOP: i32 = 30;
const RIGHT: i32 = 14;
/// More arms than this are named only where no other dominates them.
const NAMED: usize = 8;

const DEFINITION: &str = "Each arm's accuracy and its mean reasoning tokens, both means over tasks, with their 95 % intervals over trainings and items. The \
     line joins the arms that no other dominates: none is at least as accurate with no more tokens and better in one. It \
     goes by the point values alone. A name that has no room beside its mark is in the data.";

/// The figure; none where no arm has both values.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let arms: Vec<Placed<'_>> = comparison.arms.iter().filter_map(Placed::of).collect();
    if arms.is_empty() {
        return None;
    }
    let colors = Palette::of(comparison);
    let title = "Accuracy against tokens";
    let mut definition = DEFINITION.to_owned();
    let missing: Vec<&str> = comparison
        .arms
        .iter()
        .filter(|arm| Placed::of(arm).is_none())
        .map(|arm| arm.name.as_str())
        .collect();
    if !missing.is_empty() {
        definition += " Not drawn, being undefined: ";
        definition += &missing.join(", ");
        definition.push('.');
    }
    let said: Vec<String> = arms.iter().map(|arm| arm.in_words(&arms)).collect();
    let label = Label {
        title,
        description: &format!("{definition} {}.", said.join("; ")),
    };
    let of_tokens = arms.iter().flat_map(|a| ends(&a.arm.tokens, a.tokens));
    let of_accuracy = arms.iter().flat_map(|a| ends(&a.arm.accuracy, a.accuracy));
    let (low, high) = canvas::range(of_tokens, 0.12);
    let tokens = (low.max(0.0), high);
    let (low, high) = canvas::range(of_accuracy, 0.1);
    let accuracy = (low.max(-0.02), high.min(1.02));
    let x = Axis {
        range: tokens,
        ticks: ticks::linear(tokens.0, tokens.1, 6),
        name: "reasoning tokens".to_owned(),
    };
    let y = Axis {
        range: accuracy,
        ticks: ticks::linear(accuracy.0.max(0.0), accuracy.1.min(1.0), 5),
        name: "accuracy".to_owned(),
    };
    let mut front: Vec<&Placed<'_>> = arms.iter().filter(|a| !a.is_dominated(&arms)).collect();
    front.sort_by(|a, b| a.tokens.total_cmp(&b.tokens));
    let svg = canvas::svg((SIZE.0 as u32, SIZE.1 as u32), &label, |area| {
        canvas::text(area, title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let mut chart = canvas::chart(area, &Margins(TOP, RIGHT, 38, 52), &x, &y)?;
        let joined = front.iter().map(|a| (a.tokens, a.accuracy));
        let line = MUTED.stroke_width(3 * SCALE as u32 / 2);
        chart.draw_series(LineSeries::new(joined, line))?;
        for a in &arms {
            let thin = colors.color(&a.arm.name).stroke_width(3 * SCALE as u32 / 2);
            if let Some((low, high)) = format::interval(&a.arm.tokens) {
                let ends = vec![(low, a.accuracy), (high, a.accuracy)];
                chart.draw_series([PathElement::new(ends, thin)])?;
            }
            if let Some((low, high)) = format::interval(&a.arm.accuracy) {
                let ends = vec![(a.tokens, low), (a.tokens, high)];
                chart.draw_series([PathElement::new(ends, thin)])?;
            }
        }
        let at = |a: &Placed<'_>| chart.backend_coord(&(a.tokens, a.accuracy));
        let mut taken: Vec<Rectangle4> = Vec::new();
        for a in &arms {
            let (name, (x, y)) = (&a.arm.name, at(a));
            marks::draw(area, colors.shape(name), (x, y), 5.0, colors.color(name))?;
            let (x, y) = (x / SCALE, y / SCALE);
            taken.push((x - 6, y - 6, x + 6, y + 6));
        }
        let named = |a: &&Placed<'_>| arms.len() <= NAMED || !a.is_dominated(&arms);
        for a in arms.iter().filter(named) {
            let name = canvas::shorten(&a.arm.name, 20);
            let (x, y) = at(a);
            let mark = (x / SCALE, y / SCALE);
            if let Some(place) = free_place(mark, name.chars().count(), &mut taken) {
                canvas::text(area, &name, &canvas::font(11.5, INK), place, HPos::Left)?;
            }
        }
        Ok(())
    });
    Some(Figure {
        stem: "accuracy-tokens".to_owned(),
        title: title.to_owned(),
        definition,
        svg,
        csv: table(comparison, &arms),
    })
}

/// Left, top, right and bottom in pixels of the page.
type Rectangle4 = (i32, i32, i32, i32);

/// Where a name of so many letters stands beside its mark without covering
/// another or leaving the plot: its left end and middle; `None` where there is no room.
fn free_place(
    (x, y): (i32, i32),
    letters: usize,
    taken: &mut Vec<Rectangle4>,
) -> Option<(i32, i32)> {
    let wide = 7 * letters as i32;
    let places = [
        // The line goes up to the right: below it and above it there is room.
        (x + 9, y + 10),
        (x - 9 - wide, y - 10),
        (x + 9, y - 10),
        (x - 9 - wide, y + 10),
        (x + 9, y - 24),
        (x - 9 - wide, y - 24),
        (x + 9, y + 24),
        (x - 9 - wide, y + 24),
    ];
    let around = |(x, y): (i32, i32)| (x, y - 7, x + wide, y + 7);
    let free = |place: &&(i32, i32)| {
        let a = around(**place);
        let inside = a.0 >= 54 && a.2 <= SIZE.0 - 2 && a.1 >= TOP && a.3 <= SIZE.1 - 44;
        inside
            && taken
                .iter()
                .all(|b| a.2 < b.0 || b.2 < a.0 || a.3 < b.1 || b.3 < a.1)
    };
    let place = *places.iter().find(free)?;
    taken.push(around(place));
    Some(place)
}

fn ends(estimate: &crate::comparison::Estimate, value: f64) -> [f64; 3] {
    let (low, high) = format::interval(estimate).unwrap_or((value, value));
    [low, value, high]
}

/// An arm that has both values.
struct Placed<'c> {
    arm: &'c ArmFigures,
    tokens: f64,
    accuracy: f64,
}

impl<'c> Placed<'c> {
    fn of(arm: &'c ArmFigures) -> Option<Self> {
        Some(Self {
            arm,
            tokens: arm.tokens.value.filter(|v| v.is_finite())?,
            accuracy: arm.accuracy.value.filter(|v| v.is_finite())?,
        })
    }

    fn is_dominated(&self, arms: &[Self]) -> bool {
        arms.iter().any(|other| {
            let as_good = other.accuracy >= self.accuracy && other.tokens <= self.tokens;
            as_good && (other.accuracy > self.accuracy || other.tokens < self.tokens)
        })
    }

    fn in_words(&self, arms: &[Self]) -> String {
        let accuracy = format::estimate(&self.arm.accuracy, Quantity::Share);
        let tokens = format::estimate(&self.arm.tokens, Quantity::Amount);
        let dominated = if self.is_dominated(arms) {
            ", dominated"
        } else {
            ""
        };
        format!("{} {accuracy} at {tokens} tokens{dominated}", self.arm.name)
    }
}

fn table(comparison: &Comparison, arms: &[Placed<'_>]) -> String {
    let mut table = Data::new(
        "arm,tokens,tokens_low,tokens_high,accuracy,accuracy_low,accuracy_high,dominated",
    );
    for arm in &comparison.arms {
        let [tokens, tokens_low, tokens_high, _] = data::estimate(&arm.tokens);
        let [accuracy, low, high, _] = data::estimate(&arm.accuracy);
        let dominated = Placed::of(arm).map_or(String::new(), |a| a.is_dominated(arms).to_string());
        table.row(&[
            &arm.name,
            &tokens,
            &tokens_low,
            &tokens_high,
            &accuracy,
            &low,
            &high,
            &dominated,
        ]);
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_line_joins_what_nothing_dominates() {
        let mut comparison = fixture::comparison();
        // In the fixture tokens and accuracy rise together; the teacher is made worse than both trained arms.
        comparison.arms[1].accuracy.value = Some(0.5);
        let found = figure(&comparison).unwrap();
        let rows = data::parse(&found.csv);
        let dominated: Vec<&str> = rows[1..].iter().map(|row| row[7].as_str()).collect();
        assert_eq!(dominated, ["false", "true", "false", "false"]);
        assert_eq!(
            rows[3][1],
            comparison.arms[2].tokens.value.unwrap().to_string()
        );
        let line = found
            .svg
            .lines()
            .find(|l| l.starts_with("<polyline") && l.contains("stroke=\"#5C5C5C\""))
            .unwrap();
        let points = line.split_once("points=\"").unwrap().1;
        assert_eq!(points.matches(',').count(), 3);
    }

    #[test]
    fn equal_arms_do_not_dominate_each_other() {
        let mut comparison = fixture::comparison();
        comparison.arms[3] = comparison.arms[2].clone();
        let rows = data::parse(&figure(&comparison).unwrap().csv);
        assert_eq!((&*rows[3][7], &*rows[4][7]), ("false", "false"));
    }

    #[test]
    fn an_arm_without_tokens_is_named_and_not_drawn() {
        let mut comparison = fixture::comparison();
        comparison.arms[0].tokens.value = None;
        let found = figure(&comparison).unwrap();
        assert!(
            found
                .definition
                .contains("Not drawn, being undefined: base.")
        );
        assert!(!found.svg.contains("#878787"));
        assert_eq!(data::parse(&found.csv)[1][..2], ["base", ""]);
        comparison.arms.truncate(1);
        assert!(figure(&comparison).is_none());
    }
}
