//! The losses compared with the reference, and what a wrong reference gives.

use std::io::Write;

use super::*;

fn data(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/losses");
    data.join(name)
}

/// A reference of two rows, three tokens and one case: `grpo`, on-policy, so
/// minus the mean advantage, and each derivative minus the advantage over the
/// row's tokens and the rows.
fn small() -> serde_json::Value {
    serde_json::json!({
        "trl": "none", "seed": 0,
        "logp": [[-1.0, -2.0], [-0.5, -9.0]],
        "old_logp": [[-1.0, -2.0], [-0.5, 900.0]],
        "ref_logp": [[-1.0, -2.0], [-0.5, -900.0]],
        "mask": [[1.0, 1.0], [1.0, 0.0]],
        "advantage": [0.5, -1.0],
        "sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05,
        "cases": [{
            "loss_type": "grpo", "importance_sampling_level": "token", "beta": 0.04,
            "use_bias_correction_kl": false, "epsilon_low": 0.2, "epsilon_high": 0.2,
            "delta": null, "max_completion_length": 4, "num_items_in_batch": 3.0,
            "loss": 0.25, "grad": [[-0.125, -0.125], [0.5, 0.0]]
        }]
    })
}

fn hold(reference: &serde_json::Value) -> Result<Vec<Case>, ConformanceError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(reference.to_string().as_bytes()).unwrap();
    losses(file.path())
}

#[test]
fn every_loss_divergence_and_gradient_conforms_to_trl_and_verl() {
    for (name, count) in [
        ("losses.json", 108),
        ("policy.json", 28),
        ("divergence.json", 10),
    ] {
        let cases = losses(&data(name)).expect("read");
        for (of, worst) in worst_by_loss(&cases) {
            println!("{of:8} {worst:?}");
        }
        assert_eq!(cases.len(), count, "{name}");
        let failed: Vec<&Case> = cases.iter().filter(|case| !case.holds()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

#[test]
fn a_case_by_hand_conforms_and_masked_positions_are_never_read() {
    let cases = hold(&small()).unwrap();
    assert_eq!(cases.len(), 1);
    assert!(cases[0].holds(), "{cases:?}");
    assert_eq!(worst_by_loss(&cases)["grpo"].failed, 0);
}

#[test]
fn a_deviation_is_found_in_the_loss_and_at_every_position() {
    let mut wrong = small();
    wrong["cases"][0]["loss"] = 0.26.into();
    let case = &hold(&wrong).unwrap()[0];
    assert!(!case.holds() && (case.loss - 0.01).abs() < 1e-9 && case.gradient < 1e-9);
    let mut wrong = small();
    wrong["cases"][0]["grad"][1][1] = 0.3.into();
    let case = &hold(&wrong).unwrap()[0];
    assert!(!case.holds() && (case.gradient - 0.3).abs() < 1e-9);
    assert_eq!(worst_by_loss(&hold(&wrong).unwrap())["grpo"].failed, 1);
}

#[test]
fn a_file_of_another_form_is_refused_by_name() {
    let refused = |change: fn(&mut serde_json::Value)| {
        let mut reference = small();
        change(&mut reference);
        hold(&reference).unwrap_err().to_string()
    };
    assert!(refused(|r| r["old_logp"][1] = serde_json::json!([-0.5])).contains("old_logp"));
    assert!(refused(|r| r["advantage"] = serde_json::json!([0.5])).contains("1 advantages"));
    assert!(refused(|r| r["cases"][0]["grad"] = serde_json::json!([])).contains("case 0"));
    assert!(refused(|r| r["cases"] = serde_json::json!([])).contains("no cases"));
    assert!(refused(|r| r["cases"][0]["loss_type"] = "ppo".into()).contains("ppo"));
    let absent = losses(Path::new("no/such/file.json")).unwrap_err();
    assert!(absent.to_string().contains("no/such/file.json"));
}
