//! What is evaluated: the items of some tasks, and how long people took for
//! them, from given norms or from the tasks' own rules.
//!
//! Given norms come first. A task that is not among them is evaluated on the
//! items of its rule with the built-in means of its conditions, unless models
//! are trained on it: its norms were meant to be there, and condition means
//! in place of item means would pass unseen. Either kind has what the task
//! reads in an item ([`super::reading`]).

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use experiments::norms::{NormItem, Norms, conditions};

use super::reading::{cluster, completed, read};
use super::task::item_of;
use super::{COUNTING, Item, Task, by_name};

/// The items of the tasks called `names`, in that order, and their norms. A task is
/// one of `opened`, or the lab's of that name as it is, or a name of the given norms
/// alone.
///
/// ```
/// use qinglan::tasks::items;
///
/// let (items, norms) = items(&["sternberg".to_owned()], &[], None).unwrap();
/// assert_eq!(items.len(), 120);
/// assert!(norms.human_cost("sternberg", &items[0].item_id).is_some());
/// ```
pub fn items(
    names: &[String],
    opened: &[Arc<dyn Task>],
    given: Option<Norms>,
) -> Result<(Vec<Item>, Norms)> {
    let given = given.map(completed);
    let mut items = Vec::new();
    let mut built_in = Vec::new();
    let mut by_condition = Vec::new();
    for name in names {
        let found = opened.iter().find(|task| task.name() == name);
        let task = found.cloned().map_or_else(|| by_name(name), Ok);
        let timed = given.as_ref().map_or(&[][..], |norms| norms.items(name));
        if !timed.is_empty() {
            for item in timed {
                ensure!(
                    !item.prompt.trim().is_empty(),
                    "item {} of {name} has no prompt, so nobody can be asked it; fill the column `prompt`, or leave {name} out of the tasks",
                    item.item_id
                );
                items.push(match &task {
                    Ok(task) => task.of_norms(item),
                    Err(_) => item_of(item),
                });
            }
            continue;
        }
        if let Some(norms) = &given
            && (COUNTING.contains(&name.as_str()) || task.is_err())
        {
            let tasks: Vec<&str> = norms.tasks().into_iter().collect();
            bail!(
                "the norms have no items of the task {name}, they have {}; take the task out of the tasks, or give other norms",
                tasks.join(", ")
            );
        }
        let task = task?;
        let of_task = task.evaluation_items()?;
        ensure!(
            !of_task.is_empty(),
            "the items of {name} come with their norms: give a folder that has them"
        );
        built_in.extend(of_task.iter().map(|item| built_in_norm(&*task, item)));
        if task.data_set().is_none() {
            by_condition.push(name.clone());
        }
        items.extend(of_task);
    }
    let own = match built_in.as_slice() {
        [] => Norms::default(),
        _ if by_condition.is_empty() => Norms::new(built_in, String::new()),
        _ => Norms::new(built_in, conditions::citation(&by_condition)),
    };
    Ok((items, given.unwrap_or_default().and(own)))
}

