//! Learning curves: a metric against optimizer steps, arms by colour and mark,
//! the mean over seeds as a line in the band from the lowest to the highest.
//!
//! Deliberately smooths nothing. A curve of very many points is drawn as the
//! means of runs of neighbouring points, and says so.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::marks::{self, Legend};
use super::palette::Palette;
use super::{Figure, metrics, stem, ticks};
use crate::comparison::{Comparison, Curve};

const SIZE: (u32, u32) = (360, 260);
/// Most points of a drawn line: about one a pixel.
const MOST: usize = 200;
/// Most points of all lines of a figure together, so that very many arms stay small.
const MOST_OF_ALL: usize = 2400;
/// Fewest points a line is thinned to.
const FEWEST: usize = 40;
/// Marks on a line.
const MARKS: usize = 5;

/// How to read the curves, for the text beside them.
pub const EXPLANATION: &str = "The line is the mean over training seeds and the band reaches from the lowest to the highest of them, at the \
     steps that all seeds have; it is no confidence interval. A seed that goes on past the others is a thin line, as is \
     every seed where they share less than half of their steps. A single seed has no band. Nothing is smoothed.";

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
    /// The figure.
    pub figure: Figure,
}

/// One figure a metric but for single rewards and their parts, which stand
/// together by arm: the known ones first, then the others in order of appearance.
pub fn figures(comparison: &Comparison) -> Vec<CurveFigure> {
    of_curves(&comparison.curves, &Palette::of(comparison))
}

/// The same for curves that are not compared yet.
pub fn of_curves(curves: &[Curve], colors: &Palette) -> Vec<CurveFigure> {
    let mut names: Vec<&str> = Vec::new();
    for curve in curves {
        let metric = curve.metric.as_str();
        if !names.contains(&metric) && !metrics::is_of_rewards(metric) {
            names.push(metric);
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
                figure: figure(metric, &curves, colors)?,
            })
        })
        .collect()
}

type Line = Vec<(f64, f64)>;

/// The lines of one arm over its seeds.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// Mean over seeds at the steps that every seed has.
    pub(super) mean: Line,
    /// Lowest and highest seed at these steps; empty for one seed.
    pub(super) low: Line,
    pub(super) high: Line,
    /// What a seed has after the last of these steps, from that step on.
    pub(super) rest: Vec<Line>,
}

impl Spread {
    /// Every place that is drawn.
    pub(super) fn places(&self) -> impl Iterator<Item = &(f64, f64)> {
        let band = self.low.iter().chain(&self.high);
        self.mean
            .iter()
            .chain(band)
            .chain(self.rest.iter().flatten())
    }

    /// Draws band and lines.
    pub(super) fn draw(&self, chart: &mut canvas::Chart<'_, '_>, color: RGBColor) -> canvas::Drawn {
        if !self.low.is_empty() {
            let around = self.low.iter().chain(self.high.iter().rev()).copied();
            let band = Polygon::new(around.collect::<Vec<_>>(), color.mix(0.22).filled());
            chart.draw_series([band])?;
        }
        for line in &self.rest {
            let thin = color.stroke_width(SCALE as u32);
            chart.draw_series(LineSeries::new(line.iter().copied(), thin))?;
        }
        let thick = color.stroke_width(9 * SCALE as u32 / 4);
        chart.draw_series(LineSeries::new(self.mean.iter().copied(), thick))?;
        Ok(())
    }
}

