//! How alike the arms, and people, spread their effort: the correlations of
//! fingerprints as a heat map.
//!
//! The cells keep their colours on a dark page, since their numbers are set in
//! ink that suits them. Intervals stand in the table.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::Figure;
use super::canvas::{self, Area, Drawn, Label, SCALE};
use super::data::{self, Data};
use super::palette::{INK, MUTED};
use crate::comparison::further::SimilarityTable;
use crate::comparison::{Comparison, Estimate};
use crate::tables::format::{self, Quantity};

const WIDTH: i32 = 360;
/// More names than this leave no room for numbers in the cells.
const NUMBERED: usize = 8;
/// Letters of a name that have room.
const NAME: usize = 14;

/// Cells of -1, 0 and +1; what lies between is mixed.
const LOW: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const MIDDLE: RGBColor = RGBColor(0xF4, 0xF2, 0xEE);
const HIGH: RGBColor = RGBColor(0x00, 0x72, 0xB3);

const DEFINITION: &str = "Pearson correlation between fingerprints: the cost of each item, standardized within its task, over the \
     items that all arms share. Below the diagonal, even samples of one with odd samples of the other, training by \
     training; on it, how well the halves of one arm agree; above it, the correlation over the square root of both \
     agreements, free of sampling noise. Blue is above 0, orange below; a hatched cell is undefined.";

