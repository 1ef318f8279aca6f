//! Makes the built programs find libtorch where the build found it, so that
//! `cargo run` and `cargo test` need no `LD_LIBRARY_PATH`, and tells the lab itself
//! which sources it was built from. Shared by the crates that link libtorch.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// What decides the bits of a training, a trace or an answer.
const SOURCES: [&str; 12] = [
    "Cargo.lock",
    "algorithms/src",
    "rewards/src",
    "src/demonstrations",
    "src/evaluator.rs",
    "src/generation",
    "src/model",
    "src/network",
    "src/random.rs",
    "src/tasks",
    "src/torch-ext",
    "src/training",
];

fn main() {
    if std::env::var("CARGO_PKG_NAME").as_deref() == Ok("qinglan") {
        hash_sources();
    }
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    // The checkout's link to libtorch is resolved, so that a binary carried
    // out of the checkout still finds it.
    let folder = PathBuf::from(&folder)
        .canonicalize()
        .unwrap_or(PathBuf::from(folder));
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
}

/// Tells the program by which sources it was built: what another version left in the
/// store is not taken for its own.
fn hash_sources() {
    let mut hasher = DefaultHasher::new();
    for name in SOURCES {
        println!("cargo::rerun-if-changed={name}");
        hash(Path::new(name), &mut hasher);
    }
    println!("cargo::rustc-env=QINGLAN_SOURCES={:016x}", hasher.finish());
}

fn hash(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(entries) = std::fs::read_dir(path) else {
        (path, std::fs::read(path).ok()).hash(hasher);
        return;
    };
    let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort();
    for path in below {
        hash(&path, hasher);
    }
}
