//! Tasks that people have no times for: answers are judged, alignment is undefined and takes no
//! room.

use super::made::Made;
use super::*;
use crate::comparison::Estimate;
use crate::comparison::items::item_completions;
use crate::norms::{NormItem, Norms};
use crate::{figures, report, tables};

/// The made-up experiment without the times of some tasks, every sample with its answer and text.
fn without_times(of: &[&str]) -> Made {
    let mut made = made();
    let items = made.tasks.iter().flat_map(|task| made.norms.items(task));
    let items: Vec<NormItem> = items
        .cloned()
        .map(|item| NormItem {
            mean_log_rt: item
                .mean_log_rt
                .filter(|_| !of.contains(&item.task.as_str())),
            ..item
        })
        .collect();
    made.norms = Norms::new(items, "made up".into());
    for trace in &mut made.traces {
        let answer = match trace.correct {
            Some(true) => "7".to_owned(),
            _ => format!("8 or {}", trace.sample),
        };
        trace.completion = Some(format!("so it is {answer}"));
        trace.answer = Some(answer);
    }
    made
}

#[test]
fn pass_and_majority_are_those_of_the_records() {
    let made = without_times(&["a", "b"]);
    let found = compare(input(&made)).unwrap();
    for arm in &found.arms {
        let sizes: Vec<usize> = arm.among.iter().map(|of| of.k).collect();
        assert_eq!(sizes, [1, 2]);
        let task = &arm.tasks[1];
        // Two samples an item, none cut off: one of them is the accuracy, and the two disagree half.
        let [one, two] = [&task.among[0], &task.among[1]];
        let accuracy = task.accuracy.value.unwrap();
        for value in [&one.pass, &one.majority, &two.majority] {
            assert!((value.value.unwrap() - accuracy).abs() < 1e-12);
        }
        let samples = made
            .traces
            .iter()
            .filter(|t| t.model == arm.name && t.task == "b");
        let mut right: std::collections::BTreeMap<_, bool> = std::collections::BTreeMap::new();
        for trace in samples {
            *right.entry((trace.seed, &trace.item_id)).or_default() |= trace.correct == Some(true);
        }
        let passed = right.values().filter(|right| **right).count() as f64 / right.len() as f64;
        assert!((two.pass.value.unwrap() - passed).abs() < 1e-12);
        // The interval is that of every figure: one of the accuracy is the accuracy's.
        assert!((one.pass.se.unwrap() - task.accuracy.se.unwrap()).abs() < 1e-9);
        // A figure of 1 on every item has no interval.
        let held = two
            .pass
            .low
            .is_some_and(|low| low < passed && two.pass.high >= Some(passed));
        assert_eq!(held, passed < 1.0);
        assert_eq!(task.cut_off.value, Some(0.0));
    }
}

#[test]
fn what_nobody_graded_or_no_record_answers_is_undefined_with_its_reason() {
    let mut made = made();
    let found = compare(input(&made)).unwrap();
    let why = |estimate: &Estimate| estimate.why_undefined.clone().unwrap_or_default();
    let of = &found.arms[0].tasks[0].among[1];
    assert!(of.pass.value.is_some());
    assert!(why(&of.majority).contains("a right sample has no recorded answer"));
    made.traces[0].correct = None;
    let found = compare(input(&made)).unwrap();
    let task = &found.arms[0].tasks[0];
    assert!(task.accuracy.value.is_some());
    assert!(why(&task.among[0].pass).contains("seed 1, a: a sample has no grade"));
    // Over tasks the other one is left.
    assert!(found.arms[0].among[0].pass.value.is_some());
}

