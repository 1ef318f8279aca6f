//! `qinglan store`: what trainings left for other runs, and its end.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::runs::{blank, size};
use crate::error::{UserError, as_user_error};
use crate::store::{Listed, Store};

/// Letters of an address that are shown; so many name an entry unless two share them.
const SHOWN: usize = 12;

/// Arguments of `qinglan store`.
#[derive(Args)]
pub(super) struct StoreCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What is in the store: models, evaluations and traces, with size, age, and the runs
    /// that are there and have them.
    List,
    /// Remove entries; a run that needs one makes it again.
    Rm {
        /// Entries, by the beginning of their address.
        #[arg(value_name = "ADDRESS", required_unless_present = "unused")]
        addresses: Vec<String>,
        /// Every entry that no run has that is still there.
        #[arg(long, conflicts_with = "addresses")]
        unused: bool,
    },
    /// Read every file and name the entries that are not as they were written.
    Verify,
}

impl StoreCommand {
    pub(super) fn execute(self) -> Result<()> {
        let store = as_user_error(Store::of_user())?;
        match self.what {
            What::List => list(&store),
            What::Rm { addresses, unused } => {
                let all = store.list()?;
                let chosen = if unused {
                    all.iter().filter(|entry| entry.runs.is_empty()).collect()
                } else {
                    named(&all, &addresses)?
                };
                remove(&store, &chosen)
            }
            What::Verify => verify(&store),
        }
    }
}

fn list(store: &Store) -> Result<()> {
    let entries = store.list()?;
    let place = store.folder().display();
    if entries.is_empty() {
        println!("the store {place} is empty");
        return Ok(());
    }
    let header = ["address", "kind", "what", "size", "age", "runs"];
    let mut table = blank(&header, 3..6);
    let mut bytes = 0;
    for entry in &entries {
        bytes += entry.bytes;
        let (kind, what) = match &entry.what {
            Some((kind, what)) => (kind.word(), what.as_str()),
            None => ("damaged", ""),
        };
        table.add_row([
            shown(entry).to_owned(),
            kind.to_owned(),
            what.to_owned(),
            size(entry.bytes),
            age(entry.made),
            entry.runs.len().to_string(),
        ]);
    }
    println!("{table}\n");
    println!("{} entries, {} in {place}", entries.len(), size(bytes));
    Ok(())
}

fn shown(entry: &Listed) -> &str {
    entry.address.get(..SHOWN).unwrap_or(&entry.address)
}

/// How long ago that was, in the largest unit that there is a whole one of.
fn age(made: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs()).saturating_sub(made);
    match seconds {
        _ if made == 0 => "unknown".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The entries of these addresses, each named by its beginning.
fn named<'a>(all: &'a [Listed], addresses: &[String]) -> Result<Vec<&'a Listed>> {
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    for address in addresses {
        let found: Vec<&Listed> = all
            .iter()
            .filter(|entry| !address.is_empty() && entry.address.starts_with(address))
            .collect();
        match found.as_slice() {
            [] => bail!(UserError(format!(
                "the store has no entry {address}; qinglan store list shows those it has"
            ))),
            [one] => chosen.extend(seen.insert(&one.address).then_some(*one)),
            several => bail!(UserError(format!(
                "{address} is the beginning of {} entries; give more letters of one of them",
                several.len()
            ))),
        }
    }
    Ok(chosen)
}

fn remove(store: &Store, entries: &[&Listed]) -> Result<()> {
    let mut bytes = 0;
    for entry in entries {
        let what = entry.what.as_ref().map_or("", |(_, what)| what.as_str());
        if store.remove(&entry.address)? {
            bytes += entry.bytes;
            println!("removed {} {what}", shown(entry));
        } else {
            println!("{} {what} stays: a run is making it", shown(entry));
        }
    }
    println!("{} freed, but for what runs link to", size(bytes));
    Ok(())
}

fn verify(store: &Store) -> Result<()> {
    let entries = store.list()?;
    let mut damaged = 0;
    for entry in &entries {
        if let Some(why) = store.damage(&entry.address) {
            damaged += 1;
            println!("{}: {why:#}", shown(entry));
        }
    }
    if damaged > 0 {
        bail!(
            "{damaged} of {} entries are damaged; each is made again when a run needs it, and qinglan store rm removes it",
            entries.len()
        );
    }
    println!("{} entries are as they were written", entries.len());
    Ok(())
}
