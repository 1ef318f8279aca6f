//! Tokens by level of difficulty.
//!
//! The level of an item is the number at the end of its condition: `true/addend=3`
//! is level 3 of addend. A task whose items' conditions do not all end in such a
//! number of one name has no levels, and nothing is made up for it.

use std::collections::BTreeMap;

use super::figure_of_arm;
use crate::alignment::design::{Design, TaskDesign, Without};
use crate::alignment::training::Training;
use crate::comparison::Estimate;
use crate::comparison::build::Input;
use crate::comparison::further::{EffortLevel, TaskEffort};
use crate::norms::NormItem;
use crate::statistics::{Undefined, mean};

/// Most levels of a task; more are joined with their neighbours.
const MOST: usize = 12;
/// Fewest clusters that an interval is read from.
const FEWEST: usize = 3;

/// Every task that has levels.
pub(super) fn effort(
    input: &Input<'_>,
    design: &Design<'_>,
    arms: &[(&str, &[Training<'_>])],
) -> Vec<TaskEffort> {
    let of_task = |(at, task): (usize, &TaskDesign<'_>)| {
        let evaluated = |item: &&NormItem| task.ids.contains(&item.item_id.as_str());
        let items = input.norms.items(task.name).iter().filter(evaluated);
        let (scale, groups) = grouped(&items.collect::<Vec<_>>())?;
        let level = |group: &Vec<Leveled<'_>>| level_of(design, arms, at, group);
        Some(TaskEffort {
            task: task.name.to_owned(),
            scale,
            levels: groups.iter().map(level).collect(),
        })
    };
    design
        .tasks
        .iter()
        .enumerate()
        .filter_map(of_task)
        .collect()
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

fn level_of(
    design: &Design<'_>,
    arms: &[(&str, &[Training<'_>])],
    at: usize,
    group: &[Leveled<'_>],
) -> EffortLevel {
    let task = &design.tasks[at];
    let costs: Vec<f64> = (group.iter())
        .filter_map(|(_, item)| item.human_cost())
        .collect();
    let places: Vec<usize> = (group.iter())
        .filter_map(|(_, item)| task.ids.iter().position(|id| *id == item.item_id))
        .collect();
    let tokens = |(name, trainings): &(&str, &[Training<'_>])| {
        (
            (*name).to_owned(),
            tokens_of(design, at, &places, trainings),
        )
    };
    EffortLevel {
        from: group.first().map_or(f64::NAN, |(level, _)| *level),
        to: group.last().map_or(f64::NAN, |(level, _)| *level),
        items: group.len(),
        human_cost: mean(&costs),
        tokens: arms.iter().map(tokens).collect::<BTreeMap<_, _>>(),
    }
}

/// Mean tokens of an arm on some items of a task.
fn tokens_of(
    design: &Design<'_>,
    at: usize,
    places: &[usize],
    trainings: &[Training<'_>],
) -> Estimate {
    let task = &design.tasks[at];
    let kept = |s: usize, without| -> Vec<f64> {
        let items = places.iter().filter(|&&item| task.keeps(item, without));
        items
            .filter_map(|&item| trainings[s].cells[at][item]?.tokens)
            .collect()
    };
    let here = |without: Without| {
        without.stratum == task.stratum
            && places
                .iter()
                .any(|&item| task.cluster[item] == without.cluster)
    };
    let n = trainings.first().map_or(0, |_| kept(0, None).len());
    let found = figure_of_arm(design, trainings, n, here, |s, without| {
        mean(&kept(s, without)).ok_or_else(|| Undefined::Because("no sample counts".into()))
    });
    let stratum = task.stratum;
    let clusters = (0..design.strata[stratum].clusters)
        .filter(|&cluster| here(Without { stratum, cluster }))
        .count();
    if found.value.is_some() && clusters < FEWEST {
        return Estimate {
            value: found.value,
            ..Estimate::undefined("no interval: fewer than 3 clusters of items", n)
        };
    }
    found
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
