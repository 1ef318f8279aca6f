//! The tasks of the lab by name.
//!
//! To add a task is to write its file and to name it in [`BUILT_IN`].

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::countdown::{self, Countdown};
use super::counting::{addition_digit, addition_word, alphabet_arithmetic};
use super::game24::{self, Game24};
use super::reasoning_gym::{self, ReasoningGym};
use super::spatial_relations::{self, SpatialRelations};
use super::sternberg::{self, Sternberg};
use super::syllogisms::forms::{self, SyllogismForms};
use super::syllogisms::single::{self, Syllogisms};
use super::{Task, TaskError};

/// Makes a task of the lab by what a definition says of it under `tasks.settings`.
type Make = fn(&toml::Table) -> Result<Arc<dyn Task>>;

/// The tasks of the lab.
const BUILT_IN: &[(&str, Make)] = &[
    (alphabet_arithmetic::NAME, |settings| {
        plain(settings, alphabet_arithmetic::task)
    }),
    (addition_digit::NAME, |settings| {
        plain(settings, addition_digit::task)
    }),
    (addition_word::NAME, |settings| {
        plain(settings, addition_word::task)
    }),
    (spatial_relations::NAME, |settings| {
        plain(settings, || SpatialRelations)
    }),
    (countdown::NAME, |settings| {
        Ok(Arc::new(Countdown::open(settings)?))
    }),
    (game24::NAME, |settings| {
        nothing_set(settings)?;
        Ok(Arc::new(Game24::new()?))
    }),
    (sternberg::NAME, |settings| plain(settings, Sternberg::new)),
    (single::NAME, |settings| plain(settings, Syllogisms::new)),
    (forms::NAME, |settings| plain(settings, || SyllogismForms)),
];

/// A task that has nothing to set.
fn plain<T: Task + 'static>(settings: &toml::Table, make: fn() -> T) -> Result<Arc<dyn Task>> {
    nothing_set(settings)?;
    Ok(Arc::new(make()))
}

fn nothing_set(settings: &toml::Table) -> Result<()> {
    if let Some(key) = settings.keys().next() {
        bail!("`{key}`: the task has nothing to set; remove its table");
    }
    Ok(())
}

/// The tasks of the paper's experiment here, of which people's times are known by
/// condition: what is evaluated where nobody says.
pub const COUNTING: [&str; 3] = [
    alphabet_arithmetic::NAME,
    addition_digit::NAME,
    addition_word::NAME,
];

/// How alike two names must be (Jaro-Winkler, 1 = equal) for one to be offered
/// in place of the other.
const NEAR: f64 = 0.8;

/// The names of the lab's tasks.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The task called `name`, made by `settings`, in which relative paths start at
/// `folder`: the lab's own, or one of `reasoning_gym`'s.
pub fn open(name: &str, settings: &toml::Table, folder: &Path) -> Result<Arc<dyn Task>> {
    let place = || {
        if name.contains(':') {
            format!("tasks.settings.{name:?}")
        } else {
            format!("tasks.settings.{name}")
        }
    };
    if let Some(dataset) = name.strip_prefix(reasoning_gym::PREFIX) {
        let task = ReasoningGym::new(dataset, settings, folder);
        return Ok(Arc::new(task.with_context(place)?));
    }
    let found = BUILT_IN.iter().find(|(known, _)| *known == name);
    let (_, make) = found.ok_or_else(|| TaskError::Unknown {
        name: name.to_owned(),
        nearest: nearest(name, names()).map(str::to_owned),
    })?;
    make(settings).with_context(place)
}

/// The lab's task called `name`, as it is where nobody says more.
///
/// ```
/// use qinglan::tasks;
///
/// assert_eq!(tasks::by_name("addition_digit").unwrap().name(), "addition_digit");
/// let error = tasks::by_name("adition_digits").unwrap_err();
/// assert!(error.to_string().contains("did you mean `addition_digit`?"));
/// ```
pub fn by_name(name: &str) -> Result<Arc<dyn Task>> {
    open(name, &toml::Table::new(), Path::new(""))
}

/// That of `names` which may have been meant by `name`.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_found_by_the_name_it_says() {
        for name in names() {
            let task = by_name(name).unwrap();
            assert_eq!(task.name(), name);
            for item in task.evaluation_items().unwrap() {
                assert_eq!(item.task, name);
            }
        }
    }
}
