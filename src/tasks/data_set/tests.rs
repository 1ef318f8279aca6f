//! Data sets as tasks: splits, order, columns, times, and what is refused.

use std::collections::BTreeSet;

use experiments::norms::Norms;
use serde_json::{Value, json};

use super::*;
use crate::model::chat::Message;
use crate::random::stream;
use crate::tasks::{Mix, Proportions, items};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn lines(rows: impl IntoIterator<Item = Value>) -> String {
    rows.into_iter()
        .flat_map(|row| [row.to_string(), "\n".to_owned()])
        .collect()
}

fn sums(range: std::ops::Range<u32>) -> String {
    lines(range.map(|n| {
        let answer = format!("{n} and {n} are {}.\n#### {}", 2 * n, 2 * n);
        json!({"question": format!("What is {n} + {n}?"), "answer": answer, "level": n})
    }))
}

fn at(path: &Path) -> DataSettings {
    DataSettings {
        path: path.into(),
        validation: None,
        evaluation: None,
    }
}

fn opened(path: &Path) -> Result<DataSet> {
    DataSet::open("sums", &at(path), Path::new(""))
}

/// Draws so many items of a split.
fn drawn(set: &DataSet, split: Split, seed: u64, indices: std::ops::Range<u64>) -> Vec<Item> {
    let draw = |index| {
        let place = Place {
            seed,
            index,
            proportions: Proportions::default(),
        };
        set.draw(split, place, &mut stream(0, "unused", &[]))
            .unwrap()
    };
    indices.map(draw).collect()
}

fn ids(items: &[Item]) -> BTreeSet<String> {
    items.iter().map(|item| item.item_id.clone()).collect()
}

#[test]
fn a_folder_has_its_splits_in_files_and_shards_in_the_order_of_their_names() {
    let folder = folder(&[
        ("train-00001.jsonl", &sums(20..30)),
        ("train-00000.jsonl", &sums(0..20)),
        ("dev.jsonl", &sums(30..34)),
        ("test.jsonl", &sums(34..40)),
        ("README.md", "about it"),
    ]);
    let set = opened(folder.path()).unwrap();
    assert!(set.check().unwrap().is_empty());
    let counts =
        [Split::Train, Split::Validation, Split::Evaluation].map(|split| set.rows(split).unwrap());
    assert_eq!(counts, [30, 4, 6]);
    assert_eq!(
        set.told().unwrap(),
        "tasks.data.sums: GSM8K, 30 rows to train on, 4 to validate, 6 to evaluate"
    );
    let longest = set.longest().unwrap().unwrap();
    assert_eq!(longest.prompt, "What is 30 + 30?");
    let evaluated = set.evaluation_items().unwrap();
    assert_eq!(evaluated[0].prompt, "What is 34 + 34?");
    assert_eq!(evaluated[0].grade("That makes 68.").unwrap(), Some(true));
    assert_eq!(evaluated[0].grade("Answer: 67").unwrap(), Some(false));
    let solution = set.solution(&evaluated[0]).unwrap().unwrap();
    assert_eq!(solution, "34 and 34 are 68.\n#### 68");
}

#[test]
fn each_row_is_met_once_in_a_pass_and_every_pass_has_its_order() {
    let folder = folder(&[
        ("train.jsonl", &sums(0..50)),
        ("dev.jsonl", &sums(50..53)),
        ("test.jsonl", &sums(53..55)),
    ]);
    let set = opened(folder.path()).unwrap();
    let passes: Vec<Vec<Item>> = (0..3)
        .map(|pass| drawn(&set, Split::Train, 1, pass * 50..(pass + 1) * 50))
        .collect();
    for pass in &passes {
        assert_eq!(ids(pass).len(), 50);
    }
    assert_ne!(passes[0], passes[1]);
    assert_ne!(passes[0], drawn(&set, Split::Train, 2, 0..50));
    assert_eq!(passes[0], drawn(&set, Split::Train, 1, 0..50));
    assert_eq!(ids(&drawn(&set, Split::Validation, 1, 0..3)).len(), 3);
}

