//! `qinglan norms`, and tasks beyond the three that are trained on, from
//! outside. The files of people's times are no part of the project; where they
//! are not beside it, what needs them is not tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use experiments::manifest::{ArmCard, Role};
use experiments::norms::Norms;
use qinglan::tasks;

use crate::support::{Bench, TINY, text};

fn people() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/human");
    if folder.is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    println!("skipped: ../shared/human is not there");
    None
}

/// A file of the definitions, as TOML.
fn definition(name: &str) -> toml::Table {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/definitions");
    text(&folder.join(name)).parse().unwrap()
}

#[test]
fn the_cards_of_the_published_comparison_name_each_other() {
    let file = definition("paper.toml");
    assert!(
        file["hypothesis"]
            .as_str()
            .unwrap()
            .contains("negative transfer")
    );
    let cards: Vec<ArmCard> = file["model"].clone().try_into().unwrap();
    let role = |name: &str| {
        let card = cards.iter().find(|card| card.name == name);
        card.unwrap_or_else(|| panic!("no card of {name}")).role
    };
    let students: Vec<&ArmCard> = cards.iter().filter(|c| c.role == Role::Student).collect();
    assert_eq!((cards.len(), students.len()), (13, 6));
    for student in students {
        assert_eq!(role(student.base.as_deref().unwrap()), Role::Base);
        assert_eq!(role(student.teacher.as_deref().unwrap()), Role::Teacher);
    }
    let names: BTreeSet<&str> = cards.iter().map(|card| card.name.as_str()).collect();
    assert_eq!(names.len(), cards.len());
}

#[test]
fn there_are_instructions_for_every_task() {
    let instructions = definition("paper-instructions.toml");
    let tasks = tasks::names();
    assert_eq!(
        instructions
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        tasks.collect()
    );
    for (task, instruction) in &instructions {
        let text = instruction.as_str().unwrap();
        assert!(
            text.contains(tasks::PROBLEM) && text.contains("Answer: "),
            "{task}"
        );
    }
}

const ITEMS: &str = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy\n";

