//! Every name of TRL 1.16, and definitions that the lab's own reader accepts.

use std::collections::BTreeSet;

use ::rewards::Registry;
use serde_json::Value;

use super::*;
use crate::config::Definition;

/// What `scripts/trl-fields.py` took from TRL.
const FIELDS: &str = include_str!("../../tests/data/trl-fields.json");

const KNOWN: Known = Known {
    rows: None,
    processes: 1,
};

/// Translates a text under that name.
fn translated(name: &str, text: &str, known: Known) -> Result<Translation> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    translate(&path, None, known)
}

fn yaml(text: &str) -> Result<Translation> {
    translated("trl.yaml", text, KNOWN)
}

fn refusal(text: &str) -> String {
    match yaml(text) {
        Ok(translation) => panic!("accepted: {}", translation.definition),
        Err(error) => format!("{error:#}"),
    }
}

fn definition(text: &str) -> Definition {
    let translation = yaml(text).unwrap();
    let parsed = Definition::parse(&translation.definition, &Registry::builtin(), Path::new(""));
    parsed.unwrap_or_else(|error| panic!("{error:#}\n{}", translation.definition))
}

#[test]
fn the_names_are_those_of_trl() {
    let fields: Value = serde_json::from_str(FIELDS).unwrap();
    assert_eq!(fields["trl"], "1.16.0");
    for (trainer, own) in [
        (Trainer::Grpo, 79),
        (Trainer::Rloo, 53),
        (Trainer::Sft, 22),
        (Trainer::Gkd, 8),
    ] {
        let of = &fields[trainer.name()];
        let names = |group: &str| {
            let names = of[group].as_array().unwrap().iter();
            names
                .map(|name| name.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("own").len(), own, "{}", trainer.name());
        let mut theirs: BTreeSet<String> = BTreeSet::new();
        for group in ["own", "inherited", "command_line"] {
            theirs.extend(names(group));
        }
        // A file's own key for the environment.
        theirs.insert("env".to_owned());
        let ours: BTreeSet<String> = trainer.names().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "{}", trainer.name());
        assert_eq!(trainer.names().count(), ours.len(), "{}", trainer.name());
    }
}

#[test]
fn a_grpo_file_becomes_a_definition_that_means_the_same() {
    let text = "
model_name_or_path: Qwen/Qwen2.5-0.5B
reward_funcs: [accuracy_reward, think_format_reward]
reward_weights: [1.0, 0.25]
max_steps: 20
learning_rate: 1e-5
per_device_train_batch_size: 4
gradient_accumulation_steps: 4
steps_per_generation: 8
num_generations: 8
num_iterations: 2
max_completion_length: 96
adam_beta2: 0.99
scale_rewards: false
lr_scheduler_type: constant
use_peft: true
lora_r: 8
";
    let definition = definition(text);
    let arm = &definition.arm["trl"];
    let Some(crate::config::AlgorithmSettings::Grpo(grpo)) = &arm.algorithm else {
        panic!("{:?}", arm.algorithm);
    };
    // 8 micro-batches of 4 completions are 2 updates with 2 problems each.
    assert_eq!(
        (grpo.prompts_per_generation, grpo.steps_per_generation),
        (4, 2)
    );
    assert_eq!((grpo.num_generations, grpo.num_iterations), (8, 2));
    assert_eq!(grpo.scale_rewards, algorithms::AdvantageScale::None);
    assert_eq!(definition.training.steps, Some(20));
    assert_eq!(definition.training.learning_rate, Some(1e-5));
    assert_eq!(definition.training.adam_beta2, Some(0.99));
    assert_eq!(definition.rollout.max_new_tokens, 96);
    assert_eq!(definition.experiment.seeds, [42]);
    assert_eq!(arm.lora.as_ref().unwrap().r, 8);
    assert_eq!(
        arm.reward["think_format_reward"]["weight"].as_float(),
        Some(0.25)
    );
}

