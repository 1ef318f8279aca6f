//! `qinglan evaluate`: models, a server or recordings to the whole set of
//! figures, the same that a run ends with.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use experiments::alignment::cost::CutOff;
use experiments::norms::Norms;
use serde_json::{Map, Value, json};
use tch::Device;

use self::server::ServerArguments;
use super::Ending;
use super::compare::CutOffChoice;
use crate::device::DeviceChoice;
use crate::error::as_user_error;
use crate::evaluate::ask::{self, Asking};
use crate::evaluate::cards::Cards;
use crate::evaluate::directory::{Directory, Evaluation, Questions};
use crate::evaluate::endpoint::Endpoint;
use crate::evaluate::questions;
use crate::evaluator::EvaluationSettings;
use crate::files;
use crate::formats::{self, Choice, Reason};
use crate::generation::{Engine, PrecisionChoice};
use crate::hub::{self, Commits};
use crate::messages::say;
use crate::model::Stored;
use crate::runner::inputs::readable;
use crate::store::models_folder;
use crate::tasks::DataSettings;
use crate::tasks::OF_THE_CONVERSATION;
use crate::tasks::{self, DataSet, Example, Item, Proportions, Task, Wording};

/// Arguments of `qinglan evaluate`.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["models", "endpoint", "recordings"]))]
pub(super) struct Evaluate {
    /// A Hugging Face folder, a GGUF file, the name of a model in the cache, or ORG/NAME on the
    /// Hugging Face Hub; may be repeated.
    #[arg(long = "model", value_name = "DIR|GGUF|NAME")]
    models: Vec<String>,
    /// Trace records made elsewhere, JSONL or Parquet; may be repeated.
    #[arg(long = "traces", value_name = "FILE")]
    recordings: Vec<PathBuf>,
    /// What each model is to the others: cards with name, role, base and teacher, TOML or JSON.
    #[arg(long = "models", value_name = "CARDS")]
    cards: Option<PathBuf>,
    /// Human times: a folder in the native schema, may be repeated [default: builtin].
    #[arg(long, value_name = "DIR")]
    norms: Vec<PathBuf>,
    /// Tasks, separated by commas [default: all of the norms or records].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tasks: Vec<String>,
    /// How each task's problems are asked: TOML, task = "text with {problem}".
    #[arg(long, value_name = "FILE", conflicts_with = "recordings")]
    instructions: Option<PathBuf>,
    /// A data set to evaluate on, NAME=PATH: a JSONL or Parquet file, all of it, or a folder
    /// with a test file, or `hf://datasets/ORG/NAME/FILE`; may be repeated.
    #[arg(long, value_name = "NAME=PATH", conflicts_with = "recordings")]
    data: Vec<String>,
    /// Training problems of its task with their answers before each problem.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        conflicts_with = "recordings"
    )]
    examples: u32,
    /// What chat templates read besides the conversation, a JSON object, such as
    /// `{"enable_thinking": false}`.
    #[arg(long, value_name = "JSON", value_parser = kwargs, default_value = "{}",
        hide_default_value = true, conflicts_with = "recordings")]
    chat_template_kwargs: Kwargs,
    /// Samples of each item.
    #[arg(long, default_value_t = 1, conflicts_with = "recordings")]
    samples: u32,
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        conflicts_with = "recordings"
    )]
    temperature: f64,
    /// Token cap of an answer.
    #[arg(long, default_value_t = 1024, conflicts_with = "recordings")]
    max_new_tokens: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0, conflicts_with = "recordings")]
    seed: u64,
    /// Take cost and tokens over right answers alone.
    #[arg(long)]
    only_correct: bool,
    /// What an answer counts for that the token cap cut off: the tokens it had, or nothing, as in
    /// published figures [default: cap, or what the cards say].
    #[arg(long, value_enum)]
    cut_off: Option<CutOffChoice>,
    /// Where everything is written.
    #[arg(long, value_name = "DIR", default_value = "runs/evaluation")]
    out: PathBuf,
    /// Go on with the evaluation in the directory.
    #[arg(long)]
    resume: bool,
    /// Number format of a model.
    #[arg(long, value_enum, default_value_t)]
    dtype: PrecisionChoice,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    #[command(flatten)]
    server: ServerArguments,
    /// What names on the hub stand for.
    #[arg(skip)]
    commits: Commits,
}

