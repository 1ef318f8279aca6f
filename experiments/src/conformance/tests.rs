//! The figures held to the reference, and what a wrong reference gives.

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
