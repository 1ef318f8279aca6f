//! A plan as tables: what the pilot says of each question's variance, then what a record of each
//! size would decide.

use super::table::{Cell, Column, Document, Row, Table, name_column, number_column};
use super::{capitalized, measure_name};
use crate::plan::{POWER, Plan, Planned, Variances};
use crate::tables::format::{self, Quantity};

/// The tables of a plan. `title` is the experiment's; `notes` are told beside the plan's own.
pub fn plan(plan: &Plan, title: &str, notes: Vec<String>) -> Document {
    let mut all = notes;
    all.extend(own_notes(plan));
    let tables = [variances(plan), sizes(plan)];
    Document {
        title: title.to_owned(),
        hypothesis: String::new(),
        method: method(plan),
        answers: Vec::new(),
        notes: all,
        tables: tables.into_iter().filter(|t| !t.rows.is_empty()).collect(),
    }
    .plain()
}

fn method(plan: &Plan) -> Vec<String> {
    let (seeds, samples) = plan.pilot;
    let plural = if samples == 1 { "" } else { "s" };
    let mut lines = vec![format!(
        "From a pilot of {seeds} seeds and {samples} sample{plural} an item."
    )];
    if let Ok(cost) = &plan.cost {
        lines.push(format!(
            "Minutes are of trainings, pre-trainings and answers, {} side by side, on a machine like the pilot's.",
            cost.side_by_side
        ));
    }
    lines
}

/// `the collapse (sft - teacher in elasticity)`.
fn name(planned: &Planned) -> String {
    let question = &planned.question;
    format!(
        "{} ({} in {})",
        question.name,
        question.contrast,
        measure_name(question.measure)
    )
}

fn found(plan: &Plan) -> impl Iterator<Item = (&Planned, &Variances)> {
    let questions = plan.questions.iter();
    questions.filter_map(|planned| Some((planned, planned.variances.as_ref().ok()?)))
}

fn own_notes(plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    for planned in &plan.questions {
        match &planned.variances {
            Err(why) => notes.push(format!("{}: no plan, {why}.", capitalized(&name(planned)))),
            Ok(variances) => notes.extend(of_other(planned, variances)),
        }
    }
    if found(plan).any(|(_, variances)| variances.training_df == 1) {
        notes.push(
            "With two seeds the variance between trainings rests on one degree of freedom: it may be a fifth of \
             what is planned with, or a thousand times as much. Widths and power are those of the estimate itself."
                .to_owned(),
        );
    }
    if found(plan).any(|(_, variances)| variances.sampling.is_none()) {
        notes.push(
            "The pilot has one sample an item, so what more samples would take away is not known; samples are not varied."
                .to_owned(),
        );
    }
    let bent = |planned: &Planned| planned.question.measure.is_correlation();
    if found(plan).any(|(planned, _)| bent(planned)) {
        notes.push(
            "Plans of correlations are approximate: their variance is no straight line in 1 / samples."
                .to_owned(),
        );
    }
    if let Err(why) = &plan.cost {
        notes.push(format!("Minutes are not known: {why}."));
        return notes;
    }
    for (planned, _) in found(plan) {
        if !planned.rows.iter().any(|row| row.cheapest) {
            notes.push(format!(
                "{}: none of these sizes decides it with a chance of {:.0} %.",
                capitalized(&name(planned)),
                100.0 * POWER
            ));
        }
    }
    notes
}

/// What the number of the other arm's trainings means for a plan.
fn of_other(planned: &Planned, variances: &Variances) -> Option<String> {
    let trainings = variances.apart?;
    let said = if trainings == 1 {
        "one training, whatever the number of seeds: the answer is for that training alone"
            .to_owned()
    } else {
        format!(
            "{trainings} trainings of its own, and their variance stays as it is however many seeds the other has"
        )
    };
    Some(format!(
        "{}: the arm that is subtracted has {said}.",
        capitalized(&name(planned))
    ))
}

