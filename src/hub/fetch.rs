//! What a name stands for, from the cache or downloaded into it.

use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::cache::{Folder, INDEX, NEEDED, OPTIONAL, SINGLE, shards};
use super::client::{Client, Listing};
use super::download::{Failed, check_stop, content, patiently};
use super::name::Name;
use super::refused::nearest;
use super::{Found, Hub, Looked};
use crate::files;
use crate::messages::say;

/// Letters of a commit that are shown.
const SHOWN: usize = 12;

impl Hub {
    /// What a name stands for, from the cache or downloaded into it; `None` where the
    /// user wants to stop.
    pub(crate) fn fetch(&self, name: &Name, stop: &AtomicBool) -> Result<Option<Found>> {
        let looked = self.look(name)?;
        let there = match looked {
            Looked::There(found, unknown) if unknown.is_empty() => return Ok(Some(found)),
            Looked::There(found, unknown) => Some((found, unknown)),
            Looked::Lacks(why) => {
                self.check_online(&why)?;
                None
            }
        };
        let used_without = |found: Found, unknown: &[&str], why: &str| {
            let unknown = unknown.join(" and ");
            tracing::warn!(
                "{name}: the cache does not say whether it has {unknown}, and {why}; it is used without"
            );
            Ok(Some(found))
        };
        if let (Some((found, unknown)), true) = (&there, self.is_offline) {
            return used_without(found.clone(), unknown, "HF_HUB_OFFLINE is set");
        }
        let wanted = match &there {
            // What is there stays what it is, wherever the revision is by now.
            Some((found, _)) => name.at(&found.commit),
            None => name.clone(),
        };
        let client = Client::new(&self.endpoint, self.token.clone());
        let downloaded = self.download(&client, name, (&wanted, there.is_some()), stop);
        match (downloaded, there) {
            (Ok(found), _) => Ok(Some(found)),
            (Err(Failed::Stopped), _) => Ok(None),
            (Err(Failed::Refused(refusal)), None) => {
                Err(anyhow!(self.explained(&refusal, &wanted)))
            }
            (Err(Failed::Refused(refusal)), Some((found, unknown))) => {
                used_without(found, &unknown, &self.explained(&refusal, &wanted))
            }
            (Err(Failed::Error(error)), None) => Err(self.failed(name, error)),
            (Err(Failed::Error(error)), Some((found, unknown))) => match files::no_room(&error) {
                Some(_) => Err(self.failed(name, error)),
                None => used_without(found, &unknown, &format!("{error:#}")),
            },
        }
    }

    fn failed(&self, name: &Name, error: anyhow::Error) -> anyhow::Error {
        let root = self.cache.root.display();
        let what = match files::no_room(&error) {
            Some(why) => format!(
                "downloading {name} into {root}: {why}, then give the same command again; what came stays and is gone on with"
            ),
            None => format!(
                "downloading {name} from {} (HF_ENDPOINT names another hub)",
                self.endpoint
            ),
        };
        error.context(what)
    }

    fn download(
        &self,
        client: &Client,
        name: &Name,
        (wanted, is_there): (&Name, bool),
        stop: &AtomicBool,
    ) -> Result<Found, Failed> {
        let listing = if is_there {
            // Whoever has what can be used does not wait for the rest.
            client.list(wanted).map_err(Failed::from)?
        } else {
            patiently(stop, || client.list(wanted))?
        };
        let commit = listing.commit.clone();
        let folder = self.cache.folder(name);
        let first = first_files(name, &listing)?;
        let is_one = name.file.is_some() || listing.has(SINGLE);
        let bring = |files: &[&str]| self.bring(client, (name, &commit), files, stop);
        bring(&first)?;
        if !is_one {
            let index = folder.snapshot(&commit).join(INDEX);
            let shards = shards(&index).with_context(|| {
                format!(
                    "{} does not say which files have the weights",
                    index.display()
                )
            })?;
            let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
            bring(&shards)?;
        }
        if name.file.is_none() {
            for file in OPTIONAL.into_iter().filter(|file| !listing.has(file)) {
                folder.mark_absent(&commit, file)?;
            }
        }
        // Last: what a revision stands for is whole.
        folder.set_commit(wanted.revision(), &commit)?;
        let path = folder.place(name, &commit);
        Ok(Found { path, commit })
    }

    /// Brings files of a commit, those that the cache has not.
    fn bring(
        &self,
        client: &Client,
        (name, commit): (&Name, &str),
        wanted: &[&str],
        stop: &AtomicBool,
    ) -> Result<(), Failed> {
        let folder = self.cache.folder(name);
        for file in wanted {
            check_stop(stop)?;
            if folder.snapshot(commit).join(file).is_file() {
                continue;
            }
            bring_file(client, &folder, (name, commit, file), stop)?;
        }
        Ok(())
    }
}

/// The files of a listing that are downloaded first: all but weights in several
/// files, whose names their index has.
fn first_files<'a>(name: &'a Name, listing: &'a Listing) -> Result<Vec<&'a str>> {
    let has = |file: &&str| listing.has(file);
    if let Some(file) = &name.file {
        if listing.has(file) {
            return Ok(vec![file]);
        }
        let near = nearest(file, listing.files());
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        bail!(
            "{} {} has no file {file} at {}{near}",
            name.kind.word(),
            name.repo,
            name.revision()
        );
    }
    let ending = |ending: &str| {
        let files = listing.files().filter(|file| file.ends_with(ending));
        files.take(4).collect::<Vec<_>>().join(", ")
    };
    for needed in NEEDED {
        let gguf = ending(".gguf");
        ensure!(
            listing.has(needed) || gguf.is_empty(),
            "{name} has no {needed}, but GGUF files: name one of them, {name}/FILE.gguf ({gguf})"
        );
        ensure!(
            listing.has(needed),
            "{name} has no {needed}, which the lab needs; take a model that has one, or convert it with transformers and name the folder"
        );
    }
    let weights = [SINGLE, INDEX].into_iter().find(has);
    let weights = weights.with_context(|| {
        format!(
            "{name} has neither {SINGLE} nor {INDEX}, and only safetensors is read; it has {}",
            ending(".bin")
        )
    })?;
    let mut files: Vec<&str> = OPTIONAL.into_iter().filter(has).collect();
    files.extend(NEEDED);
    files.push(weights);
    Ok(files)
}

/// Brings one file of a commit.
fn bring_file(
    client: &Client,
    folder: &Folder,
    (name, commit, file): (&Name, &str, &str),
    stop: &AtomicBool,
) -> Result<(), Failed> {
    let url = client.address(name, commit, file);
    let facts = patiently(stop, || client.facts(&url))?;
    let size = facts.size.map_or_else(String::new, |size| {
        format!(", {}", indicatif::HumanBytes(size))
    });
    let short = &commit[..SHOWN.min(commit.len())];
    say!("downloading {file} of {} at {short}{size}", name.repo);
    content(client, folder, (&url, file), &facts, stop)?;
    folder.link(commit, file, &facts.etag)?;
    Ok(())
}