#[test]
fn each_trainers_whole_json_is_accounted_for_and_reads() {
    let fields: Value = serde_json::from_str(FIELDS).unwrap();
    for trainer in TRAINERS {
        let whole = serde_json::to_string_pretty(&fields[trainer.name()]["json"]).unwrap();
        let known = Known {
            rows: Some(100),
            ..KNOWN
        };
        let translation = translated("trl.json", &whole, known).unwrap();
        let keys = fields[trainer.name()]["json"].as_object().unwrap().len();
        assert_eq!(translation.report.len(), keys);
        let refused: Vec<&String> = translation
            .report
            .iter()
            .filter(|line| line.contains("not supported"))
            .collect();
        assert!(
            refused.is_empty(),
            "TRL's defaults are the lab's: {refused:?}"
        );
        let text = &translation.definition;
        Definition::parse(text, &Registry::builtin(), Path::new(""))
            .unwrap_or_else(|error| panic!("{}: {error:#}\n{text}", trainer.name()));
    }
}

#[test]
fn epochs_become_the_steps_that_trl_counts() {
    let steps = |text: &str, rows| {
        let known = Known {
            rows: Some(rows),
            processes: 2,
        };
        let translation = translated("trl.yaml", text, known).unwrap();
        let table: toml::Table = translation.definition.parse().unwrap();
        table["training"]["steps"].as_integer().unwrap()
    };
    // 2 x 4 rows a micro-batch: 13 of them, 7 updates an epoch.
    let sft = "max_length: 64\nper_device_train_batch_size: 4\ngradient_accumulation_steps: 2\nnum_train_epochs: 2\n";
    assert_eq!(steps(sft, 100), 14);
    // 32 completions of 4 problems a phase: 25 phases of 4 micro-batches, gone through twice.
    let grpo = "beta: 0.0\ndelta: 1.5\nper_device_train_batch_size: 4\ngradient_accumulation_steps: 2\nsteps_per_generation: 4\nnum_iterations: 2\nnum_train_epochs: 1\n";
    assert_eq!(steps(grpo, 103), 100);
}

#[test]
fn what_is_not_supported_is_said_with_what_it_changes() {
    let translation =
        yaml("loss_type: dapo\nmax_steps: 1\nneftune_noise_alpha: 5\nsave_total_limit: 3\nhub_token: secret\n")
            .unwrap();
    let said = translation.report.join("\n");
    assert!(said.contains("loss_type: taken"), "{said}");
    assert!(
        said.contains("save_total_limit: renamed to training.keep_last"),
        "{said}"
    );
    assert!(
        said.contains("neftune_noise_alpha = 5: not supported: no noise"),
        "{said}"
    );
    assert!(
        translation
            .definition
            .contains("# neftune_noise_alpha = 5: not supported")
    );
    assert!(!said.contains("secret") && !translation.definition.contains("secret"));
    assert!(
        translation
            .to_fill_in
            .iter()
            .any(|line| line.starts_with("tasks.names"))
    );
}

#[test]
fn keys_of_other_versions_are_refused_with_near_names() {
    let refused = refusal("loss_type: dapo\nmax_prompt_length: 512\nnum_generation: 4\ndelta: 2\n");
    for part in [
        "trl.yaml",
        "max_prompt_length",
        "num_generation (near: num_generations)",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let refused = refusal("delta: 2.0\nnormalize_advantages: true\n");
    assert!(
        refused.contains("normalize_advantages (a setting of rloo)"),
        "{refused}"
    );
    let refused = refusal("num_generations: 4\n");
    assert!(
        refused.contains("grpo or rloo") && refused.contains("--algorithm"),
        "{refused}"
    );
}

#[test]
fn what_contradicts_itself_is_refused_by_its_key() {
    for (text, part) in [
        (
            "delta: 2\nnum_generations: 8\nnum_generations: 4\n",
            "num_generations stands there twice",
        ),
        (
            "delta: 2\nper_device_train_batch_size: 4\n",
            "num_generations = 8",
        ),
        (
            "delta: 2\ngeneration_batch_size: 16\nsteps_per_generation: 3\n",
            "contradict",
        ),
        (
            "delta: 2\ngradient_accumulation_steps: 3\nsteps_per_generation: 2\n",
            "neither divides",
        ),
        (
            "delta: 2\nreward_funcs: [accuracy_reward]\nreward_weights: [1, 2]\n",
            "2 weights for 1",
        ),
        ("delta: two\n", "delta = \"two\": TRL takes a number"),
        ("delta: 2\nlr_scheduler_type: polynomial\n", "polynomial"),
        ("- a list\n", "TRL's settings"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(part), "{part}: {refused}");
    }
}
