//! Tokens against the difficulty of the items, arm by arm, under people's time on
//! the same items, a figure for each task that has levels of difficulty.
//!
//! People's time has a panel of its own: it is measured in another unit, and no
//! two axes in one panel could be compared by eye.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Area, Axis, Drawn, Label, Margins, SCALE};
use super::data::{self, Data};
use super::marks::{self, Legend};
use super::palette::{INK, Palette};
use super::{Figure, stem, ticks};
use crate::comparison::further::{EffortLevel, TaskEffort};
use crate::comparison::{Comparison, Estimate};
use crate::tables::format::{self, Quantity};

const WIDTH: i32 = 360;
/// Heights of the panels without their axes' names.
const PEOPLE: i32 = 92;
const MODELS: i32 = 190;
const TITLE: i32 = 28;
const LEFT: i32 = 56;

/// How to read the figures.
pub const EXPLANATION: &str = "Each arm's mean reasoning tokens on the items of a level, with 95 % intervals over trainings and the items of \
     the level. Arms stand side by side within a level. A level is the number at the end of an item's condition; very many \
     levels are joined with their neighbours.";

/// The same of the upper panel.
const PEOPLE_ABOVE: &str = " Above, people's mean time on the same items, on a logarithmic axis.";

/// One figure a task that has levels.
pub fn figures(comparison: &Comparison) -> Vec<Figure> {
    let colors = Palette::of(comparison);
    let arms: Vec<&str> = comparison.arms.iter().map(|a| a.name.as_str()).collect();
    let tasks = comparison.further.effort.iter();
    tasks
        .filter(|task| !task.levels.is_empty())
        .map(|task| figure(task, &arms, &colors))
        .collect()
}

fn place(level: &EffortLevel) -> f64 {
    f64::midpoint(level.from, level.to)
}

fn tokens<'c>(level: &'c EffortLevel, arm: &str) -> Option<(&'c Estimate, f64)> {
    let estimate = level.tokens.get(arm)?;
    Some((estimate, estimate.value.filter(|v| v.is_finite())?))
}

/// Where the levels stand on the axis that both panels share.
struct Scale {
    range: (f64, f64),
    /// Smallest distance of two levels.
    gap: f64,
    ticks: Vec<ticks::Tick>,
}

impl Scale {
    fn of(levels: &[EffortLevel]) -> Self {
        let places: Vec<f64> = levels.iter().map(place).collect();
        let gap = places
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(f64::INFINITY, f64::min);
        let gap = if gap.is_finite() && gap > 0.0 {
            gap
        } else {
            1.0
        };
        let ends = canvas::range(places.iter().copied(), 0.0);
        let range = (ends.0 - gap / 2.0, ends.1 + gap / 2.0);
        Self {
            range,
            gap,
            ticks: ticks::linear(range.0, range.1, 8),
        }
    }

    /// How far from its level an arm stands, so that whiskers do not cover each other.
    fn aside(&self, arm: usize, arms: usize) -> f64 {
        let middle = arms.saturating_sub(1) as f64 / 2.0;
        (arm as f64 - middle) * 0.6 * self.gap / arms.max(1) as f64
    }
}