#[test]
fn a_run_without_times_has_a_whole_report_that_begins_with_accuracy() {
    let made = without_times(&["a", "b"]);
    let found = compare(input(&made)).unwrap();
    assert!(!found.has_times());
    assert_eq!(
        (found.arms[0].tasks[0].items, found.arms[0].tasks[0].timed),
        (40, 0)
    );
    let why = found.arms[0].elasticity.why_undefined.as_deref();
    assert_eq!(why, Some("people's times are not known"));
    let items = item_completions(&made.traces, &made.norms, &made.tasks);
    let pages = [
        tables::terminal::render(&found, false),
        tables::markdown::render(&found),
        report::html(&found, &items)
            .split("<script")
            .next()
            .unwrap()
            .to_owned(),
    ];
    for page in &pages {
        for word in [
            "lasticity",
            "observed r",
            "r at unlimited",
            "eliability",
            "eterogeneity",
        ] {
            let around = page
                .find(word)
                .map(|at| page[..at + 9].chars().rev().take(120).collect::<Vec<_>>());
            let around = around.map(|letters| letters.into_iter().rev().collect::<String>());
            assert_eq!(around, None, "{word}");
        }
        assert!(page.contains("Which is more often right, grpo or base: grpo"));
        assert!(page.contains("No human times for a, b: alignment is undefined"));
        assert!(page.contains("pass@2") && page.contains("majority@2"));
    }
    let first = tables::layout::document(&found).answers.remove(0);
    assert!(first.starts_with("Which is more often right"), "{first}");
    let stems: Vec<String> = figures::all(&found).into_iter().map(|f| f.stem).collect();
    let of_times = [
        "scatter",
        "bars-elasticity",
        "bars-r",
        "differences-elasticity",
        "differences-o",
        "r-by",
    ];
    for stem in &stems {
        assert!(
            of_times.iter().all(|start| !stem.starts_with(start)),
            "{stem}"
        );
    }
    for stem in [
        "bars-accuracy",
        "among-samples",
        "differences-accuracy",
        "inflation-grpo",
    ] {
        assert!(stems.iter().any(|found| found == stem), "{stem}: {stems:?}");
    }
    // The exports keep the reason.
    assert!(tables::csv::render(&found).contains("people's times are not known"));
}

#[test]
fn without_expected_answers_balanced_accuracy_takes_no_room() {
    let mut made = without_times(&["a", "b"]);
    made.norms = Norms::default();
    let found = compare(input(&made)).unwrap();
    let why = found.arms[0].balanced_accuracy.why_undefined.as_deref();
    assert_eq!(why, Some("the expected answers are not known"));
    let items = item_completions(&made.traces, &made.norms, &made.tasks);
    assert_eq!(items.len(), 80);
    let page = report::html(&found, &items);
    let page = page.split("<script").next().unwrap();
    for text in [page, &tables::terminal::render(&found, false)] {
        assert!(!text.contains("alanced") && text.contains("majority@2"));
    }
}

#[test]
fn of_tasks_with_times_and_without_both_have_their_place() {
    let made = without_times(&["b"]);
    let found = compare(input(&made)).unwrap();
    assert!(found.is_timed("a") && !found.is_timed("b"));
    // Alignment is over the task that has times, accuracy over both.
    let grpo = &found.arms[3];
    assert_eq!(grpo.elasticity.value, grpo.tasks[0].elasticity.value);
    assert_ne!(grpo.accuracy.value, grpo.tasks[0].accuracy.value);
    let document = tables::layout::document(&found);
    let table = |id: &str| document.tables.iter().find(|table| table.id == id).unwrap();
    let groups = |id: &str| -> Vec<&str> {
        let rows = table(id).rows.iter();
        let mut groups: Vec<&str> = rows.filter_map(|row| row.group.as_deref()).collect();
        groups.dedup();
        groups
    };
    assert_eq!(groups("task-alignment"), ["a"]);
    assert_eq!(groups("task-answers"), ["a", "b"]);
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("No human times for b"))
    );
    let items = item_completions(&made.traces, &made.norms, &made.tasks);
    assert!(report::html(&found, &items).contains("lasticity"));
}

#[test]
fn an_arm_that_learned_from_some_of_the_tasks_is_told() {
    let mut made = made();
    for run in made.runs.iter_mut().filter(|run| run.arm != "base") {
        run.trained_on = vec!["a".into()];
    }
    let transfer = |made: &Made| -> Vec<String> {
        let notes = compare(input(made)).unwrap().notes.into_iter();
        notes.filter(|note| note.contains("transfer")).collect()
    };
    assert_eq!(
        transfer(&made),
        ["sft, grpo learned from a alone; b is transfer."]
    );
    // In one seed it learned from the other too, and in another run nobody says.
    made.runs[1].trained_on = vec!["b".into()];
    assert_eq!(
        transfer(&made),
        ["grpo learned from a alone; b is transfer."]
    );
    for run in &mut made.runs {
        if run.seed == 2 {
            run.trained_on.clear();
        }
    }
    assert!(transfer(&made).is_empty());
}
