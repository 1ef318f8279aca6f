//! The files beside the page: what it has no room for, to which it links.
//!
//! An item's file holds all of its completions as plain text, for reading. It
//! begins with the mark of UTF-8, without which a browser that opens it from
//! a disk would guess at its letters. The records themselves are in the run's
//! Parquet files; nothing here is meant for a program.

use std::fmt::Write as _;

use crate::comparison::ItemCompletions;

/// A file beside the page: its path from there and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) content: String,
}

/// Letters of an item's name that its file keeps.
const NAME: usize = 40;

/// Where the completions of an item are. The number keeps the paths apart.
pub(super) fn path(at: usize, item: &ItemCompletions) -> String {
    let clean = |name: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        name.chars().take(NAME).map(plain).collect()
    };
    format!(
        "completions/{:04}-{}-{}.txt",
        at + 1,
        clean(&item.task),
        clean(&item.item_id)
    )
}

/// All completions of an item.
pub(super) fn file(at: usize, item: &ItemCompletions, arms: &[&str]) -> File {
    let mut out = format!(
        "\u{feff}{} / {}\n\n{}\n\n",
        item.task, item.item_id, item.prompt
    );
    let _ = writeln!(out, "right answer: {}", item.answer);
    if let Some(ms) = item.human_ms {
        let _ = writeln!(out, "human time: {ms:.0} ms on average");
    }
    if let Some(cluster) = &item.cluster {
        let _ = writeln!(out, "cluster: {cluster}");
    }
    for (name, value) in &item.covariates {
        let _ = writeln!(out, "{name}: {value}");
    }
    for arm in arms {
        for completion in item.arms.get(*arm).into_iter().flatten() {
            let seed = completion
                .seed
                .map_or(String::new(), |seed| format!(", seed {seed}"));
            let grade = match completion.correct {
                Some(true) => "right",
                Some(false) => "wrong",
                None => "not graded",
            };
            let cut_off = if completion.truncated {
                ", cut off"
            } else {
                ""
            };
            let _ = write!(
                out,
                "\n=== {arm}{seed}, sample {}, {grade}{cut_off}, {} reasoning tokens ===\n{}\n",
                completion.sample, completion.reasoning_tokens, completion.text
            );
        }
    }
    File {
        path: path(at, item),
        content: out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_file_is_named_in_plain_letters_and_holds_every_completion() {
        let mut item = fixture::items().remove(0);
        item.item_id = "../\u{5e9} \"x\"".to_owned();
        let file = file(6, &item, &["base", "sft", "grpo"]);
        assert_eq!(
            file.path,
            "completions/0007-alphabet-arithmetic-------x-.txt"
        );
        assert!(file.content.starts_with('\u{feff}'));
        for completion in item.arms.values().flatten() {
            assert!(file.content.contains(&completion.text));
        }
        assert!(file.content.contains("cluster: A+3\naddend: 3\n"));
        let first = "=== base, seed 1, sample 0, wrong, 0 reasoning tokens ===\nfalse\n";
        assert!(file.content.contains(first), "{}", file.content);
    }
}
