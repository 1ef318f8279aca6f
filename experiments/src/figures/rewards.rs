//! What each reward and its parts came to over training, a figure for each arm.
//!
//! A reward, its parts and what it tells of a batch are measured on unlike
//! scales, so each has a strip with an axis of its own; strips share the steps.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Area, Axis, Drawn, Label, Margins, SCALE};
use super::curves::{self, Spread};
use super::data::{self, Data};
use super::palette::{INK, MUTED, Palette};
use super::{Figure, metrics, stem, ticks};
use crate::comparison::{Comparison, Curve};
use crate::tables::format::{self, Quantity};

const WIDTH: i32 = 360;
const TITLE: i32 = 26;
/// A strip: its name above, its plot below.
const STRIP: i32 = 66;
const NAME: i32 = 24;
const LEFT: i32 = 52;
/// Room for the last value.
const RIGHT: i32 = 54;
const BOTTOM: i32 = 30;
/// Most points of a line.
const MOST: usize = 120;

/// How to read the figures.
pub const EXPLANATION: &str = "Each strip is a reward before its weight, or set in lighter ink a part of it, as the mean over the sampled \
     completions to which it applied; each has an axis of its own. The line is the mean over training seeds, the band \
     reaches from the lowest to the highest, and the number is where the line ends. Seeds that share less than half of \
     their steps are thin lines without a number.";

/// One figure an arm that has logged rewards, in the order of the comparison.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    let colors = Palette::of(comparison);
    let arms = comparison.arms.iter();
    arms.filter_map(|arm| {
        let curves: Vec<&Curve> = comparison
            .curves
            .iter()
            .filter(|c| c.arm == arm.name && metrics::is_of_rewards(&c.metric))
            .collect();
        figure(&arm.name, &curves, colors.color(&arm.name))
    })
    .collect()
}

/// A metric of a reward with its curves over seeds.
struct Strip {
    name: String,
    is_reward: bool,
    spread: Spread,
}

/// What a strip is called, and whether it is a reward itself.
fn named(metric: &str) -> (String, bool) {
    let names: Vec<&str> = metric.split('/').skip(1).collect();
    match names.as_slice() {
        [reward, "mean"] => ((*reward).to_owned(), true),
        [reward, part, "mean"] => (format!("{reward}: {part}"), false),
        [reward, of_batch] => (format!("{reward}: {of_batch}, of each batch"), false),
        _ => (names.join(": "), false),
    }
}

fn strips(curves: &[&Curve]) -> Vec<Strip> {
    let mut metrics: Vec<&str> = curves.iter().map(|c| c.metric.as_str()).collect();
    // A reward stands before its parts.
    metrics.sort_by_key(|metric| {
        let reward = metric.split('/').nth(1).unwrap_or_default();
        (reward, !named(metric).1, *metric)
    });
    metrics.dedup();
    metrics
        .into_iter()
        .map(|metric| {
            let seeds: Vec<&Curve> = curves
                .iter()
                .filter(|c| c.metric == metric)
                .copied()
                .collect();
            let (name, is_reward) = named(metric);
            Strip {
                name,
                is_reward,
                spread: curves::spread(&seeds, MOST),
            }
        })
        .collect()
}

fn figure(arm: &str, curves: &[&Curve], color: RGBColor) -> Option<Figure> {
    let strips = strips(curves);
    if strips.is_empty() {
        return None;
    }
    let title = format!("Rewards of {arm}");
    let mut definition = EXPLANATION.to_owned();
    if curves.iter().any(|c| c.points.len() > MOST) {
        definition += " Runs of neighbouring steps are drawn as their mean.";
    }
    let said: Vec<String> = strips
        .iter()
        .map(|strip| format!("{} {}", strip.name, last(&strip.spread)))
        .collect();
    let label = Label {
        title: &title,
        description: &format!("{definition} At the end: {}.", said.join("; ")),
    };
    let steps = strips
        .iter()
        .flat_map(|s| s.spread.places())
        .map(|(x, _)| *x);
    let x = (0.0, steps.fold(1.0, f64::max));
    let x_ticks = ticks::linear(x.0, x.1, 6);
    let size = (
        WIDTH as u32,
        (TITLE + STRIP * strips.len() as i32 + BOTTOM) as u32,
    );
    let svg = canvas::svg(size, &label, |area| {
        canvas::text(
            area,
            &canvas::shorten(&title, 46),
            &canvas::bold(13.0),
            (2, 12),
            HPos::Left,
        )?;
        for (at, strip) in strips.iter().enumerate() {
            let is_last = at + 1 == strips.len();
            let label = |(at, text): &(f64, String)| {
                let text = if is_last { text.clone() } else { String::new() };
                (*at, text)
            };
            let steps = Axis {
                range: x,
                ticks: x_ticks.iter().map(label).collect(),
                name: String::new(),
            };
            let bottom = if is_last { BOTTOM } else { 0 };
            draw(
                area,
                strip,
                (TITLE + STRIP * at as i32, bottom),
                &steps,
                color,
            )?;
        }
        let at = (
            i32::midpoint(LEFT, WIDTH - RIGHT),
            TITLE + STRIP * strips.len() as i32 + 22,
        );
        canvas::text(
            area,
            "optimizer steps",
            &canvas::font(11.0, MUTED),
            at,
            HPos::Center,
        )
    });
    Some(Figure {
        stem: stem(&["rewards", arm]),
        title,
        definition,
        svg,
        csv: table(curves),
    })
}

