//! Every problem of a folder is named, not the first alone.

use std::fs;

use super::*;

const ITEMS: &str = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy\n";
const TRIALS: &str = "task,item_id,subject,rt_ms,correct,repeat\n";

fn found(files: &[(&str, String)]) -> (Findings, Vec<String>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let findings = check(folder.path()).expect("a folder of norms");
    let place = format!("{}/", folder.path().display());
    let texts = findings.list.iter();
    let texts = texts.map(|f| f.to_string().replace(&place, "")).collect();
    (findings, texts)
}

fn of_items(rows: &str) -> Vec<String> {
    found(&[("items.csv", format!("{ITEMS}{rows}"))]).1
}

#[test]
fn good_norms_have_no_findings() {
    let items =
        "t,i,p,x,c,2,900,6.80235,1\nt,j,p,x,c,1,800,6.68461,1\nt,k,p,x,d,1,700,6.55108,0.5\n";
    let trials = "t,i,s,900,1,0\nt,i,u,900,1,0\nt,j,s,800,1,0\nt,k,s,700,1,0\nt,k,u,650,0,0\n";
    let (findings, texts) = found(&[
        ("items.csv", format!("{ITEMS}{items}")),
        ("trials.csv", format!("{TRIALS}{trials}")),
        (
            "conditions.csv",
            "task,condition,items,trials,mean_rt_ms,mean_log_rt,accuracy\nt,c,2,3,867,6.76,1\n"
                .into(),
        ),
    ]);
    assert_eq!(texts, [""; 0]);
    assert_eq!((findings.items, findings.trials), (3, 5));
}

#[test]
fn all_errors_are_named_by_file_and_line() {
    let (findings, texts) = found(&[
        (
            "items.csv",
            format!(
                "{ITEMS}t,i,p,x,,,0,,1\nt,j,p,x,,,-5,,1\nt,k,p,x,,,800,,98\nt,l,p,x,,,800,6,1\nt,l,p,x,,,800,6,1\n"
            ),
        ),
        (
            "trials.csv",
            format!("{TRIALS}t,l,s,-1,1,0\nt,m,s,900,1,0\nt,l,s,900,maybe,0\n"),
        ),
    ]);
    let errors: Vec<&String> = texts.iter().filter(|t| t.starts_with("error: ")).collect();
    for (told, part) in errors.iter().zip([
        "items.csv, line 2, column `mean_rt_ms`: `0` is not a time above 0",
        "items.csv, line 3, column `mean_rt_ms`: `-5` is not a time above 0",
        "items.csv, line 4, column `accuracy`: `98`",
        "items.csv, line 6: item `l` of task `t` again",
        "trials.csv, line 2, column `rt_ms`: `-1` is not a time",
        "trials.csv, line 3: trial of `m` of task `t`, which is not in",
        "trials.csv, line 4, column `correct`: `maybe`",
    ]) {
        assert!(told.contains(part), "{told} has no {part}");
    }
    assert_eq!((errors.len(), findings.errors()), (7, 7), "{texts:#?}");
}

#[test]
fn gaps_are_remarked_with_their_lines() {
    let texts = of_items("t,i,,x,,,900,,1\nt,j,p,,,,800,,1\nt,k,p,x,,,,,1\nt,l,p,x,,0,700,7,1\n");
    for part in [
        "remark: items.csv, line 2: 1 item of task `t` without a prompt",
        "remark: items.csv, line 3: 1 item of task `t` without an answer",
        "remark: items.csv, line 4: 1 item of task `t` without a time",
        "remark: items.csv, line 5: 1 item of task `t` with a time from no trials",
        "remark: items.csv, line 5: 1 item of task `t` with a mean logarithm above",
    ] {
        assert!(
            texts.iter().any(|t| t.starts_with(part)),
            "{part}: {texts:#?}"
        );
    }
    let many: Vec<String> = (0..12)
        .map(|i| format!("t,i{i},p,,,,{},,1\n", 800 + i))
        .collect();
    let many = many.concat();
    assert!(
        of_items(&many)[0]
            .contains("lines 2, 3, 4, 5, 6, 7, 8, 9 and 4 more: 12 items of task `t`"),
        "{:?}",
        of_items(&many)
    );
}

#[test]
fn a_task_without_an_alignment_is_remarked() {
    let texts = of_items("t,i,p,x,,,900,,1\nt,j,p,x,,,,,1\n");
    assert!(
        texts[1].contains("task `t` has 1 item with a time"),
        "{texts:?}"
    );
    let texts = of_items("t,i,p,x,,,900,,1\nt,j,p,x,,,900,,1\nt,k,p,x,,,900,,1\n");
    assert!(texts[0].contains("task `t` are all alike"), "{texts:?}");
}