#[test]
fn a_share_is_of_the_same_items_whatever_their_order_and_their_company() {
    let rows = sums(0..400);
    let mut turned: Vec<&str> = rows.lines().rev().collect();
    let more = sums(400..500);
    turned.splice(100..100, more.lines());
    let turned = turned.join("\n").replace("What is", "  what  is");
    let folder = folder(&[("a.jsonl", &rows), ("b.jsonl", &turned)]);
    let splits = |name: &str| {
        let set = opened(&folder.path().join(name)).unwrap();
        let evaluated = set.evaluation_items().unwrap();
        let count = set.rows(Split::Validation).unwrap();
        (
            ids(&evaluated),
            ids(&drawn(&set, Split::Validation, 1, 0..count)),
        )
    };
    let (a, b) = (splits("a.jsonl"), splits("b.jsonl"));
    assert!(a.0.is_subset(&b.0) && a.1.is_subset(&b.1));
    // A tenth and a twentieth of 400, give or take three standard deviations.
    assert!(
        (22..58).contains(&a.0.len()) && (7..33).contains(&a.1.len()),
        "{} {}",
        a.0.len(),
        a.1.len()
    );
    assert!(a.0.is_disjoint(&a.1));
    let table = DataSettings {
        evaluation: Some(1.0),
        ..at(&folder.path().join("a.jsonl"))
    };
    let all = DataSet::open("sums", &table, Path::new("")).unwrap();
    assert!(!all.trains());
    assert_eq!(all.evaluation_items().unwrap().len(), 400);
}

#[test]
fn parquet_is_read_group_by_group_as_lines_are() {
    use polars::prelude::{Column, DataFrame, ParquetWriter};
    let folder = folder(&[("dev.jsonl", &sums(90..93)), ("test.jsonl", &sums(93..95))]);
    let questions: Vec<String> = (0..30).map(|n| format!("What is {n} + {n}?")).collect();
    let answers: Vec<String> = (0..30)
        .map(|n| format!("{n} and {n} are {}.\n#### {}", 2 * n, 2 * n))
        .collect();
    let columns = vec![
        Column::new("question".into(), questions),
        Column::new("answer".into(), answers),
        Column::new("level".into(), (0..30_u32).collect::<Vec<_>>()),
    ];
    let mut table = DataFrame::new(30, columns).unwrap();
    let path = folder.path().join("train.parquet");
    ParquetWriter::new(std::fs::File::create(path).unwrap())
        .with_row_group_size(Some(7))
        .finish(&mut table)
        .unwrap();
    let other = self::folder(&[
        ("train.jsonl", &sums(0..30)),
        ("dev.jsonl", &sums(90..93)),
        ("test.jsonl", &sums(93..95)),
    ]);
    let draws = |at: &Path| drawn(&opened(at).unwrap(), Split::Train, 3, 0..60);
    assert_eq!(draws(folder.path()), draws(other.path()));
}

#[test]
fn rewards_see_the_columns_that_rewards_check_shows_them() {
    let row = json!({"prompt": [{"role": "user", "content": "q"}], "answer": "4", "level": 3,
        "topic": null, "completion": "c", "tags": ["a"]});
    let folder = folder(&[("a.jsonl", &lines([row.clone()]))]);
    let table = DataSettings::evaluated(folder.path().join("a.jsonl"));
    let set = DataSet::open("mine", &table, Path::new("")).unwrap();
    let item = &set.evaluation_items().unwrap()[0];
    let shown = columns_of(row.as_object().unwrap().clone());
    assert_eq!(item.columns, shown);
    let names: Vec<&str> = shown.keys().map(String::as_str).collect();
    assert_eq!(names, ["answer", "level", "topic", "tags"]);
}

#[test]
fn times_of_people_in_the_rows_are_norms() {
    let row = |n: u32, time: Value| {
        json!({"question": format!("{n}?"), "answer": "4", "id": n, "mean_rt_ms": time, "condition": "c",
            "cluster": "k", "x_size": n})
    };
    let folder = folder(&[(
        "a.jsonl",
        &lines([row(1, json!(900.0)), row(2, json!(1100))]),
    )]);
    let table = DataSettings::evaluated(folder.path().join("a.jsonl"));
    let set: std::sync::Arc<dyn Task> =
        std::sync::Arc::new(DataSet::open("mine", &table, Path::new("")).unwrap());
    let (items, norms): (Vec<Item>, Norms) = items(&["mine".to_owned()], &[set], None).unwrap();
    assert_eq!((items.len(), items[0].condition.as_str()), (2, "c"));
    let item = norms.item("mine", "2").unwrap();
    assert_eq!(
        (item.mean_rt_ms, item.covariates["size"]),
        (Some(1100.0), 2.0)
    );
    assert_eq!(item.cluster.as_deref(), Some("k"));
}

