//! Draws held to the plain figures.

use super::*;
use crate::alignment::{accuracy, cost, within_task};
use crate::norms::NormItem;

fn sample() -> (Vec<ModelItems>, Norms) {
    let mut traces = Vec::new();
    let mut norm = Vec::new();
    for (i, tokens) in [3, 9, 14, 2, 30, 7].into_iter().enumerate() {
        let id = format!("item {i}");
        traces.push(cost::tests::trace("m", &id, 0, tokens, Some(i % 3 == 0)));
        traces.push(cost::tests::trace("m", &id, 1, tokens + 2, Some(true)));
        norm.push(NormItem {
            task: "t".into(),
            item_id: id,
            answer: if i < 4 { "true" } else { "false" }.into(),
            // The last item has no human time.
            mean_log_rt: (i < 5).then(|| 7.0 + (i as f64).sin()),
            ..NormItem::default()
        });
    }
    let models = cost::items(&traces, false)
        .models
        .remove("m")
        .expect("the model");
    (models, Norms::new(norm, String::new()))
}

#[test]
fn the_identity_draw_is_the_plain_figures() {
    let (models, norms) = sample();
    let task = models[0].task("t");
    let layout = Layout::new(&["t".into()], &norms, &[&models[0]]);
    let columns = layout.columns(&models[0]);
    let found = layout
        .measures(0, |_| 1.0, |i| &columns[0][i])
        .map(|v| v.expect("defined"));
    let plain = [
        within_task::within_task("t", task, &norms)
            .pearson
            .expect("defined"),
        accuracy::plain(task).expect("graded").value,
        accuracy::balanced("t", task, &norms).expect("graded").value,
        cost::task_tokens(task).expect("tokens"),
    ];
    for (found, plain) in found.iter().zip(plain) {
        assert!((found - plain).abs() < 1e-12, "{found} {plain}");
    }
}

#[test]
fn an_item_drawn_twice_counts_twice() {
    let (models, norms) = sample();
    let layout = Layout::new(&["t".into()], &norms, &[&models[0]]);
    let columns = layout.columns(&models[0]);
    let weights = [2.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let [_, accuracy, balanced, tokens] = layout.measures(0, |i| weights[i], |i| &columns[0][i]);
    // Items 0 and 3: both samples right; 4, 4 and 3 tokens.
    assert_eq!((accuracy, balanced), (Some(1.0), Some(1.0)));
    assert!((tokens.expect("tokens") - 11.0 / 3.0).abs() < 1e-12);
}

#[test]
fn seeds_and_tasks_that_are_undefined_stay_out() {
    let point: Profile<1> = vec![vec![[Some(1.0)], [None]], vec![[Some(3.0)], [Some(5.0)]]];
    let both = over_seeds(&point, &[1.0, 1.0], &point);
    assert_eq!(both, [[Some(2.0)], [Some(5.0)]]);
    assert_eq!(over_tasks(&both, &both), [Some(3.5)]);
    // A draw of the first seed alone has nothing for the second task.
    let first = over_seeds(&point, &[2.0, 0.0], &point);
    assert_eq!(over_tasks(&first, &both), [None]);
    // A draw in which a defined figure became undefined is undefined.
    let lost: Profile<1> = vec![vec![[Some(1.0)], [None]], vec![[None], [Some(5.0)]]];
    assert_eq!(over_seeds(&lost, &[1.0, 1.0], &point)[0], [None]);
}
