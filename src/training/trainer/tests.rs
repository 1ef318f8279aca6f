//! The step loop with an algorithm that does as it is told.

use std::cell::Cell;

use algorithms::{
    Collected, Demonstration, Example, LabError, LossError, Prompt, Rollout, TokenBatch,
};
use indicatif::ProgressBar;
use tch::Device;

use super::*;
use crate::model::ModelShape;
use crate::training::{Schedule, Training, TrainingSettings};

/// What an update of [`Told`] holds.
#[derive(Clone, Copy, PartialEq)]
enum Update {
    Trains,
    /// A loss that is not a number.
    Breaks,
    /// No example.
    Idles,
}

/// Imitates one completion, two updates a collection; the update's number
/// decides what happens.
struct Told {
    update: fn(u64) -> Update,
    sync: Option<ReferenceSync>,
}

impl Algorithm for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn collect(&self, step: u64, _: &mut dyn Lab) -> Result<Collected, LabError> {
        let batch = |step: u64| {
            let weight = match (self.update)(step) {
                Update::Idles => None,
                Update::Breaks => Some(f32::NAN),
                Update::Trains => Some(1.0 + step as f32),
            };
            let example = |weight| Example {
                prompt: vec![3, 4],
                completion: vec![5, 2],
                weights: vec![weight; 2],
                ..Example::default()
            };
            Batch {
                examples: weight.map(example).into_iter().collect(),
                normaliser: 2.0,
                tokens: 2,
                ..Batch::default()
            }
        };
        Ok(Collected {
            batches: vec![batch(step), batch(step + 1)],
            metrics: Metrics::new(),
        })
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let sum = -(&tokens.logprobs_N * &tokens.weights_N).sum(tch::Kind::Float);
        Ok((sum / batch.normaliser, Metrics::new()))
    }

    fn reference_sync(&self) -> Option<ReferenceSync> {
        self.sync
    }
}

/// A lab whose validations are given, and that asks to stop at one of them.
struct Bench<'a> {
    accuracies: &'a [f64],
    validations: usize,
    reference: Option<Decoder>,
    stop: &'a AtomicBool,
    stop_at: Option<usize>,
}

impl Lab for Bench<'_> {
    fn prompts(&mut self, _: u64, _: usize) -> Result<Vec<Prompt>, LabError> {
        Ok(Vec::new())
    }

    fn rollouts(&mut self, _: u64, _: &[Prompt], _: usize) -> Result<Vec<Rollout>, LabError> {
        Ok(Vec::new())
    }

    fn demonstrations(&mut self, _: u64, _: usize) -> Result<Vec<Demonstration>, LabError> {
        Ok(Vec::new())
    }
}

impl Source for Bench<'_> {
    fn validate(&mut self) -> Result<Metrics> {
        let accuracy = self.accuracies.get(self.validations).copied();
        self.validations += 1;
        if self.stop_at == Some(self.validations) {
            self.stop.store(true, Ordering::SeqCst);
        }
        let accuracy = accuracy.map(|value| ("validation/accuracy".to_owned(), value));
        Ok(accuracy.into_iter().collect())
    }

    fn take_metrics(&mut self) -> Result<Metrics> {
        Ok(Metrics::new())
    }

    fn take_generated(&mut self) -> (u64, u64) {
        (0, 0)
    }

    fn reference(&self) -> Option<&Decoder> {
        self.reference.as_ref()
    }
}

fn decoder() -> Decoder {
    let config = ModelShape::tiny().config(20, 1, 2, 0);
    Decoder::new(config.clone(), Weights::random(&config, 1, Device::Cpu))
}

fn settings(steps: u64) -> Training {
    TrainingSettings {
        steps: Some(steps),
        learning_rate: Some(1e-2),
        save_steps: Some(2),
        validation_steps: Some(1),
        ..TrainingSettings::default()
    }
    .resolve(&TrainingSettings::default(), "training")
    .unwrap()
}

/// What a training left.
struct Left {
    ending: Result<Ending>,
    /// The policy's weights.
    policy_P: Tensor,
    /// The reference's, where there is one.
    reference_P: Option<Tensor>,
    /// How often a best policy was saved.
    saves: usize,
}

