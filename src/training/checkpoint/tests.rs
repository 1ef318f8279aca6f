//! What a checkpoint keeps, and how a damaged one is noticed.

use algorithms::Example;
use tch::Device;

use super::*;
use crate::model::ModelShape;

fn weights(seed: u64) -> Weights {
    let config = ModelShape::tiny().config(20, 1, 2, 0);
    Weights::random(&config, seed, Device::Cpu)
}

fn progress(step: u64) -> Progress {
    Progress {
        identity: "this".to_owned(),
        step,
        ..Progress::default()
    }
}

/// Writes a checkpoint of weights that the step decides.
fn save_at(folder: &Path, step: u64, keep_last: u64) {
    let weights = weights(step);
    let snapshot = Snapshot {
        progress: &progress(step),
        weights: &weights,
        optimizer: &State::new(&weights),
        reference: None,
    };
    save(folder, &snapshot, keep_last).unwrap();
}

fn steps(folder: &Path) -> Vec<u64> {
    list(folder)
        .unwrap()
        .into_iter()
        .map(|(step, _)| step)
        .collect()
}

/// The update of the newest whole checkpoint; its weights are held to be its own.
fn loaded(folder: &Path) -> u64 {
    let target = weights(0);
    let (progress, _) = load(folder, "this", &target, None).unwrap().unwrap();
    assert_eq!(target.hash(), weights(progress.step).hash());
    progress.step
}

#[test]
fn everything_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, reference) = (weights(1), weights(2));
    let optimizer = State {
        updates: 7,
        first: 0,
        first_P: weights(3).flat().copy(),
        second_P: weights(4).flat().copy(),
    };
    let example = Example {
        prompt: vec![1, 5],
        completion: vec![3, 2],
        weights: vec![0.1, f32::NAN],
        sampled_logprobs: Some(vec![-0.3, f32::NEG_INFINITY]),
        ..Example::default()
    };
    let progress = Progress {
        pending: vec![Batch {
            examples: vec![example],
            normaliser: 1.0 / 3.0,
            tokens: 2,
            ..Batch::default()
        }],
        collection: Metrics::from([("reward".to_owned(), f64::NAN)]),
        skipped_in_a_row: 2,
        best: Some(Best {
            step: 3,
            metric: "validation/loss".to_owned(),
            value: 0.7,
            files: files::Hashes::new(),
        }),
        ..progress(9)
    };
    let snapshot = Snapshot {
        progress: &progress,
        weights: &policy,
        optimizer: &optimizer,
        reference: Some(&reference),
    };
    save(folder.path(), &snapshot, 1).unwrap();
    let (read_policy, read_reference) = (weights(5), weights(5));
    let (read, state) = load(folder.path(), "this", &read_policy, Some(&read_reference))
        .unwrap()
        .unwrap();
    // NaN is not equal to itself; its bits are.
    let bits = |progress: &Progress| rmp_serde::to_vec_named(progress).unwrap();
    assert_eq!(bits(&read), bits(&progress));
    assert_eq!(read_policy.hash(), policy.hash());
    assert_eq!(read_reference.hash(), reference.hash());
    assert_eq!(state.updates, 7);
    assert_eq!(state.first_P, optimizer.first_P);
    assert_eq!(state.second_P, optimizer.second_P);
}

#[test]
fn a_bit_flipped_or_a_byte_lost_in_any_file_is_noticed() {
    for name in names(false).chain([MANIFEST]) {
        for truncated in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            save_at(folder.path(), 10, 2);
            save_at(folder.path(), 20, 2);
            assert_eq!(loaded(folder.path()), 20);
            let path = folder.path().join("checkpoint-000020").join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            if truncated {
                bytes.pop();
            } else {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(loaded(folder.path()), 10, "{name}, truncated: {truncated}");
        }
        let folder = tempfile::tempdir().unwrap();
        save_at(folder.path(), 10, 2);
        save_at(folder.path(), 20, 2);
        std::fs::remove_file(folder.path().join("checkpoint-000020").join(name)).unwrap();
        assert_eq!(loaded(folder.path()), 10, "{name} is missing");
    }
}

#[test]
fn every_bit_of_a_manifest_matters() {
    let folder = tempfile::tempdir().unwrap();
    save_at(folder.path(), 10, 2);
    let path = folder.path().join("checkpoint-000010").join(MANIFEST);
    let whole = std::fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
        let refused = load(folder.path(), "this", &weights(0), None);
        assert!(refused.is_err(), "byte {place}");
    }
}

#[test]
fn where_no_checkpoint_is_whole_nothing_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    for step in [10, 20] {
        save_at(folder.path(), step, 2);
        let state = format!("checkpoint-0000{step}/{STATE}");
        std::fs::write(folder.path().join(state), b"no state").unwrap();
    }
    let refused = load(folder.path(), "this", &weights(0), None).unwrap_err();
    let refused = refused.to_string();
    for word in [
        "checkpoint-000010",
        "checkpoint-000020",
        "remove them",
        "--resume",
    ] {
        assert!(refused.contains(word), "{word} in {refused}");
    }
    assert_eq!(steps(folder.path()), [10, 20]);
}

#[test]
fn a_checkpoint_without_the_reference_that_follows_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    save_at(folder.path(), 10, 2);
    let refused = load(folder.path(), "this", &weights(0), Some(&weights(0)));
    assert!(refused.is_err());
}

#[test]
fn another_definition_s_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    save_at(folder.path(), 10, 2);
    let refused = load(folder.path(), "other", &weights(0), None).unwrap_err();
    assert!(refused.to_string().contains("another definition"));
}

#[test]
fn only_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for (keep, kept) in [(1, &[3][..]), (2, &[3, 4]), (3, &[3, 4, 5])] {
        save_at(folder.path(), kept[kept.len() - 1], keep);
        assert_eq!(steps(folder.path()), kept);
    }
    // By number, not by name: 1000000 is newer than 999999.
    save_at(folder.path(), 999_999, 1);
    save_at(folder.path(), 1_000_000, 1);
    assert_eq!(steps(folder.path()), [1_000_000]);
    clear(folder.path()).unwrap();
    assert_eq!(steps(folder.path()), [0; 0]);
}

#[test]
fn a_damaged_checkpoint_takes_no_whole_one_s_place() {
    let folder = tempfile::tempdir().unwrap();
    save_at(folder.path(), 10, 2);
    save_at(folder.path(), 20, 2);
    let weights = folder.path().join("checkpoint-000020").join(WEIGHTS);
    std::fs::write(weights, b"").unwrap();
    save_at(folder.path(), 15, 2);
    assert_eq!(steps(folder.path()), [10, 15]);
}

#[test]
fn a_disk_without_room_leaves_earlier_checkpoints_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    save_at(folder.path(), 10, 2);
    // A file in the way of the folder stands for a disk that takes no more.
    std::fs::write(folder.path().join(".checkpoint-000020.partial"), b"").unwrap();
    let weights = weights(20);
    let snapshot = Snapshot {
        progress: &progress(20),
        weights: &weights,
        optimizer: &State::new(&weights),
        reference: None,
    };
    let refused = save(folder.path(), &snapshot, 1).unwrap_err().to_string();
    assert!(refused.contains("untouched") && refused.contains("--resume"));
    assert_eq!(loaded(folder.path()), 10);
}
