//! One child process: started, asked, and ended.
//!
//! Its three pipes do not block and are served by one loop, so that a child
//! which does not read, does not answer, or floods its standard error costs no
//! more than its deadline, and no helper thread can be left behind at a pipe
//! that a grandchild holds open. The child leads a process group of its own:
//! the whole group is killed with it, and an interrupt at the terminal, after
//! which the lab still finishes its step, does not reach it.
//!
//! What it deliberately does not do: let a child end by itself. Once it is not
//! needed any more, or has broken a rule, it is killed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::protocol;

/// The longest line that a child may write: the scores of a hundred thousand
/// completions with parts take less.
const LONGEST_LINE: usize = 16 << 20;

/// Lines of standard error that are shown in errors.
const TAIL_LINES: usize = 20;

/// Lines of standard error that are passed on to the log for each start of a
/// child.
const LOGGED_LINES: usize = 1000;

/// Bytes of a line of standard error that are kept.
const LOGGED_BYTES: usize = 500;

/// How long to wait before asking whether the child still lives: its end is
/// seen at once, unless it left a process behind that holds its pipes.
const LOOK: Duration = Duration::from_millis(250);

/// How to start a child.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) folder: PathBuf,
    /// Variables that are set beside those of the lab's own environment.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// A file that every child reads, and what it held when the first one did:
    /// children of one reward must not run two versions of it.
    pub(super) source: Option<(PathBuf, Vec<u8>)>,
    /// Bytes of address space, where the system can limit them.
    pub(super) memory: u64,
    /// For the import of what it needs, up to the handshake.
    pub(super) start: Duration,
}

/// Why a child gave no reply.
#[derive(Debug)]
pub(super) struct Failure {
    /// Whether it ended without being told to.
    pub(super) died: bool,
    /// Whether a signal ended it, as where the system ran out of memory: nothing
    /// that was asked of it need be wrong.
    pub(super) killed: bool,
    /// Whether it gave no answer in time.
    pub(super) late: bool,
    /// What happened, with the last lines of its standard error.
    pub(super) message: String,
}

impl Failure {
    /// One of a child that did not end by itself.
    pub(super) fn of(message: String) -> Self {
        Self {
            died: false,
            killed: false,
            late: false,
            message,
        }
    }
}

/// A running child that has shaken hands.
pub(super) struct Child {
    process: std::process::Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    unread: Vec<u8>,
    log: Log,
    ended: bool,
    /// What it calls itself.
    pub(super) name: String,
}

