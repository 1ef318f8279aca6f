//! Learning curves: a metric against optimizer steps, arms by colour, seeds as
//! thin lines with their mean thick.
//!
//! Deliberately smooths nothing. A curve of very many points is drawn as the
//! means of runs of neighbouring points, and says so.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Area, Axis, Drawn, Label, Margins, SCALE};
use super::data::{self, Data};
use super::palette::{INK, Palette};
use super::{Figure, metrics, stem, ticks};
use crate::comparison::{Comparison, Curve};

const SIZE: (u32, u32) = (360, 260);
/// Most points of a drawn line: about one a pixel.
const MOST: usize = 300;

/// How to read the curves, for the text beside them.
pub const EXPLANATION: &str = "Thin lines are training seeds, the thick line their mean over the steps that all seeds have. Nothing is smoothed.";

/// What must be said beside any curve of a loss, after [`EXPLANATION`].
pub const LOSS_CAUTION: &str = " The loss of an arm that learns on-policy by comparing samples sits near 0 by construction: the \
     importance ratio is 1 and advantages sum to 0. Its gradient is what learns; the reward shows whether it does.";

/// A figure of a metric.
#[derive(Debug, Clone)]
pub struct CurveFigure {
    /// Metric name.
    pub metric: String,
    /// Whether most readers want it: loss, rewards, accuracies and length.
    pub main: bool,
    /// Whether it shows a reward or a part of one.
    pub of_rewards: bool,
    /// The figure.
    pub figure: Figure,
}

/// One figure a metric: the known ones first, then the others in order of appearance.
pub fn figures(comparison: &Comparison) -> Vec<CurveFigure> {
    of_curves(&comparison.curves, &Palette::of(comparison))
}

/// The same for curves that are not compared yet.
pub fn of_curves(curves: &[Curve], colors: &Palette) -> Vec<CurveFigure> {
    let mut names: Vec<&str> = Vec::new();
    for curve in curves {
        if !names.contains(&curve.metric.as_str()) {
            names.push(&curve.metric);
        }
    }
    names.sort_by_key(|metric| metrics::rank(metric));
    names
        .into_iter()
        .filter_map(|metric| {
            let curves: Vec<&Curve> = curves.iter().filter(|c| c.metric == metric).collect();
            Some(CurveFigure {
                metric: metric.to_owned(),
                main: metrics::is_main(metric),
                of_rewards: metrics::is_of_rewards(metric),
                figure: figure(metric, &curves, colors)?,
            })
        })
        .collect()
}

type Line = Vec<(f64, f64)>;

/// The lines of one arm.
struct ArmLines {
    arm: String,
    seeds: Vec<Line>,
    mean: Line,
}

