//! Relative paths in what a definition inherits: they start at the folder of the file
//! that wrote them, and are written anew from the folder of the one that inherits.

use std::path::Path;

use toml::Value;

use crate::hub::Name;
use crate::tasks::BUILTIN_NORMS;

/// When a string under a key is a path.
#[derive(Clone, Copy, PartialEq)]
enum IsPath {
    Always,
    /// Where there is such a file or folder; it may also be a model's name, or any word.
    IfThere,
}

/// The keys that hold paths; `*` stands for any key.
const PATHS: [(&[&str], IsPath); 14] = [
    (&["base", "model"], IsPath::IfThere),
    (&["teacher", "base", "model"], IsPath::IfThere),
    (&["tasks", "norms"], IsPath::Always),
    (&["tasks", "data", "*"], IsPath::Always),
    (&["tasks", "data", "*", "path"], IsPath::Always),
    (&["teacher", "traces", "file"], IsPath::Always),
    (&["teacher", "demonstrations", "file"], IsPath::Always),
    (&["teacher", "sampler", "weights"], IsPath::Always),
    (&["teacher", "reward", "*", "file"], IsPath::IfThere),
    (&["teacher", "reward", "*", "argv"], IsPath::IfThere),
    (&["arm", "*", "demonstrations", "file"], IsPath::Always),
    (&["arm", "*", "sampler", "weights"], IsPath::Always),
    (&["arm", "*", "reward", "*", "file"], IsPath::IfThere),
    (&["arm", "*", "reward", "*", "argv"], IsPath::IfThere),
];

/// Writes the relative paths of a definition that lies in `folder` as they are from
/// another folder, from which that one is `way`.
pub(super) fn rebase(definition: &mut toml::Table, folder: &Path, way: &Path) {
    if !way.as_os_str().is_empty() {
        rebase_below(definition, &mut Vec::new(), folder, way);
    }
}

fn rebase_below(table: &mut toml::Table, above: &mut Vec<String>, folder: &Path, way: &Path) {
    for (key, value) in table {
        above.push(key.clone());
        if let Value::Table(table) = value {
            rebase_below(table, above, folder, way);
        } else if let Some(is_path) = is_path(above) {
            match value {
                Value::String(word) => rebase_word(word, is_path, folder, way),
                Value::Array(words) => {
                    for (index, word) in words.iter_mut().enumerate() {
                        if let Value::String(word) = word
                            // A program without a slash is looked up in PATH.
                            && (index > 0 || word.contains('/'))
                        {
                            rebase_word(word, is_path, folder, way);
                        }
                    }
                }
                _ => {}
            }
        }
        above.pop();
    }
}

fn is_path(key: &[String]) -> Option<IsPath> {
    let fits = |pattern: &[&str]| {
        let mut pairs = pattern.iter().zip(key);
        pattern.len() == key.len() && pairs.all(|(&part, key)| part == "*" || part == key)
    };
    let found = PATHS.iter().find(|(pattern, _)| fits(pattern));
    found.map(|(_, is_path)| *is_path)
}

fn rebase_word(word: &mut String, is_path: IsPath, folder: &Path, way: &Path) {
    if matches!(Name::data(Path::new(word)), Ok(Some(_)) | Err(_)) {
        return;
    }
    let at = folder.join(&*word);
    let is_there = is_path == IsPath::Always || at.exists();
    if is_there && !word.is_empty() && word != BUILTIN_NORMS && Path::new(word).is_relative() {
        *word = way.join(&*word).display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_from_the_other_folder_and_names_are_left() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model", "judge.py", "python3"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let rebased = |text: &str| {
            let mut table: toml::Table = toml::from_str(text).unwrap();
            rebase(&mut table, folder.path(), Path::new("../lab"));
            toml::to_string(&table).unwrap()
        };
        for (text, expected) in [
            ("base.model = 'model'", "base.model = '../lab/model'"),
            ("base.model = 'cached'", "base.model = 'cached'"),
            (
                "teacher.base.model = '/model'",
                "teacher.base.model = '/model'",
            ),
            ("tasks.norms = 'people'", "tasks.norms = '../lab/people'"),
            ("tasks.norms = 'builtin'", "tasks.norms = 'builtin'"),
            ("tasks.names = ['model']", "tasks.names = ['model']"),
            (
                "tasks.data.x = 'a.jsonl'",
                "tasks.data.x = '../lab/a.jsonl'",
            ),
            (
                "tasks.data.x.path = '../a'",
                "tasks.data.x.path = '../lab/../a'",
            ),
            (
                "teacher.traces.file = 'a'",
                "teacher.traces.file = '../lab/a'",
            ),
            (
                "teacher.traces.file = 'hf://datasets/a/b/c.parquet'",
                "teacher.traces.file = 'hf://datasets/a/b/c.parquet'",
            ),
            (
                "arm.x.sampler.weights = 'a'",
                "arm.x.sampler.weights = '../lab/a'",
            ),
            (
                "arm.x.reward.own = { argv = ['python3', 'judge.py', 'no.py'], file = 'judge.py' }",
                "arm.x.reward.own = { argv = ['python3', '../lab/judge.py', 'no.py'], file = '../lab/judge.py' }",
            ),
            (
                "arm.x.reward.own.argv = ['./judge.py']",
                "arm.x.reward.own.argv = ['../lab/./judge.py']",
            ),
            ("arm.x.reward.own = 1.0", "arm.x.reward.own = 1.0"),
        ] {
            let expected: toml::Table = toml::from_str(expected).unwrap();
            assert_eq!(rebased(text), toml::to_string(&expected).unwrap());
        }
    }
}
