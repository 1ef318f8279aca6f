//! Entries and scores of `reasoning_gym`, most of them with a small package of the same
//! form in its place. What needs python3 is skipped, in a line, where there is none.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rewards::external::gym::{self, Entry, Gym};
use rewards::{Judge, RewardError};
use serde_json::{Map, Value, json};

/// A package with the names of `reasoning_gym` that the lab uses.
const PACKAGE: &str = include_str!("data/fake_gym.py");

/// A Python whose `reasoning_gym` is the small one. The last one that was opened
/// scores, so that one test at a time has it.
struct Fake {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

fn fake() -> Option<Fake> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let status = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("skipped: there is no python3");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let package = folder.path().join("reasoning_gym");
    std::fs::create_dir(&package).expect("made");
    std::fs::write(package.join("factory.py"), PACKAGE).expect("written");
    let names = "from .factory import create_dataset, get_score_answer_fn\n";
    std::fs::write(package.join("__init__.py"), names).expect("written");
    let python = folder.path().join("python");
    let script = format!(
        "#!/bin/sh\nPYTHONPATH='{}' exec python3 \"$@\"\n",
        folder.path().display()
    );
    std::fs::write(&python, script).expect("written");
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).expect("executable");
    Some(Fake {
        folder,
        _alone: alone,
    })
}

impl Fake {
    fn open(&self, name: &str, settings: &str) -> Result<Gym, RewardError> {
        let settings = toml::from_str(settings).expect("valid TOML");
        Gym::open(name, &settings, "./python", self.folder.path())
    }

    fn refusal(&self, name: &str, settings: &str) -> String {
        match self.open(name, settings) {
            Ok(_) => panic!("{name} with {settings} was opened"),
            Err(error) => error.to_string(),
        }
    }
}

