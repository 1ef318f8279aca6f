//! Tokens against the difficulty of the items, arm by arm, under people's time on
//! the same items, a figure for each task that has levels of difficulty.
//!
//! People's time has a panel of its own: it is measured in another unit, and no
//! two axes in one panel could be compared by eye.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{self, Axis, Label, Margins, SCALE};
use super::data::{self, Data};
use super::marks::{self, Legend};
use super::palette::{INK, MUTED, Palette};
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
pub const EXPLANATION: &str = "Above, people's mean time on the items of a level, on a logarithmic axis; below, each arm's mean reasoning \
     tokens on them, with 95 % intervals that resample items within the level. Arms stand side by side within a level. \
     A level is the number at the end of an item's condition; very many levels are joined with their neighbours.";

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

fn figure(task: &TaskEffort, arms: &[&str], colors: &Palette) -> Figure {
    let title = format!("{}: effort by {}", task.task, task.scale);
    let mut definition = EXPLANATION.to_owned();
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
    let places: Vec<f64> = task.levels.iter().map(place).collect();
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
    let x = (ends.0 - gap / 2.0, ends.1 + gap / 2.0);
    let middle = arms.len().saturating_sub(1) as f64 / 2.0;
    let aside = |at: usize| (at as f64 - middle) * 0.6 * gap / arms.len().max(1) as f64;
    let x_ticks = ticks::linear(x.0, x.1, 8);
    let unnamed: Vec<ticks::Tick> = x_ticks.iter().map(|(at, _)| (*at, String::new())).collect();
    let human = canvas::range(task.levels.iter().filter_map(|l| l.human_cost), 0.15);
    let all = task.levels.iter().flat_map(|level| {
        let of_arm = arms.iter().filter_map(|arm| tokens(level, arm));
        of_arm.flat_map(|(e, value)| {
            let (low, high) = format::interval(e).unwrap_or((value, value));
            [low, value, high]
        })
    });
    let spent = canvas::range(all, 0.06);
    let legend = Legend::new(arms, WIDTH);
    let above = TITLE + PEOPLE;
    let size = (WIDTH as u32, (above + legend.height() + MODELS + 52) as u32);
    let svg = canvas::svg(size, &label, |area| {
        let heading = canvas::shorten(&title, 46);
        canvas::text(area, &heading, &canvas::bold(13.0), (2, 14), HPos::Left)?;
        let (people, models) = area.split_vertically(above * SCALE);
        let x_axis = Axis {
            range: x,
            ticks: unnamed.clone(),
            name: String::new(),
        };
        let y_axis = Axis {
            range: human,
            ticks: ticks::logarithmic(human.0, human.1, 0.0, 4),
            name: "people, ms".to_owned(),
        };
        let mut chart = canvas::chart(&people, &Margins(TITLE, 10, 4, LEFT), &x_axis, &y_axis)?;
        let known: Vec<(f64, f64)> = task
            .levels
            .iter()
            .filter_map(|level| Some((place(level), level.human_cost.filter(|h| h.is_finite())?)))
            .collect();
        let ink = INK.stroke_width(3 * SCALE as u32 / 2);
        chart.draw_series(LineSeries::new(known.iter().copied(), ink))?;
        for at in &known {
            chart.draw_series([Circle::new(*at, 3 * SCALE, INK.filled())])?;
        }
        if known.is_empty() {
            let at = (LEFT + 8, TITLE + PEOPLE / 2);
            let words = "no human time on these items";
            canvas::text(area, words, &canvas::font(11.0, MUTED), at, HPos::Left)?;
        }
        legend.draw(&models, 14, colors)?;
        let x_axis = Axis {
            range: x,
            ticks: x_ticks.clone(),
            name: task.scale.clone(),
        };
        let y_axis = Axis {
            range: spent,
            ticks: ticks::linear(spent.0.max(0.0), spent.1, 5),
            name: "reasoning tokens".to_owned(),
        };
        let top = legend.height() + 12;
        let mut chart = canvas::chart(&models, &Margins(top, 10, 36, LEFT), &x_axis, &y_axis)?;
        for (at, arm) in arms.iter().enumerate() {
            let color = colors.color(arm);
            let thin = color.mix(0.6).stroke_width(SCALE as u32);
            for (low, high, x) in task.levels.iter().filter_map(|level| {
                let (low, high) = format::interval(tokens(level, arm)?.0)?;
                Some((low, high, place(level) + aside(at)))
            }) {
                chart.draw_series([PathElement::new(vec![(x, low), (x, high)], thin)])?;
            }
            let thick = color.stroke_width(7 * SCALE as u32 / 4);
            let places =
                |level: &EffortLevel| Some((place(level) + aside(at), tokens(level, arm)?.1));
            // A line does not pass over a level on which its arm is undefined.
            for run in task.levels.split(|level| tokens(level, arm).is_none()) {
                chart.draw_series(LineSeries::new(run.iter().filter_map(places), thick))?;
            }
            for place in task.levels.iter().filter_map(places) {
                let (x, y) = chart.backend_coord(&place);
                let shape = colors.shape(arm);
                marks::draw(area, shape, (x, y), 3.4, color)?;
            }
        }
        Ok(())
    });
    Figure {
        stem: stem(&["effort", &task.task]),
        title,
        definition,
        svg,
        csv: table(task, arms),
    }
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
    fn people_without_times_are_said() {
        let mut comparison = fixture::comparison();
        for level in &mut comparison.further.effort[0].levels {
            level.human_cost = None;
        }
        assert!(figures(&comparison)[0].svg.contains("no human time"));
    }
}
