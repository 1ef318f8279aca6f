//! The three layouts of the file's head, and what a table can get wrong.

use std::cmp::Ordering;
use std::fs;

use super::*;
use crate::norms::{Norms, check};

struct Bench(tempfile::TempDir);

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn import(&self) -> Result<Imported, String> {
        let place = format!("{}/", self.0.path().display());
        let told = |error: NormsError| error.to_string().replace(&place, "");
        let map = Map::read(&self.path("map.toml")).map_err(told)?;
        Imported::read(&self.path("table.csv"), &map).map_err(told)
    }
}

/// An example of the head of `table.rs`, by its first line.
fn example(first: &str) -> String {
    let head = include_str!("../table.rs").lines();
    let from = head.skip_while(|line| !line.contains(first));
    let example = from.take_while(|line| !line.starts_with("//! ```"));
    let lines: Vec<&str> = example.map(|line| line.trim_start_matches("//!")).collect();
    assert!(!lines.is_empty(), "no example {first}");
    let lines: Vec<&str> = lines.into_iter().map(str::trim_start).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_table_of_items_in_seconds_is_read() {
    let bench = Bench::new(&[
        ("map.toml", &example("# A row an item")),
        (
            "table.csv",
            "problem_id,question,correct_answer,mean_rt\n\
             a,Is x left of y?,yes,2.5\nb,\"Is y, then, left?\",no,3\nc,And z?,no,NA\nd,Or w?,no,-1\n",
        ),
    ]);
    let norms = bench.import().expect("imported");
    assert_eq!(norms.items.len(), 4);
    assert_eq!(norms.items[0].mean_rt_ms, Some(2500.0));
    assert_eq!(norms.items[3].mean_rt_ms, None);
    assert_eq!(
        norms.notes,
        [
            (1, "rows with a time of 0 or less".to_owned()),
            (1, "rows without a time".to_owned())
        ]
    );
    let out = bench.path("norms");
    norms.write(&out).expect("written");
    let read = Norms::read(&out, &[]).expect("read back");
    assert_eq!(
        read.item("relational", "b").map(|i| i.prompt.as_str()),
        Some("Is y, then, left?")
    );
    assert!(
        read.source().contains("de Varda et al. 2025"),
        "{}",
        read.source()
    );
    let again = norms.write(&out).expect_err("refused").to_string();
    assert!(again.contains("it is there already"), "{again}");
}

#[test]
fn a_table_of_trials_gives_items_their_means() {
    let bench = Bench::new(&[
        ("map.toml", &example("# A row a trial")),
        (
            "problems.csv",
            "id,text,solution\na,Who?,me\nb,What?,that\nz,Why?,because\n",
        ),
        (
            "table.csv",
            "domain,problem_id,participant,rt,is_correct,phase\n\
             logic,a,s1,1,TRUE,main\nlogic,a,s2,4,TRUE,main\nlogic,a,s2,2,TRUE,main\n\
             logic,b,s1,3,FALSE,main\nlogic,b,s2,5,TRUE,main\nlogic,b,s3,0.1,TRUE,main\n\
             logic,a,s1,9,TRUE,practice\nlogic,c,s1,,TRUE,main\n",
        ),
    ]);
    let norms = bench.import().expect("imported");
    let a = &norms.items[0];
    assert_eq!(
        (a.item_id.as_str(), a.prompt.as_str(), a.answer.as_str()),
        ("a", "Who?", "me")
    );
    assert_eq!((a.n, a.accuracy), (Some(3.0), Some(1.0)));
    assert!((a.mean_rt_ms.expect("a mean") - 7000.0 / 3.0).abs() < 1e-9);
    let logs = (1000f64.ln() + 4000f64.ln() + 2000f64.ln()) / 3.0;
    assert!((a.mean_log_rt.expect("a mean") - logs).abs() < 1e-12);
    // Wrong answers count for the accuracy alone, outliers for nothing.
    let b = &norms.items[1];
    assert_eq!(
        (b.n, b.mean_rt_ms, b.accuracy),
        (Some(1.0), Some(5000.0), Some(0.5))
    );
    assert_eq!(norms.items[2].mean_rt_ms, None);
    let repeats: Vec<u32> = norms.trials.iter().map(|(_, t)| t.repeat).collect();
    assert_eq!(repeats, [0, 0, 1, 0, 0]);
    for note in [
        (1, "rows left out by filter.phase"),
        (1, "rows without a time"),
        (1, "trials outside the window"),
        (1, "items without a trial that counts: they have no time"),
        (1, "items without a text in the table of texts"),
        (1, "texts of items that nobody was timed on"),
    ] {
        assert!(
            norms.notes.contains(&(note.0, note.1.into())),
            "{note:?}: {:?}",
            norms.notes
        );
    }
    let out = bench.path("norms");
    norms.write(&out).expect("written");
    let findings = check::check(&out).expect("norms");
    assert_eq!(findings.errors(), 0, "{findings:?}");
    let told: Vec<String> = findings.list.iter().map(ToString::to_string).collect();
    // The gaps of the table are those of the norms: no means that differ from trials.
    assert!(
        !told
            .iter()
            .any(|t| t.contains("is not that of their trials")),
        "{told:#?}"
    );
}

#[test]
fn a_table_of_actions_takes_from_the_first_stamp_to_the_last() {
    let bench = Bench::new(&[
        ("map.toml", &example("# H-ARC")),
        (
            "table.csv",
            "hashed_id,task_name,task_type,attempt_number,solved,time\n\
             p1,7f4411dc.json,evaluation,1,False,2023-03-07 16:37:13\n\
             p1,7f4411dc.json,evaluation,1,False,2023-03-07 16:38:00\n\
             p1,7f4411dc.json,evaluation,2,True,2023-03-07 16:38:57\n\
             p2,7f4411dc.json,evaluation,1,False,2023-03-07 09:00:00.500\n\
             p2,7f4411dc.json,evaluation,1,False,2023-03-07 09:00:10\n\
             p3,7f4411dc.json,evaluation,1,False,2023-03-07 09:00:10\n\
             p1,b942fd60.json,training,1,True,2023-03-07 16:37:13\n",
        ),
    ]);
    let norms = bench.import().expect("imported");
    let told: Vec<(&str, f64, bool)> = norms
        .trials
        .iter()
        .map(|(_, t)| (t.subject.as_str(), t.rt_ms, t.correct))
        .collect();
    assert_eq!(told, [("p1", 104_000.0, true), ("p2", 9500.0, false)]);
    assert_eq!(norms.items.len(), 1);
    assert_eq!(norms.items[0].mean_rt_ms, Some(104_000.0));
    assert_eq!(norms.items[0].accuracy, Some(0.5));
    assert!(
        norms
            .notes
            .contains(&(1, "trials of one action: they take no time".into())),
        "{:?}",
        norms.notes
    );
}

#[test]
fn clusters_and_covariates_survive_import_and_writing() {
    let bench = Bench::new(&[
        (
            "map.toml",
            "task = \"t\"\nsource = \"s\"\n[columns]\nitem = \"id\"\nrt = \"rt\"\ncluster = \"pair\"\n\
             covariates = { size = \"sum\", rare = \"frequency\" }\n",
        ),
        (
            "table.csv",
            "id,rt,pair,sum,frequency\na,900,\"4, 9\",13,1.2345678901e-9\nb,800,\"4, 9\",13,NA\nc,700,,,\n",
        ),
    ]);
    let norms = bench.import().expect("imported");
    let a = &norms.items[0];
    assert_eq!(a.cluster.as_deref(), Some("4, 9"));
    assert_eq!(
        a.covariates["rare"].total_cmp(&1.234_567_890_1e-9),
        Ordering::Equal
    );
    assert_eq!(
        norms.items[1].covariates,
        [("size".to_owned(), 13.0)].into()
    );
    let out = bench.path("norms");
    norms.write(&out).expect("written");
    let read = Norms::read(&out, &[]).expect("read back");
    assert_eq!(read.items("t"), norms.items);
}

#[test]
fn items_without_them_are_written_without_their_columns() {
    let bench = Bench::new(&[
        ("map.toml", &example("# A row an item")),
        (
            "table.csv",
            "problem_id,question,correct_answer,mean_rt\na,q,x,1\n",
        ),
    ]);
    let out = bench.path("norms");
    bench
        .import()
        .expect("imported")
        .write(&out)
        .expect("written");
    let text = fs::read_to_string(out.join("items.csv")).expect("read");
    assert!(
        text.starts_with("task,item_id,") && text.contains(",accuracy\n"),
        "{text}"
    );
}

/// Trials of the items a and b, with a cluster and a covariate in a table of texts
/// and one covariate in their own.
fn trials_with(sizes: [&str; 3]) -> Bench {
    let [first, again, of_texts] = sizes;
    let table = format!("id,who,rt,sum\na,s1,900,{first}\na,s2,800,{again}\nb,s1,700,\n");
    let texts = format!("id,pair,sum,deep\na,ab,{of_texts},1\nb,ab,5,2\n");
    Bench::new(&[
        (
            "map.toml",
            "task = \"t\"\nsource = \"s\"\ntexts = { file = \"texts.csv\", item = \"id\", cluster = \"pair\", \
             covariates = { size = \"sum\", depth = \"deep\" } }\n[columns]\nitem = \"id\"\nsubject = \"who\"\n\
             rt = \"rt\"\ncovariates = { size = \"sum\" }\n",
        ),
        ("table.csv", &table),
        ("texts.csv", &texts),
    ])
}

#[test]
fn trials_and_texts_may_both_say_what_an_item_is() {
    let norms = trials_with(["4", "", "4"]).import().expect("imported");
    let told: Vec<(Option<&str>, f64, f64)> = norms
        .items
        .iter()
        .map(|i| {
            (
                i.cluster.as_deref(),
                i.covariates["size"],
                i.covariates["depth"],
            )
        })
        .collect();
    assert_eq!(told, [(Some("ab"), 4.0, 1.0), (Some("ab"), 5.0, 2.0)]);
    for (sizes, told) in [
        (
            ["4", "6", "4"],
            "table.csv, line 3, column `sum`: `6` is not what the item has already",
        ),
        (
            ["4", "4", "6"],
            "texts.csv, line 2, column `sum`: `6` is not what the item has already",
        ),
        (
            ["4", "much", "4"],
            "table.csv, line 3, column `sum`: `much` is not a finite number",
        ),
    ] {
        let error = trials_with(sizes).import().expect_err("refused");
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn a_table_that_does_not_fit_its_map_is_refused_by_line() {
    let map = example("# A row an item");
    for (table, told) in [
        (
            "problem_id,question,correct_answer\na,q,x\n",
            "no column `mean_rt`",
        ),
        (
            "problem_id,question,correct_answer,mean_rt\na,q,x,fast\n",
            "table.csv, line 2, column `mean_rt`: `fast` is not a time",
        ),
        (
            "problem_id,question,correct_answer,mean_rt\na,q,x,1\na,q,x,2\n",
            "table.csv, line 3: item `a` of task `relational` again",
        ),
        (
            "problem_id,question,correct_answer,mean_rt\n,q,x,1\n",
            "table.csv, line 2, column `problem_id`: `` is not a name",
        ),
    ] {
        let bench = Bench::new(&[("map.toml", &map), ("table.csv", table)]);
        let error = bench.import().expect_err("refused");
        assert!(error.contains(told), "{error}");
    }
    let none = format!("{map}[filter]\nquestion = [\"r\"]\n");
    let table = "problem_id,question,correct_answer,mean_rt\na,q,x,1\n";
    let bench = Bench::new(&[("map.toml", &none), ("table.csv", table)]);
    let error = bench.import().expect_err("refused");
    assert!(
        error.contains("no row is left to import: 1 rows left out by filter.question"),
        "{error}"
    );
}

#[test]
fn a_map_that_contradicts_itself_is_refused() {
    for (map, told) in [
        (
            "source = \"s\"\n[columns]\nitem = \"i\"\nrt = \"t\"\n",
            "either task, or columns.task",
        ),
        (
            "task = \"t\"\n[columns]\nitem = \"i\"\n",
            "missing field `source`",
        ),
        (
            "task = \"t\"\nsource = \" \"\n[columns]\nitem = \"i\"\n",
            "source is empty",
        ),
        (
            "task = \"t\"\nsource = \"s\"\n[columns]\nitem = \"i\"\nsubject = \"p\"\n",
            "needs columns.rt or columns.stamp",
        ),
        (
            "task = \"t\"\nsource = \"s\"\n[columns]\nitem = \"i\"\nrt = \"r\"\ncorrect = \"c\"\n",
            "columns.correct is of a table of trials",
        ),
        (
            "task = \"t\"\nsource = \"s\"\n[columns]\nitem = \"i\"\nsubject = \"p\"\nrt = \"r\"\nn = \"n\"\n",
            "columns.n is of a table of items",
        ),
        (
            "task = \"t\"\nsource = \"s\"\nwindow = { low_ms = 9, high_ms = 1 }\n[columns]\nitem = \"i\"\n",
            "window of 9 to 1 ms",
        ),
        (
            "task = \"t\"\nsource = \"s\"\n[columns]\nitem = \"i\"\ncovariates = { x_size = \"s\" }\n",
            "a covariate is called \"x_size\"",
        ),
        (
            "task = \"t\"\nsource = \"s\"\n[columns]\nitem = \"i\"\nitems = \"x\"\n",
            "unknown field `items`",
        ),
        (
            "task = \"t\"\nsource = \"s\"\nunit = \"min\"\n[columns]\nitem = \"i\"\n",
            "unit",
        ),
    ] {
        let bench = Bench::new(&[("map.toml", map), ("table.csv", "i\na\n")]);
        let error = bench.import().expect_err("refused");
        assert!(
            error.contains(told) && error.starts_with("map.toml: "),
            "{error}"
        );
    }
}

#[test]
fn the_trials_people_made_give_the_means_that_were_published() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/human");
    let folder = folder.join("alphabet_arithmetic");
    if !folder.is_dir() {
        println!("skipped: no human data at ../shared/human");
        return;
    }
    let map = "source = \"s\"\nright = [\"1\"]\n[columns]\ntask = \"task\"\nitem = \"item_id\"\n\
               subject = \"subject\"\nrt = \"rt_ms\"\ncorrect = \"correct\"\nrepeat = \"repeat\"\n";
    let bench = Bench::new(&[("map.toml", map)]);
    let map = Map::read(&bench.path("map.toml")).expect("a map");
    let norms = Imported::read(&folder.join("trials.csv"), &map).expect("imported");
    let published = Norms::read(&folder, &[]).expect("norms");
    assert_eq!((norms.items.len(), norms.trials.len()), (120, 28_197));
    for item in &norms.items {
        let other = published.item(&item.task, &item.item_id).expect("an item");
        assert_eq!(item.n, other.n, "{item:?}");
        let difference = |a: Option<f64>, b: Option<f64>| (a.expect("a") - b.expect("b")).abs();
        // The published ones are rounded to five places and to one.
        assert!(
            difference(item.mean_log_rt, other.mean_log_rt) < 1e-5,
            "{item:?}"
        );
        assert!(
            difference(item.mean_rt_ms, other.mean_rt_ms) < 0.06,
            "{item:?}"
        );
        assert!(difference(item.accuracy, other.accuracy) < 1e-4, "{item:?}");
    }
}
