//! Remarks on clusters: on what the jackknife over them cannot tell, and on
//! items that should be in one.

use std::collections::{BTreeMap, BTreeSet};

use super::remarks::counted;
use super::{Content, Findings};

/// Remarks on clusters that leave nothing to resample: all items of a task are in one, and so
/// are all items of every task that shares it.
pub(super) fn across(contents: &[Content], findings: &mut Findings) {
    let mut tasks: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    let all = contents.iter().flat_map(|content| &content.items);
    for (task, items) in all {
        let clusters = items.iter().map(|(_, item)| item.cluster.as_deref());
        tasks.entry(task).or_default().extend(clusters);
    }
    let mut sharing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (task, clusters) in &tasks {
        for cluster in clusters.iter().flatten() {
            sharing.entry(cluster).or_default().insert(task);
        }
    }
    for (cluster, sharers) in sharing {
        let mut items = sharers.iter().filter_map(|task| tasks.get(task)).flatten();
        if !items.all(|of_item| *of_item == Some(cluster)) {
            continue;
        }
        let content = contents
            .iter()
            .find(|content| sharers.iter().any(|task| content.items.contains_key(*task)));
        // A cluster was found in a content, so there is one.
        if let Some(content) = content {
            let names: Vec<&str> = sharers.into_iter().collect();
            let plural = if names.len() == 1 { "" } else { "s" };
            findings.remark(
                &content.items_path,
                &[],
                format!(
                    "the cluster `{cluster}` holds all items of the task{plural} {}: nothing can be resampled and no interval is defined; give items that are independent evidence clusters of their own",
                    names.join(", ")
                ),
            );
        }
    }
}

/// Remarks on items without a cluster that share a condition and its time to the last digit.
pub(super) fn condition_means(content: &Content, findings: &mut Findings) {
    for (task, items) in &content.items {
        let mut alike: BTreeMap<(&str, u64), Vec<usize>> = BTreeMap::new();
        for (line, item) in items {
            if let (None, Some(condition), Some(cost)) =
                (&item.cluster, &item.condition, item.human_cost())
            {
                let key = (condition.as_str(), cost.to_bits());
                alike.entry(key).or_default().push(*line);
            }
        }
        let mut lines: Vec<usize> = alike
            .into_values()
            .filter(|lines| lines.len() > 1)
            .flatten()
            .collect();
        lines.sort_unstable();
        if !lines.is_empty() {
            findings.remark(
                &content.items_path,
                &lines,
                format!(
                    "{} of task `{task}` without a cluster have the condition and exactly the time of another: they look like a mean of the condition, which is evidence once; fill the column `cluster` for them",
                    counted(lines.len(), "item")
                ),
            );
        }
    }
}