fn figure(task: &TaskEffort, arms: &[&str], colors: &Palette) -> Figure {
    let title = format!("{}: effort by {}", task.task, task.scale);
    let timed = task.levels.iter().any(|level| level.human_cost.is_some());
    let mut definition = EXPLANATION.to_owned();
    if timed {
        definition += PEOPLE_ABOVE;
    }
    let undefined = |arm: &&&str| task.levels.iter().any(|level| tokens(level, arm).is_none());
    let missing: Vec<&str> = arms.iter().filter(undefined).copied().collect();
    if !missing.is_empty() {
        definition += " Undefined on some level, and not drawn there: ";
        definition += &missing.join(", ");
        definition.push('.');
    }
    let label = Label {
        title: &title,
        description: &format!("{definition} {}.", in_words(task, arms)),
    };
    let scale = Scale::of(&task.levels);
    let legend = Legend::new(arms, WIDTH);
    let above = TITLE + if timed { PEOPLE } else { 0 };
    let size = (WIDTH as u32, (above + legend.height() + MODELS + 46) as u32);
    let svg = canvas::svg(size, &label, |area| {
        let heading = canvas::shorten(&title, 46);
        canvas::text(area, &heading, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let (upper, lower) = area.split_vertically(above * SCALE);
        if timed {
            people(&upper, task, &scale)?;
        }
        legend.draw(&lower, 14, colors)?;
        models(
            (area, &lower),
            task,
            arms,
            colors,
            (&scale, legend.height() + 12),
        )
    });
    Figure {
        stem: stem(&["effort", &task.task]),
        title,
        definition,
        svg,
        csv: table(task, arms),
    }
}

/// The panel of people's time.
fn people(area: &Area<'_>, task: &TaskEffort, scale: &Scale) -> Drawn {
    let range = canvas::range(task.levels.iter().filter_map(|l| l.human_cost), 0.15);
    let unnamed = scale.ticks.iter().map(|(at, _)| (*at, String::new()));
    let x = Axis {
        range: scale.range,
        ticks: unnamed.collect(),
        name: String::new(),
    };
    let y = Axis {
        range,
        ticks: ticks::logarithmic(range.0, range.1, 0.0, 4),
        name: "people, ms".to_owned(),
    };
    let mut chart = canvas::chart(area, &Margins(TITLE, 10, 4, LEFT), &x, &y)?;
    let known =
        |level: &EffortLevel| Some((place(level), level.human_cost.filter(|h| h.is_finite())?));
    let known: Vec<(f64, f64)> = task.levels.iter().filter_map(known).collect();
    let ink = INK.stroke_width(3 * SCALE as u32 / 2);
    chart.draw_series(LineSeries::new(known.iter().copied(), ink))?;
    let dots = known
        .iter()
        .map(|at| Circle::new(*at, 3 * SCALE, INK.filled()));
    chart.draw_series(dots)?;
    Ok(())
}

/// The panel of the arms' tokens in the lower part of the whole drawing, with its upper edge at `top`.
fn models(
    (whole, lower): (&Area<'_>, &Area<'_>),
    task: &TaskEffort,
    arms: &[&str],
    colors: &Palette,
    (scale, top): (&Scale, i32),
) -> Drawn {
    let all = task.levels.iter().flat_map(|level| {
        let of_arm = arms.iter().filter_map(|arm| tokens(level, arm));
        of_arm.flat_map(|(estimate, value)| {
            let (low, high) = format::interval(estimate).unwrap_or((value, value));
            [low, value, high]
        })
    });
    let range = canvas::range(all, 0.06);
    let x = Axis {
        range: scale.range,
        ticks: scale.ticks.clone(),
        name: task.scale.clone(),
    };
    let y = Axis {
        range,
        ticks: ticks::linear(range.0.max(0.0), range.1, 5),
        name: "reasoning tokens".to_owned(),
    };
    let mut chart = canvas::chart(lower, &Margins(top, 10, 38, LEFT), &x, &y)?;
    for (at, arm) in arms.iter().enumerate() {
        let color = colors.color(arm);
        let x = |level: &EffortLevel| place(level) + scale.aside(at, arms.len());
        let whisker = |level: &EffortLevel| {
            let (low, high) = format::interval(tokens(level, arm)?.0)?;
            let thin = color.mix(0.6).stroke_width(SCALE as u32);
            Some(PathElement::new(
                vec![(x(level), low), (x(level), high)],
                thin,
            ))
        };
        chart.draw_series(task.levels.iter().filter_map(whisker))?;
        let thick = color.stroke_width(7 * SCALE as u32 / 4);
        let place = |level: &EffortLevel| Some((x(level), tokens(level, arm)?.1));
        // A line does not pass over a level on which its arm is undefined.
        for run in task.levels.split(|level| tokens(level, arm).is_none()) {
            chart.draw_series(LineSeries::new(run.iter().filter_map(place), thick))?;
        }
        for place in task.levels.iter().filter_map(place) {
            let at = chart.backend_coord(&place);
            // Places of a chart are those of the whole drawing.
            marks::draw(whole, colors.shape(arm), at, 3.4, color)?;
        }
    }
    Ok(())
}

/// What each arm spends on the first and the last level.
fn in_words(task: &TaskEffort, arms: &[&str]) -> String {
    let (Some(first), Some(last)) = (task.levels.first(), task.levels.last()) else {
        return String::new();
    };
    let shown = |level: &EffortLevel, arm: &str| match level.tokens.get(arm) {
        Some(estimate) => format::estimate(estimate, Quantity::Amount),
        None => format::UNDEFINED.to_owned(),
    };
    let said = arms.iter().map(|arm| {
        let (from, to) = (shown(first, arm), shown(last, arm));
        format!("{arm} from {from} to {to} tokens")
    });
    let said: Vec<String> = said.collect();
    format!(
        "From {} {} to {}: {}",
        task.scale,
        first.from,
        last.to,
        said.join("; ")
    )
}

fn table(task: &TaskEffort, arms: &[&str]) -> String {
    let mut table = Data::new(
        "task,scale,level_from,level_to,items,human_cost,arm,tokens,low,high,n,why_undefined",
    );
    for level in &task.levels {
        let human = data::number(level.human_cost);
        for arm in arms {
            let Some(estimate) = level.tokens.get(*arm) else {
                continue;
            };
            let [value, low, high, why] = data::estimate(estimate);
            table.row(&[
                &task.task,
                &task.scale,
                &level.from,
                &level.to,
                &level.items,
                &human,
                arm,
                &value,
                &low,
                &high,
                &estimate.n,
                &why,
            ]);
        }
    }
    table.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_arm_has_a_mark_a_level_and_people_a_panel() {
        let comparison = fixture::comparison();
        let found = &figures(&comparison)[0];
        assert_eq!(found.stem, "effort-alphabet_arithmetic");
        assert!(found.svg.contains("people, ms") && found.svg.contains("addend"));
        let task = &comparison.further.effort[0];
        let rows = data::parse(&found.csv);
        assert_eq!(rows.len(), 1 + task.levels.len() * 4);
        let sft = task.levels[1].tokens["sft"].value.unwrap();
        let row = rows.iter().find(|r| r[2] == "2" && r[6] == "sft").unwrap();
        assert_eq!(row[7], sft.to_string());
    }

    #[test]
    fn marks_stand_on_their_line() {
        let svg = figures(&fixture::comparison())[0].svg.clone();
        // The base is grey and round; its first line and dot belong to the legend.
        let of_base = |begin: &'static str| {
            let lines = svg.lines().filter(move |l| l.starts_with(begin));
            lines.filter(|l| l.contains("#878787")).skip(1)
        };
        let corners = of_base("<polyline").last().unwrap();
        let dots: Vec<&str> = of_base("<circle").collect();
        assert_eq!(dots.len(), 2);
        for dot in dots {
            let place = dot.strip_prefix("<circle cx=\"").unwrap();
            let (x, rest) = place.split_once("\" cy=\"").unwrap();
            let (y, _) = rest.split_once('"').unwrap();
            assert!(corners.contains(&format!("{x},{y} ")), "{x},{y}: {corners}");
        }
    }

    #[test]
    fn what_is_undefined_is_said_and_not_drawn() {
        let comparison = fixture::comparison();
        let drawn = |c: &Comparison| {
            let svg = figures(c)[0].svg.clone();
            svg.lines()
                .filter(|l| l.starts_with("<polygon") && l.contains("D55E00"))
                .count()
        };
        let before = drawn(&comparison);
        let mut without = comparison.clone();
        let level = &mut without.further.effort[0].levels[1];
        level.tokens.get_mut("sft").unwrap().value = None;
        assert_eq!(drawn(&without), before - 1);
        let found = &figures(&without)[0];
        assert!(found.definition.contains("not drawn there: sft."));
        assert!(!figures(&comparison)[0].definition.contains("not drawn"));
    }

    #[test]
    fn people_without_times_have_no_panel() {
        let mut comparison = fixture::comparison();
        assert!(figures(&comparison)[0].svg.contains("people, ms"));
        for level in &mut comparison.further.effort[0].levels {
            level.human_cost = None;
        }
        let without = figures(&comparison).remove(0);
        assert!(!without.svg.contains("people, ms"));
        assert!(!without.definition.contains("people's mean time"));
    }
}
