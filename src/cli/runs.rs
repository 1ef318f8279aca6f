//! `qinglan runs`: the run directories there are, what each is, how two differ,
//! and their end.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table, presets};

use crate::error::{UserError, as_user_error};
use crate::evaluate::survey::Evaluated;
use crate::files::bytes;
use crate::messages;
use crate::runner::survey::{State, Survey};
use crate::sweep;

/// Arguments of `qinglan runs`.
#[derive(Args)]
pub(super) struct Runs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The runs and evaluations in a folder, and how far each is.
    List {
        /// Where to look.
        #[arg(value_name = "DIR", default_value = "runs")]
        folder: PathBuf,
    },
    /// One run: its parts and how far each is.
    Show {
        /// Run directory.
        run: PathBuf,
    },
    /// Where the definitions of two runs differ, key by key.
    Diff {
        /// Run directory.
        one: PathBuf,
        /// Run directory.
        other: PathBuf,
    },
    /// Remove a run directory with everything in it.
    Rm {
        /// Run directories.
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl Runs {
    pub(super) fn execute(self) -> Result<()> {
        match self.what {
            What::List { folder } => list(&folder),
            What::Show { run } => show(&Survey::of(&run)?),
            What::Diff { one, other } => {
                let lines = diff(
                    &Survey::of(&one)?.definition,
                    &Survey::of(&other)?.definition,
                );
                if lines.is_empty() {
                    println!("the definitions are the same");
                }
                for line in lines {
                    println!("{line}");
                }
                Ok(())
            }
            What::Rm { runs, yes } => remove(&runs, yes),
        }
    }
}

fn list(folder: &Path) -> Result<()> {
    // A sweep's runs lie one folder deeper.
    let jobs = folder.join(sweep::JOBS);
    let folder = if sweep::is_sweep(folder) && jobs.is_dir() {
        &jobs
    } else {
        folder
    };
    let mut rows: Vec<(PathBuf, [String; 5])> = Vec::new();
    for (place, survey) in as_user_error(Survey::all(folder))? {
        let row = match survey {
            Ok(survey) => [
                survey.state.word().to_owned(),
                format!("{} of {}", survey.done(), survey.parts.len()),
                survey.seeds.len().to_string(),
                size(survey.bytes()?),
                survey.title,
            ],
            Err(error) => [
                "unreadable".to_owned(),
                String::new(),
                String::new(),
                String::new(),
                format!("{error:#}").replace('\n', " "),
            ],
        };
        rows.push((place, row));
    }
    for evaluated in as_user_error(Evaluated::all(folder))? {
        let row = [
            evaluated.state.word().to_owned(),
            "evaluation".to_owned(),
            String::new(),
            size(bytes(&evaluated.folder)?),
            evaluated.title,
        ];
        rows.push((evaluated.folder, row));
    }
    if rows.is_empty() {
        println!("no runs in {}", folder.display());
        return Ok(());
    }
    rows.sort();
    let mut table = blank(&["run", "state", "parts", "seeds", "size", "title"], 2..5);
    for (place, row) in rows {
        table.add_row(std::iter::once(place.display().to_string()).chain(row));
    }
    println!("{table}");
    Ok(())
}

fn show(survey: &Survey) -> Result<()> {
    println!("{}", survey.title);
    let folder = survey.folder.display();
    let (done, parts) = (survey.done(), survey.parts.len());
    let size = size(survey.bytes()?);
    println!(
        "{folder}: {}, {done} of {parts} parts done, {size}",
        survey.state.word()
    );
    if survey.was_edited() {
        println!(
            "its definition.toml was edited after it began: what follows is of the edited one, and no longer what is trained"
        );
    }
    if survey.state == State::Stopped {
        // Paths in the copy that the run keeps start at the folder of the original.
        println!(
            "go on with it: qinglan run DEFINITION --out {folder} --resume, DEFINITION being the file that it was started with"
        );
    }
    let mut table = blank(&["arm", "seed", "updates", "state"], 1..3);
    for part in &survey.parts {
        let updates = match (part.updates, part.of) {
            (Some(updates), Some(of)) => format!("{updates} of {of}"),
            (Some(updates), None) => updates.to_string(),
            (None, _) => "none".to_owned(),
        };
        let state = match (part.done, part.updates, survey.state) {
            (true, ..) if !part.taken.is_empty() => {
                format!("done, {} from the store", part.taken.join(", "))
            }
            (true, ..) => "done".to_owned(),
            (false, None, _) => "not begun".to_owned(),
            (false, Some(_), State::GoingOn) => "going on".to_owned(),
            (false, Some(_), _) => "stopped".to_owned(),
        };
        let seed = part.seed.map_or_else(String::new, |seed| seed.to_string());
        table.add_row([part.arm.clone(), seed, updates, state]);
    }
    println!("\n{table}");
    Ok(())
}

/// One line a key that differs, as `key: one -> other`, in the order of the
/// first and then of what only the second has.
fn diff(one: &toml::Table, other: &toml::Table) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", one, other, &mut lines);
    lines
}

