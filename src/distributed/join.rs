//! Ranks become one run: they connect, and show each other what they are about
//! to do, so that those which do not belong together refuse before anything is
//! written.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tch::Device;
use torch_ext::distributed::{Backend, Error, Group};

use super::Ranks;
use super::launch::Place;
use crate::error::{UserError, as_user_error};
use crate::files;

/// What a rank is about to do, as it shows it to the others.
///
/// Worked example: `{definition: "91ab…", binary: "04c7…", options: "resume",
/// machine: "node3 5f0e…", gpu: Some("2")}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Hash of the definition's text, overrides applied.
    pub definition: String,
    /// Hash of the program.
    pub binary: String,
    /// Options that all ranks have to share.
    pub options: String,
    /// Which machine it is on.
    pub machine: String,
    /// Which of the machine's GPUs it takes.
    pub gpu: Option<String>,
}

/// Connects to the other ranks. `timeout` bounds this and every collective.
pub fn join(place: &Place, timeout: Duration) -> Result<Ranks> {
    let group = connect(Backend::Gloo, place, place.port, timeout)?;
    Ok(Ranks::new(group, None))
}

fn connect(backend: Backend, place: &Place, port: u16, timeout: Duration) -> Result<Group> {
    let Place {
        rank, world, host, ..
    } = place;
    Group::connect(backend, *rank, *world, host, port, timeout).map_err(|error| match error {
        Error::Unavailable { .. } => UserError(error.to_string()).into(),
        error => error.into(),
    })
}

impl Card {
    /// This rank's card.
    pub fn new(text: &str, options: String, device: Device) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program's file")?;
        Ok(Self {
            definition: files::hash(text.as_bytes()),
            binary: files::hash_file(&program)?,
            options,
            machine: machine(),
            gpu: match device {
                Device::Cuda(number) => Some(gpu(number)),
                _ => None,
            },
        })
    }
}

/// A name that processes of one machine, or of one container on it, share.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (name, boot) = (
        read("/proc/sys/kernel/hostname"),
        read("/proc/sys/kernel/random/boot_id"),
    );
    format!("{} {}", name.trim(), boot.trim())
}

/// The machine's GPU that CUDA counts as `number` here.
fn gpu(number: usize) -> String {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let own = visible.split(',').nth(number).unwrap_or_default().trim();
    if own.is_empty() {
        number.to_string()
    } else {
        own.to_owned()
    }
}

impl Ranks {
    /// Shows this rank's card, or why it has none, and holds all cards to each
    /// other. Fails on every rank where any of them does not fit.
    pub fn meet(self, own: Result<Card>, place: &Place, timeout: Duration) -> Result<Self> {
        let on_gpu = own.as_ref().is_ok_and(|card| card.gpu.is_some());
        let cards = self.gather(own)?;
        as_user_error(check(&cards))?;
        let own = cards.get(self.rank);
        let neighbours = cards
            .iter()
            .filter(|card| own.is_some_and(|own| own.machine == card.machine))
            .count();
        let tensors = if on_gpu {
            // A store of its own, on the next port.
            let group = connect(Backend::Nccl, place, place.port + 1, timeout);
            let failed = group.as_ref().err().map(|error| format!("{error:#}"));
            self.gather(match failed {
                None => Ok(()),
                Some(why) => Err(UserError(why).into()),
            })?;
            Some(group?)
        } else {
            None
        };
        Ok(Self {
            neighbours,
            tensors: tensors.map(std::sync::Mutex::new),
            ..self
        })
    }
}

/// Whether the cards, by rank, are of ranks that belong together.
fn check(cards: &[Card]) -> Result<()> {
    let Some(first) = cards.first() else {
        bail!("there is no rank");
    };
    let mut gpus = BTreeMap::new();
    for (rank, card) in cards.iter().enumerate() {
        if card.binary != first.binary {
            bail!(
                "rank {rank} runs another program than rank 0 ({} and {}): start one build everywhere",
                card.binary,
                first.binary
            );
        }
        if card.definition != first.definition {
            bail!(
                "rank {rank} has another definition than rank 0 ({} and {}): give all ranks one file, one --seeds and one --set",
                card.definition,
                first.definition
            );
        }
        if card.options != first.options {
            bail!(
                "rank {rank} was started with {:?} and rank 0 with {:?}: give all ranks the same options",
                card.options,
                first.options
            );
        }
        if card.gpu.is_some() != first.gpu.is_some() {
            bail!(
                "of ranks 0 and {rank} one has a GPU and the other has not: give each a GPU, or all --device cpu"
            );
        }
        if let Some(gpu) = &card.gpu
            && let Some(other) = gpus.insert((&card.machine, gpu), rank)
        {
            bail!(
                "ranks {other} and {rank} ask for one GPU, number {gpu} of a machine: start no more ranks than it has GPUs, with --device cuda, which takes that of LOCAL_RANK"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(gpu: Option<&str>) -> Card {
        Card {
            definition: "d".to_owned(),
            binary: "b".to_owned(),
            options: String::new(),
            machine: "m".to_owned(),
            gpu: gpu.map(str::to_owned),
        }
    }

    #[test]
    fn ranks_that_do_not_belong_together_are_refused_by_what_differs() {
        assert!(check(&[card(None), card(None)]).is_ok());
        assert!(check(&[card(Some("0")), card(Some("1"))]).is_ok());
        let mut elsewhere = card(Some("0"));
        elsewhere.machine = "n".to_owned();
        assert!(check(&[card(Some("0")), elsewhere]).is_ok());
        let changed = |change: fn(&mut Card)| {
            let mut other = card(None);
            change(&mut other);
            check(&[card(None), card(None), other])
                .unwrap_err()
                .to_string()
        };
        for (said, words) in [
            (
                changed(|card| card.binary.push('x')),
                "rank 2 runs another program",
            ),
            (
                changed(|card| card.definition.push('x')),
                "another definition",
            ),
            (changed(|card| card.options.push('x')), "the same options"),
            (
                changed(|card| card.gpu = Some("0".to_owned())),
                "one has a GPU",
            ),
        ] {
            assert!(said.contains(words), "{said}");
            assert_eq!(said.lines().count(), 1);
        }
        let twice = check(&[card(Some("0")), card(Some("0"))]).unwrap_err();
        assert!(twice.to_string().contains("ranks 0 and 1 ask for one GPU"));
    }
}
