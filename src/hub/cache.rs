//! The cache of the hub that Hugging Face's own programs use:
//! `models--ORG--NAME/` with `refs/REVISION`, which holds a commit,
//! `snapshots/COMMIT/FILE`, links to `blobs/ETAG`, and `.no_exist/COMMIT/FILE` for files
//! that a commit is known not to have.
//!
//! Source of the layout: the documentation of `huggingface_hub`, "Understand caching".

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::name::{Kind, Name, is_below, is_commit};
use crate::files;

/// What every model folder has.
pub(super) const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];

/// What the lab reads of a model folder where it is there.
pub(super) const OPTIONAL: [&str; 4] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// The weights in one file, and the list of the files of weights that have several.
pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// The cache.
pub(super) struct Cache {
    /// Where it lies.
    pub(super) root: PathBuf,
}

/// A repository in the cache.
pub(super) struct Folder {
    at: PathBuf,
    locks: PathBuf,
}

/// What the snapshot of a commit lacks of what a name stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// Files without which it cannot be used.
    pub(super) needed: Vec<String>,
    /// Files of which the cache does not say whether the commit has them.
    pub(super) unknown: Vec<&'static str>,
    /// Links to what is not there any more.
    pub(super) broken: Vec<PathBuf>,
}

impl Lacks {
    /// Whether all is there that can be used.
    pub(super) fn nothing(&self) -> bool {
        self.needed.is_empty() && self.broken.is_empty()
    }
}

impl Cache {
    /// A repository in it, whether or not that is there.
    pub(super) fn folder(&self, name: &Name) -> Folder {
        let folder = format!("{}--{}", name.kind.plural(), name.repo.replace('/', "--"));
        Folder {
            at: self.root.join(&folder),
            locks: self.root.join(".locks").join(folder),
        }
    }

    /// The repositories of a kind, `ORG/NAME`.
    pub(super) fn repositories(&self, kind: Kind) -> Vec<String> {
        let entries = self.root.read_dir().into_iter().flatten().flatten();
        let prefix = format!("{}--", kind.plural());
        let repository = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let (organisation, name) = name.strip_prefix(&prefix)?.split_once("--")?;
            Some(format!("{organisation}/{name}"))
        };
        let mut found: Vec<String> = entries.filter_map(repository).collect();
        found.sort();
        found
    }
}

impl Folder {
    /// The commit that a revision stands for here; `None` where that is not known.
    pub(super) fn commit(&self, revision: &str) -> Result<Option<String>> {
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.at.join("refs").join(revision);
        if !path.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        let commit = text.trim();
        if !is_commit(commit) {
            bail!(
                "{} holds no commit: remove it, and the name is looked up on the hub again",
                path.display()
            );
        }
        Ok(Some(commit.to_owned()))
    }

    /// Where the files of a commit are.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.at.join("snapshots").join(commit)
    }

    /// Where what a name stands for lies at a commit.
    pub(super) fn place(&self, name: &Name, commit: &str) -> PathBuf {
        let snapshot = self.snapshot(commit);
        match &name.file {
            Some(file) => snapshot.join(file),
            None => snapshot,
        }
    }

    /// What the snapshot of a commit lacks of a name.
    pub(super) fn lacks(&self, name: &Name, commit: &str) -> Lacks {
        let snapshot = self.snapshot(commit);
        let mut lacks = Lacks::default();
        let mut need = |file: &str| {
            let path = snapshot.join(file);
            if path.is_file() {
                return;
            }
            if path.is_symlink() {
                lacks.broken.push(path);
            } else {
                lacks.needed.push(file.to_owned());
            }
        };
        if let Some(file) = &name.file {
            need(file);
            return lacks;
        }
        NEEDED.into_iter().for_each(&mut need);
        match shards(&snapshot.join(INDEX)) {
            _ if snapshot.join(SINGLE).is_symlink() => need(SINGLE),
            Some(shards) => shards.iter().for_each(|shard| need(shard)),
            None => need(SINGLE),
        }
        for file in OPTIONAL {
            let path = snapshot.join(file);
            if path.is_file() || self.at.join(".no_exist").join(commit).join(file).exists() {
                continue;
            }
            if path.is_symlink() {
                lacks.broken.push(path);
            } else {
                lacks.unknown.push(file);
            }
        }
        lacks
    }

    /// Where the content of that entity tag lies.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.at.join("blobs").join(etag)
    }

    /// The file whose lock whoever downloads that content holds.
    pub(super) fn lock(&self, etag: &str) -> Result<(File, PathBuf)> {
        files::create_folder(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        Ok((file, path))
    }

    /// Makes a file of a commit a link to its content, in place of any other.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        let folder = path.parent().unwrap_or(&self.at);
        files::create_folder(folder)?;
        // From snapshots/COMMIT, and from each folder below that.
        let parts = Path::new(file).components();
        let up = parts.filter(|part| matches!(part, Component::Normal(_)));
        let up: PathBuf = up.map(|_| "..").collect();
        let target = up.join("..").join("blobs").join(etag);
        let aside = folder.join(format!(".{etag}.{}.partial", std::process::id()));
        // Left by a process of the same number that was killed.
        let _ = std::fs::remove_file(&aside);
        let linked = symlink(&target, &aside).and_then(|()| std::fs::rename(&aside, &path));
        if linked.is_err() {
            let _ = std::fs::remove_file(&aside);
        }
        linked
            .and_then(|()| files::sync_folder(folder))
            .with_context(|| format!("linking {}", path.display()))
    }

    /// Notes that a commit has no such file.
    pub(super) fn mark_absent(&self, commit: &str, file: &str) -> Result<()> {
        let path = self.at.join(".no_exist").join(commit).join(file);
        if path.exists() {
            return Ok(());
        }
        files::write_whole(&path, b"")
    }

    /// Notes what a revision stands for; a commit stands for itself.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) || self.commit(revision).ok().flatten().as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.at.join("refs").join(revision);
        files::write_whole(&path, commit.as_bytes())
    }
}

