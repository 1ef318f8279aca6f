//! What the tests share: a definition that runs in seconds, the binary with a
//! cache of its own, and one finished run for everybody who only reads it.
//!
//! Nothing here asserts; a helper that cannot do its part panics.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use qinglan::model::{Decoder, Model, ModelShape, Text, Weights, folder, vocabulary};
use serde_json::Value;
use tch::Device;
use tempfile::TempDir;

/// A whole experiment, base and teacher included, that runs in seconds. It says
/// its number formats: tests compare the bits of its runs.
pub(crate) const TINY: &str = r#"[experiment]
name = "tiny"
title = "A tiny experiment"
hypothesis = "None: it is only as large as a test needs."
seeds = [1, 2]

[tasks]
names = ["alphabet_arithmetic"]
norms = "builtin"
validation_problems = 16

[base.shape]
width = 32
layers = 1
heads = 2
kv_heads = 1
feed_forward = 64
context = 160

[base.pretraining]
batch_size = 16
focus_weight = 4.0

[base.pretraining.training]
steps = 100
optimizer = "muon"
learning_rate = 1e-2
warmup_steps = 10
validation_steps = 50
save_steps = 20

[teacher]
seed = 100
algorithm.grpo = { prompts_per_generation = 4, num_generations = 4, steps_per_generation = 2 }
reward = { correct = 1.0, format = 0.1, length_cost = 0.1 }
training = { steps = 10 }

[teacher.base.shape]
width = 32
layers = 1
heads = 2
kv_heads = 2
feed_forward = 96
context = 160

[teacher.base.pretraining]
batch_size = 16

[teacher.base.pretraining.training]
steps = 100
optimizer = "muon"
learning_rate = 1e-2
warmup_steps = 10
validation_steps = 50
save_steps = 50

[teacher.traces]
problems = 24
samples = 2
held_out = 12
only_correct = false

[rollout]
temperature = 1.0
max_new_tokens = 40
dtype = "float32"

[evaluation]
samples = 1
temperature = 1.0
max_new_tokens = 40
dtype = "float32"

[training]
learning_rate = 1e-3
validation_steps = 10
save_steps = 5
dtype = "float32"

[arm.sft]
algorithm.sft = { batch_size = 8 }
training = { steps = 20 }

[arm.grpo]
algorithm.grpo = { prompts_per_generation = 4, num_generations = 4, steps_per_generation = 2 }
reward = { correct = 1.0, format = 0.1, length_cost = 0.1 }
training = { steps = 40 }
"#;

/// The models of [`TINY`], in the order of its tables.
pub(crate) const ARMS: [&str; 4] = ["base", "teacher", "sft", "grpo"];

/// What a finished process left.
pub(crate) struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// What a process that has ended printed.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output as one line, so that a table's folds do not matter.
    pub(crate) fn joined(&self) -> String {
        let words: Vec<&str> = self.stdout.split_whitespace().collect();
        words.join(" ")
    }

    /// The same, once it is clear that the process did what was asked.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

/// A folder with a definition, a cache and room for runs, gone when dropped.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    /// One that holds `text` as `tiny.toml`.
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.toml"), text).unwrap();
        Self { folder }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, with this folder's cache and in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command_in(self.folder.path(), arguments)
    }

    /// Runs the binary to its end.
    pub(crate) fn qinglan(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// `qinglan run` of the definition into `out`, on the CPU.
    pub(crate) fn run(&self, out: &str, more: &[&str]) -> Ended {
        self.qinglan(&run_arguments(out, more))
    }

    /// The same, not waited for.
    pub(crate) fn start(&self, out: &str, more: &[&str]) -> Running {
        Running::of(self.command(&run_arguments(out, more)))
    }

    /// Takes over the bases of the shared run's store, so that none has to be made
    /// again; everything else has.
    pub(crate) fn with_cache_of(&self, finished: &Finished) {
        let store = Path::new("cache/qinglan/store");
        for entry in std::fs::read_dir(finished.folder.join(store)).unwrap() {
            let entry = entry.unwrap().path();
            if entry.join("entry.json").exists() && is_of_base(&json(&entry.join("entry.json"))) {
                let name = entry.file_name().unwrap();
                copy_folder(&entry, &self.path("").join(store).join(name));
            }
        }
    }
}

/// Whether an entry of the store is a base, of the arms or of the teacher.
pub(crate) fn is_of_base(entry: &Value) -> bool {
    let what = entry["what"].as_str().unwrap();
    entry["kind"] == "model" && (what.starts_with("base ") || what.starts_with("teacher's base "))
}

fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qinglan"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        // Whatever the user has set for the hub, no test asks the real one.
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("HF_HOME")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_TOKEN")
        .env_remove("HF_TOKEN_PATH")
        .env_remove("QINGLAN_LOG");
    command
}

fn run_arguments<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run", "tiny.toml", "--out", out, "--device", "cpu"];
    arguments.extend_from_slice(more);
    arguments
}

/// A process that has been started.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts a command.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self {
            child: command.spawn().unwrap(),
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready`, checked again and again, holds.
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) {
        let patience = Instant::now() + Duration::from_secs(120);
        while !ready() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before it could be stopped");
            assert!(Instant::now() < patience, "nothing happened");
            sleep(Duration::from_millis(2));
        }
    }

    /// Waits until `ready` holds; false where the process ended before it did.
    pub(crate) fn reaches(&mut self, ready: impl Fn() -> bool) -> bool {
        while !ready() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_micros(500));
        }
        true
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        Ended::of(self.child.wait_with_output().unwrap())
    }
}

/// A run of [`TINY`] that is only read.
pub(crate) struct Finished {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// What the process printed.
    pub(crate) ended: Ended,
    folder: PathBuf,
    _lock: File,
}

impl Finished {
    /// Runs the binary on it.
    pub(crate) fn qinglan(&self, arguments: &[&str]) -> Ended {
        Ended::of(command_in(&self.folder, arguments).output().unwrap())
    }

    /// A copy that may be changed, as `run` in a bench of its own.
    pub(crate) fn copy(&self) -> Bench {
        let bench = Bench::new(TINY);
        copy_folder(&self.run, &bench.path("run"));
        bench
    }
}

/// The shared run, made at the first call.
pub(crate) fn finished() -> &'static Finished {
    static FINISHED: OnceLock<Finished> = OnceLock::new();
    FINISHED.get_or_init(|| {
        // A place of its own rather than a temporary folder, which nobody
        // would remove: a static is never dropped.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("finished-run");
        let lock = File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tiny.toml"), TINY).unwrap();
        let ended = command_in(&folder, &run_arguments("run", &[]))
            .output()
            .unwrap();
        Finished {
            run: folder.join("run"),
            ended: Ended::of(ended).done(),
            folder,
            _lock: lock,
        }
    })
}

/// A model in a folder that writes `true` again and again and then ends, whatever
/// it is asked: no layer does anything, so the next token is drawn from one
/// distribution, and what rounding does to that is nothing beside it. `end` is how
/// much likelier the end token is than `true`, in log-odds.
pub(crate) fn answering(at: &Path, end: f64) {
    let shape = ModelShape {
        width: 32,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        feed_forward: 64,
        context: 160,
    };
    let config = vocabulary::config(&shape, &[]).unwrap();
    let weights = Weights::random(&config, 1, Device::Cpu);
    tch::no_grad(|| {
        let _ = weights.flat().shallow_clone().zero_();
        for entry in weights.entries() {
            if entry.name.ends_with("norm.weight") {
                let _ = weights.get(&entry.name).shallow_clone().fill_(1.0);
            }
        }
        // Of a row of equal numbers the norm makes ones: logits are sums of rows.
        let rows = weights.get("model.embed_tokens.weight").shallow_clone();
        let _ = rows.shallow_clone().fill_(1.0 / 32.0);
        let words = vocabulary::words(&[]);
        for (word, logit) in [("true", 9.0), (vocabulary::EOS, 9.0 + end)] {
            let place = words.iter().position(|known| known == word).unwrap();
            let _ = rows.get(place as i64).fill_(logit / 32.0);
        }
    });
    let model = Model {
        decoder: Decoder::new(config.clone(), weights),
        text: Text::lab(&[]).unwrap(),
        companions: vocabulary::companions(config.context(), &[]).unwrap(),
    };
    folder::save(&model, at).unwrap();
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A text file.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Arm, seed and hash of the weights that each training of a run ended with.
pub(crate) fn final_weights(run: &Path) -> Vec<(String, u64, String)> {
    json(&run.join("manifest.json"))["arm_runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| {
            let word = |key: &str| arm[key].as_str().unwrap().to_owned();
            (
                word("arm"),
                arm["seed"].as_u64().unwrap(),
                word("final_weights"),
            )
        })
        .collect()
}

/// Every file below a folder, by its path from there. A folder that goes while they are
/// listed, as a process renames what it has written, has none.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        let entries = match std::fs::read_dir(&at) {
            Err(error) if error.kind() == ErrorKind::NotFound && at != folder => continue,
            entries => entries.unwrap(),
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn copy_folder(from: &Path, to: &Path) {
    for name in files_below(from) {
        let target = to.join(&name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(name), target).unwrap();
    }
}
