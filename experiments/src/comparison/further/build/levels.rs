//! Tokens by level of difficulty.
//!
//! The level of an item is the number at the end of its condition: `true/addend=3`
//! is level 3 of addend. A task whose items' conditions do not all end in such a
//! number of one name has no levels, and nothing is made up for it.

use std::collections::BTreeMap;

use super::{drawn, draws};
use crate::alignment::cost::ModelItems;
use crate::comparison::Estimate;
use crate::comparison::build::Input;
use crate::comparison::further::{EffortLevel, TaskEffort};
use crate::norms::NormItem;
use crate::statistics::interval::half_width;
use crate::statistics::{Undefined, mean};

/// Most levels of a task; more are joined with their neighbours.
const MOST: usize = 12;
/// Fewest items that an interval is read from.
const FEWEST: usize = 3;

/// Every task that has levels.
pub(super) fn effort(input: &Input<'_>, models: &[(&str, &ModelItems)]) -> Vec<TaskEffort> {
    let of_task = |task: &String| {
        let evaluated = |item: &&NormItem| {
            let mut models = models.iter();
            models.any(|(_, model)| model.task(task).contains_key(&item.item_id))
        };
        let items = input.norms.items(task).iter().filter(evaluated);
        let (scale, groups) = grouped(&items.collect::<Vec<_>>())?;
        Some(TaskEffort {
            task: task.clone(),
            scale,
            levels: levels(input, models, task, &groups),
        })
    };
    input.tasks.iter().filter_map(of_task).collect()
}

/// An item with its level.
type Leveled<'n> = (f64, &'n NormItem);

/// The name and the number of an item's level.
fn level(item: &NormItem) -> Option<(&str, f64)> {
    let (name, number) = item
        .condition
        .as_ref()?
        .rsplit('/')
        .next()?
        .split_once('=')?;
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((name, number))
}

