//! What a run reads besides its definition before anything is written or trained:
//! its problems, the evaluation's items, and how its models read them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use experiments::norms::Norms;
use serde_json::{Map, Value};

use crate::config::{BaseSettings, BaseSource, Definition};
use crate::model::chat::Message;
use crate::model::text::encode;
use crate::model::{ModelConfig, Stored, Text, vocabulary};
use crate::store::models_folder;
use crate::tasks::{self, Item, Mix, Task, squeeze};
use crate::tasks::{BUILTIN_NORMS, TaskSettings};

/// Problems to train on, items to evaluate, and how long people took for them.
pub(super) struct Inputs {
    pub mix: Mix,
    pub items: Vec<Item>,
    pub norms: Norms,
    /// What is to be known of the models that the run begins with.
    pub notes: Vec<String>,
}

/// Refuses items that a model cannot read.
pub(crate) fn readable(items: &[Item], text: &Text, context: usize) -> Result<()> {
    for item in items {
        let place = || format!("the item {} of {}", item.item_id, item.task);
        let tokens = text.encode_item(item).with_context(place)?.len();
        // A tokenizer without a word for everything may drop what it lacks.
        let all = Message::as_text(&item.before, &item.prompt);
        let ids = encode(&text.tokenizer, &all, false).with_context(place)?;
        ensure!(
            squeeze(&text.decode(&ids)?) == squeeze(&all),
            "{}: the model's tokenizer loses a part of {:?}; take another model or other tasks",
            place(),
            all
        );
        ensure!(
            tokens < context,
            "{}: it has {tokens} tokens, the model's context holds {context}",
            place()
        );
    }
    Ok(())
}

/// How a base reads and writes, and its shape; `words` are those that the tasks need
/// in the lab's own vocabulary, `kwargs` what chat templates
/// are told. What is to be known of the base joins the notes.
pub(super) fn reader(
    base: &BaseSettings,
    place: &str,
    definition_folder: &Path,
    (words, kwargs): (&[String], &Map<String, Value>),
    notes: &mut Vec<String>,
) -> Result<(Text, ModelConfig)> {
    match base.source(place)? {
        BaseSource::Pretrained(shape, _) => {
            Ok((Text::lab(words)?, vocabulary::config(shape, words)?))
        }
        BaseSource::Model(name) => {
            let path = Stored::find(name, definition_folder, &models_folder()?)
                .with_context(|| format!("{place}.model"))?;
            let stored = Stored::open(&path).with_context(|| format!("{place}.model"))?;
            let stored = stored.telling(kwargs);
            let of_model = stored.notes().into_iter();
            notes.extend(of_model.map(|note| format!("{place}.model = {name:?}: {note}")));
            Ok((stored.text, stored.config))
        }
    }
}

/// The problems that the definition's tasks pose, what of them people were timed
/// on, and how long they took.
pub(crate) fn problems(
    definition: &Definition,
    definition_folder: &Path,
) -> Result<(Mix, Vec<Item>, Norms)> {
    let settings = &definition.tasks;
    let opened = settings.open(definition_folder)?;
    let (items, norms) = evaluation_items(definition, &opened, definition_folder)?;
    let wording = settings.wording(&opened)?;
    let mix = Mix::of(opened, settings.proportions()).context("tasks.names")?;
    let mix = mix.asking(wording).timed(&norms);
    Ok((mix, items, norms))
}

/// Looks at every row of the data sets, and whether problems of the evaluation, in the
/// tasks' own words, stand among the training rows; what is to be known of it.
pub(super) fn data_notes(
    settings: &TaskSettings,
    mix: &Mix,
    items: &[Item],
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for set in mix.tasks().iter().filter_map(|task| task.data_set()) {
        notes.extend(set.check()?.iter().cloned());
    }
    for item in items {
        let mut shown = mix.wording().examples.get(&item.task).into_iter().flatten();
        let said = |text: &str| squeeze(text).to_lowercase();
        ensure!(
            settings.allow_overlap || shown.all(|one| said(&one.problem) != said(&item.prompt)),
            "tasks.examples.{}: the evaluated item {} is among the examples; take another, or set tasks.allow_overlap = true",
            item.task,
            item.item_id
        );
    }
    let found = tasks::overlap(mix.tasks(), items)?;
    let and_more = |all: usize, shown: &[String]| {
        let more = if all > shown.len() { "; ..." } else { "" };
        format!("{}{more}", shown.join("; "))
    };
    if found.exact > 0 {
        let told = format!(
            "{} held-out problems stand among the training problems: {}",
            found.exact,
            and_more(found.exact, &found.exact_shown)
        );
        ensure!(
            settings.allow_overlap,
            "{told}; take them out of one side, or set tasks.allow_overlap = true to train on them nevertheless"
        );
        notes.push(told);
    }
    if found.near > 0 {
        notes.push(format!(
            "{} evaluated problems share at least half of their sequences of eight words with one training problem: {}",
            found.near,
            and_more(found.near, &found.near_shown)
        ));
    }
    Ok(notes)
}

/// What is evaluated and how long people took for it.
fn evaluation_items(
    definition: &Definition,
    opened: &[Arc<dyn Task>],
    definition_folder: &Path,
) -> Result<(Vec<Item>, Norms)> {
    let settings = &definition.tasks;
    if settings.norms == BUILTIN_NORMS {
        return tasks::items(&settings.names, opened, None).context("tasks.names");
    }
    let given = Norms::read(&definition_folder.join(&settings.norms), &settings.names)
        .with_context(|| format!("tasks.norms = {:?}", settings.norms))?;
    tasks::items(&settings.names, opened, Some(given))
        .with_context(|| format!("tasks.norms = {:?}", settings.norms))
}
