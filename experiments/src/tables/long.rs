//! The records themselves as two tidy tables, and a script in R that fits mixed
//! models to them, so that a reader can check the lab's conclusions with a tool
//! that they trust.
//!
//! [`samples`] writes one row a record, [`trials`] one row a person's trial;
//! [`ANALYSIS`] reads both from the folder that it lies in. Rows are written as
//! they are visited: nothing is held beside the recording and the norms. Fields
//! are quoted as RFC 4180 asks, numbers are unrounded, and what is undefined is
//! an empty field.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::csv::quote;
use super::layout::role_name;
use crate::manifest::ArmCard;
use crate::norms::{NormItem, Norms, Window};
use crate::record::Recording;

/// The script, R with lme4: fits the models that METHODOLOGY.md names to
/// `samples.csv` and, where it is there, `trials.csv` beside it; prints its
/// tables and writes `lme4.csv`.
pub const ANALYSIS: &str = include_str!("long/analysis.R");

/// Writes `samples.csv`: a row for every record of these arms on these tasks.
/// Gives the number of rows.
///
/// The columns are arm, role, seed, base, teacher, `teacher_seed`, task, item, cluster, h (human
/// cost, ln ms), every covariate of the items as `x_NAME`, sample,
/// `prompt_tokens`, tokens (of reasoning), `log_tokens` = ln(1 + tokens),
/// `cut_off` and right (0 or 1; right is empty where the task could not grade).
/// An empty cluster is an item alone. A record that was cut off has the tokens
/// that it was cut off at.
///
/// Worked example:
///
/// ```csv
/// arm,role,seed,base,teacher,teacher_seed,task,item,cluster,h,x_size,sample,prompt_tokens,tokens,log_tokens,cut_off,right
/// sft,student,1,base,teacher,11,sums,4 + 9,c1,7.5,13,0,6,14,2.70805020110221,0,1
/// ```
pub fn samples(
    out: &mut impl Write,
    arms: &[ArmCard],
    tasks: &[String],
    norms: &Norms,
    recording: &Recording,
) -> io::Result<usize> {
    let of_tasks = tasks.iter().flat_map(|task| norms.items(task));
    let covariates: BTreeSet<&str> = of_tasks
        .flat_map(|item| item.covariates.keys().map(String::as_str))
        .collect();
    write!(
        out,
        "arm,role,seed,base,teacher,teacher_seed,task,item,cluster,h,"
    )?;
    for name in &covariates {
        write!(out, "{},", quote(&format!("x_{name}")))?;
    }
    writeln!(out, "sample,prompt_tokens,tokens,log_tokens,cut_off,right")?;
    let mut rows = 0;
    for record in recording.each_sample() {
        let Some(arm) = arms.iter().find(|arm| arm.name == record.model) else {
            continue;
        };
        if !tasks.iter().any(|task| task == record.task) {
            continue;
        }
        let item = norms.item(record.task, record.item_id);
        write!(
            out,
            "{},{},{},{},{},{},{},{},{},{},",
            quote(&arm.name),
            role_name(arm.role),
            seed(record.seed),
            quote(arm.base.as_deref().unwrap_or_default()),
            quote(arm.teacher.as_deref().unwrap_or_default()),
            seed(record.teacher),
            quote(record.task),
            quote(record.item_id),
            quote(cluster(item)),
            number(item.and_then(NormItem::human_cost)),
        )?;
        for name in &covariates {
            let value = item.and_then(|item| item.covariates.get(*name).copied());
            write!(out, "{},", number(value))?;
        }
        writeln!(
            out,
            "{},{},{},{},{},{}",
            record.sample,
            record.prompt_tokens,
            record.reasoning_tokens,
            f64::from(record.reasoning_tokens).ln_1p(),
            u8::from(record.truncated),
            record
                .correct
                .map_or("", |right| if right { "1" } else { "0" }),
        )?;
        rows += 1;
    }
    Ok(rows)
}

/// Writes `trials.csv`: a row for every trial that `people` have on an item of
/// `norms` in these tasks. Gives the number of rows.
///
/// The columns are task, item, cluster, subject, `rt_ms`, `log_rt` (ln ms; empty
/// for a time of 0), correct and counted (0 or 1): whether the trial is within
/// the [`Window`] that the items' mean times are taken over.
pub fn trials(
    out: &mut impl Write,
    tasks: &[String],
    norms: &Norms,
    people: &Norms,
) -> io::Result<usize> {
    writeln!(
        out,
        "task,item,cluster,subject,rt_ms,log_rt,correct,counted"
    )?;
    let mut rows = 0;
    for task in tasks {
        let window = Window::of(task);
        for trial in people.trials(task) {
            let Some(item) = norms.item(task, &trial.item_id) else {
                continue;
            };
            writeln!(
                out,
                "{},{},{},{},{},{},{},{}",
                quote(task),
                quote(&trial.item_id),
                quote(cluster(Some(item))),
                quote(&trial.subject),
                trial.rt_ms,
                number((trial.rt_ms > 0.0).then(|| trial.rt_ms.ln())),
                u8::from(trial.correct),
                u8::from(window.keeps(trial)),
            )?;
            rows += 1;
        }
    }
    Ok(rows)
}

fn cluster(item: Option<&NormItem>) -> &str {
    item.and_then(|item| item.cluster.as_deref())
        .unwrap_or_default()
}

fn seed(seed: Option<u64>) -> String {
    seed.map_or(String::new(), |seed| seed.to_string())
}

fn number(value: Option<f64>) -> String {
    let finite = value.filter(|value| value.is_finite());
    finite.map_or(String::new(), |value| value.to_string())
}

#[cfg(test)]
mod tests;