impl Left {
    fn refusal(self) -> String {
        format!("{:#}", self.ending.unwrap_err())
    }
}

/// Trains in a folder, asking to stop at the validation of that number.
fn trained(
    folder: &Path,
    algorithm: &Told,
    training: &Training,
    accuracies: &[f64],
    stop_at: Option<usize>,
) -> Left {
    let decoder = decoder();
    let stop = AtomicBool::new(false);
    let mut source = Bench {
        accuracies,
        validations: 0,
        reference: algorithm.sync.map(|_| self::decoder()),
        stop: &stop,
        stop_at,
    };
    let saves = Cell::new(0);
    let ending = train(
        &Job {
            learner: Learner::new(&decoder, algorithm, training, 1.0),
            folder,
            save_policy: &|at| {
                saves.set(saves.get() + 1);
                files::create_folder(at)?;
                files::write_whole(&at.join("hash"), decoder.trainable().hash().as_bytes())
            },
            identity: "this",
            on_the_way: None,
            stop: &stop,
            progress: &ProgressBar::hidden(),
        },
        &mut source,
    );
    Left {
        ending,
        policy_P: decoder.weights().flat().copy(),
        reference_P: source
            .reference
            .map(|decoder| decoder.weights().flat().copy()),
        saves: saves.get(),
    }
}

const TRAINS: Told = Told {
    update: |_| Update::Trains,
    sync: None,
};

