//! The figures as tidy rows, one an estimate, values unrounded, and beside them
//! what the other formats show. CSV and Parquet write them out.
//!
//! Deliberately holds neither notes nor captions, which are no observations:
//! `comparison.md` and the report have them.

use crate::comparison::{
    Among, ArmFigures, Comparison, Contrast, Estimate, Measure, Scope, Verdict,
};

use super::format::{self, Quantity};
use super::layout;

mod further;
mod on_the_way;
mod spent;

/// One estimate; what does not apply is empty.
///
/// Worked example: `{kind: "contrast", arm: "grpo", against: "sft", measure: "accuracy", value:
/// Some(0.0214), …, shown: "+0.02 [-0.01, 0.05]"}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) kind: &'a str,
    pub(super) arm: &'a str,
    pub(super) against: &'a str,
    pub(super) task: &'a str,
    pub(super) measure: &'a str,
    pub(super) value: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) se: Option<f64>,
    pub(super) df: Option<f64>,
    pub(super) n: Option<usize>,
    pub(super) p: Option<f64>,
    pub(super) p_equivalence: Option<f64>,
    pub(super) effect_size: Option<f64>,
    pub(super) smallest_effect: Option<f64>,
    pub(super) verdict: &'a str,
    /// What it can be said of, where that is not trainings like these.
    pub(super) scope: &'a str,
    /// Of a question: its name, when it was asked, the answer, and the corrected p values.
    pub(super) question: &'a str,
    pub(super) asked: &'a str,
    pub(super) answer: &'a str,
    pub(super) p_holm: Option<f64>,
    pub(super) p_equivalence_holm: Option<f64>,
    /// Trainings behind a difference; teachers, where those of one are averaged.
    pub(super) trainings: Option<usize>,
    /// Samples an item that a correlation would be observed with, or that pass@k and majority@k are of.
    pub(super) samples: Option<usize>,
    /// Of an evaluation on the way: the point, and what was spent until then.
    pub(super) point: &'a str,
    pub(super) steps: Option<usize>,
    pub(super) spent_tokens: Option<usize>,
    pub(super) flops: Option<f64>,
    pub(super) shown: String,
    pub(super) why_undefined: &'a str,
}

