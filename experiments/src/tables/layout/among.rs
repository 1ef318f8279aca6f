//! pass@k and majority@k: the columns that stand beside accuracy, and a table of the numbers of
//! samples that have no column there.

use crate::comparison::{Among, Comparison};

use super::tasks::by_task;
use super::{ARM, Cell, Column, Footnotes, Quantity, Row, Table, format, number_column};

/// A column's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// pass@k of that k.
    Pass(usize),
    /// majority@k.
    Majority(usize),
}

/// What stands beside accuracy: pass@k of one sample and of all, majority@k of all. Of one sample
/// the majority is that sample, and the same as pass@1.
pub(super) fn shown(comparison: &Comparison) -> Vec<Shown> {
    let mut shown = Vec::new();
    let sizes = sizes(comparison);
    shown.extend(sizes.first().map(|least| Shown::Pass(*least)));
    if let [_, .., most] = sizes.as_slice() {
        shown.extend([Shown::Pass(*most), Shown::Majority(*most)]);
    }
    shown
}

/// Numbers of samples, the same for all arms and tasks.
fn sizes(comparison: &Comparison) -> Vec<usize> {
    let of_arm = comparison.arms.first();
    of_arm.map_or_else(Vec::new, |arm| arm.among.iter().map(|of| of.k).collect())
}

impl Shown {
    pub(super) fn column(&self) -> Column {
        let (name, k, definition) = match self {
            Self::Pass(k) => (
                "pass",
                k,
                "The chance that one at least of k samples of an item, drawn from those there are, is right, mean over items; \
                 what was cut off is wrong.",
            ),
            Self::Majority(k) => (
                "majority",
                k,
                "The chance that the most frequent answer of k samples of an item is right, mean over items; equally frequent \
                 ones share it, and a sample without an answer has no vote.",
            ),
        };
        Column {
            header: format!("{name}@{k}").into(),
            ..number_column("", definition)
        }
    }

    pub(super) fn cell(self, among: &[Among], notes: &mut Footnotes) -> Cell {
        let (Self::Pass(k) | Self::Majority(k)) = self;
        match among.iter().find(|of| of.k == k) {
            Some(of) if self == Self::Pass(k) => notes.estimate(&of.pass, Quantity::Share),
            Some(of) => notes.estimate(&of.majority, Quantity::Share),
            None => Cell {
                mark: Some(notes.mark(None)),
                ..format::UNDEFINED.into()
            },
        }
    }
}

/// pass@k and majority@k of the numbers of samples between one and all.
pub(super) fn between(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let sizes = sizes(comparison);
    let between = sizes.get(1..sizes.len().saturating_sub(1)).unwrap_or(&[]);
    let passes = between.iter().map(|k| Shown::Pass(*k));
    let shown: Vec<Shown> = passes
        .chain(between.iter().map(|k| Shown::Majority(*k)))
        .collect();
    let rows = by_task(comparison).filter(|_| !shown.is_empty());
    let rows = rows.map(|(arm, task)| {
        let figures = shown.iter().map(|of| of.cell(&task.among, &mut notes));
        Row {
            group: Some(task.task.clone()),
            cells: std::iter::once(arm.name.as_str().into())
                .chain(figures)
                .collect(),
        }
    });
    Table {
        rows: rows.collect(),
        id: "task-among",
        title: "Answers by task among fewer samples",
        caption: "What some of an item's samples are worth, between one of them and all, which stand among the answers by \
                  task."
            .to_owned(),
        grouped_by: Some("task"),
        columns: std::iter::once(ARM)
            .chain(shown.iter().map(Shown::column))
            .collect(),
        footnotes: notes.0,
        aside: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn headers(table: &Table) -> Vec<&str> {
        table.columns.iter().map(|c| c.header.as_ref()).collect()
    }

    #[test]
    fn one_sample_and_all_stand_beside_accuracy_and_the_others_apart() {
        let comparison = fixture::comparison();
        let answers = super::super::tasks::answers(&comparison);
        assert_eq!(
            headers(&answers)[1..6],
            ["items", "accuracy", "pass@1", "pass@4", "majority@4"]
        );
        let table = between(&comparison);
        assert_eq!(headers(&table), ["arm", "pass@2", "majority@2"]);
        let sft = &comparison.arms[2].tasks[0].among[1];
        let shown = format::estimate(&sft.pass, Quantity::Share);
        assert_eq!(table.rows[2].cells[1].text, shown);
        // The base has no recorded answers.
        assert_eq!(table.rows[0].cells[2].text, format::UNDEFINED);
        assert!(table.footnotes[0].1.contains("no recorded answer"));
    }

    #[test]
    fn a_single_sample_has_no_majority() {
        let mut comparison = fixture::comparison();
        for arm in &mut comparison.arms {
            arm.among.truncate(1);
        }
        assert_eq!(shown(&comparison), [Shown::Pass(1)]);
        assert!(between(&comparison).rows.is_empty());
        comparison.arms.clear();
        assert!(shown(&comparison).is_empty());
    }
}