#[test]
fn rows_without_answers_are_told_of() {
    let told = |rows: Vec<Value>| {
        let folder = folder(&[("a.jsonl", &lines(rows))]);
        let table = DataSettings::evaluated(folder.path().join("a.jsonl"));
        let set = DataSet::open("mine", &table, Path::new("")).unwrap();
        let items = set.evaluation_items().unwrap();
        let last = items.last().unwrap().grade("4").unwrap();
        (set.check().unwrap().join("; "), last)
    };
    let (note, grade) = told(vec![json!({"prompt": "p"}), json!({"prompt": "q"})]);
    assert!(
        note.contains("no row has an answer") && grade.is_none(),
        "{note}"
    );
    let (note, grade) = told(vec![
        json!({"prompt": "p", "answer": "4"}),
        json!({"prompt": "q", "answer": null}),
    ]);
    assert!(
        note.contains("1 of 2 rows have no answer") && grade.is_none(),
        "{note}"
    );
}

#[test]
fn a_byte_order_mark_and_blank_lines_are_passed_over() {
    let text = format!("\u{feff}{}\n\u{feff}{}", sums(0..1), sums(1..3));
    let folder = folder(&[("a.jsonl", &text)]);
    let table = DataSettings::evaluated(folder.path().join("a.jsonl"));
    let set = DataSet::open("sums", &table, Path::new("")).unwrap();
    let prompts = set.evaluation_items().unwrap();
    assert_eq!(prompts[1].prompt, "What is 1 + 1?");
    assert_eq!(prompts.len(), 3);
}

/// What is wrong with the data set at `name` in a folder of these files.
fn refused(files: &[(&str, &str)], name: &str) -> String {
    let folder = folder(files);
    let error =
        opened(&folder.path().join(name)).and_then(|set| set.check().map(<[String]>::to_vec));
    let place = format!("{}/", folder.path().display());
    format!("{:#}", error.unwrap_err()).replace(&place, "")
}

#[test]
fn what_is_wrong_is_named_by_file_and_line() {
    let good = sums(0..200);
    let with = |text: &str| format!("{good}{text}\n");
    for (text, told) in [
        (String::new(), "a.jsonl has no rows"),
        ("\n \n".to_owned(), "a.jsonl has no rows"),
        (
            with("{\"question\": \"q\", "),
            "a.jsonl, line 201: no JSON object",
        ),
        (with("[1]"), "a.jsonl, line 201: no JSON object"),
        (
            with(&json!({"question": "q", "answer": "4"}).to_string()),
            "a.jsonl, line 201: `answer` has no result after",
        ),
        (
            with(&json!({"question": "q", "Answer": "#### 4"}).to_string()),
            "line 201: the column `Answer` would be passed over",
        ),
        (
            with(&json!({"question": "q", "answer": "#### 4", "image": "a.png"}).to_string()),
            "holds pictures",
        ),
        (
            with(&json!({"question": "q", "answer": "#### 4", "mean_rt_ms": -1}).to_string()),
            "`mean_rt_ms` is -1",
        ),
        (
            lines(
                (0..200).map(|n| json!({"prompt": format!("{n}"), "id": n % 199, "answer": "1"})),
            ),
            "its `id` stands in a.jsonl, line",
        ),
        (
            "{\"text\": 1}\n".to_owned(),
            "a.jsonl, line 1: no problem is found: the columns are text",
        ),
        (
            "PAR1 and more\n".to_owned(),
            "is a Parquet file: let its name end in .parquet",
        ),
    ] {
        let error = refused(&[("a.jsonl", &text)], "a.jsonl");
        assert!(error.contains(told), "{told}: {error}");
    }
    let (train, dev, test) = (sums(0..9), sums(9..12), sums(12..15));
    let twice = format!("{test}{test}");
    for (files, told) in [
        (
            vec![("README.md", "nothing")],
            "holds no .jsonl and no .parquet file",
        ),
        (
            vec![("train.jsonl", &*train), ("test.jsonl", "")],
            "test.jsonl has no rows",
        ),
        (
            vec![("train.jsonl", &*train)],
            "has no evaluation split: add a file test.jsonl",
        ),
        (
            vec![("train.jsonl", &*train), ("more.jsonl", &*test)],
            "more.jsonl: its name says no split",
        ),
        (
            vec![("train.jsonl", &*train), ("test.parquet", "PAR1")],
            "test.parquet: it is no whole Parquet file",
        ),
        (
            vec![
                ("train.jsonl", &*train),
                ("dev.jsonl", &*dev),
                ("test.jsonl", &*twice),
            ],
            "test.jsonl, line 4: the same problem as in test.jsonl, line 1",
        ),
        (
            vec![
                (
                    "train.jsonl",
                    "{\"question\": \"q\", \"answer\": \"#### 1\"}\n",
                ),
                ("test.jsonl", &*test),
            ],
            "has no validation split: add a file",
        ),
    ] {
        let error = refused(&files, "");
        assert!(error.contains(told), "{told}: {error}");
    }
    assert!(refused(&[], "gone.jsonl").contains("gone.jsonl does not exist"));
    assert!(refused(&[("a.csv", "x")], "a.csv").contains("ends in .jsonl or .parquet"));
}

