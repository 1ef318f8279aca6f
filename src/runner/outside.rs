//! What a run needs from outside its definition: people's times, models, a
//! recording, rewards that other processes judge, servers that sample.
//!
//! [`needs`] is the one list of it. A run tries everything in it before its first
//! update ([`Preflight`]), a dry run says of each whether it is there, and the
//! files in it ([`files`]) are those that [`super::pins`] holds a run to.
//!
//! What it deliberately does not do: search the code of a reward for the files
//! and services that it needs itself. A reward is asked about one problem; what
//! it lacks then shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};
use experiments::norms::Norms;
use rewards::external::{command, python};
use rewards::{Registry, Scored, WeightedRewards};

use super::inputs::{Inputs, data_notes, problems, readable, reader};
use super::names::Absent;
use super::stages;
use crate::config::{
    BaseSettings, Definition, StageSettings, TEACHER, build_rewards, named_files, table_of,
};
use crate::demonstrations::{self, Source};
use crate::error::{UserError, as_user_error, is_users};
use crate::hub;
use crate::model::{ModelConfig, Text};
use crate::sampler::{Sampler, SamplerSettings};
use crate::tasks::{BUILTIN_NORMS, TaskSettings};
use crate::tasks::{DataSet, Item, Mix, Split};

/// Something from outside, as the definition names it.
enum Need<'a> {
    /// People's times, with the items that they were timed on.
    Norms,
    /// A base, under the name of its table.
    Base(&'static str, &'a BaseSettings),
    /// What an arm, or the teacher, imitates.
    Traces(&'a str, &'a StageSettings),
    /// A reward of an arm, or of the teacher.
    Reward(&'a str, &'a str, &'a toml::Value),
    /// The server that samples for an arm.
    Sampler(&'a str, &'a SamplerSettings),
}

/// All that a definition names, each after what it is looked at with. The norms
/// and a base come first, also where the lab has or makes them itself.
fn needs(definition: &Definition) -> Vec<Need<'_>> {
    let mut needs = vec![Need::Norms, Need::Base("base", &definition.base)];
    let teacher = definition.teacher.as_ref();
    let base = teacher.and_then(|teacher| teacher.base.as_ref());
    needs.extend(base.map(|base| Need::Base("teacher.base", base)));
    for (name, stage) in definition.trained() {
        needs.extend(stage.imitates().then_some(Need::Traces(name, stage)));
    }
    for (name, stage) in definition.trained() {
        let rewards = stage.reward.iter();
        needs.extend(rewards.map(|(reward, entry)| Need::Reward(name, reward, entry)));
    }
    for (name, stage) in definition.trained() {
        let sampler = stage.sampler.as_ref();
        needs.extend(sampler.map(|server| Need::Sampler(name, server)));
    }
    needs
}

/// A file from outside that must not change in the middle of a run.
pub(super) struct OutsideFile {
    /// Its path as the definition has it.
    pub(super) name: String,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Whether the run keeps a copy: of what rewards are made of, but neither of a
    /// program of the machine's own nor of people's times, which are not
    /// everybody's to read.
    pub(super) copied: bool,
}

/// The files that a run reads, with those of the trainings that `pending` names.
pub(super) fn files(
    definition: &Definition,
    folder: &Path,
    pending: &dyn Fn(&str) -> bool,
) -> Result<Vec<OutsideFile>> {
    let mut found = training_files(definition, folder, pending);
    for (name, path) in data_files(&definition.tasks, folder)? {
        found.push(OutsideFile {
            name,
            path,
            copied: false,
        });
    }
    let norms = Path::new(&definition.tasks.norms);
    if definition.tasks.norms != BUILTIN_NORMS {
        let at = folder.join(norms);
        found.extend(Norms::files(&at)?.into_iter().map(|path| {
            let below = path.strip_prefix(&at).unwrap_or(&path);
            OutsideFile {
                name: joined(norms, below),
                copied: false,
                path,
            }
        }));
    }
    Ok(found)
}