fn log(folder: &Path) -> Vec<serde_json::Value> {
    std::fs::read_to_string(folder.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The same, with a reference that follows after every `steps` updates.
fn following(mixup_alpha: f64, steps: u64) -> Told {
    Told {
        sync: Some(ReferenceSync { mixup_alpha, steps }),
        ..TRAINS
    }
}

#[test]
fn a_training_stopped_anywhere_goes_on_to_the_same_bits() {
    let (algorithm, training) = (following(0.6, 3), settings(8));
    let whole = tempfile::tempdir().unwrap();
    let expected = trained(whole.path(), &algorithm, &training, &[], None);
    // Validations are those of update 0, 1, 2, …: stopped after an odd update a
    // batch is pending, after the third the reference has moved.
    for stop_at in 2..8 {
        let folder = tempfile::tempdir().unwrap();
        let first = trained(folder.path(), &algorithm, &training, &[], Some(stop_at));
        assert_eq!(first.ending.unwrap(), Ending::Interrupted);
        let left = trained(folder.path(), &algorithm, &training, &[], None);
        assert!(matches!(left.ending.unwrap(), Ending::Finished(_)));
        assert_eq!(left.policy_P, expected.policy_P, "stopped at {stop_at}");
        let (reference, expected) = (&left.reference_P, &expected.reference_P);
        assert_eq!(reference, expected, "stopped at {stop_at}");
    }
}

#[test]
fn a_reference_follows_as_trl_lets_it() {
    let algorithm = following(0.25, 2);
    // The policy after 2 and after 4 updates.
    let after = |steps| {
        let folder = tempfile::tempdir().unwrap();
        let mut training = settings(4);
        training.schedule = Schedule::Constant;
        training.steps = steps;
        trained(folder.path(), &algorithm, &training, &[], None)
    };
    let (two, four) = (after(2), after(4));
    let expected_P = decoder().weights().flat() * 0.75 + two.policy_P * 0.25;
    let expected_P = expected_P * 0.75 + four.policy_P * 0.25;
    let reference_P = four.reference_P.unwrap();
    let difference = (reference_P - expected_P).abs().max().double_value(&[]);
    assert!(difference < 1e-7, "{difference}");
}

#[test]
fn a_reference_that_should_follow_and_is_missing_is_told() {
    let stop = AtomicBool::new(false);
    let source = Bench {
        accuracies: &[],
        validations: 0,
        reference: None,
        stop: &stop,
        stop_at: None,
    };
    let algorithm = following(0.5, 1);
    let refused = followed(&algorithm, &source).err().unwrap();
    assert!(refused.to_string().contains("sync_ref_model"));
}

#[test]
fn skipped_updates_stop_a_run_once_there_are_too_many_in_a_row() {
    let breaks_from_3 = Told {
        update: |step| {
            if step >= 3 {
                Update::Breaks
            } else {
                Update::Trains
            }
        },
        sync: None,
    };
    let mut training = settings(9);
    training.max_skipped_updates = 2;
    let folder = tempfile::tempdir().unwrap();
    let stopped = trained(folder.path(), &breaks_from_3, &training, &[], None);
    let refused = stopped.refusal();
    for word in [
        "update 6",
        "3 in a row",
        "loss is NaN",
        "skipped-batch-000006.json",
        "1 rows of 4 to 4 tokens",
    ] {
        assert!(refused.contains(word), "{word} in {refused}");
    }
    assert!(folder.path().join("skipped-batch-000006.json").exists());
    let log = log(folder.path());
    assert_eq!(log.last().unwrap()["skipped_updates"], 3.0);
    // Taken up again it meets the same end, counting on from its checkpoint.
    let again = trained(folder.path(), &breaks_from_3, &training, &[], None);
    assert!(again.refusal().contains("update 6"));
}

#[test]
fn the_first_skipped_update_stops_where_none_may_be() {
    let breaks_once = Told {
        update: |step| {
            if step == 2 {
                Update::Breaks
            } else {
                Update::Trains
            }
        },
        sync: None,
    };
    let mut training = settings(5);
    training.max_skipped_updates = 0;
    let folder = tempfile::tempdir().unwrap();
    let refused = trained(folder.path(), &breaks_once, &training, &[], None).refusal();
    assert!(refused.contains("update 3"), "{refused}");
    training.max_skipped_updates = 1;
    let folder = tempfile::tempdir().unwrap();
    let ended = trained(folder.path(), &breaks_once, &training, &[], None).ending;
    assert!(matches!(ended.unwrap(), Ending::Finished(_)));
}

#[test]
fn a_training_with_nothing_to_train_on_leaves_the_weights() {
    let idles = Told {
        update: |_| Update::Idles,
        sync: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let left = trained(folder.path(), &idles, &settings(4), &[], None);
    assert!(matches!(left.ending.unwrap(), Ending::Finished(_)));
    assert_eq!(&left.policy_P, decoder().weights().flat());
    let log = log(folder.path());
    assert!(log[1..].iter().all(|line| line["nothing_to_train"] == 1.0));
}

#[test]
fn the_best_policy_is_kept_and_the_last_one_stays() {
    let accuracies = [0.9, 0.1, 0.6, 0.5, 0.6];
    let mut training = settings(4);
    training.keep_best = true;
    let folder = tempfile::tempdir().unwrap();
    let left = trained(folder.path(), &TRAINS, &training, &accuracies, None);
    assert_eq!(left.saves, 2);
    let best = std::fs::read_to_string(folder.path().join("best.json")).unwrap();
    assert!(best.contains("\"step\": 2"), "{best}");
    // Stopped after two updates, the policy is the best one.
    let half = tempfile::tempdir().unwrap();
    let stopped = trained(half.path(), &TRAINS, &training, &accuracies, Some(3));
    let kept = std::fs::read_to_string(folder.path().join("best/hash")).unwrap();
    let stopped_weights = Weights::over(&stopped.policy_P, decoder().weights().entries().to_vec());
    assert_eq!(kept, stopped_weights.hash());
    assert_ne!(stopped.policy_P, left.policy_P);
    // Going on, what is best so far is remembered.
    let later = trained(half.path(), &TRAINS, &training, &accuracies[3..], None);
    assert_eq!(later.policy_P, left.policy_P);
    assert_eq!(later.saves, 0);
}

#[test]
fn a_finished_training_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let training = settings(5);
    let left = trained(folder.path(), &TRAINS, &training, &[], None);
    let before = log(folder.path());
    let again = trained(folder.path(), &TRAINS, &training, &[], None);
    assert_eq!(again.policy_P, left.policy_P);
    assert_eq!(again.ending.unwrap(), left.ending.unwrap());
    assert_eq!(log(folder.path()), before);
}
