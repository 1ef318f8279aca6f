//! The binary knows its own reward wherever the lab knows a built-in one.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_own-reward"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn told(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_is_listed_and_described_with_its_parameters() {
    let listed = told(&["rewards", "list"]);
    assert!(
        listed.contains("hedging") && listed.contains("correct"),
        "{listed}"
    );
    let described = told(&["rewards", "describe", "hedging"]);
    for part in ["minus the number", "words", "must be given"] {
        assert!(described.contains(part), "{part}: {described}");
    }
}

#[test]
fn a_definition_may_name_it_with_typed_parameters() {
    let planned = told(&["run", "hedging.toml", "--dry-run", "--out", "nowhere"]);
    assert!(planned.contains("arm plain: grpo, 20 updates"), "{planned}");
    let set = "arm.plain.reward.hedging={ words = 3 }";
    let refused = run(&["run", "hedging.toml", "--dry-run", "--set", set]);
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.contains("arm.plain.reward") && message.contains("hedging"),
        "{message}"
    );
}
