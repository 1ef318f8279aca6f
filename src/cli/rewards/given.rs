//! Completions that are there, as rewards see them: the Parquet files that a
//! training leaves, a folder of them, or JSONL.
//!
//! A row has `prompt` and `completion`, and may have
//!
//! | key | what it is, and what stands for it |
//! |---|---|
//! | `expected`, `answer` or `solution` | the right answer; else that of the lab's problem of that `task` and `problem` |
//! | `task`, `problem` | whose they are; else empty, and the prompt |
//! | `completion_tokens`, or `tokens` | the length; else the number of `completion_ids`, else words |
//! | `reasoning_tokens` | tokens of reasoning; else words of it |
//! | `completion_ids` | what the model generated |
//! | `max_new_tokens` | the cap; else `rollout.max_new_tokens` of the definition |
//! | `truncated` | whether the cap cut it off; else no |
//! | `human_cost` | what it costs people; else what people needed in the condition of the lab's problem |
//! | `step` | its batch: rows of one step are judged together; else all are |
//! | `reward`, `rewards/NAME` | what a training's rewards said, kept to compare |
//!
//! Worked example:
//! `{"prompt": "2 + 2 = ?", "completion": "4", "answer": "4", "tokens": 2, "level": 1}`.
//! Other keys, `answer` among them, are the columns that rewards may ask for;
//! one that is a key of the table but for its case is refused.
//!
//! What it deliberately does not do: render conversations; their text has to be
//! there as the model read and wrote it.

use std::path::{Path, PathBuf};

use ::rewards::answers::Judge;
use ::rewards::{Extraction, Scored};
use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::{dataset, text};
use serde_json::{Map, Value};

use crate::tasks::{Mix, columns_of};

/// The keys that have a meaning here.
const KNOWN: [&str; 17] = [
    "prompt",
    "completion",
    "expected",
    "answer",
    "solution",
    "task",
    "problem",
    "completion_tokens",
    "tokens",
    "reasoning_tokens",
    "completion_ids",
    "max_new_tokens",
    "truncated",
    "human_cost",
    "step",
    "reward",
    "rewards",
];

/// Columns of what a training's rewards said: of the weighted sum, and what
/// those of each reward and part begin with.
pub(super) const RECORDED_SUM: &str = "reward";
pub(super) const RECORDED: &str = "rewards/";

/// One completion.
pub(super) struct Given {
    pub(super) task: String,
    pub(super) problem: String,
    pub(super) prompt: String,
    pub(super) completion: String,
    expected: Option<String>,
    reasoning_tokens: usize,
    completion_tokens: usize,
    max_new_tokens: usize,
    truncated: bool,
    pub(super) completion_ids: Vec<i64>,
    human_cost: Option<f64>,
    judge: Judge,
    columns: Map<String, Value>,
    /// What the rewards of a training said of it, by column.
    pub(super) recorded: Map<String, Value>,
    step: u64,
    /// File and line or row.
    pub(super) place: String,
    /// Whether its length, and that of its reasoning, is counted in words for
    /// want of tokens.
    pub(super) words_for_tokens: bool,
    pub(super) words_for_reasoning: bool,
}

impl Given {
    /// A completion of which nothing but its text is known.
    #[cfg(test)]
    pub(super) fn of_text(completion: &str) -> Self {
        Self {
            task: String::new(),
            problem: "?".to_owned(),
            prompt: "?".to_owned(),
            completion: completion.to_owned(),
            expected: None,
            reasoning_tokens: 0,
            completion_tokens: 1,
            max_new_tokens: 4,
            truncated: false,
            completion_ids: Vec::new(),
            human_cost: None,
            judge: Judge::Same,
            columns: Map::new(),
            recorded: Map::new(),
            step: 0,
            place: String::new(),
            words_for_tokens: false,
            words_for_reasoning: false,
        }
    }

    /// As rewards see it.
    pub(super) fn scored(&self) -> Scored<'_> {
        Scored {
            task: &self.task,
            problem: &self.problem,
            prompt: &self.prompt,
            completion: &self.completion,
            expected: self.expected.as_deref(),
            judge: self.judge,
            reasoning_tokens: self.reasoning_tokens,
            completion_tokens: self.completion_tokens,
            max_new_tokens: self.max_new_tokens,
            truncated: self.truncated,
            completion_ids: &self.completion_ids,
            human_cost: self.human_cost,
            columns: Some(&self.columns),
        }
    }
}

/// What stands for what a row does not say.
pub(super) struct Known<'a> {
    mix: &'a Mix,
    max_new_tokens: usize,
}

impl<'a> Known<'a> {
    /// The problems of a definition's tasks, and its cap.
    pub(super) fn new(mix: &'a Mix, max_new_tokens: usize) -> Self {
        Self {
            mix,
            max_new_tokens,
        }
    }
}

/// Completions in batches.
pub(super) struct Batches {
    pub(super) all: Vec<Vec<Given>>,
}

/// Reads a file, or the Parquet files of a folder in the order of their names.
pub(super) fn read(path: &Path, known: &Known<'_>) -> Result<Batches> {
    let mut given = Vec::new();
    for file in files(path)? {
        let rows = if is_parquet(&file) {
            of_parquet(&file)?
        } else {
            of_lines(&file)?
        };
        for (place, row) in rows {
            let place = format!("{}, {place}", file.display());
            let read = completion(row, known).with_context(|| place.clone())?;
            given.push(Given { place, ..read });
        }
    }
    ensure!(!given.is_empty(), "{} holds no completions", path.display());
    let mut all: Vec<Vec<Given>> = Vec::new();
    for one in given {
        match all.last_mut() {
            Some(batch) if batch.last().is_some_and(|last| last.step == one.step) => {
                batch.push(one);
            }
            _ => all.push(vec![one]),
        }
    }
    Ok(Batches { all })
}

fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("parquet"))
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let reading = || format!("reading {}", path.display());
    let mut found = Vec::new();
    for entry in path.read_dir().with_context(reading)? {
        let at = entry.with_context(reading)?.path();
        let hidden = at
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_parquet(&at) && !hidden {
            found.push(at);
        }
    }
    found.sort();
    ensure!(
        !found.is_empty(),
        "{} holds no Parquet file; give the folder `completions` of an arm and seed, such as RUN/arms/grpo/seed-1/completions",
        path.display()
    );
    Ok(found)
}

/// Rows, each with its name for errors.
type Rows = Vec<(String, Map<String, Value>)>;

fn of_parquet(path: &Path) -> Result<Rows> {
    let columns = dataset::read(path, &[])?.columns;
    let wanted: Vec<&str> = columns.iter().map(String::as_str).collect();
    if let Some(wrong) = text::misnamed(&wanted, &KNOWN) {
        bail!("{}: {wrong}", path.display());
    }
    let rows = dataset::read(path, &wanted)?.rows.into_iter().enumerate();
    Ok(rows
        .map(|(index, row)| (format!("row {}", index + 1), row))
        .collect())
}

fn of_lines(path: &Path) -> Result<Rows> {
    let reading = || format!("reading the completions {}", path.display());
    let mut rows = Rows::new();
    for line in text::lines(path).with_context(reading)? {
        let (number, line) = line.with_context(reading)?;
        ensure!(
            number > 1 || !line.starts_with(b"PAR1"),
            "{} is a Parquet file: let its name end in .parquet",
            path.display()
        );
        let row = text::object(&line).map_err(|error| {
            anyhow!(
                "{}, line {number}: a completion is a JSON object with \"prompt\" and \"completion\" at least: {error}",
                path.display()
            )
        })?;
        let keys: Vec<&String> = row.keys().collect();
        if let Some(wrong) = text::misnamed(&keys, &KNOWN) {
            bail!("{}, line {number}: {wrong}", path.display());
        }
        rows.push((format!("line {number}"), row));
    }
    Ok(rows)
}

fn completion(row: Map<String, Value>, known: &Known<'_>) -> Result<Given> {
    let fields = Fields(&row);
    let prompt = fields.text("prompt")?.context("it has no `prompt`")?;
    let completion = fields
        .text("completion")?
        .context("it has no `completion`")?;
    let task = fields.text("task")?.unwrap_or_default();
    let problem = fields.text("problem")?.unwrap_or_else(|| prompt.clone());
    let item = known.mix.find(&task, &problem)?;
    let expected = match fields.text("expected")? {
        None => match fields.text("answer")? {
            None => fields.text("solution")?,
            given => given,
        },
        given => given,
    };
    let completion_ids = fields.ids("completion_ids")?;
    let tokens = match fields.count("completion_tokens")? {
        None => fields.count("tokens")?,
        given => given,
    };
    let counted = tokens.or((!completion_ids.is_empty()).then_some(completion_ids.len()));
    let words = |text: &str| text.split_whitespace().count();
    let reasoning = fields.count("reasoning_tokens")?;
    let step = fields.count("step")?.unwrap_or(0) as u64;
    let max_new_tokens = fields.count("max_new_tokens")?;
    let truncated = fields.flag("truncated")?.unwrap_or(false);
    let human_cost = match fields.number("human_cost")? {
        None => item.as_ref().and_then(|item| item.human_cost),
        given => given,
    };
    // What a training's rewards said is no column that rewards may ask for: they
    // are about to say it again.
    let said = |key: &str| key.starts_with(RECORDED);
    let trained = row.keys().any(|key| said(key));
    let (recorded, row): (Map<_, _>, Map<_, _>) = columns_of(row)
        .into_iter()
        .partition(|(key, _)| trained && (said(key) || key == RECORDED_SUM));
    Ok(Given {
        judge: item.as_ref().map_or(Judge::Same, |item| item.judge),
        expected: expected.or_else(|| item.map(|item| item.answer)),
        reasoning_tokens: reasoning
            .unwrap_or_else(|| words(Extraction::new(&prompt, &completion).reasoning)),
        completion_tokens: counted.unwrap_or_else(|| words(&completion)),
        words_for_tokens: counted.is_none(),
        words_for_reasoning: reasoning.is_none(),
        max_new_tokens: max_new_tokens.unwrap_or(known.max_new_tokens),
        truncated,
        human_cost,
        step,
        task,
        problem,
        prompt,
        completion,
        completion_ids,
        recorded,
        columns: row,
        place: String::new(),
    })
}

/// A row's values by key; null is as good as absent.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The value of a key as `read` reads it.
    fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let Some(found) = read(value) else {
            let mut shown = value.to_string();
            if shown.chars().count() > 40 {
                shown = shown.chars().take(40).chain(['…']).collect();
            }
            bail!("`{key}` is {shown}: write {wanted}");
        };
        Ok(Some(found))
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        self.read(key, "text or a number", dataset::text_of)
    }

    fn count(&self, key: &str) -> Result<Option<usize>> {
        self.read(key, "a whole number, 0 or more", |value| {
            usize::try_from(dataset::count_of(value)?).ok()
        })
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a number", Value::as_f64)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", Value::as_bool)
    }

    fn ids(&self, key: &str) -> Result<Vec<i64>> {
        let ids = self.read(key, "a list of token ids", |value| {
            value.as_array()?.iter().map(Value::as_i64).collect()
        });
        Ok(ids?.unwrap_or_default())
    }
}