/// What a column of the rows holds.
pub(super) enum Column {
    /// Text; empty where it does not apply.
    Text(for<'a> fn(&'a Row<'_>) -> &'a str),
    /// Numbers, unrounded.
    Number(fn(&Row<'_>) -> Option<f64>),
    /// Counts.
    Count(fn(&Row<'_>) -> Option<usize>),
}

/// The columns by name, in their order.
pub(super) static COLUMNS: [(&str, Column); 30] = [
    ("kind", Column::Text(|row| row.kind)),
    ("arm", Column::Text(|row| row.arm)),
    ("against", Column::Text(|row| row.against)),
    ("task", Column::Text(|row| row.task)),
    ("measure", Column::Text(|row| row.measure)),
    ("value", Column::Number(|row| row.value)),
    ("low", Column::Number(|row| row.low)),
    ("high", Column::Number(|row| row.high)),
    ("se", Column::Number(|row| row.se)),
    ("df", Column::Number(|row| row.df)),
    ("n", Column::Count(|row| row.n)),
    ("p", Column::Number(|row| row.p)),
    ("p_equivalence", Column::Number(|row| row.p_equivalence)),
    ("effect_size", Column::Number(|row| row.effect_size)),
    ("smallest_effect", Column::Number(|row| row.smallest_effect)),
    ("verdict", Column::Text(|row| row.verdict)),
    ("shown", Column::Text(|row| &row.shown)),
    ("why_undefined", Column::Text(|row| row.why_undefined)),
    ("scope", Column::Text(|row| row.scope)),
    ("question", Column::Text(|row| row.question)),
    ("asked", Column::Text(|row| row.asked)),
    ("answer", Column::Text(|row| row.answer)),
    ("p_holm", Column::Number(|row| row.p_holm)),
    (
        "p_equivalence_holm",
        Column::Number(|row| row.p_equivalence_holm),
    ),
    ("trainings", Column::Count(|row| row.trainings)),
    ("samples", Column::Count(|row| row.samples)),
    ("point", Column::Text(|row| row.point)),
    ("steps", Column::Count(|row| row.steps)),
    ("spent_tokens", Column::Count(|row| row.spent_tokens)),
    ("flops", Column::Number(|row| row.flops)),
];

/// The columns of those names, in the order of [`COLUMNS`]; all where none is
/// named. The error names those there are.
pub(super) fn columns(names: &[String]) -> Result<Vec<&'static (&'static str, Column)>, String> {
    let known = |name: &String| COLUMNS.iter().any(|(column, _)| column == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no column {unknown} (there are: {})",
            all.join(", ")
        ));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(COLUMNS.iter().filter(|(name, _)| wanted(name)).collect())
}

/// Every estimate of the comparison.
pub(super) fn rows(comparison: &Comparison) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for arm in &comparison.arms {
        of_arm(&mut rows, arm);
    }
    for answer in &comparison.answers {
        rows.push(Row {
            kind: "question",
            question: &answer.asked.question.name,
            asked: answer.asked.when.words(),
            answer: answer.word(),
            p_holm: answer.p_holm,
            p_equivalence_holm: answer.p_equivalence_holm,
            verdict: verdict(answer.verdict),
            ..of_contrast(&answer.contrast)
        });
    }
    for contrast in &comparison.contrasts {
        rows.push(of_contrast(contrast));
    }
    for of_task in &comparison.task_contrasts {
        rows.push(Row {
            kind: "task_contrast",
            task: &of_task.task,
            ..of_contrast(&of_task.contrast)
        });
    }
    spent::rows(&mut rows, comparison);
    on_the_way::rows(&mut rows, comparison);
    further::rows(&mut rows, &comparison.further);
    for constant in &comparison.constant_answers {
        for (measure, value) in [
            ("accuracy", constant.accuracy),
            ("balanced_accuracy", constant.balanced_accuracy),
        ] {
            rows.push(Row {
                kind: "constant_answer",
                arm: &constant.answer,
                task: &constant.task,
                ..Row::of_number(measure, Some(value), Quantity::Share)
            });
        }
    }
    rows
}

fn of_contrast(contrast: &Contrast) -> Row<'_> {
    Row {
        kind: "contrast",
        against: &contrast.against,
        p: contrast.p,
        p_equivalence: contrast.p_equivalence,
        effect_size: contrast.effect,
        smallest_effect: contrast.smallest_effect,
        verdict: verdict(contrast.verdict),
        scope: scope(contrast.scope),
        trainings: Some(contrast.trainings),
        ..Row::of(
            &contrast.arm,
            measure(contrast.measure),
            &contrast.difference,
            Quantity::of_difference(contrast.measure),
        )
    }
}

