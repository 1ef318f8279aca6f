//! Each way in which a folder can be wrong; and the real folders, where they are.

use std::fs;

use super::*;
use crate::norms::Window;

const ITEMS: &str = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy\n";
const TRIALS: &str = "task,item_id,subject,rt_ms,correct,repeat\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(items: &str, trials: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("items.csv"), format!("{ITEMS}{items}")).expect("written");
        if !trials.is_empty() {
            fs::write(
                folder.path().join("trials.csv"),
                format!("{TRIALS}{trials}"),
            )
            .expect("written");
        }
        Self(folder)
    }

    fn error(&self) -> String {
        let message = Norms::read(self.0.path(), &[])
            .expect_err("refused")
            .to_string();
        message.replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn empty_fields_are_unknown() {
    let folder = Folder::new(
        "game24,1 1 4 6,1 1 4 6,,rank=1,,4670.0,,0.992\nt,007,\"a, b\",true,c,65,900,6.7,1\n",
        "",
    );
    let norms = Norms::read(folder.0.path(), &[]).expect("read");
    let puzzle = norms.item("game24", "1 1 4 6").expect("an item");
    assert_eq!(
        (puzzle.n, puzzle.mean_log_rt, puzzle.answer.as_str()),
        (None, None, "")
    );
    assert!((puzzle.human_cost().expect("a time") - 4670f64.ln()).abs() < 1e-12);
    let item = norms.item("t", "007").expect("an item");
    assert_eq!(
        (item.prompt.as_str(), item.mean_log_rt),
        ("a, b", Some(6.7))
    );
    assert!(norms.ceiling("t").is_none());
}

/// Reads an `items.csv` with the optional columns `cluster`, `x_size` and `x_tie`.
fn with_columns(rows: &str) -> Folder {
    let folder = Folder::new("", "");
    let header = ITEMS.replace('\n', ",cluster,x_size,x_tie\n");
    fs::write(folder.0.path().join("items.csv"), format!("{header}{rows}")).expect("written");
    folder
}

#[test]
fn clusters_and_covariates_are_read_and_an_empty_one_is_lacking() {
    let folder = with_columns("t,i,p,x,,,900,,1, c ,13,0\nt,j,p,x,,,800,,1,,-2.5e1,\n");
    let norms = Norms::read(folder.0.path(), &[]).expect("read");
    let [one, other] = norms.items("t") else {
        panic!("two items");
    };
    assert_eq!(one.cluster.as_deref(), Some("c"));
    let covariates = [("size".to_owned(), 13.0), ("tie".to_owned(), 0.0)];
    assert_eq!(one.covariates, covariates.into());
    assert_eq!(other.cluster, None);
    assert_eq!(other.covariates, [("size".to_owned(), -25.0)].into());
}

#[test]
fn a_covariate_that_is_no_finite_number_is_named_by_file_line_and_column() {
    for value in ["big", "NaN", "inf", "1e999", "NA"] {
        let message = with_columns(&format!(
            "t,i,p,x,,,900,,1,,1,0\nt,j,p,x,,,800,,1,,{value},0\n"
        ))
        .error();
        let told = format!("items.csv, line 3, column `x_size`: `{value}` is not a finite number");
        assert!(message.starts_with(&told), "{message}");
    }
}

#[test]
fn optional_columns_in_another_spelling_are_refused() {
    for (column, meant) in [
        ("Cluster", "cluster"),
        ("X_size", "x_size"),
        (" x_size", "x_size"),
    ] {
        let folder = Folder::new("", "");
        let header = ITEMS.replace('\n', &format!(",{column}\n"));
        let rows = format!("{header}t,i,p,x,,,900,,1,3\n");
        fs::write(folder.0.path().join("items.csv"), rows).expect("written");
        let message = folder.error();
        assert!(
            message.contains(&format!("write it as `{meant}`")),
            "{message}"
        );
    }
}

#[test]
fn the_fixture_of_the_statistics_has_pairs_and_covariates() {
    let Some(folder) = human() else { return };
    let folder = folder.join("../fixtures/statistics");
    if !folder.is_dir() {
        println!("skipped: no fixture at ../shared/fixtures/statistics");
        return;
    }
    let norms = Norms::read(&folder, &[]).expect("read");
    let item = norms.item("words", "words-0-1").expect("an item");
    assert_eq!(item.cluster.as_deref(), Some("pair-0"));
    let covariates = [("size".to_owned(), 3.0), ("tie".to_owned(), 1.0)];
    assert_eq!(item.covariates, covariates.into());
    for task in ["digits", "words"] {
        let items = norms.items(task);
        assert!(
            items
                .iter()
                .all(|item| item.cluster.is_some() && item.covariates.len() == 2)
        );
    }
}

#[test]
fn only_requested_tasks_are_returned() {
    let folder = Folder::new("a,i,p,x,,,900,,\nb,i,p,x,,,900,,\n", "b,i,s,900,1,0\n");
    let norms = Norms::read(folder.0.path(), &["b".into(), "absent".into()]).expect("read");
    assert_eq!(norms.tasks().into_iter().collect::<Vec<_>>(), ["b"]);
    assert_eq!(norms.trials("b").len(), 1);
    let message = Norms::read(folder.0.path(), &["absent".into()])
        .expect_err("refused")
        .to_string();
    assert!(
        message.contains("no norms of absent; there are norms of a, b"),
        "{message}"
    );
}

#[test]
fn what_is_wrong_is_named_by_file_line_and_column() {
    let good = "t,i,p,x,,,900,6.7,1\n";
    let message = Folder::new("t,i,p,x,,,fast,6.7,1\n", "").error();
    assert!(
        message.starts_with("items.csv, line 2, column `mean_rt_ms`: `fast` is not a time above 0"),
        "{message}"
    );
    let message = Folder::new(&format!("{good}t,j,p,x,,,900,NaN,1\n"), "").error();
    assert!(
        message.starts_with("items.csv, line 3, column `mean_log_rt`: `NaN`"),
        "{message}"
    );
    let message = Folder::new("t,i,p,x,,,900,6.7,98\n", "").error();
    assert!(
        message.contains("column `accuracy`: `98` is not a share from 0 to 1"),
        "{message}"
    );
    let message = Folder::new(",i,p,x,,,900,6.7,1\n", "").error();
    assert!(
        message.contains("line 2, column `task`: `` is not a name"),
        "{message}"
    );
    let message = Folder::new(&format!("{good}{good}"), "").error();
    assert!(
        message.starts_with(
            "items.csv, line 3: item `i` of task `t` again, first in items.csv, line 2"
        ),
        "{message}"
    );
    let message = Folder::new(good, "t,i,s,900,1,0\nt,j,s,900,1,0\n").error();
    assert!(
        message.starts_with("trials.csv, line 3: trial of `j` of task `t`, which is not in"),
        "{message}"
    );
    let message = Folder::new(good, "t,i,s,,1,0\n").error();
    assert!(
        message.starts_with("trials.csv, line 2, column `rt_ms`: `` is not a time"),
        "{message}"
    );
    let message = Folder::new(good, "t,i,s,900,yes,0\n").error();
    assert!(
        message.starts_with("trials.csv, line 2, column `correct`: `yes` is not 1 or 0"),
        "{message}"
    );
    let message = Folder::new(good, "t,i,s,900,1,-1\n").error();
    assert!(
        message.starts_with("trials.csv, line 2, column `repeat`: `-1` is not a count"),
        "{message}"
    );
}

#[test]
fn absent_columns_and_folders_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = Norms::read(folder.path(), &[])
        .expect_err("refused")
        .to_string();
    assert!(
        message.contains("no items.csv here, nor in a folder below"),
        "{message}"
    );
    fs::write(
        folder.path().join("items.csv"),
        "task,item_id,prompt\nt,i,p\n",
    )
    .expect("written");
    let message = Norms::read(folder.path(), &[])
        .expect_err("refused")
        .to_string();
    assert!(
        message
            .contains("items.csv, line 1: no column `answer` (there are: task, item_id, prompt)"),
        "{message}"
    );
    fs::write(folder.path().join("items.csv"), "").expect("written");
    let message = Norms::read(folder.path(), &[])
        .expect_err("refused")
        .to_string();
    assert!(message.contains("items.csv: "), "{message}");
}

