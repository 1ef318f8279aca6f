//! Several children that take pieces of work from one queue.
//!
//! Each is looked after by a thread of its own for as long as the pool lives, so
//! that a child may ask the system to be ended with the thread that started it.
//! A child is started when there is first something for it to do, and again
//! after it died, was late, or broke the protocol. What a child *died* over, its
//! start or a piece, is tried once more, as the death may have come from outside;
//! one that was late or broke the protocol would most likely do so again.
//!
//! What it deliberately does not do: run two of one child's pieces at a time, or
//! take up a piece whose batch has already failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::child::{Child, Failure, Launch};

/// Reads the reply to the request of a number, about so many things. The outer error
/// is a broken protocol, after which the child is not asked again; the inner one is a
/// fault of this reply only.
pub(super) type Read<A> = fn(&[u8], u64, usize) -> Result<Result<A, String>, String>;

/// Children and the threads that look after them.
pub(super) struct Pool<A> {
    /// `None` only while it is dropped, which is how the threads are told.
    work: Option<Sender<Work<A>>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a thread is asked for.
enum Work<A> {
    /// To have a child, and to say what it calls itself.
    Greet(Sender<Result<String, Failure>>),
    /// To have a piece judged.
    Judge(Job<A>),
}

/// A piece of a batch, as a request that is ready to be sent.
pub(super) struct Job<A> {
    /// Which piece it is.
    pub(super) piece: usize,
    /// The request's number.
    pub(super) id: u64,
    /// The request.
    pub(super) request: Vec<u8>,
    /// Completions in it.
    pub(super) count: usize,
    /// Set once nobody wants the answer any more.
    pub(super) cancelled: Arc<AtomicBool>,
    /// Where the outcome goes.
    pub(super) reply: Sender<Outcome<A>>,
}

/// What became of a piece.
pub(super) struct Outcome<A> {
    pub(super) piece: usize,
    pub(super) answer: Result<A, Failure>,
    /// Children that were started in place of others.
    pub(super) restarts: usize,
}

impl<A: Send + 'static> Pool<A> {
    /// Starts the threads and one child, which shows whether the others can be
    /// started; says what it calls itself.
    pub(super) fn start(
        launch: &Launch,
        count: usize,
        deadline: Duration,
        read: Read<A>,
    ) -> Result<(Self, String), Failure> {
        let (work, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let thread = |_| {
            let mut worker = Worker {
                launch: launch.clone(),
                deadline,
                read,
                child: None,
                started: false,
            };
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("reward".to_owned())
                .spawn(move || worker.serve(&queue))
        };
        let threads: Result<_, std::io::Error> = (0..count).map(thread).collect();
        let no_thread = |error| Failure::of(format!("cannot start a thread: {error}"));
        let pool = Self {
            threads: threads.map_err(no_thread)?,
            work: Some(work),
        };
        let (reply, greeting) = channel();
        pool.put(Work::Greet(reply));
        let silence = |_| Err(Failure::of("no thread answers".to_owned()));
        let name = greeting.recv().unwrap_or_else(silence)?;
        Ok((pool, name))
    }

    /// Puts a piece in the queue. Where no thread is left to judge it, its
    /// `reply` is dropped without an outcome.
    pub(super) fn judge(&self, job: Job<A>) {
        self.put(Work::Judge(job));
    }

    fn put(&self, work: Work<A>) {
        if let Some(queue) = &self.work {
            // An error gives the work back, and it is dropped.
            let _ = queue.send(work);
        }
    }
}

impl<A> Drop for Pool<A> {
    fn drop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has dropped its child all the same.
            let _ = thread.join();
        }
    }
}

/// What a thread of the pool owns.
struct Worker<A> {
    launch: Launch,
    deadline: Duration,
    read: Read<A>,
    child: Option<Child>,
    started: bool,
}

impl<A> Worker<A> {
    fn serve(&mut self, queue: &Mutex<Receiver<Work<A>>>) {
        loop {
            // The lock is held while waiting: the other idle threads wait for it.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let job = match next {
                Err(_) => return,
                Ok(Work::Greet(reply)) => {
                    let name = self.twice(|worker| Ok(worker.child(&mut 0)?.name.clone()));
                    // Whoever asked may have stopped listening.
                    let _ = reply.send(name);
                    continue;
                }
                Ok(Work::Judge(job)) if job.cancelled.load(Ordering::Relaxed) => continue,
                Ok(Work::Judge(job)) => job,
            };
            let mut restarts = 0;
            let answer = self.answer(&job, &mut restarts);
            let _ = job.reply.send(Outcome {
                piece: job.piece,
                answer,
                restarts,
            });
        }
    }

    fn answer(&mut self, job: &Job<A>, restarts: &mut usize) -> Result<A, Failure> {
        let line = self.twice(|worker| worker.ask(job, restarts))?;
        let reply = (self.read)(&line, job.id, job.count).unwrap_or_else(|broken| {
            self.child = None;
            Err(broken)
        });
        reply.map_err(Failure::of)
    }

    /// What `work` gives, at the second time where its child died the first.
    fn twice<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let first = match work(self) {
            Err(failure) if failure.died => failure.message,
            other => return other,
        };
        tracing::warn!("reward: {first}; its work is tried once more");
        work(self).map_err(|mut failure| {
            if failure.died {
                failure.message = format!("twice in a row {}", failure.message);
            }
            failure
        })
    }

    fn ask(&mut self, job: &Job<A>, restarts: &mut usize) -> Result<Vec<u8>, Failure> {
        let deadline = self.deadline;
        let line = (self.child(restarts)).and_then(|child| child.ask(&job.request, deadline));
        if line.is_err() {
            self.child = None;
        }
        line
    }

    /// A child that lives.
    fn child(&mut self, restarts: &mut usize) -> Result<&mut Child, Failure> {
        if self.child.as_ref().is_some_and(Child::gone) {
            self.child = None;
        }
        match &mut self.child {
            Some(child) => Ok(child),
            none => {
                *restarts += usize::from(self.started);
                self.started = true;
                Ok(none.insert(Child::start(&self.launch)?))
            }
        }
    }
}