fn variances(plan: &Plan) -> Table {
    let percent = |share: f64| Cell::from(format!("{:.0} %", 100.0 * share));
    let row = |(planned, variances): (&Planned, &Variances)| {
        let (seeds, samples) = plan.pilot;
        let pilot = crate::plan::Size {
            seeds,
            items: variances.of_items,
            samples,
        };
        let quantity = Quantity::of_difference(planned.question.measure).unsigned();
        let [trainings, items, sampling] = variances.shares(pilot);
        let root = |variance: f64| Some(variance.sqrt());
        let deviation = crate::comparison::Estimate {
            value: root(variances.training),
            low: root(variances.training_95[0]),
            high: root(variances.training_95[1]),
            ..crate::comparison::Estimate::default()
        };
        Row {
            group: None,
            cells: vec![
                name(planned).into(),
                format::estimate(&deviation, quantity).into(),
                percent(trainings),
                percent(items),
                match variances.sampling {
                    Some(_) => percent(sampling),
                    None => "unknown".into(),
                },
            ],
        }
    };
    Table {
        id: "plan-variances",
        title: "What the pilot says",
        caption: "The standard deviation of a difference between trainings, with its 95 % interval by chi-squared, \
                  and which share of the variance at the pilot's size more seeds, more items or more samples alone \
                  would take away; items that differ between trainings are the rest."
            .to_owned(),
        grouped_by: None,
        columns: VARIANCES.to_vec(),
        rows: found(plan).map(row).collect(),
        footnotes: Vec::new(),
        aside: false,
    }
}

const VARIANCES: [Column; 5] = [
    name_column("question", "The question, with its contrast and measure."),
    number_column(
        "SD of trainings",
        "Standard deviation of the difference between trainings on unlimited items and samples.",
    ),
    number_column(
        "trainings",
        "Share of the variance: between trainings, A / S.",
    ),
    number_column("items", "Share of the variance: between items, B / G."),
    number_column(
        "sampling",
        "Share of the variance: of single samples, C1 / (k S G).",
    ),
];

fn sizes(plan: &Plan) -> Table {
    let mut rows = Vec::new();
    for (planned, variances) in found(plan) {
        let quantity = Quantity::of_difference(planned.question.measure).unsigned();
        let smallest = format::number(Some(variances.smallest_effect), quantity);
        let group = format!(
            "{}, expected {}, smallest effect {smallest}, family of {}",
            name(planned),
            planned.question.direction.word(),
            planned.family
        );
        for row in &planned.rows {
            let percent = |share: Option<f64>| match share {
                Some(share) => Cell::from(format!("{:.0} %", 100.0 * share)),
                None => Cell::from(format::UNDEFINED),
            };
            let outlook = row.outlook;
            rows.push(Row {
                group: Some(group.clone()),
                cells: vec![
                    row.size.seeds.to_string().into(),
                    format::count(row.size.items as u64).into(),
                    row.size.samples.to_string().into(),
                    format::number(outlook.map(|o| o.half_width), quantity).into(),
                    percent(outlook.map(|o| o.difference)),
                    percent(outlook.map(|o| o.equivalence)),
                    row.minutes
                        .map_or("not known".into(), |minutes| format!("{minutes:.1}").into()),
                    if row.cheapest { "cheapest" } else { "" }.into(),
                ],
            });
        }
    }
    Table {
        id: "plan",
        title: "What a record would decide",
        caption: format!(
            "Half the width of the 95 % interval (median over records); the chance to tell a difference as large as \
             the smallest effect from 0, and to call equivalent what is 0, each after the correction for its family. \
             The cheapest size that gives the expected answer with {:.0} % is marked.",
            100.0 * POWER
        ),
        grouped_by: Some("question"),
        columns: SIZES.to_vec(),
        rows,
        footnotes: Vec::new(),
        aside: false,
    }
}

const SIZES: [Column; 8] = [
    number_column("seeds", "Trainings of every arm."),
    number_column("items", "Evaluated items over all tasks."),
    number_column("samples", "Samples an item."),
    number_column(
        "half-width",
        "Half the width of the 95 % interval, median over records.",
    ),
    number_column(
        "difference",
        "Chance to tell a true difference as large as the smallest effect of interest from 0.",
    ),
    number_column(
        "equivalence",
        "Chance to call a true difference of 0 equivalent.",
    ),
    number_column("minutes", "Wall clock on a machine like the pilot's."),
    name_column("", "The cheapest size that gives the expected answer."),
];