/// The human data beside the project, where it is there.
fn human() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/human");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no human data at ../shared/human");
    None
}

/// Mean time in milliseconds of the trials that count on items accepted by `of`.
fn mean_ms(norms: &Norms, task: &str, of: impl Fn(&NormItem) -> bool) -> f64 {
    let window = Window::of(task);
    let kept = norms.trials(task).iter().filter(|t| window.keeps(t));
    let times: Vec<f64> = kept
        .filter(|t| norms.item(task, &t.item_id).is_some_and(&of))
        .map(|t| t.rt_ms)
        .collect();
    crate::statistics::mean(&times).expect("trials")
}

#[test]
fn known_effects_show_in_the_imported_trials() {
    let Some(folder) = human() else { return };
    let norms = Norms::read(&folder, &[]).expect("read");
    assert_eq!(
        norms.tasks().into_iter().collect::<Vec<_>>(),
        [
            "addition_digit",
            "addition_word",
            "alphabet_arithmetic",
            "game24",
            "spatial_relations"
        ]
    );
    for (addend, expected) in (1..).zip([2062.0, 2788.0, 3510.0, 4124.0, 4660.0]) {
        let condition = format!("true/addend={addend}");
        let found = mean_ms(&norms, "alphabet_arithmetic", |i| {
            i.condition.as_deref() == Some(&condition)
        });
        assert!((found - expected).abs() < 0.51, "addend {addend}: {found}");
    }
    let condition = |i: &NormItem| i.condition.clone().expect("a condition");
    let sum = |i: &NormItem| {
        condition(i)
            .rsplit('=')
            .next()
            .and_then(|s| s.parse::<u32>().ok())
            .expect("a sum")
    };
    let right = |i: &NormItem| condition(i).starts_with("true");
    let tie = |i: &NormItem| condition(i).contains("/tie/");
    // Above a sum of ten against ten and below, ties apart: means over items.
    let items_ms = |of: &dyn Fn(&NormItem) -> bool| {
        let times = norms
            .items("addition_digit")
            .iter()
            .filter(|i| right(i) && of(i))
            .filter_map(|i| i.mean_rt_ms);
        crate::statistics::mean(&times.collect::<Vec<_>>()).expect("items")
    };
    for (expected, found) in [
        (1789.0, items_ms(&|i| !tie(i) && sum(i) > 10)),
        (1185.0, items_ms(&|i| !tie(i) && sum(i) <= 10)),
        (
            925.0,
            mean_ms(&norms, "addition_digit", |i| right(i) && tie(i)),
        ),
    ] {
        assert!((found - expected).abs() < 0.51, "{found} is not {expected}");
    }
}

