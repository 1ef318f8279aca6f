//! Models and data files by their names on the Hugging Face Hub, in the cache that
//! Hugging Face's own programs use, so that nothing lies on the disk twice.
//!
//! What the cache has is taken from there without asking the hub; what it lacks is
//! downloaded, resumed where it stopped, and verified. Of a model only the files are
//! downloaded that the lab reads. A run asks once, when it begins, and goes on with the
//! commit that it was given.
//!
//! Whatever the user has set for Hugging Face's programs holds here: `HF_ENDPOINT`,
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_TOKEN`, `HF_TOKEN_PATH`.
//!
//! Why the crate `hf-hub` is not used stands in docs/DECISIONS.md.

mod cache;
mod client;
mod download;
mod fetch;
mod name;
mod refused;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail, ensure};
use ureq::http::Uri;

use cache::Cache;
pub(crate) use name::Name;

use crate::http::check_address;
use crate::model::Stored;
use crate::store::models_folder;

/// The hub where the user says nothing of it.
const ENDPOINT: &str = "https://huggingface.co";

/// Commits by the names that stood for them.
pub(crate) type Commits = BTreeMap<String, String>;

/// Something of the hub that lies in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// A model's folder, or a file.
    pub(crate) path: PathBuf,
    /// The commit that the name stands for.
    pub(crate) commit: String,
}

/// What a look into the cache gives.
pub(crate) enum Looked {
    /// It is there. Of a model, the cache may not say whether the commit has some
    /// further files.
    There(Found, Vec<&'static str>),
    /// It is not, as these words say.
    Lacks(String),
}

/// The hub and its cache, as the user has set them.
pub(crate) struct Hub {
    cache: Cache,
    endpoint: String,
    token: Option<String>,
    is_offline: bool,
}

impl Hub {
    /// As the environment says.
    pub(crate) fn of_user() -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = || -> Result<PathBuf> {
            if let Some(home) = set("HF_HOME") {
                return Ok(home.into());
            }
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")));
            let cache = cache.context(
                "neither HF_HOME, XDG_CACHE_HOME nor HOME is set: say with HF_HOME where Hugging Face's cache is",
            )?;
            Ok(cache.join("huggingface"))
        };
        let root = match set("HF_HUB_CACHE") {
            Some(root) => root.into(),
            None => home()?.join("hub"),
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        check_address(&endpoint, "HF_ENDPOINT", "it belongs into HF_TOKEN")?;
        let host = endpoint.parse::<Uri>().ok();
        let host = host.and_then(|uri| Some(!uri.host()?.is_empty()));
        ensure!(
            host == Some(true),
            "HF_ENDPOINT = {endpoint:?} is no address; give one such as {ENDPOINT}"
        );
        let token = set("HF_TOKEN").or_else(|| {
            let path = set("HF_TOKEN_PATH").map(PathBuf::from);
            let path = path.or_else(|| Some(home().ok()?.join("token")))?;
            std::fs::read_to_string(path).ok()
        });
        let token = token.map(|token| token.trim().to_owned());
        let token = token.filter(|token| !token.is_empty());
        ensure!(
            token
                .iter()
                .all(|token| token.bytes().all(|b| b.is_ascii_graphic())),
            "the token of the hub (HF_TOKEN, or the file of hf auth login) holds letters that no token has"
        );
        let offline = set("HF_HUB_OFFLINE").unwrap_or_default().to_uppercase();
        Ok(Self {
            cache: Cache { root },
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            is_offline: ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()),
        })
    }

    /// What the cache has of a name; the hub is not asked.
    pub(crate) fn look(&self, name: &Name) -> Result<Looked> {
        let folder = self.cache.folder(name);
        let root = self.cache.root.display();
        let Some(commit) = folder.commit(name.revision())? else {
            return Ok(Looked::Lacks(format!(
                "{name} is not in Hugging Face's cache {root}"
            )));
        };
        let lacks = folder.lacks(name, &commit);
        if let Some(link) = lacks.broken.first() {
            return Ok(Looked::Lacks(format!(
                "{} is a link to a file that is not there any more",
                link.display()
            )));
        }
        if !lacks.nothing() {
            return Ok(Looked::Lacks(format!(
                "{} lacks {} of {name}",
                folder.snapshot(&commit).display(),
                lacks.needed.join(", ")
            )));
        }
        let path = folder.place(name, &commit);
        Ok(Looked::There(Found { path, commit }, lacks.unknown))
    }

    /// What a name stands for, from the cache.
    pub(crate) fn cached(&self, name: &Name) -> Result<Found> {
        match self.look(name)? {
            Looked::There(found, _) => Ok(found),
            Looked::Lacks(why) => bail!("{}", self.not_cached(&why)),
        }
    }

    fn not_cached(&self, why: &str) -> String {
        format!(
            "{why}; qinglan run, sweep, evaluate and sample download it from {}",
            self.endpoint
        )
    }

    /// What would be done to have a name; an error where it could not be.
    pub(crate) fn would_download(&self, why: &str) -> Result<String> {
        self.check_online(why)?;
        Ok(format!(
            "{why}; it would be downloaded from {} into {}",
            self.endpoint,
            self.cache.root.display()
        ))
    }

    fn check_online(&self, why: &str) -> Result<()> {
        ensure!(
            !self.is_offline,
            "{why}, and HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or bring the files into the cache"
        );
        Ok(())
    }
}

/// What a model's name stands for on the hub; `None` where there is a file or folder of
/// that name, from `folder` on or in the lab's cache, or the text is no such name.
pub(crate) fn model_name(text: &str, folder: &Path) -> Result<Option<Name>> {
    if folder.join(text).exists() || models_folder()?.join(text).exists() {
        return Ok(None);
    }
    Ok(Name::model(text))
}

/// Where a model lies that a command names, downloaded where it is not here yet.
pub(crate) fn model(text: &str) -> Result<PathBuf> {
    let here = Path::new("");
    if let Some(name) = model_name(text, here)? {
        return Ok(fetch(&name).with_context(|| no_path(text))?.path);
    }
    Stored::find(text, here, &models_folder()?)
}

/// What is said first of a name that no file or folder has.
pub(crate) fn no_path(text: &str) -> String {
    format!("there is no file or folder {text}")
}

/// Where a data file lies: a path from `folder` on, or a name on the hub that is in the
/// cache.
pub(crate) fn data_path(path: &Path, folder: &Path) -> Result<PathBuf> {
    match Name::data(path)? {
        Some(name) => Ok(Hub::of_user()?.cached(&name)?.path),
        None => Ok(folder.join(path)),
    }
}

/// Where the data file lies that a path names on the hub, or why it is not in the cache;
/// `None` of any other path.
pub(crate) fn look_for_data(path: &Path) -> Result<Option<Result<PathBuf, String>>> {
    let Some(name) = Name::data(path)? else {
        return Ok(None);
    };
    let hub = Hub::of_user()?;
    Ok(Some(match hub.look(&name)? {
        Looked::There(found, _) => Ok(found.path),
        Looked::Lacks(why) => Err(hub.not_cached(&why)),
    }))
}

/// What a name stands for, downloaded where it is not here yet; for a command that
/// Ctrl-C ends at once.
pub(crate) fn fetch(name: &Name) -> Result<Found> {
    let found = Hub::of_user()?.fetch(name, &AtomicBool::new(false))?;
    found.context("a download was stopped that nobody had stopped")
}
