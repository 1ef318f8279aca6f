//! The drawing surface the figures share: size, fonts, axes, label.
//!
//! plotters places things on whole pixels, so a figure is drawn four times as
//! large as it is shown and the `viewBox` scales it back. Deliberately holds
//! nothing that belongs to one kind of figure only.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{GRID, INK, MUTED, PAPER};
use super::ticks::{Tick, label_at};
use crate::tables::format;

/// Units of the drawing in a pixel of the page.
pub(super) const SCALE: i32 = 4;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Chart<'c, 'a> = ChartContext<'c, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
pub(super) type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// What a figure says of itself to those who do not see it.
pub(super) struct Label<'a> {
    pub(super) title: &'a str,
    pub(super) description: &'a str,
}

/// One axis: its range, ticks and name.
#[derive(Clone)]
pub(super) struct Axis {
    pub(super) range: (f64, f64),
    pub(super) ticks: Vec<Tick>,
    pub(super) name: String,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        label_at(&self.ticks, *value)
    }
}

/// Room around the plot, in pixels of the page: top, right, bottom, left.
pub(super) struct Margins(
    pub(super) i32,
    pub(super) i32,
    pub(super) i32,
    pub(super) i32,
);

/// Draws a figure of `width` by `height` pixels.
///
/// Drawing into a string has no cause to fail; if it does all the same, the
/// figure says so in words instead of being left out of the page.
pub(super) fn svg(
    (width, height): (u32, u32),
    label: &Label<'_>,
    draw: impl Fn(&Area<'_>) -> Drawn,
) -> String {
    let size = (width * SCALE as u32, height * SCALE as u32);
    let mut body = String::new();
    let drawn: Drawn = (|| {
        let area = SVGBackend::with_string(&mut body, size).into_drawing_area();
        area.fill(&PAPER)?;
        draw(&area)?;
        area.present()?;
        Ok(())
    })();
    let content = match drawn {
        Ok(()) => body
            .split_once('>')
            .map_or(String::new(), |(_, rest)| rest.to_owned()),
        Err(error) => format!(
            "<text x=\"40\" y=\"120\" font-size=\"48\" fill=\"#1A1A1A\">{}</text></svg>",
            escape(&format!("This figure could not be drawn: {error}"))
        ),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\" \
         role=\"img\">\n<title>{}</title>\n<desc>{}</desc>{content}",
        size.0,
        size.1,
        escape(label.title),
        escape(label.description),
    )
}

/// A plot with the two axes, and faint lines at the ticks of those that ask for them.
pub(super) fn chart<'c, 'a>(
    area: &Area<'a>,
    margins: &Margins,
    x: &Axis,
    y: &Axis,
) -> Result<Chart<'c, 'a>, Box<dyn std::error::Error + Send + Sync>> {
    let Margins(top, right, bottom, left) = *margins;
    // The names of the axes keep off the edges, or their letters would be cut.
    let off = |axis: &Axis| if axis.name.is_empty() { 0 } else { 4 };
    let (below, beside) = (off(x), off(y));
    let mut chart = ChartBuilder::on(area)
        .margin_top(top * SCALE)
        .margin_right(right * SCALE)
        .margin_bottom(below * SCALE)
        .margin_left(beside * SCALE)
        .x_label_area_size((bottom - below) * SCALE)
        .y_label_area_size((left - beside) * SCALE)
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .bold_line_style(GRID.stroke_width(SCALE as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(GRID.stroke_width(SCALE as u32))
        .set_all_tick_mark_size(3 * SCALE)
        .label_style(font(11.0, MUTED))
        .axis_desc_style(font(11.0, MUTED))
        .x_desc(x.name.clone())
        .y_desc(y.name.clone())
        .draw()?;
    Ok(chart)
}

/// A sans-serif font of a size in pixels of the page.
pub(super) fn font(pixels: f64, color: RGBColor) -> TextStyle<'static> {
    // The SVG backend divides sizes by 1.24.
    ("sans-serif", pixels * 1.24 * f64::from(SCALE))
        .into_font()
        .color(&color)
}

/// The same in bold.
pub(super) fn bold(pixels: f64) -> TextStyle<'static> {
    ("sans-serif", pixels * 1.24 * f64::from(SCALE))
        .into_font()
        .style(FontStyle::Bold)
        .color(&INK)
}

/// Sets a line of text with its left, middle or right end at a place in pixels of the page.
pub(super) fn text(
    area: &Area<'_>,
    line: &str,
    style: &TextStyle<'_>,
    at: (i32, i32),
    side: HPos,
) -> Drawn {
    let style = style.pos(Pos::new(side, VPos::Center));
    area.draw_text(&format::minus(line), &style, (at.0 * SCALE, at.1 * SCALE))?;
    Ok(())
}

/// Length of a dash and of the gap after it, in pixels of the page.
pub(super) type Dash = (i32, i32);

/// A sample of a line for a legend, 22 pixels long, whole or dashed.
pub(super) fn dashes(
    area: &Area<'_>,
    (x, y): (i32, i32),
    style: ShapeStyle,
    dash: Option<Dash>,
) -> Drawn {
    let (dash, gap) = dash.unwrap_or((22, 0));
    for from in (0..22).step_by((dash + gap) as usize) {
        let to = (from + dash).min(22);
        let ends = [from, to].map(|at| ((x + at) * SCALE, y * SCALE));
        area.draw(&PathElement::new(ends, style))?;
    }
    Ok(())
}

/// Shortens a name that has no room, at its end.
pub(super) fn shorten(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let kept: String = name.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The smallest range over the finite values, widened by a share on both sides.
pub(super) fn range(values: impl Iterator<Item = f64>, widen: f64) -> (f64, f64) {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
    if low > high {
        return (0.0, 1.0);
    }
    let span = high - low;
    let pad = if span > 0.0 {
        span * widen
    } else {
        low.abs().max(1.0) * 0.1
    };
    (low - pad, high + pad)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_drawing_says_so() {
        let label = Label {
            title: "A < B",
            description: "d",
        };
        let out = svg((100, 50), &label, |_| Err("no <room>".into()));
        assert!(out.contains("could not be drawn: no &lt;room&gt;"));
        assert!(out.contains("<title>A &lt; B</title>"));
    }

    #[test]
    fn ranges() {
        assert_eq!(range([1.0, 3.0, f64::NAN].into_iter(), 0.5), (0.0, 4.0));
        assert_eq!(range([].into_iter(), 0.5), (0.0, 1.0));
        let (low, high) = range([2.0].into_iter(), 0.1);
        assert!(low < 2.0 && high > 2.0);
    }

    #[test]
    fn shortens_at_the_end() {
        assert_eq!(shorten("grpo", 6), "grpo");
        assert_eq!(shorten("grpo-long", 6), "grpo-…");
    }
}