#[test]
fn columns_and_conditions_that_nobody_knows_are_remarked() {
    let (_, texts) = found(&[
        (
            "items.csv",
            "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy,colour\n\
             t,i,p,x,c,,900,,1,red\nt,j,p,x,c,,800,,1,red\nt,k,p,x,c,,700,,1,red\n"
                .into(),
        ),
        (
            "trials.csv",
            format!("{TRIALS}t,i,s,900,1,0\nt,j,s,800,1,0\nt,j,s,0,1,0\n"),
        ),
        (
            "conditions.csv",
            "task,condition,mean_rt_ms\nt,c,700\nt,d,900\nt,c,850\n".into(),
        ),
    ]);
    for part in [
        "items.csv, line 1: column `colour` is not read",
        "trials.csv, line 4: 1 trial of task `t` of 0 ms",
        "trials.csv, line 4: 1 trial of task `t` with the item, subject and repeat of an earlier one",
        "items.csv, line 4: 1 item of task `t` without a trial",
        "conditions.csv, line 2: the mean of `c` of task `t` is 700, that of its trials 850.0",
        "conditions.csv, line 3: no item of task `t` has the condition `d`",
        "conditions.csv, line 4: condition `c` of task `t` again, first in line 2",
    ] {
        assert!(texts.iter().any(|t| t.contains(part)), "{part}: {texts:#?}");
    }
}

/// Findings of an `items.csv` with clusters and two covariates.
fn of_columns(rows: &str) -> Vec<String> {
    let header = ITEMS.replace('\n', ",cluster,x_size,x_tie\n");
    found(&[("items.csv", format!("{header}{rows}"))]).1
}

#[test]
fn a_cluster_of_all_items_of_the_tasks_that_share_it_is_remarked() {
    let texts = of_columns(
        "t,i,p,x,,,900,,1,all,1,\nt,j,p,x,,,800,,1,all,2,\nt,k,p,x,,,700,,1,all,3,\n\
         u,i,p,x,,,900,,1,all,1,\nu,j,p,x,,,850,,1,all,2,\nu,k,p,x,,,800,,1,all,3,\n",
    );
    assert_eq!(texts.len(), 1, "{texts:#?}");
    assert!(
        texts[0]
            .starts_with("remark: items.csv: the cluster `all` holds all items of the tasks t, u"),
        "{texts:#?}"
    );
    // One item of a partner in another cluster, and there is something to resample.
    let texts = of_columns(
        "t,i,p,x,,,900,,1,all,1,\nt,j,p,x,,,800,,1,all,2,\nt,k,p,x,,,700,,1,all,3,\n\
         u,i,p,x,,,900,,1,all,1,\nu,j,p,x,,,850,,1,all,2,\nu,k,p,x,,,800,,1,,3,\n",
    );
    assert_eq!(texts, [""; 0]);
}

#[test]
fn covariates_that_say_little_are_remarked() {
    let texts = of_columns(
        "t,i,p,x,,,900,,1,,2,\nt,j,p,x,,,800,,1,,2,1\nt,k,p,x,,,700,,1,,2,0\nt,l,p,x,,,600,,1,,2,\n",
    );
    assert_eq!(texts.len(), 2, "{texts:#?}");
    for (told, part) in texts.iter().zip([
        "remark: items.csv: the covariate `size` of task `t` is 2 wherever it is known",
        "remark: items.csv, lines 2, 5: 2 items of task `t`, of 4, without the covariate `tie`",
    ]) {
        assert!(told.starts_with(part), "{told}");
    }
}

#[test]
fn condition_means_without_a_cluster_are_remarked() {
    let rows = |clusters: [&str; 4]| {
        let times = [900.5, 900.5, 700.0, 900.5].into_iter();
        let row = |(at, (time, cluster)): (usize, (f64, &str))| {
            let condition = if at == 3 { "d" } else { "c" };
            format!("t,i{at},p,x,{condition},,{time},,1,{cluster},{at},\n")
        };
        let rows: Vec<String> = times.zip(clusters).enumerate().map(row).collect();
        rows.concat()
    };
    let texts = of_columns(&rows([""; 4]));
    assert_eq!(texts.len(), 1, "{texts:#?}");
    assert!(
        texts[0]
            .starts_with("remark: items.csv, lines 2, 3: 2 items of task `t` without a cluster"),
        "{texts:#?}"
    );
    assert_eq!(of_columns(&rows(["c", "c", "", ""])), [""; 0]);
}

#[test]
fn absent_columns_are_told_once_each() {
    let (findings, texts) = found(&[("items.csv", "task,item_id,prompt\nt,i,p\nt,j,p\n".into())]);
    assert_eq!(findings.errors(), 6, "{texts:#?}");
    assert!(texts[0].contains("no column `answer`"), "{texts:#?}");
}

#[test]
fn the_human_data_have_no_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/human");
    if !folder.is_dir() {
        println!("skipped: no human data at ../shared/human");
        return;
    }
    let findings = check(&folder).expect("norms");
    for finding in &findings.list {
        println!("{finding}");
    }
    assert_eq!(findings.errors(), 0);
    // Its means are means of items, though none names a cluster.
    let texts = findings.list.iter().map(ToString::to_string);
    assert_eq!(texts.filter(|text| text.contains("cluster")).count(), 0);
    assert_eq!(findings.items, 241 + 120 + 64 + 1362);
}