/// The files of the data sets, as the definition has them and where they are.
pub(super) fn data_files(tasks: &TaskSettings, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for (name, settings) in &tasks.data {
        for (given, path) in DataSet::open(name, settings, folder)?.files() {
            files.push((given.display().to_string(), path.to_owned()));
        }
    }
    Ok(files)
}

/// The files that trainings read, of those that `pending` names, arms and `teacher`.
pub(super) fn training_files(
    definition: &Definition,
    folder: &Path,
    pending: &dyn Fn(&str) -> bool,
) -> Vec<OutsideFile> {
    let mut found = Vec::new();
    let mut add = |name: String, path: PathBuf, copied| {
        // Several arms may read one.
        if found.iter().all(|known: &OutsideFile| known.name != name) {
            found.push(OutsideFile { name, path, copied });
        }
    };
    for need in needs(definition) {
        match need {
            Need::Traces(name, stage) if pending(name) => {
                let shown = definition.shown_to(&table_of(name), 0, stage);
                let file = shown.ok().and_then(|shown| shown.traces.file.as_ref());
                // A name on the hub that is not in the cache was refused before.
                let path = file.map(|file| (file, hub::data_path(file, folder)));
                if let Some((file, Ok(path))) = path {
                    add(file.display().to_string(), path, false);
                }
            }
            Need::Reward(arm, _, entry) if pending(arm) => {
                for (name, path) in named_files(entry, folder) {
                    // A program by its whole path is the machine's.
                    let copied = !is_program(entry, &name) || Path::new(&name).is_relative();
                    add(name, path, copied);
                }
            }
            _ => {}
        }
    }
    found
}

/// A path as a definition has it; nothing is joined to a file's own.
fn joined(folder: &Path, below: &Path) -> String {
    if below.as_os_str().is_empty() {
        return folder.display().to_string();
    }
    folder.join(below).display().to_string()
}

fn is_program(entry: &toml::Value, word: &str) -> bool {
    let argv = entry.get("argv").and_then(toml::Value::as_array);
    argv.and_then(|argv| argv.first()?.as_str()) == Some(word)
}

/// How servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    /// As long as their settings say.
    Patiently,
    /// Once.
    Once,
    /// Not at all: another machine will.
    Never,
}

/// A look at everything that a run needs from outside.
pub(super) struct Preflight<'a> {
    pub(super) definition: &'a Definition,
    /// The definition's, where relative paths start.
    pub(super) folder: &'a Path,
    pub(super) registry: &'a Registry,
    pub(super) servers: Servers,
    /// Whether rewards are asked about a problem; of several ranks, one asks.
    pub(super) probes: bool,
    /// Whether an arm, or the teacher, is still to be trained.
    pub(super) pending: &'a dyn Fn(&str) -> bool,
    /// Models that would have to be downloaded; nothing is looked at that needs them.
    pub(super) absent: &'a [Absent],
    pub(super) stop: &'a Arc<AtomicBool>,
}

/// What was found so far, for what is looked at with it.
#[derive(Default)]
struct Seen {
    problems: Option<Inputs>,
    /// How the base writes, and the tokens that its context holds.
    reader: Option<(Text, usize)>,
    /// The same of the teacher's own base, where it has one.
    teachers: Option<(Text, usize)>,
    /// Tables of what is imitated that were looked at.
    shown: Vec<String>,
}