/// The files that an index of weights names; `None` where there is none that can be read.
pub(super) fn shards(index: &Path) -> Option<BTreeSet<String>> {
    let value: Value = serde_json::from_slice(&std::fs::read(index).ok()?).ok()?;
    let map = value.get("weight_map")?.as_object()?;
    let shards = map.values().map(|file| file.as_str().map(str::to_owned));
    let shards: BTreeSet<String> = shards.collect::<Option<_>>()?;
    shards.iter().all(|shard| is_below(shard)).then_some(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cache(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder, Name) {
        let at = tempfile::tempdir().unwrap();
        let name = Name::model("org/name").unwrap();
        let cache = Cache {
            root: at.path().to_owned(),
        };
        let folder = cache.folder(&name);
        for (file, text) in files {
            let etag = format!("etag-of-{}", file.replace('/', "-"));
            files::write_whole(&folder.blob(&etag), text.as_bytes()).unwrap();
            folder.link(COMMIT, file, &etag).unwrap();
        }
        (at, folder, name)
    }

    #[test]
    fn a_link_leads_to_its_content_from_any_depth() {
        let (_at, folder, _) = cache(&[("a.json", "one"), ("b/c/d.parquet", "two")]);
        let read = |file: &str| std::fs::read_to_string(folder.snapshot(COMMIT).join(file));
        assert_eq!(read("a.json").unwrap(), "one");
        assert_eq!(read("b/c/d.parquet").unwrap(), "two");
        let link = std::fs::read_link(folder.snapshot(COMMIT).join("a.json")).unwrap();
        assert_eq!(link, Path::new("../../blobs/etag-of-a.json"));
    }

    #[test]
    fn what_a_snapshot_lacks_is_told_from_what_nobody_knows() {
        let index = r#"{"weight_map": {"x": "m-1.safetensors", "y": "m-2.safetensors"}}"#;
        let (_at, folder, name) = cache(&[
            ("config.json", "{}"),
            (INDEX, index),
            ("m-1.safetensors", ""),
            ("chat_template.jinja", ""),
        ]);
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            folder.mark_absent(COMMIT, file).unwrap();
        }
        std::fs::remove_file(folder.blob("etag-of-chat_template.jinja")).unwrap();
        let lacks = folder.lacks(&name, COMMIT);
        assert_eq!(lacks.needed, ["tokenizer.json", "m-2.safetensors"]);
        assert_eq!(lacks.unknown, ["generation_config.json"]);
        let broken = folder.snapshot(COMMIT).join("chat_template.jinja");
        assert_eq!(lacks.broken, [broken]);
        let file = Name::model("org/name/m-1.safetensors.gguf").unwrap();
        assert_eq!(folder.lacks(&file, COMMIT).needed.len(), 1);
    }

    #[test]
    fn a_revision_stands_for_what_was_written_last() {
        let (_at, folder, _) = cache(&[]);
        assert_eq!(folder.commit("main").unwrap(), None);
        folder.set_commit("refs/pr/1", COMMIT).unwrap();
        assert_eq!(folder.commit("refs/pr/1").unwrap().as_deref(), Some(COMMIT));
        assert_eq!(folder.commit(COMMIT).unwrap().as_deref(), Some(COMMIT));
        std::fs::write(folder.at.join("refs/main"), "no commit").unwrap();
        let refused = folder.commit("main").unwrap_err().to_string();
        assert!(refused.contains("refs/main holds no commit"), "{refused}");
    }

    #[test]
    fn repositories_are_listed_by_kind() {
        let (at, _, _) = cache(&[("config.json", "{}")]);
        std::fs::create_dir(at.path().join("datasets--a--b")).unwrap();
        let cache = Cache {
            root: at.path().to_owned(),
        };
        assert_eq!(cache.repositories(Kind::Model), ["org/name"]);
        assert_eq!(cache.repositories(Kind::DataSet), ["a/b"]);
    }
}