#[test]
fn a_table_of_trials_becomes_norms_that_are_described_and_hold() {
    let bench = Bench::new(TINY);
    fs::write(
        bench.path("rt.csv"),
        "who,problem,seconds,ok,text,solution\n\
         s1,a,1.5,yes,Is it?,yes\ns2,a,2.5,yes,Is it?,yes\ns1,b,4,yes,Was it?,no\n\
         s2,b,3,no,Was it?,no\ns1,c,9,yes,Will it?,no\ns2,c,-1,yes,Will it?,no\n",
    )
    .unwrap();
    fs::write(
        bench.path("norms.toml"),
        "task = \"tense\"\nsource = \"made up\"\nunit = \"s\"\nright = [\"yes\"]\n[columns]\n\
         item = \"problem\"\nsubject = \"who\"\nrt = \"seconds\"\ncorrect = \"ok\"\n\
         prompt = \"text\"\nanswer = \"solution\"\n",
    )
    .unwrap();
    let imported = bench
        .qinglan(&["norms", "import", "rt.csv", "--out", "tense"])
        .done();
    assert_eq!(imported.stdout, "tense: 3 items, 5 trials\n");
    assert!(
        imported.stderr.contains("1 rows with a time of 0 or less"),
        "{}",
        imported.stderr
    );
    let checked = bench.qinglan(&["norms", "check", "tense"]).done().stdout;
    assert_eq!(checked, "3 items, 5 trials: 0 errors, 0 remarks\n");
    let told = bench.qinglan(&["norms", "describe", "tense"]).done().stdout;
    for part in [
        "tense\n",
        "3 (all with times, all with answers)",
        "clusters     none: each item is its own",
        "subjects     2",
        "5, of which 4 count",
        "means of 2000 to 9000 ms",
        "not computable",
        "source: item means from tense (made up)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let listed = bench.qinglan(&["norms", "list", "tense"]).done().stdout;
    assert!(
        listed.contains("alphabet_arithmetic") && listed.contains("3 items, 3 with times"),
        "{listed}"
    );
}

#[test]
fn every_problem_of_a_folder_is_named_and_the_exit_code_says_so() {
    let bench = Bench::new(TINY);
    fs::create_dir(bench.path("people")).unwrap();
    fs::write(
        bench.path("people/items.csv"),
        format!("{ITEMS}t,i,p,x,,,0,,1\nt,j,p,,,,900,,1\nt,j,p,x,,,900,,1\n"),
    )
    .unwrap();
    let ended = bench.qinglan(&["norms", "check", "people"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for part in [
        "error: people/items.csv, line 2, column `mean_rt_ms`: `0`",
        "error: people/items.csv, line 4: item `j` of task `t` again",
        "remark: people/items.csv, line 3: 1 item of task `t` without an answer",
        "1 items, 0 trials: 2 errors, 2 remarks",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    assert!(
        ended.stderr.contains("people would be refused as norms"),
        "{}",
        ended.stderr
    );
    let absent = bench.qinglan(&["norms", "check", "nowhere"]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.stderr.contains("nowhere"), "{}", absent.stderr);
}

#[test]
fn a_base_made_here_needs_tasks_that_are_worked_in_words_that_it_knows() {
    for (names, told) in [
        (
            "[\"syllogisms\", \"spatial_relations\"]",
            "nobody has written worked solutions of syllogisms, spatial_relations",
        ),
        (
            "[\"alphabet_arithmetic\", \"sternburg\"]",
            "did you mean `sternberg`?",
        ),
        // The lab's own tokenizer has the words of worked tasks alone.
        ("[\"alphabet_arithmetic\", \"syllogisms\"]", "vocabulary"),
    ] {
        let bench = Bench::new(&TINY.replace("[\"alphabet_arithmetic\"]", names));
        let ended = bench.run("run", &[]);
        assert_eq!(ended.code, Some(2), "{names}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{names}: {}", ended.stderr);
        assert!(!bench.path("run").exists(), "{names}");
    }
}

#[test]
fn a_data_set_of_the_user_is_evaluated_beside_the_task_that_is_trained() {
    let bench = Bench::new(
        &TINY
            .replace("norms = \"builtin\"", "norms = \"mine\"")
            .replace(
                "[\"alphabet_arithmetic\"]",
                "[\"alphabet_arithmetic\", \"mine\"]",
            )
            .replace("seeds = [1, 2]", "seeds = [1]"),
    );
    fs::create_dir(bench.path("mine")).unwrap();
    let timed: Vec<String> = (1..5)
        .map(|i| {
            format!(
                "alphabet_arithmetic,A+{i}=C,A+{i}=C,{},,,{},,1\n",
                i == 2,
                900 + i
            )
        })
        .collect();
    fs::write(
        bench.path("mine/items.csv"),
        format!(
            "{ITEMS}{}mine,one,B+1= what,C,,,,,\nmine,two,C+1= what,,,,,,\n",
            timed.concat()
        ),
    )
    .unwrap();
    bench.run("run", &[]).done();
    let csv = text(&bench.path("run/comparison.csv"));
    assert!(csv.contains(",mine,"), "{csv}");
    // One of its items has an answer; the other is graded by nobody.
    let traces = experiments::record::read(&bench.path("run/arms/grpo/seed-1/traces.parquet"));
    let graded: BTreeSet<(String, bool)> = traces
        .unwrap()
        .into_iter()
        .filter(|trace| trace.task == "mine")
        .map(|trace| (trace.item_id, trace.correct.is_some()))
        .collect();
    assert_eq!(
        graded.into_iter().collect::<Vec<_>>(),
        [("one".to_owned(), true), ("two".to_owned(), false)]
    );
}

#[test]
fn the_items_people_were_timed_on_can_be_asked_and_graded() {
    let Some(folder) = people() else { return };
    let names = ["spatial_relations", "game24"].map(str::to_owned);
    let norms = Norms::read(&folder, &names).unwrap();
    let (items, norms) = tasks::items(&names, &[], Some(norms)).unwrap();
    assert_eq!(items.len(), 64 + 1362);
    for item in &items {
        assert!(norms.human_cost(&item.task, &item.item_id).is_some());
        // A puzzle of 24 that nobody can solve would have nothing to be held to.
        assert!(!item.answer.is_empty(), "{item:?}");
        let parroted = item.grade(&item.answer).unwrap();
        assert_eq!(parroted, Some(item.task == "spatial_relations"), "{item:?}");
    }
    let ours = tasks::items(&["game24".to_owned()], &[], None).unwrap().0;
    let sorted = |puzzle: &str| {
        let mut numbers: Vec<u32> = puzzle.split(' ').map(|n| n.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    let of = |items: &[tasks::Item]| -> BTreeSet<Vec<u32>> {
        let puzzles = items.iter().filter(|item| item.task == "game24");
        puzzles.map(|item| sorted(&item.answer)).collect()
    };
    assert!(
        of(&ours) == of(&items),
        "the puzzles made and the puzzles timed differ"
    );
}