#[test]
fn the_trials_that_count_are_those_of_the_items_means() {
    let Some(folder) = human() else { return };
    let tasks = [
        "addition_digit",
        "addition_word",
        "alphabet_arithmetic",
        "spatial_relations",
    ]
    .map(String::from);
    let norms = Norms::read(&folder, &tasks).expect("read");
    for task in &tasks {
        let window = Window::of(task);
        for item in norms.items(task) {
            let kept = norms
                .trials(task)
                .iter()
                .filter(|t| t.item_id == item.item_id && window.keeps(t));
            let logs: Vec<f64> = kept.map(|t| t.rt_ms.ln()).collect();
            assert_eq!(Some(logs.len() as f64), item.n, "{item:?}");
            let mean = crate::statistics::mean(&logs).expect("trials");
            assert!(
                (mean - item.mean_log_rt.expect("a mean")).abs() < 1e-4,
                "{item:?} {mean}"
            );
        }
    }
}

#[test]
fn split_half_reliabilities_are_the_published_ones() {
    let Some(folder) = human() else { return };
    let norms = Norms::read(&folder, &[]).expect("read");
    for (task, low, high, items) in [
        ("addition_digit", 0.94, 0.97, 119),
        ("addition_word", 0.94, 0.97, 122),
        ("alphabet_arithmetic", 0.98, 0.986, 120),
        ("spatial_relations", 0.72, 0.78, 64),
    ] {
        let found = norms.ceiling(task).expect("trials");
        println!("{task}: {found:?}");
        assert!(
            (low..=high).contains(&found.reliability),
            "{task}: {found:?}"
        );
        assert_eq!(found.items, items);
    }
    assert!(norms.ceiling("game24").is_none());
}
