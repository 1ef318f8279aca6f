//! The compact form beside the plain one, and what is said of bad rows.

use super::*;
use crate::alignment::cost;
use crate::record::{Writer, write};

fn trace(model: &str, item: u32, sample: u32, tokens: u32) -> Trace {
    Trace {
        model: model.into(),
        seed: (model == "seeded").then_some(7),
        teacher: None,
        task: format!("task {}", item % 2),
        item_id: format!("item {item}"),
        sample,
        prompt_tokens: 5 + item,
        reasoning_tokens: tokens,
        completion_tokens: tokens + 4,
        correct: [Some(true), Some(false), None][(tokens % 3) as usize],
        truncated: tokens.is_multiple_of(11),
        answer: None,
        completion: Some(format!("{tokens} words")),
    }
}

fn some() -> Vec<Trace> {
    let mut traces = Vec::new();
    for (m, model) in ["b", "a", "seeded"].into_iter().enumerate() {
        for item in 0..9 {
            for sample in (0..4).rev() {
                let tokens = (m as u32 * 31 + item * 17 + sample * 5) % 97;
                traces.push(trace(model, item, sample, tokens));
            }
        }
    }
    traces
}

fn read(path: &Path) -> Recording {
    let mut recording = Recording::default();
    recording.read(path, |_| Ok(())).expect("read");
    recording
}

#[test]
fn a_recording_gives_the_item_means_of_its_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut traces = some();
    // A repeat with other counts: the first of the two is the one that counts.
    traces.push(trace("a", 3, 2, 90));
    let all = ["a", "b", "seeded"];
    let tasks = ["task 0".to_owned(), "task 1".to_owned()];
    for name in ["t.jsonl", "t.parquet"] {
        let path = folder.path().join(name);
        write(&path, &traces).expect("written");
        for only_correct in [false, true] {
            let counting = Counting {
                only_correct,
                ..Counting::default()
            };
            let expected = cost::items(&traces, counting);
            let recording = read(&path);
            assert_eq!(recording.items(&all, &tasks, counting), expected);
            assert_eq!((recording.len(), recording.samples()), (108, 4));
            let notes = recording.notes();
            assert_eq!(
                notes,
                ["The first record that repeats another: a, task 1/item 3, sample 2."]
            );
        }
    }
}

#[test]
fn only_what_is_compared_is_taken_and_the_rest_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.parquet");
    write(&path, &some()).expect("written");
    let recording = read(&path);
    let tasks = ["task 1".to_owned()];
    let items = recording.items(&["a", "b"], &tasks, Counting::default());
    assert_eq!(items.models.len(), 2);
    assert_eq!(items.models["a"][0].tasks.len(), 1);
    let note = recording.others(&["a", "b"], &tasks).expect("a note");
    assert!(note.ends_with("left out: seeded; task 0."), "{note}");
    let both = [tasks[0].clone(), "task 0".to_owned()];
    assert_eq!(recording.others(&["a", "b", "seeded"], &both), None);
}

#[test]
fn teachers_go_with_their_trainings_from_file_to_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let of = |seed: u64, teacher: u64, item: u32| Trace {
        seed: Some(seed),
        teacher: Some(teacher),
        ..trace("sft", item, 0, 5)
    };
    let recording = |name: &str, traces: &[Trace]| {
        let path = folder.path().join(name);
        write(&path, traces).expect("written");
        read(&path)
    };
    let mut both = recording("one.parquet", &[of(1, 11, 0), of(1, 11, 1)]);
    let other = recording("two.jsonl", &[of(2, 12, 0), of(2, 12, 1), of(1, 11, 1)]);
    both.absorb(other).expect("the same teachers");
    let tasks = ["task 0".to_owned(), "task 1".to_owned()];
    let items = both.items(&["sft"], &tasks, Counting::default());
    let teachers = items.models["sft"].iter();
    let teachers: Vec<_> = teachers.map(|model| (model.seed, model.teacher)).collect();
    assert_eq!(teachers, [(Some(1), Some(11)), (Some(2), Some(12))]);
    assert_eq!(both.notes().len(), 1);
    let third = recording("three.jsonl", &[of(2, 13, 3)]);
    let error = both.absorb(third).expect_err("another teacher").to_string();
    assert!(
        error.contains("seed 2, names the teacher 13, and 12 before"),
        "{error}"
    );
    both.forget("sft", Some(2));
    both.name_teacher("sft", 14);
    let items = both.items(&["sft"], &tasks, Counting::default());
    let left = items.models["sft"].iter();
    let left: Vec<_> = left.map(|model| (model.seed, model.teacher)).collect();
    // It names one already.
    assert_eq!(left, [(Some(1), Some(11))]);
    let again = recording("four.jsonl", &[of(2, 13, 3)]);
    both.absorb(again).expect("nothing is left of the others");
}

#[test]
fn a_seed_and_a_teacher_can_be_named_later() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.parquet");
    let traces = [trace("a", 0, 0, 5), trace("seeded", 0, 0, 5)];
    write(&path, &traces).expect("written");
    let mut recording = read(&path);
    recording.name_seed("a", 100);
    recording.name_seed("nobody", 100);
    recording.name_teacher("seeded", 100);
    let tasks = ["task 0".to_owned()];
    let items = recording.items(&["a", "seeded"], &tasks, Counting::default());
    let of = |name: &str| (items.models[name][0].seed, items.models[name][0].teacher);
    assert_eq!(
        (of("a"), of("seeded")),
        ((Some(100), None), (Some(7), Some(100)))
    );
    assert_eq!(recording.shown()[0].seed, Some(100));
    // The names are known under the new seed: the same sample is a repeat.
    let mut same = traces[0].clone();
    same.seed = Some(100);
    recording
        .extend(&path, &[same])
        .expect("of no other teacher");
    assert_eq!(recording.len(), 2);
    recording.forget("a", None);
    assert_eq!(recording.len(), 2);
    recording.forget("a", Some(100));
    assert_eq!(recording.len(), 1);
}

