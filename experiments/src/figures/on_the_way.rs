//! What evaluations on the way showed: each figure of the arms against updates and against FLOPs, a
//! mark an evaluation, with its interval.
//!
//! An interval that is not defined is not drawn. Evaluations are joined by straight lines, which
//! say nothing of what lies between.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::marks::{self, Legend};
use super::palette::Palette;
use super::{Figure, stem, ticks};
use crate::comparison::{Comparison, Estimate, Waypoint};

const SIZE: (u32, u32) = (360, 260);

/// What is drawn: its name in file names, its title, and what it is.
struct Drawn {
    name: &'static str,
    title: &'static str,
    of: fn(&Waypoint) -> &Estimate,
    definition: &'static str,
    /// Whether it is about people's times.
    timed: bool,
    /// Whether it is drawn against FLOPs too.
    by_flops: bool,
}

const DRAWN: [Drawn; 7] = [
    Drawn {
        name: "accuracy",
        title: "Accuracy",
        of: |at| &at.accuracy,
        definition: "Share of right samples, mean over tasks.",
        timed: false,
        by_flops: true,
    },
    Drawn {
        name: "tokens",
        title: "Reasoning tokens",
        of: |at| &at.tokens,
        definition: "Mean over items of the items' mean reasoning tokens, mean over tasks.",
        timed: false,
        by_flops: true,
    },
    Drawn {
        name: "elasticity",
        title: "Elasticity",
        of: |at| &at.elasticity,
        definition: "Cov(c, h) / Var(h) of model cost and human cost over items, mean over tasks.",
        timed: true,
        by_flops: true,
    },
    Drawn {
        name: "r-unlimited",
        title: "r at unlimited samples",
        of: |at| &at.alignment_unlimited,
        definition: "Observed r over the square root of its reliability, mean over tasks.",
        timed: true,
        by_flops: true,
    },
    Drawn {
        name: "kl-prompts",
        title: "KL to the base on prompts",
        of: |at| &at.kl_prompts,
        definition: "Mean KL(policy || its base) over the positions of the evaluation prompts, nats per token.",
        timed: false,
        by_flops: false,
    },
    Drawn {
        name: "kl-samples",
        title: "KL to the base on own samples",
        of: |at| &at.kl_samples,
        definition: "Mean KL(policy || its base) over the positions of its own completions, nats per token.",
        timed: false,
        by_flops: false,
    },
    Drawn {
        name: "relative-distance",
        title: "Distance from the base's weights",
        of: |at| &at.relative_distance,
        definition: "L2 norm of the difference from the base's weights, over the norm of these.",
        timed: false,
        by_flops: false,
    },
];

/// What the figures have in common, for the text beside them.
pub const EXPLANATION: &str = "A mark is an evaluation on the way, the mean over the trainings that reached it, with its 95 % \
     interval over trainings and items (of KL and of distance over trainings alone). The lines join the marks and say \
     nothing of what lies between them.";

/// Every figure; none where no arm was evaluated on the way.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    let timed = comparison.has_times();
    let mut figures = Vec::new();
    for drawn in DRAWN.iter().filter(|drawn| timed || !drawn.timed) {
        figures.extend(figure(comparison, drawn, &Scale::updates()));
        if drawn.by_flops {
            figures.extend(figure(comparison, drawn, &Scale::flops(comparison)));
        }
    }
    figures
}

/// The horizontal axis.
struct Scale {
    name: &'static str,
    words: String,
    of: fn(&Waypoint) -> f64,
    /// What a unit of the axis stands for.
    unit: f64,
}

impl Scale {
    fn updates() -> Self {
        Self {
            name: "updates",
            words: "optimizer steps".to_owned(),
            of: |at| at.budget.optimizer_steps as f64,
            unit: 1.0,
        }
    }

    /// In a power of a thousand, so that the ticks are short.
    fn flops(comparison: &Comparison) -> Self {
        let spent = comparison.on_the_way.iter().map(|at| at.budget.flops);
        let most = spent.filter(|f| f.is_finite()).fold(1.0, f64::max);
        let exponent = 3 * (most.log10() / 3.0).floor() as i32;
        Self {
            name: "flops",
            words: match exponent {
                0 => "FLOPs".to_owned(),
                exponent => format!("10^{exponent} FLOPs"),
            },
            of: |at| at.budget.flops,
            unit: 10f64.powi(exponent),
        }
    }

    fn at(&self, waypoint: &Waypoint) -> f64 {
        (self.of)(waypoint) / self.unit
    }
}

