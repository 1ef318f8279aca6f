//! Shapes that tell arms apart beside their colours, so that no figure speaks by
//! colour alone.

use plotters::prelude::*;

use super::canvas::{self, Area, Drawn, SCALE};
use super::palette::{INK, Palette};
use plotters::style::text_anchor::HPos;

/// The outline of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Inverted,
    Plus,
    Cross,
    Bar,
}

impl Shape {
    /// Corners around the middle, for a mark of radius 1; a circle has none.
    fn corners(self) -> &'static [(f64, f64)] {
        match self {
            Self::Circle => &[],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Triangle => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            Self::Diamond => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            Self::Inverted => &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
            Self::Plus => &[
                (-0.4, -1.2),
                (0.4, -1.2),
                (0.4, -0.4),
                (1.2, -0.4),
                (1.2, 0.4),
                (0.4, 0.4),
                (0.4, 1.2),
                (-0.4, 1.2),
                (-0.4, 0.4),
                (-1.2, 0.4),
                (-1.2, -0.4),
                (-0.4, -0.4),
            ],
            Self::Cross => &[
                (0.0, -0.5),
                (0.7, -1.2),
                (1.2, -0.7),
                (0.5, 0.0),
                (1.2, 0.7),
                (0.7, 1.2),
                (0.0, 0.5),
                (-0.7, 1.2),
                (-1.2, 0.7),
                (-0.5, 0.0),
                (-1.2, -0.7),
                (-0.7, -1.2),
            ],
            Self::Bar => &[(-1.4, -0.5), (1.4, -0.5), (1.4, 0.5), (-1.4, 0.5)],
        }
    }
}

/// Draws a mark at a place of the drawing, `radius` in pixels of the page.
pub(super) fn draw(
    area: &Area<'_>,
    shape: Shape,
    (x, y): (i32, i32),
    radius: f64,
    color: RGBColor,
) -> Drawn {
    let size = radius * f64::from(SCALE);
    if shape == Shape::Circle {
        area.draw(&Circle::new((x, y), size.round() as i32, color.filled()))?;
        return Ok(());
    }
    let corner = |(dx, dy): &(f64, f64)| {
        (
            x + (dx * size).round() as i32,
            y + (dy * size).round() as i32,
        )
    };
    let corners: Vec<(i32, i32)> = shape.corners().iter().map(corner).collect();
    area.draw(&Polygon::new(corners, color.filled()))?;
    Ok(())
}

/// Height of a row of a legend.
const ROW: i32 = 17;
/// Letters of a name that have room in a legend.
const LETTERS: usize = 24;

/// Names with their marks, in as many rows as they need.
pub(super) struct Legend<'n> {
    entries: Vec<(&'n str, i32, i32)>,
    rows: i32,
}

impl<'n> Legend<'n> {
    pub(super) fn new(names: &[&'n str], width: i32) -> Self {
        let (mut x, mut row) = (2, 0);
        let mut entries = Vec::new();
        for name in names {
            let wide = 36 + 13 * name.chars().count().min(LETTERS) as i32 / 2;
            if x > 2 && x + wide > width {
                x = 2;
                row += 1;
            }
            entries.push((*name, x, row));
            x += wide;
        }
        Self {
            entries,
            rows: row + 1,
        }
    }

    /// Height in pixels of the page.
    pub(super) fn height(&self) -> i32 {
        ROW * self.rows
    }

    /// Draws it with the middle of its first row at `top`.
    pub(super) fn draw(&self, area: &Area<'_>, top: i32, colors: &Palette) -> Drawn {
        for (name, x, row) in &self.entries {
            let y = top + ROW * row;
            let color = colors.color(name);
            let ends = [(x * SCALE, y * SCALE), ((x + 18) * SCALE, y * SCALE)];
            area.draw(&PathElement::new(
                ends,
                color.stroke_width(2 * SCALE as u32),
            ))?;
            let middle = ((x + 9) * SCALE, y * SCALE);
            draw(area, colors.shape(name), middle, 4.0, color)?;
            let name = canvas::shorten(name, LETTERS);
            canvas::text(
                area,
                &name,
                &canvas::font(11.5, INK),
                (x + 23, y),
                HPos::Left,
            )?;
        }
        Ok(())
    }
}