#[test]
fn a_split_that_a_file_holds_has_no_share() {
    let folder = folder(&[("train.jsonl", &sums(0..9)), ("test.jsonl", &sums(9..12))]);
    let shares = |evaluation, validation| {
        let settings = DataSettings {
            validation,
            evaluation,
            ..at(folder.path())
        };
        DataSet::open("sums", &settings, Path::new(""))
            .unwrap_err()
            .to_string()
    };
    assert!(shares(Some(0.1), None).contains("holds that split; remove the key or the file"));
    assert!(shares(None, Some(1.5)).contains("a share lies between 0 and 1"));
}

#[test]
fn duplicates_in_training_are_told_of() {
    let train = format!("{}{}", sums(0..9), sums(3..5));
    let folder = folder(&[
        ("train.jsonl", &train),
        ("dev.jsonl", &sums(9..12)),
        ("test.jsonl", &sums(12..15)),
    ]);
    let notes = opened(folder.path()).unwrap().check().unwrap().join("; ");
    assert!(
        notes.contains("2 rows pose the problem of another row"),
        "{notes}"
    );
    assert!(notes.contains("train.jsonl, line 10 as"), "{notes}");
}

#[test]
fn a_mixture_asks_a_conversation_with_all_that_comes_before() {
    let row = |n: u32| {
        json!({"prompt": [{"role": "system", "content": "Be brief."},
            {"role": "user", "content": format!("{n}?")}], "answer": n})
    };
    let folder = folder(&[("a.jsonl", &lines((0..100).map(row)))]);
    let set = opened(&folder.path().join("a.jsonl")).unwrap();
    let mix = Mix::of(vec![std::sync::Arc::new(set)], Proportions::default()).unwrap();
    let item = mix.item(1, Split::Train, 0).unwrap();
    let system = Message {
        role: "system".to_owned(),
        content: "Be brief.".to_owned(),
    };
    assert_eq!(item.before, [system]);
    assert_eq!(item.prompt, format!("{}?", item.answer));
}

mod overlaps {
    use std::sync::Arc;

    use super::*;
    use crate::tasks::{Overlap, overlap};

    fn found(train: &[&str], dev: &[&str], test: &[&str]) -> Overlap {
        let rows = |prompts: &[&str]| {
            lines(
                prompts
                    .iter()
                    .map(|prompt| json!({"prompt": prompt, "answer": "1"})),
            )
        };
        let folder = folder(&[
            ("train.jsonl", &rows(train)),
            ("dev.jsonl", &rows(dev)),
            ("test.jsonl", &rows(test)),
        ]);
        let set = opened(folder.path()).unwrap();
        let items = set.evaluation_items().unwrap();
        let tasks: [Arc<dyn Task>; 1] = [Arc::new(set)];
        let mut found = overlap(&tasks, &items).unwrap();
        let place = format!("{}/", folder.path().display());
        for shown in found.exact_shown.iter_mut().chain(&mut found.near_shown) {
            *shown = shown.replace(&place, "");
        }
        found
    }

    const LONG: &str =
        "a farmer has twelve hens and each hen lays three eggs on every day of the week";