/// An error with its causes.
fn text(error: &RewardError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[test]
fn an_entry_is_the_package_s_own_and_has_its_settings() {
    let Some(fake) = fake() else { return };
    let sums = fake.open("sums", "terms = 3").expect("it is there");
    let entry = sums.item(40, 2).expect("drawn");
    // Of the small package's rule: seed + index, as often as there are terms.
    assert_eq!(entry.question, "42 + 42 + 42");
    assert_eq!(entry.answer, "126");
    assert_eq!(entry.entry["metadata"]["source_dataset"], "sums");
    assert_eq!(entry.entry["question"], entry.question.as_str());
    // What is no text is written as JSON; what is missing is empty.
    let plain = fake.open("plain", "").expect("it is there");
    let answers = plain.items(0, 0..2).expect("drawn");
    assert_eq!(answers[0].answer, "");
    assert_eq!(answers[1].answer, "1");
}

#[test]
fn an_entry_depends_on_nothing_but_its_seed_and_its_index() {
    let Some(fake) = fake() else { return };
    // It makes all its entries at once, draws from the generator that all of Python
    // shares, and orders a set of strings.
    let shared = fake.open("shared", "").expect("it is there");
    let forth = shared.items(7, 0..70).expect("drawn");
    assert_eq!(forth.len(), 70);
    for index in (0..70).rev() {
        let entry = shared.item(7, index).expect("drawn");
        assert_eq!(
            entry,
            forth[usize::try_from(index).expect("small")],
            "{index}"
        );
        shared.item(8, index / 2).expect("drawn");
    }
    let other = fake.folder.path().join("other");
    std::fs::copy(fake.folder.path().join("python"), &other).expect("copied");
    let again = Gym::open("shared", &toml::Table::new(), "./other", fake.folder.path());
    let again = again.expect("another process").items(7, 0..70);
    assert_eq!(again.expect("drawn"), forth);
}

#[test]
fn there_are_more_entries_than_a_data_set_makes_at_once() {
    let Some(fake) = fake() else { return };
    let shared = fake.open("shared", "").expect("it is there");
    let across = shared.items(7, 498..502).expect("drawn");
    let of = |index: usize| across[index].entry["metadata"]["index"].clone();
    assert_eq!(
        [of(0), of(1), of(2), of(3)],
        [498, 499, 0, 1].map(Value::from)
    );
    let first = shared.items(7, 0..2).expect("drawn");
    assert_ne!(across[2..], first[..]);
    assert_eq!(shared.item(7, 500).expect("drawn"), across[2]);
    assert!(shared.items(7, 3..3).expect("none").is_empty());
    shared
        .item(u64::MAX, 10_000_000)
        .expect("any seed, any index");
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    let Some(fake) = fake() else { return };
    let message = fake.refusal("sum", "");
    assert!(message.contains("`sum`"), "{message}");
    assert!(message.contains("did you mean `sums`?"), "{message}");
    assert!(message.contains("`plain`"), "{message}");
    let message = fake.refusal("sums", "term = 3");
    assert!(
        message.contains("no setting `term` (did you mean `terms`?)"),
        "{message}"
    );
    assert!(message.contains("it has `terms`, `least`"), "{message}");
    for own in ["seed = 1", "size = 3"] {
        let message = fake.refusal("sums", own);
        assert!(message.contains("given by the lab"), "{message}");
    }
    // Settings that the data set itself refuses.
    let message = fake.refusal("sums", "terms = 0");
    assert!(message.contains("there must be a term"), "{message}");
    let message = fake.refusal("sums", "terms = 'three'");
    assert!(
        message.contains("`sums`") && message.contains("three"),
        "{message}"
    );
}

#[test]
fn a_python_that_is_missing_or_lacks_the_package_says_what_to_do() {
    let Some(fake) = fake() else { return };
    let script = "#!/bin/sh\nexec python3 -I -S \"$@\"\n";
    let bare = fake.folder.path().join("bare");
    std::fs::write(&bare, script).expect("written");
    std::fs::set_permissions(&bare, PermissionsExt::from_mode(0o755)).expect("executable");
    for (interpreter, says) in [
        ("./bare", "pip install reasoning-gym"),
        ("./no", "cannot start"),
    ] {
        let opened = Gym::open("sums", &toml::Table::new(), interpreter, fake.folder.path());
        let error = opened.expect_err(interpreter);
        assert!(!error.is_failure(), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn an_entry_that_cannot_be_drawn_is_named() {
    let Some(fake) = fake() else { return };
    for (name, says) in [
        ("raises", "ValueError: the eleventh"),
        ("unwritable", "not JSON serializable"),
        ("dies", "a last word"),
        ("exits", "exit status: 3"),
    ] {
        let gym = fake.open(name, "").expect("its first entry is fine");
        assert_eq!(gym.items(5, 0..10).expect("these too").len(), 10, "{name}");
        let error = gym.items(5, 0..40).expect_err(name);
        // A signal may have come from outside.
        assert_eq!(error.is_failure(), name == "dies", "{error}");
        let message = text(&error);
        assert!(message.contains(&format!("`{name}`")), "{message}");
        assert!(message.contains("seed 5 and index 10 "), "{message}");
        assert!(message.contains(says), "{message}");
        assert!(message.contains("leave the data set out"), "{message}");
        // The processes are as good as new.
        assert_eq!(gym.items(5, 0..10).expect("again").len(), 10, "{name}");
    }
}

#[test]
fn an_answer_is_right_where_the_package_gives_it_1() {
    let Some(fake) = fake() else { return };
    let sums = fake.open("sums", "").expect("it is there");
    let entry = sums.item(3, 1).expect("drawn");
    assert_eq!(entry.answer, "8");
    let score = |answer: &str| gym::score(&entry.entry, answer);
    assert_eq!(score("8").expect("scored"), Some(1.0));
    assert_eq!(score("9").expect("scored"), Some(0.25));
    // It fails over this one.
    assert_eq!(score("raise").expect("scored"), None);

    let columns: Map<String, Value> = [("entry".to_owned(), entry.entry.clone().into())]
        .into_iter()
        .collect();
    let judge = |completion: &str| {
        let judged = Judge::ReasoningGym.judge(&entry.answer, Some(&columns), completion);
        judged.expect("judged")
    };
    assert_eq!(judge("<think> 4 + 4 </think> 8"), Some(true));
    assert_eq!(judge("So it is.\n**Answer: 8.**"), Some(true));
    // What is within brackets is another answer.
    assert_eq!(judge("Answer: [8]"), Some(false));
    assert_eq!(judge("<think> 8 </think> 9"), Some(false));
    assert_eq!(judge("<think> 8"), Some(false));
    assert_eq!(judge("raise"), Some(false));
    // Right answers that the package knows by their properties only.
    let judged = Judge::ReasoningGym.judge("", Some(&columns), "8");
    assert_eq!(judged.expect("judged"), Some(true));
}

#[test]
fn what_is_no_entry_or_ends_the_process_is_an_error() {
    let Some(fake) = fake() else { return };
    let sums = fake.open("sums", "").expect("it is there");
    let entry = sums.item(3, 1).expect("drawn").entry;
    let mut other = entry.clone();
    other["metadata"] = json!({});
    let error = gym::score(&other, "8")
        .expect_err("whose is it?")
        .to_string();
    assert!(error.contains("`source_dataset`"), "{error}");
    let error = gym::score(&entry, "exit").expect_err("it ended");
    let message = text(&error);
    assert!(
        message.contains("\"exit\"") && message.contains("exit status: 4"),
        "{message}"
    );
    assert_eq!(gym::score(&entry, "8").expect("scored"), Some(1.0));
}

/// Runs where `QINGLAN_REASONING_GYM` names a Python that has the package.
#[test]
fn the_package_s_own_entries_are_drawn_and_scored() {
    let Ok(python) = std::env::var("QINGLAN_REASONING_GYM") else {
        println!("skipped: QINGLAN_REASONING_GYM names no Python with reasoning_gym");
        return;
    };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let open = |name: &str, settings: &str| {
        let settings = toml::from_str(settings).expect("valid TOML");
        Gym::open(name, &settings, &python, Path::new("."))
    };
    let error = open("chain_sums", "")
        .expect_err("no such name")
        .to_string();
    assert!(error.contains("did you mean `chain_sum`"), "{error}");
    let error = open("chain_sum", "min_terms = 9").expect_err("fewer at most");
    assert!(
        error.to_string().contains("max_terms must be >= min_terms"),
        "{error}"
    );
    let listing = "from reasoning_gym.factory import DATASETS; print(*sorted(DATASETS))";
    let listed = Command::new(&python).args(["-c", listing]).output();
    let listed = String::from_utf8(listed.expect("it runs").stdout).expect("UTF-8");
    // It has no entries without settings of its own.
    let names = listed
        .split_whitespace()
        .filter(|name| *name != "composite");
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 100, "{names:?}");
    let drawn: Vec<Vec<Entry>> = (names.iter())
        .map(|name| {
            open(name, "")
                .and_then(|gym| gym.items(11, 0..4))
                .expect(name)
        })
        .collect();

    // Other processes, in the opposite order.
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("python");
    let script = format!("#!/bin/sh\nexec '{python}' \"$@\"\n");
    std::fs::write(&other, script).expect("written");
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o755)).expect("executable");
    let (mut unlike, mut unknown, mut lenient) = (Vec::new(), Vec::new(), Vec::new());
    let mut entries = 0;
    for (name, forth) in names.iter().zip(&drawn).rev() {
        let gym = Gym::open(name, &toml::Table::new(), "./python", folder.path()).expect(name);
        for (index, entry) in forth.iter().enumerate().rev() {
            entries += 1;
            if gym.item(11, index as u64).expect(name) != *entry {
                unlike.push(format!("{name} {index}"));
            }
            let wrong = gym::score(&entry.entry, "no such answer").expect(name);
            if wrong.is_some_and(|score| score >= 1.0) {
                lenient.push(*name);
            }
            if entry.answer.is_empty() {
                unknown.push(*name);
                continue;
            }
            let score = gym::score(&entry.entry, &entry.answer).expect(name);
            assert_eq!(score, Some(1.0), "{name}: {}", entry.question);
            let columns = Map::from_iter([("entry".to_owned(), entry.entry.clone().into())]);
            for completion in [
                format!("<think> hm </think> {}", entry.answer),
                format!("So it is <answer>\n{}\n</answer>.", entry.answer),
            ] {
                let judged = Judge::ReasoningGym.judge(&entry.answer, Some(&columns), &completion);
                assert_eq!(judged.expect(name), Some(true), "{name}: {completion}");
            }
        }
    }
    unknown.dedup();
    lenient.dedup();
    println!(
        "reasoning_gym: {} data sets, {entries} entries, {} unlike in other processes; \
         {} data sets have no answer of their own: {}; {} take `no such answer` for right: {}",
        names.len(),
        unlike.len(),
        unknown.len(),
        unknown.join(", "),
        lenient.len(),
        lenient.join(", ")
    );
    assert!(unlike.is_empty(), "{unlike:?}");
}
