//! Writes imported norms in the schema that is read.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::Imported;
use crate::norms::NormsError;
use crate::norms::columns::{CLUSTER, MARK};
use crate::norms::import::{ITEM_COLUMNS, TRIAL_COLUMNS};

/// Decimals of a written number: a millionth is below what anybody measured.
const PLACES: f64 = 1e6;

pub(super) fn write(norms: &Imported, folder: &Path) -> Result<(), NormsError> {
    let failed = |path: &Path, detail: String| NormsError::UnreadableData {
        path: path.into(),
        detail,
    };
    let items = folder.join("items.csv");
    if items.exists() {
        return Err(failed(
            &items,
            "it is there already; give a folder without norms".into(),
        ));
    }
    fs::create_dir_all(folder).map_err(|error| failed(folder, error.to_string()))?;
    let save = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error.to_string()))
    };
    save("source.txt", format!("{}\n", norms.source.trim()))?;
    if !norms.trials.is_empty() {
        save("trials.csv", trials(norms))?;
    }
    // The last of all, because a folder with it is taken for one of norms.
    save("items.csv", self::items(norms))
}

fn items(norms: &Imported) -> String {
    let clustered = norms.items.iter().any(|item| item.cluster.is_some());
    let covariates: BTreeSet<&String> = norms
        .items
        .iter()
        .flat_map(|item| item.covariates.keys())
        .collect();
    let mut text = String::new();
    let columns = ITEM_COLUMNS.into_iter().map(str::to_owned);
    let columns = columns
        .chain(clustered.then(|| CLUSTER.to_owned()))
        .chain(covariates.iter().map(|name| format!("{MARK}{name}")));
    row(&mut text, columns);
    for item in &norms.items {
        let fixed = [
            item.task.clone(),
            item.item_id.clone(),
            item.prompt.clone(),
            item.answer.clone(),
            item.condition.clone().unwrap_or_default(),
            number(item.n),
            number(item.mean_rt_ms),
            number(item.mean_log_rt),
            number(item.accuracy),
        ];
        let cluster = clustered.then(|| item.cluster.clone().unwrap_or_default());
        // In full: what a covariate is measured in, nobody knows here.
        let covariates = covariates.iter().map(|name| {
            let value = item.covariates.get(*name);
            value.map_or_else(String::new, f64::to_string)
        });
        row(
            &mut text,
            fixed.into_iter().chain(cluster).chain(covariates),
        );
    }
    text
}

fn trials(norms: &Imported) -> String {
    let mut text = String::new();
    row(&mut text, TRIAL_COLUMNS.map(str::to_owned));
    for (task, trial) in &norms.trials {
        row(
            &mut text,
            [
                task.clone(),
                trial.item_id.clone(),
                trial.subject.clone(),
                number(Some(trial.rt_ms)),
                if trial.correct { "1" } else { "0" }.to_owned(),
                trial.repeat.to_string(),
            ],
        );
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| {
        ((value * PLACES).round() / PLACES).to_string()
    })
}

fn row(text: &mut String, fields: impl IntoIterator<Item = String>) {
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            // Writing into a string cannot fail.
            let _ = write!(text, "\"{}\"", field.replace('"', "\"\""));
        } else {
            text.push_str(&field);
        }
    }
    text.push('\n');
}