    #[test]
    fn the_same_text_is_found_white_space_and_case_aside() {
        let found = found(
            &["other", "What is  2+2?", "what is 2 + 2?"],
            &["dev"],
            &["What is 2 + 2?"],
        );
        assert_eq!((found.exact, found.near), (1, 0));
        assert!(
            found.exact_shown[0].starts_with("train.jsonl, line 2 is the evaluated item"),
            "{found:?}"
        );
    }

    #[test]
    fn a_validation_problem_among_the_training_problems_is_found() {
        let found = found(&["one", "two"], &["two"], &["three"]);
        assert_eq!(
            found.exact_shown,
            ["train.jsonl, line 2 is a validation problem"]
        );
    }

    #[test]
    fn half_of_the_sequences_of_eight_words_make_a_near_copy() {
        // 17 words have 10 sequences. Another word at the end spoils one of them, one
        // in the middle eight.
        let end = LONG.replace("week", "month");
        let middle = LONG.replace("hen lays", "duck lays");
        assert_eq!(found(&[&end], &["dev"], &[LONG]).near, 1);
        assert_eq!(found(&[&middle], &["dev"], &[LONG]).near, 0);
        let short = "how many eggs are there";
        assert_eq!(
            found(&[&format!("tell me {short}")], &["dev"], &[short]).near,
            0
        );
    }

    #[test]
    fn evaluated_items_of_other_tasks_count_too() {
        let folder = folder(&[(
            "a.jsonl",
            &lines((0..99).map(|n| json!({"prompt": format!("{n} + 1"), "answer": n}))),
        )]);
        let set: Arc<dyn Task> = Arc::new(opened(&folder.path().join("a.jsonl")).unwrap());
        let trained = drawn(set.data_set().unwrap(), Split::Train, 1, 0..1);
        let item = Item {
            task: "other".to_owned(),
            prompt: trained[0].prompt.clone(),
            ..Item::default()
        };
        assert_eq!(overlap(&[set], &[item]).unwrap().exact, 1);
    }
}

#[test]
#[ignore = "it takes minutes: it is how the figures of a million rows were taken"]
fn a_million_rows_are_read_in_bounded_memory() {
    use std::io::Write;
    use std::time::Instant;

    use tch::Device;

    use crate::memory;
    const ROWS: u32 = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for n in 0..ROWS {
        let question = format!(
            "A shop sells {n} crates of apples in the morning and {} in the afternoon, and each crate \
             holds twelve apples. How many apples does the shop sell in a day of that kind?",
            n / 7
        );
        let (crates, apples) = (n + n / 7, (n + n / 7) * 12);
        let answer = format!(
            "There are {crates} crates.\nThat makes {crates} * 12 = {apples}.\n#### {apples}"
        );
        writeln!(file, "{}", json!({"question": question, "answer": answer})).unwrap();
    }
    drop(file);
    let before = memory::peak(Device::Cpu).unwrap();
    let set = opened(&path).unwrap();
    let started = Instant::now();
    assert!(set.check().unwrap().is_empty());
    println!(
        "{}: {:.1} s",
        set.told().unwrap(),
        started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    let draws = drawn_lengths(&set, 100_000);
    println!(
        "100,000 draws of {draws} bytes: {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let items: Vec<Item> = (0..1000)
        .map(|index| set.at(Split::Evaluation, index).unwrap())
        .collect();
    let tasks: [std::sync::Arc<dyn Task>; 1] = [std::sync::Arc::new(set)];
    let started = Instant::now();
    let found = crate::tasks::overlap(&tasks, &items).unwrap();
    println!(
        "1,000 evaluated problems held to all: {} exact, {} near, {:.1} s",
        found.exact,
        found.near,
        started.elapsed().as_secs_f64()
    );
    let grown = memory::peak(Device::Cpu).unwrap() - before;
    println!("peak memory grew by {:.0} MB", grown / 1e6);
    // Offsets, names while they are sorted, and a batch of rows.
    assert!(grown < 150e6);
}

/// Bytes of the problems of so many draws, none of which is kept.
fn drawn_lengths(set: &DataSet, count: u64) -> usize {
    (0..count)
        .map(|index| {
            drawn(set, Split::Train, 1, index..index + 1)[0]
                .prompt
                .len()
        })
        .sum()
}
