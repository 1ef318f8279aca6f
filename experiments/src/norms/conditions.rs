//! Built-in norms: published mean times by condition, compiled in.
//!
//! An item's time here is the mean of its condition (for example true / addend
//! 3), not its own: items of a condition share it, so a within-task correlation
//! sees only the differences between conditions. Item means come from a folder
//! ([`super::Norms::read`]).

use std::sync::LazyLock;

/// Where the built-in times of the tasks come from, with their licences.
pub fn citation(tasks: &[String]) -> String {
    let has = |names: &[&str]| tasks.iter().any(|task| names.contains(&task.as_str()));
    let sources: Vec<&str> = SOURCES
        .iter()
        .filter(|(names, _)| has(names))
        .map(|(_, source)| *source)
        .collect();
    format!("Response times by condition: {}.", sources.join("; "))
}

/// What was published about which tasks.
const SOURCES: [(&[&str], &str); 4] = [
    (
        &["addition_digit", "addition_word"],
        "addition verification from arithmeticVerification (MIT, (c) 2017 Thomas J. Faulkenberry)",
    ),
    (
        &["alphabet_arithmetic"],
        "alphabet arithmetic from Morey, Lu and Rouder 2020, doi 10.5281/zenodo.3935999 (MIT, (c) 2020 \
         Richard Morey)",
    ),
    (
        &["spatial_relations"],
        "spatial relations from CCOBRA, Ragni 2018, cardinal directions (MIT, (c) 2018 Cognitive Computation Lab)",
    ),
    (
        &["sternberg"],
        "memory search from the line of Sternberg 1966, Science 153, 652-654",
    ),
];

const TABLE: &str = include_str!("conditions.csv");

/// What people did in one condition of one task.
///
/// Worked example: alphabet arithmetic, "true/addend=3": 8 items, 594 trials,
/// 3510 ms, mean ln(ms) 8.0678, 95.1 % correct.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Task name.
    pub task: String,
    /// Condition name.
    pub condition: String,
    /// Items pooled, where the source has means.
    pub items: Option<u32>,
    /// Trials behind the means, where the source has them.
    pub trials: Option<u32>,
    /// Mean response time in milliseconds.
    pub mean_rt_ms: f64,
    /// Mean of ln(milliseconds); absent where a line was published and no means.
    pub mean_log_rt: Option<f64>,
    /// Share of correct answers over all trials, where the source tells.
    pub accuracy: Option<f64>,
}

/// A figure, where the source has it.
fn known<T: std::str::FromStr>(field: &str) -> Option<T> {
    field.parse().ok()
}

fn parse(line: &str) -> Option<Condition> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    Some(Condition {
        task: next()?.into(),
        condition: next()?.into(),
        items: known(next()?),
        trials: known(next()?),
        mean_rt_ms: next()?.parse().ok()?,
        mean_log_rt: known(next()?),
        accuracy: known(next()?),
    })
}

static CONDITIONS: LazyLock<Vec<Condition>> = LazyLock::new(|| {
    // The first line that is no comment is the header. The table is part of the
    // program, and a test parses every row of it.
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .filter_map(parse)
        .collect()
});

/// Every condition, in the order of the table.
pub fn all() -> &'static [Condition] {
    &CONDITIONS
}

/// The condition of that name in that task.
pub fn lookup(task: &str, condition: &str) -> Option<&'static Condition> {
    all()
        .iter()
        .find(|c| c.task == task && c.condition == condition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_with_times_is_cited_and_no_other() {
        for condition in all() {
            let cited = citation(std::slice::from_ref(&condition.task));
            assert_eq!(cited.matches("; ").count(), 0, "{cited}");
            assert!(
                cited.len() > "Response times by condition: .".len(),
                "{}",
                condition.task
            );
        }
    }

    #[test]
    fn every_row_is_read() {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!((rows, all().len()), (109, 109));
        for c in all() {
            assert!(c.mean_rt_ms > 400.0, "{c:?}");
            if c.task == "sternberg" {
                assert_eq!((c.items, c.mean_log_rt, c.accuracy), (None, None, None));
                continue;
            }
            assert!(c.items.is_some() && c.trials.is_some(), "{c:?}");
            assert!(
                c.accuracy.is_some_and(|a| (0.0..=1.0).contains(&a)),
                "{c:?}"
            );
            // The mean of logarithms lies below the logarithm of the mean, and not far.
            let gap = c.mean_log_rt.map(|mean| c.mean_rt_ms.ln() - mean);
            assert!(gap.is_some_and(|gap| (0.0..0.6).contains(&gap)), "{c:?}");
        }
    }

    #[test]
    fn lookup_by_task_and_condition() {
        let c = lookup("alphabet_arithmetic", "true/addend=5").expect("in the table");
        assert_eq!(
            (c.mean_rt_ms, c.items, c.trials),
            (4660.0, Some(8), Some(572))
        );
        assert_eq!(lookup("alphabet_arithmetic", "true/addend=6"), None);
        assert_eq!(lookup("addition_digit", "true/addend=5"), None);
    }
}