impl Child {
    /// Starts a child and waits for its handshake.
    pub(super) fn start(launch: &Launch) -> Result<Self, Failure> {
        let fault = |what: &str, error: &dyn std::fmt::Display| {
            let program = launch.program.to_string_lossy();
            Failure::of(format!("{what} `{program}`: {error}"))
        };
        if let Some((path, text)) = &launch.source
            && std::fs::read(path).ok().as_ref() != Some(text)
        {
            return Err(Failure::of(format!(
                "{} has changed since it was first read, and another process is to be \
                 started: start the run again",
                path.display()
            )));
        }
        let mut process = Command::new(&launch.program)
            .args(&launch.arguments)
            .current_dir(&launch.folder)
            .envs(launch.environment.iter().copied())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| fault("cannot start", &error))?;
        let pipes = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(fault("no pipes to", &"the system gave none"));
        };
        let mut child = Self {
            process,
            stdin,
            stdout,
            stderr: Some(stderr),
            unread: Vec::new(),
            log: Log::default(),
            ended: false,
            name: String::new(),
        };
        child
            .limit(launch.memory)
            .map_err(|error| fault("cannot limit the memory of", &error))?;
        let line = child.ask(&[], launch.start)?;
        match protocol::handshake(&line) {
            Ok(name) => child.name = name,
            Err(message) => return Err(child.broke(&message)),
        }
        Ok(child)
    }

    /// Caps its memory and that of the processes it starts, and makes its pipes
    /// such that they do not block.
    fn limit(&self, memory: u64) -> rustix::io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Resource, Rlimit, prlimit};
            let limit = Rlimit {
                current: Some(memory),
                maximum: Some(memory),
            };
            prlimit(Some(self.pid()), Resource::As, limit)?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = memory;
        rustix::io::ioctl_fionbio(&self.stdin, true)?;
        rustix::io::ioctl_fionbio(&self.stdout, true)?;
        if let Some(stderr) = &self.stderr {
            rustix::io::ioctl_fionbio(stderr, true)?;
        }
        Ok(())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Whether it has ended. It is not waited for yet, so that its process group
    /// cannot be anybody else's.
    pub(super) fn gone(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid()), options), Ok(None))
    }

    /// Writes a request, if there is one, and waits for a line.
    ///
    /// After an error the child must not be asked again.
    pub(super) fn ask(&mut self, request: &[u8], within: Duration) -> Result<Vec<u8>, Failure> {
        let begun = Instant::now();
        let mut unwritten = request;
        if !request.is_empty() && !self.unread.is_empty() {
            let said = protocol::shown(&self.unread);
            return Err(self.broke(&format!("it said more than it was asked: `{said}`")));
        }
        let mut searched = 0;
        loop {
            if let Some(end) = self.unread[searched..].iter().position(|b| *b == b'\n') {
                let rest = self.unread.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.pop();
                return Ok(line);
            }
            searched = self.unread.len();
            if searched > LONGEST_LINE {
                let start = protocol::shown(&self.unread);
                return Err(self.broke(&format!(
                    "it wrote a line of more than {LONGEST_LINE} bytes: `{start}`"
                )));
            }
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let seconds = within.as_secs_f64();
                let failure = self.broke(&format!("no answer within {seconds} seconds"));
                return Err(Failure {
                    late: true,
                    ..failure
                });
            }
            self.serve(&mut unwritten, left.min(LOOK))?;
        }
    }

    /// Waits until a pipe is ready and moves what can be moved.
    fn serve(&mut self, unwritten: &mut &[u8], wait: Duration) -> Result<(), Failure> {
        let mut fds = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        if let Some(stderr) = &self.stderr {
            fds.push(PollFd::new(stderr, PollFlags::IN));
        }
        if !unwritten.is_empty() {
            fds.push(PollFd::new(&self.stdin, PollFlags::OUT));
        }
        let wait = Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(0) if self.gone() => return Err(self.died()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(self.broke(&format!("its pipes failed: {error}"))),
        }
        self.drain_stderr();
        if !unwritten.is_empty() {
            match self.stdin.write(unwritten) {
                Ok(written) => *unwritten = &unwritten[written..],
                // It reads no more: what it says, or its end, shows why.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => *unwritten = &[],
                Err(error) if passes(&error) => {}
                Err(error) => return Err(self.broke(&format!("its input failed: {error}"))),
            }
        }
        let mut buffer = [0; 1 << 14];
        match self.stdout.read(&mut buffer) {
            Ok(0) => Err(self.died()),
            Ok(read) => {
                (self.unread).extend_from_slice(buffer.get(..read).unwrap_or_default());
                Ok(())
            }
            Err(error) if passes(&error) => Ok(()),
            Err(error) => Err(self.broke(&format!("its output failed: {error}"))),
        }
    }

    /// Takes what its standard error holds, up to a bound.
    fn drain_stderr(&mut self) {
        let mut buffer = [0; 1 << 14];
        for _ in 0..16 {
            let Some(stderr) = &mut self.stderr else {
                return;
            };
            match stderr.read(&mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(read) => self.log.take(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.stderr = None,
            }
        }
    }

    fn died(&mut self) -> Failure {
        // A process that is ending keeps the status it ends with.
        let status = self.end();
        let how = status.map_or_else(|| "status unknown".to_owned(), |how| how.to_string());
        Failure {
            died: true,
            killed: status.is_some_and(|status| status.signal().is_some()),
            late: false,
            message: format!("its process ended ({how}){}", self.tail()),
        }
    }

    fn broke(&mut self, message: &str) -> Failure {
        self.end();
        Failure::of(format!("{message}{}", self.tail()))
    }

    /// The last lines of its standard error, to follow a message.
    fn tail(&mut self) -> String {
        self.drain_stderr();
        self.log.tail()
    }

    /// Kills it and all that it started, and waits for it.
    fn end(&mut self) -> Option<ExitStatus> {
        if !self.ended {
            self.ended = true;
            // An error means that nobody is left to kill.
            let _ = kill_process_group(self.pid(), Signal::KILL);
        }
        self.process.wait().ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a pipe may be tried again.
fn passes(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A child's standard error: passed on to the log, the last lines kept.
#[derive(Default)]
struct Log {
    last: VecDeque<String>,
    unfinished: Vec<u8>,
    lines: usize,
}

impl Log {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LOGGED_BYTES.saturating_sub(self.unfinished.len());
            self.unfinished.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                self.line();
            }
        }
    }

    fn line(&mut self) {
        let line = String::from_utf8_lossy(&self.unfinished);
        let line = line.trim_end().to_owned();
        self.unfinished.clear();
        self.lines += 1;
        match self.lines {
            ..=LOGGED_LINES => tracing::info!("reward: {line}"),
            lines if lines == LOGGED_LINES + 1 => {
                tracing::info!("reward: further lines of this process are not logged");
            }
            _ => {}
        }
        if self.last.len() == TAIL_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn tail(&mut self) -> String {
        if !self.unfinished.is_empty() {
            self.line();
        }
        if self.last.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        let lines = lines.join("\n  ");
        format!("; the last of its standard error:\n  {lines}")
    }
}
