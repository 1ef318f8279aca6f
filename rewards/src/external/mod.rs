//! Rewards that are judged by other processes.
//!
//! [`python`] calls functions that others have written for TRL, verl or
//! `reasoning_gym`; [`command`] runs any program that speaks the protocol. Both
//! are an `External`: it cuts a batch into pieces, hands them to a pool of
//! supervised children, and puts the answers together. What cannot be judged is
//! an error, or what `on_error` says in its place, and is counted in either case.
//!
//! The protocol (`protocol`) is JSON lines over standard input and output; a
//! child (`child`) has a deadline and a cap on memory and output, and is started
//! again after it died or was late (`pool`).
//!
//! [`gym`] is no reward: it draws problems from `reasoning_gym` and has answers scored, in
//! children of the same kind.
//!
//! What it deliberately does not do: guard against a program that means harm.
//! A child may read, write and connect as its user may.

mod child;
pub mod command;
pub mod gym;
mod pool;
mod protocol;
pub mod python;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{RewardError, Score, Scored, Scores};
use child::{Failure, Launch};
use pool::{Job, Outcome, Pool};
use protocol::Answer;

/// What is done where a completion could not be judged: `"fail"`, `"skip"`, or
/// `{ value = -1.0 }` in a definition.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The batch fails.
    #[default]
    Fail,
    /// The reward does not apply to the completion.
    Skip,
    /// The completion is worth this.
    Value(f64),
}

/// The children of an external reward.
///
/// # Example
///
/// ```
/// use rewards::external::Workers;
///
/// let workers: Workers = toml::from_str("count = 4\ndeadline_seconds = 10.0")?;
/// assert_eq!((workers.count, workers.batch_size), (4, 64));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// Processes that judge at a time.
    pub count: usize,
    /// Completions that a process is given at a time, or all those of a problem
    /// where these must stay together and are more.
    pub batch_size: usize,
    /// Seconds that a process has for these.
    pub deadline_seconds: f64,
    /// Seconds that a process has to start in, imports included.
    pub start_seconds: f64,
    /// Address space that a process may have, in MiB (enforced on Linux).
    pub memory_mb: u64,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            count: 2,
            batch_size: 64,
            deadline_seconds: 30.0,
            start_seconds: 60.0,
            memory_mb: 8192,
        }
    }
}

/// A reward whose scores come from other processes.
struct External {
    kind: &'static str,
    program: Program,
    started: OnceLock<Started>,
    /// Held by whoever starts it.
    starting: Mutex<()>,
    memory: u64,
    start: Duration,
    deadline: Duration,
    workers: usize,
    batch_size: usize,
    independent: bool,
    on_error: OnError,
    requests: AtomicU64,
}

/// What there is once the first child has shaken hands.
struct Started {
    pool: Pool<Answer>,
    /// What judges, for messages: `` `f` in rewards.py ``.
    judge: String,
}

