//! The tables of single records, cell by cell.

use super::*;
use crate::manifest::Role;
use crate::norms::Trial;
use crate::record::Trace;
use std::collections::BTreeMap;
use std::path::Path;

fn item(id: &str, cost: Option<f64>, cluster: Option<&str>, size: Option<f64>) -> NormItem {
    NormItem {
        task: "sums".into(),
        item_id: id.into(),
        prompt: id.into(),
        mean_log_rt: cost,
        cluster: cluster.map(str::to_owned),
        covariates: size
            .map(|size| ("size".to_owned(), size))
            .into_iter()
            .collect(),
        ..NormItem::default()
    }
}

fn norms() -> Norms {
    let mut tied = item("9, \"nine\"", None, None, None);
    tied.covariates = BTreeMap::from([("tie".to_owned(), 1.0)]);
    let plain = item("4 + 9", Some(7.5), Some("4,9"), Some(13.0));
    Norms::new(vec![plain, tied], "made up".into())
}

fn record(model: &str, item_id: &str, tokens: u32, correct: Option<bool>) -> Trace {
    Trace {
        model: model.into(),
        seed: (model == "sft, late").then_some(3),
        teacher: (model == "sft, late").then_some(11),
        task: "sums".into(),
        item_id: item_id.into(),
        sample: 0,
        prompt_tokens: 6,
        reasoning_tokens: tokens,
        completion_tokens: tokens + 2,
        correct,
        truncated: correct.is_none(),
        answer: None,
        completion: None,
    }
}

fn arms() -> Vec<ArmCard> {
    let card = |name: &str, role, base: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: base.map(str::to_owned),
        init: None,
        teacher: base.map(|_| "the \"teacher\"".to_owned()),
    };
    vec![
        card("base", Role::Base, None),
        card("sft, late", Role::Student, Some("base")),
    ]
}

#[test]
fn every_record_is_a_row_and_what_is_undefined_is_empty() {
    let mut recording = Recording::default();
    let mut elsewhere = record("base", "4 + 9", 3, Some(true));
    elsewhere.task = "another task".into();
    let records = [
        record("base", "4 + 9", 0, Some(false)),
        record("sft, late", "9, \"nine\"", 200, None),
        record("sft, late", "4 + 9", 14, Some(true)),
        record("nobody's", "4 + 9", 14, Some(true)),
        elsewhere,
    ];
    recording
        .extend(Path::new("made up"), &records)
        .expect("kept");
    let mut out = Vec::new();
    let tasks = ["sums".to_owned()];
    let rows = samples(&mut out, &arms(), &tasks, &norms(), &recording).expect("written");
    assert_eq!(rows, 3);
    let log = |tokens: f64| (1.0 + tokens).ln();
    let expected = format!(
        "arm,role,seed,base,teacher,teacher_seed,task,item,cluster,h,x_size,x_tie,sample,prompt_tokens,tokens,log_tokens,cut_off,right\n\
         base,base,,,,,sums,4 + 9,\"4,9\",7.5,13,,0,6,0,0,0,0\n\
         \"sft, late\",student,3,base,\"the \"\"teacher\"\"\",11,sums,\"9, \"\"nine\"\"\",,,,1,0,6,200,{},1,\n\
         \"sft, late\",student,3,base,\"the \"\"teacher\"\"\",11,sums,4 + 9,\"4,9\",7.5,13,,0,6,14,{},0,1\n",
        log(200.0),
        log(14.0)
    );
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}

#[test]
fn a_trial_counts_within_the_window_of_the_means() {
    let trial = |item_id: &str, rt_ms: f64, correct| Trial {
        item_id: item_id.into(),
        subject: "p,1".into(),
        rt_ms,
        correct,
        repeat: 0,
    };
    let people = norms().with_trials(
        "sums",
        vec![
            trial("4 + 9", 1000.0, true),
            trial("4 + 9", 1000.0, false),
            trial("9, \"nine\"", 0.0, true),
            trial("never evaluated", 900.0, true),
        ],
    );
    let mut out = Vec::new();
    let rows = trials(&mut out, &["sums".to_owned()], &norms(), &people).expect("written");
    assert_eq!(rows, 3);
    let expected = format!(
        "task,item,cluster,subject,rt_ms,log_rt,correct,counted\n\
         sums,4 + 9,\"4,9\",\"p,1\",1000,{0},1,1\n\
         sums,4 + 9,\"4,9\",\"p,1\",1000,{0},0,0\n\
         sums,\"9, \"\"nine\"\"\",,\"p,1\",0,,1,0\n",
        1000.0_f64.ln()
    );
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}
