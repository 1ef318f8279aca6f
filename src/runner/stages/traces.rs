//! The traces of a teacher: what its students imitate.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::address::identity;
use super::{Facts, Got, Part};
use crate::config::{BaseSettings, BaseSource, Definition, StageSettings, TEACHER};
use crate::demonstrations::TraceSettings;
use crate::demonstrations::{self, Recorded};
use crate::generation::Key;
use crate::model::{Model, Stored, Text, vocabulary};
use crate::runner::Run;
use crate::store::{Kind, models_folder};
use crate::tasks::{Item, Mix, Split};
use crate::training::lab::{self, Draw, Judged, Posed};

/// Name of the traces in the teacher's folder.
pub(super) const TRACES: &str = "traces.jsonl";

/// Prompts that are sampled together; bounds the cache's memory.
const PROMPTS_AT_ONCE: usize = 128;

/// The traces of a teacher, in its stage's folder; how many they are.
pub(super) fn obtain(
    run: &Run,
    number: usize,
    facts: &Facts,
    model: &mut Option<Model>,
) -> Result<Got<usize>> {
    let stage = run.stage(number)?;
    let settings = run.settings(stage);
    let Some((settings, traces)) = settings.and_then(|s| Some((s, s.traces.as_ref()?))) else {
        return Ok(Got::There(0, false));
    };
    let definition = run.definition();
    let identity = identity(
        &[
            "traces",
            &facts.initial_weights,
            &facts.final_weights,
            &stage.seed.to_string(),
            &run.reading(&run.stored(number)?, None)?,
        ],
        &(
            (traces, &settings.tasks),
            (&settings.reward, run.outside_hashes(&settings.reward)?),
            &definition.tasks,
            &definition.rollout,
            run.mix.human_costs(),
        ),
    )?;
    let part = Part {
        kind: Kind::Traces,
        address: Some(run.address(&identity)),
        stage,
        names: &[TRACES],
    };
    let at = run.folder(stage);
    run.obtain(&part, || {
        let model = run.model(number, model)?;
        let progress = run.progress(&stage.title());
        progress.set_message("traces");
        let mix = run.mix.learned_from(settings.tasks.as_deref())?;
        let shown = [
            (Split::Train, traces.problems),
            // For the held-out loss.
            (Split::Validation, traces.held_out),
        ];
        let mut written = Vec::new();
        for (split, count) in shown {
            written.extend(sample(
                run,
                &mix,
                (settings, traces, stage.seed),
                model,
                split,
                count,
            )?);
        }
        run.write(|| demonstrations::write(&at.join(TRACES), &written))?;
        progress.finish_and_clear();
        Ok(Some(written.len()))
    })
}

/// Samples a teacher on the first so many problems of a split.
fn sample(
    run: &Run,
    mix: &Mix,
    (settings, traces, seed): (&StageSettings, &TraceSettings, u64),
    model: &Model,
    split: Split,
    count: u64,
) -> Result<Vec<Recorded>> {
    let group = traces.samples;
    // A teacher that is shown as it is may be rewarded for nothing.
    let rewards = run.rewards(&settings.reward)?;
    run.check_pins(TEACHER)?;
    let sampling = &run.definition().rollout;
    let items: Vec<Item> = (0..count)
        .map(|index| mix.item(seed, split, index))
        .collect::<Result<_>>()?;
    let mut kept = Vec::new();
    for (chunk_index, chunk) in items.chunks(PROMPTS_AT_ONCE).enumerate() {
        let prompts = chunk
            .iter()
            .map(|item| model.text.encode_item(item))
            .collect::<Result<Vec<_>>>()?;
        let keys = |offset: usize| {
            let index = (chunk_index * PROMPTS_AT_ONCE + offset) as u64;
            let key = |sample| Key {
                seed,
                purpose: "teacher trace",
                indices: vec![split as u64, index, sample],
            };
            (0..group as u64).map(key).collect()
        };
        let cap = sampling.max_new_tokens;
        let posed = Posed::new(model, chunk, group, cap);
        let Judged {
            completions,
            texts,
            scores,
        } = lab::sample(
            Draw {
                model,
                prompts: &prompts,
                sampling,
                keys: &keys,
                posed: &posed,
                rewards: rewards.as_ref(),
                elsewhere: None,
            },
            run.ranks(),
        )?;
        let totals = scores.map_or_else(|| vec![None; texts.len()], |scores| scores.totals);
        for (offset, item) in chunk.iter().enumerate() {
            let mut candidates = Vec::new();
            for index in offset * group..(offset + 1) * group {
                // A truncated trace would teach never to end, an empty one
                // nothing, and one with an unknown word cannot be read back.
                let right = item.grade(&texts[index])? == Some(true);
                if !completions[index].truncated()
                    && !texts[index].trim().is_empty()
                    && model.text.encode_completion(&texts[index]).is_ok()
                    && (right || !traces.only_correct)
                {
                    candidates.push(index);
                }
            }
            if traces.best_only {
                let reward = |index: &usize| totals[*index].unwrap_or(f64::NEG_INFINITY);
                // The first of equals, so that the choice is not the order of a sort.
                let best = candidates.iter().copied().reduce(|best, next| {
                    if reward(&next) > reward(&best) {
                        next
                    } else {
                        best
                    }
                });
                candidates = best.into_iter().collect();
            }
            kept.extend(candidates.into_iter().map(|index| Recorded {
                before: item.before.clone(),
                prompt: item.prompt.clone(),
                completion: texts[index].clone(),
                task: Some(item.task.clone()),
                held_out: split == Split::Validation,
            }));
        }
    }
    Ok(kept)
}