/// The items by level, ascending, and what the levels are called; `None` where
/// they have no levels of one name, or only one.
fn grouped<'n>(items: &[&'n NormItem]) -> Option<(String, Vec<Vec<Leveled<'n>>>)> {
    let (scale, _) = level(items.first()?)?;
    let mut leveled: Vec<Leveled<'n>> = items
        .iter()
        .map(|&item| {
            let (name, number) = level(item)?;
            (name == scale).then_some((number, item))
        })
        .collect::<Option<_>>()?;
    leveled.sort_by(|a, b| a.0.total_cmp(&b.0));
    let apart = |a: &Leveled<'_>, b: &Leveled<'_>| a.0.total_cmp(&b.0).is_eq();
    let single: Vec<&[Leveled<'n>]> = leveled.chunk_by(apart).collect();
    if single.len() < 2 {
        return None;
    }
    let mut groups: Vec<Vec<Leveled<'n>>> = Vec::new();
    let (mut before, mut last) = (0, None);
    for (at, same) in single.iter().enumerate() {
        // Of many levels, neighbours are joined so that the groups are about equally large.
        let group = if single.len() > MOST {
            before * MOST / leveled.len()
        } else {
            at
        };
        before += same.len();
        match groups.last_mut().filter(|_| last == Some(group)) {
            Some(items) => items.extend_from_slice(same),
            None => groups.push(same.to_vec()),
        }
        last = Some(group);
    }
    Some((scale.to_owned(), groups))
}

fn levels(
    input: &Input<'_>,
    models: &[(&str, &ModelItems)],
    task: &str,
    groups: &[Vec<Leveled<'_>>],
) -> Vec<EffortLevel> {
    let of_group = |items: &Vec<Leveled<'_>>| {
        let costs: Vec<f64> = items
            .iter()
            .filter_map(|(_, item)| item.human_cost())
            .collect();
        EffortLevel {
            from: items.first().map_or(f64::NAN, |(level, _)| *level),
            to: items.last().map_or(f64::NAN, |(level, _)| *level),
            items: items.len(),
            human_cost: mean(&costs),
            tokens: BTreeMap::new(),
        }
    };
    let mut levels: Vec<EffortLevel> = groups.iter().map(of_group).collect();
    for (name, model) in models {
        let of_model = model.task(task);
        let tokens = |(_, item): &Leveled<'_>| of_model.get(&item.item_id)?.tokens;
        let tokens: Vec<Vec<f64>> = groups
            .iter()
            .map(|items| items.iter().filter_map(tokens).collect())
            .collect();
        for (level, estimate) in levels.iter_mut().zip(estimates(input, &tokens)) {
            level.tokens.insert((*name).to_owned(), estimate);
        }
    }
    levels
}

/// Mean tokens of each level, items resampled within the level.
fn estimates(input: &Input<'_>, tokens: &[Vec<f64>]) -> Vec<Estimate> {
    let enough = |tokens: &&Vec<f64>| tokens.len() >= FEWEST;
    let drawable: Vec<&Vec<f64>> = tokens.iter().filter(enough).collect();
    let sizes: Vec<usize> = drawable.iter().map(|tokens| tokens.len()).collect();
    let resampled = draws(input, &sizes, |draw| -> Vec<Option<f64>> {
        let of_level = |(tokens, weights): (&&Vec<f64>, &Vec<f64>)| {
            let total: f64 = weights.iter().sum();
            let sum: f64 = tokens.iter().zip(weights).map(|(t, w)| t * w).sum();
            (total > 0.0).then(|| sum / total)
        };
        drawable.iter().zip(&draw.items).map(of_level).collect()
    });
    let mut at = 0..;
    let estimate = |tokens: &Vec<f64>| {
        let n = tokens.len();
        let value = mean(tokens);
        if n < FEWEST {
            let why = if n == 0 {
                "no sample counts"
            } else {
                "no interval: fewer than 3 items"
            };
            return Estimate {
                value,
                low: None,
                high: None,
                n,
                why_undefined: Some(why.to_owned()),
            };
        }
        let at = at.next().unwrap_or_default();
        let value = value.ok_or(Undefined::NoVariance("tokens"));
        let of = |draw: &Vec<Option<f64>>| draw.get(at).copied().flatten();
        drawn(value, &resampled, of, n, half_width(n, 1))
    };
    tokens.iter().map(estimate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(condition: Option<&str>) -> NormItem {
        NormItem {
            task: "t".into(),
            item_id: condition.unwrap_or_default().into(),
            condition: condition.map(Into::into),
            ..NormItem::default()
        }
    }

    fn levels_of(conditions: &[Option<&str>]) -> Option<(String, Vec<Vec<f64>>)> {
        let items: Vec<NormItem> = conditions.iter().map(|c| item(*c)).collect();
        let (scale, groups) = grouped(&items.iter().collect::<Vec<_>>())?;
        let numbers = |group: &Vec<Leveled<'_>>| group.iter().map(|(level, _)| *level).collect();
        Some((scale, groups.iter().map(numbers).collect()))
    }

    #[test]
    fn the_number_at_the_end_of_the_condition_is_the_level() {
        let found = levels_of(&[
            Some("true/addend=10"),
            Some("false/addend=2"),
            Some("true/addend=2"),
        ]);
        assert_eq!(
            found,
            Some(("addend".into(), vec![vec![2.0, 2.0], vec![10.0]]))
        );
    }

    #[test]
    fn without_one_scale_or_a_second_level_there_are_none() {
        assert_eq!(levels_of(&[]), None);
        assert_eq!(levels_of(&[None, Some("sum=1")]), None);
        assert_eq!(levels_of(&[Some("sum=1"), Some("size=2")]), None);
        assert_eq!(levels_of(&[Some("sum=1"), Some("true/sum=1")]), None);
        assert_eq!(levels_of(&[Some("a/same"), Some("a/different")]), None);
        assert_eq!(levels_of(&[Some("sum=inf"), Some("sum=NaN")]), None);
    }

    #[test]
    fn very_many_levels_are_joined_in_order() {
        let names: Vec<String> = (0..100).map(|i| format!("rank={i}")).collect();
        let conditions: Vec<Option<&str>> = names.iter().map(|n| Some(n.as_str())).collect();
        let (_, groups) = levels_of(&conditions).expect("levels");
        assert_eq!(groups.len(), MOST);
        assert_eq!(groups.concat(), (0..100).map(f64::from).collect::<Vec<_>>());
        assert!(groups.iter().all(|g| (8..=9).contains(&g.len())));
    }
}