/// The figure; none where there are no two fingerprints.
pub fn figure(comparison: &Comparison) -> Option<Figure> {
    let found = &comparison.further.similarity;
    if found.names.len() < 2 {
        return None;
    }
    let title = "Similarity of fingerprints";
    let items = format::count(found.items as u64);
    let definition =
        format!("{DEFINITION} Columns stand in the order of the rows. Items: {items}.");
    let label = Label {
        title,
        description: &format!("{definition} {}.", in_words(found)),
    };
    let count = found.names.len() as i32;
    let longest = found.names.iter().map(|n| n.chars().count()).max();
    let left = (14 + 7 * longest.unwrap_or(0).min(NAME) as i32).max(44);
    let cell = ((WIDTH - left - 2) / count).clamp(1, 64);
    let height = (if count <= NUMBERED as i32 {
        cell * 2 / 3
    } else {
        cell
    })
    .max(8);
    let top = 30;
    // Names that are wider than their column stand in two rows by turns.
    let rows_of_names = 1 + i32::from(longest.unwrap_or(0) as i32 * 13 / 2 > cell);
    let bottom = 10 + 14 * rows_of_names;
    let size = (WIDTH as u32, (top + height * count + bottom) as u32);
    let svg = canvas::svg(size, &label, |area| {
        canvas::text(area, title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        for (name, i) in found.names.iter().zip(0..) {
            let y = top + height * i;
            if height >= 12 {
                let name = canvas::shorten(name, NAME);
                let at = (left - 6, y + height / 2);
                canvas::text(area, &name, &canvas::font(12.0, INK), at, HPos::Right)?;
            }
            for j in 0..count {
                let x = left + cell * j;
                let corners = (x, y, x + cell - 1, y + height - 1);
                let value = shown(found, i as usize, j as usize).and_then(|value| value.value);
                fill(area, corners, value, count as usize <= NUMBERED)?;
            }
        }
        let y = top + height * count + 12;
        for (name, j) in found.names.iter().zip(0..).filter(|_| cell >= 40) {
            let room = rows_of_names * cell * 2 / 13;
            let name = canvas::shorten(name, room as usize);
            let at = (left + cell * j + cell / 2, y + 14 * (j % rows_of_names));
            canvas::text(area, &name, &canvas::font(11.0, MUTED), at, HPos::Center)?;
        }
        Ok(())
    });
    Some(Figure {
        stem: "similarity".to_owned(),
        title: title.to_owned(),
        definition,
        svg,
        csv: table(found),
    })
}

/// One cell: left, top, right and bottom in pixels of the page.
fn fill(
    area: &Area<'_>,
    (left, top, right, bottom): (i32, i32, i32, i32),
    value: Option<f64>,
    numbered: bool,
) -> Drawn {
    let corners = [(left * SCALE, top * SCALE), (right * SCALE, bottom * SCALE)];
    let Some(r) = value.filter(|r| r.is_finite()) else {
        let thin = MUTED.stroke_width(SCALE as u32 / 2);
        area.draw(&Rectangle::new(corners, thin))?;
        let (width, height) = (right - left, bottom - top);
        for step in (8..width + height).step_by(8) {
            let from = (left + (step - height).max(0), top + step.min(height));
            let to = (left + step.min(width), top + (step - width).max(0));
            let ends = [from, to].map(|(x, y)| (x * SCALE, y * SCALE));
            area.draw(&PathElement::new(ends, thin))?;
        }
        return Ok(());
    };
    area.draw(&Rectangle::new(corners, shade(r).filled()))?;
    if numbered {
        let ink = if r.abs() > 0.6 {
            RGBColor(0xFF, 0xFF, 0xFF)
        } else {
            RGBColor(0, 0, 0)
        };
        let at = (i32::midpoint(left, right), i32::midpoint(top, bottom));
        let shown = format::number(Some(r), Quantity::Signed);
        canvas::text(area, &shown, &canvas::font(11.5, ink), at, HPos::Center)?;
    }
    Ok(())
}

fn shade(r: f64) -> RGBColor {
    let end = if r < 0.0 { LOW } else { HIGH };
    let share = r.abs().min(1.0);
    let mix = |from: u8, to: u8| {
        (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8
    };
    RGBColor(
        mix(MIDDLE.0, end.0),
        mix(MIDDLE.1, end.1),
        mix(MIDDLE.2, end.2),
    )
}

/// What a cell shows: the corrected above the diagonal, the observed on and below it.
fn shown(found: &SimilarityTable, row: usize, column: usize) -> Option<&Estimate> {
    let of = if column > row {
        &found.corrected
    } else {
        &found.matrix
    };
    of.get(row)?.get(column)
}

/// The pairs below the diagonal, observed and corrected.
fn pairs(found: &SimilarityTable) -> impl Iterator<Item = (&String, &String, [&Estimate; 2])> {
    let names = || found.names.iter().enumerate();
    names().flat_map(move |(i, name)| {
        names().take(i).filter_map(move |(j, other)| {
            Some((name, other, [shown(found, i, j)?, shown(found, j, i)?]))
        })
    })
}

fn in_words(found: &SimilarityTable) -> String {
    let said: Vec<String> = pairs(found)
        .map(|(a, b, both)| {
            let [observed, corrected] =
                both.map(|value| format::number(value.value, Quantity::Signed));
            format!("{a} and {b} {observed}, corrected {corrected}")
        })
        .collect();
    said.join("; ")
}

fn table(found: &SimilarityTable) -> String {
    let mut table = Data::new(
        "fingerprint,other,r,low,high,corrected_r,corrected_low,corrected_high,items,why_undefined",
    );
    for (a, b, [observed, corrected]) in pairs(found) {
        let [r, low, high, why] = data::estimate(observed);
        let [free, free_low, free_high, _] = data::estimate(corrected);
        let n = observed.n;
        table.row(&[
            a, b, &r, &low, &high, &free, &free_low, &free_high, &n, &why,
        ]);
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn numbers_stand_in_the_cells_and_the_undefined_is_hatched() {
        let comparison = fixture::comparison();
        let found = figure(&comparison).unwrap();
        let table = &comparison.further.similarity;
        let human = &table.matrix[4][2];
        assert!(found.svg.contains(&format::minus(&format::number(
            human.value,
            Quantity::Signed
        ))));
        assert!(found.svg.contains("stroke=\"#5C5C5C\""));
        let rows = data::parse(&found.csv);
        assert_eq!(rows.len(), 1 + 10);
        assert_eq!(rows[1][..3], ["teacher", "base", ""]);
        let row = rows.iter().find(|r| r[0] == "human" && r[1] == "sft");
        assert_eq!(row.unwrap()[2], human.value.unwrap().to_string());
        let free = table.corrected[4][2].value;
        assert_eq!(row.unwrap()[5], free.unwrap().to_string());
        assert!(
            found
                .svg
                .contains(&format::minus(&format::number(free, Quantity::Signed)))
        );
    }

    #[test]
    fn shades_are_told_apart_by_sign_and_grow_with_the_size() {
        assert_eq!(shade(0.0), MIDDLE);
        assert_eq!(shade(1.0), HIGH);
        assert_eq!(shade(-1.0), LOW);
        assert!(shade(0.5).0 < shade(0.2).0);
    }

    #[test]
    fn very_many_arms_still_fit() {
        let mut comparison = fixture::comparison();
        let table = &mut comparison.further.similarity;
        let cell = table.matrix[1][2].clone();
        table.names = (0..41).map(|i| format!("arm-{i}")).collect();
        table.matrix = vec![vec![cell.clone(); 41]; 41];
        table.corrected = vec![vec![cell; 41]; 41];
        let svg = figure(&comparison).unwrap().svg;
        assert!(svg.len() < 250_000, "{}", svg.len());
    }
}
