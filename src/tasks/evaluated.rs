//! What every task has, trained on or not: items to evaluate and a way to
//! grade their answers; and the tasks that are evaluated only.
//!
//! The evaluator asks by a task's name, because a trace and an item of a
//! user's norms carry no more. A name that no file here has is a data set of
//! the user's, graded as most tasks are by [`grading::grade`].

use std::fmt::Debug;

use experiments::norms::NormItem;

use super::grading;
use super::problem::EvaluationItem;
use super::reading::Reading;
use super::{game24::Game24, spatial_relations::SpatialRelations};
use super::{sternberg::Sternberg, syllogisms::Syllogisms};

/// What models are evaluated on.
pub trait Evaluated: Debug + Send + Sync {
    /// The name in definitions, records and norms.
    fn name(&self) -> &'static str;

    /// The items of the evaluation, by rule from the conditions people were
    /// timed in; a data set of timed items may replace them. None where the
    /// items come with their norms alone.
    fn evaluation_items(&self) -> Vec<EvaluationItem>;

    /// What the answers to an item of given norms are held to; nothing where
    /// they cannot be graded.
    fn expected(&self, item: &NormItem) -> String {
        item.answer.clone()
    }

    /// What the task reads in an item before anybody answers it, `text` being
    /// the item's prompt or its name; `None` where it is neither of its making.
    fn read(&self, _text: &str) -> Option<Reading> {
        None
    }

    /// What clusters are called after: one name where tasks pose the same
    /// problems.
    fn family(&self) -> &'static str {
        self.name()
    }

    /// Whether `completion` answers `expected`; see [`grading::grade`].
    fn grade(&self, expected: &str, completion: &str) -> bool {
        grading::grade(expected, completion)
    }
}

/// The tasks that are evaluated and not trained on.
static EVALUATED_ONLY: [&dyn Evaluated; 4] = [&SpatialRelations, &Game24, &Sternberg, &Syllogisms];

/// The names of the tasks that are evaluated and not trained on.
pub const EVALUATED_NAMES: [&str; 4] = [
    super::spatial_relations::NAME,
    super::game24::NAME,
    super::sternberg::NAME,
    super::syllogisms::NAME,
];

/// The task called `name`, where it is evaluated and not trained on.
pub fn evaluated_only(name: &str) -> Option<&'static dyn Evaluated> {
    EVALUATED_ONLY.into_iter().find(|task| task.name() == name)
}

/// Whether `completion` answers what an item of the task called `task`
/// expects; `None` where the item expects nothing, so that nobody can tell.
///
/// ```
/// use qinglan::tasks::grade;
///
/// assert_eq!(grade("addition_digit", "true", "<think> 4 + 9 </think> True"), Some(true));
/// assert_eq!(grade("game24", "1 1 4 6", "Answer: 1 * 1 * 4 * 6 = 24"), Some(true));
/// assert_eq!(grade("my_data", "1200", "That makes $1,200."), Some(true));
/// assert_eq!(grade("my_data", "200", "Answer: 1 200"), Some(false));
/// assert_eq!(grade("my_data", "", "no idea"), None);
/// ```
pub fn grade(task: &str, expected: &str, completion: &str) -> Option<bool> {
    if expected.trim().is_empty() {
        return None;
    }
    Some(match evaluated_only(task) {
        Some(task) => task.grade(expected, completion),
        None => grading::grade(expected, completion),
    })
}

/// What the answers to an item of given norms are held to, whatever its task.
pub(super) fn expected(item: &NormItem) -> String {
    evaluated_only(&item.task).map_or_else(|| item.answer.clone(), |task| task.expected(item))
}

#[cfg(test)]
mod tests {
    use super::super::NAMES;
    use super::*;

    #[test]
    fn every_task_is_found_by_the_name_it_says() {
        assert_eq!(EVALUATED_ONLY.map(Evaluated::name), EVALUATED_NAMES);
        for name in EVALUATED_NAMES {
            assert!(!NAMES.contains(&name), "{name}");
            for item in evaluated_only(name).unwrap().evaluation_items() {
                assert_eq!(item.task, name);
            }
        }
        assert!(evaluated_only("addition_digit").is_none());
    }
}
