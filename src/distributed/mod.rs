//! The ranks of a run: processes that work on one run together, each on its own
//! share, and what they tell each other.
//!
//! Everything that is decided is decided alike on every rank. Two ways of
//! working keep it so: [`Ranks::gather`], where every rank does a part and all
//! get every part, and [`Ranks::lead`], where rank 0 does it and all get the
//! outcome. In both a rank that fails tells the others why, so that they end
//! with its reason and not with a connection that broke.
//!
//! One process alone is a world of one rank; nothing is then sent, copied or
//! encoded. How ranks come to be is [`launch`]'s matter, and that they belong
//! together is made sure of by [`join`]. What is sent when, and how much of it,
//! is told in `docs/SCALING.md`.

mod bytes;
mod join;
pub mod launch;
mod nodes;
mod spawn;

pub(crate) use bytes::Reader;
pub(crate) use bytes::{put_count, put_floats, put_ids};
pub use join::{Card, join};
pub(crate) use spawn::follow_starter;
pub use spawn::{check_spawn, spawn};

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result, anyhow, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use torch_ext::distributed::{Group, Traffic};

use crate::error::{UserError, is_users};

/// This process's place among the ranks of a run.
///
/// Worked example: of two ranks, rank 1 has `share(5)` = `2..5`.
#[derive(Debug)]
pub struct Ranks {
    rank: usize,
    world: usize,
    /// How many of them are on this machine.
    neighbours: usize,
    /// For what is told in bytes, over TCP; `None` for one rank alone.
    control: Option<Mutex<Group>>,
    /// For tensors, where the device of the run has a way of its own.
    tensors: Option<Mutex<Group>>,
}

/// Why a rank could not do its part.
#[derive(Debug, Serialize, Deserialize)]
struct Fault {
    text: String,
    /// Whether it is the user's to mend.
    users: bool,
}

impl Fault {
    fn of(error: &Error) -> Self {
        Self {
            text: format!("{error:#}"),
            users: is_users(error),
        }
    }

    /// The same as an error on another rank than the one it befell.
    fn told_by(self, rank: usize) -> Error {
        let text = format!("rank {rank} stopped: {}", self.text);
        if self.users {
            UserError(text).into()
        } else {
            anyhow!(text)
        }
    }
}

/// First byte of what a rank tells: its part, or its fault.
const PART: u8 = 0;
const FAULT: u8 = 1;

/// A message that holds a rank's part, or why there is none.
fn message(part: Result<&[u8], &Error>) -> Result<Vec<u8>> {
    Ok(match part {
        Ok(part) => [&[PART], part].concat(),
        Err(error) => [&[FAULT], &*rmp_serde::to_vec_named(&Fault::of(error))?].concat(),
    })
}

/// What a message of `rank` holds.
fn part_of(rank: usize, mut message: Vec<u8>) -> Result<Vec<u8>> {
    ensure!(
        !message.is_empty(),
        "rank {rank} said nothing where it was asked"
    );
    match message.remove(0) {
        PART => Ok(message),
        _ => Err(rmp_serde::from_slice::<Fault>(&message)
            .with_context(|| format!("reading what stopped rank {rank}"))?
            .told_by(rank)),
    }
}

