//! What is taken and should be known: gaps, and means that cannot be right.

use std::collections::{BTreeMap, HashMap};

use super::{Content, Findings};
use crate::norms::{NormItem, Trial, Window};
use crate::statistics::mean;

/// How far an item's mean ln(ms) may be from that of its trials.
const LOG_TOLERANCE: f64 = 1e-3;
/// How far a mean of logarithms may lie above the logarithm of the mean, which
/// it cannot pass but by rounding.
const ROUNDING: f64 = 1e-3;
/// Below this many items with times no correlation is defined.
const FEWEST_ITEMS: usize = 3;

/// Adds the remarks on one folder.
pub(super) fn of(content: &Content, findings: &mut Findings) {
    for (task, items) in &content.items {
        let lines_of = |test: &dyn Fn(&NormItem) -> bool| -> Vec<usize> {
            let of = items.iter().filter(|(_, item)| test(item));
            of.map(|(line, _)| *line).collect()
        };
        let mut remark = |lines: Vec<usize>, text: &str| {
            if !lines.is_empty() {
                let what = counted(lines.len(), "item");
                let path = &content.items_path;
                findings.remark(path, &lines, format!("{what} of task `{task}` {text}"));
            }
        };
        remark(
            lines_of(&|i| i.prompt.trim().is_empty()),
            "without a prompt: models cannot be asked these items",
        );
        remark(
            lines_of(&|i| i.answer.trim().is_empty()),
            "without an answer: they are graded only if the task needs none",
        );
        remark(
            lines_of(&|i| i.human_cost().is_none()),
            "without a time: they count for accuracy and for no alignment",
        );
        remark(
            lines_of(&|i| i.n == Some(0.0) && i.human_cost().is_some()),
            "with a time from no trials: n is 0",
        );
        remark(
            lines_of(&|i| {
                let logs = i.mean_log_rt.zip(i.mean_rt_ms);
                logs.is_some_and(|(log, ms)| log > ms.ln() + ROUNDING)
            }),
            "with a mean logarithm above the logarithm of the mean, which no times have; check the units of mean_rt_ms (milliseconds) and mean_log_rt (ln of milliseconds)",
        );
        let costs: Vec<f64> = items.iter().filter_map(|(_, i)| i.human_cost()).collect();
        let timed = costs.len();
        if (1..FEWEST_ITEMS).contains(&timed) {
            findings.remark(
                &content.items_path,
                &[],
                format!(
                    "task `{task}` has {} with a time; below {FEWEST_ITEMS} no alignment is defined",
                    counted(timed, "item")
                ),
            );
        } else if timed > 0
            && costs
                .windows(2)
                .all(|pair| pair[0].total_cmp(&pair[1]).is_eq())
        {
            findings.remark(
                &content.items_path,
                &[],
                format!("the times of task `{task}` are all alike: no alignment is defined"),
            );
        }
        if let Some(trials) = &content.trials {
            let empty = Vec::new();
            let trials = trials.get(task).unwrap_or(&empty);
            of_trials(content, task, items, trials, findings);
        }
    }
}

/// `1 item`, `2 items`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Holds the items of a task to their trials.
fn of_trials(
    content: &Content,
    task: &str,
    items: &[(usize, NormItem)],
    trials: &[(usize, Trial)],
    findings: &mut Findings,
) {
    let window = Window::of(task);
    let mut by_item: HashMap<&str, Vec<f64>> = HashMap::new();
    let mut meetings: BTreeMap<(&str, &str, u32), usize> = BTreeMap::new();
    let (mut again, mut timeless) = (Vec::new(), Vec::new());
    for (line, trial) in trials {
        let logs = by_item.entry(&trial.item_id).or_default();
        if window.keeps(trial) {
            logs.push(trial.rt_ms.ln());
        }
        if trial.rt_ms == 0.0 {
            timeless.push(*line);
        }
        let meeting = (trial.item_id.as_str(), trial.subject.as_str(), trial.repeat);
        if meetings.insert(meeting, *line).is_some() {
            again.push(*line);
        }
    }
    let mut remark = |path, lines: &[usize], thing, text: &str| {
        if !lines.is_empty() {
            let what = counted(lines.len(), thing);
            findings.remark(path, lines, format!("{what} of task `{task}` {text}"));
        }
    };
    let lines_of = |test: &dyn Fn(&NormItem) -> bool| -> Vec<usize> {
        let of = items.iter().filter(|(_, item)| test(item));
        of.map(|(line, _)| *line).collect()
    };
    let path = &content.trials_path;
    remark(path, &timeless, "trial", "of 0 ms, outside any window");
    remark(
        path,
        &again,
        "trial",
        "with the item, subject and repeat of an earlier one",
    );
    let path = &content.items_path;
    remark(
        path,
        &lines_of(&|i| !by_item.contains_key(i.item_id.as_str())),
        "item",
        "without a trial in the trials.csv beside them",
    );
    remark(
        path,
        &lines_of(&|i| {
            let logs = by_item.get(i.item_id.as_str());
            let differs = |logs: &Vec<f64>| {
                let count = i.n.is_some_and(|n| (n - logs.len() as f64).abs() > 0.0);
                let time = i.mean_log_rt.zip(mean(logs));
                count || time.is_some_and(|(given, found)| (given - found).abs() > LOG_TOLERANCE)
            };
            logs.is_some_and(differs)
        }),
        "item",
        &format!("whose n or mean_log_rt is not that of their trials ({window})"),
    );
}
