//! `--nproc N`: this program starts N of itself on one machine, as a launcher
//! would, and ends with them. A rank that fails ends all others, after a while
//! in which they may say themselves what they met.
//!
//! The ranks are in process groups of their own, so that a Ctrl-C reaches this
//! process alone, which hands it on: once to stop after a step, twice to stop
//! at once. Where this process is killed they are told to stop too.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use torch_ext::distributed::is_built;

use super::launch;
use crate::messages::say;

/// Set for those that were started here.
const STARTED: &str = "QINGLAN_STARTED_BY_NPROC";

/// How long the others may take to end by themselves once a rank has failed.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two looks at the ranks.
const LOOK: Duration = Duration::from_millis(20);

/// The exit code of what the user stopped.
const INTERRUPTED: u8 = 130;

/// Most ranks that are started on one machine.
const MOST: usize = 1024;

/// Refuses a number of ranks that cannot be started here.
pub fn check_spawn(count: usize) -> Result<()> {
    ensure!(
        (1..=MOST).contains(&count),
        "--nproc {count}: start 1 to {MOST} ranks"
    );
    ensure!(
        launch::place()?.is_none(),
        "--nproc {count}: a launcher has started several ranks already (RANK, WORLD_SIZE or Slurm's variables are set); leave out one of the two"
    );
    ensure!(
        count == 1 || is_built(),
        "--nproc {count}: this build has no distribution; run scripts/provision-libtorch.sh, which brings Gloo's headers, then build again"
    );
    Ok(())
}

/// Runs this program's command line in `count` ranks, which
/// [`check_spawn`] let pass; the exit code of the first that failed, 0 where
/// none did.
pub fn spawn(count: usize) -> Result<u8> {
    let signals = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&signals);
    ctrlc::set_handler(move || {
        heard.fetch_add(1, Ordering::SeqCst);
    })
    .context("listening for Ctrl-C")?;
    let mut ranks = Children(Vec::new());
    let port = free_port()?;
    for rank in 0..count {
        ranks.0.push(start(rank, count, port)?);
    }
    ranks.wait(&signals)
}

/// A port that nobody listens at, and whose next one is likely free too.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    let port = listener.local_addr().context("looking for a free port")?;
    Ok(port.port().min(65_533))
}

fn start(rank: usize, world: usize, port: u16) -> Result<Child> {
    let program = std::env::current_exe().context("finding this program's file")?;
    Command::new(program)
        .args(without_nproc(std::env::args_os().skip(1)))
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", world.to_string())
        .env("LOCAL_RANK", rank.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string())
        .env(STARTED, "1")
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting rank {rank}"))
}

/// The command line without the option that led here.
fn without_nproc(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--nproc" {
            let _ = arguments.next();
        } else if !argument.to_string_lossy().starts_with("--nproc=") {
            kept.push(argument);
        }
    }
    kept
}

/// Has a rank that [`spawn`] started told to stop when the process that
/// started it ends; any other is left alone.
pub(crate) fn follow_starter() {
    if std::env::var_os(STARTED).is_some() {
        // Where the system knows no such signal, a rank outlives its starter.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
}

/// The ranks that were started; none outlives this.
struct Children(Vec<Child>);

impl Children {
    fn wait(&mut self, signals: &AtomicUsize) -> Result<u8> {
        let mut ended: Vec<Option<ExitStatus>> = vec![None; self.0.len()];
        let mut first_failure: Option<(u8, Instant)> = None;
        let mut handed_on = 0;
        loop {
            for (rank, (child, ended)) in self.0.iter_mut().zip(&mut ended).enumerate() {
                if ended.is_some() {
                    continue;
                }
                *ended = child
                    .try_wait()
                    .with_context(|| format!("waiting for rank {rank}"))?;
                let Some(status) = *ended else { continue };
                // One that heard of the Ctrl-C before it could listen for it.
                let asked = handed_on > 0 && status.signal() == Some(Signal::INT.as_raw());
                if let Some(signal) = status.signal().filter(|_| !asked) {
                    say!("error: rank {rank} was ended by signal {signal}");
                }
                if !status.success() && first_failure.is_none() {
                    let code = status.code().and_then(|code| u8::try_from(code).ok());
                    let otherwise = if asked { INTERRUPTED } else { 1 };
                    first_failure = Some((code.unwrap_or(otherwise), Instant::now()));
                }
            }
            if ended.iter().all(Option::is_some) {
                return Ok(first_failure.map_or(0, |(code, _)| code));
            }
            if first_failure.is_some_and(|(_, since)| since.elapsed() > GRACE) {
                self.kill();
            }
            let signalled = signals.load(Ordering::SeqCst);
            if signalled > handed_on {
                handed_on = signalled;
                for (child, ended) in self.0.iter().zip(&ended) {
                    if ended.is_none() {
                        // One that has just ended needs no signal.
                        let _ = kill_process(Pid::from_child(child), Signal::INT);
                    }
                }
            }
            sleep(LOOK);
        }
    }

    fn kill(&mut self) {
        for child in &mut self.0 {
            // One that has ended cannot be killed, which is as good.
            let _ = child.kill();
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_a_ctrl_c_ends_before_they_listen_were_stopped_and_did_not_fail() {
        let ranks = |script: &str| {
            let start = |_| {
                let mut command = Command::new("sh");
                command.args(["-c", script]).process_group(0);
                command.spawn().expect("a shell")
            };
            Children((0..2).map(start).collect())
        };
        let ended = |script: &str, presses| {
            let code = ranks(script).wait(&AtomicUsize::new(presses));
            code.expect("their ends")
        };
        assert_eq!(ended("exec sleep 1000", 1), INTERRUPTED);
        assert_eq!(ended("kill -INT $$", 0), 1);
        assert_eq!(ended("exit 2", 0), 2);
    }

    #[test]
    fn ranks_are_started_with_every_option_but_their_number() {
        let line = ["run", "a.toml", "--nproc", "4", "--out=x", "--nproc=2"];
        let kept = without_nproc(line.map(OsString::from).into_iter());
        assert_eq!(kept, ["run", "a.toml", "--out=x"].map(OsString::from));
    }
}
