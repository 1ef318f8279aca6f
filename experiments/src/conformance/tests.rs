//! The figures held to the reference, and what a wrong reference gives.

use std::fs;

use super::*;

#[test]
fn every_figure_conforms_to_numpy_and_scipy() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = shared.join("fixtures/alignment");
    if !dir.is_dir() {
        println!("skipped: no reference figures at ../shared/fixtures/alignment");
        return;
    }
    let found = alignment(&dir, &shared.join("human")).expect("read");
    let worst = found
        .iter()
        .max_by(|a, b| a.deviation.total_cmp(&b.deviation))
        .expect("figures");
    println!("{} figures, worst {worst:?}", found.len());
    // 14 models x (4 tasks x 7 + 4) + pairs + 1 + 15 x 15.
    assert!(found.len() > 700, "{}", found.len());
    let failed: Vec<&Deviation> = found.iter().filter(|d| !d.holds()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // The reference is looked up, not passed over.
    assert!(found.iter().filter(|d| d.expected.is_some()).count() > 700);
}

#[test]
fn every_figure_of_several_trainings_conforms_to_numpy_and_scipy() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = shared.join("fixtures/statistics");
    if !dir.is_dir() {
        println!("skipped: no reference figures at ../shared/fixtures/statistics");
        return;
    }
    let found = statistics(&dir).expect("read");
    // 18 trainings x 3 tasks x (4 + 6), 15 contrasts, and what stands beside them.
    assert!(found.len() > 900, "{}", found.len());
    let failed: Vec<&Deviation> = found.iter().filter(|d| !d.holds()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(found.iter().filter(|d| d.expected.is_some()).count() > 850);
}

#[test]
fn a_reference_of_several_trainings_without_a_section_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for expected in ["{}", "[]", r#"{"arms": {"a": {}}, "contrasts": []}"#] {
        fs::write(folder.path().join("expected.json"), expected).expect("written");
        let error = statistics(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("nothing would be compared there"), "{error}");
    }
}

/// A small reference of one model on one task, its figures as the lab computes them.
fn small(folder: &Path, expected: &str) {
    let line = |item: &str, tokens: u32| {
        format!(
            "{{\"model\":\"m\",\"task\":\"t\",\"item_id\":\"{item}\",\"sample\":0,\"prompt_tokens\":3,\
             \"reasoning_tokens\":{tokens},\"completion_tokens\":{tokens},\"correct\":true,\"truncated\":false}}\n"
        )
    };
    let traces = [line("a", 1), line("b", 3), line("c", 7)].concat();
    let items = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy\n\
                 t,a,,,,,,1,\nt,b,,,,,,2,\nt,c,,,,,,4,\n";
    let files = [
        ("traces.jsonl", traces.as_str()),
        ("models.json", r#"[{"name":"m","role":"other"}]"#),
        ("expected.json", expected),
        ("items.csv", items),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("written");
    }
}

const SMALL: &str = r#"{"tasks":["t"],"models":{"m":{"within":{"t":{"n":3,
    "pearson":0.9819805060619657,"spearman":1.0,"partial":0.9819805060619657}},
    "mean_r":0.9819805060619657,"fisher_mean_r":0.9819805060619657,"accuracy":{"t":1.0},
    "mean_tokens":{"t":3.6666666666666665},"iei":{"t":3.6666666666666665},
    "allocation_d":NaN,"allocation_items":0}},
    "rsa":{"names":["human","m"],"items":3,"matrix":[[1.0,0.9819805060619657],[0.9819805060619657,1.0]]}}"#;

#[test]
fn a_reference_of_other_shape_is_held_too_and_its_nan_is_undefined() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path(), SMALL);
    let found = alignment(folder.path(), folder.path()).expect("read");
    let failed: Vec<&Deviation> = found.iter().filter(|d| !d.holds()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let groups = groups(&found);
    let rsa = groups.iter().find(|g| g.group == "rsa").expect("held");
    assert_eq!((rsa.held, rsa.differing), (5, 0));
}

#[test]
fn what_differs_and_what_is_not_computed_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = SMALL
        .replace("\"spearman\":1.0", "\"spearman\":0.9")
        .replace("\"tasks\"", "\"another\":{\"figure\":[2.5]},\"tasks\"");
    small(folder.path(), &wrong);
    let found = alignment(folder.path(), folder.path()).expect("read");
    let failed: Vec<&str> = found
        .iter()
        .filter(|d| !d.holds())
        .map(|d| d.figure.as_str())
        .collect();
    assert_eq!(failed, ["m/within/t/spearman", "another/figure/0"]);
}

#[test]
fn a_reference_that_is_no_reference_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in ["{}", "[1, 2]", "{\"tasks\": 3}", "{"] {
        small(folder.path(), text);
        let refused = alignment(folder.path(), folder.path()).expect_err("refused");
        assert!(refused.to_string().contains("expected.json"), "{refused}");
    }
    // Figures of the wrong kind are figures that are not there.
    small(folder.path(), r#"{"tasks":["t"],"models":[],"rsa":[1]}"#);
    let found = alignment(folder.path(), folder.path()).expect("read");
    assert!(found.iter().any(|d| d.deviation.is_infinite()));
}
