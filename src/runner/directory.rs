//! A run's directory: claimed by one process, of one definition, and with the
//! files from outside as they were when the run began.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::names::{self, Absent, Missing};
use super::outside::{self, OutsideFile};
use super::pins::Pins;
use super::{DEFINITION_FILE, OUTCOME, Request};
use crate::config::{Graph, Stage};
use crate::error::{UserError, as_user_error};
use crate::files;
use crate::hub::Commits;
use crate::messages::say;

/// Another process that begins a run has a file in the directory before the
/// definition is there: so often, and after so long, it is looked for once more.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

impl Request {
    /// Whether an arm, or the teacher, is still to be trained in some seed.
    pub(super) fn is_pending(&self, arm: &str) -> bool {
        let is_done = |stage: &Stage| self.out.join(&stage.folder).join(OUTCOME).exists();
        let of_arm = |stage: &&Stage| stage.name == arm && !stage.is_base();
        // A definition whose edges lead nowhere was refused before.
        let graph = Graph::of(&self.definition);
        graph.is_ok_and(|graph| !graph.0.iter().filter(of_arm).all(is_done))
    }

    /// The files from outside that are still needed.
    pub(super) fn files(&self) -> Result<Vec<OutsideFile>> {
        as_user_error(outside::files(
            &self.definition,
            &self.definition_folder,
            &|arm| self.is_pending(arm),
        ))
    }

    /// Puts commits into the names of models and data files on the hub: those that a run
    /// of this directory began with. Of several ranks the first asks, and the others
    /// have the same; gives what would have to be downloaded, `None` where the user
    /// wants to stop.
    pub(super) fn settle_names(&mut self, missing: Missing) -> Result<Option<Vec<Absent>>> {
        let known = self.ranks.lead(|| {
            let begun = self.check_directory()?;
            let pins = begun.then(|| Pins::read(&self.out)).transpose()?;
            Ok(pins.flatten().unwrap_or_default().hub)
        })?;
        let mut definition = self.definition.clone();
        let mut settle = |known: &Commits| {
            let folder = &self.definition_folder;
            as_user_error(names::settle(
                &mut definition,
                folder,
                known,
                missing,
                &self.stop,
            ))
        };
        let mut settled = None;
        let commits = self.ranks.lead(|| {
            settled = settle(&known)?;
            Ok(settled.as_ref().map(|settled| settled.commits.clone()))
        })?;
        let Some(commits) = commits else {
            return Ok(None);
        };
        // The cache of another machine may lack what that of the first has.
        let own = match settled {
            Some(settled) => Ok(Some(settled)),
            None => settle(&commits),
        };
        let own = self.ranks.each(own)?;
        if self.ranks.any(Ok(own.is_none()))? {
            return Ok(None);
        }
        let own = own.unwrap_or_default();
        for moved in own.moved.iter().filter(|_| self.ranks.is_first()) {
            say!("{moved}");
        }
        self.definition = definition;
        self.commits = commits;
        Ok(Some(own.absent))
    }

    /// Refuses a directory that is no place for this run as it stands.
    pub(super) fn check_stored(&self) -> Result<()> {
        if self.check_directory()? {
            self.check_pins()?;
        }
        Ok(())
    }

    /// Refuses a run whose definition or files have changed since it began.
    fn check_pins(&self) -> Result<()> {
        if let Some(pins) = Pins::read(&self.out)? {
            pins.check_definition(&self.text, &self.out)?;
            pins.check(&self.files()?, &self.out)?;
        }
        Ok(())
    }

    /// Pins the files of a run that begins, and checks those of one that goes on.
    pub(super) fn pin(&self) -> Result<()> {
        self.check_pins()?;
        let files = self.files()?;
        let pins = if let Some(pins) = Pins::read(&self.out)? {
            pins
        } else {
            let pins = Pins::of(&self.text, &files, self.commits.clone())?;
            pins.write(&self.out)?;
            pins
        };
        pins.copy(&files, &self.out)
    }

    /// Makes the run directory this experiment's, or refuses. Other processes are
    /// kept out of it for as long as the file is open: two that go on with one run
    /// would write over each other.
    pub(super) fn claim_directory(&self) -> Result<File> {
        let out = self.out.display();
        // A place that cannot be written was a wrong --out.
        let place = || format!("{out} cannot be a run directory; give another folder with --out");
        let Some(alone) = as_user_error(files::lock(&self.out).with_context(place))? else {
            bail!(UserError(format!(
                "another process is working on the run in {out}; wait for it, or give another folder with --out"
            )));
        };
        // Another may have begun, and ended, since the first look.
        if !self.check_directory()? {
            let stored = self.out.join(DEFINITION_FILE);
            let claimed = files::write_whole(&stored, self.text.as_bytes());
            as_user_error(claimed.with_context(place))?;
        }
        Ok(alone)
    }

    /// Whether the run directory is this experiment's already; refuses one
    /// that holds anything else.
    fn check_directory(&self) -> Result<bool> {
        if let Ok(there) = std::fs::read_to_string(self.out.join(DEFINITION_FILE)) {
            if there != self.text {
                bail!(UserError(format!(
                    "{} holds a run of another definition; give another folder with --out, or the definition it was started with",
                    self.out.display()
                )));
            }
            if !self.resume {
                bail!(UserError(format!(
                    "{} holds this run already; go on with it with --resume, or give another folder with --out",
                    self.out.display()
                )));
            }
            return Ok(true);
        }
        if self.out.exists() && !self.out.is_dir() {
            bail!(UserError(format!(
                "{} is a file; give a folder with --out",
                self.out.display()
            )));
        }
        let begins = || !files::is_empty(&self.out) && !self.out.join(DEFINITION_FILE).exists();
        let mut looks = 0;
        while begins() && looks < LOOKS {
            std::thread::sleep(BETWEEN_LOOKS);
            looks += 1;
        }
        if looks > 0 && std::fs::read_to_string(self.out.join(DEFINITION_FILE)).is_ok() {
            return self.check_directory();
        }
        if !files::is_empty(&self.out) {
            bail!(UserError(format!(
                "{} is not empty and holds no run; give another folder with --out",
                self.out.display()
            )));
        }
        Ok(false)
    }
}