/// The item with the built-in times of its condition, where there are any: then
/// all items of the condition are one cluster.
fn built_in_norm(task: &dyn Task, item: &Item) -> NormItem {
    if let Some(own) = task.norm(item) {
        return NormItem {
            task: item.task.clone(),
            item_id: item.item_id.clone(),
            prompt: item.prompt.clone(),
            answer: item.answer.clone(),
            ..own
        };
    }
    let condition = conditions::lookup(&item.task, &item.condition);
    let mut norm = NormItem {
        task: item.task.clone(),
        item_id: item.item_id.clone(),
        prompt: item.prompt.clone(),
        answer: item.answer.clone(),
        condition: Some(item.condition.clone()),
        n: condition.and_then(|c| c.trials).map(f64::from),
        mean_rt_ms: condition.map(|c| c.mean_rt_ms),
        mean_log_rt: condition.and_then(|c| c.mean_log_rt),
        accuracy: condition.and_then(|c| c.accuracy),
        cluster: match condition {
            Some(_) => Some(cluster(task, &item.condition)),
            None => item.cluster.clone(),
        },
        ..NormItem::default()
    };
    let covariates = read(task, &norm).unwrap_or_default().covariates.into_iter();
    norm.covariates = covariates
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    norm
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::names as all_names;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn timed(task: &str, item_id: &str, answer: &str) -> Norms {
        let item = NormItem {
            task: task.into(),
            item_id: item_id.into(),
            prompt: item_id.into(),
            answer: answer.into(),
            mean_rt_ms: Some(900.0),
            ..NormItem::default()
        };
        Norms::new(vec![item], "made up".into())
    }

    #[test]
    fn given_norms_come_first_and_rules_fill_what_is_only_evaluated() {
        let given = timed("addition_digit", "2 + 2 = 4", "true");
        let wanted = names(&["addition_digit", "sternberg", "syllogisms"]);
        let (found, norms) = items(&wanted, &[], Some(given)).unwrap();
        let of = |task: &str| found.iter().filter(|item| item.task == task).count();
        assert_eq!(
            (of("addition_digit"), of("sternberg"), of("syllogisms")),
            (1, 120, 512)
        );
        assert!(norms.source().contains("made up; ") && norms.source().contains("Sternberg 1966"));
        assert_eq!(norms.items("sternberg").len(), 120);
        let untimed = norms.items("syllogisms").iter();
        assert!(untimed.clone().all(|item| item.human_cost().is_none()));
    }

    #[test]
    fn items_of_a_condition_are_one_cluster_in_digits_and_in_words() {
        let (_, norms) = items(&COUNTING.map(str::to_owned), &[], None).unwrap();
        let cluster = |task, id| norms.item(task, id).unwrap().cluster.clone().unwrap();
        let tie = "addition/true/tie/sum=10";
        assert_eq!(cluster("addition_digit", "5 + 5 = 10"), tie);
        assert_eq!(cluster("addition_word", "five + five = ten"), tie);
        let addend = "alphabet_arithmetic/true/addend=3";
        assert_eq!(cluster("alphabet_arithmetic", "A+3=D"), addend);
        assert_eq!(cluster("alphabet_arithmetic", "H+3=K"), addend);
        for (tasks, conditions) in [(&COUNTING[..1], 10), (&COUNTING[1..], 42)] {
            let items = tasks.iter().flat_map(|task| norms.items(task));
            let clusters: BTreeSet<_> = items.map(|item| item.cluster.clone().unwrap()).collect();
            assert_eq!(clusters.len(), conditions, "{tasks:?}");
        }
    }

    #[test]
    fn every_covariate_of_every_task_is_known_of_every_item_and_varies() {
        let tasks: Vec<String> = all_names().map(str::to_owned).collect();
        let (_, norms) = items(&tasks, &[], None).unwrap();
        for (task, expected) in [
            ("alphabet_arithmetic", &["addend", "letter", "truth"][..]),
            (
                "addition_digit",
                &["larger", "size", "smaller", "tie", "truth"],
            ),
            (
                "addition_word",
                &["larger", "size", "smaller", "tie", "truth"],
            ),
            ("sternberg", &["present", "size"]),
            ("syllogisms", &["figure", "negative", "particular", "truth"]),
            (
                "syllogism_forms",
                &["conclusions", "figure", "negative", "particular"],
            ),
            (
                "spatial_relations",
                &["alike", "diagonals", "opposed", "premises"],
            ),
            ("game24", &["largest", "search", "solutions"]),
            ("countdown", &["largest", "search", "solutions"]),
        ] {
            let of_task = norms.items(task);
            for item in of_task {
                let names: Vec<&String> = item.covariates.keys().collect();
                assert_eq!(names, expected, "{item:?}");
                // An item without a time shares none with another.
                assert_eq!(item.cluster.is_some(), item.human_cost().is_some());
            }
            for name in expected {
                let values = of_task.iter().map(|item| item.covariates[*name].to_bits());
                let values: BTreeSet<u64> = values.collect();
                // All have two premises here; people may be asked about more.
                assert!(
                    values.len() > 1 || *name == "premises",
                    "{name} of {task}: {values:?}"
                );
            }
        }
    }

    #[test]
    fn a_puzzle_of_given_norms_is_graded_by_its_numbers() {
        let (found, _) = items(
            &names(&["game24"]),
            &[],
            Some(timed("game24", "1 1 4 6", "")),
        )
        .unwrap();
        assert_eq!(found[0].answer, "1 1 4 6");
    }

    #[test]
    fn a_data_set_is_a_task_of_its_norms() {
        let given = timed("my_data", "one", "18");
        let (found, _) = items(&names(&["my_data"]), &[], Some(given)).unwrap();
        assert_eq!(
            (found[0].task.as_str(), found[0].answer.as_str()),
            ("my_data", "18")
        );
    }

    #[test]
    fn what_has_no_items_is_refused_with_the_way_out() {
        let refused = |wanted: &[&str], given| {
            let error = items(&names(wanted), &[], given).unwrap_err();
            format!("{error:#}")
        };
        for absent in ["addition_word", "my_dat"] {
            let told = refused(&[absent], Some(timed("my_data", "one", "18")));
            assert!(
                told.contains(absent) && told.contains("they have my_data"),
                "{told}"
            );
        }
        let told = refused(&["sternburg"], None);
        assert!(told.contains("did you mean `sternberg`?"), "{told}");
        let mut blank = timed("my_data", "one", "18").items("my_data").to_vec();
        blank[0].prompt.clear();
        let told = refused(&["my_data"], Some(Norms::new(blank, String::new())));
        assert!(told.contains("has no prompt"), "{told}");
    }
}