/// What is known before anything is written.
struct Prepared {
    cards: Cards,
    norms: Norms,
    /// In the words in which they are asked; empty for recordings.
    items: Vec<Item>,
    /// How problems are asked, where they are not asked bare.
    wording: Wording,
    tasks: Vec<String>,
    device: Device,
    /// What is to be known of the data sets.
    notes: Vec<String>,
}

impl Prepared {
    /// How the questions were put, for the notes.
    fn wording(&self) -> String {
        let bare: Vec<&str> = (self.tasks.iter().map(String::as_str))
            .filter(|task| !self.wording.instructions.contains_key(*task))
            .collect();
        let told = self.wording.instructions.iter();
        let mut parts: Vec<String> = told
            .map(|(task, text)| format!("{task} by {:?}", text.trim()))
            .collect();
        if !bare.is_empty() {
            parts.push(format!(
                "{} as the items stand, so nothing says how to answer",
                bare.join(", ")
            ));
        }
        let examples = self.wording.examples.iter();
        parts.extend(examples.map(|(task, shown)| {
            format!(
                "{task} after {} training problems with their answers",
                shown.len()
            )
        }));
        format!("Questions were put thus: {}.", parts.join("; "))
    }
}

/// How the answers came in.
enum Answered {
    All(Vec<String>),
    /// Without so many of them.
    But(Vec<String>, usize),
    Stopped,
}

