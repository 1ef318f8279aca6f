//! Keeping what a policy writes while it is trained: a file a rollout phase, in
//! the format of [`experiments::completions`].
//!
//! A phase's file is named after its first update and replaces one of the same
//! name, so a phase that is sampled again after a crash is there once. The room
//! is bounded: of a long training not every phase is kept, and of a large phase
//! not every completion.

use std::path::{Path, PathBuf};

use algorithms::Prompt;
use anyhow::Result;
use experiments::completions::{self, LoggedCompletion};
use rewards::{BatchScores, Scored};

use crate::files;

/// Most phases of a training that are kept, spread evenly over it.
const PHASES: u64 = 512;

/// Most completions of a phase that are kept, its first.
const COMPLETIONS: usize = 1024;

/// The completions of one training.
pub struct CompletionLog {
    folder: PathBuf,
    /// Updates of which the first phase is kept.
    span: u64,
    /// Completions of the phase at hand, beside the index of their problem.
    rows: Vec<(u64, LoggedCompletion)>,
}

impl CompletionLog {
    /// The log of a training of that many updates in a folder of its own, where
    /// a file that a crash left unfinished is removed.
    pub fn new(folder: &Path, steps: u64) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with('.') {
                // What cannot be removed is read by nobody.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Self {
            folder: folder.to_owned(),
            span: steps.div_ceil(PHASES).max(1),
            rows: Vec::new(),
        }
    }

    /// Takes in completions sampled at the update `step`, counted from 0, as
    /// the rewards, where there are any, saw them: the samples of one prompt after
    /// those of another.
    pub(super) fn add(
        &mut self,
        step: u64,
        prompts: &[Prompt],
        batch: &[Scored<'_>],
        scores: Option<&BatchScores>,
    ) {
        if !self.keeps(step) {
            return;
        }
        let group = (batch.len() / prompts.len().max(1)).max(1);
        let room = COMPLETIONS.saturating_sub(self.rows.len());
        for (index, item) in batch.iter().enumerate().take(room) {
            let Some(prompt) = prompts.get(index / group) else {
                return;
            };
            let row = LoggedCompletion {
                step: step + 1,
                task: item.task.to_owned(),
                problem: item.problem.to_owned(),
                sample: (index % group) as u32,
                prompt: item.prompt.to_owned(),
                completion: item.completion.to_owned(),
                completion_ids: item.completion_ids.to_vec(),
                reward: scores.and_then(|scores| scores.totals.get(index).copied().flatten()),
                rewards: scores.map_or_else(Vec::new, |scores| rewards_of(scores, index)),
                advantage: None,
                completion_tokens: item.completion_tokens as u32,
                reasoning_tokens: item.reasoning_tokens as u32,
                truncated: item.truncated,
            };
            self.rows.push((prompt.problem, row));
        }
    }

    /// Writes down what the samples of a problem were worth against each other.
    pub(super) fn tell(&mut self, problem: u64, advantages: &[f64]) {
        for (_, row) in self.rows.iter_mut().filter(|(of, _)| *of == problem) {
            row.advantage = advantages.get(row.sample as usize).copied();
        }
    }

    /// Ends the phase: its file is written.
    pub(super) fn write(&mut self) -> Result<()> {
        let rows: Vec<LoggedCompletion> = self.rows.drain(..).map(|(_, row)| row).collect();
        let Some(first) = rows.first() else {
            return Ok(());
        };
        files::create_last_folder(&self.folder)?;
        completions::write(&self.file(first.step), &rows)?;
        Ok(())
    }

    /// Whether the phase is the first of its span. That is asked of the folder,
    /// which a training that is taken up again finds as it left it.
    fn keeps(&self, step: u64) -> bool {
        let span = step - step % self.span;
        !(span..step).any(|earlier| self.file(earlier + 1).exists())
    }

    fn file(&self, first_update: u64) -> PathBuf {
        self.folder.join(format!("step-{first_update:06}.parquet"))
    }
}

/// What each reward and each of its parts said of one completion.
fn rewards_of(scores: &BatchScores, index: usize) -> Vec<(String, Option<f64>)> {
    let mut rewards = Vec::new();
    for column in &scores.columns {
        let Some(score) = column.scores.get(index) else {
            continue;
        };
        rewards.push((column.name.clone(), score.value));
        for (part, value) in &score.parts {
            rewards.push((format!("{}/{part}", column.name), Some(*value)));
        }
    }
    rewards
}

#[cfg(test)]
mod tests {
    use rewards::{Column, Score};

    use super::*;

    fn add(log: &mut CompletionLog, step: u64, problems: u64, samples: usize) {
        let prompts: Vec<Prompt> = (0..problems)
            .map(|problem| Prompt {
                problem,
                tokens: vec![1],
            })
            .collect();
        let item = Scored {
            task: "t",
            problem: "p",
            prompt: "?",
            completion: "!",
            expected: None,
            reasoning_tokens: 0,
            completion_tokens: 1,
            max_new_tokens: 4,
            ..Scored::default()
        };
        let count = problems as usize * samples;
        let mut score = Score::new(0.5);
        score.parts.push(("half".into(), 0.25));
        let scores = BatchScores {
            totals: vec![Some(0.5); count],
            columns: vec![Column {
                name: "r".into(),
                weight: 1.0,
                scores: vec![score; count],
                metrics: Vec::new(),
            }],
        };
        log.add(step, &prompts, &vec![item; count], Some(&scores));
    }

    #[test]
    fn a_completion_keeps_its_rewards_and_its_own_advantage() {
        let mut log = CompletionLog::new(Path::new("unused"), 10);
        add(&mut log, 4, 2, 2);
        log.tell(1, &[-1.0, 1.0]);
        let told: Vec<(u32, Option<f64>)> = log
            .rows
            .iter()
            .map(|(_, row)| (row.sample, row.advantage))
            .collect();
        assert_eq!(
            told,
            [(0, None), (1, None), (0, Some(-1.0)), (1, Some(1.0))]
        );
        let rewards = &log.rows[3].1.rewards;
        let expected = [("r", Some(0.5)), ("r/half", Some(0.25))];
        assert_eq!(
            *rewards,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
        assert_eq!(log.rows[0].1.step, 5);
    }

    #[test]
    fn the_room_is_bounded_and_a_phase_done_again_replaces_itself() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("completions");
        // 2000 updates in phases of two: the first phase of four updates is kept.
        let mut log = CompletionLog::new(&at, 2000);
        let mut phases = |steps: std::ops::Range<u64>| {
            for step in steps.step_by(2) {
                add(&mut log, step, 3, 400);
                assert!(log.rows.len() <= COMPLETIONS);
                log.write().unwrap();
            }
        };
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(&at)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        phases(0..12);
        std::fs::write(at.join(".step-000007.parquet.1.part"), "half").unwrap();
        CompletionLog::new(&at, 2000);
        let before = names();
        let expected = ["step-000001", "step-000005", "step-000009"];
        assert_eq!(before, expected.map(|name| format!("{name}.parquet")));
        phases(6..12);
        assert_eq!(names(), before);
    }
}