/// Draws a strip with its upper edge at `top` and `bottom` pixels for the labels of the steps.
fn draw(
    area: &Area<'_>,
    strip: &Strip,
    (top, bottom): (i32, i32),
    steps: &Axis,
    color: RGBColor,
) -> Drawn {
    let style = if strip.is_reward {
        canvas::bold(11.5)
    } else {
        canvas::font(11.5, MUTED)
    };
    let name = canvas::shorten(&strip.name, 50);
    canvas::text(area, &name, &style, (2, top + 11), HPos::Left)?;
    let from = (0, top * SCALE);
    let size = (WIDTH * SCALE, (STRIP + bottom) * SCALE);
    let part = area.clone().shrink(from, size);
    let mut values = strip.spread.places().map(|(_, y)| *y).peekable();
    if values.peek().is_none() {
        let style = canvas::font(11.0, MUTED);
        canvas::text(
            area,
            format::UNDEFINED,
            &style,
            (LEFT + 6, top + 38),
            HPos::Left,
        )?;
        return Ok(());
    }
    let range = canvas::range(values, 0.1);
    // One tick alone gives no scale.
    let few = ticks::linear(range.0, range.1, 2);
    let y = Axis {
        range,
        ticks: if few.len() < 2 {
            ticks::linear(range.0, range.1, 3)
        } else {
            few
        },
        name: String::new(),
    };
    let margins = Margins(NAME, RIGHT, bottom + 8, LEFT);
    let mut chart = canvas::chart(&part, &margins, steps, &y)?;
    strip.spread.draw(&mut chart, color)?;
    if let Some(end) = strip.spread.mean.last() {
        let at = (WIDTH - RIGHT + 6, chart.backend_coord(end).1 / SCALE);
        let style = canvas::font(11.0, INK);
        canvas::text(area, &last(&strip.spread), &style, at, HPos::Left)?;
    }
    Ok(())
}

/// Where the mean ends.
fn last(spread: &Spread) -> String {
    let Some((_, value)) = spread.mean.last() else {
        return "without a mean".to_owned();
    };
    let quantity = if value.abs() >= 10.0 {
        Quantity::Amount
    } else {
        Quantity::Ratio
    };
    format::number(Some(*value), quantity)
}

fn table(curves: &[&Curve]) -> String {
    let mut table = Data::new("arm,seed,metric,step,value");
    for curve in curves {
        for (step, value) in &curve.points {
            let value = data::number(Some(*value));
            table.row(&[&curve.arm, &curve.seed, &curve.metric, step, &value]);
        }
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn curve(seed: u64, metric: &str, end: f64) -> Curve {
        Curve {
            arm: "grpo".to_owned(),
            seed,
            metric: metric.to_owned(),
            points: vec![(1, 0.25), (2, end)],
        }
    }

    #[test]
    fn a_reward_stands_before_its_parts_in_the_figure_of_its_arm() {
        let mut comparison = fixture::comparison();
        assert!(figures(&comparison).is_empty());
        for (metric, end) in [
            ("rewards/cost/agreement", 0.1),
            ("rewards/cost/work/mean", 0.2),
            ("rewards/cost/mean", 0.3),
            ("rewards/answered/mean", 0.4),
        ] {
            comparison.curves.push(curve(1, metric, end));
            comparison.curves.push(curve(2, metric, end + 0.2));
        }
        let found = figures(&comparison);
        assert_eq!(found.len(), 1);
        let svg = &found[0].svg;
        let names = [
            "answered",
            "cost",
            "cost: agreement, of each batch",
            "cost: work",
        ];
        let at = names.map(|name| svg.find(&format!(">\n{name}\n<")).unwrap());
        assert!(at.is_sorted(), "{at:?}");
        // The mean of 0.3 and 0.5.
        assert!(found[0].svg.contains("cost 0.40"));
        let rows = data::parse(&found[0].csv);
        assert_eq!(rows.len(), 1 + 8 * 2);
        assert_eq!(rows[2], ["grpo", "1", "rewards/cost/agreement", "2", "0.1"]);
    }

    #[test]
    fn a_reward_without_a_value_says_so() {
        let mut comparison = fixture::comparison();
        comparison.curves = vec![curve(1, "rewards/cost/mean", 0.5)];
        comparison.curves[0].points = vec![(1, f64::NAN)];
        let svg = &figures(&comparison)[0].svg;
        assert!(svg.contains("undefined") && !svg.contains("NaN"));
    }
}