impl Evaluate {
    pub(super) fn execute(mut self) -> Result<Ending> {
        as_user_error(self.settle_names())?;
        let prepared = as_user_error(self.prepare())?;
        let choice = as_user_error(self.settle_format(&prepared))?;
        let endpoint = as_user_error(self.server.endpoint(&self.settings().sampling()))?;
        let endpoint = endpoint.map(|endpoint| endpoint.telling(self.chat_template_kwargs.clone()));
        let identity = as_user_error(self.identity(&prepared, endpoint.as_ref()))?;
        let questions = prepared.cards.question.as_slice();
        let questions = if self.recordings.is_empty() {
            Questions::OfAnswers(questions)
        } else {
            Questions::OfRecordings(questions)
        };
        let directory = Directory::claim(&self.out, identity, &questions, self.resume)?;
        if let Some(choice) = &choice {
            say!("answers in {choice}");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            if told.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            say!("stopping; press Ctrl-C again to stop at once");
        })
        .context("listening for Ctrl-C")?;
        let answered = if self.recordings.is_empty() {
            self.ask(&prepared, &directory, endpoint.as_ref(), &stop)?
        } else {
            Answered::All(directory.copy(&self.recordings)?)
        };
        let (mut notes, missing) = match answered {
            Answered::Stopped => return Ok(Ending::Interrupted),
            Answered::All(notes) => (notes, 0),
            Answered::But(notes, missing) => (notes, missing),
        };
        let recorded = !self.recordings.is_empty();
        if !recorded {
            notes.push(prepared.wording());
            if !self.chat_template_kwargs.is_empty() {
                let told = Value::from(self.chat_template_kwargs.clone());
                notes.push(format!("Chat templates were told {told}."));
            }
            notes.extend(prepared.notes.iter().map(|note| format!("{note}.")));
        }
        let evaluation = Evaluation {
            tasks: prepared.tasks,
            samples: (!recorded).then_some(self.samples),
            temperature: self.temperature,
            max_new_tokens: if recorded {
                0
            } else {
                u32::try_from(self.max_new_tokens).unwrap_or(u32::MAX)
            },
            only_correct: self.only_correct,
            cut_off: (self.cut_off.map(CutOff::from))
                .or(prepared.cards.cut_off)
                .unwrap_or_default(),
            device: prepared.device,
            format: choice.map(|choice| choice.to_string()),
            commits: self.commits,
            notes,
        };
        let comparison = directory.finish(&prepared.norms, prepared.cards, evaluation)?;
        super::compare::print_comparison(&comparison)?;
        say!("report: {}", self.out.join("report.html").display());
        if missing > 0 {
            say!(
                "{missing} answers are missing; ask for them again with the same command and --resume"
            );
            return Ok(Ending::Differs);
        }
        Ok(Ending::Done)
    }

    /// Downloads what is named on the hub and not here, and puts commits into the names.
    fn settle_names(&mut self) -> Result<()> {
        for given in &mut self.models {
            let Some(name) = hub::model_name(given, Path::new(""))? else {
                continue;
            };
            let place = || format!("--model {given}: {}", hub::no_path(given));
            let commit = hub::fetch(&name).with_context(place)?.commit;
            *given = name.at(&commit).to_string();
            self.commits.insert(name.to_string(), commit);
        }
        for given in &mut self.data {
            let Some((task, path)) = given.split_once('=') else {
                continue;
            };
            let place = || format!("--data {given}");
            let Some(name) = hub::Name::data(Path::new(path)).with_context(place)? else {
                continue;
            };
            let commit = hub::fetch(&name).with_context(place)?.commit;
            *given = format!("{task}={}", name.at(&commit));
            self.commits.insert(name.to_string(), commit);
        }
        Ok(())
    }

    /// Reads and checks all there is to read before anything is written.
    fn prepare(&self) -> Result<Prepared> {
        let cards = match &self.cards {
            Some(path) => Cards::read(path)?,
            None => Cards::default(),
        };
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = self.tasks.iter().find(|task| !seen.insert(*task)) {
            bail!("--tasks names {twice} twice");
        }
        let opened = self.data_sets()?;
        let is_data = |name: &str| opened.iter().any(|set| set.name() == name);
        let of_norms: Vec<String> = self
            .tasks
            .iter()
            .filter(|name| !is_data(name))
            .cloned()
            .collect();
        let only_data = !opened.is_empty() && self.norms.is_empty() && of_norms.is_empty();
        let given = questions::norms(&self.norms, &of_norms)?;
        if !self.recordings.is_empty() {
            // Recordings say themselves which tasks they are of; those that no norms are
            // known for have accuracy and no alignment.
            let norms = match given {
                Some(norms) => tasks::completed(norms),
                None => self.builtin_norms()?,
            };
            return Ok(Prepared {
                cards,
                norms,
                items: Vec::new(),
                wording: Wording::default(),
                tasks: self.tasks.clone(),
                device: Device::Cpu,
                notes: Vec::new(),
            });
        }
        let mut tasks = if !self.tasks.is_empty() {
            self.tasks.clone()
        } else if only_data {
            Vec::new()
        } else if let Some(norms) = &given {
            norms.tasks().into_iter().map(str::to_owned).collect()
        } else {
            tasks::COUNTING.map(str::to_owned).to_vec()
        };
        for set in &opened {
            if !tasks.iter().any(|task| task == set.name()) {
                tasks.push(set.name().to_owned());
            }
        }
        let mut notes = Vec::new();
        for set in opened.iter().filter_map(|task| task.data_set()) {
            notes.extend(set.check()?.iter().cloned());
        }
        let (items, norms) = tasks::items(&tasks, &opened, given)?;
        ensure!(self.samples > 0, "--samples 0: ask each item at least once");
        self.settings()
            .sampling()
            .check()
            .map_err(|error| anyhow!("sampling: {error}"))?;
        let instructions = match &self.instructions {
            Some(path) => questions::instructions(path, &tasks)?,
            None => BTreeMap::new(),
        };
        let wording = Wording {
            instructions,
            examples: self.shown(&tasks, &opened)?,
        };
        let items = items.into_iter().map(|item| wording.asked(item)).collect();
        let device = if self.server.is_given() {
            Device::Cpu
        } else {
            self.device.resolve()?
        };
        Ok(Prepared {
            cards,
            norms,
            items,
            wording,
            tasks,
            device,
            notes,
        })
    }

    /// The data sets, as tasks.
    fn data_sets(&self) -> Result<Vec<Arc<dyn Task>>> {
        let mut sets: Vec<Arc<dyn Task>> = Vec::new();
        for given in &self.data {
            let place = || format!("--data {given}");
            let named = given
                .split_once('=')
                .filter(|(name, path)| !name.is_empty() && !path.is_empty());
            let (name, path) = named.with_context(|| {
                format!(
                    "{}: give a name and a path, such as --data gsm8k=gsm8k/test.jsonl",
                    place()
                )
            })?;
            ensure!(
                tasks::by_name(name).is_err(),
                "{}: the lab has a task of that name; choose another",
                place()
            );
            ensure!(
                sets.iter().all(|set| set.name() != name),
                "--data names {name} twice"
            );
            let settings = DataSettings::evaluated(path.into());
            let set = DataSet::open(name, &settings, Path::new("")).with_context(place)?;
            sets.push(Arc::new(set));
        }
        Ok(sets)
    }

    /// The examples that each task is shown, of its training problems.
    fn shown(
        &self,
        names: &[String],
        opened: &[Arc<dyn Task>],
    ) -> Result<BTreeMap<String, Vec<Example>>> {
        let mut shown = BTreeMap::new();
        if self.examples == 0 {
            return Ok(shown);
        }
        for name in names {
            let of_data = opened.iter().find(|task| task.name() == name).cloned();
            let task = of_data.map_or_else(|| tasks::by_name(name), Ok);
            let examples = task.and_then(|task| {
                Example::of_training(&*task, self.examples, Proportions::default())
            });
            let examples = examples.with_context(|| format!("--examples {}", self.examples))?;
            shown.insert(name.clone(), examples);
        }
        Ok(shown)
    }

    /// The built-in norms of the tasks, those left out that there are none of.
    fn builtin_norms(&self) -> Result<Norms> {
        // The items of some tasks come with their norms alone.
        let mut names = Vec::new();
        for name in tasks::names() {
            let is_wanted = self.tasks.is_empty() || self.tasks.iter().any(|task| task == name);
            if is_wanted && !tasks::by_name(name)?.evaluation_items()?.is_empty() {
                names.push(name.to_owned());
            }
        }
        Ok(tasks::items(&names, &[], None)?.1)
    }

    fn settings(&self) -> EvaluationSettings {
        EvaluationSettings {
            samples: self.samples,
            temperature: self.temperature,
            max_new_tokens: self.max_new_tokens,
            dtype: self.dtype,
            at: None,
            at_samples: None,
        }
    }

    /// Puts a format in the place of an open one, and gives it: what the evaluation
    /// in the directory began with, else what is measured on the first model, as
    /// models that are compared compute alike.
    fn settle_format(&mut self, prepared: &Prepared) -> Result<Option<Choice>> {
        let stored = self.stored()?;
        let (PrecisionChoice::Auto, Some((_, model))) = (self.dtype, stored.first()) else {
            return Ok(None);
        };
        let begun = Directory::format(&self.out).filter(|_| self.resume);
        let choice = if let Some(format) = begun {
            Choice {
                format,
                reason: Reason::Begun,
            }
        } else {
            let answers = prepared.items.len().saturating_mul(self.samples as usize);
            let rows = formats::generation_rows(answers);
            let config = Stored::open(model)?.config;
            let engine = formats::Engine::Generation;
            Choice::measure(engine, &config, rows, prepared.device)
        };
        self.dtype = choice.settled();
        Ok(Some(choice))
    }

    /// What the directory is of: everything that the answers depend on, and no
    /// place of a machine.
    fn identity(&self, prepared: &Prepared, endpoint: Option<&Endpoint>) -> Result<Value> {
        if !self.recordings.is_empty() {
            let mut recordings = Vec::new();
            for path in &self.recordings {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                recordings.push(json!({"name": name, "hash": files::hash_file(path)?}));
            }
            return Ok(json!({ "recordings": recordings }));
        }
        let source = if let Some(endpoint) = endpoint {
            endpoint.record()
        } else {
            let mut models = Vec::new();
            for ((name, path), given) in self.stored()?.into_iter().zip(&self.models) {
                let mut model = json!({"name": name, "hash": hash_of_model(&path)?});
                // The model's name on the hub, with the commit.
                if self.of_hub(given).is_some() {
                    model["hub"] = json!(given);
                }
                models.push(model);
            }
            json!({"models": models, "dtype": self.dtype.resolve(prepared.device).to_string()})
        };
        let mut identity = json!({
            "source": source,
            "tasks": prepared.tasks,
            "instructions": prepared.wording.instructions,
            "items": files::hash(&serde_json::to_vec(&prepared.items)?),
            "samples": self.samples,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
        });
        if !self.chat_template_kwargs.is_empty() {
            identity["chat_template_kwargs"] = json!(self.chat_template_kwargs);
        }
        Ok(identity)
    }

    /// The name of a model whose commit is settled; `None` of a path.
    fn of_hub(&self, given: &str) -> Option<hub::Name> {
        let is_settled = |(name, commit): (&String, &String)| {
            hub::Name::model(name).is_some_and(|name| name.at(commit).to_string() == given)
        };
        let name = self.commits.iter().any(is_settled);
        name.then(|| hub::Name::model(given)).flatten()
    }

    /// The models to load: the name in the records, and where each lies.
    fn stored(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        for given in &self.models {
            let path = Stored::find(given, Path::new(""), &models_folder()?)?;
            let whole = path.canonicalize().ok();
            let name = match self.of_hub(given) {
                Some(of_hub) => of_hub.short().to_owned(),
                None => (whole.as_deref().and_then(Path::file_name))
                    .map(|name| name.to_string_lossy().into_owned())
                    .with_context(|| format!("--model {given}: it has no name"))?,
            };
            let name = name.strip_suffix(".gguf").unwrap_or(&name).to_owned();
            ensure!(
                found.iter().all(|(known, _)| *known != name),
                "--model: two models are called {name}; rename one of them"
            );
            found.push((name, path));
        }
        Ok(found)
    }

    /// Asks whoever is to be asked what the journal lacks.
    fn ask(
        &self,
        prepared: &Prepared,
        directory: &Directory,
        endpoint: Option<&Endpoint>,
        stop: &AtomicBool,
    ) -> Result<Answered> {
        let settings = self.settings();
        let asking = Asking {
            items: &prepared.items,
            settings: &settings,
            seed: self.seed,
            stop,
        };
        let mut journal = directory.journal()?;
        let mut names = Vec::new();
        let mut of_models = Vec::new();
        if let Some(endpoint) = endpoint {
            names.push(endpoint.model().to_owned());
            let troubles = directory.troubles();
            let threads = self.server.concurrency();
            if !ask::endpoint(&asking, endpoint, threads, &mut journal, &troubles)? {
                return Ok(Answered::Stopped);
            }
        }
        for (name, path) in as_user_error(self.stored())? {
            names.push(name.clone());
            let stored = as_user_error(Stored::open(&path))?;
            let stored = stored.telling(&self.chat_template_kwargs);
            let of_model = stored.notes().into_iter();
            of_models.extend(of_model.map(|note| format!("{name}: {note}.")));
            if !asking.lacks(&journal, &name, asking.items) {
                continue;
            }
            stored.warn();
            as_user_error(readable(
                asking.items,
                &stored.text,
                stored.config.context(),
            ))?;
            let precision = self.dtype.resolve(prepared.device);
            let mut engine = stored.source(|source| {
                Engine::new(
                    &stored.config,
                    &stored.text,
                    source,
                    prepared.device,
                    precision,
                )
            })?;
            if !ask::model(&asking, &name, &mut engine, &stored.text, &mut journal)? {
                return Ok(Answered::Stopped);
            }
        }
        let (mut notes, missing) = directory.close(journal, &asking, &names)?;
        notes.extend(of_models);
        notes.extend(
            endpoint
                .into_iter()
                .flat_map(|endpoint| endpoint.fields().notes()),
        );
        Ok(match missing {
            0 => Answered::All(notes),
            missing => Answered::But(notes, missing),
        })
    }
}

/// What chat templates are told, by name.
type Kwargs = Map<String, Value>;

fn kwargs(text: &str) -> Result<Kwargs> {
    let Value::Object(kwargs) = serde_json::from_str(text)? else {
        bail!("give a JSON object, such as {{\"enable_thinking\": false}}");
    };
    if let Some(name) = OF_THE_CONVERSATION
        .iter()
        .find(|name| kwargs.contains_key(**name))
    {
        bail!("{name} is what the lab itself tells the template; remove it");
    }
    Ok(kwargs)
}

/// Hash of what a model is: its file, or its folder's configuration and weights.
fn hash_of_model(path: &Path) -> Result<String> {
    if path.is_file() {
        return files::hash_file(path);
    }
    let mut parts = Vec::new();
    let entries = std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("reading {}", path.display()))?
            .path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("safetensors" | "json" | "jinja")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            parts.push(format!("{name} {}", files::hash_file(&path)?));
        }
    }
    parts.sort();
    Ok(files::hash(parts.join("\n").as_bytes()))
}
