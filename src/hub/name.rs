//! The names of models and data files on the hub.

use std::fmt;
use std::path::{Component, Path};

use anyhow::{Context, Result, ensure};

/// What the names of data files begin with.
const DATA: &str = "hf://datasets/";

/// What the names of the models end with that are one file.
const GGUF: &str = ".gguf";

/// What a repository of the hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A model.
    Model,
    /// A data set.
    DataSet,
}

impl Kind {
    /// What people call it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::DataSet => "data set",
        }
    }

    /// What its folders in the cache, and its addresses on the hub, call it.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::DataSet => "datasets",
        }
    }
}

/// A model or a data file as a user names it.
///
/// Worked examples: `Qwen/Qwen2.5-0.5B`; `Qwen/Qwen2.5-0.5B@refs/pr/3`;
/// `ORG/NAME/model-q4_k_m.gguf`; `hf://datasets/openai/gsm8k@e53f048/main/test.parquet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// What the repository holds.
    pub(crate) kind: Kind,
    /// `ORG/NAME`.
    pub(crate) repo: String,
    /// A branch, a tag or a commit; the hub's `main` where none is named.
    pub(crate) revision: Option<String>,
    /// One file of the repository: a GGUF file, or a data file. `None` of a model that
    /// is a folder.
    pub(crate) file: Option<String>,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::DataSet {
            f.write_str(DATA)?;
        }
        f.write_str(&self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.file {
            Some(file) => write!(f, "/{file}"),
            None => Ok(()),
        }
    }
}

impl Name {
    /// A model's name, `ORG/NAME[@REVISION][/FILE.gguf]`; `None` of any other text.
    pub(crate) fn model(text: &str) -> Option<Self> {
        let (repo, mut revision, mut file) = parts(text)?;
        if file.is_some_and(|file| file.strip_suffix(GGUF).is_none()) {
            // The name of a branch may have slashes.
            revision = Some(text.split_once('@')?.1);
            file = None;
        }
        let name = Self {
            kind: Kind::Model,
            repo,
            revision: revision.map(str::to_owned),
            file: file.map(str::to_owned),
        };
        name.is_sound().then_some(name)
    }

    /// The name of a data file, `hf://datasets/ORG/NAME[@REVISION]/PATH`; `None` of a text
    /// that does not begin so.
    ///
    /// # Errors
    ///
    /// What begins so and has another form.
    pub(crate) fn data(path: &Path) -> Result<Option<Self>> {
        let Some(rest) = path.to_str().and_then(|text| text.strip_prefix(DATA)) else {
            return Ok(None);
        };
        let form = || {
            format!(
                "{}: a data file on the hub is named {DATA}ORG/NAME/PATH.parquet, or with a revision \
                 {DATA}ORG/NAME@REVISION/PATH.parquet",
                path.display()
            )
        };
        let (repo, revision, file) = parts(rest).with_context(form)?;
        let name = Self {
            kind: Kind::DataSet,
            repo,
            revision: revision.map(str::to_owned),
            file: Some(file.with_context(form)?.to_owned()),
        };
        ensure!(name.is_sound(), form());
        Ok(Some(name))
    }

    /// The same at another revision.
    pub(crate) fn at(&self, revision: &str) -> Self {
        Self {
            revision: Some(revision.to_owned()),
            ..self.clone()
        }
    }

    /// The revision, `main` where none is named.
    pub(crate) fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// What a model is called in records: the repository's name, or the file's.
    pub(crate) fn short(&self) -> &str {
        let (path, ending) = match &self.file {
            Some(file) => (file.as_str(), GGUF),
            None => (self.repo.as_str(), ""),
        };
        let last = path.rsplit('/').next().unwrap_or(path);
        last.strip_suffix(ending).unwrap_or(last)
    }

    /// Whether its parts can be put into paths and addresses.
    fn is_sound(&self) -> bool {
        let revision = self.revision.as_deref();
        self.repo.split('/').all(is_word)
            && revision.is_none_or(|revision| revision.split('/').all(is_word))
            && self.file.as_deref().is_none_or(is_below)
    }
}

/// Repository, revision and file of a name.
fn parts(text: &str) -> Option<(String, Option<&str>, Option<&str>)> {
    let (organisation, rest) = text.split_once('/')?;
    let end = rest.find(['@', '/']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let (revision, file) = match rest.strip_prefix('@') {
        None => (None, rest.strip_prefix('/')),
        Some(rest) => {
            // refs/pr/N and refs/convert/parquet are the revisions that have slashes.
            let slashes = if rest.starts_with("refs/") { 2 } else { 0 };
            match rest.match_indices('/').nth(slashes) {
                None => (Some(rest), None),
                Some((at, _)) => (Some(&rest[..at]), Some(&rest[at + 1..])),
            }
        }
    };
    Some((format!("{organisation}/{name}"), revision, file))
}

/// Whether a text is a part of a repository's or a revision's name.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['.', '-'])
        && !text.contains("..")
        && !text.contains("--")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether a path leads to something below where it starts.
pub(super) fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !path.ends_with('/')
        && !path.contains(['\\', '\0', '\n'])
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Whether a revision is a commit, which never moves.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_with_revision_and_file_or_without() {
        for (text, repo, revision, file) in [
            ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B", None, None),
            ("a/b@v1.0", "a/b", Some("v1.0"), None),
            ("a/b@refs/pr/3", "a/b", Some("refs/pr/3"), None),
            ("a/b@feature/x", "a/b", Some("feature/x"), None),
            ("a/b/c.gguf", "a/b", None, Some("c.gguf")),
            ("a/b@v1/q4/c.gguf", "a/b", Some("v1"), Some("q4/c.gguf")),
        ] {
            let name = Name::model(text).unwrap();
            assert_eq!(name.repo, repo, "{text}");
            assert_eq!(name.revision.as_deref(), revision, "{text}");
            assert_eq!(name.file.as_deref(), file, "{text}");
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn paths_and_other_words_are_no_models() {
        for text in [
            "",
            "gpt2",
            "/a/b",
            "./a",
            "../a",
            "~/a",
            "a/",
            "a/b/c",
            "a/b@",
            "a/b@../c",
            "a/../b",
            "a b/c",
            "a/b/../c.gguf",
            "a--b/c",
            "a/b@x/.git/y",
        ] {
            assert_eq!(Name::model(text), None, "{text}");
        }
    }

    #[test]
    fn data_files_have_a_prefix_and_a_path() {
        let name = |text: &str| Name::data(Path::new(text));
        let text = "hf://datasets/a/b@refs/convert/parquet/default/train/0.parquet";
        let found = name(text).unwrap().unwrap();
        assert_eq!(found.revision.as_deref(), Some("refs/convert/parquet"));
        assert_eq!(found.file.as_deref(), Some("default/train/0.parquet"));
        assert_eq!(found.to_string(), text);
        assert_eq!(name("a/b/c.parquet").unwrap(), None);
        for wrong in ["a", "a/b", "a/b@v", "a/b/../c", "a/b/"] {
            let refused = name(&format!("{DATA}{wrong}")).unwrap_err().to_string();
            assert!(refused.contains("ORG/NAME/PATH"), "{refused}");
        }
    }

    #[test]
    fn records_call_a_model_by_the_end_of_its_name() {
        for (text, short) in [("a/B-1.5", "B-1.5"), ("a/b@v/c/D.gguf", "D")] {
            assert_eq!(Name::model(text).unwrap().short(), short);
        }
    }
}