impl Ranks {
    /// One process by itself.
    pub fn alone() -> &'static Self {
        static ALONE: Ranks = Ranks::single();
        &ALONE
    }

    /// The same, to own.
    pub const fn single() -> Self {
        Self {
            rank: 0,
            world: 1,
            neighbours: 1,
            control: None,
            tensors: None,
        }
    }

    /// The ranks of a group of processes. `tensors` carries what lies on a
    /// device that `control` cannot reach.
    pub fn new(control: Group, tensors: Option<Group>) -> Self {
        Self {
            rank: control.rank(),
            world: control.world(),
            neighbours: control.world(),
            control: Some(Mutex::new(control)),
            tensors: tensors.map(Mutex::new),
        }
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Whether this is rank 0, which writes the files of the run.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Whether there are others.
    pub fn are_several(&self) -> bool {
        self.world > 1
    }

    /// Threads for this rank, so that those on its machine share the cores.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / self.neighbours).max(1)
    }

    /// This rank's share of `count` things: neighbours, and shares differ by
    /// one at most.
    pub fn share(&self, count: usize) -> Range<usize> {
        self.rank * count / self.world..(self.rank + 1) * count / self.world
    }

    /// What carries tensors between the ranks; `None` for one rank alone.
    pub(crate) fn group(&self) -> Option<MutexGuard<'_, Group>> {
        let group = self.tensors.as_ref().or(self.control.as_ref())?;
        Some(group.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn control(&self) -> Option<MutexGuard<'_, Group>> {
        let group = self.control.as_ref()?;
        Some(group.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What this rank has handed to collectives since it joined: what is told
    /// in bytes, and tensors where they go another way.
    pub fn traffic(&self) -> (Traffic, Option<Traffic>) {
        let of = |group: &Mutex<Group>| {
            let group = group.lock().unwrap_or_else(PoisonError::into_inner);
            group.traffic()
        };
        (
            self.control.as_ref().map(of).unwrap_or_default(),
            self.tensors.as_ref().map(of),
        )
    }

    /// Every rank's part, by rank. Fails on all ranks where one has failed.
    pub fn gather_bytes(&self, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let Some(group) = self.control() else {
            return Ok(vec![own?]);
        };
        let told = group.all_gather_bytes(&message(own.as_deref())?);
        drop(group);
        // What befell this rank says more than that the others heard of it.
        own?;
        let told = told?.into_iter().enumerate();
        told.map(|(rank, message)| part_of(rank, message)).collect()
    }

    /// The same of values.
    pub fn gather<T: Serialize + DeserializeOwned>(&self, own: Result<T>) -> Result<Vec<T>> {
        if !self.are_several() {
            return Ok(vec![own?]);
        }
        let encoded = own.and_then(|own| Ok(rmp_serde::to_vec_named(&own)?));
        let parts = self.gather_bytes(encoded)?.into_iter().enumerate();
        parts
            .map(|(rank, part)| {
                rmp_serde::from_slice(&part)
                    .with_context(|| format!("reading what rank {rank} told"))
            })
            .collect()
    }

    /// This rank's own result, once all ranks have one. Fails on all ranks
    /// where one has failed.
    pub fn each<T>(&self, own: Result<T>) -> Result<T> {
        match own {
            Ok(value) => self.gather(Ok(())).map(|_| value),
            Err(error) => self.gather(Err::<(), _>(error)).and_then(|_| {
                Err(anyhow!(
                    "a rank that failed told the others that it had not"
                ))
            }),
        }
    }

    /// Rank 0 works, and every rank gets what came of it. Where it fails, all do.
    pub fn lead<T: Serialize + DeserializeOwned>(
        &self,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !self.are_several() {
            return work();
        }
        let done = if self.is_first() { Some(work()) } else { None };
        let mut told = match &done {
            Some(Ok(value)) => message(Ok(&rmp_serde::to_vec_named(value)?))?,
            Some(Err(error)) => message(Err(error))?,
            None => Vec::new(),
        };
        let heard = self
            .control()
            .map_or(Ok(()), |group| group.broadcast_bytes(&mut told, 0));
        match done {
            Some(Err(error)) => Err(error),
            Some(done) => heard.map_err(Error::from).and(done),
            None => {
                heard?;
                rmp_serde::from_slice(&part_of(0, told)?).context("reading what rank 0 told")
            }
        }
    }

    /// Whether any rank says yes. Fails on all ranks where one has failed.
    pub fn any(&self, own: Result<bool>) -> Result<bool> {
        Ok(self.gather(own)?.contains(&true))
    }

    /// Makes sure that every rank has the same; `what` names it.
    pub fn agree(&self, what: &str, own: Result<String>) -> Result<()> {
        let all = self.gather(own)?;
        let first = all.first();
        match all.iter().position(|other| Some(other) != first) {
            None => Ok(()),
            Some(rank) => Err(anyhow!(
                "rank {rank} differs from rank 0 in {what}: all ranks must read the same files; \
                 give them a file system that they share, and hardware of one kind"
            )),
        }
    }

    /// Lets the others know that this rank goes no further.
    pub fn abort(&self) {
        if let Some(group) = self.control() {
            group.abort();
        }
        if let Some(group) = &self.tensors {
            let group = group.lock().unwrap_or_else(PoisonError::into_inner);
            group.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::as_user_error;

    #[test]
    fn shares_are_neighbours_and_nothing_is_left_over() {
        for world in 1..6 {
            for count in 0..12 {
                let mut next = 0;
                for rank in 0..world {
                    let ranks = Ranks {
                        rank,
                        world,
                        ..Ranks::single()
                    };
                    let share = ranks.share(count);
                    assert_eq!(share.start, next);
                    assert!(share.len().abs_diff(count / world) <= 1);
                    next = share.end;
                }
                assert_eq!(next, count);
            }
        }
    }

    #[test]
    fn a_fault_keeps_its_reason_and_whose_it_is() {
        let users = as_user_error(Err::<Vec<u8>, _>(anyhow!("no such file")));
        let heard = part_of(3, message(users.as_deref()).unwrap()).unwrap_err();
        assert_eq!(heard.to_string(), "rank 3 stopped: no such file");
        assert!(heard.is::<UserError>());
        let own = message(Err(&anyhow!("a reward failed"))).unwrap();
        assert!(!part_of(1, own).unwrap_err().is::<UserError>());
        assert_eq!(part_of(1, message(Ok(&[7])).unwrap()).unwrap(), [7]);
        assert!(part_of(1, Vec::new()).is_err());
    }

    #[test]
    fn one_rank_alone_asks_nobody() {
        let ranks = Ranks::alone();
        assert_eq!(ranks.gather(Ok(5)).unwrap(), [5]);
        assert_eq!(ranks.lead(|| Ok(6)).unwrap(), 6);
        assert!(ranks.any(Ok(true)).unwrap());
        assert!(ranks.agree("anything", Ok("a".to_owned())).is_ok());
        assert_eq!(ranks.traffic().0, Traffic::default());
    }
}
