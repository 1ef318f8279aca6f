//! README.md shows a recorded result as it is: its tables line by line, and
//! pictures that are there. `make readme` writes the block again.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between two pieces of a text.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let after = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start}"))
        .1;
    after.split_once(end).map_or(after, |found| found.0)
}

/// A section of the recorded tables.
fn section<'a>(markdown: &'a str, title: &str) -> &'a str {
    between(markdown, &format!("\n## {title}\n"), "\n## ").trim()
}

#[test]
fn the_readme_shows_a_recorded_result_as_it_is() {
    let readme = read("README.md");
    let block = between(&readme, "<!-- results -->", "<!-- end of results -->");
    let folder = between(block, "what they mean: [", "]");
    assert!(folder.starts_with("docs/results/"), "{folder}");
    let tables = read(&format!("{folder}/comparison.md"));
    for title in ["Arms", "Questions"] {
        let section = section(&tables, title);
        assert!(section.lines().count() > 1, "{title} is empty");
        assert!(
            block.contains(section),
            "README.md does not show {title} of {folder} as it is; run make readme"
        );
    }
    let record = read(&format!("{folder}/README.md"));
    let title = record
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("# ");
    assert!(
        block.contains(title),
        "README.md has another title than {folder}"
    );
    let date = between(&record, "| date | ", " |");
    assert!(
        block.contains(&format!("run on {date}")),
        "the result is of {date}"
    );
    let pictures: Vec<&str> = block
        .split("](")
        .skip(1)
        .map(|rest| between(rest, "", ")"))
        .collect();
    assert!(pictures.len() > 2);
    for picture in pictures {
        assert!(root().join(picture).is_file(), "{picture} is not there");
    }
}