fn of_arm<'a>(rows: &mut Vec<Row<'a>>, arm: &'a ArmFigures) {
    for (measure, estimate, quantity) in [
        ("elasticity", &arm.elasticity, Quantity::Signed),
        (
            "alignment_unlimited",
            &arm.alignment_unlimited,
            Quantity::Signed,
        ),
        ("reliability", &arm.reliability, Quantity::Share),
        ("accuracy", &arm.accuracy, Quantity::Share),
        ("balanced_accuracy", &arm.balanced_accuracy, Quantity::Share),
        ("tokens", &arm.tokens, Quantity::Amount),
        ("cut_off", &arm.cut_off, Quantity::Share),
        ("alignment", &arm.alignment, Quantity::Signed),
        ("alignment_fisher", &arm.alignment_fisher, Quantity::Signed),
    ] {
        rows.push(Row {
            kind: "arm",
            ..Row::of(&arm.name, measure, estimate, quantity)
        });
    }
    rows.extend(among("arm", &arm.name, "", &arm.among));
    for task in &arm.tasks {
        for (measure, estimate, quantity) in [
            ("elasticity", &task.elasticity, Quantity::Signed),
            (
                "alignment_unlimited",
                &task.alignment_unlimited,
                Quantity::Signed,
            ),
            ("reliability", &task.reliability, Quantity::Share),
            ("accuracy", &task.accuracy, Quantity::Share),
            (
                "accuracy_truncated_wrong",
                &task.accuracy_truncated_wrong,
                Quantity::Share,
            ),
            (
                "balanced_accuracy",
                &task.balanced_accuracy,
                Quantity::Share,
            ),
            ("tokens", &task.tokens, Quantity::Amount),
            ("cut_off", &task.cut_off, Quantity::Share),
            ("alignment", &task.alignment, Quantity::Signed),
            ("spearman", &task.spearman, Quantity::Signed),
            ("partial", &task.partial, Quantity::Signed),
        ] {
            rows.push(Row {
                kind: "task",
                task: &task.task,
                ..Row::of(&arm.name, measure, estimate, quantity)
            });
        }
        rows.extend(among("task", &arm.name, &task.task, &task.among));
        if let Some(ceiling) = task.ceiling {
            rows.push(Row {
                kind: "task",
                arm: &arm.name,
                task: &task.task,
                measure: "ceiling",
                value: Some(ceiling),
                shown: format::number(Some(ceiling), Quantity::Share),
                ..Row::default()
            });
            let of_ceiling = [
                (
                    "alignment_unlimited_over_ceiling",
                    layout::unlimited_over_ceiling(task),
                    &task.alignment_unlimited,
                ),
                (
                    "elasticity_over_ceiling_squared",
                    layout::elasticity_over_ceiling(task),
                    &task.elasticity,
                ),
            ];
            rows.extend(of_ceiling.map(|(measure, value, of)| Row {
                kind: "task",
                arm: &arm.name,
                task: &task.task,
                measure,
                value,
                n: Some(of.n),
                shown: format::number(value, Quantity::Signed),
                why_undefined: of.why_undefined.as_deref().unwrap_or_default(),
                ..Row::default()
            }));
        }
        let curve = task.curve.iter();
        rows.extend(curve.map(|(k, r)| Row {
            kind: "task",
            arm: &arm.name,
            task: &task.task,
            samples: Some(*k as usize),
            n: Some(task.alignment.n),
            ..Row::of_number("alignment_at_samples", Some(*r), Quantity::Signed)
        }));
    }
}

/// pass@k and majority@k, a row each.
fn among<'a>(
    kind: &'a str,
    arm: &'a str,
    task: &'a str,
    all: &'a [Among],
) -> impl Iterator<Item = Row<'a>> {
    let of_k = move |of: &'a Among| {
        let figures = [("pass_at_k", &of.pass), ("majority_at_k", &of.majority)];
        figures.map(|(measure, estimate)| Row {
            kind,
            task,
            samples: Some(of.k),
            ..Row::of(arm, measure, estimate, Quantity::Share)
        })
    };
    all.iter().flat_map(of_k)
}

impl<'a> Row<'a> {
    pub(super) fn of(
        arm: &'a str,
        measure: &'a str,
        estimate: &'a Estimate,
        quantity: Quantity,
    ) -> Self {
        Self {
            arm,
            measure,
            value: estimate.value,
            low: estimate.low,
            high: estimate.high,
            se: estimate.se,
            df: estimate.df,
            n: Some(estimate.n),
            shown: format::estimate(estimate, quantity),
            why_undefined: estimate.why_undefined.as_deref().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// A number without an interval.
    fn of_number(measure: &'a str, value: Option<f64>, quantity: Quantity) -> Self {
        Self {
            measure,
            value,
            shown: format::number(value, quantity),
            ..Self::default()
        }
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Below => "below",
        Verdict::Above => "above",
        Verdict::Equivalent => "equivalent",
        Verdict::Unresolved => "unresolved",
        Verdict::Undefined => "undefined",
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Trainings => "",
        Scope::Teachers => "teachers",
        Scope::ThisAgainst => "this_against",
        Scope::ThisTraining => "this_training",
    }
}

fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::Elasticity => "elasticity",
        Measure::AlignmentUnlimited => "alignment_unlimited",
        Measure::Alignment => "alignment",
        Measure::Accuracy => "accuracy",
        Measure::BalancedAccuracy => "balanced_accuracy",
        Measure::Tokens => "tokens",
    }
}