impl External {
    /// Checks the settings. Nothing is started or read yet.
    fn new(
        kind: &'static str,
        program: Program,
        workers: &Workers,
        on_error: OnError,
        independent: bool,
    ) -> Result<Self, RewardError> {
        let wrong = |message| RewardError::Parameters {
            reward: kind.to_owned(),
            message,
        };
        if let OnError::Value(value) = on_error
            && !value.is_finite()
        {
            return Err(wrong(format!(
                "`on_error` is the value {value}: give a finite number"
            )));
        }
        let Workers {
            count, batch_size, ..
        } = *workers;
        for (key, value, most) in [
            ("count", count, 1024),
            ("batch_size", batch_size, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(wrong(format!(
                    "`workers.{key}` is {value}: give 1 to {most}"
                )));
            }
        }
        let seconds = |key: &str, value: f64| {
            // Above a hundred days it is a mistake, and no clock can add it.
            Some(value)
                .filter(|value| *value > 0.0 && *value <= 1e7)
                .map(Duration::from_secs_f64)
                .ok_or_else(|| {
                    wrong(format!(
                        "`workers.{key}` is {value}: give seconds, above 0 and up to 1e7"
                    ))
                })
        };
        let memory = (workers.memory_mb.checked_mul(1 << 20))
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| {
                wrong(format!(
                    "`workers.memory_mb` is {}: give MiB, at least 1",
                    workers.memory_mb
                ))
            })?;
        Ok(Self {
            kind,
            program,
            started: OnceLock::new(),
            starting: Mutex::new(()),
            memory,
            start: seconds("start_seconds", workers.start_seconds)?,
            deadline: seconds("deadline_seconds", workers.deadline_seconds)?,
            workers: count,
            batch_size,
            independent,
            on_error,
            requests: AtomicU64::new(0),
        })
    }

    /// Its children, of which the first is started here where nobody did: it
    /// shows whether the program can be run.
    fn started(&self) -> Result<&Started, RewardError> {
        let _alone = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(started) = self.started.get() {
            return Ok(started);
        }
        let started = self.launch().map_err(|failure| {
            let reward = self.kind.to_owned();
            if failure.killed {
                let source = failure.message.into();
                return RewardError::Failed { reward, source };
            }
            let message = failure.message;
            RewardError::Parameters { reward, message }
        })?;
        Ok(self.started.get_or_init(|| started))
    }

    fn launch(&self) -> Result<Started, Failure> {
        let Program {
            path,
            arguments,
            folder,
            source,
            judge,
        } = &self.program;
        let read = |path: &PathBuf| match std::fs::read(path) {
            Ok(text) => Ok((path.clone(), text)),
            Err(error) => Err(Failure::of(format!(
                "cannot read {}: {error}; correct `file`",
                path.display()
            ))),
        };
        let launch = Launch {
            program: path.clone(),
            arguments: arguments.clone(),
            environment: &[],
            folder: folder.clone(),
            source: source.as_ref().map(read).transpose()?,
            memory: self.memory,
            start: self.start,
        };
        let (pool, name) = Pool::start(&launch, self.workers, self.deadline, protocol::reply)?;
        let judge = judge.clone().unwrap_or_else(|| format!("`{name}`"));
        Ok(Started { pool, judge })
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let Started { pool, judge } = self.started()?;
        let failed = |message: String| RewardError::Failed {
            reward: self.kind.to_owned(),
            source: format!("{judge}: {message}").into(),
        };
        let pieces = self.pieces(batch);
        let cancelled = Arc::new(AtomicBool::new(false));
        let (reply, outcomes) = channel();
        for (piece, indices) in pieces.iter().enumerate() {
            let items: Vec<Scored<'_>> = indices.iter().map(|index| batch[*index]).collect();
            let id = self.requests.fetch_add(1, Ordering::Relaxed);
            pool.judge(Job {
                piece,
                id,
                request: protocol::request(id, &items).map_err(|error| {
                    failed(format!("a request cannot be written as JSON: {error}"))
                })?,
                count: items.len(),
                cancelled: Arc::clone(&cancelled),
                reply: reply.clone(),
            });
        }
        drop(reply);

        let mut judged: Vec<Option<Result<Score, String>>> = vec![None; batch.len()];
        let mut metrics: Vec<(String, f64, usize)> = Vec::new();
        let (mut restarted, mut killed) = (0, false);
        for outcome in outcomes {
            let Outcome {
                piece,
                answer,
                restarts,
            } = outcome;
            restarted += restarts;
            let indices = &pieces[piece];
            let scores = match answer {
                Ok(answer) => {
                    for (name, value) in answer.metrics {
                        add(&mut metrics, name, value, indices.len());
                    }
                    answer.scores
                }
                Err(failure) => {
                    killed |= failure.killed;
                    vec![Err(failure.message); indices.len()]
                }
            };
            let fails = self.on_error == OnError::Fail && scores.iter().any(Result::is_err);
            if fails {
                cancelled.store(true, Ordering::Relaxed);
            }
            for (index, score) in indices.iter().zip(scores) {
                judged[*index] = Some(score);
            }
        }
        let decided = self.decide(judge, batch, judged, &cancelled, restarted);
        let mut scores = decided.map_err(|error| if killed { error.killed() } else { error })?;
        let means = metrics.into_iter();
        let means = means.map(|(name, sum, count)| (name.into(), sum / count as f64));
        scores.metrics.extend(means);
        Ok(scores)
    }

    /// Applies `on_error` to what was not judged.
    fn decide(
        &self,
        judge: &str,
        batch: &[Scored<'_>],
        judged: Vec<Option<Result<Score, String>>>,
        cancelled: &AtomicBool,
        restarted: usize,
    ) -> Result<Scores, RewardError> {
        let mut each = Vec::with_capacity(batch.len());
        let mut errors = 0_usize;
        for (index, (judged, item)) in judged.into_iter().zip(batch).enumerate() {
            let message = match judged {
                Some(Ok(score)) => {
                    each.push(score);
                    continue;
                }
                Some(Err(message)) => message,
                // An error elsewhere in the batch is about to be met.
                None if cancelled.load(Ordering::Relaxed) => continue,
                None => "the thread that had it judged ended".to_owned(),
            };
            let message = format!("{judge}: {}", message.trim_end());
            if self.on_error == OnError::Fail {
                return Err(RewardError::Item {
                    reward: self.kind.to_owned(),
                    index,
                    problem: item.problem.to_owned(),
                    message,
                });
            }
            if errors == 0 {
                tracing::warn!("reward: completion {index} of the batch: {message}");
            }
            errors += 1;
            each.push(match self.on_error {
                OnError::Value(value) => Score::new(value),
                OnError::Fail | OnError::Skip => Score::does_not_apply(),
            });
        }
        let scores: Scores = each.into_iter().collect();
        if batch.is_empty() {
            return Ok(scores);
        }
        // Shares, so that they do not depend on how a batch is judged in parts.
        let share = |count: usize| count as f64 / batch.len() as f64;
        Ok(scores
            .with_metric(protocol::ERRORS, share(errors))
            .with_metric(protocol::RESTARTS, share(restarted)))
    }

    /// The batch in pieces, as positions in it. Where scores may depend on other
    /// completions, those of a problem stay together, in their order.
    fn pieces(&self, batch: &[Scored<'_>]) -> Vec<Vec<usize>> {
        let mut pieces: Vec<Vec<usize>> = Vec::new();
        // Where completions may be parted, a small batch keeps every child busy.
        let size = if self.independent {
            batch.len().div_ceil(self.workers).min(self.batch_size)
        } else {
            self.batch_size
        };
        let mut add = |group: Vec<usize>| match pieces.last_mut() {
            Some(piece) if piece.len() + group.len() <= size => piece.extend(group),
            _ => pieces.push(group),
        };
        if self.independent {
            (0..batch.len()).for_each(|index| add(vec![index]));
        } else {
            groups(batch).into_iter().for_each(add);
        }
        pieces
    }
}

/// Positions of the completions of each problem, by first appearance.
fn groups(batch: &[Scored<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for (index, item) in batch.iter().enumerate() {
        let group = *known.entry((item.task, item.problem)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(index);
    }
    groups
}

/// Adds a metric of some completions to the sum over all, so that its mean does
/// not depend on how the batch was cut.
fn add(metrics: &mut Vec<(String, f64, usize)>, name: String, value: f64, count: usize) {
    let sum = value * count as f64;
    match metrics.iter_mut().find(|(known, _, _)| *known == name) {
        Some((_, total, counted)) => {
            *total += sum;
            *counted += count;
        }
        None => metrics.push((name, sum, count)),
    }
}

/// What a child is to run.
struct Program {
    path: std::ffi::OsString,
    arguments: Vec<std::ffi::OsString>,
    folder: PathBuf,
    /// A file that it reads.
    source: Option<PathBuf>,
    /// What judges, for messages; `None`: what the child calls itself.
    judge: Option<String>,
}

/// A folder that a process can be started in: the empty path, which is what the
/// parent of a bare file name is, stands for the current one.
fn folder_of(folder: &Path) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// A program by its name, to be searched for as a shell does, or by its path,
/// taken from `folder` on.
fn program_in(folder: &Path, program: &str) -> std::ffi::OsString {
    if program.contains('/') {
        folder.join(program).into_os_string()
    } else {
        program.into()
    }
}