/// Refuses a teacher that cannot read what the students write: it would give
/// their tokens the log-probabilities of others.
pub(in crate::runner) fn check_vocabulary(
    definition: &Definition,
    definition_folder: &Path,
    words: &[String],
) -> Result<()> {
    let judges = definition.arm.values().any(StageSettings::distils);
    let teacher = definition.teacher.as_ref();
    let Some(teacher) = teacher
        .and_then(|teacher| teacher.base.as_ref())
        .filter(|_| judges)
    else {
        return Ok(());
    };
    let (student, wanted) = vocabulary_of(&definition.base, "base", definition_folder, words)?;
    let (teacher, known) = vocabulary_of(teacher, "teacher.base", definition_folder, words)?;
    let told = |text: &Text, size: i64, base: Option<&BaseSettings>| {
        let name = base.and_then(|base| base.model.as_deref());
        let tokens = text.tokenizer.get_vocab_size(true);
        let name = name.map_or_else(
            || "the lab's own".to_owned(),
            |name| format!("that of {name}"),
        );
        format!("{name} ({tokens} tokens, {size} logits)")
    };
    let base = definition
        .teacher
        .as_ref()
        .and_then(|teacher| teacher.base.as_ref());
    let tokens = |text: &Text| text.tokenizer.get_vocab(true);
    let (own, others) = (tokens(&student), tokens(&teacher));
    let differing = differing_tokens(&own, &others);
    // More logits than tokens are padding, of which the teacher may have more.
    ensure!(
        differing.is_empty() && known >= wanted,
        "the teacher has another vocabulary than the base, so it cannot judge the tokens of the students: \
         base.model has {}, teacher.base.model {}{}; take models of one family",
        told(&student, wanted, Some(&definition.base)),
        told(&teacher, known, base),
        shown_differing(&differing)
    );
    Ok(())
}

/// A token, and its id in either vocabulary.
type Differing<'a> = (&'a str, Option<u32>, Option<u32>);

/// The tokens that have not one id in both vocabularies, in the order of the first's ids.
fn differing_tokens<'a>(
    own: &'a HashMap<String, u32>,
    other: &'a HashMap<String, u32>,
) -> Vec<Differing<'a>> {
    let lacking = other.iter().filter(|(token, _)| !own.contains_key(*token));
    let lacking = lacking.map(|(token, &id)| (token.as_str(), None, Some(id)));
    let apart = own.iter().filter_map(|(token, &id)| {
        let there = other.get(token).copied();
        (there != Some(id)).then_some((token.as_str(), Some(id), there))
    });
    let mut differing: Vec<Differing<'_>> = apart.chain(lacking).collect();
    differing.sort_by_key(|&(token, own, other)| (own.unwrap_or(u32::MAX), other, token));
    differing
}

/// The first of them, for an error.
fn shown_differing(differing: &[Differing<'_>]) -> String {
    /// Enough to see what kind of tokens they are.
    const SHOWN: usize = 3;
    if differing.is_empty() {
        return String::new();
    }
    let id = |id: Option<u32>| id.map_or_else(|| "absent".to_owned(), |id| format!("id {id}"));
    let shown = differing.iter().take(SHOWN);
    let shown: Vec<String> = shown
        .map(|&(token, own, other)| format!("{token:?} is {} and {}", id(own), id(other)))
        .collect();
    format!(
        "; {} tokens differ, such as {}",
        differing.len(),
        shown.join(", ")
    )
}

/// How a base writes, and how many logits it has.
fn vocabulary_of(
    base: &BaseSettings,
    place: &str,
    definition_folder: &Path,
    words: &[String],
) -> Result<(Text, i64)> {
    match base.source(place)? {
        BaseSource::Pretrained(shape, _) => Ok((
            Text::lab(words)?,
            vocabulary::config(shape, words)?.vocab_size,
        )),
        BaseSource::Model(name) => {
            let path = Stored::find(name, definition_folder, &models_folder()?)
                .with_context(|| format!("{place}.model"))?;
            let stored = Stored::open(&path).with_context(|| format!("{place}.model"))?;
            Ok((stored.text, stored.config.vocab_size))
        }
    }
}