fn compare(at: &str, one: &toml::Table, other: &toml::Table, lines: &mut Vec<String>) {
    let only_other = other.keys().filter(|key| !one.contains_key(*key));
    for key in one.keys().chain(only_other) {
        let path = if at.is_empty() {
            key.clone()
        } else {
            format!("{at}.{key}")
        };
        match (one.get(key), other.get(key)) {
            (Some(toml::Value::Table(one)), Some(toml::Value::Table(other))) => {
                compare(&path, one, other, lines);
            }
            (one, other) if one == other => {}
            (one, other) => lines.push(format!("{path}: {} -> {}", value(one), value(other))),
        }
    }
}

/// A value in one line; a long text by its beginning.
fn value(value: Option<&toml::Value>) -> String {
    const SHOWN: usize = 60;
    let Some(value) = value else {
        return "(absent)".to_owned();
    };
    let text = value.to_string().replace('\n', " ");
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain("…".chars()).collect()
}

/// A run directory that may be removed: nobody works on it, and it holds nothing but
/// what runs write.
fn removable(run: &Path) -> Result<Survey> {
    let survey = Survey::of(run)?;
    let place = run.display();
    if survey.state == State::GoingOn {
        bail!(UserError(format!(
            "a process is working on the run in {place}; stop it first"
        )));
    }
    // A link is not the directory it leads to.
    if run.is_symlink() {
        bail!(UserError(format!(
            "{place} is a link; name the directory itself"
        )));
    }
    let entries = std::fs::read_dir(run).with_context(|| format!("reading {place}"))?;
    for entry in entries {
        let name = entry
            .with_context(|| format!("reading {place}"))?
            .file_name();
        let name = name.to_string_lossy();
        if !WRITTEN.contains(&&*name) && !name.starts_with('.') {
            bail!(UserError(format!(
                "{place} holds {name}, which no run writes: move it away, or remove the directory yourself"
            )));
        }
    }
    Ok(survey)
}

/// Everything that a run leaves at the top of its directory.
const WRITTEN: [&str; 17] = [
    "arms",
    "comparison.csv",
    "comparison.json",
    "comparison.md",
    "comparison.tex",
    "completions",
    "definition.toml",
    "figures",
    "formats.json",
    "inputs",
    "inputs.json",
    "items.json",
    "manifest.json",
    "questions.json",
    "ranks",
    "report.html",
    "teacher",
];

/// Removes run directories once the user agrees. All are looked at before the first
/// is touched.
fn remove(runs: &[PathBuf], yes: bool) -> Result<()> {
    let surveys: Vec<Survey> = runs
        .iter()
        .map(|run| removable(run))
        .collect::<Result<_>>()?;
    for survey in surveys {
        let place = survey.folder.display();
        if !yes && !agreed(&survey)? {
            println!("{place} stays");
            continue;
        }
        std::fs::remove_dir_all(&survey.folder).with_context(|| format!("removing {place}"))?;
        println!("{place} is removed");
    }
    Ok(())
}

fn agreed(survey: &Survey) -> Result<bool> {
    let folder = survey.folder.display();
    if !std::io::stdin().is_terminal() {
        bail!(UserError(format!(
            "{folder} is not removed: nobody is there to ask; say --yes"
        )));
    }
    let (state, size) = (survey.state.word(), size(survey.bytes()?));
    messages::write(&format!(
        "remove {folder} ({state}, {size}) with everything in it? [y/N] "
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=999_999 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..=999_999_999 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A table without lines; `numbers` are columns aligned to the right.
pub(super) fn blank(header: &[&str], numbers: std::ops::Range<usize>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(header);
    for index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_where_one_of_several_is_not_a_run_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = |name: &str| {
            let run = folder.path().join(name);
            std::fs::create_dir_all(run.join("arms")).expect("a folder");
            std::fs::write(run.join("definition.toml"), "a = 1").expect("a file");
            run
        };
        let (one, other) = (run("one"), run("other"));
        std::fs::write(other.join("thesis.txt"), "mine").expect("a file");
        let both = [one.clone(), other.clone()];
        let refused = remove(&both, true).expect_err("it holds more").to_string();
        assert!(refused.contains("holds thesis.txt"), "{refused}");
        assert!(one.exists() && other.exists());
        std::fs::remove_file(other.join("thesis.txt")).expect("there");
        remove(&both, true).expect("two runs");
        assert!(!one.exists() && !other.exists());
    }

    #[test]
    fn definitions_are_compared_key_by_key() {
        let one = "a = 1\nb = [1, 2]\n[c]\nd = 'x'\ne = 2\n";
        let other = "a = 1\nb = [1]\n[c]\nd = 'y'\n[f]\ng = true\n";
        let read = |text: &str| toml::from_str(text).expect("the test's own TOML is valid");
        let lines = diff(&read(one), &read(other));
        let expected = [
            "b: [1, 2] -> [1]",
            "c.d: \"x\" -> \"y\"",
            "c.e: 2 -> (absent)",
            "f: (absent) -> { g = true }",
        ];
        assert_eq!(lines, expected);
        assert!(diff(&read(one), &read(one)).is_empty());
        let long = toml::Value::String("é".repeat(100));
        assert_eq!(value(Some(&long)).chars().count(), 61);
    }

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!(size(0), "0 kB");
        assert_eq!(size(1), "1 kB");
        assert_eq!(size(1_500_000), "1.5 MB");
        assert_eq!(size(2_000_000_000), "2.0 GB");
    }
}