fn figure(metric: &str, curves: &[&Curve], colors: &Palette) -> Option<Figure> {
    let arms = arm_lines(curves);
    let places = || arms.iter().flat_map(|a| a.seeds.iter().flatten());
    places().next()?;
    let x = places().fold((0.0, 1.0), |(l, h), (x, _)| {
        (f64::min(l, *x), f64::max(h, *x))
    });
    let y = canvas::range(places().map(|(_, y)| *y), 0.06);
    let thinned = curves.iter().any(|c| c.points.len() > MOST);
    let mut definition = metrics::definition(metric);
    if thinned {
        definition.push_str(" Runs of neighbouring steps are drawn as their mean.");
    }
    let description = format!("{definition} {EXPLANATION}");
    let names: Vec<&str> = arms.iter().map(|a| a.arm.as_str()).collect();
    let title = format!("{metric} over training");
    let stem = stem(&["curve", metric]);
    let label = Label {
        title: &title,
        description: &format!("{description} Arms: {}.", names.join(", ")),
    };
    let x_axis = Axis {
        range: x,
        ticks: ticks::linear(x.0, x.1, 6),
        name: "optimizer steps".to_owned(),
    };
    let y_axis = Axis {
        range: y,
        ticks: ticks::linear(y.0, y.1, 5),
        name: String::new(),
    };
    let (places, legend_rows) = legend_places(&names);
    let svg = canvas::svg(SIZE, &label, |area| {
        let heading = canvas::shorten(metric, 44);
        canvas::text(area, &heading, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        legend(area, &names, &places, colors)?;
        let margins = Margins(33 + 17 * legend_rows, 14, 40, 48);
        let mut chart = canvas::chart(area, &margins, &x_axis, &y_axis)?;
        for arm in &arms {
            let color = colors.color(&arm.arm);
            let thin = color.mix(0.45).stroke_width(SCALE as u32);
            let thick = color.stroke_width(9 * SCALE as u32 / 4);
            if arm.seeds.len() > 1 {
                for seed in &arm.seeds {
                    chart.draw_series(LineSeries::new(seed.iter().copied(), thin))?;
                }
            }
            chart.draw_series(LineSeries::new(arm.mean.iter().copied(), thick))?;
        }
        Ok(())
    });
    Some(Figure {
        stem,
        title,
        definition,
        svg,
        csv: table(curves),
    })
}

fn table(curves: &[&Curve]) -> String {
    let mut table = Data::new("metric,arm,seed,step,value");
    for curve in curves {
        for (step, value) in &curve.points {
            let value = data::number(Some(*value));
            table.row(&[&curve.metric, &curve.arm, &curve.seed, step, &value]);
        }
    }
    table.csv()
}

fn arm_lines(curves: &[&Curve]) -> Vec<ArmLines> {
    let mut arms: Vec<ArmLines> = Vec::new();
    for curve in curves {
        let line = curve
            .points
            .iter()
            .map(|(step, value)| (*step as f64, *value))
            .filter(|(_, value)| value.is_finite())
            .collect();
        match arms.iter_mut().find(|a| a.arm == curve.arm) {
            Some(arm) => arm.seeds.push(line),
            None => arms.push(ArmLines {
                arm: curve.arm.clone(),
                seeds: vec![line],
                mean: Vec::new(),
            }),
        }
    }
    for arm in &mut arms {
        arm.mean = thin(&mean(&arm.seeds));
        for seed in &mut arm.seeds {
            *seed = thin(seed);
        }
    }
    arms
}

/// Mean at the steps that every seed has.
fn mean(seeds: &[Line]) -> Line {
    let Some((first, others)) = seeds.split_first() else {
        return Vec::new();
    };
    first
        .iter()
        .filter_map(|&(step, value)| {
            let mut sum = value;
            for seed in others {
                let at = seed.binary_search_by(|(s, _)| s.total_cmp(&step)).ok()?;
                sum += seed[at].1;
            }
            Some((step, sum / seeds.len() as f64))
        })
        .collect()
}

fn thin(line: &[(f64, f64)]) -> Line {
    if line.len() <= MOST {
        return line.to_vec();
    }
    line.chunks(line.len().div_ceil(MOST))
        .map(|run| {
            let n = run.len() as f64;
            let sum = run.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
            (sum.0 / n, sum.1 / n)
        })
        .collect()
}

/// Where each name of the legend stands, in as many rows as they need.
fn legend_places(names: &[&str]) -> (Vec<(i32, i32)>, i32) {
    let (mut x, mut row) = (2, 0);
    let places = names
        .iter()
        .map(|name| {
            let width = 38 + 7 * name.chars().count().min(24) as i32;
            if x > 2 && x + width > SIZE.0 as i32 {
                x = 2;
                row += 1;
            }
            let place = (x, 33 + 17 * row);
            x += width;
            place
        })
        .collect();
    (places, row + 1)
}

fn legend(area: &Area<'_>, names: &[&str], places: &[(i32, i32)], colors: &Palette) -> Drawn {
    for (name, (x, y)) in names.iter().zip(places) {
        let ends = [(x * SCALE, y * SCALE), ((x + 18) * SCALE, y * SCALE)];
        let line = colors.color(name).stroke_width(3 * SCALE as u32);
        area.draw(&PathElement::new(ends, line))?;
        let style = canvas::font(11.5, INK);
        canvas::text(
            area,
            &canvas::shorten(name, 24),
            &style,
            (x + 23, *y),
            HPos::Left,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn seeds_are_thin_and_their_mean_is_thick() {
        let figures = figures(&fixture::comparison());
        assert_eq!(figures[0].metric, "loss");
        assert_eq!(figures[1].metric, "reward");
        let lines = |svg: &str, width: u32| {
            let width = format!("stroke-width=\"{width}\"");
            svg.lines()
                .filter(|l| {
                    l.starts_with("<polyline") && l.contains("0072B2") && l.contains(&width)
                })
                .count()
        };
        assert_eq!(lines(&figures[1].figure.svg, 4), 2);
        assert_eq!(lines(&figures[1].figure.svg, 9), 1);
        assert!(
            figures[0]
                .figure
                .definition
                .contains("near 0 by construction")
        );
    }

    #[test]
    fn the_mean_is_taken_at_common_steps_only() {
        let seeds = [
            vec![(1.0, 2.0), (2.0, 4.0), (3.0, 9.0)],
            vec![(1.0, 4.0), (3.0, 1.0)],
        ];
        assert_eq!(mean(&seeds), [(1.0, 3.0), (3.0, 5.0)]);
    }

    #[test]
    fn thinning_keeps_the_mean_and_the_limit() {
        let line: Line = (0..1000).map(|i| (f64::from(i), 3.0)).collect();
        let thinned = thin(&line);
        assert!(thinned.len() <= MOST);
        assert!(thinned.iter().all(|(_, y)| (*y - 3.0).abs() < 1e-12));
    }

    #[test]
    fn a_metric_without_a_finite_value_has_no_figure() {
        let mut comparison = fixture::comparison();
        for curve in &mut comparison.curves {
            curve.points = vec![(0, f64::NAN)];
        }
        assert!(figures(&comparison).is_empty());
    }
}
