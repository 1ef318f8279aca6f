//! The `qinglan` binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    qinglan::cli::main()
}