/// The spread of some seeds' curves, each thinned to at most so many points.
pub(super) fn spread(curves: &[&Curve], most: usize) -> Spread {
    let finite = |curve: &&Curve| -> Line {
        let places = curve
            .points
            .iter()
            .map(|(step, value)| (*step as f64, *value));
        places.filter(|(_, value)| value.is_finite()).collect()
    };
    let seeds: Vec<Line> = curves.iter().map(finite).collect();
    let mut common = common(&seeds);
    let shortest = seeds.iter().map(Vec::len).min().unwrap_or(0);
    if 2 * common.len() < shortest {
        // A mean over so few of the steps would hide what each seed did between them.
        common.clear();
    }
    let of = |value: fn(&[f64]) -> f64| -> Line {
        let line: Line = common.iter().map(|(step, at)| (*step, value(at))).collect();
        thin(&line, most)
    };
    let several = seeds.len() > 1;
    let bound = |value: fn(&[f64]) -> f64| if several { of(value) } else { Line::new() };
    let last = common.last().map_or(f64::NEG_INFINITY, |(step, _)| *step);
    let rest = seeds.iter().map(|seed| {
        let from = seed.partition_point(|(step, _)| *step < last);
        thin(&seed[from..], most)
    });
    Spread {
        mean: of(|at| at.iter().sum::<f64>() / at.len() as f64),
        low: bound(|at| at.iter().copied().fold(f64::INFINITY, f64::min)),
        high: bound(|at| at.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        rest: rest
            .filter(|line| line.len() > 1 || common.is_empty())
            .collect(),
    }
}

/// The steps that every seed has, each with the seeds' values.
fn common(seeds: &[Line]) -> Vec<(f64, Vec<f64>)> {
    let Some((first, others)) = seeds.split_first() else {
        return Vec::new();
    };
    first
        .iter()
        .filter_map(|&(step, value)| {
            let mut values = vec![value];
            for seed in others {
                let at = seed.binary_search_by(|(s, _)| s.total_cmp(&step)).ok()?;
                values.push(seed[at].1);
            }
            Some((step, values))
        })
        .collect()
}

fn thin(line: &[(f64, f64)], most: usize) -> Line {
    if line.len() <= most {
        return line.to_vec();
    }
    line.chunks(line.len().div_ceil(most))
        .map(|run| {
            let n = run.len() as f64;
            let sum = run.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
            (sum.0 / n, sum.1 / n)
        })
        .collect()
}

fn figure(metric: &str, curves: &[&Curve], colors: &Palette) -> Option<Figure> {
    let mut names: Vec<&str> = Vec::new();
    for curve in curves {
        if !names.contains(&curve.arm.as_str()) {
            names.push(&curve.arm);
        }
    }
    let most = (MOST_OF_ALL / names.len().max(1)).clamp(FEWEST, MOST);
    let of_arm = |name: &&str| {
        let seeds = curves.iter().filter(|c| c.arm == **name).copied();
        spread(&seeds.collect::<Vec<_>>(), most)
    };
    let arms: Vec<Spread> = names.iter().map(of_arm).collect();
    let places = || arms.iter().flat_map(Spread::places);
    places().next()?;
    let x = places().fold((0.0, 1.0), |(l, h), (x, _)| {
        (f64::min(l, *x), f64::max(h, *x))
    });
    let y = canvas::range(places().map(|(_, y)| *y), 0.06);
    let thinned = curves.iter().any(|c| c.points.len() > most);
    let mut definition = metrics::definition(metric);
    if thinned {
        definition.push_str(" Runs of neighbouring steps are drawn as their mean.");
    }
    let description = format!("{definition} {EXPLANATION}");
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
    let legend = Legend::new(&names, SIZE.0 as i32);
    let svg = canvas::svg(SIZE, &label, |area| {
        let heading = canvas::shorten(metric, 44);
        canvas::text(area, &heading, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        legend.draw(area, 33, colors)?;
        let margins = Margins(33 + legend.height(), 14, 38, 48);
        let mut chart = canvas::chart(area, &margins, &x_axis, &y_axis)?;
        for (name, arm) in names.iter().zip(&arms) {
            arm.draw(&mut chart, colors.color(name))?;
        }
        for ((at, name), arm) in names.iter().enumerate().zip(&arms) {
            for place in marked(&arm.mean, at) {
                let at = chart.backend_coord(&place);
                marks::draw(area, colors.shape(name), at, 3.6, colors.color(name))?;
            }
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

/// Places of a line that carry its mark, not the same for neighbouring arms.
fn marked(line: &[(f64, f64)], arm: usize) -> impl Iterator<Item = (f64, f64)> {
    let every = line.len().div_ceil(MARKS).max(1);
    let first = (every / 2 + arm * every / 4) % every;
    line.iter().skip(first).step_by(every).copied()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn curve(points: &[(u64, f64)]) -> Curve {
        Curve {
            arm: "grpo".to_owned(),
            seed: 1,
            metric: "reward".to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn seeds_are_a_band_around_their_mean() {
        let figures = figures(&fixture::comparison());
        assert_eq!(figures[0].metric, "loss");
        assert_eq!(figures[1].metric, "reward");
        let svg = &figures[1].figure.svg;
        let count = |tag: &str, with: &str| {
            let of_arm = svg
                .lines()
                .filter(|l| l.starts_with(tag) && l.contains("0072B2"));
            of_arm.filter(|l| l.contains(with)).count()
        };
        assert_eq!(count("<polygon", "opacity=\"0.22\""), 1);
        assert_eq!(count("<polyline", "stroke-width=\"9\""), 1);
        assert!(
            figures[0]
                .figure
                .definition
                .contains("near 0 by construction")
        );
    }

    #[test]
    fn a_single_seed_is_a_line() {
        let only = curve(&[(0, 1.0), (1, 2.0)]);
        let found = spread(&[&only], MOST);
        assert_eq!(found.mean, [(0.0, 1.0), (1.0, 2.0)]);
        assert!(found.low.is_empty() && found.high.is_empty() && found.rest.is_empty());
    }

    #[test]
    fn the_band_is_over_common_steps_and_a_longer_seed_goes_on_alone() {
        let a = curve(&[(1, 2.0), (2, 4.0), (3, 9.0), (4, 1.0)]);
        let b = curve(&[(1, 4.0), (3, 1.0)]);
        let found = spread(&[&a, &b], MOST);
        assert_eq!(found.mean, [(1.0, 3.0), (3.0, 5.0)]);
        assert_eq!(found.low, [(1.0, 2.0), (3.0, 1.0)]);
        assert_eq!(found.high, [(1.0, 4.0), (3.0, 9.0)]);
        assert_eq!(found.rest, [[(3.0, 9.0), (4.0, 1.0)]]);
    }

    #[test]
    fn seeds_without_a_common_step_are_thin_lines() {
        let a = curve(&[(1, 2.0), (3, 9.0)]);
        let b = curve(&[(2, 4.0)]);
        let found = spread(&[&a, &b], MOST);
        assert!(found.mean.is_empty() && found.low.is_empty());
        assert_eq!(found.rest.len(), 2);
        // One step of three in common is too little for a mean.
        let a = curve(&[(1, 2.0), (3, 9.0), (5, 1.0)]);
        let b = curve(&[(2, 4.0), (3, 1.0), (4, 1.0)]);
        let found = spread(&[&a, &b], MOST);
        assert!(found.mean.is_empty() && found.rest.iter().all(|seed| seed.len() == 3));
    }

    #[test]
    fn thinning_keeps_the_mean_and_the_limit() {
        let line: Line = (0..1000).map(|i| (f64::from(i), 3.0)).collect();
        let thinned = thin(&line, MOST);
        assert!(thinned.len() <= MOST);
        assert!(thinned.iter().all(|(_, y)| (*y - 3.0).abs() < 1e-12));
    }

    #[test]
    fn the_data_are_all_points_of_all_seeds() {
        let comparison = fixture::comparison();
        let reward = &figures(&comparison)[1].figure;
        let rows = data::parse(&reward.csv);
        assert_eq!(rows.len(), 1 + 2 * 7);
        assert_eq!(rows[1], ["reward", "grpo", "1", "0", "0.2"]);
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
