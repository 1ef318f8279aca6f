//! Readers that go away: of standard error, of standard output, of both, at once,
//! later, or never there. Messages are lost, results are a failure, and nothing
//! crashes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use torch_ext::distributed::is_built;

use crate::support::{Bench, TINY, finished};

/// The end of a pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    OwnedFd::from(writer).into()
}

/// The file that takes nothing.
fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// What a shell closes before the program begins.
fn closed(folder: &Path, arguments: &[&str], which: &str) -> ExitStatus {
    let script = format!("exec \"$0\" \"$@\" {which}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_qinglan")]);
    command.args(arguments).current_dir(folder);
    command.env("XDG_CACHE_HOME", folder.join("cache"));
    command.status().unwrap()
}

#[test]
fn a_result_that_nobody_takes_is_a_failure_and_no_crash() {
    let bench = Bench::new(TINY);
    for arguments in [
        &["rewards", "list"][..],
        &["norms", "list"],
        &["doctor"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["runs", "list", "."],
        &["run", "tiny.toml", "--dry-run", "--device", "cpu"],
    ] {
        for (out, error) in [
            (unread(), Stdio::null()),
            (unread(), unread()),
            (full(), Stdio::null()),
            (full(), full()),
        ] {
            let mut command = bench.command(arguments);
            let ended = command.stdout(out).stderr(error).status().unwrap();
            assert_eq!(
                (ended.code(), ended.signal()),
                (Some(1), None),
                "{arguments:?}"
            );
        }
        let mut command = bench.command(arguments);
        let ended = command
            .stdout(Stdio::null())
            .stderr(unread())
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(0), "{arguments:?}");
        for which in ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            let ended = closed(&bench.path(""), arguments, which);
            assert_eq!(ended.code(), Some(0), "{arguments:?} {which}");
        }
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = bench.command(&["rewards", "list"]);
    let ended = command.stdout(unread()).stderr(writer).status().unwrap();
    drop(command);
    assert_eq!(ended.code(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut reader, &mut said).unwrap();
    assert!(
        said.starts_with("error: standard output takes no more: "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn exit_codes_mean_the_same_where_nobody_reads_why() {
    let bench = Bench::new(TINY);
    for arguments in [
        &["compare", "nowhere"][..],
        &["run", "nowhere.toml"],
        &["run", "tiny.toml", "--set", "arm.sft.training.stepz=5"],
        &["no-such-command"],
        &["run"],
    ] {
        for (out, error) in [(unread(), unread()), (Stdio::null(), full())] {
            let mut command = bench.command(arguments);
            let ended = command.stdout(out).stderr(error).status().unwrap();
            assert_eq!(
                (ended.code(), ended.signal()),
                (Some(2), None),
                "{arguments:?}"
            );
        }
        let ended = closed(&bench.path(""), arguments, "2>&-");
        assert_eq!(ended.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_training_goes_on_where_nobody_reads_its_messages() {
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    let short = [
        "--device",
        "cpu",
        "--seeds",
        "1",
        "--set",
        "arm.grpo.training.steps=3",
    ];
    let arguments = |out: &'static str| [&["run", "tiny.toml", "--out", out], &short[..]].concat();
    // Its messages find no reader, then its result too.
    for (out, streams, code) in [
        ("a", (Stdio::null(), unread()), 0),
        ("b", (unread(), unread()), 1),
        ("c", (full(), full()), 1),
    ] {
        let mut command = bench.command(&arguments(out));
        command.env("QINGLAN_LOG", "trace");
        let ended = command
            .stdout(streams.0)
            .stderr(streams.1)
            .status()
            .unwrap();
        assert_eq!((ended.code(), ended.signal()), (Some(code), None), "{out}");
        assert!(bench.path(out).join("report.html").exists(), "{out}");
        assert!(bench.path(out).join("manifest.json").exists(), "{out}");
    }
    // A reader that goes away in the middle.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = bench.command(&arguments("d"));
    command.env("QINGLAN_LOG", "trace");
    let mut running = command
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    drop(command);
    let mut first = [0];
    std::io::Read::read_exact(&mut &reader, &mut first).unwrap();
    drop(reader);
    assert_eq!(running.wait().unwrap().code(), Some(0));
    assert!(bench.path("d/report.html").exists());
    let ended = closed(&bench.path(""), &arguments("e"), ">&- 2>&-");
    assert_eq!(ended.code(), Some(0));
    assert!(bench.path("e/report.html").exists());
}

#[test]
fn several_ranks_go_on_where_nobody_reads_their_messages() {
    if !is_built() {
        println!("skipped: this build has no distribution");
        return;
    }
    let bench = Bench::new(TINY);
    let arguments = [
        "run",
        "tiny.toml",
        "--out",
        "a",
        "--device",
        "cpu",
        "--nproc",
        "2",
        "--seeds",
        "1",
        "--set",
        "arm.grpo.training.steps=2",
    ];
    for (out, code) in [(Stdio::null(), 0), (unread(), 1)] {
        let mut command = bench.command(&arguments);
        let ended = command.stdout(out).stderr(unread()).status().unwrap();
        assert_eq!((ended.code(), ended.signal()), (Some(code), None));
        assert!(bench.path("a/report.html").exists());
        std::fs::remove_dir_all(bench.path("a")).unwrap();
    }
}
