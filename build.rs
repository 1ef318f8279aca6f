//! Makes the built programs find libtorch where the build found it, so that
//! `cargo run` and `cargo test` need no `LD_LIBRARY_PATH`. Shared by the crates
//! that link libtorch.

use std::path::PathBuf;

fn main() {
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
