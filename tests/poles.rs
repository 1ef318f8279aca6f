//! Between the poles: algorithms that learn from demonstrations, from a teacher's judgement
//! and from own samples, from the definition to the weights.

use serde_json::Value;

use crate::bits::updates;
use crate::metrics::logged;
use crate::support::{Bench, TINY, final_weights, finished, json as read_json};

/// The tiny experiment of one seed with these arms.
fn definition(arms: &str) -> String {
    let own = TINY.find("[arm.sft]").unwrap();
    TINY[..own].replace("seeds = [1, 2]", "seeds = [1]") + arms
}

const ARMS: &str = r#"
[arm.gkd]
algorithm.gkd = { prompts_per_generation = 4, lmbda = 0.5 }
training = { steps = 4 }

[arm.luffy]
reward = { correct = 1.0, format = 0.5 }
training = { steps = 12, save_steps = 1 }
algorithm.luffy = { grpo = { prompts_per_generation = 4, num_generations = 3 } }

[arm.worked]
demonstrations = { worked = true, problems = 12 }
training = { steps = 2 }
algorithm.sdft = { prompts_per_generation = 8, teacher_prompt_template = "{demonstration} {prompt}" }

[arm.mix]
reward.correct = 1.0
training = { steps = 12, save_steps = 1 }
algorithm.mix = { share = 0.0, share_final = 1.0, share_steps = 8, reinforce.grpo = { prompts_per_generation = 2, num_generations = 4, use_adaptive_entropy = true, entropy_target = 9.0, entropy_coef_delta = 0.05 } }
"#;

#[test]
fn every_way_between_trains_and_goes_on_to_the_same_bits() {
    let bench = Bench::new(&definition(ARMS));
    bench.with_cache_of(finished());
    bench.run("run", &[]).done();
    let run = bench.path("run");
    let manifest = read_json(&run.join("manifest.json"));
    let runs = manifest["arm_runs"].as_array().unwrap();
    let trained = |of: &&Value| of["arm"] != "base" && of["arm"] != "teacher";
    assert_eq!(runs.iter().filter(trained).count(), 4);
    for of in runs.iter().filter(trained) {
        assert_ne!(of["final_weights"], of["initial_weights"], "{of}");
        // An order of problems is told where the seed's own is met.
        let met = of["arm"] == "gkd" || of["arm"] == "mix";
        assert_eq!(of["problem_order"].is_string(), met, "{of}");
    }
    // What a mixture reinforces begins with nothing and ends with everything.
    let mixed: Vec<f64> = logged(&run.join("arms/mix/seed-1"))
        .iter()
        .filter_map(|line| line.get("mix/reinforced").and_then(Value::as_f64))
        .collect();
    assert_eq!(mixed.len(), 12);
    assert!(mixed[0] < 0.5 && mixed[11] > 0.5, "{mixed:?}");
    // The weight of the entropy has no entropy before it to go by at first.
    let coefs: Vec<f64> = logged(&run.join("arms/mix/seed-1"))
        .iter()
        .filter_map(|line| line.get("entropy_coef").and_then(Value::as_f64))
        .collect();
    assert!(
        coefs.first() == Some(&0.0) && coefs.windows(2).all(|two| two[0] < two[1]),
        "{coefs:?}"
    );

    let again = Bench::new(&definition(ARMS));
    again.with_cache_of(finished());
    for arm in ["luffy", "mix"] {
        let log = again
            .path("run/arms")
            .join(arm)
            .join("seed-1/metrics.jsonl");
        let mut running = again.start("run", &["--resume"]);
        running.wait_until(|| updates(&log) > 3);
        running.signal("KILL");
        assert_eq!(running.end().code, None);
    }
    again.run("run", &["--resume"]).done();
    assert_eq!(final_weights(&again.path("run")), final_weights(&run));
}

#[test]
fn what_contradicts_itself_is_refused_before_anything_is_written() {
    let refused = |arms: &str, says: &[&str]| {
        let bench = Bench::new(&definition(arms));
        bench.with_cache_of(finished());
        let ended = bench.run("run", &[]);
        assert_eq!(ended.code, Some(2), "{says:?}: {}", ended.stderr);
        for part in says {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    };
    let arm = |algorithm: &str| {
        format!("[arm.odd]\nreward.correct = 1.0\ntraining = {{ steps = 1 }}\n{algorithm}\n")
    };
    refused(
        &arm("algorithm.gkd = { lmbda = 1.5 }"),
        &["arm.odd", "lmbda = 1.5"],
    );
    refused(
        &arm("algorithm.mix = { share = 2.0 }"),
        &["arm.odd", "share = 2"],
    );
    refused(
        &arm("algorithm.chord = { mu = -1.0 }"),
        &["arm.odd", "mu = -1"],
    );
    refused(
        &arm("algorithm.mix = { reinforce.sft = {} }"),
        &["arm.odd", "reinforce.sft"],
    );
    refused(
        &arm("algorithm.luffy = { grpo = { beta = 0.1 } }"),
        &["arm.odd", "grpo.beta"],
    );
    refused(
        &arm("algorithm.sdft = { teacher_prompt_template = \"{prompt}\" }"),
        &["arm.odd", "{demonstration}"],
    );
    // Longer than the context with its completion, found before the first update.
    let long = "{demonstration} ".repeat(20) + "{prompt}";
    refused(
        &arm(&format!(
            "algorithm.sdft = {{ teacher_prompt_template = \"{long}\" }}"
        )),
        &[
            "arm.odd.algorithm.sdft.teacher_prompt_template",
            "max_new_tokens",
        ],
    );
    let warm = definition(&arm(
        "algorithm.chord = { grpo = { prompts_per_generation = 2 } }",
    ));
    let bench = Bench::new(&warm.replacen("temperature = 1.0", "temperature = 0.7", 1));
    let ended = bench.run("run", &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("rollout.temperature"),
        "{}",
        ended.stderr
    );
}