impl Preflight<'_> {
    /// Tries everything, and gives what a run reads of it, and of each thing a line
    /// that says how it was found.
    ///
    /// # Errors
    ///
    /// What cannot be used: the one thing by itself, several as lines. With `all`,
    /// what was found stands among them.
    pub(super) fn look(&self, all: bool) -> Result<(Inputs, Vec<String>)> {
        let mut seen = Seen::default();
        let (mut lines, mut wrong) = (Vec::new(), Vec::new());
        for need in needs(self.definition) {
            match self.look_at(&need, &mut seen) {
                Ok(None) => {}
                Ok(Some(line)) => lines.push((true, line)),
                Err(error) => {
                    lines.push((false, format!("{error:#}")));
                    wrong.push(error);
                }
            }
        }
        let told = |&(there, ref line): &(bool, String)| {
            format!("{} {line}", if there { "found:" } else { "wrong:" })
        };
        let count = lines.len();
        match (wrong.len(), wrong.pop(), seen.problems) {
            (0, _, Some(inputs)) => Ok((inputs, lines.iter().map(told).collect())),
            (1, Some(error), _) if count == 1 || !all => Err(error),
            (missing, last, _) => {
                let shown = lines.iter().filter(|(there, _)| all || !there).map(told);
                let text = format!(
                    "{missing} of the things that the run needs from outside cannot be used:\n{}",
                    shown.collect::<Vec<_>>().join("\n")
                );
                if last.iter().chain(&wrong).any(is_users) {
                    bail!(UserError(text));
                }
                bail!(text)
            }
        }
    }

    /// How a thing was found, in a line; `None` where it is not from outside.
    fn look_at(&self, need: &Need<'_>, seen: &mut Seen) -> Result<Option<String>> {
        match *need {
            Need::Norms => as_user_error(self.norms(seen)),
            Need::Base(place, base) => as_user_error(self.base(place, base, seen)),
            Need::Traces(name, stage) => as_user_error(self.traces(name, stage, seen)),
            Need::Reward(arm, name, entry) => {
                let place = format!("{}.reward.{name}", table_of(arm));
                let looked = self
                    .reward(arm, name, entry, seen)
                    .with_context(|| place.clone());
                let how = as_user_error(looked)?;
                Ok(how.map(|how| format!("{place} {how}")))
            }
            Need::Sampler(arm, settings) => self.server(arm, settings),
        }
    }

    fn norms(&self, seen: &mut Seen) -> Result<Option<String>> {
        let (mix, items, norms) = problems(self.definition, self.folder)?;
        let notes = data_notes(&self.definition.tasks, &mix, &items)?;
        for note in &notes {
            tracing::warn!("{note}");
        }
        let asked = items.into_iter().map(|item| mix.wording().asked(item));
        let items: Vec<Item> = asked.collect();
        let count = items.len();
        let sets = mix.tasks().iter().filter_map(|task| task.data_set());
        let sets = sets.map(DataSet::told).collect::<Result<Vec<_>>>()?;
        seen.problems = Some(Inputs {
            mix,
            items,
            norms,
            notes,
        });
        let name = &self.definition.tasks.norms;
        let mut found = Vec::new();
        if name != BUILTIN_NORMS {
            found.push(format!("tasks.norms = {name:?}: {count} items"));
        }
        found.extend(sets);
        Ok((!found.is_empty()).then(|| found.join("; ")))
    }

    fn base(
        &self,
        place: &'static str,
        base: &BaseSettings,
        seen: &mut Seen,
    ) -> Result<Option<String>> {
        if let Some(absent) = self.absent.iter().find(|absent| absent.place == place) {
            return Ok(Some(absent.line.clone()));
        }
        let mut of_model = Vec::new();
        let words = seen.problems.as_ref().map(|inputs| inputs.mix.words());
        let words = words.unwrap_or_default();
        let (text, config) = {
            let kwargs = &self.definition.tasks.chat_template_kwargs;
            reader(base, place, self.folder, (&words, kwargs), &mut of_model)?
        };
        let context = config.context();
        self.check_adapters(place, &config)?;
        for note in &of_model {
            tracing::warn!("{note}");
        }
        if let Some(Inputs {
            mix, items, notes, ..
        }) = &mut seen.problems
        {
            notes.extend(of_model);
            let mut read = readable(items, &text, context);
            let norms = &self.definition.tasks.norms;
            if norms != BUILTIN_NORMS {
                read = read.with_context(|| format!("tasks.norms = {norms:?}"));
            }
            for set in mix.tasks().iter().filter_map(|task| task.data_set()) {
                let longest = set.longest()?.map(|item| mix.wording().asked(item));
                read = read.and_then(|()| readable(longest.as_slice(), &text, context));
            }
            if place == "base" {
                read?;
            } else {
                read.context(place)?;
            }
        }
        if place == "base" {
            seen.reader = Some((text, context));
        } else {
            seen.teachers = Some((text, context));
            // What is wrong with the base itself was said where it was looked at.
            if seen.reader.is_some() {
                stages::check_vocabulary(self.definition, self.folder, &words)?;
            }
        }
        let model = base.model.as_ref();
        Ok(model.map(|model| format!("{place}.model = {model:?}")))
    }

    /// Refuses adapters of matrices that the base at that place does not have.
    fn check_adapters(&self, place: &str, config: &ModelConfig) -> Result<()> {
        let teacher = self.definition.teacher.as_ref();
        let teacher = teacher.filter(|teacher| (place == "base") == teacher.base.is_none());
        let arms = self.definition.arm.iter().filter(|_| place == "base");
        let arms = arms.map(|(name, arm)| (&**name, arm));
        for (name, stage) in arms.chain(teacher.map(|teacher| (TEACHER, teacher))) {
            if let Some(lora) = &stage.lora {
                lora.targets(config)
                    .map_err(|error| anyhow!("{}.lora.{error}", table_of(name)))?;
            }
        }
        Ok(())
    }

    fn traces(&self, name: &str, stage: &StageSettings, seen: &mut Seen) -> Result<Option<String>> {
        let Some(Inputs { mix, .. }) = &seen.problems else {
            return Ok(None);
        };
        let seed = self.definition.experiment.seeds.first().copied();
        let place = table_of(name);
        let shown = self
            .definition
            .shown_to(&place, seed.unwrap_or_default(), stage)?;
        let is_new = !seen.shown.contains(&shown.place);
        let own = seen.teachers.as_ref().filter(|_| name == TEACHER);
        if let Some((text, context)) = own.or(seen.reader.as_ref()) {
            demonstrations::limit(shown.traces, *context)?;
            let differs = stage.tasks.is_some() || stage.altered.is_some();
            // What an arm is shown of it may not fit where the whole does.
            if (is_new || differs)
                && let Some(source) = Source::ready(&shown, mix, self.folder)?
            {
                let source = source.shown_to(stage.tasks.as_deref(), stage.altered, shown.seed);
                let prepared =
                    source.and_then(|source| source.prepare(shown.traces, text, *context));
                let notes = if differs {
                    prepared.with_context(|| place)?.notes
                } else {
                    prepared?.notes
                };
                for note in notes.iter().filter(|_| is_new) {
                    tracing::warn!("{note}");
                }
            }
        }
        let file = shown.traces.file.as_ref().filter(|_| is_new);
        let found =
            file.map(|file| format!("{}.file = {:?}", shown.place, file.display().to_string()));
        seen.shown.push(shown.place);
        Ok(found)
    }

    fn reward(
        &self,
        arm: &str,
        name: &str,
        entry: &toml::Value,
        seen: &Seen,
    ) -> Result<Option<String>> {
        if !(self.pending)(arm) {
            return Ok(None);
        }
        let table = toml::Table::from_iter([(name.to_owned(), entry.clone())]);
        let reward = build_rewards(&table, self.registry, self.folder)?;
        if self.probes
            && let Some(Inputs { mix, .. }) = &seen.problems
            && let Some((text, _)) = &seen.reader
        {
            self.probe(&reward, &mix.learned_from(self.tasks_of(arm))?, text)
                .context("it cannot judge the first training problem's worked solution")?;
        }
        let mut kinds = reward.kinds();
        let kind = kinds.find(|kind| [command::NAME, python::NAME].contains(kind));
        Ok(kind.map(|kind| {
            let names = named_files(entry, self.folder)
                .into_iter()
                .map(|(name, _)| name);
            let names: Vec<String> = names.collect();
            let files = if names.is_empty() {
                String::new()
            } else {
                format!(", {}", names.join(", "))
            };
            format!("({kind}{files}): it answers")
        }))
    }

    /// The tasks that an arm, or the teacher, says it learns from.
    fn tasks_of(&self, arm: &str) -> Option<&[String]> {
        let definition = self.definition;
        let stage = definition.arm.get(arm).or(definition.teacher.as_ref())?;
        stage.tasks.as_deref()
    }

    /// Has a reward judge the first training problem, worked out as the task does.
    fn probe(&self, reward: &WeightedRewards, mix: &Mix, text: &Text) -> Result<()> {
        let seed = self.definition.experiment.seeds.first().copied();
        let (item, solution) = mix.solved(seed.unwrap_or_default(), Split::Train, 0)?;
        // Where nobody has written how it is worked, its answer stands for that.
        let completion = solution.unwrap_or_else(|| item.answer.clone());
        // A vocabulary of another kind may lack a word of it: then, as of a
        // completion that is only known as text, without tokens.
        let ids = text.encode_completion(&completion).unwrap_or_default();
        let scored = Scored {
            task: &item.task,
            problem: &item.item_id,
            prompt: &item.prompt,
            completion: &completion,
            expected: (!item.answer.is_empty()).then_some(&*item.answer),
            judge: item.judge,
            reasoning_tokens: text.reasoning_tokens(&ids),
            completion_tokens: ids.len(),
            max_new_tokens: self.definition.rollout.max_new_tokens,
            completion_ids: &ids,
            human_cost: item.human_cost,
            columns: (!item.columns.is_empty()).then_some(&item.columns),
            ..Scored::default()
        };
        reward.score(&[scored])?;
        Ok(())
    }

    fn server(&self, arm: &str, settings: &SamplerSettings) -> Result<Option<String>> {
        if self.servers == Servers::Never || !(self.pending)(arm) {
            return Ok(None);
        }
        let patient = self.servers == Servers::Patiently;
        Sampler::look(settings, patient, self.stop)
            .with_context(|| format!("{}.sampler", table_of(arm)))?;
        let key = settings.api_key_env.as_ref();
        let key = key.map_or_else(String::new, |name| format!(", with the key in {name}"));
        let (endpoint, model) = (&settings.endpoint, &settings.model);
        Ok(Some(format!(
            "{}.sampler: {endpoint} has {model:?}{key}",
            table_of(arm)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICKSTART: &str = include_str!("../../experiments/definitions/quickstart.toml");

    #[test]
    fn the_files_are_those_that_norms_students_and_rewards_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::create_dir(at.join("people")).unwrap();
        for name in [
            "people/items.csv",
            "people/notes.txt",
            "shown.jsonl",
            "f.py",
        ] {
            std::fs::write(at.join(name), "").unwrap();
        }
        let program = at.join("judge").display().to_string();
        std::fs::write(&program, "").unwrap();
        let mut definition = Definition::parse(QUICKSTART, &Registry::builtin(), at).unwrap();
        definition.tasks.norms = "people".to_owned();
        let teacher = definition.teacher.as_mut().unwrap();
        teacher.traces.as_mut().unwrap().file = Some("shown.jsonl".into());
        let own = format!("own = {{ is = 'command', argv = ['{program}', 'f.py', 'no.py'] }}");
        definition.arm["grpo"].reward = toml::from_str(&own).unwrap();
        let told = |pending: &dyn Fn(&str) -> bool| -> Vec<(String, bool)> {
            let files = files(&definition, at, pending).unwrap().into_iter();
            files.map(|file| (file.name, file.copied)).collect()
        };
        let norms = ("people/items.csv".to_owned(), false);
        let shown = ("shown.jsonl".to_owned(), false);
        let own = [(program.clone(), false), ("f.py".to_owned(), true)];
        let all = [vec![shown.clone()], own.to_vec(), vec![norms.clone()]].concat();
        assert_eq!(told(&|_| true), all);
        // What is trained already reads nothing any more.
        assert_eq!(told(&|arm| arm == "sft"), [shown, norms.clone()]);
        assert_eq!(told(&|_| false), [norms]);
    }
}
