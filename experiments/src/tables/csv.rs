//! The figures as tidy CSV: one row an estimate, values unrounded, and beside
//! them what the other formats show.
//!
//! Deliberately holds neither notes nor captions, which are no observations:
//! `comparison.md` and the report have them.

use crate::comparison::{ArmFigures, Comparison, Direction, Estimate, Measure};

use super::format::{self, Quantity};
use super::layout;

mod further;

const HEADER: &str = "kind,arm,against,task,measure,value,low,high,n,p,p_holm,smallest,direction,verdict,shown,why_undefined";

/// One line of the file; what does not apply is empty.
#[derive(Default)]
struct Line<'a> {
    kind: &'a str,
    arm: &'a str,
    against: &'a str,
    task: &'a str,
    measure: &'a str,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    n: Option<usize>,
    p: Option<f64>,
    p_holm: Option<f64>,
    smallest: Option<f64>,
    direction: &'a str,
    verdict: &'a str,
    shown: String,
    why_undefined: &'a str,
}

/// The comparison as tidy CSV.
pub fn render(comparison: &Comparison) -> String {
    let mut out = format!("{HEADER}\n");
    for arm in &comparison.arms {
        arm_lines(&mut out, arm);
    }
    for contrast in &comparison.contrasts {
        Line {
            kind: "contrast",
            against: &contrast.against,
            p: contrast.p,
            p_holm: contrast.p_holm,
            smallest: contrast.smallest,
            direction: direction(contrast.direction),
            verdict: contrast.verdict.as_deref().unwrap_or_default(),
            ..Line::of(
                &contrast.arm,
                measure(contrast.measure),
                &contrast.difference,
                Quantity::of_difference(contrast.measure),
            )
        }
        .write(&mut out);
    }
    further::lines(&mut out, &comparison.further);
    for constant in &comparison.constant_answers {
        for (measure, value) in [
            ("accuracy", constant.accuracy),
            ("balanced_accuracy", constant.balanced_accuracy),
        ] {
            Line {
                kind: "constant_answer",
                arm: &constant.answer,
                task: &constant.task,
                measure,
                value: Some(value),
                shown: format::number(Some(value), Quantity::Share),
                ..Line::default()
            }
            .write(&mut out);
        }
    }
    out
}

fn arm_lines(out: &mut String, arm: &ArmFigures) {
    for (measure, estimate, quantity) in [
        ("accuracy", &arm.accuracy, Quantity::Share),
        ("balanced_accuracy", &arm.balanced_accuracy, Quantity::Share),
        ("tokens", &arm.tokens, Quantity::Amount),
        ("alignment", &arm.alignment, Quantity::Signed),
        ("alignment_fisher", &arm.alignment_fisher, Quantity::Signed),
    ] {
        Line {
            kind: "arm",
            ..Line::of(&arm.name, measure, estimate, quantity)
        }
        .write(out);
    }
    for task in &arm.tasks {
        for (measure, estimate, quantity) in [
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
            ("alignment", &task.alignment, Quantity::Signed),
            ("spearman", &task.spearman, Quantity::Signed),
            ("partial", &task.partial, Quantity::Signed),
        ] {
            Line {
                kind: "task",
                task: &task.task,
                ..Line::of(&arm.name, measure, estimate, quantity)
            }
            .write(out);
        }
        if let Some(ceiling) = task.ceiling {
            Line {
                kind: "task",
                arm: &arm.name,
                task: &task.task,
                measure: "ceiling",
                value: Some(ceiling),
                shown: format::number(Some(ceiling), Quantity::Share),
                ..Line::default()
            }
            .write(out);
            let share = layout::share_of_ceiling(task);
            Line {
                kind: "task",
                arm: &arm.name,
                task: &task.task,
                measure: "alignment_over_ceiling",
                value: share,
                n: Some(task.alignment.n),
                shown: format::number(share, Quantity::Signed),
                why_undefined: task.alignment.why_undefined.as_deref().unwrap_or_default(),
                ..Line::default()
            }
            .write(out);
        }
    }
}

impl<'a> Line<'a> {
    fn of(arm: &'a str, measure: &'a str, estimate: &'a Estimate, quantity: Quantity) -> Self {
        Self {
            arm,
            measure,
            value: estimate.value,
            low: estimate.low,
            high: estimate.high,
            n: Some(estimate.n),
            shown: format::estimate(estimate, quantity),
            why_undefined: estimate.why_undefined.as_deref().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn write(&self, out: &mut String) {
        let number = |v: Option<f64>| {
            v.filter(|v| v.is_finite())
                .map_or(String::new(), |v| v.to_string())
        };
        let fields = [
            self.kind.to_owned(),
            quote(self.arm),
            quote(self.against),
            quote(self.task),
            self.measure.to_owned(),
            number(self.value),
            number(self.low),
            number(self.high),
            self.n.map_or(String::new(), |n| n.to_string()),
            number(self.p),
            number(self.p_holm),
            number(self.smallest),
            self.direction.to_owned(),
            quote(self.verdict),
            quote(&self.shown),
            quote(self.why_undefined),
        ];
        out.push_str(&fields.join(","));
        out.push('\n');
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Below => "below",
        Direction::Above => "above",
        Direction::Across => "across",
        Direction::Undefined => "undefined",
    }
}

fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::BalancedAccuracy => "balanced_accuracy",
        Measure::Tokens => "tokens",
        Measure::Alignment | Measure::Accuracy => layout::measure_name(measure),
    }
}

/// A field as RFC 4180 writes it.
pub(crate) fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::snapshot;

    #[test]
    fn snapshot_csv() {
        snapshot::check("comparison.csv", &render(&fixture::comparison()));
    }

    #[test]
    fn undefined_leaves_the_value_empty() {
        let text = render(&fixture::comparison());
        let line = text
            .lines()
            .find(|l| l.starts_with("arm,base,,,alignment,"))
            .unwrap();
        assert_eq!(
            line,
            "arm,base,,,alignment,,,,18,,,,,,undefined,no task has a defined alignment"
        );
    }

    #[test]
    fn quotes_as_rfc_4180_asks() {
        assert_eq!(quote("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quote("plain"), "plain");
    }
}
