//! Runs jobs side by side, each once those it waits for are done.
//!
//! The first failure stops what has not started and is returned; a panic in a
//! job is a failure of that job, not of the process.

use std::panic::AssertUnwindSafe;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// What a job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything.
    Finished,
    /// As much as there was before the user asked to stop.
    Interrupted,
    /// Nothing for now: somebody else is at what it needs.
    Waits,
}

/// A job's work, which may be tried again.
type Work = Box<dyn Fn() -> Result<Done> + Send>;

/// A piece of work and the jobs, by index, that come before it.
pub struct Job {
    name: String,
    after: Vec<usize>,
    work: Work,
}

impl Job {
    /// A job that starts once all of `after` have finished.
    pub fn new(
        name: &str,
        after: Vec<usize>,
        work: impl Fn() -> Result<Done> + Send + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            after,
            work: Box::new(work),
        }
    }
}

/// Time between two tries of jobs that all wait for somebody else.
const PATIENCE: Duration = Duration::from_millis(50);

struct State {
    waiting: Vec<Option<Job>>,
    /// Whether a job found somebody else at what it needs, since the last pause.
    held_up: Vec<bool>,
    finished: Vec<bool>,
    running: usize,
    interrupted: bool,
    failure: Option<anyhow::Error>,
}

impl State {
    /// The next job to try: the first that is not held up.
    fn ready(&self) -> Option<usize> {
        let is_ready = |job: &Job| job.after.iter().all(|&before| self.finished[before]);
        let mut jobs = self.waiting.iter().zip(&self.held_up);
        jobs.position(|(job, held_up)| !held_up && job.as_ref().is_some_and(is_ready))
    }

    fn stopped(&mut self, stop: Stop<'_>) -> bool {
        if self.failure.is_some() || self.interrupted {
            return true;
        }
        stop().unwrap_or_else(|error| {
            self.failure = Some(error);
            true
        })
    }
}

/// Whether to stop before the next job; an error ends the run.
pub type Stop<'a> = &'a (dyn Fn() -> Result<bool> + Sync);

/// Runs all jobs on `workers` threads with `threads` libtorch threads each.
/// True where all finished, false where the user asked to stop.
pub fn run(jobs: Vec<Job>, workers: usize, threads: usize, stop: Stop<'_>) -> Result<bool> {
    let count = jobs.len();
    let state = Mutex::new(State {
        waiting: jobs.into_iter().map(Some).collect(),
        held_up: vec![false; count],
        finished: vec![false; count],
        running: 0,
        interrupted: false,
        failure: None,
    });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // Threads of libtorch are counted for each thread of ours.
                tch::set_num_threads(threads as i32);
                work(&state, &changed, stop);
            });
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failure {
        Some(error) => Err(error),
        None => Ok(state.finished.iter().all(|finished| *finished)),
    }
}

fn work(state: &Mutex<State>, changed: &Condvar, stop: Stop<'_>) {
    let mut held = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if held.stopped(stop) {
            changed.notify_all();
            return;
        }
        let Some(index) = held.ready() else {
            if held.held_up.contains(&true) {
                // Nothing else can be done: look again what has become of them.
                held = changed
                    .wait_timeout(held, PATIENCE)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                held.held_up.fill(false);
                continue;
            }
            if held.running == 0 {
                return;
            }
            held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let Some(job) = held.waiting[index].take() else {
            continue;
        };
        held.running += 1;
        drop(held);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(&job.work))
            .unwrap_or_else(|panic| Err(anyhow!("{}", panic_message(&*panic))))
            .with_context(|| job.name.clone());
        held = state.lock().unwrap_or_else(PoisonError::into_inner);
        held.running -= 1;
        match outcome {
            Ok(Done::Finished) => held.finished[index] = true,
            Ok(Done::Interrupted) => held.interrupted = true,
            Ok(Done::Waits) => {
                held.held_up[index] = true;
                held.waiting[index] = Some(job);
            }
            Err(error) => {
                held.failure.get_or_insert(error);
            }
        }
        changed.notify_all();
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a job panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_job_waits_for_those_before_it() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let job = |name: &'static str, after: Vec<usize>| {
            let order = Arc::clone(&order);
            Job::new(name, after, move || {
                order.lock().unwrap().push(name);
                Ok(Done::Finished)
            })
        };
        let jobs = vec![
            job("last", vec![1, 2]),
            job("first", vec![]),
            job("second", vec![1]),
        ];
        assert!(run(jobs, 3, 1, &|| Ok(false)).unwrap());
        assert_eq!(*order.lock().unwrap(), ["first", "second", "last"]);
    }

    #[test]
    fn a_failure_names_its_job_and_stops_what_waits() {
        let started = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&started);
        let jobs = vec![
            Job::new("broken", vec![], || panic!("out of luck")),
            Job::new("waiting", vec![0], move || {
                flag.store(true, Ordering::SeqCst);
                Ok(Done::Finished)
            }),
        ];
        let error = run(jobs, 2, 1, &|| Ok(false)).unwrap_err();
        assert_eq!(format!("{error:#}"), "broken: out of luck");
        assert!(!started.load(Ordering::SeqCst));
    }

    #[test]
    fn an_interruption_is_not_a_finish() {
        let jobs = vec![Job::new("half", vec![], || Ok(Done::Interrupted))];
        assert!(!run(jobs, 1, 1, &|| Ok(false)).unwrap());
    }
}
