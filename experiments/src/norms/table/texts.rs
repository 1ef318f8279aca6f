//! Gives items the texts, the clusters and the covariates of a table of their own.

use std::collections::HashMap;

use super::Texts;
use super::read::{Notes, holds_some, mapped};
use crate::norms::import::sheet::Sheet;
use crate::norms::{NormItem, NormsError};

/// Adds to each item what its row of the table says.
pub(super) fn add(
    items: &mut [NormItem],
    texts: &Texts,
    notes: &mut Notes,
) -> Result<(), NormsError> {
    let sheet = Sheet::open(&texts.file)?;
    let of = |name: &Option<String>| -> Result<Vec<Option<String>>, NormsError> {
        match name {
            None => Ok(vec![None; sheet.height()]),
            Some(name) => {
                let column = sheet.column(name)?;
                Ok((0..sheet.height()).map(|row| column.text_at(row)).collect())
            }
        }
    };
    let (prompts, answers, conditions) = (
        of(&texts.prompt)?,
        of(&texts.answer)?,
        of(&texts.condition)?,
    );
    let optional = mapped(&sheet, texts.cluster.as_deref(), &texts.covariates)?;
    let name = sheet.column(&texts.item)?;
    let mut rows: HashMap<String, usize> = HashMap::new();
    for row in 0..sheet.height() {
        if rows.insert(name.name_at(row)?, row).is_some() {
            return Err(name.bad(row, "a name that was not there before", ""));
        }
    }
    let count = rows.len();
    let mut used = 0;
    for item in items {
        match rows.get(&item.item_id) {
            None => notes.add("items without a text in the table of texts"),
            Some(&row) => {
                used += 1;
                let (cluster, covariates) = optional.at(row, holds_some)?;
                let of_row = NormItem {
                    prompt: prompts[row].clone().unwrap_or_default(),
                    answer: answers[row].clone().unwrap_or_default(),
                    condition: conditions[row].clone(),
                    cluster,
                    covariates,
                    ..NormItem::default()
                };
                optional.agree(row, item, &of_row)?;
                fill(item, of_row);
            }
        }
    }
    for _ in used..count {
        notes.add("texts of items that nobody was timed on");
    }
    Ok(())
}

/// Gives an item what it lacks of its texts, its cluster and its covariates.
pub(super) fn fill(item: &mut NormItem, more: NormItem) {
    if item.prompt.is_empty() {
        item.prompt = more.prompt;
    }
    if item.answer.is_empty() {
        item.answer = more.answer;
    }
    item.condition = item.condition.take().or(more.condition);
    item.cluster = item.cluster.take().or(more.cluster);
    for (name, value) in more.covariates {
        item.covariates.entry(name).or_insert(value);
    }
}
