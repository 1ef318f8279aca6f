//! The Python processes that have `reasoning_gym`, one pool for a whole program.
//!
//! They speak the lab's protocol (see `protocol`) with requests of their own:
//!
//! ```json
//! {"id": 1, "open": {"name": "chain_sum", "settings": {}}}
//! {"id": 2, "draw": {"name": "chain_sum", "settings": {}, "seed": 7, "start": 0, "count": 2}}
//! {"id": 3, "rate": {"entry": {}, "answer": "12"}}
//! ```
//!
//! and replies
//!
//! ```json
//! {"id": 1, "settings": ["min_terms", "max_terms"]}
//! {"id": 2, "entries": [{"question": "", "answer": "", "metadata": {}}, "what it raised"]}
//! {"id": 3, "score": 1.0}
//! ```
//!
//! where an unknown data set is answered by all `names`, and an answer that raises an
//! exception by its text in the place of the score.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::child::{Failure, Launch};
use super::super::pool::{Job, Pool};
use super::super::{Workers, folder_of, program_in, protocol, python};

/// Some data sets take half a second for an entry.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a process is started with, so that sets of strings have one order.
const ENVIRONMENT: &[(&str, &str)] = &[("PYTHONHASHSEED", "0")];

/// The processes of the last interpreter that was asked for.
static SHARED: Mutex<Option<Arc<Host>>> = Mutex::new(None);

/// Python processes with the package.
pub(super) struct Host {
    interpreter: OsString,
    pool: Pool<Map<String, Value>>,
    requests: AtomicU64,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Host").field(&self.interpreter).finish()
    }
}

impl Host {
    /// The processes of this interpreter, started where they are not those of the last.
    pub(super) fn shared(interpreter: &str, folder: &Path) -> Result<Arc<Self>, Failure> {
        let folder = folder_of(folder);
        let interpreter = program_in(&folder, interpreter);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = shared
            .as_ref()
            .filter(|host| host.interpreter == interpreter)
        {
            return Ok(Arc::clone(host));
        }
        let host = Arc::new(Self::start(interpreter, &folder, DEADLINE)?);
        *shared = Some(Arc::clone(&host));
        Ok(host)
    }

    /// Those that were asked for last, or those of `python3`.
    pub(super) fn last() -> Result<Arc<Self>, Failure> {
        let shared = SHARED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match shared {
            Some(host) => Ok(host),
            None => Self::shared("python3", Path::new(".")),
        }
    }

    fn start(interpreter: OsString, folder: &Path, deadline: Duration) -> Result<Self, Failure> {
        let workers = Workers::default();
        let launch = Launch {
            program: interpreter.clone(),
            arguments: ["-c", python::ADAPTER, r#"{"calls": "gym"}"#]
                .map(Into::into)
                .into(),
            folder: folder.to_owned(),
            environment: ENVIRONMENT,
            source: None,
            memory: workers.memory_mb << 20,
            start: Duration::from_secs_f64(workers.start_seconds),
        };
        let (pool, _) = Pool::start(&launch, workers.count, deadline, protocol::object)?;
        Ok(Self {
            interpreter,
            pool,
            requests: AtomicU64::new(0),
        })
    }

    /// What is replied to a request, an object without its `id`.
    pub(super) fn ask(&self, request: &Value) -> Result<Map<String, Value>, Failure> {
        let mut replies = self.ask_all(std::slice::from_ref(request));
        replies.pop().unwrap_or_else(|| Err(unanswered()))
    }

    /// What is replied to each of the requests, in their order.
    pub(super) fn ask_all(&self, requests: &[Value]) -> Vec<Result<Map<String, Value>, Failure>> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (reply, outcomes) = channel();
        for (piece, request) in requests.iter().enumerate() {
            let id = self.requests.fetch_add(1, Ordering::Relaxed);
            let mut request = request.clone();
            request["id"] = id.into();
            self.pool.judge(Job {
                piece,
                id,
                request: format!("{request}\n").into_bytes(),
                count: 1,
                cancelled: Arc::clone(&cancelled),
                reply: reply.clone(),
            });
        }
        drop(reply);
        let mut replies: Vec<_> = requests.iter().map(|_| Err(unanswered())).collect();
        for outcome in outcomes {
            if let Some(reply) = replies.get_mut(outcome.piece) {
                *reply = outcome.answer;
            }
        }
        replies
    }
}

fn unanswered() -> Failure {
    Failure::of("the thread that had it asked ended".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that shakes hands and then does as `script` says.
    fn host(script: &str) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("python");
        let script = format!(
            "#!/bin/sh\necho '{{\"protocol\": 1, \"name\": \"gym\"}}'\nread line\n{script}\n"
        );
        std::fs::write(&program, script).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("executable");
        let deadline = Duration::from_secs(1);
        let host = Host::start(program.into_os_string(), folder.path(), deadline);
        (folder, host.expect("it shakes hands"))
    }

    #[test]
    fn a_process_that_does_not_come_to_an_end_costs_its_deadline() {
        let (_folder, host) = host("sleep 100");
        let failure = host.ask(&serde_json::json!({})).expect_err("it sleeps");
        assert!(failure.late && !failure.killed, "{failure:?}");
        assert!(
            failure.message.contains("no answer within 1 seconds"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_reply_to_another_request_is_not_believed() {
        for (reply, says) in [
            (r#"{"id": 900}"#, "it answered request 900, asked 0"),
            (r"{}", "it answered request null"),
            ("hello", "`hello` cannot be read"),
            (r#"{"id": 0, "error": "too hard"}"#, "too hard"),
        ] {
            let (_folder, host) = host(&format!("echo '{reply}'\nread line"));
            let failure = host.ask(&serde_json::json!({})).expect_err(reply);
            assert!(
                !failure.late && failure.message.contains(says),
                "{failure:?}"
            );
        }
        let (_folder, host) = host(r#"echo '{"id": 0, "score": 1}'; read line"#);
        let reply = host.ask(&serde_json::json!({})).expect("it replied");
        assert_eq!(reply.get("score").and_then(Value::as_u64), Some(1));
    }
}
