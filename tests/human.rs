//! The same path over the times of people for each single item. Those files
//! are no part of the project; where they are not beside it, nothing is tested.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use experiments::norms::Norms;
use qinglan::tasks::{self, Mix, Proportions, Split, squeeze};
use serde_json::Value;

use crate::support::{Bench, TINY, json, text};

fn people() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/human");
    if folder.is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    println!("skipped: ../shared/human is not there");
    None
}

#[test]
fn no_problem_to_learn_from_has_the_wording_of_an_item_people_were_timed_on() {
    let Some(folder) = people() else { return };
    let names = tasks::COUNTING.map(str::to_owned);
    let norms = Norms::read(&folder, &names).unwrap();
    for name in &names {
        let items = norms.items(name);
        assert!(items.len() > 100, "{name}: {}", items.len());
        let wordings: BTreeSet<String> = items.iter().map(|item| squeeze(&item.prompt)).collect();
        let mix = Mix::new(&[name], Proportions::default()).unwrap();
        for split in [Split::Train, Split::Validation] {
            for index in 0..20_000 {
                let drawn = mix.item(1, split, index).unwrap();
                let taken = wordings.contains(&squeeze(&drawn.prompt));
                assert!(!taken, "{drawn:?}");
            }
        }
        for item in items {
            let item = mix.tasks()[0].of_norms(item);
            assert_eq!(item.grade(&item.answer).unwrap(), Some(true), "{item:?}");
        }
    }
}

#[test]
fn the_reference_alignment_is_met_and_a_difference_is_exit_code_1() {
    let Some(people) = people() else { return };
    let reference = people.join("../fixtures/alignment");
    if !reference.is_dir() {
        println!("skipped: ../shared/fixtures/alignment is not there");
        return;
    }
    let bench = Bench::new(TINY);
    let all = bench.qinglan(&["conformance", "alignment", reference.to_str().unwrap()]);
    assert_eq!(all.code, Some(0), "{}{}", all.stdout, all.stderr);
    assert!(all.stdout.contains("pearson") && !all.stdout.contains("DIFFERS"));
    let mut changed = json(&reference.join("expected.json"));
    let mean = changed["models"]["base-1"]["mean_r"].as_f64().unwrap();
    changed["models"]["base-1"]["mean_r"] = (mean + 2e-9).into();
    bench.write("expected.json", &changed.to_string());
    for name in ["traces.jsonl", "models.json"] {
        bench.write(name, &text(&reference.join(name)));
    }
    let folder = bench.path("");
    let norms = people.to_str().unwrap();
    let copied = ["conformance", "alignment", folder.to_str().unwrap()];
    let other = bench.qinglan(&[&copied[..], &["--norms", norms]].concat());
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert_eq!(other.stdout.matches("DIFFERS").count(), 1);
    assert!(other.stdout.contains("base-1/mean_r"), "{}", other.stdout);
    let absent = bench.qinglan(&[&copied[..], &["--norms", "nowhere"]].concat());
    assert_eq!(absent.code, Some(2), "{}", absent.stderr);
}

#[test]
fn a_run_over_item_level_norms_shows_their_ceiling() {
    let Some(folder) = people() else { return };
    let definition = TINY
        .replace(
            "norms = \"builtin\"",
            &format!("norms = {:?}", folder.to_str().unwrap()),
        )
        .replace(
            "names = [\"alphabet_arithmetic\"]",
            "names = [\"alphabet_arithmetic\", \"addition_word\"]",
        )
        .replace("seeds = [1, 2]", "seeds = [1]");
    let bench = Bench::new(&definition);
    bench.run("run", &[]).done();
    let comparison = json(&bench.path("run/comparison.json"));
    for arm in comparison["arms"].as_array().unwrap() {
        let tasks = arm["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), 2);
        for task in tasks {
            let ceiling = task["ceiling"].as_f64().unwrap();
            assert!((0.8..1.0).contains(&ceiling), "{ceiling}");
            assert!(task["items"].as_u64().unwrap() > 0);
        }
    }
    let csv = text(&bench.path("run/comparison.csv"));
    assert!(csv.contains("task,grpo,,addition_word,ceiling,"), "{csv}");
    assert!(text(&bench.path("run/comparison.md")).contains("ceiling"));
    // Item means are kept with the run, single trials are not.
    let items = json(&bench.path("run/items.json"));
    assert!(
        items["items"]
            .as_array()
            .is_some_and(|items| items.len() > 200)
    );
    let keys: Vec<&String> = items.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["items", "ceilings", "wrong_minus_right", "evaluation"]
    );
    // People's allocation is a figure an item, and has a row of its own.
    assert!(
        !comparison["further"]["people"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let has_trials = |value: &Value| value.get("subject").is_some();
    assert!(!items["items"].as_array().unwrap().iter().any(has_trials));
}
