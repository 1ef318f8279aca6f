//! What is peculiar about records that are all sound.

use std::collections::{BTreeMap, BTreeSet};

use super::{EXAMPLES, more};
use crate::alignment::cost::Items;

/// What is peculiar about the records themselves and leaves a figure undefined
/// or thin: a model whose every answer was cut off, a task of too few items,
/// costs that do not vary.
pub fn peculiarities(items: &Items, tasks: &[String]) -> Vec<String> {
    let (mut cut, mut constant, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut sizes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, seeds) in &items.models {
        let all = || {
            seeds
                .iter()
                .flat_map(|model| model.tasks.values().flatten())
        };
        // Samples that were cut off have a cost where they count with the tokens they had.
        if all().all(|(_, item)| item.truncated == item.samples && item.cost.is_none()) {
            cut.push(name.clone());
            continue;
        }
        for task in tasks {
            let of_task = || seeds.iter().flat_map(|model| model.task(task));
            let ids = of_task().map(|(id, _)| id.as_str());
            sizes.entry(task).or_default().extend(ids);
            let mut costs = of_task().filter_map(|(_, item)| item.cost);
            let Some(first) = costs.next() else { continue };
            // Equal token counts give equal bits.
            if of_task().count() > 1 && costs.all(|cost| cost.to_bits() == first.to_bits()) {
                constant.push(format!("{name} on {task}"));
            }
        }
    }
    if !cut.is_empty() {
        notes.push(format!(
            "Every answer was cut off at the token cap, so no figure of these models is defined: {}.",
            cut.join(", ")
        ));
    }
    for (task, ids) in sizes {
        if (1..3).contains(&ids.len()) {
            notes.push(format!(
                "{task} has {} item(s); a correlation needs at least 3, so alignment there is undefined.",
                ids.len()
            ));
        }
    }
    if !constant.is_empty() {
        let names: Vec<String> = constant.iter().take(EXAMPLES).cloned().collect();
        notes.push(format!(
            "The cost is the same for every item, so the correlation is undefined and not 0: {}.",
            more(&names, constant.len())
        ));
    }
    notes
}
