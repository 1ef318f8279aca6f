//! Every item with every arm's completions, for reading side by side.

use std::collections::{BTreeMap, HashMap};

use super::{ItemCompletions, ShownCompletion};
use crate::norms::{NormItem, Norms};
use crate::record::Trace;

/// The items of the tasks, in the order of the norms, each with the completions
/// that the records kept; then those of a task that the norms do not know, whose
/// prompt and answer are not known. A record without a completion's text shows none.
pub fn item_completions(traces: &[Trace], norms: &Norms, tasks: &[String]) -> Vec<ItemCompletions> {
    let mut by_item: HashMap<(&str, &str), BTreeMap<String, Vec<ShownCompletion>>> = HashMap::new();
    for trace in traces {
        let Some(text) = &trace.completion else {
            continue;
        };
        by_item
            .entry((&trace.task, &trace.item_id))
            .or_default()
            .entry(trace.model.clone())
            .or_default()
            .push(ShownCompletion {
                seed: trace.seed,
                sample: trace.sample,
                text: text.clone(),
                reasoning_tokens: trace.reasoning_tokens,
                correct: trace.correct,
                truncated: trace.truncated,
            });
    }
    let mut found = Vec::new();
    for task in tasks {
        for item in norms.items(task) {
            let arms = by_item.remove(&(item.task.as_str(), item.item_id.as_str()));
            found.extend(arms.map(|arms| completions(item, arms)));
        }
        let mut unknown: Vec<&str> = (by_item.keys())
            .filter(|(of_task, _)| of_task == task)
            .map(|(_, id)| *id)
            .collect();
        unknown.sort_unstable();
        for id in unknown {
            let item = NormItem {
                task: task.clone(),
                item_id: id.to_owned(),
                ..NormItem::default()
            };
            let arms = by_item.remove(&(task.as_str(), id));
            found.extend(arms.map(|arms| completions(&item, arms)));
        }
    }
    found
}

fn completions(item: &NormItem, arms: BTreeMap<String, Vec<ShownCompletion>>) -> ItemCompletions {
    ItemCompletions {
        task: item.task.clone(),
        item_id: item.item_id.clone(),
        prompt: item.prompt.clone(),
        answer: item.answer.clone(),
        human_ms: item.mean_rt_ms,
        human_cost: item.human_cost(),
        cluster: item.cluster.clone(),
        covariates: item.covariates.clone(),
        arms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_stand_with_their_item_and_arm() {
        let item = |id: &str| NormItem {
            task: "t".into(),
            item_id: id.into(),
            prompt: format!("{id}?"),
            answer: "true".into(),
            mean_rt_ms: Some(1200.0),
            cluster: Some("pair".into()),
            covariates: BTreeMap::from([("size".to_owned(), 7.0)]),
            ..NormItem::default()
        };
        let trace = |model: &str, id: &str, text: Option<&str>| Trace {
            model: model.into(),
            seed: Some(1),
            teacher: None,
            task: "t".into(),
            item_id: id.into(),
            sample: 0,
            prompt_tokens: 3,
            reasoning_tokens: 4,
            completion_tokens: 6,
            correct: Some(true),
            truncated: false,
            answer: None,
            completion: text.map(str::to_owned),
        };
        let norms = Norms::new(vec![item("a"), item("b"), item("c")], "made up".into());
        let traces = [
            trace("sft", "b", Some("one")),
            trace("base", "b", Some("two")),
            trace("sft", "b", Some("three")),
            trace("sft", "c", None),
            trace("sft", "z", Some("of an item that the norms do not know")),
            trace("sft", "y", Some("of another")),
        ];
        let shown = item_completions(&traces, &norms, &["t".to_owned()]);
        let ids: Vec<&str> = shown.iter().map(|item| item.item_id.as_str()).collect();
        assert_eq!(ids, ["b", "y", "z"]);
        assert_eq!((shown[1].prompt.as_str(), shown[1].human_cost), ("", None));
        assert_eq!(shown[0].prompt, "b?");
        assert_eq!(shown[0].human_cost, Some(1200.0_f64.ln()));
        assert_eq!(shown[0].cluster.as_deref(), Some("pair"));
        assert_eq!(shown[0].covariates.get("size"), Some(&7.0));
        assert_eq!(shown[0].arms["sft"].len(), 2);
        assert_eq!(shown[0].arms["base"][0].text, "two");
    }
}
