//! `qinglan doctor`: versions, threads, instruction sets, devices, disk, memory.

use sysinfo::{Disks, System};
use torch_ext::cpu::{Level, VARIABLE};

use crate::device;
use crate::formats::{Choice, Engine, MARGIN, Reason};
use crate::model::ModelShape;
use crate::runner::provenance;
use crate::store::cache_folder;

/// Prints it, a line each.
pub(super) fn execute() {
    let mut lines: Vec<(&str, String)> = vec![
        ("qinglan", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", libtorch()),
        (
            "processor",
            provenance::processor().unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("instructions", provenance::instruction_sets().join(" ")),
        (
            "threads",
            format!(
                "{} cores, libtorch would use {}",
                std::thread::available_parallelism().map_or(0, usize::from),
                tch::get_num_threads()
            ),
        ),
    ];
    lines.push(("kernels", kernels()));
    for (name, engine, rows) in [
        ("training", Engine::Training, TRAINED),
        ("generation", Engine::Generation, GENERATED),
    ] {
        lines.push((name, format(engine, rows)));
    }
    lines.push((
        "cuda",
        match device::cuda() {
            Ok(count) => format!("{count} devices"),
            Err(why) => format!("none: {why}"),
        },
    ));
    let mut system = System::new();
    system.refresh_memory();
    lines.push((
        "memory",
        format!(
            "{} free of {}",
            gib(system.available_memory()),
            gib(system.total_memory())
        ),
    ));
    lines.push(("disk", disk()));
    lines.push((
        "cache",
        cache_folder().map_or_else(|error| format!("{error:#}"), |at| at.display().to_string()),
    ));
    for (name, value) in lines {
        println!("{name:>13}  {value}");
    }
}

/// Tokens of a micro-batch and completions of a batch that formats are measured
/// with.
const TRAINED: usize = 256;
const GENERATED: usize = 32;

/// Which of the lab's own kernels run.
fn kernels() -> String {
    let (own, most) = (Level::of_process(), Level::of_machine());
    if own == most {
        return format!("{own}, the most that this machine has");
    }
    format!("{own}, as {VARIABLE} says; this machine has {most}")
}

/// The format that `auto` would be for a model of SmolLM2-135M's shape.
fn format(engine: Engine, rows: usize) -> String {
    let shape = ModelShape {
        width: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        feed_forward: 1536,
        context: 8192,
    };
    let config = shape.config(49_152, 1, 2, 0);
    let choice = Choice::measure(engine, &config, rows, tch::Device::Cpu);
    let Reason::Measured(rates) = choice.reason else {
        return choice.to_string();
    };
    format!(
        "{} on the CPU: float32 {:.3}, bfloat16 {:.3} GFLOP/s of {} rows, a model like SmolLM2-135M; auto takes bfloat16 from {MARGIN} times as fast",
        choice.format, rates.float32, rates.bfloat16, rates.rows
    )
}

fn libtorch() -> String {
    torch_ext::libtorch_folder().map_or_else(
        || format!("{} (not loaded)", provenance::LIBTORCH),
        |folder| format!("{} in {}", provenance::LIBTORCH, folder.display()),
    )
}

/// Free space where runs are written by default.
fn disk() -> String {
    let Ok(here) = std::env::current_dir() else {
        return "the working directory is gone".to_owned();
    };
    Disks::new_with_refreshed_list()
        .iter()
        .filter(|disk| here.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map_or_else(
            || "unknown".to_owned(),
            |disk| {
                format!(
                    "{} free of {} under {}",
                    gib(disk.available_space()),
                    gib(disk.total_space()),
                    disk.mount_point().display()
                )
            },
        )
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}