/// The values of one arm: place, estimate.
type Line<'c> = (&'c str, Vec<(f64, &'c Estimate)>);

fn figure(comparison: &Comparison, drawn: &Drawn, scale: &Scale) -> Option<Figure> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for waypoint in &comparison.on_the_way {
        let estimate = (drawn.of)(waypoint);
        let place = scale.at(waypoint);
        if !place.is_finite() || !estimate.value.is_some_and(f64::is_finite) {
            continue;
        }
        match lines.iter_mut().find(|line| line.0 == waypoint.arm) {
            Some(line) => line.1.push((place, estimate)),
            None => lines.push((&waypoint.arm, vec![(place, estimate)])),
        }
    }
    for (_, points) in &mut lines {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let all = || lines.iter().flat_map(|line| &line.1);
    all().next()?;
    let most = all().map(|(x, _)| *x).fold(1.0, f64::max);
    // Room for the last interval.
    let x = (0.0, 1.03 * most);
    let ends = all().flat_map(|(_, e)| [e.value, e.low, e.high]);
    let y = canvas::range(ends.flatten(), 0.06);
    let names: Vec<&str> = lines.iter().map(|line| line.0).collect();
    let title = format!("{} on the way, by {}", drawn.title, scale.words);
    let label = Label {
        title: &title,
        description: &format!(
            "{} {EXPLANATION} Arms: {}.",
            drawn.definition,
            names.join(", ")
        ),
    };
    let x_axis = Axis {
        range: x,
        ticks: ticks::linear(x.0, x.1, 6),
        name: scale.words.clone(),
    };
    let y_axis = Axis {
        range: y,
        ticks: ticks::linear(y.0, y.1, 5),
        name: String::new(),
    };
    let colors = Palette::of(comparison);
    let legend = Legend::new(&names, SIZE.0 as i32);
    let svg = canvas::svg(SIZE, &label, |area| {
        canvas::text(area, drawn.title, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        legend.draw(area, 33, &colors)?;
        let margins = Margins(33 + legend.height(), 14, 38, 48);
        let mut chart = canvas::chart(area, &margins, &x_axis, &y_axis)?;
        for (name, points) in &lines {
            let color = colors.color(name);
            let thick = color.stroke_width(9 * SCALE as u32 / 4);
            let places: Vec<(f64, f64)> = (points.iter())
                .filter_map(|(x, estimate)| Some((*x, estimate.value?)))
                .collect();
            chart.draw_series(LineSeries::new(places.iter().copied(), thick))?;
            for (x, estimate) in points {
                if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
                    let thin = color.stroke_width(SCALE as u32);
                    let bar = PathElement::new([(*x, low), (*x, high)], thin);
                    chart.draw_series([bar])?;
                }
            }
            for place in places {
                let at = chart.backend_coord(&place);
                marks::draw(area, colors.shape(name), at, 3.6, color)?;
            }
        }
        Ok(())
    });
    Some(Figure {
        stem: stem(&["on-the-way", drawn.name, scale.name]),
        title,
        definition: format!("{} {EXPLANATION}", drawn.definition),
        svg,
        csv: table(comparison, drawn),
    })
}

fn table(comparison: &Comparison, drawn: &Drawn) -> String {
    let mut table = Data::new("arm,point,updates,flops,trainings,value,low,high,why_undefined");
    for at in &comparison.on_the_way {
        let [value, low, high, why] = data::estimate((drawn.of)(at));
        let flops = data::number(Some(at.budget.flops));
        let steps = at.budget.optimizer_steps;
        table.row(&[
            &at.arm,
            &at.point,
            &steps,
            &flops,
            &at.trainings,
            &value,
            &low,
            &high,
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
    fn every_figure_is_drawn_by_updates_and_those_of_answers_by_flops() {
        assert!(figures(&fixture::comparison()).is_empty());
        let comparison = fixture::on_the_way();
        let stems: Vec<String> = figures(&comparison).into_iter().map(|f| f.stem).collect();
        assert_eq!(stems.len(), 11);
        assert!(stems.contains(&"on-the-way-elasticity-flops".to_owned()));
        let kl = figures(&comparison).into_iter();
        let kl = kl.filter(|figure| figure.stem.starts_with("on-the-way-kl"));
        for figure in kl {
            assert!(!figure.svg.contains("NaN") && figure.svg.contains("<polyline"));
            assert_eq!(
                data::parse(&figure.csv).len(),
                1 + comparison.on_the_way.len()
            );
        }
    }

    #[test]
    fn what_nobody_measured_is_not_drawn() {
        let mut comparison = fixture::on_the_way();
        for at in &mut comparison.on_the_way {
            at.kl_prompts = Estimate::undefined("not measured", 2);
        }
        for arm in comparison.arms.iter_mut().flat_map(|arm| &mut arm.tasks) {
            arm.timed = 0;
        }
        let stems: Vec<String> = figures(&comparison).into_iter().map(|f| f.stem).collect();
        assert_eq!(stems.len(), 4 + 2);
        assert!(stems.iter().all(|stem| !stem.contains("elasticity")));
    }
}