#[test]
fn rows_that_are_no_records_are_left_out_and_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.jsonl");
    let good = serde_json::to_string(&trace("a", 1, 0, 5)).expect("JSON");
    let negative = good.replace("\"reasoning_tokens\":5", "\"reasoning_tokens\":-5");
    let absent = good.replace("\"prompt_tokens\":6,", "");
    let lines = [&good, &negative, &absent, &good[..30], "\u{0}"];
    std::fs::write(&path, lines.map(|l| format!("{l}\n")).concat()).expect("written");
    let recording = read(&path);
    assert_eq!(recording.len(), 1);
    let [note] = recording.notes().try_into().expect("one note");
    assert!(
        note.starts_with(
            "4 of 5 rows of t.jsonl are no records and are left out: line 2: `reasoning_tokens` is -5, not a count"
        ),
        "{note}"
    );
    assert!(
        note.contains("line 3: missing field `prompt_tokens`"),
        "{note}"
    );
    assert!(note.ends_with("and 1 more."), "{note}");
    std::fs::write(&path, &negative).expect("written");
    let error = Recording::default().read(&path, |_| Ok(()));
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("none of its 1 rows is a record"), "{error}");
}

#[test]
fn records_that_contradict_themselves_are_left_out_and_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.jsonl");
    let good = serde_json::to_string(&trace("a", 1, 0, 5)).expect("JSON");
    let more = good.replace("\"reasoning_tokens\":5", "\"reasoning_tokens\":500");
    let escape = good.replace("\"model\":\"a\"", "\"model\":\"a\\u001b[31m\"");
    let nameless = good.replace("\"model\":\"a\"", "\"model\":\"\"");
    assert!(more != good && escape != good && nameless != good);
    let lines = [&good, &more, &escape, &nameless];
    std::fs::write(&path, lines.map(|l| format!("{l}\n")).concat()).expect("written");
    let recording = read(&path);
    assert_eq!(recording.len(), 1);
    let [note] = recording.notes().try_into().expect("one note");
    assert!(note.contains("line 2: reasoning_tokens 500 of"), "{note}");
    assert!(note.contains("is no name of a model"), "{note}");
    assert!(!note.contains('\u{1b}'), "{note}");
}

#[test]
fn a_table_of_many_groups_is_read_group_by_group_and_copied_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, copy) = (
        folder.path().join("a.parquet"),
        folder.path().join("b.parquet"),
    );
    let traces = some();
    let mut writer = Writer::new(&first, 10).expect("a writer");
    for trace in &traces {
        writer.push(trace.clone()).expect("pushed");
    }
    writer.finish().expect("whole");
    let mut writer = Writer::new(&copy, 7).expect("a writer");
    let mut recording = Recording::default();
    recording
        .read(&first, |trace| writer.push(trace))
        .expect("read");
    assert!(!copy.exists());
    writer.finish().expect("whole");
    assert_eq!(crate::record::read(&first).expect("read"), traces);
    assert_eq!(crate::record::read(&copy).expect("read"), traces);
    assert_eq!(recording.len(), traces.len());
}

#[test]
fn recordings_are_joined_under_new_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.parquet");
    write(&path, &some()).expect("written");
    let (mut one, mut two) = (read(&path), read(&path));
    one.prefix("one");
    two.prefix("two");
    one.absorb(two).expect("joined");
    assert_eq!(one.len(), 216);
    assert_eq!(one.models().len(), 6);
    assert!(one.shown().iter().any(|t| t.model == "two/seeded"));
    let tasks = ["task 0".to_owned(), "task 1".to_owned()];
    let items = one.items(&["one/a", "two/a"], &tasks, Counting::default());
    assert_eq!(items.models["one/a"], items.models["two/a"]);
    assert_eq!(
        items.models["one/a"],
        cost::items(&some(), Counting::default()).models["a"]
    );
}

#[test]
fn what_leaves_a_figure_undefined_is_named() {
    let mut traces = Vec::new();
    for item in 0..6 {
        let cut = Trace {
            truncated: true,
            ..trace("cut", item, 0, 9)
        };
        traces.push(cut);
        traces.push(Trace {
            truncated: false,
            ..trace("constant", item, 0, 9)
        });
    }
    traces.push(Trace {
        task: "small".into(),
        truncated: false,
        ..trace("constant", 9, 0, 9)
    });
    let dropping = Counting {
        cut_off: cost::CutOff::Drop,
        ..Counting::default()
    };
    let items = cost::items(&traces, dropping);
    let tasks = ["task 0", "task 1", "small"].map(str::to_owned);
    let notes = peculiarities(&items, &tasks);
    assert!(notes[0].ends_with("is defined: cut."), "{notes:?}");
    assert!(notes[1].starts_with("small has 1 item(s)"), "{notes:?}");
    assert!(
        notes[2].ends_with("constant on task 0; constant on task 1."),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 3);
}
