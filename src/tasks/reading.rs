//! What a task reads in an item before anybody answers it: its covariates, and
//! which items are no independent evidence.
//!
//! An item has a cluster for one of two reasons. Items whose time is the mean
//! of their condition (the built-in norms) share that one measurement, in
//! digits and in words, so all items of a condition are one cluster. And the
//! same operands in digits and in words, timed item by item, were added by the
//! same people in the same way but for the reading. An item without times, and
//! one whose problem nobody else poses, is alone.
//!
//! A column that given norms have is theirs: where any item of a task has a
//! cluster, none is added to the task, and where any has a covariate, the
//! task's own figure of that name is left out.

use std::collections::BTreeSet;

use experiments::norms::{NormItem, Norms};

use super::{Task, by_name};

/// What a task reads in the text of an item.
///
/// Worked example: of `4 + 9 = 13` addition reads the covariates `larger` 9,
/// `size` 13 (the sum of the operands), `smaller` 4, `tie` 0, `truth` 1, and
/// the problem `4 + 9`, which `four + nine = twelve` poses as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// By name, what is known of the item before it is answered.
    pub covariates: Vec<(&'static str, f64)>,
    /// The problem in one notation, where several tasks pose it.
    pub problem: Option<String>,
}

/// 1 of what is true, 0 of what is not.
pub(super) fn indicator(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}

/// Given norms with the clusters and the covariates that their tasks read in
/// them, where the norms have none of their own. Tasks of the user's are left
/// as they are.
pub fn completed(given: Norms) -> Norms {
    let mut items = Vec::new();
    for name in given.tasks() {
        let of_task = given.items(name);
        if let Ok(task) = by_name(name) {
            items.extend(completed_items(&*task, of_task));
        }
    }
    given.and(Norms::new(items, String::new()))
}

fn completed_items(task: &dyn Task, given: &[NormItem]) -> Vec<NormItem> {
    let clustered = given.iter().any(|item| item.cluster.is_some());
    let names = given.iter().flat_map(|item| item.covariates.keys());
    let own: BTreeSet<&str> = names.map(String::as_str).collect();
    let mut items = given.to_vec();
    for item in &mut items {
        let Some(reading) = read(task, item) else {
            continue;
        };
        for (name, value) in reading.covariates {
            if !own.contains(name) {
                item.covariates.insert(name.to_owned(), value);
            }
        }
        if !clustered {
            let problem = reading.problem;
            item.cluster = problem.map(|problem| cluster(task, &problem));
        }
    }
    items
}

/// What a task reads in the prompt of an item, or else in its name.
pub(super) fn read(task: &dyn Task, item: &NormItem) -> Option<Reading> {
    [&item.prompt, &item.item_id]
        .into_iter()
        .find_map(|text| task.read(text))
}

/// The name of the cluster of a problem or of a condition.
pub(super) fn cluster(task: &dyn Task, what: &str) -> String {
    format!("{}/{what}", task.family())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn item(task: &str, text: &str) -> NormItem {
        NormItem {
            task: task.into(),
            item_id: text.into(),
            prompt: text.into(),
            mean_rt_ms: Some(900.0),
            ..NormItem::default()
        }
    }

    fn made_up(items: Vec<NormItem>) -> Norms {
        completed(Norms::new(items, "made up".into()))
    }

    #[test]
    fn a_problem_in_digits_and_in_words_is_one_cluster() {
        let norms = made_up(vec![
            item("addition_digit", "4 + 9 = 13"),
            item("addition_word", "four + nine = thirteen"),
            item("addition_word", "nine + four = thirteen"),
            item("addition_word", "four + nine = twelve"),
        ]);
        let cluster = |task, id| norms.item(task, id).unwrap().cluster.clone().unwrap();
        let digits = cluster("addition_digit", "4 + 9 = 13");
        assert_eq!(digits, "addition/4 + 9");
        assert_eq!(cluster("addition_word", "four + nine = thirteen"), digits);
        assert_eq!(cluster("addition_word", "four + nine = twelve"), digits);
        assert_ne!(cluster("addition_word", "nine + four = thirteen"), digits);
        assert_eq!(norms.source(), "made up");
    }

    #[test]
    fn a_column_of_the_norms_is_theirs() {
        let mut timed = vec![
            item("addition_digit", "4 + 9 = 13"),
            item("addition_digit", "2 + 2 = 5"),
        ];
        timed[0].cluster = Some("mine".into());
        timed[0].covariates = [("size".to_owned(), 0.5)].into();
        let norms = made_up(timed);
        let [one, other] = norms.items("addition_digit") else {
            panic!("two items");
        };
        assert_eq!(
            (one.cluster.as_deref(), &other.cluster),
            (Some("mine"), &None)
        );
        assert_eq!(one.covariates.get("size"), Some(&0.5));
        assert_eq!(other.covariates.get("size"), None);
        assert_eq!((one.covariates["tie"], other.covariates["tie"]), (0.0, 1.0));
    }

    #[test]
    fn what_people_were_timed_on_is_read_in_every_task() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/human");
        if !folder.is_dir() {
            println!("skipped: no human data at ../shared/human");
            return;
        }
        let norms = completed(Norms::read(&folder, &[]).unwrap());
        for task in norms.tasks() {
            let items = norms.items(task);
            assert!(
                items.iter().all(|item| !item.covariates.is_empty()),
                "{task}"
            );
            let poses_twice = task.starts_with("addition_");
            assert!(
                items
                    .iter()
                    .all(|item| item.cluster.is_some() == poses_twice),
                "{task}"
            );
        }
        assert!(norms.ceiling("addition_word").is_some());
        let clusters = |task| {
            let clusters = norms.items(task).iter().map(|item| item.cluster.clone());
            clusters.collect::<BTreeSet<_>>()
        };
        let (digits, words) = (clusters("addition_digit"), clusters("addition_word"));
        // Each pair of operands was shown with its sum and with another result.
        assert_eq!((digits.len(), words.len()), (58, 61));
        assert_eq!(digits.intersection(&words).count(), 55);
    }

    #[test]
    fn what_no_task_can_read_stays_as_it_is() {
        let timed = vec![
            item("my_data", "4 + 9 = 13"),
            item("addition_digit", "What is 4 + 9?"),
        ];
        let norms = made_up(timed.clone());
        assert_eq!(norms.items("my_data"), &timed[..1]);
        assert_eq!(norms.items("addition_digit"), &timed[1..]);
    }

    #[test]
    fn a_text_that_is_no_item_is_read_by_its_name() {
        let mut timed = item("alphabet_arithmetic", "A+3=D");
        timed.prompt = "Does D follow?".into();
        let norms = made_up(vec![timed]);
        let [item] = norms.items("alphabet_arithmetic") else {
            panic!("one item");
        };
        assert_eq!(item.covariates.get("addend"), Some(&3.0));
        assert_eq!(item.cluster, None);
    }
}
